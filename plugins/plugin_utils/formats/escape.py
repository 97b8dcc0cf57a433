"""One function per text format: how any text becomes a value that the program reads back unchanged. Pure, no Ansible.

Every function takes text and returns text. Every one raises ValueError for control characters and line separators: the
formats are read line by line, and a line break would be a way to smuggle in a setting.
"""

from __future__ import annotations

import re
import unicodedata
import urllib.parse
from collections.abc import Callable, Mapping
from types import MappingProxyType

# msmtp 1.8.23 to 1.8.33 src/conf.c LINEBUFSIZE 501: a longer line is refused. 32 are left for the setting's name.
MSMTP_LONGEST = 501 - 2 - 32
# isync 1.4 and 1.5 read lines into 1024 bytes (src/config.c).
MBSYNC_LONGEST = 1024 - 2 - 32

_AERC_REFERENCE = re.compile(r"%\([^)]+\)s")


def plain(text: str) -> str:
    """The text itself, if one line of a file can carry it.

    Raises ValueError for control characters, line and paragraph separators and lone surrogates.
    """
    for character in text:
        if unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs"):
            raise ValueError(f"a control character ({ascii(character)}) cannot be written into a mail program's settings")
    return text


def _short(text: str, longest: int, program: str) -> str:
    if len(text.encode()) > longest:
        raise ValueError(f"{program} reads lines of limited length, {longest} bytes are the most; make it shorter")
    return text


def msmtp_value(text: str) -> str:
    """A value of msmtprc: msmtp takes one pair of double quotes off and knows no escapes (src/conf.c trim_string).

    Raises ValueError when msmtp would refuse the line as too long.
    """
    return _short(f'"{plain(text)}"', MSMTP_LONGEST, "msmtp")


def mbsync_value(text: str) -> str:
    r"""A value of mbsyncrc: in double quotes, ``\`` and ``"`` behind a backslash (isync src/config.c next_arg).

    Raises ValueError when mbsync would cut the line.
    """
    escaped = plain(text).replace("\\", "\\\\").replace('"', '\\"')
    return _short(f'"{escaped}"', MBSYNC_LONGEST, "mbsync")


def neomutt_value(text: str) -> str:
    """A word of neomuttrc: all is literal between single quotes; a single quote goes outside, behind a backslash.

    Source: NeoMutt parse_extract_token. Double quotes will not do: in them ``$`` and backticks are expanded.
    """
    return "'" + plain(text).replace("'", "'\\''") + "'"


def neomutt_command(text: str) -> str:
    r"""A shell command whose output is the value of a `set` of neomuttrc: in backticks, those in double quotes.

    `set` reads what is between the backticks like a value (TOKEN_BACKTICK_VARS): ``\``, ``$`` and a backtick need a
    backslash, quotes of either kind do not. The double quotes around it keep the output from being read again.
    """
    return '"`' + re.sub(r"([\\$`])", r"\\\1", plain(text)) + '`"'


def neomutt_pattern(text: str) -> str:
    """A POSIX extended regular expression that finds the text in NeoMutt's mailbox addresses.

    NeoMutt hands some addresses to hooks as they were written, others after taking them apart and putting them together
    again, which percent-encodes fewer characters (email/url.c url_pct_encode). Both spellings match.
    """
    return "".join(map(_either_spelling, plain(text)))


def _either_spelling(character: str) -> str:
    encoded = url_part(character)
    literal = re.sub(r"[][.*+?(){}|$\\]", lambda found: f"[{found[0]}]", character).replace("^", "\\^")
    return literal if encoded == character else f"({literal}|{encoded})"


def url_part(text: str) -> str:
    """A part of a URL, such as the user: everything but letters, digits and ``-._~`` percent-encoded (RFC 3986 2.3)."""
    return urllib.parse.quote(plain(text), safe="")


def aerc_value(text: str) -> str:
    """A value of aerc's accounts.conf: in backticks, between which all is literal, the last one on the line ends it.

    Source: go-ini 1.63 and 1.67 parser.go readValue. Raises ValueError for ``%(name)s``, which go-ini replaces by another
    setting in any kind of quotes.
    """
    if _AERC_REFERENCE.search(plain(text)):
        raise ValueError("aerc would replace the %(...)s in it by another setting; leave that out")
    return f"`{text}`"


def keyfile_value(text: str) -> str:
    r"""A string of a GKeyFile, as Evolution's sources are: ``\\`` behind a backslash, a blank at the beginning as ``\s``.

    Source: GLib, "Key-value file parser".
    """
    escaped = plain(text).replace("\\", "\\\\")
    return f"\\s{escaped[1:]}" if escaped.startswith(" ") else escaped


def display_name(text: str) -> str:
    r"""The name part of a From header (RFC 5322 3.4) as a quoted-string (3.2.4), other than ASCII unencoded (RFC 6532)."""
    escaped = plain(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


FORMATS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "msmtprc": msmtp_value,
        "mbsyncrc": mbsync_value,
        "neomuttrc": neomutt_value,
        "neomuttrc_command": neomutt_command,
        "neomuttrc_pattern": neomutt_pattern,
        "aerc": aerc_value,
        "keyfile": keyfile_value,
        # Claws Mail takes what stands behind the sign as it is (src/common/prefs.c).
        "accountrc": plain,
        "url": url_part,
        "display_name": display_name,
    }
)
"""What the filter as_value knows."""
