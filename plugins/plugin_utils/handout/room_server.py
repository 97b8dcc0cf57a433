# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The server in the room, by the standard library's: it answers to a Room's links and to nothing else. No Ansible."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .room import Room, RoomError

with contextlib.suppress(ImportError):  # office/libraries.py says it
    from cryptography import x509

# Seconds that a client may be silent, and that it may take altogether.
SILENCE, LONGEST = 10, 60
# Connections at a time; a room has no more phones than that in one moment.
MOST = 64


def own_address() -> str:
    """This computer's address in the network that leads out, "" where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        # Sends nothing: that would be the first packet. The address is one that nobody has (RFC 5737).
        probe.connect(("192.0.2.1", 9))
        found = str(probe.getsockname()[0])
        return "" if ipaddress.ip_address(found).is_loopback else found
    return ""


def in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def base(host: str, port: int, secure: bool) -> str:
    """What links begin with. Raises RoomError for what phones cannot ask for; that is also an address with the name of an interface."""
    if "%" in host or not (is_address(host) or re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", host)):
        raise RoomError(f"phones cannot call this computer {host}; say with --name how they can, as 192.168.1.20 or pc.example.org")
    return f"{'https' if secure else 'http'}://{in_url(host)}:{port}"


def transport(certificate: Path, key: Path, name: str) -> tuple[ssl.SSLContext, str]:
    """What HTTPS is spoken with, and the name to ask for: `name`, or the certificate's first. Raises RoomError."""
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Nobody is asked for the password of a key here.
        context.load_cert_chain(certificate, key, password="")
    except OSError as error:  # and what ssl has to say of a key
        raise RoomError(f"{certificate} with {key} cannot be used: {error.strerror or error}") from error
    except ValueError as error:
        raise RoomError(f"{certificate} is not a certificate in PEM") from error
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
        names = [one.lower() for one in names]
    except x509.ExtensionNotFound:
        names = []
    whole = [one for one in names if not one.startswith("*.")]
    if not name and not whole:
        raise RoomError(f"{certificate} has no whole name in it; say with --name what phones call this computer")
    name = name.lower() or whole[0]
    if name not in names and f"*.{name.partition('.')[2]}" not in names:
        raise RoomError(f"{certificate} is not for {name}, but for {', '.join(names) or 'nobody'}; phones would refuse it")
    now = datetime.datetime.now(datetime.UTC)
    if found.not_valid_after_utc < now:
        raise RoomError(f"{certificate} has expired; phones would refuse it")
    if found.not_valid_before_utc > now:
        raise RoomError(f"{certificate} is not valid before {found.not_valid_before_utc:%Y-%m-%d %H:%M} UTC; is the clock right?")
    return context, name


class _Handler(BaseHTTPRequestHandler):
    timeout = SILENCE
    server: Server

    def do_GET(self) -> None:
        found = self.server.room.answer(self.path)
        if found is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", found.kind)
        self.send_header("Content-Length", str(len(found.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        if found.guest:
            self.send_header("Content-Disposition", f'attachment; filename="{found.guest.file}"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(found.body)
            if found.guest:
                now = datetime.datetime.now().astimezone()
                again = "" if self.server.room.fetch(found.guest, now) else " again"
                client = self.client_address[0].removeprefix("::ffff:")
                self.server.told(f"{now:%H:%M} {found.guest.short} fetched the profile{again} ({client})")

    do_HEAD = do_GET

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """The number, and no word more."""
        del message, explain
        self.server.room.refuse()
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")
        self.end_headers()

    def version_string(self) -> str:
        return "charter-mail"

    def log_message(self, format: str, *args: Any) -> None:
        """Links are as good as keys, so nothing of a request is written down."""


class Server(ThreadingHTTPServer):
    """Listens on address and port, 0 for any; for HTTPS with a context. told: takes a line for each profile that was fetched.

    Raises RoomError where it cannot listen.
    """

    daemon_threads = True
    block_on_close = False
    # Whoever comes while a phone is served waits here.
    request_queue_size = 128
    room: Room

    def __init__(self, address: str, port: int, told: Callable[[str], None], context: ssl.SSLContext | None = None) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.told, self._context = told, context
        self._free = threading.BoundedSemaphore(MOST)
        self._since: dict[socket.socket, float] = {}
        try:
            super().__init__((address, port), _Handler)
        except OverflowError as error:
            raise RoomError(f"{port} is no port; write one from 1024 to 65535") from error
        except OSError as error:
            raise RoomError(f"cannot listen on {in_url(address)}:{port}: {error.strerror}; --bind and --port say where else") from error

    def server_bind(self) -> None:
        # Not HTTPServer's, which asks a name server who this computer is.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "charter-mail", self.server_address[1]

    def get_request(self) -> tuple[Any, Any]:
        connection, client = super().get_request()
        # The handshake comes with the first byte that is read, in a thread of its own.
        if self._context:
            connection = self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, client

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._since[request] = time.monotonic()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._since.pop(request, None)
            self._free.release()

    def service_actions(self) -> None:
        """Ends, now and then, the connections that take too long: a byte now and then is silence too."""
        for request, since in list(self._since.items()):
            if time.monotonic() - since > LONGEST:
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A phone that went away, a client that speaks something else: nobody needs to know."""

    def serve(self, seconds: float, ended: threading.Event) -> None:
        """Answer until the time is over or `ended` is set."""
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True)
        thread.start()
        # While a computer sleeps the first stands still; the second goes back when somebody sets the clock.
        over, until = time.monotonic() + seconds, time.time() + seconds
        while not ended.is_set() and (left := min(over - time.monotonic(), until - time.time())) > 0:
            ended.wait(min(left, 1))
        self.shutdown()
        self.server_close()
