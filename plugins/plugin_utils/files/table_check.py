# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What may be in a table of files and in a list of people: everything that is wrong, at once. Pure: no I/O, no ansible."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any

from ..office.names import login_problem
from .comparison import DIRECTIONS as PROGRAMS
from .evidence import ROW

_DEFAULTS: dict[str, Any] = {
    "scope": "person",
    "mode": "0600",
    "dir_mode": None,
    "strategy": "replace",
    "when_empty": "remove",
    "whole": "",
    "sensitive": False,
    "running": [],
    "aside": False,
    "shadowed_by": [],
    "shadows": [],
    "mention": "",
    "hint": "",
    "vars": {},
    "template": "",
    "src": "",
}

_CHOICES = {
    "scope": ("person", "account", "machine", "domain"),
    "strategy": ("replace", "keys", "once"),
    "when_empty": ("remove", "keep"),
    "whole": ("", "file", "sections"),
}

_REQUIRED = ("program", "dest")

# Scopes of files that are in people's homes.
PERSONAL = ("person", "account")


class TableError(ValueError):
    """The table cannot be used; ``problems`` has one sentence for each thing that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def evidence_rows(rows: Any) -> list[dict[str, Any]]:
    """The rows of the option `evidence`, complete. Raises TableError."""
    problems: list[str] = []
    table: list[dict[str, Any]] = []
    for number, row in enumerate(rows, 1):
        where = f"evidence row {number}"
        if not isinstance(row, Mapping):
            problems.append(f"{where} is not a dictionary")
            continue
        problems += [f"{where}: there is no option {key}" for key in sorted(set(row) - set(ROW))]
        if row.get("program") not in PROGRAMS:
            problems.append(f"{where}: program is none of {', '.join(PROGRAMS)}, whose settings can be read")
        table.append({**ROW, **row})
    if problems:
        raise TableError(problems)
    return table


def is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def complete(rows: Any) -> list[dict[str, Any]]:
    if not isinstance(rows, list):
        raise TableError(["files must be a list"])
    problems: list[str] = []
    table: list[dict[str, Any]] = []
    for number, row in enumerate(rows, 1):
        where = f"files row {number}"
        if not isinstance(row, Mapping):
            problems.append(f"{where} is not a dictionary")
            continue
        full = {**_DEFAULTS, **{key: value for key, value in row.items() if value is not None}}
        wrong = [f"there is no option {key}" for key in sorted(set(row) - set(_DEFAULTS) - set(_REQUIRED))]
        wrong += [f"{key} is missing" for key in _REQUIRED if not is_text(full.get(key))]
        wrong += [
            f"{key} is {full[key]!r}, which is none of {', '.join(names)}" for key, names in _CHOICES.items() if full[key] not in names
        ]
        wrong += _source_problems(full)
        if not wrong:
            wrong = _details(full)
        problems += [f"{where}: {text}" for text in wrong]
        table.append(full)
    if problems:
        raise TableError(problems)
    return table


def _source_problems(row: Mapping[str, Any]) -> list[str]:
    """A file is made from a template, or is a file of the controller: one of the two."""
    if not row["src"]:
        return [] if is_text(row["template"]) else ["template is missing"]
    wrong = [] if is_text(row["src"]) else ["src must be a text"]
    wrong += ["there can be template or src, not both"] if row["template"] else []
    wrong += ["src is for scope person only"] if row["scope"] != "person" else []
    wrong += ["strategy keys needs a template"] if row["strategy"] == "keys" else []
    return wrong


def _details(row: dict[str, Any]) -> list[str]:
    """Check and normalise the rest of a row whose words are known."""
    wrong: list[str] = []
    row["dest"] = row["dest"].replace("\\", "/")
    personal = row["scope"] in PERSONAL
    if personal:
        wrong += _relative_problems(row["dest"])
        row["dest"] = posixpath.normpath(row["dest"])
    elif not re.match(r"/|[A-Za-z]:/", row["dest"]) or ".." in row["dest"].split("/") or row["dest"].endswith("/"):
        wrong.append(f"dest {row['dest']} must be an absolute path of a file for scope {row['scope']}")
    wrong += [
        f"dest needs {{{part}}} for scope {scope}"
        for scope, part in (("domain", "domain"), ("account", "key"))
        if row["scope"] == scope and f"{{{part}}}" not in row["dest"]
    ]
    if row["dir_mode"] is None:
        row["dir_mode"] = "0700" if personal else "0755"
    for key in ("mode", "dir_mode"):
        if not isinstance(row[key], str) or not re.fullmatch(r"0?[0-7]{3}", row[key]):
            wrong.append(f'{key} {row[key]!r} must be an octal number in quotes, like "0600"')
        else:
            row[key] = row[key].zfill(4)
    wrong += [f"{key} must be true or false" for key in ("sensitive", "aside") if not isinstance(row[key], bool)]
    if not isinstance(row["running"], list) or not all(isinstance(name, str) and name for name in row["running"]):
        wrong.append("running must be a list of process names")
    wrong += _neighbour_problems(row, personal)
    if not isinstance(row["vars"], Mapping):
        wrong.append("vars must be a dictionary")
    return wrong


def _neighbour_problems(row: Mapping[str, Any], personal: bool) -> list[str]:
    wrong: list[str] = []
    for key in ("shadowed_by", "shadows"):
        if not isinstance(row[key], list) or not all(isinstance(name, str) and name for name in row[key]):
            wrong.append(f"{key} must be a list of paths")
        elif row[key] and not personal:
            wrong.append(f"{key} is for scopes person and account only")
        else:
            wrong += [f"{key}: {text}" for name in row[key] for text in _relative_problems(name)]
    wrong += [f"{key} must be a text" for key in ("mention", "hint") if not isinstance(row[key], str)]
    return wrong


def _relative_problems(path: str) -> list[str]:
    normal = path.replace("\\", "/")
    outside = re.match(r"[/~]|[A-Za-z]:", normal) or ".." in normal.split("/")
    if outside or normal.endswith("/"):
        return [f"{path} must be a path of a file below the home"]
    return []


def check_people(people: Any) -> None:
    if not isinstance(people, list):
        raise TableError(["people must be a list; an empty one removes every file of this set"])
    problems: list[str] = []
    seen: set[str] = set()
    for number, person in enumerate(people, 1):
        login = person.get("login") if isinstance(person, Mapping) else None
        if not isinstance(login, str) or not login or login_problem(login):
            problems.append(f"people entry {number} has no usable login: {login!r}")
        elif login in seen:
            problems.append(f"login {login} is there twice; a person has one entry with several accounts")
        elif not isinstance(person.get("accounts"), list):
            problems.append(f"people entry {number} ({login}) has no list of accounts")
        else:
            seen.add(login)
    if problems:
        raise TableError(problems)
