"""What is true of settings that were written."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils.stored import aerc_accounts
from ansible_collections.msp.charter_mail.plugins.plugin_utils.files import evidence

ADDRESS = "jane@example.org"
IN = {"protocol": "imap", "host": "imap.example.org", "port": 993, "security": "tls", "username": ADDRESS}
OUT = {"protocol": "smtp", "host": "smtp.example.org", "port": 587, "security": "starttls", "username": ADDRESS}
PRESS = {"receive": "Choose {security} and {port} to receive.", "send": "Choose {security} and {port} to send."}
THUNDERBIRD = {"program": "thunderbird", "takes_up": True, "adopts": False, **PRESS}
AERC = {"program": "aerc", "takes_up": False, "adopts": False, **PRESS}
DEST = "/home/jane/.thunderbird/p/prefs.js"


def person(*programs: str) -> dict[str, Any]:
    account = {"address": ADDRESS, "domain": "example.org", "local_part": "jane", "provider": "x", "programs": list(programs)}
    return {"login": "jane", "accounts": [{**account, "incoming": IN, "outgoing": OUT}]}


def entry(program: str = "thunderbird", **more: Any) -> dict[str, Any]:
    known = {"login": "jane", "program": program, "file": DEST, "used": True, "managed": False, "email": ADDRESS}
    return {**known, "incoming": IN, "outgoing": OUT, **more}


def judge(*accounts: dict[str, Any], row: dict[str, Any] = THUNDERBIRD, check: bool = False, **more: Any) -> evidence.Evidence:
    files = more.pop("files", [])
    return evidence.judge([person(row["program"])], [row], {"accounts": list(accounts), "problems": [], **more}, files, check)


def verified(*accounts: dict[str, Any], **more: Any) -> bool:
    (found,) = judge(*accounts, **more).verified
    return bool(found["verified"])


def test_verified_is_what_the_program_itself_has_right_in_the_profile_it_opens() -> None:
    assert verified(entry()) and verified(entry(managed=True))
    assert not verified()
    assert not verified(entry(used=False)), "a profile that lies there unused proves nothing"
    assert not verified(problems=[{"login": "jane", "program": "thunderbird", "file": DEST, "message": "cannot be read"}])
    assert not verified(entry(outgoing=None))
    for side, whole in (("incoming", IN), ("outgoing", OUT)):
        for name, value in (("host", "x.example.org"), ("port", 1), ("security", "none"), ("username", "jane")):
            assert not verified(entry(managed=True, **{side: {**whole, name: value}})), (side, name)


@pytest.mark.parametrize(("port", "security"), [(143, "none"), (143, "starttls"), (993, "starttls")])
def test_an_own_account_with_other_security_is_told_with_what_to_press(port: int, security: str) -> None:
    found = judge(entry(incoming={**IN, "port": port, "security": security}))
    assert [each["verified"] for each in found.verified] == [False]
    (outcome,) = found.outcomes
    assert (outcome["dest"], outcome["people"], outcome["state"], outcome["changed"]) == (DEST, [ADDRESS], "own_account", False)
    words = {"none": "without TLS", "starttls": "with STARTTLS"}[security]
    assert outcome["message"] == (
        f"Thunderbird receives from imap.example.org port {port} {words}; it should be port 993 with TLS. "
        "Choose SSL/TLS and 993 to receive."
    )


def test_no_own_account_is_in_the_way() -> None:
    other = {**IN, "port": 143, "security": "none"}
    assert judge(entry()).outcomes == [], "it is as it should be"
    assert judge(entry(incoming=other, managed=True)).outcomes == [], "ours, which the next start puts right"
    adopts = {**THUNDERBIRD, "adopts": True}
    assert judge(entry(incoming=other), row=adopts).outcomes == [], "it is about to be taken over"
    assert judge(entry(incoming={**other, "username": "jane"}), row=adopts).outcomes == []
    for elsewhere in ({"host": "imap.old.test"}, {"protocol": "pop"}):
        assert judge(entry(incoming={**other, **elsewhere}), row=adopts).outcomes != [], "what is on another server would be lost"
    assert judge(entry(incoming=other, used=False)).outcomes == [], "in a profile nobody opens"
    assert judge(entry(incoming={**other, "username": "me@elsewhere.test"}, email="me@elsewhere.test", outgoing=None)).outcomes == []


def test_a_file_that_is_about_to_be_ours_is_not_the_person_s() -> None:
    wrong = entry("aerc", outgoing={**OUT, "security": "none"})
    files = [{"program": "aerc", "people": [ADDRESS], "state": "drift"}]
    assert judge(wrong, row=AERC, files=files, check=True).outcomes == []
    (told,) = judge(wrong, row=AERC, files=[{**files[0], "state": "foreign"}], check=True).outcomes
    assert told["message"].endswith("it should be port 587 with STARTTLS. Choose STARTTLS and 587 to send.")
    assert judge(wrong, row=AERC).verified == [], "of a program that reads our file nothing more is to be proved"


def test_a_program_that_is_not_there_is_said_once_per_machine() -> None:
    def told(**install: Any) -> list[tuple[str, str]]:
        found = evidence.not_there([person("thunderbird"), person("msmtp")], ["thunderbird"], {"thunderbird": install} if install else {})
        return [(each["state"], each["message"]) for each in found]

    assert told(installed=True) == [] and told(installed=None) == [] and told() == []
    assert told(installed=False) == [("not_installed", "Thunderbird is not installed; install it, then run again")]
    ((state, message),) = told(installed=False, sandboxed=["snap", "flatpak"])
    assert state == "out_of_reach" and message.startswith("Thunderbird is here as a snap and a flatpak only, which this cannot reach into;")
    ((state, message),) = told(installed=True, path="/usr/lib/thunderbird", others=["/opt/thunderbird"])
    assert state == "unchanged" and "another one in /opt/thunderbird, which is left alone" in message
    assert not list(evidence.not_there([person("msmtp")], ["thunderbird"], {"thunderbird": {"installed": False}})), "nobody is to have it"
    ((state, message),) = told(installed=False, named="/opt/tb", sandboxed=["snap"])
    assert state == "not_installed"
    assert message == "Thunderbird is not in /opt/tb, which thunderbird_install_dir names; correct that, or install it there"
    ((state, message),) = told(installed=True, path="/usr/lib/thunderbird", others=[], sandboxed=["snap"])
    assert state == "unchanged" and message.startswith("Thunderbird is here as a snap, too, which this cannot reach into;")
    assert message.endswith("who starts that one (jane@example.org) does not get the accounts")


@pytest.mark.parametrize("installed", [True, False])
def test_a_flatpak_that_one_person_has_is_said_of_that_person(installed: bool) -> None:
    joe = {"login": "joe", "accounts": [{"address": "joe@example.org", "programs": ["thunderbird"]}]}
    own = [{"login": "jane", "program": "thunderbird", "kind": "flatpak"}]
    install = {"thunderbird": {"installed": installed, "path": "/usr/lib/thunderbird", "sandboxed": []}}
    found = list(evidence.not_there([person("thunderbird"), joe], ["thunderbird"], install, own))
    if installed:
        (note,) = found
        assert note["state"] == "unchanged" and "as a flatpak, too" in note["message"] and f"({ADDRESS})" in note["message"]
    else:
        assert [(each["people"], each["state"]) for each in found] == [([ADDRESS], "out_of_reach"), (["joe@example.org"], "not_installed")]
        assert found[1]["message"] == "Thunderbird is not installed; install it, then run again (joe@example.org)"


@pytest.mark.parametrize(
    ("source", "port", "security"),
    [
        ("imaps://jane%40example.org@imap.example.org:993", 993, "tls"),
        ("imaps://jane%40example.org:PASSWORD@imap.example.org", 993, "tls"),
        ("imap://jane%40example.org@imap.example.org", 143, "starttls"),
        ("imap+insecure://jane%40example.org@imap.example.org:1143", 1143, "none"),
        ("imaps+oauthbearer://jane%40example.org@imap.example.org", 993, "tls"),
    ],
)
def test_where_aerc_connects(source: str, port: int, security: str) -> None:
    text = f"# mine\n[work]\nsource = {source}\noutgoing = `smtp+plain://jane%40example.org@smtp.example.org`\nfrom = Jane <{ADDRESS}>\n"
    (found,) = aerc_accounts.accounts(text.encode()).accounts
    assert found.email == ADDRESS
    assert found.incoming == {**IN, "port": port, "security": security}
    assert found.outgoing == OUT
    assert "PASSWORD" not in str(found)


def test_what_in_aerc_s_file_is_no_account() -> None:
    notmuch = "[local]\nsource = notmuch://~/Mail\noutgoing = /usr/sbin/sendmail\nfrom = x\n[odd]\nsource = imap://[x\n"
    assert aerc_accounts.accounts(notmuch.encode()) == ([], [])
    assert aerc_accounts.accounts(b"\xff\0").problems != []
