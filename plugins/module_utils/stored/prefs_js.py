# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read Thunderbird's prefs.js: the format, and the mail accounts in it with the defaults that Thunderbird does not store.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import re
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple, Union

from ansible_collections.msp.charter_mail.plugins.module_utils.stored.account import Server, Settings, Stored, server, stored

Prefs = Dict[str, Union[str, int, bool]]

# One token, of a string only its first quote. A comment without an end goes on to the end of the file. Source of this and of
# what follows: mozilla-central modules/libpref/parser/src/lib.rs.
_TOKEN = re.compile(
    rb"""
      (?P<blank> [ \t\v\f\r\n]+ | (?:\#|//)[^\r\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<string> ["'] )
    | (?P<word> [A-Za-z_]+ )
    | (?P<number> [0-9]+[A-Za-z_]? )
    | (?P<end> ; )
    | (?P<sign> [(),+-] )
    | (?P<other> /[^\r\n] | . )
    """,
    re.DOTALL | re.VERBOSE,
)
_STOP = {b'"': re.compile(rb'[\\"]'), b"'": re.compile(rb"[\\']")}
_PIECE = re.compile(
    rb"(?P<plain>[^\\]+)|\\(?:(?P<char>[\"'\\nr])|x(?P<byte>[0-9A-Fa-f]{2})|u(?P<unit>[0-9A-Fa-f]{4}))"  # a stretch of a string
)
_CHARACTERS = {b"n": b"\n", b"r": b"\r"}


class _Token(NamedTuple):
    kind: str
    text: bytes


def parse(data: bytes, prefix: str = "") -> Tuple[Prefs, int]:
    """The preferences whose names begin with ``prefix``, and how many statements were skipped.

    A statement that is not ``user_pref("name", value);`` is skipped up to the next ``;``, as Thunderbird does; of a name
    that is there twice the last one counts. Takes any bytes and raises nothing.
    """
    prefs: Prefs = {}
    skipped = 0
    for statement in _statements(data):
        pref = _pref(statement)
        if pref is None:
            skipped += 1
        elif pref[0].startswith(prefix):
            prefs[pref[0]] = pref[1]
    return prefs, skipped


def _statements(data: bytes) -> Iterator[List[_Token]]:
    data = data.partition(b"\0")[0]  # NUL is the end of the file
    at = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    statement: List[_Token] = []
    while at < len(data):
        match = _TOKEN.match(data, at)
        if match is None:
            raise AssertionError("the last alternative takes anything")
        kind, start = str(match.lastgroup), at
        at = _string_end(data, at) if kind == "string" else match.end()
        if kind == "end":
            yield statement
            statement = []
        elif kind != "blank" and len(statement) < 9:  # more than any statement has: it is wrong already
            statement.append(_Token(kind, data[start:at]))
    if statement:
        yield statement


def _string_end(data: bytes, start: int) -> int:
    stop, at = _STOP[data[start : start + 1]], start + 1
    while True:
        match = stop.search(data, at)
        if match is None:
            return len(data)
        if match.group() != b"\\":
            return match.end()
        at = match.end() + 1


def _pref(statement: List[_Token]) -> Optional[Tuple[str, Union[str, int, bool]]]:
    words = [token.text if token.kind != "string" else b'"' for token in statement]
    if words[:4] != [b"user_pref", b"(", b'"', b","] or words[-1] != b")" or len(words) not in (6, 7):
        return None
    name, value = _string(statement[2]), _value(statement[4:-1])
    return None if name is None or value is None else (name, value)


def _value(tokens: List[_Token]) -> Union[str, int, bool, None]:
    last = tokens[-1]
    if len(tokens) == 1 and last.kind == "string":
        return _string(last)
    if len(tokens) == 1 and last.text in (b"true", b"false"):
        return last.text == b"true"
    if not last.text.isdigit() or len(last.text) > 40 or (len(tokens) == 2 and tokens[0].text not in (b"+", b"-")):
        return None
    number = int(last.text) * (-1 if tokens[0].text == b"-" else 1)
    return number if -(2**31) <= number < 2**31 else None


def _string(token: _Token) -> Optional[str]:
    r"""The text of a string token; None when it has no end, or an escape other than \" \' \\ \n \r \xNN \uNNNN."""
    quoted = token.text
    if token.kind != "string" or len(quoted) < 2 or quoted[-1:] != quoted[:1]:
        return None
    text = bytearray()
    high = b""  # the first half of a character beyond U+FFFF
    at, end = 1, len(quoted) - 1
    while at < end:
        match = _PIECE.match(quoted, at, end)
        if match is None:
            return None
        at = match.end()
        unit = _bytes(match.group("unit"))
        if bool(high) != (b"\xdc" <= unit[:1] <= b"\xdf"):
            return None  # half a character
        if b"\xd8" <= unit[:1] <= b"\xdb":
            high = unit
            continue
        character = match.group("char")
        piece = (
            (high + unit).decode("utf-16-be").encode("utf-8")
            or _bytes(match.group("byte"))
            or _CHARACTERS.get(character, character)
            or match.group("plain")
        )
        if piece == b"\0":
            return None
        high = b""
        text += piece
    return None if high else text.decode("utf-8", "replace")


def _bytes(digits: Optional[bytes]) -> bytes:
    return bytes.fromhex((digits or b"").decode("ascii"))


# Key of an account that this project made, see roles/programs.
_MARK = "account_charter_"

_PROTOCOLS = {"imap": "imap", "pop3": "pop"}
# nsMsgSocketType. 0 is clear text; so is 1, "STARTTLS if available", which was dropped before 140.
_SECURITY = {2: "starttls", 3: "tls"}
_NO_LOGIN = 1  # nsMsgAuthMethod.none
# (protocol, TLS from the first byte) -> the port where none is stored.
_PORTS = {
    **{("imap", True): 993, ("imap", False): 143},
    **{("pop", True): 995, ("pop", False): 110},
    **{("smtp", True): 465, ("smtp", False): 587},
}


def accounts(data: bytes) -> Settings:
    """The mail accounts of a profile, in their order, as Thunderbird 140 and 153 use them.

    Only what ``mail.accountmanager.accounts`` lists counts, and of it only IMAP and POP. Of an account's identities one is the
    mailbox's own: the first with its user name as address, else as the part of it before the @, else the first of all. Every other is an
    entry without ``incoming``: mail is sent with it, but not fetched.
    """
    prefs, skipped = parse(data, "mail.")
    problems = []
    if skipped:
        what = "1 statement" if skipped == 1 else "%d statements" % skipped
        problems.append("%s in it cannot be understood; Thunderbird skips what it cannot understand as well" % what)
    found: List[Stored] = []
    seen = set()
    smtp_keys = dict.fromkeys(_text(prefs, "mail.smtpservers").split(","))  # blanks are part of a key here
    smtp_keys.pop("", None)
    for account in _list(prefs, "mail.accountmanager.accounts"):
        key = _text(prefs, "mail.account.%s.server" % account)
        incoming = None if key in seen else _incoming(prefs, key)  # of two accounts with one server the first counts
        seen.add(key)
        if incoming is None:
            continue
        managed = account.startswith(_MARK)
        identities = {
            name: _text(prefs, "mail.identity.%s.useremail" % name) for name in _list(prefs, "mail.account.%s.identities" % account)
        }
        if not identities:
            found.append(stored("", incoming, None, managed))
        # The identity of the mailbox itself, whatever others the person has put before it.
        user = incoming["username"].casefold()
        like = {name: (email.casefold() == user, email.casefold().partition("@")[0] == user) for name, email in identities.items()}
        first = max(identities, key=lambda name: like[name], default="")
        for identity in sorted(identities, key=lambda name: name != first):
            outgoing = _outgoing(prefs, identity, smtp_keys)
            if identity == first or outgoing is not None:
                found.append(stored(identities[identity], incoming if identity == first else None, outgoing, managed))
    return Settings(found, problems)


def _text(prefs: Prefs, name: str) -> str:
    value = prefs.get(name)
    return value if isinstance(value, str) else ""


def _number(prefs: Prefs, *names: str) -> Optional[int]:
    """The first of the preferences that is a number; one of another type counts as not set."""
    values = (prefs.get(name) for name in names)
    return next((value for value in values if isinstance(value, int) and not isinstance(value, bool)), None)


def _list(prefs: Prefs, name: str) -> Dict[str, None]:
    words = (word.strip() for word in _text(prefs, name).split(","))
    return dict.fromkeys(word for word in words if word)


def _incoming(prefs: Prefs, key: str) -> Optional[Server]:
    """Source of the defaults: comm-central mailnews/base/src/nsMsgIncomingServer.cpp, GetPort and GetSocketType."""
    branch, default = "mail.server.%s." % key, "mail.server.default."
    protocol, host = _PROTOCOLS.get(_text(prefs, branch + "type")), _text(prefs, branch + "hostname")
    if protocol is None or not host:
        return None  # Thunderbird drops it as well
    socket = _number(prefs, branch + "socketType")
    if socket is None:  # isSecure is what old versions wrote
        socket = 3 if prefs.get(branch + "isSecure") is True else _number(prefs, default + "socketType")
    security = _SECURITY.get(socket or 0, "none")
    port = _number(prefs, branch + "port", default + "port")
    if port is None or port in (-1, 0):
        port = _PORTS[protocol, security == "tls"]
    return server(protocol, host, port, security, _text(prefs, branch + "userName"))


def _outgoing(prefs: Prefs, identity: str, keys: Dict[str, None]) -> Optional[Server]:
    """Source: comm-central mailnews/compose/src/OutgoingServerService.sys.mjs, SmtpServer.sys.mjs, and SmtpClient.sys.mjs for
    the port where none is stored: 465 with TLS from the first byte, else 587."""
    chosen = _text(prefs, "mail.identity.%s.smtpServer" % identity) or _text(prefs, "mail.smtp.defaultserver")
    key = chosen or next(iter(keys), "")
    branch, default = "mail.smtpserver.%s." % key, "mail.smtpserver.default."
    host = _text(prefs, branch + "hostname")
    if key not in keys or not host or prefs.get(branch + "type", "smtp") != "smtp":
        return None
    security = _SECURITY.get(_number(prefs, branch + "try_ssl", default + "try_ssl") or 0, "none")
    port = _number(prefs, branch + "port") or _PORTS["smtp", security == "tls"]
    logs_in = _number(prefs, branch + "authMethod", default + "authMethod") != _NO_LOGIN
    return server("smtp", host, port, security, _text(prefs, branch + "username") if logs_in else "")
