"""Mail servers that misbehave on purpose, for tests: doubles, because no real server can be brought to it. Loopback only.

A server is a function that talks over one accepted connection; `serve` runs it in threads at a free port of 127.0.0.1 (or ::1).
"""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

Talk = Callable[[socket.socket], None]
DAY = datetime.timedelta(days=1)


class Authority:
    """A throw-away certificate authority below `folder`; `pem` is what has to be trusted. `above`: who signs it; nobody: it does itself."""

    def __init__(
        self, folder: Path, name: str = "Test CA", organization: str = "", plain: bool = False, above: Authority | None = None
    ) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name, organization)
        signer = above or self
        now = datetime.datetime.now(datetime.UTC)
        builder = self._builder(self._name, self._key, signer._name, now - 400 * DAY, now + 400 * DAY)
        if above:
            builder = builder.add_extension(_FETCH, critical=False).add_extension(above._identifier(), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        if not plain:  # what an authority that an antivirus makes up lacks
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
            builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
        self._plain = plain
        self.certificate = builder.sign(signer._key, hashes.SHA256())
        self.pem = folder / f"{name}.pem".replace("/", "-")
        self.pem.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def _identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())

    @staticmethod
    def _builder(
        subject: x509.Name, key: ec.EllipticCurvePrivateKey, issuer: x509.Name, begin: datetime.datetime, end: datetime.datetime
    ) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        return builder.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)

    def context(
        self,
        names: Sequence[str] = ("localhost",),
        begin: int = -1,
        end: int = 100,
        sent: Sequence[Authority] = (),
        fetch: bool = False,
    ) -> ssl.SSLContext:
        """A server's TLS context with a certificate for the names, valid from day `begin` to day `end` from today.

        sent: whose certificates the server sends as well; fetch: its own names a place to fetch its issuer's from.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        builder = self._builder(_name(names[0], ""), key, self._name, now + begin * DAY, now + end * DAY)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        if not self._plain:
            builder = builder.add_extension(self._identifier(), critical=False)
        if fetch:
            builder = builder.add_extension(_FETCH, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        path = self._folder / f"{certificate.serial_number}.pem"
        path.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
            + certificate.public_bytes(serialization.Encoding.PEM)
            + b"".join(each.pem.read_bytes() for each in sent)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context


# Nobody may ever go there.
_FETCH = x509.AuthorityInformationAccess(
    [x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier("http://fetch.invalid/ca.crt"))]
)


def _name(common: str, organization: str) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if organization:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(parts)


@contextlib.contextmanager
def serve(talk: Talk, address: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Let `talk` answer every connection; gives the port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, port), family=family, backlog=50)
    open_connections: set[socket.socket] = set()

    def one(connection: socket.socket) -> None:
        # The client may go at any time.
        with contextlib.suppress(OSError, ValueError), connection:
            talk(connection)
        open_connections.discard(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                open_connections.add(connection)
                threading.Thread(target=one, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in list(open_connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """A port of 127.0.0.1 from which no answer comes, as behind a firewall that drops: its queue of connections is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fill = [socket.socket() for _ in range(4)]
        for each in fill:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        time.sleep(0.1)
        try:
            yield listener.getsockname()[1]
        finally:
            for each in fill:
                each.close()


def tls(context: ssl.SSLContext, talk: Talk) -> Talk:
    """The same talk inside TLS from the first byte."""

    def inside(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            talk(secure)

    return inside


class Smtp:
    """An SMTP server as said: `before` and `after` are what it offers before and after TLS."""

    def __init__(
        self,
        context: ssl.SSLContext | None = None,
        *,
        before: Sequence[str] = ("PIPELINING", "STARTTLS"),
        after: Sequence[str] = ("PIPELINING", "AUTH PLAIN LOGIN"),
        greeting: str = "220 test ESMTP",
        auth: Sequence[str] = ("334 ", "535 5.7.8 Authentication failed"),
        starttls: str = "220 go on",
        delay: float = 0,
        refuse: Mapping[str, str] | None = None,
    ) -> None:
        """refuse: what a name in EHLO begins with -> the reply."""
        self.refuse = refuse or {}
        self.context, self.before, self.after, self.greeting = context, before, after, greeting
        self.auth, self.starttls, self.delay = auth, starttls, delay
        self.heard: list[str] = []

    def __call__(self, connection: socket.socket) -> None:
        self._say(connection, self.greeting)
        self._talk(connection, list(self.before))

    def inside(self, connection: socket.socket) -> None:
        """As the talk of a server at port 465."""
        self._say(connection, self.greeting)
        self._talk(connection, list(self.after), secure=True)

    def _say(self, connection: socket.socket, line: str) -> None:
        time.sleep(self.delay)
        connection.sendall(line.encode() + b"\r\n")

    def _talk(self, connection: socket.socket, offers: list[str], secure: bool = False) -> None:
        with connection.makefile("rb") as stream:
            while line := stream.readline(2000).decode().strip():
                self.heard.append(line)
                word = line.split()[0].upper()
                refusal = next((reply for begin, reply in self.refuse.items() if line.partition(" ")[2].startswith(begin)), "")
                if word == "EHLO" and refusal:
                    self._say(connection, refusal)
                elif word == "EHLO":
                    lines = ["test", *offers]
                    replies = [f"250{' ' if n == len(lines) - 1 else '-'}{each}" for n, each in enumerate(lines)]
                    self._say(connection, "\r\n".join(replies))
                elif word == "STARTTLS":
                    self._say(connection, self.starttls)
                    if not self.starttls.startswith("220") or self.context is None:
                        continue
                    with self.context.wrap_socket(connection, server_side=True) as inner:
                        self._talk(inner, list(self.after), secure=True)
                    return
                elif word == "AUTH" and secure:
                    self._say(connection, self.auth[0])
                    if self.auth[0].startswith("334"):
                        self.heard.append(stream.readline(2000).decode().strip())
                        self._say(connection, self.auth[1])
                elif word == "AUTH":
                    self._say(connection, "530 5.7.0 Must issue a STARTTLS command first")
                elif word == "QUIT":
                    self._say(connection, "221 bye")
                    return
                else:
                    self._say(connection, "502 no")


def scripted(greeting: str, answers: dict[str, str], delay: float = 0) -> Talk:
    """A server that says `greeting` and answers each line by the first key it holds; {tag} is that of the last IMAP command."""

    def talk(connection: socket.socket) -> None:
        time.sleep(delay)
        connection.sendall(greeting.encode() + b"\r\n")
        tag = ""
        with connection.makefile("rb") as stream:
            while line := stream.readline(2000).decode().strip():
                tag = line.split()[0] if " " in line else tag
                reply = next((text for key, text in answers.items() if key in line), "")
                if not reply:
                    return
                time.sleep(delay)
                connection.sendall(reply.replace("{tag}", tag).encode() + b"\r\n")

    return talk


Repeat = Callable[[list[str]], str]


def repeating(service: str, mechanism: str, repeat: Repeat) -> Talk:
    """A server that takes a sign-in by `mechanism` (PLAIN; LOGIN, which is the protocol's own one with IMAP and POP) and says no by
    repeating what it heard: `repeat` makes its words of the lines. {no} in them is how a refusal begins, {more} how a line before it does.
    A NUL at the end: no line end follows.
    """
    own = mechanism == "LOGIN"
    greeting, offers, no, more = {
        "smtp": ("220 test", f"250-test\r\n250 AUTH {mechanism}", "535 5.7.8", "535-5.7.8"),
        "imap": ("* OK test", f"* CAPABILITY IMAP4rev1 {'' if own else 'AUTH=PLAIN LOGINDISABLED'}\r\n{{tag}} OK", "{tag} NO", "* NO"),
        "pop": ("+OK test", f"+OK\r\n{'USER' if own else 'SASL PLAIN'}\r\n.", "-ERR", "-ERR"),
    }[service]
    # How many lines of the client make a sign-in, and what asks for the next one.
    count = 3 if own and service != "pop" else 2
    go_on = {"smtp": "334 ", "imap": "+ ", "pop": "+OK" if own else "+ "}[service]

    def talk(connection: socket.socket) -> None:
        connection.sendall(greeting.encode() + b"\r\n")
        heard: list[str] = []
        tag = ""
        with connection.makefile("rb") as stream:
            while line := stream.readline(2000).decode().rstrip("\r\n"):
                tag = tag if heard else line.split()[0]
                if heard or {"AUTH", "AUTHENTICATE", "LOGIN", "USER"} & set(line.split()[:2]):
                    heard.append(line)
                    said = repeat(heard) if len(heard) == count else go_on
                elif "QUIT" in line or "LOGOUT" in line:
                    return
                else:
                    said = offers
                said = said.replace("{no}", no).replace("{more}", more).replace("{tag}", tag)
                connection.sendall(said.rstrip("\0").encode() + b"\r\n" * (not said.endswith("\0")))
                if len(heard) == count:
                    return

    return talk


IMAP = {
    "CAPABILITY": "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n{tag} OK done",
    "AUTHENTICATE": "+ ",
    "LOGOUT": "* BYE\r\n{tag} OK done",
}
POP = {"CAPA": "+OK\r\nUSER\r\nSASL PLAIN\r\n.", "QUIT": "+OK bye"}


def slowly(connection: socket.socket) -> None:
    """A greeting, one byte a second."""
    for byte in b"220 " + b"x" * 3600:
        connection.sendall(bytes([byte]))
        time.sleep(1)


def without_end(connection: socket.socket) -> None:
    """A greeting of lines that never ends."""
    while True:
        connection.sendall(b"220-and another thing\r\n" * 100)


def long_line(connection: socket.socket) -> None:
    """One line of 10 MB."""
    for _ in range(160):
        connection.sendall(b"2" * 65536)
    connection.sendall(b"\r\n")


def garbage(connection: socket.socket) -> None:
    """Bytes that are no protocol."""
    connection.sendall(bytes(range(255, -1, -1)) + b"\r\n\r\n")
    connection.recv(2000)


def web(connection: socket.socket) -> None:
    """A web server waits for us, then answers like one."""
    connection.recv(2000)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def closes(connection: socket.socket) -> None:
    """Takes the connection and ends it."""


def mute(connection: socket.socket) -> None:
    """Takes the connection and says nothing."""
    connection.recv(2000)
    connection.recv(2000)
    time.sleep(60)


def old_tls(connection: socket.socket) -> None:
    """Answers a TLS handshake by the alert `protocol version`."""
    connection.recv(2000)
    connection.sendall(b"\x15\x03\x01\x00\x02\x02\x46")
