# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read the IMAP accounts of a mbsync configuration file. Source of the rules: isync 1.4.4 and 1.5.0 src/config.c, src/drv_imap.c.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

from typing import Dict, List, Optional, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.stored.account import Settings, Stored, server, stored

MAX_LINE = 1022
"""Bytes with the line end; mbsync takes what is beyond for a line of its own."""

_SECTIONS = frozenset(("imapaccount", "imapstore", "maildirstore", "channel", "group"))
_GLOBAL = """
    fsync fielddelimiter bufferlimit sync syncstate copyarrivaldate maxlinelength cutlonglines skipbinarycontent
    deletenonempty maxmessages expireside expireunread expunge expungesolo create remove
"""
_SECURITY = {"none": "none", "starttls": "starttls", "imaps": "tls"}
_YES = ("yes", "true", "on", "1")
_TUNNEL = "it connects through a command (Tunnel), so only mbsync knows to which server"
_USER = "it learns a user name from a command (UserCmd), which is not run here"


class _Bad(Exception):
    """mbsync would refuse the whole file. The message is a half sentence."""


def accounts(data: bytes) -> Settings:
    """The accounts in the order of the file, also those that no channel uses.

    Takes any bytes and raises nothing. Where mbsync cannot read the file there are no accounts, and a problem says why.
    """
    found: List[Stored] = []
    problems: List[str] = []
    try:
        for section in _sections(data):
            entry = _stored(section, problems)
            if entry is not None:
                found.append(entry)
    except _Bad as error:
        return Settings([], [str(error)])
    return Settings(found, list(dict.fromkeys(problems)))


def _sections(data: bytes) -> List[Dict[str, str]]:
    """The settings, by lower-case name, of each section that can be an account; "" is the line the section begins in."""
    sections: List[Dict[str, str]] = []
    inside = False
    current: Optional[Dict[str, str]] = None
    for number, raw in enumerate(data.split(b"\n"), 1):
        if len(raw) >= MAX_LINE:
            raise _Bad("line %d is longer than the %d characters that mbsync reads" % (number, MAX_LINE))
        word, rest = _word(raw.partition(b"\0")[0].decode("utf-8", "replace") + "\n", number)
        if word is None:
            if not rest.startswith("#"):  # a blank line ends a section, a comment does not
                inside, current = False, None
            continue
        value, _unused = _word(rest, number)
        if value is None:
            raise _Bad("line %d has a name without a value" % number)
        key = word.lower()
        if not inside and key in _SECTIONS:
            inside, current = True, None
            if key in ("imapaccount", "imapstore"):
                current = {"": str(number)}
                sections.append(current)
        elif inside and key in _SECTIONS and not (key == "channel" and current is None):
            raise _Bad("line %d begins a section, but the blank line before it is missing" % number)
        elif not inside and key not in _GLOBAL.split():
            raise _Bad("line %d begins with a word that mbsync does not know there" % number)
        elif current is not None:
            _keep(current, key, value, number)
    return sections


def _word(text: str, number: int) -> Tuple[Optional[str], str]:
    """The first word of the text and what follows; None for blank text and before a comment (isync get_arg)."""
    blanks = " \t\r\n\v\f"
    text = text.lstrip(blanks)
    if not text or text[0] == "#":
        return None, text
    word: List[str] = []
    escaped = quoted = False
    end = len(text)
    for at, character in enumerate(text):
        if escaped and character >= " ":
            escaped = False
            word.append(character)
        elif character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif not quoted and character in blanks:
            end = at
            break
        else:
            word.append(character)
    if escaped or quoted:
        raise _Bad("line %d has a quote or a backslash without its end" % number)
    return "".join(word), text[end:]


def _keep(section: Dict[str, str], key: str, value: str, number: int) -> None:
    if key in ("ssltype", "tlstype"):  # 1.5 calls TLSType what 1.4 calls SSLType
        if value.lower() not in _SECURITY:
            raise _Bad("line %d has none of None, STARTTLS and IMAPS" % number)
        section["security"] = _SECURITY[value.lower()]
    elif key == "useimaps" and value.lower() in _YES:  # until 1.4
        section["security"] = "tls"
    elif key == "host":
        # Until 1.4 a host may be written as a URL.
        scheme, colon, host = value.partition(":")
        if colon and scheme in ("imap", "imaps"):
            section["security"] = "tls" if scheme == "imaps" else section.get("security", "starttls")
            value = host
        section["host"] = value[2:] if value.startswith("//") else value
    elif key == "port":
        if not (value.isascii() and value.isdecimal() and len(value) <= 6 and int(value) <= 65535):
            raise _Bad("line %d has no usable value for Port" % number)
        section["port"] = value
    elif key in ("user", "usercmd", "tunnel", "account"):
        section[key] = value


def _stored(section: Dict[str, str], problems: List[str]) -> Optional[Stored]:
    if "account" in section:
        return None  # a store of an account that has a section of its own
    if "tunnel" in section:
        problems.append(_TUNNEL)
        return None
    if "host" not in section:
        raise _Bad("the section in line %s names no Host" % section[""])
    if "usercmd" in section:
        problems.append(_USER)
    security = section.get("security", "starttls")
    port = int(section.get("port", "0")) or (993 if security == "tls" else 143)
    return stored("", server("imap", section["host"], port, security, section.get("user", "")), None)
