# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What people write into the cells of a list, in the words of the model. Pure, no Ansible.

Whatever is read otherwise than it is written is told, once for all lines. What is not known stays as it is: the model says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from .problem import places
from .programs import LATER, PROGRAMS

PHONES: Mapping[str, str] = {
    **dict.fromkeys(("ios", "iphone", "ipad", "apple"), "ios"),
    **dict.fromkeys(("android", "android phone", "samsung", "samsung galaxy", "galaxy", "pixel", "google pixel"), "android"),
}
_NONE = frozenset(("none", "no", "-", "--", "n/a", "na", "no phone"))
_NUMBER = re.compile(r"\+?[0-9(][0-9 ()./-]{5,}")
PROTOCOLS: Mapping[str, str] = {"imap4": "imap", "pop3": "pop"}
STATES: Mapping[str, str] = {
    **dict.fromkeys(("left", "leaver", "former", "inactive", "gone"), "absent"),
    **dict.fromkeys(("active", "current", "here"), "present"),
}
_PROGRAMS: Mapping[str, str] = {
    **{name: name for name in (*PROGRAMS, *LATER)},
    **dict.fromkeys(("microsoft outlook", "ms outlook", "outlook classic", "new outlook", "outlook 365"), "outlook"),
    **dict.fromkeys(("apple mail", "mail", "mail.app", "apple_mail"), "apple_mail"),
    "isync": "mbsync",
}
# ACME\mjones, .\mjones, mjones@acme.local
_LOGIN = re.compile(r"(?:[^\\/@\s]*\\)?(?P<login>[^\\/@\s]+)(?:@[^\\/@\s]+)?")


class Notes:
    """What is told of the lines of a list, each thing once."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}

    def add(self, what: str, where: str) -> None:
        lines = self._lines.setdefault(what, [])
        lines += [] if where in lines else [where]

    def lines(self) -> list[str]:
        """One sentence each, with where it is."""
        return [f"{what} ({places(where)})" for what, where in self._lines.items()]


def tidy(row: dict[str, str], notes: Notes) -> None:
    """The cells of a row in the model's words."""
    where = row["source"]
    row["machines"] = " ".join(re.split(r"[,;/\s]+", row["machines"].strip())) if row["machines"].strip().casefold() not in _NONE else ""
    row["protocol"] = PROTOCOLS.get(row["protocol"].casefold(), row["protocol"])
    row["state"] = STATES.get(row["state"].casefold(), row["state"])
    row["phones"] = _words(row["phones"], PHONES)
    if _NUMBER.fullmatch(row["phones"].strip()):
        notes.add("a telephone number is no kind of phone; write iphone or android", where)
        row["phones"] = ""
    row["programs"] = _words(row["programs"], _PROGRAMS)
    for name in row["programs"].split():
        if name in LATER:
            notes.add(f"{LATER[name]} is not set up by this version", where)
    login = _LOGIN.fullmatch(row["login"])
    if login and login["login"] != row["login"]:
        notes.add("logins are read without their domain", where)
        row["login"] = login["login"]


def _words(text: str, known: Mapping[str, str]) -> str:
    """Words of a list, those that are known in the model's; between commas, semicolons, slashes and line breaks may be two that are one."""
    found: list[str] = []
    for piece in re.split(r"[,;/\n]+", text):
        words = " ".join(piece.split())
        if words.casefold() in known:
            found.append(known[words.casefold()])
        else:
            found += [known.get(word.casefold(), word) for word in words.split()]
    if text.strip().casefold() in _NONE:
        return ""
    return " ".join(dict.fromkeys(found)) if not _NUMBER.fullmatch(text.strip()) else text


def machine_of(word: str, index: Mapping[str, list[str]]) -> list[str]:
    """The machines that a word may mean: of the same name, else whatever the case, else of the same name before the domain."""
    name = word.casefold()
    for key in (f"={word}", f"~{name}", f".{name}", f".{name.partition('.')[0]}"):
        if found := index.get(key):
            return found
    return []


def index_of(machines: Iterable[str]) -> dict[str, list[str]]:
    """For machine_of()."""
    index: dict[str, list[str]] = {}
    for name in machines:
        label = name.casefold().partition(".")[0]
        keys = [f"={name}", f"~{name.casefold()}", *([f".{label}"] if not label.isdecimal() else [])]
        for key in keys:
            index.setdefault(key, []).append(name)
    return index
