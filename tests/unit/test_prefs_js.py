"""Thunderbird's prefs.js: the format, and the accounts in files that Thunderbird itself wrote or read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils.stored import prefs_js
from ansible_collections.msp.charter_mail.plugins.module_utils.stored.account import MAX_TEXT, Settings, Stored
from hypothesis import given
from hypothesis import strategies as st

DATA = Path(__file__).parent / "data"


def server(text: str) -> dict[str, Any] | None:
    """ "imap imap.example.net 993 tls jane"; "" for none, the user name may be missing."""
    if not text:
        return None
    protocol, host, port, security, username = (text.split(" ", 4) + [""])[:5]
    return {"protocol": protocol, "host": host, "port": int(port), "security": security, "username": username}


def account(email: str, incoming: str, outgoing: str, managed: bool = False) -> Stored:
    return Stored(email, server(incoming), server(outgoing), managed)


def one(value: str) -> Any:
    """What Thunderbird reads for `value`; None when it skips the statement."""
    prefs, skipped = prefs_js.parse(f'user_pref("x", {value});'.encode())
    assert skipped == (not prefs)
    return prefs.get("x")


@pytest.mark.parametrize("number", ["140", "153"])
def test_a_file_that_thunderbird_wrote(number: str) -> None:
    """The samples were written by ESR 140.12 and 153.7 with this project's script, and accounts made by hand besides; what is
    expected is what Thunderbird said of them at the next start. Its news, feeds and local folders are no mail accounts."""
    found = prefs_js.accounts((DATA / f"prefs-{number}.js").read_bytes())
    ours = "smtp smtp.charter.net 587 starttls jane.doe@example.org"
    by_hand = "smtp smtp.charter.net 25 none"
    assert found.problems == []
    assert found.accounts == [
        account("jane.doe@example.org", "imap imap.charter.net 993 tls jane.doe@example.org", ours, managed=True),
        account(
            "info@example.com",
            "imap imap.charter.net 993 tls info@example.com",
            "smtp smtp.charter.net 465 tls info@example.com",
            managed=True,
        ),
        account("jane.doe@example.org", "imap imap.charter.net 143 none jane.doe", by_hand),
        account("me@own.test", "pop pop.own.test 995 tls me", "smtp smtp.own.test 465 tls me"),
        # Sends through the default server, which the two versions chose differently. The address is Latin-1 in the file.
        account("zo\ufffd@own.test", "", ours if number == "140" else by_hand),
    ]


def test_a_file_with_everything_odd_is_read_as_thunderbird_read_it() -> None:
    """Both versions were started with this file; they agree on every server, port, security and name below."""
    found = prefs_js.accounts((DATA / "prefs-odd.js").read_bytes())
    assert found.accounts == [
        account("zöe@one.test", "imap imap.one.test 555 tls o'ne@one.test", "smtp smtp.two.test 465 tls"),
        account("second@one.test", "", "smtp smtp.one.test 587 starttls one"),
        account("two@two.test", "pop pop.two.test 110 starttls two", ""),
        account("three@three.test", "imap imap.three.test 555 tls three", "smtp smtp.three.test 587 starttls"),
        account("", "imap imap.four.test 1143 none four", ""),
        account("seven@seven.test", "imap imap.seven.test 143 none seven", ""),
        account("eight@eight.test", "imap imap.eight.test 555 starttls eight", "smtp smtp.five.test 25 none"),
        account("ten@ten.test", "pop pop.ten.test 555 none ten", "smtp smtp.one.test 587 starttls one"),
        account("twelve@twelve.test", "imap imap.twelve.test 555 none twelve😀", "smtp smtp.one.test 587 starttls one"),
    ]
    assert found.problems == ["5 statements in it cannot be understood; Thunderbird skips what it cannot understand as well"]


@pytest.mark.parametrize(
    ("kind", "socket", "port"),
    [("imap", 0, 143), ("imap", 2, 143), ("imap", 3, 993), ("pop3", 0, 110), ("pop3", 2, 110), ("pop3", 3, 995)],
)
def test_the_port_that_is_not_stored(kind: str, socket: int, port: int) -> None:
    prefs = {
        "mail.accountmanager.accounts": "a",
        "mail.account.a.server": "s",
        "mail.account.a.identities": "i",
        "mail.server.s.type": kind,
        "mail.server.s.hostname": "mail.example.net",
        "mail.server.s.socketType": socket,
        "mail.server.s.port": True,  # of another type, so not a port
        "mail.smtpservers": "o",
        "mail.smtpserver.o.hostname": "mail.example.net",
        "mail.smtpserver.o.try_ssl": socket,
    }
    ((_, incoming, outgoing, _),) = prefs_js.accounts(write(prefs)).accounts
    assert incoming is not None and outgoing is not None
    assert (incoming["port"], outgoing["port"]) == (port, 465 if socket == 3 else 587)
    assert incoming["security"] == outgoing["security"] == {0: "none", 2: "starttls", 3: "tls"}[socket]


def write(prefs: dict[str, Any]) -> bytes:
    return "".join(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in prefs.items()).encode()


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ('"a"', "a"),
        ("'a\"b'", 'a"b'),
        (r'"\"\'\\\n\r\x41\u00e9\ud83d\ude00"', "\"'\\\n\rAé😀"),
        (r'"\xc3\xa9"', "é"),
        ('"two\nlines; and (more)"', "two\nlines; and (more)"),
        ('"" /* ; */ // ;\n # ;\n', ""),
        ("-2147483648", -(2**31)),
        ("+7", 7),
        ("- /* sign */ 7", -7),
        ("true", True),
        (r'"\t"', None),
        (r'"\q"', None),
        (r'"\x4"', None),
        (r'"\x00"', None),
        (r'"\u0000"', None),
        (r'"\ud83d"', None),
        (r'"\ud83dx"', None),
        (r'"\ude00"', None),
        ("2147483648", None),
        ("9" * 5000, None),
        ("12x", None),
        ("0x10", None),
        ("nothing", None),
        ("1, sticky", None),
        ("", None),
    ],
)
def test_values(value: str, read: Any) -> None:
    assert one(value) == read
    assert type(one(value)) is type(read)


def test_a_bad_statement_costs_itself_alone() -> None:
    text = b"""
    user_pref("a", 1);
    pref("b", 1);
    user_pref("c", "\\q") user_pref("lost", 1);
    user_pref("d" 1); ; user_pref("e", 1)
    ;user_pref("f", "no end
    """
    assert prefs_js.parse(text) == ({"a": 1, "e": 1}, 5)
    assert prefs_js.parse(b'\xef\xbb\xbfuser_pref("a", 1);\0user_pref("b", 1);') == ({"a": 1}, 0)
    assert prefs_js.parse(b'user_pref("a", 1); /* no end user_pref("b", 1);') == ({"a": 1}, 0)
    assert prefs_js.parse(b'user_pref("a", 1);user_pref("a", 2);user_pref("b", 3);', "a") == ({"a": 2}, 0)


def test_what_is_no_such_file_is_said_to_be_none() -> None:
    assert prefs_js.accounts(b"") == Settings([], [])
    assert prefs_js.accounts(b'{"json": 1}').problems
    assert prefs_js.accounts(b"\xff\xfe\x00\x01").problems


def test_a_text_without_end_is_cut() -> None:
    prefs = {"mail.accountmanager.accounts": "a", "mail.account.a.server": "s", "mail.server.s.type": "imap"}
    ((_, incoming, _, _),) = prefs_js.accounts(write({**prefs, "mail.server.s.hostname": "x" * 5000})).accounts
    assert incoming is not None and len(incoming["host"]) == MAX_TEXT


@given(st.dictionaries(st.text(max_size=20), st.text() | st.integers(-(2**31), 2**31 - 1) | st.booleans()))
def test_what_thunderbird_writes_comes_back(prefs: dict[str, Any]) -> None:
    r"""Thunderbird escapes " \ \n and \r (StrEscape in Preferences.cpp)."""

    def quoted(text: str) -> str:
        for character, escape in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r")):
            text = text.replace(character, escape)
        return f'"{text}"'

    clean = {name.replace("\0", ""): value.replace("\0", "") if isinstance(value, str) else value for name, value in prefs.items()}
    lines = (f"user_pref({quoted(n)}, {quoted(v) if isinstance(v, str) else str(v).lower()});\n" for n, v in clean.items())
    assert prefs_js.parse("".join(lines).encode()) == (clean, 0)


PIECES = [
    *(b'user_pref("mail.server.s.', b'user_pref("mail.account.a.', b'user_pref("mail.identity.i.', b'user_pref("mail.smtpserver.o.'),
    *(b'user_pref("mail.accountmanager.accounts", "a,b");', b'user_pref("mail.smtpservers", "o");', b'user_pref("'),
    *(b'server", "s");', b'type", "imap");', b'hostname", "h");', b'port", ', b'socketType", 3);', b'identities", "i,j");', b'", '),
    *(b");", b";", b'"', b"'", b"\\", b"\\u", b"d83d", b"\\x", b"4", b"/*", b"*/", b"//", b"#", b"\n", b"\0", b"-", b"true", b"\xff"),
]


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=8)).map(b"".join))
def test_any_bytes_are_read(data: bytes) -> None:
    for name, value in prefs_js.parse(data)[0].items():
        assert isinstance(name, str) and isinstance(value, (str, int))
        f"{name}{value}".encode()  # no half characters
    for found in prefs_js.accounts(data).accounts:
        assert found.incoming is None or found.incoming["protocol"] in ("imap", "pop")


@pytest.mark.parametrize("user", ["jane@example.org", "jane"])
@pytest.mark.parametrize("order", ["own,ours", "ours,own"])
def test_the_identity_of_the_mailbox_receives_wherever_it_stands(order: str, user: str) -> None:
    """A person may put an identity with another address, sent through another server, before the one of the mailbox."""
    prefs = {
        "mail.accountmanager.accounts": "a",
        "mail.account.a.server": "s",
        "mail.account.a.identities": order,
        "mail.server.s.type": "imap",
        "mail.server.s.hostname": "imap.example.org",
        "mail.server.s.userName": user,
        "mail.identity.own.useremail": "me@elsewhere.test",
        "mail.identity.own.smtpServer": "elsewhere",
        "mail.identity.ours.useremail": "Jane@example.org",
        "mail.identity.ours.smtpServer": "here",
        "mail.smtpservers": "elsewhere,here",
        "mail.smtpserver.elsewhere.hostname": "smtp.elsewhere.test",
        "mail.smtpserver.here.hostname": "smtp.example.org",
    }
    found = prefs_js.accounts(write(prefs)).accounts
    assert [(each.email, each.incoming and each.incoming["host"], each.outgoing and each.outgoing["host"]) for each in found] == [
        ("Jane@example.org", "imap.example.org", "smtp.example.org"),
        ("me@elsewhere.test", None, "smtp.elsewhere.test"),
    ]
