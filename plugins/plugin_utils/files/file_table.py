# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From a table of files and a list of people to one entry per file to write. Pure: no I/O, no ansible."""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from ..office.names import is_host
from .table_check import PERSONAL, TableError, check_people, complete, is_text

HEADER = "Managed by charter-mail: changes are put back by the next run."
"""The text every managed file begins with; the comment sign is the template's business."""


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
    table = complete(rows)
    check_people(people)
    entries: list[Entry] = []
    for personal, block in groupby(table, key=lambda row: row["scope"] in PERSONAL):
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


def wanted(people: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Who is to have which of the programs of these rows: {login, programs: {program: addresses}}."""
    programs = list(dict.fromkeys(row["program"] for row in rows))
    found = []
    for person in people:
        theirs = {name: sorted({account["address"] for account in _accounts(person, name)}) for name in programs}
        found.append({"login": person["login"], "programs": {name: addresses for name, addresses in theirs.items() if addresses}})
    return found


def _accounts(person: Mapping[str, Any], program: str) -> list[dict[str, Any]]:
    return [account for account in person["accounts"] if program in account["programs"]]


def _data(row: dict[str, Any], login: str | None, dest: str, path: str, accounts: list[dict[str, Any]]) -> dict[str, Any]:
    data = {key: row[key] for key in ("program", "mode", "dir_mode", "strategy", "whole", "sensitive", "running", "shadowed_by", "shadows")}
    data |= {key: row[key] for key in ("mention", "hint") if row[key]}
    addresses = [] if row["aside"] else sorted({account["address"] for account in accounts})
    if row["scope"] not in PERSONAL:
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
            if not is_text(src):
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
