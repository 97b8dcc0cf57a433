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
from typing import Dict, List, NamedTuple, Optional, Sequence, Type

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
            secrets = [_base64("\0%s\0%s" % (username, password))]
        else:
            reply = self.ask("AUTH LOGIN")
            secrets = [_base64(username), _base64(password)]
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


_NO_EHLO = ("500", "502")  # RFC 5321 section 4.1.4: the command is not known


class Smtp(Dialog):
    """RFC 5321."""

    def greeting(self) -> Reply:
        reply = self._reply()
        if reply.code[:1] not in ("2", "4", "5"):
            raise NotMail("what came is no greeting: %s" % self.wire.quoted(reply.text))
        return reply

    def capabilities(self) -> Optional[List[str]]:
        reply = self.ask("EHLO %s" % _literal(self.wire.connection))
        if reply.good is False and reply.code.startswith("5") and reply.code not in _NO_EHLO:
            # Our address is not to its liking. Mail programs greet with other names too: msmtp says localhost.
            again = self.ask("EHLO localhost")
            if again.good:
                self.remark = 'The server takes no address for a name ("%s"): Thunderbird greets so and may not get in.' % reply.text
            reply = again
        if reply.code in _NO_EHLO:
            return []  # a server of before 1995, or one that somebody on the way makes out to be: nothing is offered
        if not reply.good:
            raise Refused(reply)
        return [line[4:].strip().upper() for line in reply.lines[1:]]

    def ask(self, command: str) -> Reply:
        self.wire.send(command)
        return self._reply()

    @staticmethod
    def mechanisms(capabilities: List[str]) -> List[str]:
        # Old Exchange servers write AUTH=LOGIN.
        return sorted({word for line in capabilities if re.match(r"AUTH[ =]", line) for word in re.split(r"[ =]+", line)[1:] if word})

    def _reply(self) -> Reply:
        lines: List[str] = []
        while True:
            line = self.wire.line()
            found = re.match(r"([2-5]\d\d)([ -]|$)", line)
            if not found:
                raise NotMail("what came is no SMTP: %s" % self.wire.quoted(line))
            lines.append(line)
            if found.group(2) != "-":
                good = {"2": True, "3": None}.get(line[0], False)
                return Reply(good, line[:3], self.wire.shown(_joined(lines)), lines)
            if len(lines) >= MAX_LINES:
                raise NotMail("a reply of more than %d lines came" % MAX_LINES)


class Imap(Dialog):
    """RFC 9051, as far as 3501 has it too."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire)
        self._number = 0

    def greeting(self) -> Reply:
        line = self.wire.line()
        found = re.match(r"\* (OK|PREAUTH|BYE)\b", line, re.I)
        if not found:
            raise NotMail("what came is no IMAP: %s" % self.wire.quoted(line))
        word = found.group(1).upper()
        return Reply(word != "BYE", word, self.wire.shown(line), [line])

    def capabilities(self) -> Optional[List[str]]:
        reply = self.ask("CAPABILITY")
        words = [line.upper().split()[2:] for line in reply.lines if re.match(r"\* CAPABILITY\b", line, re.I)]
        return [word for line in words for word in line] if reply.good and words else None

    def ask(self, command: str) -> Reply:
        self._number += 1
        self.wire.send("a%d %s" % (self._number, command))
        return self._reply()

    @staticmethod
    def mechanisms(capabilities: List[str]) -> List[str]:
        found = {word[5:] for word in capabilities if word.startswith("AUTH=")}
        # The command LOGIN is there unless the server says it is not. It is another thing than AUTH=LOGIN, for the same password.
        if capabilities and "LOGINDISABLED" not in capabilities:
            found.add("LOGIN")
        return sorted(found)

    def open_auth(self) -> Reply:
        reply = self.ask("AUTHENTICATE PLAIN")
        if reply.good is None:
            self.wire.send("*")
            self._reply()
        return reply

    def login(self, username: str, password: str, mechanisms: List[str]) -> Reply:
        if "PLAIN" in mechanisms:
            return self._tell(self.ask("AUTHENTICATE PLAIN"), [_base64("\0%s\0%s" % (username, password))])
        # Literals, because a password may hold anything (RFC 9051 section 4.3).
        reply = self.ask("LOGIN {%d}" % len(username.encode("utf-8")))
        return self._tell(reply, ["%s {%d}" % (username, len(password.encode("utf-8"))), password])

    def _reply(self) -> Reply:
        lines: List[str] = []
        tag = "a%d " % self._number
        while True:
            line = self.wire.line()
            lines.append(line)
            if line.startswith("+"):
                return Reply(None, "+", self.wire.shown(line), lines)
            if line.startswith(tag):
                word = line[len(tag) :].split(" ")[0].upper()
                if word not in ("OK", "NO", "BAD"):
                    raise NotMail("what came is no IMAP: %s" % self.wire.quoted(line))
                return Reply(word == "OK", word, self.wire.shown(line[len(tag) :]), lines)
            if re.match(r"\* BYE\b", line, re.I):
                return Reply(False, "BYE", self.wire.shown(line), lines)
            if not line.startswith("* "):
                raise NotMail("what came is no IMAP: %s" % self.wire.quoted(line))
            if len(lines) >= MAX_LINES:
                raise NotMail("a reply of more than %d lines came" % MAX_LINES)


class Pop(Dialog):
    """RFC 1939, 2449, 2595."""

    STARTTLS = "STLS"

    def greeting(self) -> Reply:
        return self._reply()

    def capabilities(self) -> Optional[List[str]]:
        if not self.ask("CAPA").good:
            return None  # RFC 2449: a server need not have it
        lines: List[str] = []
        while len(lines) < MAX_LINES:
            line = self.wire.line()
            if line == ".":
                return lines
            lines.append(line.strip().upper())
        raise NotMail("a reply of more than %d lines came" % MAX_LINES)

    def ask(self, command: str) -> Reply:
        self.wire.send(command)
        return self._reply()

    @staticmethod
    def mechanisms(capabilities: List[str]) -> List[str]:
        found = {word for line in capabilities if line.startswith("SASL ") for word in line.split()[1:]}
        if "USER" in capabilities:
            found.add("LOGIN")
        return sorted(found)

    def login(self, username: str, password: str, mechanisms: List[str]) -> Reply:
        if "PLAIN" in mechanisms:
            return super().login(username, password, mechanisms)
        reply = self.ask("USER %s" % username)
        return self.ask("PASS %s" % password) if reply.good else reply

    def _reply(self) -> Reply:
        line = self.wire.line()
        if line.startswith("+OK"):
            return Reply(True, "+OK", self.wire.shown(line), [line])
        if line.startswith("-ERR"):
            return Reply(False, "-ERR", self.wire.shown(line), [line])
        if line.startswith("+"):
            return Reply(None, "+", self.wire.shown(line), [line])
        raise NotMail("what came is no POP3: %s" % self.wire.quoted(line))


def _joined(lines: List[str]) -> str:
    """A reply as one line. Every line repeats the code, and the enhanced one too (RFC 2034 section 4), in the midst of what is said."""
    texts = [line[4:].strip() for line in lines]
    enhanced = re.match(r"[245]\.\d{1,3}\.\d{1,3} ", texts[0])
    if enhanced:
        texts[1:] = [text[enhanced.end() :] if text.startswith(enhanced.group()) else text for text in texts[1:]]
    return " ".join([lines[0][:3], *texts])


DIALOGS: Dict[str, Type[Dialog]] = {"smtp": Smtp, "imap": Imap, "pop": Pop}
"""By service."""


def _base64(text: str) -> str:
    return base64.b64encode(text.encode("utf-8")).decode("ascii")


def _literal(connection: socket.socket) -> str:
    """Our address as an SMTP client without a name of its own writes it (RFC 5321 section 4.1.3)."""
    try:
        address = str(connection.getsockname()[0])
    except OSError:
        return "[127.0.0.1]"
    return "[IPv6:%s]" % address.partition("%")[0] if ":" in address else "[%s]" % address
