"""What is wrong with an office's settings, with each row, and with the rows among each other: everything, before anything is touched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .account import account_of
from .identity import Who
from .names import has_control, invisible, is_local_part, is_mail_domain, login_problem
from .policy import Policy, no_such_port, smtp_servers
from .problem import Problem, cell, did_you_mean, printable, quoted
from .programs import LATER, PROGRAMS
from .rows import KEYS, NO, PHONES, PROTOCOLS, SMTP_PORTS, STATES, YES, field_of, in_yaml, is_primary, text, who_of, words
from .written import unwritable

# So many unknown names of machines are held against the known ones.
_HINTS = 100


def check_row(row: Mapping[str, Any], policy: Policy) -> list[Problem]:
    """Everything that is wrong with one person's row by itself."""
    where, address = str(row.get("source", "")), text(row, "address")
    found: list[Problem] = []

    def wrong(name: str, what: str) -> None:
        found.append(Problem(where, address, field_of(where, name), what))

    def one_of(name: str, known: Sequence[str]) -> None:
        value = text(row, name)
        if value and value.lower() not in known:
            wrong(name, f"{cell(value, known)} is not {' or '.join(known)}{did_you_mean(value, known)}")

    _check_characters(row, wrong)
    _check_address(address, policy, wrong)
    full_name, login = text(row, "full_name"), text(row, "login")
    if not full_name:
        wrong("full_name", "is empty; it is the sender name that people see")
    for name in ("full_name", "sender_name"):
        if len(text(row, name)) > 200:
            wrong(name, f"has {len(text(row, name))} characters; 200 are the most")
    # In YAML, a person is on the machine whose variables these are.
    if (words(row, "machines") or in_yaml(where)) and not login:
        wrong("login", "is empty; on a machine the account name of the person is needed")
    elif why := login_problem(login):
        wrong("login", f"{cell(login)} {why}")
    one_of("protocol", PROTOCOLS)
    one_of("state", STATES)
    if (primary := text(row, "primary")) and primary.lower() not in (*YES, *NO):
        wrong("primary", f"{cell(primary)} is not yes or no")
    port = text(row, "smtp_port")
    if port and port not in map(str, SMTP_PORTS):
        wrong("smtp_port", f"{cell(port)} is not 587 or 465")
    elif port and policy.entry and not smtp_servers(policy.entry, int(port)):
        wrong("smtp_port", no_such_port(policy, int(port)))
    _check_programs(row, wrong)
    for name in words(row, "phones"):
        if name.lower() not in PHONES:
            wrong("phones", f"{cell(name, PHONES)} is not {' or '.join(PHONES)}{did_you_mean(name, PHONES)}")
    return found or _check_writing(row, policy)


@dataclass(frozen=True)
class Machine:
    """A machine as the office check sees it: its policy, and the rows given for it in YAML (mail_accounts).

    wrong: what was given there and is no row.
    """

    policy: Policy
    rows: Sequence[Mapping[str, Any]] = ()
    wrong: Sequence[Problem] = ()

    @classmethod
    def of(cls, name: str, policy: Policy, given: Any) -> Machine:
        """The machine `name`, with what its variables give as mail_accounts, whatever that is."""
        where = f"{name}: mail_accounts"
        if not isinstance(given, Sequence) or isinstance(given, str):
            return cls(policy, wrong=[Problem(where, what=f"must be a list of people, each {{{', '.join(KEYS)}}}")])
        rows = [{**row, "source": f"{where}[{number}]"} for number, row in enumerate(given) if isinstance(row, Mapping)]
        wrong = [
            Problem(f"{where}[{number}]", what=f"must be {{{', '.join(KEYS)}}}")
            for number, row in enumerate(given)
            if not isinstance(row, Mapping)
        ]
        wrong += [
            Problem(row["source"], text(row, "address"), f"key {key}", f"is not known{did_you_mean(str(key), KEYS)}")
            for row in rows
            for key in row
            if key not in (*KEYS, "source")
        ]
        return cls(policy, rows, wrong)


def check_office(sheet: Sequence[Mapping[str, Any]], machines: Mapping[str, Machine], policy: Policy) -> list[Problem]:
    """Everything that is wrong with an office: settings, each row by itself, the rows among each other.

    sheet: rows of the staff sheet. machines: every machine that hosts.yml knows. policy: for people without a machine.
    Problems of the settings come first, then the others in the order of the sheet; each is there once.
    """
    policies = [policy, *(machine.policy for machine in machines.values())]
    found = [problem for each in policies for problem in each.problems()]
    there: dict[str, list[Mapping[str, Any]]] = {name: [] for name in machines}
    rows: list[Problem] = []
    first: dict[tuple[str, str], str] = {}
    hints: dict[str, str] = {}
    for row in sheet:
        where, address = str(row.get("source", "")), text(row, "address")
        named = list(dict.fromkeys(words(row, "machines")))
        for each in [machines[name].policy for name in named if name in machines] or [policy]:
            rows += check_row(row, each)
        # A mailbox may be of several people, who have logins of their own.
        earlier = first.setdefault((address.lower(), text(row, "login").casefold()), where)
        if address and earlier != where:
            rows.append(Problem(where, address, "column address", f"is there already, in {earlier}; one row per mailbox and login"))
        for name in named:
            if name in there:
                there[name].append(row)
            else:
                # To look for near names takes its time: a sheet in which nothing fits gets no help with every line of it.
                if name not in hints:
                    hints[name] = _machine_like(name, machines) if len(hints) < _HINTS else ""
                what = f"{quoted(name) if hints[name] else cell(name)} is not in hosts.yml{hints[name]}"
                rows.append(Problem(where, address, "column machines", what))
    for name, machine in machines.items():
        rows += machine.wrong
        rows += [problem for row in machine.rows for problem in check_row(row, machine.policy)]
        rows += check_machine(name, [*there[name], *machine.rows])
    rows += check_primary([*sheet, *(row for machine in machines.values() for row in machine.rows)])
    order = {str(row.get("source", "")): number for number, row in enumerate(sheet)}
    return list(dict.fromkeys(found + sorted(rows, key=lambda problem: order.get(problem.where, len(order)))))


def _machine_like(name: str, machines: Iterable[str]) -> str:
    """A hint at a machine that is near to `name` and begins as it does: `pc-acct-02` is not meant where somebody else's `mac-02` is."""
    start = re.split(r"[^a-z]", name.casefold())[0]
    return did_you_mean(name, [each for each in machines if start and re.split(r"[^a-z]", each.casefold())[0] == start])


def check_machine(machine: str, rows: Iterable[Mapping[str, Any]]) -> list[Problem]:
    """What is wrong with the rows of one machine taken together: a login of two people or in two spellings, a mailbox twice."""
    found: list[Problem] = []
    people: dict[str, Mapping[str, Any]] = {}
    mailboxes: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        if text(row, "state").lower() == "absent":
            continue
        where, address, login = str(row.get("source", "")), text(row, "address"), text(row, "login")
        other = people.setdefault(login.casefold(), row)
        if login and who_of(other) != who_of(row):
            what = (
                f"{cell(login)} on {machine} is also the login of {printable(text(other, 'full_name'))}"
                f" ({other.get('source')}); a second mailbox of one person carries the same full_name, and a name of its own in sender_name"
            )
            found.append(Problem(where, address, field_of(where, "login"), what))
        elif login != text(other, "login"):
            what = f'"{printable(login)}" on {machine} is "{printable(text(other, "login"))}" in {other.get("source")}; write both alike'
            found.append(Problem(where, address, field_of(where, "login"), what))
        twin = mailboxes.setdefault(address.lower(), row)
        # Twice in the sheet is said by the sheet's own check.
        if address and twin is not row and in_yaml(where):
            found.append(Problem(where, address, "key address", f"is on {machine} already, by {twin.get('source')}"))
    return found


def check_primary(rows: Iterable[Mapping[str, Any]]) -> list[Problem]:
    """People with more than one mailbox that is said to be the first."""
    found: list[Problem] = []
    first: dict[Who, Mapping[str, Any]] = {}
    for row in rows:
        # Without a login, a row is its own person.
        if text(row, "state").lower() == "absent" or not is_primary(row) or not text(row, "login"):
            continue
        where, address = str(row.get("source", "")), text(row, "address")
        other = first.setdefault(who_of(row), row)
        if text(other, "address").lower() != address.lower():
            what = (
                f"is yes for {text(other, 'address')} of the same person too ({other.get('source')});"
                " write it for the one that comes first, and leave the others empty"
            )
            found.append(Problem(where, address, field_of(where, "primary"), what))
    return found


def _check_address(address: str, policy: Policy, wrong: Any) -> None:
    local_part, at, domain = address.rpartition("@")
    if not address:
        wrong("address", "is empty")
    elif not at:
        wrong(
            "address",
            f"{cell(address)} has no @; the full address is needed, as in jane@{next(iter(policy.domains), 'example.org')}",
        )
    elif not is_local_part(local_part):
        wrong("address", f"{cell(address)}: what stands before the @ is not a plain ASCII mailbox name")
    elif not is_mail_domain(domain):
        wrong("address", f"{cell(address)}: {cell(domain)} is not a mail domain")
    elif policy.domains and domain.lower() not in [name.lower() for name in policy.domains]:
        hint = did_you_mean(domain, policy.domains)
        wrong("address", f"{cell(domain)} is not a domain of this office ({', '.join(policy.domains)}){hint}")


def _check_characters(row: Mapping[str, Any], wrong: Any) -> None:
    for name, value in row.items():
        if has_control(str(value)) and name != "source":
            shown = quoted if name == "full_name" else cell
            wrong(name, f"{shown(str(value))} has a control character (a line break or worse); type it again")
    # In a name it may be needed, as between the letters of some scripts.
    for name in ("address", "machines"):
        if code := invisible(text(row, name)):
            wrong(name, f"{cell(text(row, name))} has the invisible character {code}; type it again")


def _check_writing(row: Mapping[str, Any], policy: Policy) -> list[Problem]:
    """What the programs of a person could not be told. The rest of the row must be sound."""
    if not policy.sound or text(row, "state").lower() == "absent":
        return []
    where, address = str(row.get("source", "")), text(row, "address")
    return [
        # Once, however many people the command is for.
        Problem(policy.where, field="mail_password_command", what=why)
        if name == "password_command"
        else Problem(where, address, field_of(where, name), f"{quoted(text(row, name))} {why}")
        for name, why in unwritable(account_of(row, policy, primary=True))
    ]


def _check_programs(row: Mapping[str, Any], wrong: Any) -> None:
    for name in words(row, "programs"):
        if name.lower() in LATER:
            continue  # said, and nobody's mistake
        if name.lower() not in PROGRAMS:
            hint = did_you_mean(name, PROGRAMS) or f"; known are: {', '.join(PROGRAMS)}"
            wrong("programs", f"{cell(name, PROGRAMS)} is not a program known here{hint}")
        elif (protocol := text(row, "protocol").lower() or "imap") in PROTOCOLS and protocol not in PROGRAMS[name.lower()].protocols:
            wrong("programs", f"{name} cannot fetch mail by {protocol}; leave it out or write another protocol")
