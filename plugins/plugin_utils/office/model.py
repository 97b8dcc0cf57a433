"""The model: people's rows + provider facts + the office's policy -> people with complete mail accounts. Pure, no Ansible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from .account import Account, Person, account_of
from .check import Machine, check_machine, check_primary, check_row
from .identity import Who, remembered
from .policy import Policy
from .rows import PHONES, address_of, mailboxes_in_order, text, who_of, words

# What people have mail on besides the programs of their machines.
DEVICES = (*PHONES, "macos")


class Computer(TypedDict):
    """A machine of a person. programs: those that the list names for the person there, none where it leaves the choice to us."""

    machine: str
    platform: str
    programs: list[str]


class DeviceOwner(TypedDict):
    """A person of the office with all that the person has mail on, and all mailboxes of that person; the first is the primary one.

    identity: the address that names the person's folder, link and profiles; one of the person's, and the same for ever while it is.
    devices: those of DEVICES that the person has, in that order, a Mac among them. login may be empty for people without a machine.
    """

    identity: str
    full_name: str
    login: str
    accounts: list[Account]
    devices: list[str]
    computers: list[Computer]


def resolve_people(rows: Iterable[Mapping[str, Any]], policy: Policy) -> list[Person]:
    """The people of one machine with complete accounts, whatever the order of the rows, sorted by login; `absent` rows are left out.

    Raises ValueError with every problem, one per line, when a row or the policy is not sound.
    """
    present = [row for row in rows if text(row, "state").lower() != "absent"]
    problems = policy.problems() + [problem for row in present for problem in check_row(row, policy)]
    problems += check_machine("this machine", present) + check_primary(present)
    if problems:
        raise ValueError("\n".join(map(str, problems)))
    logins: dict[str, list[Mapping[str, Any]]] = {}
    for row in present:
        logins.setdefault(text(row, "login"), []).append(row)
    people = []
    for login in sorted(logins):
        mine = mailboxes_in_order(logins[login], policy.primaries.get(login, ""))
        accounts = [account_of(row, policy, primary=place == 0) for place, row in enumerate(mine)]
        people.append(Person(login=login, full_name=text(mine[0], "full_name"), accounts=accounts))
    return people


# A row of the sheet or of a machine's variables, with the machines it is for.
Placed = tuple[Mapping[str, Any], list[str]]


def people_of(sheet: Iterable[Mapping[str, Any]], machines: Mapping[str, Machine]) -> list[list[Placed]]:
    """The rows of an office by person, the person's first mailbox first, whatever the order of the rows; who left is left out.

    Rows with the same full_name and login are one person, a row without a login is a person of its own.
    """
    return [mine for _whose, mine in _grouped(sheet, machines)]


def _grouped(sheet: Iterable[Mapping[str, Any]], machines: Mapping[str, Machine]) -> list[tuple[Who, list[Placed]]]:
    rows: list[Placed] = [(row, sorted(name for name in words(row, "machines") if name in machines)) for row in sheet]
    rows += [(row, [name]) for name in sorted(machines) for row in machines[name].rows]
    people: dict[tuple[Who, str], list[Placed]] = {}
    for row, on in rows:
        if text(row, "state").lower() != "absent":
            people.setdefault((who_of(row), "" if text(row, "login") else address_of(row)), []).append((row, on))
    return [(whose, _sorted(people[whose, own])) for whose, own in sorted(people)]


def _sorted(mine: list[Placed]) -> list[Placed]:
    order = [address_of(row) for row in mailboxes_in_order([row for row, _unused in mine], "")]
    return sorted(mine, key=lambda placed: order.index(address_of(placed[0])))


def device_owners(
    sheet: Iterable[Mapping[str, Any]],
    machines: Mapping[str, Machine],
    policy: Policy,
    folders: Mapping[str, tuple[str, ...]] | None = None,
) -> list[DeviceOwner]:
    """Everybody in the office, sorted, whatever the order of the rows; who left is left out.

    The servers are those of the person's machine whose name comes first in the alphabet, or of `policy` for people without one. folders:
    whose the folders are that an earlier run made. The rows must be sound: see check_office().
    """
    everybody = _grouped(sheet, machines)
    identities = remembered([(whose, {address_of(row) for row, _unused in mine}) for whose, mine in everybody], folders or {})
    owners = []
    for (_whose, mine), identity in zip(everybody, identities, strict=True):
        places = {address_of(row): on for row, on in reversed(mine)}
        accounts: list[Account] = []
        ordered = mailboxes_in_order([row for row, _unused in mine], identity)
        for row in ordered:
            on = places[address_of(row)]
            accounts.append(account_of(row, machines[on[0]].policy if on else policy, primary=not accounts))
        named: dict[str, set[str]] = {}
        for row, on in mine:
            for name in on:
                named.setdefault(name, set()).update(word.lower() for word in words(row, "programs"))
        having = {name.lower() for row, _unused in mine for name in words(row, "phones")}
        having |= {machines[name].policy.platform for name in named}
        owners.append(
            DeviceOwner(
                identity=identity or accounts[0]["address"],
                full_name=text(ordered[0], "full_name"),
                login=accounts[0]["login"],
                accounts=accounts,
                devices=[name for name in DEVICES if name in having],
                computers=[
                    Computer(machine=name, platform=machines[name].policy.platform, programs=sorted(named[name])) for name in sorted(named)
                ],
            )
        )
    return owners
