# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the columns of a list may be called. Data, and the one function that reads a header by it. Pure, no Ansible.

Sources: the exports "Active users" of the Microsoft 365 admin center and "Download users" of the Google Admin console, as their help pages
show them in 2026; lists of office managers.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .problem import Problem, cell, did_you_mean

REQUIRED = ("address", "full_name")
COLUMNS = (
    *REQUIRED,
    "machines",
    "login",
    "protocol",
    "smtp_port",
    "programs",
    "phones",
    "primary",
    "state",
    "sender_name",
)
# Two columns that are one person's name together.
FIRST, LAST = "first name", "last name"

# A name in small letters, with what is no letter or digit as a blank and without what stands in brackets -> the column.
NAMES: Mapping[str, str] = {
    **{name.replace("_", " "): name for name in COLUMNS},
    **dict.fromkeys(("email", "e mail", "mail", "email address", "e mail address", "mail address", "mailbox"), "address"),
    **dict.fromkeys(("user principal name", "userprincipalname"), "address"),
    **dict.fromkeys(("name", "display name", "displayname", "person", "employee"), "full_name"),
    **dict.fromkeys(("machine", "computer", "computers", "computer name", "pc", "pcs", "device", "devices", "workstation"), "machines"),
    **dict.fromkeys(("user", "user name", "windows login", "windows user", "logon name", "samaccountname"), "login"),
    **dict.fromkeys(("program", "mail program", "mail client", "client"), "programs"),
    **dict.fromkeys(("phone", "phone type", "mobile", "mobile phone", "smartphone"), "phones"),
    **dict.fromkeys(("port",), "smtp_port"),
    **dict.fromkeys(("status",), "state"),
    **dict.fromkeys(("first name", "firstname", "given name"), FIRST),
    **dict.fromkeys(("last name", "lastname", "surname", "family name"), LAST),
}
# Means the address in Microsoft's lists and the login in others: what the list does not have otherwise.
EITHER = {"username": ("address", "login")}
# What exports and people have beside what is needed here, and what is so near to a column that it would be taken for a mistyped one.
IGNORED = frozenset(
    (
        *(
            "department",
            "title",
            "job title",
            "office",
            "notes",
            "comment",
            "comments",
            "city",
            "country",
            "fax",
            "manager",
            "state or province",
        ),
        # Microsoft 365
        *(
            "phone number",
            "office phone",
            "proxy addresses",
            "street address",
            "postal code",
            "usage location",
            "preferred language",
            "licenses",
        ),
        *("block credential", "dirsyncenabled", "object id", "when created", "release track", "strong password required"),
        # Google
        *("org unit path", "work phone", "home phone", "recovery phone", "recovery email", "work address", "home address", "employee id"),
        *("home secondary email", "work secondary email", "new primary email", "new status", "manager email", "last sign in"),
    )
)
# In a list with one of these, from Microsoft 365, the state is one of a country.
_MICROSOFT = ("usage location", "postal code", "street address")
_SECRET = re.compile("pass(word|wd|phrase)?( hash function)?|pin|secret")


class Header(NamedTuple):
    """names: by position the column, FIRST, LAST, or "" for what is not read. given: the header as it is written. ignored: columns that
    are not read.
    """

    names: list[str]
    given: list[str]
    ignored: list[str]
    problems: list[Problem]


def read_header(cells: Sequence[str], where: str) -> Header:
    """Which column is which. A name that is near to a column's is taken for mistyped; what else is not known is not read."""
    plain = [_plain(cell) for cell in cells]
    names: list[str] = []
    ignored: list[str] = []
    problems: list[Problem] = []
    provinces = any(name in plain for name in _MICROSOFT)
    for given, name in zip(cells, plain, strict=True):
        column = NAMES.get(name, "")
        if name == "state" and provinces:
            column = ""
        elif name in EITHER:
            column = _either(name, [NAMES.get(other, "") for other in plain])
            if not column:
                readings = " or ".join(EITHER[name])
                what = (
                    f"column {cell(given)} may be the {readings}, and both are there already; leave it out, or give it one of those names"
                )
                problems.append(Problem(where, what=what))
        elif not column and name and (hint := _meant(name)):
            problems.append(Problem(where, what=f"column {cell(given, COLUMNS)} is not known{hint}; known are: {', '.join(COLUMNS)}"))
        names.append(column)
        if not column and name:
            ignored.append(given)
    for column in dict.fromkeys(names):
        if column and names.count(column) > 1:
            both = [given for given, name in zip(cells, names, strict=True) if name == column]
            same = len({_plain(given) for given in both}) == 1
            what = (
                f'column "{column}" is there twice'
                if same
                else f"columns {' and '.join(map(cell, both))} both mean {column}; leave one out"
            )
            problems.append(Problem(where, what=what))
    if "full_name" in names:
        names = ["" if name in (FIRST, LAST) else name for name in names]
    for column in REQUIRED:
        if column not in names and not (column == "full_name" and (FIRST in names or LAST in names)):
            problems.append(Problem(where, what=f'column "{column}" is missing'))
    return Header(names, list(cells), [given for given in ignored if not any(given in problem.what for problem in problems)], problems)


def is_secret(column: str) -> bool:
    """Whether a column that is not read is one of passwords."""
    return _SECRET.fullmatch(_plain(column)) is not None


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^0-9a-z]+", " ", re.sub(r"[\[(].*?[\])]", "", text.casefold())).split())


def _meant(name: str) -> str:
    """A hint at the column that a mistyped name may mean; "" for a name that is another word."""
    if name in IGNORED or _SECRET.fullmatch(name):
        return ""
    near = difflib.get_close_matches(name, list(NAMES), n=1, cutoff=0.75)
    return did_you_mean(name.replace(" ", "_"), COLUMNS) or (f"; did you mean {near[0]}?" if near else "")


def _either(name: str, others: Sequence[str]) -> str:
    return next((column for column in EITHER[name] if column not in others), "")
