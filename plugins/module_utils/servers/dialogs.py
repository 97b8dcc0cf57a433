# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How SMTP, IMAP and POP are spoken, as far as a look at a server goes. Runs on machines: Python 3.8, standard library only."""

from __future__ import annotations

import re
import socket
from typing import Dict, List, Optional, Type

from ansible_collections.msp.charter_mail.plugins.module_utils.servers.wire import (
    MAX_LINES,
    Dialog,
    NotMail,
    Refused,
    Reply,
    Wire,
    encoded,
)

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
            return self._tell(self.ask("AUTHENTICATE PLAIN"), [encoded("\0%s\0%s" % (username, password))])
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


def _literal(connection: socket.socket) -> str:
    """Our address as an SMTP client without a name of its own writes it (RFC 5321 section 4.1.3)."""
    try:
        address = str(connection.getsockname()[0])
    except OSError:
        return "[127.0.0.1]"
    return "[IPv6:%s]" % address.partition("%")[0] if ":" in address else "[%s]" % address
