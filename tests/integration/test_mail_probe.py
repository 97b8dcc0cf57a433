"""The probe against servers on loopback: well-behaved ones, and ones that no real server could be brought to be."""

from __future__ import annotations

import base64
import contextlib
import html
import json
import os
import quopri
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils.files import payload
from ansible_collections.msp.charter_mail.plugins.module_utils.servers import look as looking
from ansible_collections.msp.charter_mail.plugins.module_utils.servers import probe, trust

from tests import mail_servers
from tests.mail_servers import IMAP, POP, Authority, Smtp, Talk, scripted, serve, tls

ROOT = Path(__file__).resolve().parents[2]
KNOWN = [{"product": "Test Shield", "issuer": ["Test Shield Root"], "remedy": "Switch it off for mail."}]
SECONDS = 4
SIGN_IN = "AGphbmVA"  # how base64 of NUL, jane and @ begins
SPARE = 3  # seconds to start Python and to end


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(autouse=True)
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's trust store is the test's authority alone, and is not compared with any other list (see test_authorities.py)."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.pem))
    monkeypatch.setattr(trust, "LISTS", {})


def end(port: int, service: str = "smtp", security: str = "tls", host: str = "localhost") -> dict[str, Any]:
    return {"service": service, "host": host, "port": port, "security": security, "variants": []}


def look(talk: Talk, service: str = "smtp", security: str = "tls", seconds: float = SECONDS) -> dict[str, Any]:
    """What the probe finds of one server."""
    with serve(talk) as port:
        (found,) = probe.probe([end(port, service, security)], KNOWN, seconds)
    return found


def test_servers_that_are_well(authority: Authority) -> None:
    context = authority.context()
    servers = [
        (Smtp(context), "smtp", "starttls"),
        (tls(context, Smtp().inside), "smtp", "tls"),
        (tls(context, scripted("* OK hello", IMAP)), "imap", "tls"),
        (tls(context, scripted("+OK hello", POP)), "pop", "tls"),
    ]
    with contextlib.ExitStack() as stack:
        ends = [end(stack.enter_context(serve(talk)), service, security) for talk, service, security in servers]
        results = probe.probe(ends, KNOWN, SECONDS)
    assert [result["endpoint"] for result in results] == ends
    for result in results:
        assert result["verdict"] == "ok", result
        assert result["verify"] == {"chain_ok": True, "strict_ok": True, "host_ok": True, "code": 0, "message": "", "lists": {}}
        assert result["tls"]["version"] == "TLSv1.3"
        assert result["certificate"]["issuer"] == "CN=Test CA"
        assert result["certificate"]["names"] == ["localhost"]
        assert "PLAIN" in result["auth"]["after"]
        assert result["dns"]["a"] == ["127.0.0.1"]
    assert results[0]["starttls"] == {"offered": True, "accepted": True, "text": "220 go on", "busy": False}
    assert results[0]["auth"]["refused_before"] is True


def test_certificates(authority: Authority, tmp_path: Path) -> None:
    shield = Authority(tmp_path, "Test Shield Root", "Test", plain=True)
    cases = {
        "expired": authority.context(begin=-10, end=-1),
        "name_mismatch": authority.context(names=["elsewhere.test", "*.elsewhere.test"]),
        "untrusted": Authority(tmp_path, "Unknown CA").context(),
        "intercepted": shield.context(),
    }
    for security in ("tls", "starttls"):
        for verdict, context in cases.items():
            found = look(tls(context, Smtp().inside) if security == "tls" else Smtp(context), "smtp", security)
            assert found["verdict"] == verdict, found
            # Read although it was not trusted, and so was what comes after it.
            assert found["certificate"]["issuer"] and found["certificate"]["names"]
            assert found["auth"]["after"] == ["LOGIN", "PLAIN"]
            verify = found["verify"]
            assert verify["chain_ok"] is (verdict == "name_mismatch")
            assert verify["host_ok"] is (verdict != "name_mismatch")
    assert "elsewhere.test, *.elsewhere.test" in look(tls(cases["name_mismatch"], Smtp().inside))["advice"]


def test_a_trusted_shield_is_named_and_its_sloppy_root_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shield = Authority(tmp_path, "Test Shield Root", "Test", plain=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(shield.pem))
    found = look(tls(shield.context(), Smtp().inside))
    assert found["verdict"] == "intercepted"
    assert "Test Shield reads the connection" in found["advice"] and "which this machine trusts" in found["advice"]
    assert (found["verify"]["chain_ok"], found["verify"]["strict_ok"], found["verify"]["host_ok"]) == (True, False, True)
    assert any("strict" in note for note in found["notes"])


def test_the_wrong_tls_mode_is_told_from_a_dead_server(authority: Authority) -> None:
    context = authority.context()
    implicit = look(tls(context, Smtp().inside), security="starttls")
    assert (implicit["verdict"], implicit["speaks"]) == ("wrong_tls_mode", "tls")
    explicit = look(Smtp(context), security="tls")
    assert (explicit["verdict"], explicit["speaks"]) == ("wrong_tls_mode", "plain")
    imap = look(scripted("* OK hello", {**IMAP, "CAPABILITY": "* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\n{tag} OK"}), "imap")
    assert imap["verdict"] == "wrong_tls_mode"
    assert "wants STARTTLS" in imap["advice"]


def test_starttls_that_is_taken_out(authority: Authority) -> None:
    hidden = look(Smtp(authority.context(), before=["PIPELINING", "XXXXXXXA"]), security="starttls")
    assert (hidden["verdict"], hidden["starttls"]["offered"]) == ("starttls_stripped", False)
    refused = look(Smtp(authority.context(), starttls="502 5.5.1 what?"), security="starttls")
    assert (refused["verdict"], refused["starttls"]["accepted"]) == ("starttls_stripped", False)
    assert "502 5.5.1 what?" in refused["advice"]


def test_a_line_slipped_in_before_tls_is_noted(authority: Authority) -> None:
    found = look(Smtp(authority.context(), starttls="220 go on\r\n250 injected"), security="starttls")
    assert found.get("injected") or found["verdict"] != "ok", found


def test_a_pop_server_need_not_say_what_it_offers(authority: Authority) -> None:
    """CAPA is optional (RFC 2449): unknown is not no. Signing in then goes by USER and PASS, which every server has."""
    context = authority.context()
    answers = {"CAPA": "-ERR unknown command", "USER": "+OK", "PASS": "+OK welcome", "QUIT": "+OK bye"}
    with serve(tls(context, scripted("+OK hello", answers))) as port:
        (found,) = probe.probe([end(port, "pop")], KNOWN, SECONDS, [probe.Login("jane@example.org", "secret", [0])])
    assert (found["verdict"], found["auth"]["after"], found["steps"]["auth"]) == ("ok", None, None), found
    assert any("does not say how to sign in" in note for note in found["notes"])
    assert found["logins"][0]["ok"] is True


def test_starttls_is_tried_where_a_server_does_not_say_what_it_offers(authority: Authority) -> None:
    context = authority.context()

    def stls(connection: socket.socket) -> None:
        connection.sendall(b"+OK hello\r\n")
        with connection.makefile("rb") as stream:
            while line := stream.readline(2000).decode().strip():
                connection.sendall(b"+OK\r\n" if line == "STLS" else b"-ERR unknown command\r\n")
                if line == "STLS":
                    with context.wrap_socket(connection, server_side=True) as inner, inner.makefile("rb") as secure:
                        while secure.readline(2000):
                            inner.sendall(b"-ERR unknown command\r\n")

    found = look(stls, "pop", "starttls")
    assert (found["verdict"], found["starttls"]["offered"], found["starttls"]["accepted"]) == ("ok", None, True), found
    refused = look(scripted("+OK hello", {"CAPA": "-ERR", "STLS": "-ERR no TLS here", "AUTH": "-ERR"}), "pop", "starttls")
    assert (refused["verdict"], refused["step"]) == ("starttls_stripped", "starttls")
    assert "refuses STLS" in refused["advice"] and "offers" not in refused["advice"]


def test_a_server_that_takes_no_address_for_a_name(authority: Authority) -> None:
    """501 is about what we said, and says nothing of STARTTLS."""
    context = authority.context()
    choosy = Smtp(context, refuse={"[": "501 5.5.4 Invalid domain name"})
    found = look(choosy, security="starttls")
    assert (found["verdict"], found["starttls"]["accepted"]) == ("ok", True), found
    assert [note for note in found["notes"] if "501 5.5.4 Invalid domain name" in note and "Thunderbird" in note]
    assert look(tls(context, Smtp(refuse={"[": "504 5.5.2 need a name"}).inside))["verdict"] == "ok"


@pytest.mark.parametrize(
    ("reply", "verdict", "step", "said"),
    [
        ("501 5.5.4 Invalid domain name", "refused", "greeting", 'say who it is ("501 5.5.4 Invalid domain name")'),
        ("550 5.7.1 go away", "refused", "greeting", "550 5.7.1 go away"),
        ("451 4.7.1 try again later", "rate_limited", "greeting", "451 4.7.1 try again later"),
        ("500 5.5.1 what?", "starttls_stripped", "starttls", "offers no STARTTLS"),
    ],
)
def test_a_server_that_does_not_let_us_say_who_we_are(authority: Authority, reply: str, verdict: str, step: str, said: str) -> None:
    found = look(Smtp(authority.context(), refuse={"": reply}), security="starttls")
    assert (found["verdict"], found["step"]) == (verdict, step), found
    assert said in found["advice"]
    inside = look(tls(authority.context(), Smtp(refuse={"": reply}).inside))
    assert inside["verdict"] == {"starttls_stripped": "no_auth"}.get(verdict, verdict)
    assert inside["step"] == "auth"


def test_a_slow_greeting_is_waited_for(authority: Authority) -> None:
    """A mail program waits a minute. Here the greeting comes after more than the quarter of the time that a connection may take."""
    seconds, late = 8.0, 2.2
    context = authority.context()
    servers = [
        (
            scripted("* OK hello", {"CAPABILITY": "* CAPABILITY IMAP4rev1\r\n{tag} OK", "AUTH": "{tag} NO"}),
            "imap",
            "starttls",
            "starttls_stripped",
        ),
        (Smtp(context), "smtp", "starttls", "ok"),
        (tls(context, Smtp().inside), "smtp", "tls", "ok"),
        (tls(context, scripted("+OK hello", POP)), "pop", "tls", "ok"),
    ]

    def slow(talk: Talk) -> Talk:
        return lambda connection: (time.sleep(late), talk(connection))[1]

    with contextlib.ExitStack() as stack:
        ends = [end(stack.enter_context(serve(slow(talk))), service, security) for talk, service, security, _verdict in servers]
        results = probe.probe(ends, KNOWN, seconds)
    assert [result["verdict"] for result in results] == [verdict for *_rest, verdict in servers], results
    assert all(result["greeting"]["ms"] is not None for result in results)


def test_a_connection_that_stands_is_not_blocked() -> None:
    found = look(mail_servers.mute, security="starttls", seconds=2)
    assert (found["verdict"], found["step"]) == ("slow", "greeting"), found
    assert "waits a minute or more" in found["advice"]


def test_a_first_name_server_that_is_dead_only_makes_names_slow(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """As glibc does it: five seconds for the first, then the second answers. Here it is more than a connection may take."""
    with serve(tls(authority.context(), Smtp().inside)) as port:
        monkeypatch.setattr(socket, "getaddrinfo", Names({socket.AF_INET: ["127.0.0.1"], socket.AF_INET6: []}, delay=1.3))
        (found,) = probe.probe([end(port)], KNOWN, SECONDS)
    assert found["verdict"] == "ok", found


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_garbage_behind_a_certificate_that_is_not_trusted(authority: Authority, tmp_path: Path, security: str) -> None:
    """A mail program meets the certificate first."""
    unknown = Authority(tmp_path, "Unknown CA").context()
    talk = tls(unknown, mail_servers.garbage) if security == "tls" else _then_garbage(unknown)
    found = look(talk, security=security)
    assert (found["verdict"], found["step"]) == ("untrusted", "certificate"), found
    trusted = authority.context()
    found = look(tls(trusted, mail_servers.garbage) if security == "tls" else _then_garbage(trusted), security=security)
    assert (found["verdict"], found["step"]) == ("refused", "greeting" if security == "tls" else "auth"), found
    assert (found["steps"]["tls"], found["steps"]["certificate"]) == (True, True)


def _then_garbage(context: ssl.SSLContext) -> Talk:
    """STARTTLS as it should be, and then no mail server inside."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(b"220 hello\r\n")
        with connection.makefile("rb") as stream:
            while line := stream.readline(2000):
                if line.startswith(b"STARTTLS"):
                    connection.sendall(b"220 go on\r\n")
                    with context.wrap_socket(connection, server_side=True) as inner:
                        mail_servers.garbage(inner)
                        inner.recv(2000)
                    return
                connection.sendall(b"250-test\r\n250 STARTTLS\r\n" if line.startswith(b"EHLO") else b"530 no\r\n")

    return talk


def test_garbage_where_no_tls_stood() -> None:
    found = look(mail_servers.garbage, security="tls")
    assert (found["verdict"], found["step"]) == ("refused", "tls"), found
    assert found["steps"]["tls"] is False


def test_servers_that_turn_people_away(authority: Authority) -> None:
    assert look(Smtp(greeting="421 4.7.0 too many connections"), security="starttls")["verdict"] == "rate_limited"
    assert look(tls(authority.context(), scripted("* BYE Too many connections", {})), "imap")["verdict"] == "rate_limited"
    blocked = look(Smtp(greeting="554 5.7.1 blocked using a list"), security="starttls")
    assert blocked["verdict"] == "refused" and "block list" in blocked["advice"]
    assert look(tls(authority.context(), Smtp(after=["AUTH XOAUTH2"]).inside))["verdict"] == "no_auth"


def test_a_port_that_does_not_answer_and_one_that_refuses() -> None:
    with mail_servers.silent() as port:
        (dropped,) = probe.probe([end(port, host="127.0.0.1")], KNOWN, SECONDS)
    assert (dropped["verdict"], dropped["tcp"][0]["kind"]) == ("blocked", "timeout")
    (shut,) = probe.probe([end(port, host="127.0.0.1")], KNOWN, SECONDS)
    assert (shut["verdict"], shut["tcp"][0]["kind"]) == ("refused", "refused")


class Names:
    """A stand-in for the resolver: the machine's own cannot be brought to be slow, or to have one family that hangs."""

    def __init__(self, answers: dict[int, Any], delay: float = 0) -> None:
        self.answers, self.delay = answers, delay

    def __call__(self, host: str, port: int, family: int, kind: int) -> list[Any]:
        time.sleep(self.delay)
        answer = self.answers[family]
        if isinstance(answer, Exception):
            raise answer
        return [(family, kind, 6, "", (address, port)) for address in answer]


def test_a_family_that_hangs_does_not_stop_the_other(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """IPv6 hangs while IPv4 works. Two loopback addresses play the families, for which no loopback address hangs in IPv6."""
    with mail_servers.silent() as port, serve(tls(authority.context(), Smtp().inside), "127.0.0.2", port):
        monkeypatch.setattr(looking, "FAMILIES", {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"})
        real = looking.Race

        class Race(real):  # type: ignore[misc, valid-type]
            def _start(self, place: tuple[int, str], port: int) -> None:
                self._results[place]["family"] = "IPv6" if place[1] == "127.0.0.1" else "IPv4"
                super()._start(place, port)

        monkeypatch.setattr(looking, "Race", Race)
        monkeypatch.setattr(socket, "getaddrinfo", Names({socket.AF_INET: ["127.0.0.1", "127.0.0.2"], socket.AF_INET6: []}))
        start = time.monotonic()
        (found,) = probe.probe([end(port)], KNOWN, SECONDS)
        took = time.monotonic() - start
    assert found["verdict"] == "ok", found
    assert took < SECONDS + 1
    assert [each["kind"] for each in found["tcp"] if not each["ok"]] == ["timeout"]
    assert any(note.startswith("IPv6 does not work here, IPv4 does") for note in found["notes"])


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "nxdomain"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "failure"),
    ],
)
def test_names_that_are_not_there(monkeypatch: pytest.MonkeyPatch, answer: Exception, error: str) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names({socket.AF_INET: answer, socket.AF_INET6: answer}))
    (found,) = probe.probe([end(993, "imap", host="imap.example.org")], KNOWN, SECONDS)
    assert (found["verdict"], found["dns"]["error"]) == ("dns", error)


def test_a_name_server_that_hangs_is_left_hanging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Names({socket.AF_INET: [], socket.AF_INET6: []}, delay=30))
    start = time.monotonic()
    (found,) = probe.probe([end(993, "imap", host="imap.example.org")], KNOWN, SECONDS)
    assert (found["verdict"], found["dns"]["error"]) == ("dns", "timeout")
    assert time.monotonic() - start < SECONDS + 1


HOSTILE = [
    mail_servers.slowly,
    mail_servers.without_end,
    mail_servers.long_line,
    mail_servers.closes,
    mail_servers.garbage,
    mail_servers.old_tls,
    mail_servers.mute,
    mail_servers.web,
]
EXPECTED = {
    "slowly": {"slow"},
    "without_end": {"refused"},
    "long_line": {"refused"},
    "closes": {"refused"},
    "garbage": {"refused"},
    "old_tls": {"refused", "slow"},  # where STARTTLS is set it is not asked for TLS until it did not greet
    "mute": {"slow"},
    "web": {"slow", "refused"},
}


def pythons() -> list[str]:
    """The Python that runs the tests, and the oldest there is of those that a target may have."""
    old = sorted(Path.home().glob(".pyenv/versions/3.8.*/bin/python"))
    return [sys.executable, *map(str, old[-1:])]


MODULE = """
import json, re, sys
sys.path[:0] = json.loads(sys.argv[1])
from ansible_collections.msp.charter_mail.plugins.module_utils.servers import probe, trust
from ansible_collections.msp.charter_mail.plugins.module_utils.stored import programs
data = json.load(sys.stdin)
if data["lists"] is None:
    trust.LISTS.clear()
else:
    trust.DISTRIBUTIONS, programs._THUNDERBIRD, trust._FEWEST = data["lists"][:1], {"linux": data["lists"][1:]}, 1
results = probe.probe(data["ends"], data["known"], data["seconds"])
# Not ru_maxrss: that begins with the size of the process which started this one.
print(json.dumps([results, int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read()).group(1))]))
"""


def in_a_process(
    python: str, ends: list[dict[str, Any]], tmp_path: Path, lists: tuple[str, str] | None = None
) -> tuple[list[dict[str, Any]], int, float]:
    """Results, peak memory (KiB) and seconds of a probe in a process of its own.

    lists: where the distribution's own list is (a pattern), and Thunderbird; nothing is compared without.
    """
    # Only ours: the packages beside ansible are for the controller's Python.
    space = tmp_path / "space/ansible_collections/msp/charter_mail"
    space.mkdir(parents=True, exist_ok=True)
    if not (space / "plugins").exists():
        (space / "plugins").symlink_to(ROOT / "plugins")
    command = [python, "-c", MODULE, json.dumps([str(tmp_path / "space")])]
    data = json.dumps({"ends": ends, "known": KNOWN, "seconds": SECONDS, "lists": lists})
    start = time.monotonic()
    done = subprocess.run(
        command, input=data, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    )
    took = time.monotonic() - start
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    results, memory = json.loads(done.stdout)
    return results, memory, took


@pytest.mark.parametrize("python", pythons(), ids=lambda path: Path(path).resolve().parent.parent.name)
def test_hostile_servers_all_at_once(python: str, tmp_path: Path) -> None:
    """Within its time, with little memory, each with a verdict, on every Python."""
    with contextlib.ExitStack() as stack:
        cases = [(talk, service, security) for talk in HOSTILE for service in ("smtp", "imap", "pop") for security in ("tls", "starttls")]
        ends = [end(stack.enter_context(serve(talk)), service, security) for talk, service, security in cases]
        results, memory, took = in_a_process(python, ends, tmp_path)
    for (talk, service, security), result in zip(cases, results, strict=True):
        assert "fault" not in result, result
        assert result["verdict"] in EXPECTED[talk.__name__], (talk.__name__, service, security, result)
        assert result["advice"].isprintable() and len(result["advice"]) < 500
    assert took < SECONDS + 1 + SPARE
    assert memory < 50 * 1024, f"{memory} KiB"


@pytest.mark.parametrize("python", pythons(), ids=lambda path: Path(path).resolve().parent.parent.name)
def test_a_certificate_is_read_on_every_python(python: str, authority: Authority, tmp_path: Path) -> None:
    with serve(tls(Authority(tmp_path, "Unknown CA").context(), Smtp().inside)) as port:
        ((found,), _memory, _took) = in_a_process(python, [end(port)], tmp_path)
    assert (found["verdict"], found["certificate"]["issuer"], found["verify"]["host_ok"]) == ("untrusted", "CN=Unknown CA", True)


def test_signing_in_is_one_try_for_a_mailbox(authority: Authority) -> None:
    """Where fetching is rejected, sending is not tried: a wrong password counts once."""
    context = authority.context()
    tried: list[str] = []
    answers = {**IMAP, SIGN_IN: "{tag} NO [AUTHENTICATIONFAILED] no: c2VjcmV0 secret"}

    def counting(connection: socket.socket) -> None:
        tried.append("connection")
        scripted("* OK hello", answers)(connection)

    smtp = Smtp()
    with serve(tls(context, counting)) as imap_port, serve(tls(context, smtp.inside)) as smtp_port:
        ends = [end(imap_port, "imap"), end(smtp_port)]
        results = probe.probe(ends, KNOWN, SECONDS, [probe.Login("jane@example.org", "secret", [0, 1])])
    assert [result["verdict"] for result in results] == ["login_rejected", "ok"]
    assert len(tried) == 2, "one to look, one to sign in"
    assert not [line for line in smtp.heard if line.startswith("AUTH")]
    assert "logins" not in results[1]
    assert "secret" not in json.dumps(results)


def test_signing_in_goes_on_to_sending_and_says_what_was_wrong_there(authority: Authority) -> None:
    context = authority.context()
    smtp = Smtp(auth=("334 ", "534 5.7.9 Application-specific password required"))
    answers = {**IMAP, SIGN_IN: "{tag} OK welcome"}
    with serve(tls(context, scripted("* OK hello", answers))) as imap_port, serve(tls(context, smtp.inside)) as smtp_port:
        ends = [end(imap_port, "imap"), end(smtp_port)]
        results = probe.probe(ends, KNOWN, SECONDS, [probe.Login("jane@example.org", "secret", [0, 1])])
    assert [result["verdict"] for result in results] == ["ok", "login_rejected"]
    assert results[0]["logins"][0]["ok"] is True
    assert "app password" in results[1]["advice"]
    assert len([line for line in smtp.heard if line.startswith("AUTH")]) == 1


def test_no_password_goes_to_a_server_that_is_not_as_it_should_be(authority: Authority, tmp_path: Path) -> None:
    smtp = Smtp()
    with serve(tls(Authority(tmp_path, "Unknown CA").context(), smtp.inside)) as port:
        (found,) = probe.probe([end(port)], KNOWN, SECONDS, [probe.Login("jane@example.org", "secret", [0])])
    assert found["verdict"] == "untrusted"
    assert found["logins"] == [{"username": "jane@example.org", "ok": None, "text": "not tried, because the server is not as it should be"}]
    assert not [line for line in smtp.heard if line.startswith("AUTH")]


PASSWORD = "Corr\u00e9ct-horse7 battery%staple"


def _decoded(heard: list[str]) -> str:
    """The lines, those in base64 decoded."""
    found = []
    for line in heard:
        try:
            found.append(base64.b64decode(line, validate=True).decode().replace("\0", " "))
        except ValueError:
            found.append(line)
    return " ".join(found)


def _halves(begin: str, text: str, between: str) -> str:
    return begin + text[: len(text) // 2] + between + text[len(text) // 2 :]


REPEATS: dict[str, mail_servers.Repeat] = {
    "the last line": lambda heard: f"{{no}} what is {heard[-1]}?",
    "every line": lambda heard: f"{{no}} no: {' '.join(heard)}",
    "decoded": lambda heard: f"{{no}} no: {_decoded(heard)}",
    "in lower case": lambda heard: f"{{no}} no: {' '.join(heard)} {_decoded(heard)}".lower(),
    "in upper case": lambda heard: f"{{no}} no: {' '.join(heard)} {_decoded(heard)}".upper().replace("{NO}", "{no}"),
    "percent-encoded": lambda heard: f"{{no}} see https://example.org/?why={quote(_decoded(heard))}",
    "percent-encoded base64": lambda heard: f"{{no}} see https://example.org/?why={quote(heard[-1])}",
    "quoted-printable": lambda heard: f"{{no}} no: {quopri.encodestring(_decoded(heard).encode()).decode()}".replace("=\n", ""),
    "HTML": lambda heard: f"{{no}} no: {html.escape(_decoded(heard))}",
    "JSON": lambda heard: f"{{no}} {json.dumps({'user': 'jane', 'password': _decoded(heard)})}",
    "escapes": lambda heard: f"{{no}} no: {_decoded(heard)}".encode("ascii", "backslashreplace").decode(),
    "in base64": lambda heard: f"{{no}} no: {base64.b64encode(_decoded(heard).encode()).decode()}",
    "with a letter before, in base64": lambda heard: f"{{no}} no: {base64.b64encode(f'x{_decoded(heard)}'.encode()).decode()}",
    "in hexadecimal": lambda heard: f"{{no}} no: {_decoded(heard).encode().hex()}",
    "base64 cut off": lambda heard: f"{{no}} no: {heard[-1][: len(heard[-1]) * 5 // 6]}",
    "cut off": lambda heard: f"{{no}} no: {_decoded(heard[-1:])[:-6]}",
    "over two lines": lambda heard: _halves("{more} ", _decoded(heard[-1:]), "\r\n{no} "),
    "base64 over two lines": lambda heard: _halves("{more} ", heard[-1], "\r\n{no} "),
    "where it is cut": lambda heard: f"{{no}} {'x' * 170} {_decoded(heard[-1:])}",
    "base64 where it is cut": lambda heard: f"{{no}} {'x' * 170} {heard[-1]}",
    "on a line without end": lambda heard: f"{{no}} no: {_decoded(heard)} {heard[-1]}\0",
    "as no protocol": lambda heard: f"{_decoded(heard[-1:])} {heard[-1]}",
    "for now": lambda heard: f"{{no}} try again {_decoded(heard)}",
}


def traces(text: str, password: str = PASSWORD) -> set[str]:
    """Parts of five letters of the password, or eight of its forms, that are in the text; case, blanks and other signs do not matter."""

    def bare(some: str) -> str:
        return re.sub(r"[^a-z0-9]", "", some.lower())

    coded = [base64.b64encode(b"\0" * shift + password.encode()).decode()[4:-4] for shift in range(3)]
    forms = [(password, 5), *((form, 8) for form in [*coded, password.encode().hex()])]
    parts = {bare(form)[at : at + size] for form, size in forms for at in range(len(bare(form)) - size + 1)}
    return {part for part in parts if part in bare(text)}


SIGN_INS = [(service, mechanism) for service in ("smtp", "imap", "pop") for mechanism in ("PLAIN", "LOGIN")]


@pytest.mark.parametrize(("service", "mechanism"), SIGN_INS)
def test_a_server_that_repeats_the_password_does_not_get_it_shown(authority: Authority, service: str, mechanism: str) -> None:
    context = authority.context()
    with contextlib.ExitStack() as stack:
        talks = [tls(context, mail_servers.repeating(service, mechanism, repeat)) for repeat in REPEATS.values()]
        ends = [end(stack.enter_context(serve(talk)), service) for talk in talks]
        logins = [probe.Login("jane@example.org", PASSWORD, [number]) for number in range(len(ends))]
        results = probe.probe(ends, KNOWN, 20, logins)
    for name, result in zip(REPEATS, results, strict=True):
        text = json.dumps(result, ensure_ascii=False)
        assert not traces(text), (name, result["logins"], traces(text))
        (attempt,) = result["logins"]
        assert attempt["ok"] is not True, (name, attempt)
        # IMAP and POP show one line.
        assert "\u2022" in attempt["text"] or "where it is cut" in name or "two lines" in name, (name, attempt, "it was not repeated")


def test_all_servers_are_looked_at_at_once(authority: Authority) -> None:
    """Every one of them waits for the last: looked at one after the other, none would ever answer."""
    context, count = authority.context(), 4
    together = threading.Barrier(count)

    def waiting(connection: socket.socket) -> None:
        together.wait(SECONDS)
        tls(context, Smtp().inside)(connection)

    with contextlib.ExitStack() as stack:
        ends = [end(stack.enter_context(serve(waiting))) for _ in range(count)]
        assert [result["verdict"] for result in probe.probe(ends, KNOWN, SECONDS)] == ["ok"] * count


# The module as ansible runs it, but for the lists of authorities, which would not have the test's.
ALONE = """
from ansible_collections.msp.charter_mail.plugins.module_utils.servers import trust
from ansible_collections.msp.charter_mail.plugins.modules import _mail_probe as mail_probe
trust.LISTS.clear()
mail_probe.main()
"""


def test_the_module_takes_what_the_action_gives_it(authority: Authority, tmp_path: Path) -> None:
    """Run as ansible runs it; the passwords come through standard input and are in nothing that comes out."""
    smtp = Smtp(auth=("334 ", "535 5.7.8 no"))
    with serve(tls(authority.context(), smtp.inside)) as port:
        logins = payload.pack({"logins": [{"username": "jane@example.org", "password": "correct horse", "endpoints": [0]}]})
        arguments = {"endpoints": [end(port)], "interceptors": KNOWN, "timeout": SECONDS, "logins": logins}
        done = subprocess.run(
            [sys.executable, "-c", ALONE],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT / "collections")},
        )
    result = json.loads(done.stdout)
    assert result["endpoints"][0]["verdict"] == "login_rejected", result
    assert "correct horse" not in done.stdout and logins not in done.stdout
