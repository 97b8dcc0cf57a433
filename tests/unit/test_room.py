"""Profiles handed out in the room: who gets what, over real sockets on loopback, and what is refused."""

from __future__ import annotations

import datetime
import hashlib
import http.client
import json
import re
import runpy
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.plugin_utils.files.folder import MANIFEST
from ansible_collections.msp.charter_mail.plugins.plugin_utils.handout import room_server
from ansible_collections.msp.charter_mail.plugins.plugin_utils.handout.room import Room, RoomError, guests
from ansible_collections.msp.charter_mail.plugins.plugin_utils.handout.room_server import Server, base, in_url, transport

from tests.unit.mobile_samples import DAY, ROOT, chain

SIGNED, XML = b"\x30\x82signed ", b"<?xml plain "
NOW = datetime.datetime(2026, 6, 15, 10, 42, tzinfo=datetime.UTC)


def office(tmp_path: Path, *addresses: str, start: bytes = SIGNED, name: str = "") -> Path:
    """Hand-outs as mobile_files writes them, of people with an iPhone, and of one without."""
    folder = tmp_path / "acme"
    folders: dict[str, Any] = {"bob@example.org": {"inputs": "", "files": {"index.html": ""}, "who": []}}
    for address in addresses:
        file, content = f"{address.partition('@')[0]}-iphone.mobileconfig", start + address.encode()
        (folder / address).mkdir(parents=True)
        (folder / address / file).write_bytes(content)
        folders[address] = {"inputs": "1", "files": {file: hashlib.sha256(content).hexdigest(), "index.html": ""}, "who": [], "name": name}
        twin = f"{address}-iphone.unsigned.mobileconfig"
        folders.setdefault("mdm", {"inputs": "", "files": {}})["files"][twin] = ""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).write_text(json.dumps({"version": 1, "folders": folders}))
    return folder


JANE, ZOE, OTHER = "jane@example.org", "zoe@example.org", "jane@example.com"


def test_who_is_in_the_room(tmp_path: Path) -> None:
    found = guests(office(tmp_path, ZOE, JANE, OTHER))
    assert [(guest.name, guest.short, guest.file) for guest in found] == [
        (OTHER, OTHER, "jane-iphone.mobileconfig"),
        (JANE, JANE, "jane-iphone.mobileconfig"),
        (ZOE, "zoe", "zoe-iphone.mobileconfig"),
    ]
    assert len({guest.token for guest in found}) == 3 and all(len(guest.token) >= 22 for guest in found)
    assert all(guest.signed and guest.profile.endswith(guest.address.encode()) for guest in found)
    (named,) = guests(office(tmp_path / "named", ZOE, name="Zoë Müller"))
    assert (named.name, named.address) == ("Zoë Müller", ZOE)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda folder: (folder / MANIFEST).unlink(), "has no hand-outs; run make handouts"),
        (lambda folder: (folder / MANIFEST).write_text("[]"), "cannot be read; run make handouts"),
        (lambda folder: (folder / MANIFEST).write_text('{"folders": {"a@x": 5}}'), "cannot be read; run make handouts"),
        (lambda folder: (folder / JANE / "jane-iphone.mobileconfig").unlink(), "jane-iphone.mobileconfig: No such file or directory; run"),
        (
            lambda folder: (folder / JANE / "jane-iphone.mobileconfig").write_text("x"),
            "was changed since it was written; run make handouts",
        ),
    ],
)
def test_what_cannot_be_handed_out_is_said_in_one_sentence(tmp_path: Path, fault: Any, words: str) -> None:
    folder = office(tmp_path, JANE)
    fault(folder)
    with pytest.raises(RoomError, match=re.escape(words)):
        guests(folder)


class Running:
    """A server on loopback with the profiles of two people."""

    def __init__(self, tmp_path: Path, context: ssl.SSLContext | None = None) -> None:
        self.said: list[str] = []
        self.server = Server("127.0.0.1", 0, self.said.append, context)
        self.port = self.server.server_port
        self.room = Room("acme", guests(office(tmp_path, JANE, ZOE)), f"http://127.0.0.1:{self.port}", NOW)
        self.server.room = self.room
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.server.serve, args=(60, self.ended), daemon=True)
        self.thread.start()

    def ask(self, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def end(self) -> None:
        self.ended.set()
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path)
    yield found
    found.end()


def test_a_link_gives_its_person_s_profile(running: Running) -> None:
    jane, zoe = running.room.people
    status, headers, body = running.ask(f"/{jane.token}")
    assert (status, body) == (200, SIGNED + JANE.encode())
    assert headers | {"Date": ""} == {
        "Server": "charter-mail",
        "Date": "",
        "Content-Type": "application/x-apple-aspen-config",
        "Content-Length": str(len(body)),
        "Content-Disposition": 'attachment; filename="jane-iphone.mobileconfig"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    assert running.ask(f"/{zoe.token}")[2] == SIGNED + ZOE.encode()
    running.ask(f"/{jane.token}")
    # It is told when the profile has gone.
    deadline = time.monotonic() + 120
    while len(running.said) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [line[6:] for line in running.said] == [
        "jane fetched the profile (127.0.0.1)",
        "zoe fetched the profile (127.0.0.1)",
        "jane fetched the profile again (127.0.0.1)",
    ]
    assert running.room.waiting() == []


def test_anything_else_is_not_there(running: Running) -> None:
    jane = running.room.people[0].token
    for path in ("/", f"/{jane}/", f"/{jane}?x", f"/{jane[:-1]}", "/jane@example.org/", "/../acme", "/state", f"/{MANIFEST}"):
        status, _headers, body = running.ask(path)
        assert (status, body) == (404, b""), path
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "CONNECT"):
        assert running.ask(f"/{jane}", method)[::2] == (501, b"")
    status, headers, body = running.ask(f"/{jane}", "HEAD")
    assert (status, body, headers["Content-Length"]) == (200, b"", str(len(SIGNED + JANE.encode())))
    assert running.room.refused == 13
    # To ask what would come is not to fetch it.
    assert running.said == [] and len(running.room.waiting()) == 2


def test_the_page_shows_who_has_fetched(running: Running) -> None:
    jane = running.room.people[0]
    path = running.room.page_url.partition(str(running.port))[2]
    status, headers, body = running.ask(path)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert body.count(b"not yet") == 3 and jane.token.encode() not in body
    assert json.loads(running.ask(f"{path}/state")[2]) == ["", ""]
    running.ask(f"/{jane.token}")
    # It is noted when all of it was sent, which is after the client has it.
    deadline = time.monotonic() + 120
    while (state := json.loads(running.ask(f"{path}/state")[2])) == ["", ""] and time.monotonic() < deadline:
        time.sleep(0.05)
    first, second = state
    assert re.fullmatch(r"\d\d:\d\d", first) and second == ""
    assert f"fetched {first}".encode() in running.ask(path)[2]


def test_a_client_that_says_nothing_keeps_nobody_waiting(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_server, "LONGEST", 0.5)
    silent = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(5)]
    assert running.ask(f"/{running.room.people[0].token}")[0] == 200
    # A byte now and then is not enough either.
    for one in silent:
        one.sendall(b"G")
        one.settimeout(120)
        assert one.recv(1) == b""
        one.close()


def test_more_than_a_room_has_is_turned_away(running: Running) -> None:
    held = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(room_server.MOST)]
    deadline = time.monotonic() + 120
    while len(running.server._since) < room_server.MOST and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        running.ask("/")
    for one in held:
        one.close()
    while running.server._since and time.monotonic() < deadline:
        time.sleep(0.01)
    assert running.ask("/")[0] == 404


def test_it_ends_by_itself(tmp_path: Path) -> None:
    server = Server("127.0.0.1", 0, print)
    server.room = Room("acme", [], "http://127.0.0.1", NOW)
    server.serve(0.2, threading.Event())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.server_port))


def test_a_computer_that_slept_hands_out_no_longer_than_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server("127.0.0.1", 0, print)
    thread = threading.Thread(target=server.serve, args=(3600, threading.Event()), daemon=True)
    thread.start()
    thread.join(0.5)
    assert thread.is_alive()
    late = time.time() + 3600
    monkeypatch.setattr(room_server.time, "time", lambda: late)
    thread.join(10)
    assert not thread.is_alive()


def files(tmp_path: Path, **more: Any) -> tuple[Path, Path, Any]:
    now = datetime.datetime.now(datetime.UTC)
    made = chain(**{"start": now - DAY, "end": now + 30 * DAY, "hosts": ["*.example.net", "profiles.example.org"], **more})
    (tmp_path / "web.pem").write_bytes(made.full)
    (tmp_path / "web.key").write_bytes(made.leaf.key_pem())
    return tmp_path / "web.pem", tmp_path / "web.key", made


def test_https_with_the_office_s_certificate(tmp_path: Path) -> None:
    certificate, key, made = files(tmp_path)
    context, name = transport(certificate, key, "")
    assert name == "profiles.example.org" == transport(certificate, key, "profiles.example.org")[1]
    assert transport(certificate, key, "Desk.example.net")[1] == "desk.example.net"
    found = Running(tmp_path, context)
    try:
        (tmp_path / "root.pem").write_bytes(made.root.pem)
        client = ssl.create_default_context(cafile=str(tmp_path / "root.pem"))
        # Who does not begin the handshake keeps nobody waiting.
        with (
            socket.create_connection(("127.0.0.1", found.port)),
            socket.create_connection(("127.0.0.1", found.port), timeout=120) as plain,
            client.wrap_socket(plain, server_hostname=name) as secure,
        ):
            secure.sendall(f"GET /{found.room.people[0].token} HTTP/1.0\r\n\r\n".encode())
            answer = b"".join(iter(lambda: secure.recv(4096), b""))
        assert answer.endswith(SIGNED + JANE.encode())
    finally:
        found.end()


def test_a_certificate_that_phones_would_refuse_is_refused_here(tmp_path: Path) -> None:
    certificate, key, _ = files(tmp_path)
    for given, words in (
        ((certificate, key, "pc.example.com"), "is not for pc.example.com, but for *.example.net, profiles.example.org;"),
        ((certificate, tmp_path / "none.key", ""), "none.key cannot be used: No such file or directory"),
        ((key, key, ""), "is not a certificate in PEM"),
        ((certificate, certificate, ""), "cannot be used"),
    ):
        with pytest.raises(RoomError, match=re.escape(words)):
            transport(*given)
    now = datetime.datetime.now(datetime.UTC)
    for more, words in (
        ({"start": now - 3 * DAY, "end": now - DAY}, "has expired"),
        ({"start": now + DAY}, "is not valid before"),
        ({"hosts": ["*.x.org"]}, "no whole name in it"),
    ):
        certificate, key, _ = files(tmp_path, **more)
        with pytest.raises(RoomError, match=words):
            transport(certificate, key, "")


def test_addresses_in_links() -> None:
    assert (in_url("::1"), in_url("192.0.2.7")) == ("[::1]", "192.0.2.7")
    assert (base("::1", 8743, True), base("desk-7.example.org", 80, False)) == ("https://[::1]:8743", "http://desk-7.example.org:80")
    for host in ("my desk", "desk/x", "user@desk", "desk:80", "fe80::1%eth0", "-", ""):
        with pytest.raises(RoomError, match="phones cannot call this computer"):
            base(host, 80, False)
    assert room_server.own_address() != "127.0.0.1"


def script(folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "contrib/hand_out.py"), str(folder), "--bind", "127.0.0.1", "--port", "0", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder.parent)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_says_all_and_ends_when_it_is_told_to(tmp_path: Path, number: int) -> None:
    process = script(office(tmp_path, JANE, ZOE, name="Jane \x1b[2J"))
    assert process.stdout
    said = ""
    while "Ctrl-C ends it." not in said:
        said += process.stdout.readline()
    assert said.startswith("2 iPhone profiles of acme over http until ") and "; each is signed." in said
    port = re.search(r"firewall has\s+to let TCP (\d+) in", said)
    link = re.search(rf"http://127\.0\.0\.1:{port and port[1]}(/\S+)", said)
    assert port and link and max(map(len, said.splitlines())) <= 80
    connection = http.client.HTTPConnection("127.0.0.1", int(port[1]), timeout=120)
    connection.request("GET", link[1])
    page = connection.getresponse().read().decode()
    assert "zoe@example.org" in page
    connection.request("GET", "/favicon.ico")
    connection.getresponse().read()
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert out == "Ended. 0 of 2 fetched their profile.\nNot yet: jane, zoe\nRefused, for they asked for something else: 1\n"


def test_a_phone_that_comes_over_ipv4_is_called_so(tmp_path: Path) -> None:
    said: list[str] = []
    server = Server("::", 0, said.append)
    server.room = Room("acme", guests(office(tmp_path, JANE)), "http://192.0.2.7", NOW)
    ended = threading.Event()
    thread = threading.Thread(target=server.serve, args=(60, ended))
    thread.start()
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=120)
    connection.request("GET", f"/{server.room.people[0].token}")
    assert connection.getresponse().status == 200
    deadline = time.monotonic() + 120
    while not said and time.monotonic() < deadline:
        time.sleep(0.01)
    ended.set()
    thread.join(10)
    assert [line[6:] for line in said] == ["jane fetched the profile (127.0.0.1)"]


def test_the_command_says_what_else_has_to_be_so(tmp_path: Path) -> None:
    process = script(office(tmp_path, JANE), "--name", "desk.example.org", "--minutes", "0.001")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("1 iPhone profile of acme") and "The phones' network has to know desk.example.org as 127.0.0.1." in out
    hints = runpy.run_path(str(ROOT / "contrib/hand_out.py"))["hints"]
    assert list(hints("192.0.2.7", "192.0.2.7", "6.1.0-18-amd64")) == list(hints("::1", "::1", "4.4.0-19041-Microsoft")) == []
    assert "This is WSL" in next(hints("192.0.2.7", "192.0.2.7", "5.15.153.1-microsoft-standard-WSL2"))


def test_the_command_refuses_what_would_be_unsafe_or_cannot_be(tmp_path: Path) -> None:
    unsigned = script(office(tmp_path, JANE, start=XML))
    out, err = unsigned.communicate(timeout=120)
    assert (unsigned.returncode, err) == (0, "") and "not handed out over the air" in out and "--unsigned-over-http" in out
    process = script(tmp_path / "acme", "--unsigned-over-http", "--minutes", "0.001")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "") and "NOT signed" in out and "Not yet: jane" in out
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = script(tmp_path / "acme", "--unsigned-over-http", "--port", str(port))
        out, err = process.communicate(timeout=120)
        assert (process.returncode, out) == (1, "") and err == (
            f"cannot listen on 127.0.0.1:{port}: Address already in use; --bind and --port say where else\n"
        )
    for options, words in (
        (("--port", "99999"), "99999 is no port"),
        (("--bind", "desk"), "desk is not an address of this computer"),
        *((("--minutes", minutes), "more than 0, and a day") for minutes in ("0", "-1", "nan", "inf", "1441")),
        (("--certificate", "x.pem"), "--certificate and --key"),
    ):
        process = script(tmp_path / "acme", "--unsigned-over-http", *options)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 1 and words in err and "Traceback" not in err
    nobody = script(office(tmp_path / "other"))
    assert "there is no profile to hand out" in nobody.communicate(timeout=120)[0] and nobody.returncode == 0
