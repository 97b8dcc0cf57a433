# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What may be a host name, a mailbox, an account name: one set of rules, for the check and for what writes. Pure, no Ansible."""

from __future__ import annotations

import re
import unicodedata

# ASCII: without it, re.I takes "ſ" for an "s" and "ı" for an "i".
_HOST = re.compile(r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.I | re.A)
# RFC 5321 4.1.2 Dot-string; a Quoted-string is legal there, but no program here survives one everywhere.
_LOCAL_PART = re.compile(r"(?=.{1,64}\Z)[a-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.I | re.A)
# The name of the home, and of paths below it, on every platform.
_NO_LOGIN = re.compile(r'[\s/\\:*?"<>|]')
_LONGEST_LOGIN = 64

# What stands in a group's name for the characters of an address that it cannot have and that people do have.
_SPELT = {"-": "DASH", "_": "UNDER", "+": "PLUS"}


def is_host(text: str) -> bool:
    """Whether `text` is a host name of ASCII letters, digits and dashes (RFC 1123 2.1)."""
    return _HOST.fullmatch(text) is not None


def is_mail_domain(text: str) -> bool:
    """Whether `text` is a host name with a dot in it."""
    return "." in text and is_host(text)


def is_local_part(text: str) -> bool:
    """Whether `text` can stand before the @ of an address."""
    return _LOCAL_PART.fullmatch(text) is not None


def is_number(text: str, least: int, most: int) -> bool:
    """Whether `text` is a number from `least` to `most`, in the digits 0 to 9."""
    return text.isascii() and text.isdecimal() and len(text) <= len(str(most)) and least <= int(text) <= most


def login_problem(login: str) -> str:
    """Why `login` cannot be a person's account name on a machine, as half a sentence; "" when it can.

    Names of domains, paths and other parts of a system are none, nor is what no program can have a home for.
    """
    if found := invisible(login):
        return f"has the invisible character {found}; type it again"
    if login.startswith(("-", "~", ".")) or _NO_LOGIN.search(login) or has_control(login):
        return "is not an account name; write it without domain and path, and without blanks, as in jane"
    if len(login) > _LONGEST_LOGIN:
        return f"has {len(login)} characters; {_LONGEST_LOGIN} are the most in an account name"
    return ""


def invisible(text: str) -> str:
    """The first character of `text` that only steers how others are shown (Unicode category Cf), as in U+202E; "" when there is none."""
    return next((f"U+{ord(c):04X}" for c in text if not c.isascii() and unicodedata.category(c) == "Cf"), "")


def has_control(text: str) -> bool:
    """Whether `text` has a character that ends lines, is none at all, or that XML cannot carry (XML 1.0, 2.2)."""
    return not text.isprintable() and any(unicodedata.category(c) in ("Cc", "Zl", "Zp", "Cs") or c in "\ufffe\uffff" for c in text)


def composed(text: str) -> str:
    """`text` with letters and their accents as one character each (Unicode NFC), so that two spellings of a name are one."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def group_of(address: str) -> str:
    """The Ansible group of a person, another one for every address: `person_jane_doe_example_org` for jane.doe@example.org.

    Letters (small ones) and digits stay. A dot is `_`. The @ is `_` too, and `__` before a domain that has not just two parts, as in
    `person_jane__firm_co_uk`. A dash is `DASH`, an underscore `UNDER`, a plus `PLUS`, anything else `X` and its code, as in `X27`.
    """
    local_part, _unused, domain = address.lower().rpartition("@")
    at = "_" if domain.count(".") == 1 else "__"
    return f"person_{_in_group(local_part)}{at}{_in_group(domain)}"


def _in_group(text: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "_" if c == "." else _SPELT.get(c) or f"X{ord(c):02X}" for c in text)
