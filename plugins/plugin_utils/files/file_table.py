# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From a table of files and a list of people to one entry per file to write. Pure: no I/O, no ansible."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from ..office.names import is_host, login_problem
from .comparison import DIRECTIONS as PROGRAMS
from .evidence import ROW

HEADER = "Managed by charter-mail: changes are put back by the next run."
"""The text every managed file begins with; the comment sign is the template's business."""

_DEFAULTS: dict[str, Any] = {
    "scope": "person",
    "mode": "0600",
    "dir_mode": None,
    "strategy": "replace",
    "when_empty": "remove",
    "whole": False,
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
}
_REQUIRED = ("program", "dest")
# Scopes of files that are in people's homes.
_PERSONAL = ("person", "account")


class TableError(ValueError):
    """The table cannot be used; ``problems`` has one sentence for each thing that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass
class Entry:
    """A file to write: what the target must know, and what the template sees.

    src: path on the controller of the file that is handed over as it is; empty where a template is rendered.
    """

    template: str
    about: str  # whom it is for, for messages
    data: dict[str, Any]
    variables: dict[str, Any] = field(default_factory=dict)
    src: str = ""


def expand(rows: Any, people: Any, platform: str) -> list[Entry]:
    """One entry per file, in the order of writing: row after row, but all rows of neighbouring person rows for one
    person first.

    ``people``: list of {login, full_name, accounts}. Raises TableError with all problems of rows and people at once.
    """
    table = _rows(rows)
    _check_people(people)
    entries: list[Entry] = []
    for personal, block in groupby(table, key=lambda row: row["scope"] in _PERSONAL):
        its = list(block)
        if personal:
            for person in people:
                for row in its:
                    entries.extend(_for_accounts(row, person) if row["scope"] == "account" else _for_person(row, person))
        else:
            for row in its:
                entries.extend(_for_machine(row, people) if row["scope"] == "machine" else _for_domains(row, people))
    twice = _twice(entries)
    if twice:
        raise TableError([f"{dest} would be written twice" for dest in twice])
    for entry in entries:
        entry.variables["platform"] = platform
    return entries


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


def wanted(people: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Who is to have which of the programs of these rows: {login, programs: {program: addresses}}."""
    programs = list(dict.fromkeys(row["program"] for row in rows))
    found = []
    for person in people:
        theirs = {name: sorted({account["address"] for account in _accounts(person, name)}) for name in programs}
        found.append({"login": person["login"], "programs": {name: addresses for name, addresses in theirs.items() if addresses}})
    return found


def _text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _rows(rows: Any) -> list[dict[str, Any]]:
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
        wrong += [f"{key} is missing" for key in _REQUIRED if not _text(full.get(key))]
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
        return [] if _text(row["template"]) else ["template is missing"]
    wrong = [] if _text(row["src"]) else ["src must be a text"]
    wrong += ["there can be template or src, not both"] if row["template"] else []
    wrong += ["src is for scope person only"] if row["scope"] != "person" else []
    wrong += ["strategy keys needs a template"] if row["strategy"] == "keys" else []
    return wrong


def _details(row: dict[str, Any]) -> list[str]:
    """Check and normalise the rest of a row whose words are known."""
    wrong: list[str] = []
    row["dest"] = row["dest"].replace("\\", "/")
    personal = row["scope"] in _PERSONAL
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
    wrong += [f"{key} must be true or false" for key in ("whole", "sensitive", "aside") if not isinstance(row[key], bool)]
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


def _check_people(people: Any) -> None:
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


def _accounts(person: Mapping[str, Any], program: str) -> list[dict[str, Any]]:
    return [account for account in person["accounts"] if program in account["programs"]]


def _data(row: dict[str, Any], login: str | None, dest: str, path: str, accounts: list[dict[str, Any]]) -> dict[str, Any]:
    data = {key: row[key] for key in ("program", "mode", "dir_mode", "strategy", "whole", "sensitive", "running", "shadowed_by", "shadows")}
    data |= {key: row[key] for key in ("mention", "hint") if row[key]}
    addresses = [] if row["aside"] else sorted({account["address"] for account in accounts})
    if row["scope"] not in _PERSONAL:
        data["parts"] = {} if row["aside"] else {account["address"]: _digest(account) for account in accounts}
    return {**data, "login": login, "dest": dest, "path": path, "people": addresses}


def _digest(account: Mapping[str, Any]) -> str:
    """By which a machine tells whose part of a shared file is another one than before."""
    return hashlib.sha256(json.dumps(account, sort_keys=True).encode()).hexdigest()[:16]


def _for_person(row: dict[str, Any], person: Mapping[str, Any]) -> Iterator[Entry]:
    accounts = _accounts(person, row["program"])
    if accounts:
        login, dest, src = person["login"], row["dest"], ""
        if row["src"]:
            src = person.get(row["src"], "")
            if not _text(src):
                raise TableError([f"the entry of {login} has no {row['src']}, which names the file to hand over"])
            dest = dest.replace("{file}", posixpath.basename(src))
        yield Entry(
            row["template"],
            login,
            _data(row, login, f"~{login}/{dest}", dest, accounts),
            {**row["vars"], "person": person, "accounts": accounts, "account": accounts[0]},
            src,
        )


def _for_accounts(row: dict[str, Any], person: Mapping[str, Any]) -> Iterator[Entry]:
    for account in _accounts(person, row["program"]):
        login, dest = person["login"], row["dest"].replace("{key}", account["key"])
        variables = {**row["vars"], "person": person, "accounts": [account], "account": account}
        yield Entry(row["template"], login, _data(row, login, f"~{login}/{dest}", dest, [account]), variables)


def _for_machine(row: dict[str, Any], people: list[dict[str, Any]]) -> Iterator[Entry]:
    concerned = [{**person, "accounts": mine} for person in people if (mine := _accounts(person, row["program"]))]
    if concerned or row["when_empty"] == "keep":
        accounts = [account for person in concerned for account in person["accounts"]]
        data = _data(row, None, row["dest"], _on_machine(row["dest"]), accounts)
        if not concerned:
            data["only_known"] = True
        yield Entry(row["template"], "the machine", data, {**row["vars"], "people": concerned})


def _for_domains(row: dict[str, Any], people: list[dict[str, Any]]) -> Iterator[Entry]:
    domains: dict[str, list[dict[str, Any]]] = {}
    for person in people:
        for account in _accounts(person, row["program"]):
            domains.setdefault(account["domain"], []).append(account)
    for domain in sorted(domains):
        if not is_host(domain):
            raise TableError([f"the domain {domain!r} cannot be part of a path"])
        dest = row["dest"].replace("{domain}", domain)
        accounts = domains[domain]
        yield Entry(
            row["template"],
            domain,
            _data(row, None, dest, _on_machine(dest), accounts),
            {**row["vars"], "domain": domain, "accounts": accounts, "account": accounts[0]},
        )


def _on_machine(dest: str) -> str:
    """The path below the root of the machine: drive ``C:`` is the directory ``C``."""
    return "/" + dest[0].upper() + dest[2:] if dest[1:2] == ":" else dest


def _twice(entries: list[Entry]) -> list[str]:
    seen: set[str] = set()
    twice: list[str] = []
    for entry in entries:
        dest = entry.data["dest"]
        if dest in seen and dest not in twice:
            twice.append(dest)
        seen.add(dest)
    return twice
