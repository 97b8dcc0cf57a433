# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Just enough SMTP, IMAP and POP to see how a mail server greets, what it offers and whether it lets somebody in.

The other side is never trusted: a line, a reply and a whole conversation have a largest size, every wait has an end, and what is no mail
protocol is NotMail. No mail is ever sent: there is no command for it here.

Sources: RFC 5321 (SMTP), RFC 3207 (STARTTLS), RFC 4954 (AUTH), RFC 9051 and 3501 (IMAP), RFC 1939 and 2449 (POP3), RFC 2595 (STLS),
RFC 5034 (POP3 SASL), RFC 5530 and 3206 (response codes).

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import base64
import re
import socket
import time
from typing import List, NamedTuple, Optional, Sequence

from ansible_collections.msp.charter_mail.plugins.module_utils.masking import mask

MAX_LINE = 8192  # bytes; RFC 9051 section 4 of the lines a client may have to take
MAX_LINES = 100  # of one reply
MAX_BYTES = 256 * 1024  # of one conversation
SHOWN = 200  # characters of the server's words that are passed on

# Words of servers that turn somebody away for now. Postfix, Dovecot and Exchange Online say these.
_BUSY = re.compile(r"too many|rate.?limit|try again|throttl|temporar|connection limit|concurrent", re.I)
_BUSY_CODES = ("[SYS/TEMP]", "[LOGIN-DELAY]", "[IN-USE]", "[UNAVAILABLE]", "[LIMIT]", "[INUSE]")


class NotMail(Exception):
    """What answers does not speak the protocol. The message is a half sentence for people."""


class Closed(Exception):
    """The other side ended the conversation. ``said`` is what it had said on an unfinished line."""

    def __init__(self, said: str = "") -> None:
        super().__init__(said)
        self.said = said


class Late(Exception):
    """The other side did not answer in time. ``said`` is what it had said on an unfinished line."""

    def __init__(self, said: str = "") -> None:
        super().__init__(said)
        self.said = said


class Refused(Exception):
    """The server does not let us say who we are. ``reply`` is what it said."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


class Reply(NamedTuple):
    """good: yes, None for "go on" (SMTP 3yz, IMAP and POP "+"), no. text: the server's words, one line, harmless to show."""

    good: Optional[bool]
    code: str
    text: str
    lines: List[str]

    @property
    def busy(self) -> bool:
        """Whether the server turns people away for now, as opposed to for good."""
        if self.good is not False:
            return False
        return self.code.startswith("4") or any(code in self.text.upper() for code in _BUSY_CODES) or bool(_BUSY.search(self.text))


def shown(text: str) -> str:
    """``text`` as one line without anything that moves a cursor or hides, at most SHOWN characters."""
    clean = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return clean if len(clean) <= SHOWN else clean[: SHOWN - 3] + "..."


class Wire:
    """Lines over a connected socket, until ``end`` (time.monotonic) at the latest. secrets: passwords the other side may repeat."""

    def __init__(self, connection: socket.socket, end: float, secrets: Sequence[str] = ()) -> None:
        self.connection = connection
        self.end = end
        self._secrets = secrets
        self._data = bytearray()
        self._room = MAX_BYTES

    def shown(self, text: str) -> str:
        """``text`` as one line that is harmless to show: without passwords, which go before it is cut, or half of one would stay."""
        return shown(mask(text[:MAX_LINE], self._secrets))

    def quoted(self, line: str) -> str:
        """The beginning of a line in quotes."""
        return '"%s"' % self.shown(line)[:40] if line else "an empty line"

    def line(self) -> str:
        """The next line without its end. Raises Closed, Late, NotMail, OSError."""
        while b"\n" not in self._data:
            if len(self._data) > MAX_LINE:
                raise NotMail("a line of more than %d bytes came" % MAX_LINE)
            self._more()
        line, _unused, rest = bytes(self._data).partition(b"\n")
        self._data = bytearray(rest)
        if len(line) > MAX_LINE:
            raise NotMail("a line of more than %d bytes came" % MAX_LINE)
        return line.rstrip(b"\r").decode("utf-8", "backslashreplace")

    def _more(self) -> None:
        left = self.end - time.monotonic()
        if left <= 0:
            raise Late(self._said())
        if self._room <= 0:
            raise NotMail("more than %d bytes came without an end" % MAX_BYTES)
        self.connection.settimeout(left)
        try:
            data = self.connection.recv(4096)
        except socket.timeout:
            raise Late(self._said()) from None
        if not data:
            raise Closed(self._said())
        self._room -= len(data)
        self._data += data

    def _said(self) -> str:
        return self.shown(bytes(self._data[:MAX_LINE]).decode("utf-8", "backslashreplace"))

    def send(self, line: str) -> None:
        """Say one line. Raises Late, OSError."""
        self.connection.settimeout(max(0.01, self.end - time.monotonic()))
        try:
            self.connection.sendall(line.encode("utf-8") + b"\r\n")
        except socket.timeout:
            raise Late() from None

    @property
    def unread(self) -> bool:
        """Whether something came that nobody asked for yet."""
        return bool(self._data)


class Dialog:
    """A conversation in one protocol. Every method raises what Wire.line does."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.remark = ""
        """What somebody should know of how the conversation went."""

    def greeting(self) -> Reply:
        """The server's first words."""
        raise NotImplementedError

    def capabilities(self) -> Optional[List[str]]:
        """What the server offers, in its words, upper-case, each with its parameters; None where it does not tell. Raises Refused too."""
        raise NotImplementedError

    def ask(self, command: str) -> Reply:
        """The reply to one command line."""
        raise NotImplementedError

    STARTTLS = "STARTTLS"
    """The name of the command and of the capability."""

    @staticmethod
    def mechanisms(capabilities: List[str]) -> List[str]:
        """Ways to sign in that ``capabilities`` offer, sorted; LOGIN stands for the protocol's own user name and password as well."""
        raise NotImplementedError

    def open_auth(self) -> Reply:
        """Ask for AUTH PLAIN and say nothing more: does the server take passwords here? Taken back at once."""
        reply = self.ask("AUTH PLAIN")
        if reply.good is None:
            self.wire.send("*")
            self._reply()
        return reply

    def login(self, username: str, password: str, mechanisms: List[str]) -> Reply:
        """Sign in, once."""
        if "PLAIN" in mechanisms:
            reply = self.ask("AUTH PLAIN")
            secrets = [encoded("\0%s\0%s" % (username, password))]
        else:
            reply = self.ask("AUTH LOGIN")
            secrets = [encoded(username), encoded(password)]
        return self._tell(reply, secrets)

    def _tell(self, reply: Reply, answers: List[str]) -> Reply:
        for answer in answers:
            if reply.good is not None:
                break
            self.wire.send(answer)
            reply = self._reply()
        return reply

    def _reply(self) -> Reply:
        raise NotImplementedError


def encoded(text: str) -> str:
    return base64.b64encode(text.encode("utf-8")).decode("ascii")
