"""How far a Mac's people are with their profiles: judged from what macOS says, on a folder with doubles of its commands."""

from __future__ import annotations

import json
import plistlib
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils.mac import answer, profiles
from ansible_collections.msp.charter_mail.plugins.plugin_utils.formats.mobileconfig import Settings, profile
from ansible_collections.msp.charter_mail.plugins.plugin_utils.handout import macs
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.account import Account

from tests.unit.mobile_samples import account

DOUBLES = Path(__file__).resolve().parents[1] / "doubles/macos"
JANE, INFO = account("jane@example.org"), account("info@example.org")
POP = account("jane@example.org", protocol="pop")
PORT_465 = account("jane@example.org", smtp_port="465")
PENDING, INSTALLED, OUTDATED, UNKNOWN = answer.PENDING, answer.INSTALLED, answer.OUTDATED, answer.UNKNOWN


def plist(*accounts: Account, **settings: Any) -> bytes:
    return profile(list(accounts), "macos", Settings(**settings))


def wanted(*accounts: Account) -> answer.Profile:
    return answer.read(plist(*accounts))


class Mac:
    """A folder that stands for a Mac, with jane on it."""

    def __init__(self, root: Path) -> None:
        self.root, self.state = root, root / "var/db/mac-double"
        subprocess.run([DOUBLES / "install.sh", root], check=True)

    def approve(self, *accounts: Account, login: str = "jane") -> None:
        file = self.root / "profile"
        file.write_bytes(plist(*accounts))
        subprocess.run([self.root / "usr/bin/approve", login, file], check=True)

    def sit(self, *who: str) -> None:
        subprocess.run([self.root / "usr/bin/sit", *who], check=True)

    def work(self, *accounts: Account, file: str = "/Users/jane/p.mobileconfig", **options: bool) -> list[tuple[str, str]]:
        """State and message of everybody; jane is to have these accounts, nobody is on the sheet without any."""
        given = {"absent": False, "open": False, "remove_pop": False, "check": False, **options}
        person = {"login": "jane", "addresses": ["jane@example.org"], "wanted": wanted(*accounts) if accounts else None, "file": file}
        mac = profiles.Mac(profiles.Options(root=str(self.root), **given))
        mac.work([person] if accounts else [])
        self.changed = mac.changed
        json.dumps(mac.people)
        return [(one["state"], one.get("message", "")) for one in mac.people]

    @property
    def opened(self) -> list[str]:
        log = self.state / "opened"
        return [line.split(" ", 2)[2] for line in log.read_text().splitlines()] if log.exists() else []

    @property
    def installed(self) -> list[str]:
        return [one["ProfileIdentifier"] for one in json.loads((self.state / "profiles.json").read_text())["jane"]]


@pytest.fixture
def mac(tmp_path: Path) -> Mac:
    return Mac(tmp_path / "mac")


def judged(want: answer.Profile, *found: answer.Profile) -> tuple[str, str]:
    verdict = answer.judge(want, list(found))
    return verdict.state, verdict.message


def without(name: str) -> answer.Profile:
    ((key, settings),) = wanted(JANE).accounts.items()
    return wanted(JANE)._replace(accounts={key: {each: value for each, value in settings.items() if each != name}})


def test_the_settings_in_use_decide() -> None:
    assert judged(wanted(JANE)) == (PENDING, "")
    assert judged(wanted(JANE), wanted(JANE)) == (INSTALLED, "")
    assert judged(wanted(PORT_465), wanted(JANE)) == (OUTDATED, "jane@example.org: outgoing port is 587 and should be 465")
    assert judged(wanted(JANE, INFO), wanted(JANE)) == (OUTDATED, "info@example.org is missing")
    assert judged(wanted(JANE), wanted(JANE, INFO)) == (OUTDATED, "info@example.org is there and should not be")
    # Under another first address it is another profile.
    assert judged(wanted(INFO), wanted(JANE))[0] == OUTDATED
    assert judged(wanted(JANE), wanted(JANE)._replace(identifier="com.example.mail")) == (PENDING, "")


@pytest.mark.parametrize("name", answer.DECISIVE)
def test_what_is_not_shown_is_not_taken_for_equal(name: str) -> None:
    said = f"the profile is installed, but macOS does not show its {answer.WORDS[name]}"
    assert judged(wanted(JANE), without(name)) == (UNKNOWN, said)


def test_the_profile_s_words_are_no_settings() -> None:
    told = [answer.read(plist(JANE, **words)) for words in ({}, {"description": "New", "consent": "Yes?", "organization": "Org"})]
    assert told[0] == told[1] and answer.digest(told[0]) == answer.digest(told[1]) != answer.digest(wanted(PORT_465))
    assert json.dumps(told[0]) == json.dumps(answer.Profile(*json.loads(json.dumps(told[0]))))


def shown(**by_login: Any) -> bytes:
    return plistlib.dumps(by_login)


ITEM = {
    "PayloadType": answer.MAIL,
    "PayloadIdentifier": "a",
    "PayloadContent": {"EmailAddress": "jane@example.org", "IncomingPassword": "x"},
}
ONE = {"ProfileIdentifier": "msp.charter-mail.macos.1", "ProfileItems": [ITEM, {"PayloadType": "com.apple.wifi.managed"}]}
READ = answer.Profile("msp.charter-mail.macos.1", {"a": {"EmailAddress": "jane@example.org"}})


@pytest.mark.parametrize(
    ("output", "found"),
    [
        (b"", []),
        (b"\n", []),
        (b"There are no configuration profiles installed for user 'jane'\n", []),
        (shown(jane=[ONE]), [READ]),
        (shown(Jane=[ONE]), [READ]),
        (b"2026-11-25 profiles[1:1] a line of the log\n" + shown(jane=[ONE]), [READ]),
        # Only a person's own profiles bring mail accounts.
        (shown(_computerlevel=[ONE], zoe=[ONE]), []),
        (shown(jane=[{"ProfileIdentifier": "com.example"}]), [answer.Profile("com.example", {})]),
    ],
)
def test_what_profiles_show_prints_is_read(output: bytes, found: list[answer.Profile]) -> None:
    assert answer.shown(output, "jane") == found


@pytest.mark.parametrize("output", [b"usage: profiles", b"<?xml", plistlib.dumps(["jane"]), shown(jane="none"), shown(jane=["none"])])
def test_what_is_printed_otherwise_is_not_understood(output: bytes) -> None:
    with pytest.raises(answer.NotUnderstood):
        answer.shown(output, "jane")


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("<dictionary> {\n  GID : 20\n  Name : jane\n  UID : 501\n}\n", ("jane", 501)),
        ("<dictionary> {\n  Name : loginwindow\n  UID : 0\n}\n", None),
        ("<dictionary> {\n  Name : _mbsetupuser\n  UID : 248\n}\n", None),
        ("  No such key\n", None),
    ],
)
def test_who_is_at_the_screen(text: str, who: Any) -> None:
    assert answer.console(text) == who


def test_a_mac_is_asked_and_nothing_claimed_that_it_does_not_say(mac: Mac) -> None:
    assert mac.work(JANE) == [(PENDING, "")]
    mac.approve(JANE)
    assert mac.work(JANE) == [(INSTALLED, "")]
    (mac.state / "broken").touch()
    assert mac.work(JANE) == [(UNKNOWN, "profiles ended with code 1 and says: profiles: the daemon does not answer")]
    assert mac.work() == [(UNKNOWN, "profiles ended with code 1 and says: profiles: the daemon does not answer")]
    (mac.root / "usr/bin/profiles").unlink()
    assert mac.work(JANE) == [(UNKNOWN, "there is no /usr/bin/profiles; is this a Mac?")]
    assert not mac.changed


def test_a_waiting_profile_is_opened_once_for_who_sits_there(mac: Mac) -> None:
    nothing = [(PENDING, "")]
    assert mac.work(JANE, open=True) == nothing
    mac.sit("zoe", "502")
    assert mac.work(JANE, open=True) == nothing
    mac.sit("jane", "501")
    assert mac.work(JANE) == nothing == mac.work(JANE, open=True, file="") and not mac.changed
    assert mac.work(JANE, open=True, check=True) == [(PENDING, "it would be opened on the person's screen")]
    assert mac.opened == []
    assert mac.work(JANE, open=True) == [(PENDING, "it was opened on the person's screen")] and mac.changed
    assert mac.opened == ["/Users/jane/p.mobileconfig", profiles.PANE]
    assert mac.work(JANE, open=True) == nothing and not mac.changed
    # Other settings are worth another window, and so is a profile that was there and is gone.
    assert mac.work(PORT_465, open=True) == [(PENDING, "it was opened on the person's screen")]
    mac.approve(PORT_465)
    assert mac.work(PORT_465, open=True) == [(INSTALLED, "")]
    mac.work(PORT_465, open=True, absent=True)
    assert mac.work(PORT_465, open=True) == [(PENDING, "it was opened on the person's screen")]
    (mac.root / "bin/launchctl").write_text("#!/bin/sh\necho no session >&2\nexit 3\n")
    said = "it could not be shown to the person: launchctl ended with code 3 and says: no session"
    assert mac.work(JANE, open=True) == [(PENDING, said)]
    mac.approve(PORT_465)
    assert mac.work(JANE, open=True) == [(OUTDATED, f"jane@example.org: outgoing port is 465 and should be 587; {said}")]


def test_only_our_profiles_are_removed(mac: Mac) -> None:
    mac.approve(JANE)
    wifi = {"ProfileIdentifier": "com.example.wifi"}
    everybody = json.loads((mac.state / "profiles.json").read_text())
    (mac.state / "profiles.json").write_text(json.dumps({"jane": [*everybody["jane"], wifi]}))
    # Who left, after a run that knew her.
    assert mac.work(JANE) == [(INSTALLED, "")]
    assert mac.work(check=True) == [("removed", "")] and len(mac.installed) == 2
    assert mac.work() == [("removed", "")] and mac.changed
    assert mac.installed == ["com.example.wifi"]
    assert mac.work() == [] and not mac.changed
    assert mac.work(JANE, absent=True) == [("absent", "")] and not mac.changed


def test_a_profile_that_holds_pop_mail_stays(mac: Mac) -> None:
    mac.approve(POP)
    ((state, message),) = mac.work(POP, absent=True)
    assert state == "kept" and "POP" in message and "apple_mail_remove_pop" in message and not mac.changed
    assert mac.work() == [(state, message)] == mac.work()
    assert mac.work(remove_pop=True) == [("removed", "")] and mac.installed == []


def test_the_profile_of_the_address_before_goes_when_the_new_one_is_there(mac: Mac) -> None:
    mac.approve(INFO)
    said = "a profile from before the person's first address changed is installed"
    assert mac.work(JANE) == [(OUTDATED, said)] and not mac.changed
    mac.approve(JANE)
    assert mac.work(JANE) == [(INSTALLED, "")] and mac.changed
    assert mac.installed == [wanted(JANE).identifier]


def test_a_profile_that_macos_keeps_is_said_to_be_there(mac: Mac) -> None:
    mac.approve(JANE)
    mac.work(JANE)
    double = mac.root / "usr/bin/profiles"
    double.write_text(double.read_text().replace('if verb == "remove":', 'if verb == "remove":\n        return 0\n    if verb == "gone":'))
    assert mac.work() == [("kept", "a profile could not be removed: macOS still has it")]


def test_people_without_a_profile_are_named() -> None:
    people: Any = [
        {"login": "jane", "full_name": "Jane  Doe", "accounts": [JANE]},
        {"login": "zoe", "full_name": "Zoë", "accounts": [INFO]},
    ]
    made: Any = {
        "dest": "/b",
        "signed": True,
        "people": [{"full_name": "jane doe", "login": "Jane", "folder": "jane@example.org", "devices": ["macos"]}],
    }
    (entry,) = macs.mac_people(people[:1], made)
    assert entry["signed"] == "/b/jane@example.org/jane-mac.mobileconfig"
    assert entry["profile"] == "/b/mdm/jane@example.org-mac.unsigned.mobileconfig"
    (entry,) = macs.mac_people(people[:1], {**made, "signed": False})
    assert entry["signed"] == entry["profile"] == "/b/jane@example.org/jane-mac.mobileconfig"
    with pytest.raises(ValueError, match=r"no profile was made for zoe \(Zoë\)"):
        macs.mac_people(people, made)
