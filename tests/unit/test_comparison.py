"""What programs have stored against the model, in the words a technician reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils.stored import prefs_js
from ansible_collections.msp.charter_mail.plugins.plugin_utils.files.comparison import Finding, compare
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.account import Person
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.model import resolve_people
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.policy import Policy
from hypothesis import given
from hypothesis import strategies as st

DATA = Path(__file__).parent / "data"
HOST = {"host": "smtp.charter.net"}
PROVIDER = {
    "name": "charter",
    "imap": {"host": "imap.charter.net", "port": 993, "security": "tls"},
    "pop": {"host": "pop.charter.net", "port": 995, "security": "tls"},
    "smtp": [{**HOST, "port": 587, "security": "starttls"}, {**HOST, "port": 465, "security": "tls"}],
}
FILE = "/home/jane/file"


def people(*addresses: str, programs: str = "thunderbird msmtp mbsync", **more: str) -> list[Person]:
    rows = [{"address": address, "full_name": "Jane", "login": "jane", "programs": programs, **more} for address in addresses]
    return resolve_people(rows, Policy(providers=[PROVIDER], platform="linux"))


JANE = people("jane@example.org")


def side(text: str) -> dict[str, Any] | None:
    """ "imap imap.charter.net 993 tls jane"; "" for none, the user name may be missing."""
    if not text:
        return None
    protocol, host, port, security, username = (text.split(" ", 4) + [""])[:5]
    return {"protocol": protocol, "host": host, "port": int(port), "security": security, "username": username}


def entry(incoming: str = "", outgoing: str = "", email: str = "jane@example.org", program: str = "thunderbird") -> dict[str, Any]:
    return {"login": "jane", "program": program, "file": FILE, "email": email, "incoming": side(incoming), "outgoing": side(outgoing)}


IN, OUT = "imap imap.charter.net 993 tls jane@example.org", "smtp smtp.charter.net 587 starttls jane@example.org"


def found(*entries: dict[str, Any], who: list[Person] = JANE, program: str = "thunderbird", direction: str = "") -> list[str]:
    """State and sentence of the findings of one program."""
    return [
        f"{finding.state}: {finding.what}"
        for finding in compare(who, entries)
        if finding.program == program and direction in ("", finding.direction)
    ]


def receive(incoming: str, **more: Any) -> str:
    (text,) = found(entry(incoming, **more), direction="receive")
    return text


def send(outgoing: str, **more: Any) -> str:
    (text,) = found(entry(IN, outgoing, **more), direction="send")
    return text


def test_nothing_stored_yet() -> None:
    assert compare(JANE, []) == [
        Finding("jane@example.org", "jane", program, direction, False, "missing", f"{name} has no account for jane@example.org yet", "")
        for program, direction, name in (
            *((("thunderbird", direction, "Thunderbird")) for direction in ("receive", "send")),
            *(("msmtp", "send", "msmtp"), ("mbsync", "receive", "mbsync")),
        )
    ]


def test_all_is_right() -> None:
    stored = [entry(IN, OUT), entry("", OUT, program="msmtp"), entry(IN, email="", program="mbsync")]
    findings = compare(JANE, stored)
    assert [(finding.ok, finding.state, finding.file, finding.what) for finding in findings] == [
        (True, "ok", FILE, "Thunderbird receives from imap.charter.net port 993 with TLS"),
        (True, "ok", FILE, "Thunderbird sends through smtp.charter.net port 587 with STARTTLS"),
        (True, "ok", FILE, "msmtp sends through smtp.charter.net port 587 with STARTTLS"),
        (True, "ok", FILE, "mbsync receives from imap.charter.net port 993 with TLS"),
    ]
    assert receive("imap IMAP.Charter.net. 993 tls Jane@Example.ORG", email="JANE@example.org").startswith("ok: ")


def test_what_can_be_wrong_with_receiving() -> None:
    assert receive("imap imap.charter.net 143 none jane@example.org") == (
        "differs: Thunderbird receives from imap.charter.net port 143 without TLS; it should be port 993 with TLS"
    )
    assert receive("imap imap.charter.net 993 starttls jane@example.org") == (
        "differs: Thunderbird receives from imap.charter.net port 993 with STARTTLS; it should be port 993 with TLS"
    )
    assert receive("imap mobile.charter.net 993 tls jane@example.org") == (
        "differs: Thunderbird receives from mobile.charter.net port 993 with TLS; it should be imap.charter.net port 993 with TLS"
    )
    assert receive("imap imap.charter.net 993 tls jane") == (
        "differs: Thunderbird uses the user name jane to receive; it should be jane@example.org"
    )
    assert receive("imap imap.charter.net 143 none jane") == (
        "differs: Thunderbird receives from imap.charter.net port 143 without TLS and uses the user name jane; "
        "it should be port 993 with TLS and the user name jane@example.org"
    )
    assert receive("pop pop.charter.net 995 tls jane@example.org") == (
        "differs: Thunderbird receives by POP from pop.charter.net port 995 with TLS; "
        "it should be IMAP from imap.charter.net port 993 with TLS"
    )


def test_what_can_be_wrong_with_sending() -> None:
    assert send("smtp smtp.charter.net 25 none jane@example.org") == (
        "differs: Thunderbird sends through smtp.charter.net port 25 without TLS; it should be port 587 with STARTTLS"
    )
    assert send("smtp smtp.charter.net 587 starttls") == ("differs: Thunderbird uses no user name to send; it should be jane@example.org")
    assert send("") == "missing: Thunderbird has no server to send from jane@example.org"


def test_a_server_name_cannot_move_the_cursor() -> None:
    assert "\x1b" not in receive("imap a\x1b[2J 993 tls jane@example.org")


def test_a_wrong_duplicate_beside_the_right_account_is_told() -> None:
    wrong = entry("imap imap.charter.net 143 none jane", "smtp smtp.charter.net 25 none")
    states = [text.partition(":")[0] for text in found(entry(IN, OUT), wrong)]
    assert states == ["ok", "differs", "ok", "differs"]
    assert len(found(wrong, wrong)) == 2, "the same said twice is said once"


@pytest.mark.parametrize(
    "own",
    [
        entry("imap imap.gmail.test 993 tls me@gmail.test", "smtp smtp.gmail.test 465 tls me@gmail.test", "me@gmail.test"),
        # Their own mailbox elsewhere, written from with the office's address; and one with the same name before the @.
        entry("imap imap.gmail.test 143 none me@gmail.test", "", "jane@example.org"),
        entry("imap imap.gmail.test 143 none jane", "", "jane@gmail.test"),
        entry("imap imap.charter.net 143 none jane", "", "jane@charter.net"),
        # A private account, or a further identity, that sends through the office's server.
        entry("imap imap.gmail.test 993 tls me@gmail.test", "smtp smtp.charter.net 25 none jane@example.org", "me@gmail.test"),
        entry("", "smtp smtp.charter.net 25 none jane@example.org", "me@gmail.test"),
        entry("", "smtp smtp.own.test 25 none me", "me@own.test", "msmtp"),
        entry("", "smtp smtp.own.test 25 none jane", "", "msmtp"),
        entry("imap imap.own.test 143 none jane", "", "", "mbsync"),
        {**entry("imap imap.charter.net 143 none jane@example.org"), "login": "john"},
        {**entry("imap imap.charter.net 143 none jane@example.org"), "program": "mutt"},
    ],
)
def test_other_accounts_are_nobody_s_business(own: dict[str, Any]) -> None:
    assert compare(JANE, [own]) == compare(JANE, [])
    good = [entry(IN, OUT), entry("", OUT, program="msmtp"), entry(IN, email="", program="mbsync")]
    assert compare(JANE, [own, *good]) == compare(JANE, good)


def test_an_account_is_known_by_its_user_name_or_its_address() -> None:
    old = "imap mail.old.test 143 none"
    assert receive(f"{old} jane@example.org", email="").startswith("differs")
    assert receive(f"{old} jane@example.org", email="jane@exmaple.org").startswith("differs")
    assert receive(f"{old} jdoe", email="jane@example.org").startswith("differs")
    assert receive(f"{old} jane.old@example.org", email="jane@example.org").startswith("differs")
    assert receive("imap smtp.charter.net 993 tls jane", email="").startswith("differs"), "any host of the provider"
    assert receive("imap imap.charter.net 993 tls jane@exmaple.org", email="jane@example.org").startswith("differs")
    msmtp = {"email": "", "program": "msmtp"}
    wrong = entry("", "smtp smtp.charter.net 587 starttls jane", **msmtp), entry("", "smtp h.test 25 none jane@example.org", **msmtp)
    assert [text.partition(":")[0] for text in found(*wrong, program="msmtp")] == ["differs", "differs"]
    # An address that was mistyped: the account is theirs by its user name, and so is its server for sending.
    assert send("smtp smtp.charter.net 25 none", email="jane@exmaple.org").startswith("differs")


def test_two_mailboxes_of_a_person_are_kept_apart() -> None:
    who = people("jane@example.org", "info@example.org", programs="thunderbird")
    info = entry(IN.replace("jane", "info"), OUT.replace("jane", "info"), "info@example.org")
    assert [finding.ok for finding in compare(who, [entry(IN, OUT), info])] == [True] * 4
    # Somebody turned the second account's log-in into the first's: the second is missing, the first is fine.
    turned = entry(IN, "", "info@example.org")
    assert [text.partition(":")[0] for text in found(entry(IN, OUT), turned, who=who, direction="receive")] == ["ok", "missing"]
    turned["outgoing"] = info["outgoing"]
    assert [text.partition(":")[0] for text in found(entry(IN, OUT), turned, who=who, direction="send")] == ["ok", "ok"]
    # They share one server for sending: wrong for the second alone.
    shared = entry(IN.replace("jane", "info"), OUT, "info@example.org")
    assert found(entry(IN, OUT), shared, who=who, direction="send") == [
        "ok: Thunderbird sends through smtp.charter.net port 587 with STARTTLS",
        "differs: Thunderbird uses the user name jane@example.org to send; it should be info@example.org",
    ]


def test_only_the_programs_of_a_mailbox_count() -> None:
    assert {finding.program for finding in compare(people("jane@example.org", programs="neomutt"), [])} == set()
    assert [finding.program for finding in compare(people("jane@example.org", programs="mbsync"), [])] == ["mbsync"]
    pop = people("jane@example.org", protocol="pop", programs="thunderbird")
    assert found(entry("pop pop.charter.net 995 tls jane@example.org"), who=pop, direction="receive")[0].startswith("ok")


def test_what_could_not_be_read_is_not_said_to_be_missing() -> None:
    problem = {"login": "jane", "program": "msmtp", "file": "/home/jane/.msmtprc", "message": "no right to it: Permission denied"}
    no_home = {"login": "jane", "program": "mbsync", "file": "", "message": "this machine has no login jane"}
    findings = compare(JANE, [entry(IN, OUT)], [problem, problem, no_home, {**problem, "login": "john"}])
    assert [(finding.state, finding.what) for finding in findings[2:]] == [
        ("unreadable", "msmtp's settings for jane@example.org are not known: /home/jane/.msmtprc: no right to it: Permission denied"),
        ("unreadable", "mbsync's settings for jane@example.org are not known: this machine has no login jane"),
    ]
    assert compare(JANE, [entry("", OUT, program="msmtp")], [problem])[2].ok, "what was found counts"


@pytest.mark.parametrize("number", ["140", "153"])
def test_a_profile_of_the_real_thunderbird(number: str) -> None:
    """The script's two accounts are right; an old one made by hand for the first mailbox is not. The private one is private."""
    who = people("jane.doe@example.org", programs="thunderbird") + people("info@example.com", programs="thunderbird", smtp_port="465")
    accounts = prefs_js.accounts((DATA / f"prefs-{number}.js").read_bytes()).accounts
    stored = [{"login": "jane", "program": "thunderbird", "file": FILE, **account._asdict()} for account in accounts]
    assert [finding.what for finding in compare(who, stored) if not finding.ok] == [
        "Thunderbird receives from imap.charter.net port 143 without TLS and uses the user name jane.doe; "
        "it should be port 993 with TLS and the user name jane.doe@example.org",
        "Thunderbird sends through smtp.charter.net port 25 without TLS and uses no user name; "
        "it should be port 587 with STARTTLS and the user name jane.doe@example.org",
    ]
    assert sum(finding.ok for finding in compare(who, stored)) == 4
    assert "own.test" not in str(compare(who, stored))


USERS = st.sampled_from(["", "jane", "jane@example.org", "JANE@example.org", "me@own.test", "info@example.org"])
SERVERS = st.fixed_dictionaries(
    {
        "protocol": st.sampled_from(["imap", "pop", "smtp"]),
        "host": st.sampled_from(["imap.charter.net", "smtp.charter.net", "x.test", ""]),
        "port": st.integers(0, 70000),
        "security": st.sampled_from(["tls", "starttls", "none"]),
        "username": USERS,
    }
)
ENTRIES = st.fixed_dictionaries(
    {
        "login": st.just("jane"),
        "program": st.sampled_from(["thunderbird", "msmtp", "mbsync"]),
        "file": st.just(FILE),
        "email": USERS,
        "incoming": st.none() | SERVERS.filter(lambda server: server["protocol"] != "smtp"),
        "outgoing": st.none() | SERVERS.filter(lambda server: server["protocol"] == "smtp"),
    }
)


@given(st.lists(ENTRIES, max_size=6))
def test_every_mailbox_and_direction_has_an_answer(entries: list[dict[str, Any]]) -> None:
    who = people("jane@example.org", "info@example.org")
    findings = compare(who, entries)
    answered = {(finding.address, finding.program, finding.direction) for finding in findings}
    assert len(answered) == 8
    for finding in findings:
        assert finding.ok == (finding.state == "ok")
        assert (finding.file == FILE) == (finding.state in ("ok", "differs"))
        alone = [each for each in findings if each[:4] == cast(tuple[Any, ...], finding)[:4]]
        assert finding.state not in ("missing", "unreadable") or len(alone) == 1
