"""The little of SMTP, IMAP and POP that the probe speaks, and what it makes of whatever comes."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils.servers import certificate, dialogs, wire
from hypothesis import example, given, settings
from hypothesis import strategies as st


def hear(data: bytes, service: str = "smtp", close: bool = True) -> wire.Dialog:
    """A dialog with somebody who has said `data`, and ended the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    sender = threading.Thread(target=lambda: (theirs.sendall(data), close and theirs.shutdown(socket.SHUT_WR)))
    sender.start()
    sender.join()
    dialog = dialogs.DIALOGS[service](wire.Wire(ours, time.monotonic() + (5 if close else 0.2)))
    dialog.other = theirs  # type: ignore[attr-defined]  # kept open
    return dialog


@pytest.mark.parametrize(
    ("service", "said", "good", "busy"),
    [
        ("smtp", b"220-hello\r\n220 there\r\n", True, False),
        ("smtp", b"421 4.7.0 too many connections\r\n", False, True),
        ("smtp", b"554 5.7.1 go away\r\n", False, False),
        ("imap", b"* OK [CAPABILITY IMAP4rev1] ready\r\n", True, False),
        ("imap", b"* PREAUTH hello\r\n", True, False),
        ("imap", b"* BYE Too many connections\r\n", False, True),
        ("imap", b"* BYE not you\r\n", False, False),
        ("pop", b"+OK ready\r\n", True, False),
        ("pop", b"-ERR [SYS/TEMP] later\r\n", False, True),
        ("pop", b"-ERR not you\r\n", False, False),
    ],
)
def test_greetings(service: str, said: bytes, good: bool, busy: bool) -> None:
    reply = hear(said, service).greeting()
    assert (reply.good, reply.busy) == (good, busy)


@pytest.mark.parametrize(
    ("service", "said", "error"),
    [
        ("smtp", b"", wire.Closed),
        ("smtp", b"220 half a lin", wire.Closed),
        ("smtp", b"SSH-2.0-OpenSSH\r\n", wire.NotMail),
        ("smtp", b"\r\n", wire.NotMail),
        ("smtp", b"334 go on\r\n", wire.NotMail),
        ("smtp", b"220-x\r\n" * 200, wire.NotMail),
        ("smtp", b"2" * 20000 + b"\r\n", wire.NotMail),
        ("imap", b"220 smtp\r\n", wire.NotMail),
        ("pop", b"* OK imap\r\n", wire.NotMail),
    ],
)
def test_what_is_no_greeting(service: str, said: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        hear(said, service).greeting()


def test_somebody_who_stays_silent_is_not_waited_for() -> None:
    with pytest.raises(wire.Late) as caught:
        hear(b"220 h", close=False).greeting()
    assert caught.value.said == "220 h"


def test_ways_to_sign_in() -> None:
    assert dialogs.Smtp.mechanisms(["PIPELINING", "AUTH PLAIN LOGIN", "AUTH=LOGIN"]) == ["LOGIN", "PLAIN"]
    assert dialogs.Smtp.mechanisms(["AUTHENTIC"]) == []
    assert dialogs.Imap.mechanisms(["IMAP4REV1", "AUTH=PLAIN"]) == ["LOGIN", "PLAIN"]
    assert dialogs.Imap.mechanisms(["IMAP4REV1", "LOGINDISABLED", "AUTH=XOAUTH2"]) == ["XOAUTH2"]
    assert dialogs.Imap.mechanisms([]) == []
    assert dialogs.Pop.mechanisms(["TOP", "USER", "SASL PLAIN"]) == ["LOGIN", "PLAIN"]
    assert dialogs.Pop.mechanisms(["TOP"]) == []


@pytest.mark.parametrize(
    ("service", "said", "offered"),
    [
        ("pop", b"-ERR unknown command\r\n", None),
        ("pop", b"+OK\r\nUSER\r\n.\r\n", ["USER"]),
        ("imap", b"a1 BAD what?\r\n", None),
        ("imap", b"a1 OK done\r\n", None),
        ("imap", b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\na1 OK done\r\n", ["IMAP4REV1", "AUTH=PLAIN"]),
        ("smtp", b"500 what?\r\n", []),
        ("smtp", b"501 who?\r\n502 what?\r\n", []),
        ("smtp", b"501 who?\r\n250-test\r\n250 STARTTLS\r\n", ["STARTTLS"]),
    ],
)
def test_what_a_server_does_not_tell_is_not_known(service: str, said: bytes, offered: list[str] | None) -> None:
    assert hear(said, service).capabilities() == offered


@pytest.mark.parametrize(("said", "busy"), [(b"501 who?\r\n550 no\r\n", False), (b"421 too many\r\n", True)])
def test_a_server_that_does_not_let_us_say_who_we_are(said: bytes, busy: bool) -> None:
    with pytest.raises(wire.Refused) as caught:
        hear(said).capabilities()
    assert caught.value.reply.busy is busy


PROTOCOL = st.sampled_from(
    [
        b"220 ",
        b"220-",
        b"250 ",
        b"334 ",
        b"* OK ",
        b"* BYE",
        b"+OK",
        b"-ERR",
        b"+ ",
        b"a1 OK",
        b"a1 ",
        b"* CAPABILITY ",
        b".",
        b"\r\n",
        b"\n",
    ]
)
ANYTHING = st.lists(st.one_of(PROTOCOL, st.binary(max_size=40)), max_size=40).map(b"".join)


@pytest.mark.parametrize("service", sorted(dialogs.DIALOGS))
@given(said=ANYTHING)
@example(said=b"220 \xff\x00\x1b[2J\xe2\x80\xae\r\n")
@settings(max_examples=150)
def test_whatever_comes_ends_in_an_answer_or_in_one_of_our_errors(service: str, said: bytes) -> None:
    dialog = hear(said, service)
    for step in (
        dialog.greeting,
        lambda: dialog.mechanisms(dialog.capabilities() or []),
        lambda: dialog.ask(dialog.STARTTLS),
        dialog.open_auth,
        lambda: dialog.login("jane@example.org", "secret", ["PLAIN"]),
        lambda: dialog.login("jane@example.org", "secret", []),
    ):
        try:
            reply = step()
        except (wire.Closed, wire.NotMail, wire.Refused) as error:
            assert str(error).isprintable()
            return
        except OSError:  # we spoke to somebody who is gone
            return
        if isinstance(reply, wire.Reply):
            assert reply.text.isprintable() and len(reply.text) <= wire.SHOWN


@pytest.mark.parametrize(
    ("host", "names", "covered"),
    [
        ("imap.example.org", ["imap.example.org"], True),
        ("IMAP.Example.Org", ["imap.example.org"], True),
        ("imap.example.org", ["*.example.org"], True),
        ("a.imap.example.org", ["*.example.org"], False),
        ("example.org", ["*.example.org"], False),
        ("example.org", ["*.org"], False),
        ("imap.example.org", ["i*.example.org", "*"], False),
        ("imap.example.org", ["imap.example.org.evil.test"], False),
        ("192.0.2.1", ["192.0.2.1"], True),
    ],
)
def test_whose_certificate_it_is(host: str, names: list[str], covered: bool) -> None:
    assert certificate.covers(host, names) is covered


@given(st.binary(max_size=2000))
def test_what_is_no_certificate_has_a_fingerprint_and_nothing_else(der: bytes) -> None:
    found = certificate.describe(der)
    assert len(found["sha256"]) == 64
    assert (found["issuer"], found["names"], found["not_after"], found["days_left"]) == ("", [], None, None)
