"""Which files are looked at, below a prefix, and what is said of those that cannot be read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils.files import contents
from ansible_collections.msp.charter_mail.plugins.module_utils.stored import find

DATA = Path(__file__).parent / "data"
SECRET = "open-sesame"
MSMTPRC = f"account a\nhost %s\nfrom jane@example.org\nauth on\nuser jane@example.org\npassword {SECRET}\npasswordeval {SECRET}\n"
MBSYNCRC = f'IMAPAccount {SECRET}\nHost %s\nTLSType IMAPS\nUser jane@example.org\nPass "{SECRET}"\n'
EVERY = list(find.PROGRAMS)
NOTHING: find.Found = {"accounts": [], "problems": [], "sandboxed": []}


def prefs(host: str) -> str:
    return f"""user_pref("mail.accountmanager.accounts", "account1");
user_pref("mail.account.account1.server", "server1");
user_pref("mail.account.account1.identities", "id1");
user_pref("mail.identity.id1.useremail", "jane@example.org");
user_pref("mail.server.server1.type", "imap");
user_pref("mail.server.server1.hostname", "{host}");
user_pref("mail.server.server1.userName", "jane@example.org");
user_pref("mail.password", "{SECRET}");
"""


class Machine:
    """A machine below a directory, with the home of jane."""

    def __init__(self, root: Path, platform: str = "linux") -> None:
        self.root, self.platform = root, platform
        self.home = root / {"linux": "home/jane", "macos": "Users/jane", "windows": "C/Users/jane"}[platform]
        self.home.mkdir(parents=True)

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def look(self, *programs: str) -> find.Found:
        found = find.look(["jane"], list(programs) or EVERY, str(self.root), self.platform)
        text = json.dumps(found)
        assert SECRET not in text
        assert str(self.home) not in text or "leads out" in text
        assert all(entry["login"] == "jane" for entries in found.values() for entry in entries)
        return found

    def hosts(self, *programs: str) -> list[str]:
        found = self.look(*programs)
        assert found["problems"] == []
        return [(account["incoming"] or account["outgoing"])["host"] for account in found["accounts"]]

    def problems(self, *programs: str) -> list[tuple[str, str]]:
        return [(problem["file"], problem["message"]) for problem in self.look(*programs)["problems"]]


@pytest.fixture
def desk(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine")


def test_one_account_of_each_program(desk: Machine) -> None:
    desk.write(".thunderbird/p.default/prefs.js", prefs("imap.example.net"))
    desk.write(".msmtprc", MSMTPRC % "smtp.example.net")
    desk.write(".mbsyncrc", MBSYNCRC % "imap.example.net")
    user = {"username": "jane@example.org"}
    incoming = {"protocol": "imap", "host": "imap.example.net", "port": 143, "security": "none", **user}
    outgoing = {"protocol": "smtp", "host": "smtp.example.net", "port": 25, "security": "none", **user}
    known = {"login": "jane", "used": True, "managed": False}
    assert desk.look() == {
        "accounts": [
            {
                **{**known, "program": "thunderbird", "file": "/home/jane/.thunderbird/p.default/prefs.js"},
                **{"email": "jane@example.org", "incoming": incoming, "outgoing": None},
            },
            {
                **{**known, "program": "msmtp", "file": "/home/jane/.msmtprc"},
                **{"email": "jane@example.org", "incoming": None, "outgoing": outgoing},
            },
            {
                **{**known, "program": "mbsync", "file": "/home/jane/.mbsyncrc", "email": ""},
                **{"incoming": {**incoming, "port": 993, "security": "tls"}, "outgoing": None},
            },
        ],
        "sandboxed": [],
        "problems": [],
    }
    assert desk.hosts("msmtp") == ["smtp.example.net"]


def test_a_home_with_nothing_and_no_home_are_no_problem(desk: Machine) -> None:
    assert desk.look() == NOTHING
    assert find.look(["nobody-here", "jane", "jane"], EVERY, str(desk.root), "linux") == NOTHING


def test_every_profile_of_every_kind_of_install(desk: Machine) -> None:
    flatpak = ".var/app/org.mozilla.{}/.thunderbird/p/prefs.js"
    places = [".thunderbird/a/prefs.js", ".thunderbird/b c/prefs.js", "snap/thunderbird/common/.thunderbird/p/prefs.js"]
    places += [flatpak.format(name) for name in ("thunderbird", "thunderbird_esr", "Thunderbird")]
    for number, place in enumerate(places):
        desk.write(place, prefs(f"{number}.test"))
    desk.write(".thunderbird/profiles.ini", "[General]\n")
    desk.write(".thunderbird/Crash Reports/events/x", "")
    assert desk.hosts() == [f"{number}.test" for number in range(6)]


PROFILES = """[Install4F96D1932A9F858E]
Default=%s
Locked=1

[Profile1]
Name=default
IsRelative=1
Path=old.default
Default=1

[Profile0]
Name=default-release
IsRelative=0
Path=%s
"""


@pytest.mark.parametrize("kept", ["/srv/mail/jane", "/home/jane/mail/thunderbird"])
def test_a_profile_is_where_profiles_ini_says(desk: Machine, kept: str) -> None:
    """Outside the person's directory of profiles, and outside the home; only the program's own default is the one that counts."""
    desk.write(".thunderbird/profiles.ini", PROFILES % (kept, kept))
    desk.write(".thunderbird/old.default/prefs.js", prefs("old.test"))
    desk.write(".thunderbird/forgotten/prefs.js", prefs("forgotten.test"))
    place = desk.root / kept[1:] / "prefs.js"
    place.parent.mkdir(parents=True)
    place.write_text(prefs("kept.test"))
    found = [(entry["file"], entry["incoming"]["host"], entry["used"]) for entry in desk.look("thunderbird")["accounts"]]
    assert found == [
        (f"{kept}/prefs.js", "kept.test", True),
        ("/home/jane/.thunderbird/old.default/prefs.js", "old.test", False),
    ]


def test_which_profile_is_used_is_what_the_newest_of_the_files_says(desk: Machine) -> None:
    for name in ("a", "b", "c"):
        desk.write(f".thunderbird/{name}/prefs.js", prefs(f"{name}.test"))

    def used() -> list[str]:
        accounts = desk.look("thunderbird")["accounts"]
        return [entry["incoming"]["host"] for entry in accounts if entry["used"]]

    listed = "".join(f"[Profile{number}]\nIsRelative=1\nPath={name}\n" for number, name in enumerate("abc"))
    desk.write(".thunderbird/profiles.ini", listed)
    assert used() == ["a.test", "b.test", "c.test"], "nothing says which"
    desk.write(".thunderbird/profiles.ini", listed + "Default=1\n")
    assert used() == ["c.test"]
    desk.write(".thunderbird/installs.ini", "[4F96D1932A9F858E]\nDefault=b\nLocked=1\n")
    assert used() == ["b.test"]
    desk.write(".thunderbird/profiles.ini", listed + "Default=1\n[General]\nVersion=2\n[Install4F96D1932A9F858E]\nDefault=a\n")
    assert used() == ["a.test"], "installs.ini is only the copy of it"


def test_the_profile_of_an_install_that_is_gone_is_opened_by_nobody(desk: Machine) -> None:
    """Each install has a profile of its own: after Mozilla's archive came the distribution's package."""
    installs = {"a": "/opt/thunderbird", "b": "/usr/lib/thunderbird", "c": ""}
    lines = [f"[Install{name * 16}]\nDefault={name}\n[Profile{number}]\nPath={name}\n" for number, name in enumerate(installs)]
    desk.write(".thunderbird/profiles.ini", "".join(lines) + "[General]\nVersion=2\n")
    for name, place in installs.items():
        desk.write(f".thunderbird/{name}/prefs.js", prefs(f"{name}.test"))
        desk.write(f".thunderbird/{name}/compatibility.ini", f"[Compatibility]\nLastVersion=1\nLastPlatformDir={place}\n")
    for place in ("opt", "usr/lib"):
        (desk.root / place / "thunderbird").mkdir(parents=True)
    (desk.root / "usr/lib/thunderbird/application.ini").touch()
    (desk.root / "opt/thunderbird/charter-mail.cfg").touch()

    def used() -> dict[str, bool]:
        return {entry["incoming"]["host"]: entry["used"] for entry in desk.look("thunderbird")["accounts"]}

    assert used() == {"a.test": False, "b.test": True, "c.test": True}
    (desk.root / "opt/thunderbird/application.ini").touch()
    assert used()["a.test"]
    (desk.home / ".thunderbird/a/compatibility.ini").unlink()
    os.mkfifo(desk.home / ".thunderbird/a/compatibility.ini")
    desk.write(".thunderbird/b/compatibility.ini", b"[Compatibility]\nLastPlatformDir=/\0/\xff\n")
    assert used() == {"a.test": True, "b.test": False, "c.test": True}


@pytest.mark.parametrize(
    ("folder", "install"),
    [
        ("snap/thunderbird/common", "/snap/thunderbird/current"),
        ("snap/thunderbird/common", "/var/lib/snapd/snap/thunderbird/current"),
        (".var/app/org.mozilla.Thunderbird", "/var/lib/flatpak/app/org.mozilla.Thunderbird/current"),
        (".var/app/org.mozilla.thunderbird", "/home/jane/.local/share/flatpak/app/org.mozilla.thunderbird/current"),
    ],
)
def test_what_a_sandbox_has_left_counts_only_while_it_is_installed(desk: Machine, folder: str, install: str) -> None:
    desk.write(f"{folder}/.thunderbird/p/prefs.js", prefs("left.test"))

    def look() -> tuple[list[bool], list[dict[str, Any]]]:
        found = desk.look("thunderbird")
        return [entry["used"] for entry in found["accounts"]], found["sandboxed"]

    assert look() == ([False], [])
    link = desk.root / install[1:]
    link.parent.mkdir(parents=True)
    link.symlink_to("x86_64/stable")
    own = [{"login": "jane", "program": "thunderbird", "kind": "flatpak"}] if install.startswith("/home") else []
    assert look() == ([True], own)


def test_a_list_of_profiles_that_leads_astray(desk: Machine) -> None:
    (desk.root / "dev").mkdir()
    os.mkfifo(desk.root / "dev/prefs.js")
    lines = ["[Profile0]\nIsRelative=0\nPath=/dev", "[Profile1]\nPath=../../../../dev", "[Profile2]\nPath=nowhere", "[Profile3\nPath"]
    desk.write(".thunderbird/profiles.ini", "\n".join([*lines, "=" * 100_000, "[" * 100_000, *("[P]" for _ in range(10_000))]))
    assert desk.problems("thunderbird") == [("/dev/prefs.js", "it is not a regular file")]
    desk.write(".thunderbird/profiles.ini", b"\xff\0[Profile0]\nIsRelative=1\nPath=\xff\x1b[2J\n[Profile1]\nPath=p\n")
    desk.write(".thunderbird/p/prefs.js", prefs("p.test"))
    assert desk.hosts("thunderbird") == ["p.test"]


@pytest.mark.parametrize(
    ("platform", "place", "shown"),
    [
        ("macos", "Library/Thunderbird/Profiles/p/prefs.js", "/Users/jane/Library/Thunderbird/Profiles/p/prefs.js"),
        ("windows", "AppData/Roaming/Thunderbird/Profiles/p/prefs.js", "C:/Users/jane/AppData/Roaming/Thunderbird/Profiles/p/prefs.js"),
    ],
)
def test_other_platforms(tmp_path: Path, platform: str, place: str, shown: str) -> None:
    machine = Machine(tmp_path, platform)
    machine.write(place, prefs("imap.example.net"))
    machine.write(".msmtprc", MSMTPRC % "smtp.example.net")
    machine.write(".mbsyncrc", MBSYNCRC % "imap.example.net")
    found = machine.look()
    assert found["problems"] == []
    assert [account["program"] for account in found["accounts"]] == EVERY[: 1 if platform == "windows" else 3]
    assert found["accounts"][0]["file"] == shown


def test_msmtp_reads_one_file_and_mbsync_one_of_two(desk: Machine) -> None:
    desk.write(".config/msmtp/config", MSMTPRC % "second.test")
    assert desk.hosts("msmtp") == ["second.test"]
    desk.write(".msmtprc", MSMTPRC % "first.test")
    assert desk.hosts("msmtp") == ["first.test"]
    desk.write(".mbsyncrc", MBSYNCRC % "old.test")
    desk.write(".config/isyncrc", MBSYNCRC % "new.test")
    assert desk.hosts("mbsync") == ["new.test", "old.test"]


def test_links_within_the_home_are_followed(desk: Machine) -> None:
    desk.write("dotfiles/msmtprc", MSMTPRC % "smtp.example.net")
    desk.write("mail/thunderbird/p/prefs.js", prefs("imap.example.net"))
    (desk.home / ".msmtprc").symlink_to("dotfiles/msmtprc")
    (desk.home / ".thunderbird").symlink_to(desk.home / "mail/thunderbird")
    assert desk.hosts() == ["imap.example.net", "smtp.example.net"]


def test_links_out_of_the_home_are_refused_and_told(desk: Machine) -> None:
    other = desk.root / "home/john"
    for name, content in ((".msmtprc", MSMTPRC), (".mbsyncrc", MBSYNCRC), ("tb/p/prefs.js", prefs("%s"))):
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_text(content % "john.test")
    (desk.home / ".msmtprc").symlink_to(other / ".msmtprc")
    (desk.home / ".mbsyncrc").symlink_to("../john/.mbsyncrc")
    (desk.home / ".thunderbird").symlink_to(other / "tb")
    profile = desk.home / "snap/thunderbird/common/.thunderbird/p"
    profile.mkdir(parents=True)
    (profile / "prefs.js").symlink_to(other / "tb/p/prefs.js")
    (profile.parent / "q").symlink_to(other / "tb/p")
    found = desk.look()
    assert found["accounts"] == []
    assert [problem["file"].removeprefix("/home/jane/") for problem in found["problems"]] == [
        ".thunderbird",
        *(f"snap/thunderbird/common/.thunderbird/{name}/prefs.js" for name in "pq"),
        *(".msmtprc", ".mbsyncrc"),
    ]
    assert all("leads out of" in problem["message"] for problem in found["problems"])


def test_what_is_no_settings_file_is_told_and_holds_nothing_up(desk: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "MAX_BYTES", 1024 * 1024)
    os.mkfifo(desk.home / ".msmtprc")
    (desk.home / ".mbsyncrc").mkdir()
    desk.write(".config/isyncrc", "x" * (1024 * 1024 + 1))
    desk.write(".thunderbird/a/prefs.js", b'user_pref("mail.x", "' + b"x" * contents.MAX_FILE + b'");')
    desk.write(".thunderbird/b/prefs.js", "<html>")
    desk.write("snap/thunderbird/common/.thunderbird", "a file")
    assert [(file.removeprefix("/home/jane/"), message) for file, message in desk.problems()] == [
        (".thunderbird/a/prefs.js", "it is larger than 16 MiB, which no settings file is"),
        (".thunderbird/b/prefs.js", "1 statement in it cannot be understood; Thunderbird skips what it cannot understand as well"),
        ("snap/thunderbird/common/.thunderbird", "it is not a directory"),
        (".msmtprc", "it is not a regular file"),
        (".config/isyncrc", "it is larger than 1 MiB, which no settings file is"),
        (".mbsyncrc", "it is not a regular file"),
    ]


def test_the_answer_is_bounded(desk: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "MAX_ACCOUNTS", 3)
    monkeypatch.setattr(find, "MAX_PROFILES", 2)
    desk.write(".msmtprc", "".join(f"account {number}\nhost {number}.test\n" for number in range(5)))
    for name in "abc":
        desk.write(f".thunderbird/{name}/prefs.js", prefs(f"{name}.test"))
    found = desk.look()
    hosts = [(account["incoming"] or account["outgoing"])["host"] for account in found["accounts"]]
    assert hosts == ["a.test", "b.test", "0.test", "1.test", "2.test"]
    assert [problem["message"] for problem in found["problems"]] == [
        "it has 3 directories; only 2 were looked at",
        "it has 5 accounts; only 3 were looked at",
    ]


def test_names_that_are_no_text_are_shown(desk: Machine) -> None:
    desk.write(".thunderbird/" + os.fsdecode(b"\xff\n") + "/prefs.js", prefs("imap.example.net"))
    (account,) = desk.look()["accounts"]
    assert account["file"] == "/home/jane/.thunderbird/\ufffd\n/prefs.js"


def test_real_files_of_thunderbird(desk: Machine) -> None:
    for number in ("140", "153"):
        desk.write(f".thunderbird/{number}/prefs.js", (DATA / f"prefs-{number}.js").read_bytes())
    found: dict[str, Any] = desk.look("thunderbird")
    assert [account["email"] for account in found["accounts"]].count("jane.doe@example.org") == 4
    assert found["problems"] == []
