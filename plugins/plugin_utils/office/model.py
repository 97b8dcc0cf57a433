"""The model: people's rows + provider facts + the office's policy -> complete mail accounts. Pure, no Ansible.

Every default is filled in here and nowhere else, so that templates take fields and decide nothing.
"""

from __future__ import annotations

import re
import shlex
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, TypedDict, cast

from .identity import Who, in_order, remembered, who
from .names import composed, has_control, invisible, is_host, is_local_part, is_mail_domain, is_number, login_problem
from .problem import Problem, cell, did_you_mean, printable, quoted
from .programs import LATER, PROGRAMS, programs_on
from .written import unwritable

Security = Literal["tls", "starttls"]
SECURITY = ("tls", "starttls")
PROTOCOLS = ("imap", "pop")
PHONES = ("ios", "android")
# What people have mail on besides the programs of their machines.
DEVICES = (*PHONES, "macos")
STATES = ("present", "absent")
# What is said of a person; the sheet says `machines` besides.
KEYS = ("address", "full_name", "login", "protocol", "smtp_port", "programs", "phones", "primary", "state", "sender_name")
# YAML makes a yes without quotes a boolean, and so do spreadsheets with true.
YES, NO = ("yes", "true"), ("no", "false")
SMTP_PORTS = (587, 465)
# So many unknown names of machines are held against the known ones.
_HINTS = 100
AUTO = "auto"

# Ids must be the same on every run, machine and version of this project: never change this.
ID_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:msp:charter-mail:account")

PASSWORD_COMMANDS = {
    "secret-tool": "secret-tool lookup service charter-mail user {address}",
    "pass": "pass show mail/{address}",
}


class Incoming(TypedDict):
    """Where mail is fetched. username is the full address."""

    protocol: Literal["imap", "pop"]
    host: str
    port: int
    security: Security
    username: str


class Outgoing(TypedDict):
    """Where mail is handed in."""

    protocol: Literal["smtp"]
    host: str
    port: int
    security: Security
    username: str


class Account(TypedDict):
    """One mailbox on one machine, complete.

    id is a UUIDv5 of protocol and address; key its first 12 hex digits, for formats that want a short name.
    password_command is a shell command line that prints the password; nothing here is the password.
    """

    id: str
    key: str
    address: str
    local_part: str
    domain: str
    full_name: str
    organization: str
    login: str
    provider: str
    incoming: Incoming
    outgoing: Outgoing
    password_command: str
    programs: list[str]
    phones: list[str]
    primary: bool


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


class Person(TypedDict):
    """One login on a machine with the mailboxes it reads; the first is the primary one."""

    login: str
    full_name: str
    accounts: list[Account]


@dataclass(frozen=True)
class Policy:
    """What an office decides for its people.

    provider: name of the provider in use. providers: shipped facts. own_providers: the office's entries; what one says
    wins over the shipped entry of the same name.
    smtp_port: port to prefer, None for the provider's first. auto_port: the one that works on the machine is to be chosen, see
    endpoints.choose_port; smtp_port is what it came to last, if that is known. domains: allowed address domains, empty for any.
    password_command: a name of PASSWORD_COMMANDS or a command line with {address} in it.
    primaries: by login, the address of the mailbox that was the first on this machine before.
    platform: linux, windows or macos; empty for a machine that is none of this project's.
    """

    providers: Sequence[Mapping[str, Any]]
    own_providers: Sequence[Mapping[str, Any]] = ()
    provider: str = "charter"
    platform: str = ""
    smtp_port: int | None = None
    auto_port: bool = False
    domains: Sequence[str] = ()
    programs: Sequence[str] = ()
    organization: str = ""
    password_command: str = "secret-tool"
    primaries: Mapping[str, str] = field(default_factory=dict)
    # Only for messages: where the office says which provider it uses.
    where: str = "group_vars/all.yml"
    _providers: dict[str, Mapping[str, Any]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for entry in [*self.providers, *self.own_providers]:
            if isinstance(entry, Mapping):
                name = str(entry.get("name", ""))
                self._providers[name] = {**self._providers.get(name, {}), **entry}

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Policy:
        """A policy from an office's variables: `settings` has this class's field names; None and "" mean "not set"."""
        given = {name: value for name, value in settings.items() if value is not None and value != ""}
        port, last = given.pop("smtp_port", None), given.pop("auto_smtp_port", None)
        auto = port == AUTO
        port = last if auto else port
        # A number that is none is kept as -1: problems() names the setting.
        number = None if port is None else int(port) if is_number(str(port), 0, 65535) else -1
        lists: dict[str, Any] = {name: _list(given.pop(name, ())) for name in ("domains", "programs")}
        for name in ("providers", "own_providers"):
            value = given.pop(name, ())
            lists[name] = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        # A machine tells these: whatever is there must not end the run.
        told = given.pop("primaries", {})
        primaries = {str(login): str(address) for login, address in told.items()} if isinstance(told, Mapping) else {}
        texts: dict[str, Any] = {name: str(value).strip() for name, value in given.items()}
        policy = cls(smtp_port=number, auto_port=auto, primaries=primaries, **lists, **texts)
        # What `auto` came to once may be of another provider.
        return replace(policy, smtp_port=None) if auto and number is not None and not _smtp(policy.entry, number) else policy

    @property
    def known_providers(self) -> Mapping[str, Mapping[str, Any]]:
        """Every provider by name, the office's corrections worked in."""
        return self._providers

    @property
    def entry(self) -> Mapping[str, Any]:
        """The provider's facts; empty when nobody knows the provider."""
        return self._providers.get(self.provider, {})

    @cached_property
    def sound(self) -> bool:
        """Whether problems() finds none: only then accounts can be made."""
        return not self.problems()

    def problems(self) -> list[Problem]:
        """Everything that is wrong with the office's settings and providers."""
        here = self.where
        found = [
            Problem(here, field=f"mail_providers[{number}]", what="must be {name, title, imap, pop, smtp}")
            for number, entry in enumerate(self.own_providers)
            if not isinstance(entry, Mapping)
        ]
        found += [problem for name, entry in self._providers.items() for problem in _provider_problems(name, entry, here)]
        if self.provider not in self._providers:
            known = ", ".join(sorted(self._providers))
            hint = did_you_mean(self.provider, self._providers) or f"; known are: {known}"
            found.append(Problem(here, field="mail_provider", what=f"{quoted(self.provider)} is not a provider{hint}"))
        if self.auto_port:
            pass  # one of the provider's, whatever they are
        elif self.smtp_port is not None and self.smtp_port not in SMTP_PORTS:
            found.append(Problem(here, field="mail_smtp_port", what="is not 587, 465 or auto"))
        elif self.smtp_port is not None and self.entry and not _smtp(self.entry, self.smtp_port):
            found.append(Problem(here, field="mail_smtp_port", what=_no_such_port(self, self.smtp_port)))
        found += [
            Problem(here, field="mail_programs", what=f"{quoted(name)} is not a program known here{did_you_mean(name, PROGRAMS)}")
            for name in self.programs
            if name not in PROGRAMS
        ]
        found += [Problem(here, field="mail_domains", what=f"{quoted(name)} is not a domain") for name in self.domains if not is_host(name)]
        if has_control(self.organization):
            found.append(Problem(here, field="mail_office", what=f"{quoted(self.organization)} has a control character"))
        command = self.password_command
        if command not in PASSWORD_COMMANDS and (has_control(command) or not command.strip()):
            found.append(Problem(here, field="mail_password_command", what="is empty or has a control character"))
        return found


def account_id(protocol: str, address: str) -> str:
    """The account's UUIDv5 (RFC 9562 5.5): the same for ever for this protocol and address, whatever the servers."""
    return str(uuid.uuid5(ID_NAMESPACE, f"{protocol}:{address.lower()}"))


def check_row(row: Mapping[str, Any], policy: Policy) -> list[Problem]:
    """Everything that is wrong with one person's row by itself."""
    where, address = str(row.get("source", "")), _text(row, "address")
    found: list[Problem] = []

    def wrong(name: str, what: str) -> None:
        found.append(Problem(where, address, _field(where, name), what))

    def one_of(name: str, known: Sequence[str]) -> None:
        value = _text(row, name)
        if value and value.lower() not in known:
            wrong(name, f"{cell(value, known)} is not {' or '.join(known)}{did_you_mean(value, known)}")

    _check_characters(row, wrong)
    _check_address(address, policy, wrong)
    full_name, login = _text(row, "full_name"), _text(row, "login")
    if not full_name:
        wrong("full_name", "is empty; it is the sender name that people see")
    for name in ("full_name", "sender_name"):
        if len(_text(row, name)) > 200:
            wrong(name, f"has {len(_text(row, name))} characters; 200 are the most")
    # In YAML, a person is on the machine whose variables these are.
    if (_words(row, "machines") or _in_yaml(where)) and not login:
        wrong("login", "is empty; on a machine the account name of the person is needed")
    elif why := login_problem(login):
        wrong("login", f"{cell(login)} {why}")
    one_of("protocol", PROTOCOLS)
    one_of("state", STATES)
    if (primary := _text(row, "primary")) and primary.lower() not in (*YES, *NO):
        wrong("primary", f"{cell(primary)} is not yes or no")
    port = _text(row, "smtp_port")
    if port and port not in map(str, SMTP_PORTS):
        wrong("smtp_port", f"{cell(port)} is not 587 or 465")
    elif port and policy.entry and not _smtp(policy.entry, int(port)):
        wrong("smtp_port", _no_such_port(policy, int(port)))
    _check_programs(row, wrong)
    for name in _words(row, "phones"):
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
            Problem(row["source"], _text(row, "address"), f"key {key}", f"is not known{did_you_mean(str(key), KEYS)}")
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
        where, address = str(row.get("source", "")), _text(row, "address")
        named = list(dict.fromkeys(_words(row, "machines")))
        for each in [machines[name].policy for name in named if name in machines] or [policy]:
            rows += check_row(row, each)
        # A mailbox may be of several people, who have logins of their own.
        earlier = first.setdefault((address.lower(), _text(row, "login").casefold()), where)
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
    rows += _check_primary([*sheet, *(row for machine in machines.values() for row in machine.rows)])
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
        if _text(row, "state").lower() == "absent":
            continue
        where, address, login = str(row.get("source", "")), _text(row, "address"), _text(row, "login")
        other = people.setdefault(login.casefold(), row)
        if login and _who(other) != _who(row):
            what = (
                f"{cell(login)} on {machine} is also the login of {printable(_text(other, 'full_name'))}"
                f" ({other.get('source')}); a second mailbox of one person carries the same full_name, and a name of its own in sender_name"
            )
            found.append(Problem(where, address, _field(where, "login"), what))
        elif login != _text(other, "login"):
            what = f'"{printable(login)}" on {machine} is "{printable(_text(other, "login"))}" in {other.get("source")}; write both alike'
            found.append(Problem(where, address, _field(where, "login"), what))
        twin = mailboxes.setdefault(address.lower(), row)
        # Twice in the sheet is said by the sheet's own check.
        if address and twin is not row and _in_yaml(where):
            found.append(Problem(where, address, "key address", f"is on {machine} already, by {twin.get('source')}"))
    return found


def _check_primary(rows: Iterable[Mapping[str, Any]]) -> list[Problem]:
    """People with more than one mailbox that is said to be the first."""
    found: list[Problem] = []
    first: dict[Who, Mapping[str, Any]] = {}
    for row in rows:
        # Without a login, a row is its own person.
        if _text(row, "state").lower() == "absent" or not _is_primary(row) or not _text(row, "login"):
            continue
        where, address = str(row.get("source", "")), _text(row, "address")
        other = first.setdefault(_who(row), row)
        if _text(other, "address").lower() != address.lower():
            what = (
                f"is yes for {_text(other, 'address')} of the same person too ({other.get('source')});"
                " write it for the one that comes first, and leave the others empty"
            )
            found.append(Problem(where, address, _field(where, "primary"), what))
    return found


def resolve_people(rows: Iterable[Mapping[str, Any]], policy: Policy) -> list[Person]:
    """The people of one machine with complete accounts, whatever the order of the rows, sorted by login; `absent` rows are left out.

    Raises ValueError with every problem, one per line, when a row or the policy is not sound.
    """
    present = [row for row in rows if _text(row, "state").lower() != "absent"]
    problems = policy.problems() + [problem for row in present for problem in check_row(row, policy)]
    problems += check_machine("this machine", present) + _check_primary(present)
    if problems:
        raise ValueError("\n".join(map(str, problems)))
    logins: dict[str, list[Mapping[str, Any]]] = {}
    for row in present:
        logins.setdefault(_text(row, "login"), []).append(row)
    people = []
    for login in sorted(logins):
        mine = _in_order(logins[login], policy.primaries.get(login, ""))
        accounts = [account_of(row, policy, primary=place == 0) for place, row in enumerate(mine)]
        people.append(Person(login=login, full_name=_text(mine[0], "full_name"), accounts=accounts))
    return people


# A row of the sheet or of a machine's variables, with the machines it is for.
Placed = tuple[Mapping[str, Any], list[str]]


def people_of(sheet: Iterable[Mapping[str, Any]], machines: Mapping[str, Machine]) -> list[list[Placed]]:
    """The rows of an office by person, the person's first mailbox first, whatever the order of the rows; who left is left out.

    Rows with the same full_name and login are one person, a row without a login is a person of its own.
    """
    return [mine for _whose, mine in _grouped(sheet, machines)]


def _grouped(sheet: Iterable[Mapping[str, Any]], machines: Mapping[str, Machine]) -> list[tuple[Who, list[Placed]]]:
    rows: list[Placed] = [(row, sorted(name for name in _words(row, "machines") if name in machines)) for row in sheet]
    rows += [(row, [name]) for name in sorted(machines) for row in machines[name].rows]
    people: dict[tuple[Who, str], list[Placed]] = {}
    for row, on in rows:
        if _text(row, "state").lower() != "absent":
            people.setdefault((_who(row), "" if _text(row, "login") else _address(row)), []).append((row, on))
    return [(whose, _sorted(people[whose, own])) for whose, own in sorted(people)]


def _sorted(mine: list[Placed]) -> list[Placed]:
    order = [_address(row) for row in _in_order([row for row, _ in mine], "")]
    return sorted(mine, key=lambda placed: order.index(_address(placed[0])))


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
    identities = remembered([(whose, {_address(row) for row, _ in mine}) for whose, mine in everybody], folders or {})
    owners = []
    for (_whose, mine), identity in zip(everybody, identities, strict=True):
        places = {_address(row): on for row, on in reversed(mine)}
        accounts: list[Account] = []
        ordered = _in_order([row for row, _ in mine], identity)
        for row in ordered:
            on = places[_address(row)]
            accounts.append(account_of(row, machines[on[0]].policy if on else policy, primary=not accounts))
        named: dict[str, set[str]] = {}
        for row, on in mine:
            for name in on:
                named.setdefault(name, set()).update(word.lower() for word in _words(row, "programs"))
        having = {name.lower() for row, _ in mine for name in _words(row, "phones")}
        having |= {machines[name].policy.platform for name in named}
        owners.append(
            DeviceOwner(
                identity=identity or accounts[0]["address"],
                full_name=_text(ordered[0], "full_name"),
                login=accounts[0]["login"],
                accounts=accounts,
                devices=[name for name in DEVICES if name in having],
                computers=[
                    Computer(machine=name, platform=machines[name].policy.platform, programs=sorted(named[name])) for name in sorted(named)
                ],
            )
        )
    return owners


def _in_order(rows: Iterable[Mapping[str, Any]], before: str) -> list[Mapping[str, Any]]:
    """The first row of each mailbox of one person, the primary one first."""
    first: dict[str, Mapping[str, Any]] = {}
    said: dict[str, bool] = {}
    person: Who = ("", "")
    for row in rows:
        address, person = _address(row), _who(row)
        first.setdefault(address, row)
        said[address] = said.get(address, False) or _is_primary(row)
    return [first[address] for address in in_order(said, person, before)]


def account_of(row: Mapping[str, Any], policy: Policy, primary: bool) -> Account:
    address = _address(row)
    local_part, _, domain = address.rpartition("@")
    protocol = _text(row, "protocol").lower() or "imap"
    port = int(_text(row, "smtp_port") or policy.smtp_port or 0)
    identity = account_id(protocol, address)
    wanted = [name.lower() for name in _words(row, "programs")] or policy.programs or programs_on(policy.platform)
    usable = [name for name, program in PROGRAMS.items() if policy.platform in program.platforms and protocol in program.protocols]
    command = PASSWORD_COMMANDS.get(policy.password_command, policy.password_command)
    return Account(
        id=identity,
        key=identity.replace("-", "")[:12],
        address=address,
        local_part=local_part,
        domain=domain,
        full_name=_text(row, "sender_name") or _text(row, "full_name"),
        organization=policy.organization,
        login=_text(row, "login"),
        provider=policy.provider,
        incoming=cast(Incoming, {"protocol": protocol, **server(policy.entry[protocol]), "username": address}),
        outgoing=cast(Outgoing, {"protocol": "smtp", **server(_smtp(policy.entry, port)[0]), "username": address}),
        # The address may carry any of the shell's characters (RFC 5321 allows $ ` ' and more).
        password_command=command.replace("{address}", shlex.quote(address)),
        programs=[name for name in usable if name in wanted],
        phones=[name.lower() for name in _words(row, "phones")],
        primary=primary,
    )


def server(entry: Mapping[str, Any]) -> dict[str, Any]:
    """host, port and security of a provider's server, normalised."""
    return {"host": str(entry["host"]).lower(), "port": int(entry["port"]), "security": str(entry["security"])}


def _smtp(entry: Mapping[str, Any], port: int) -> list[Mapping[str, Any]]:
    """The provider's outgoing servers that answer on `port`, all of them for 0; the provider's order is its preference."""
    servers = entry.get("smtp")
    # Whether they are what they should be is for _provider_problems() to say.
    known = [server for server in servers if isinstance(server, Mapping)] if isinstance(servers, Sequence) else []
    return [server for server in known if not port or str(server.get("port")) == str(port)]


def _no_such_port(policy: Policy, port: int) -> str:
    offered = " and ".join(str(server.get("port")) for server in _smtp(policy.entry, 0))
    return f'{port} is not offered by provider "{policy.provider}"; it takes mail on {offered}'


def _provider_problems(name: str, entry: Mapping[str, Any], file: str) -> list[Problem]:
    where = f"{file}: mail_providers ({printable(name)})" if name else f"{file}: mail_providers"
    found = [] if name else [Problem(where, field="name", what="is missing")]
    known = ("name", "title", *PROTOCOLS, "smtp")
    found += [
        Problem(where, field=str(key), what=f"is not known{did_you_mean(str(key), known)}; known are: {', '.join(known)}")
        for key in entry
        if key not in known
    ]
    servers: list[tuple[str, Any]] = [(kind, entry.get(kind)) for kind in PROTOCOLS]
    smtp = entry.get("smtp")
    if isinstance(smtp, Sequence) and not isinstance(smtp, str) and smtp:
        servers += [(f"smtp[{number}]", server) for number, server in enumerate(smtp)]
    else:
        found.append(Problem(where, field="smtp", what="must be a list of {host, port, security}, the preferred one first"))
    for kind, server in servers:
        if not isinstance(server, Mapping):
            found.append(Problem(where, field=kind, what="must be {host, port, security}"))
            continue
        host, port, security = (str(server.get(key, "")) for key in ("host", "port", "security"))
        if not is_host(host):
            found.append(Problem(where, field=f"{kind}.host", what=f"{quoted(host)} is not a host name"))
        if not is_number(port, 1, 65535):
            found.append(Problem(where, field=f"{kind}.port", what=f"{quoted(port)} is not a port (1 to 65535)"))
        if security not in SECURITY:
            what = f"{quoted(security)} is not tls or starttls{did_you_mean(security, SECURITY)}; plain text cannot be had"
            found.append(Problem(where, field=f"{kind}.security", what=what))
        found += [
            Problem(where, field=f"{kind}.{key}", what="is not known; known are: host, port, security")
            for key in server
            if key not in ("host", "port", "security")
        ]
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
        if code := invisible(_text(row, name)):
            wrong(name, f"{cell(_text(row, name))} has the invisible character {code}; type it again")


def _check_writing(row: Mapping[str, Any], policy: Policy) -> list[Problem]:
    """What the programs of a person could not be told. The rest of the row must be sound."""
    if not policy.sound or _text(row, "state").lower() == "absent":
        return []
    where, address = str(row.get("source", "")), _text(row, "address")
    return [
        # Once, however many people the command is for.
        Problem(policy.where, field="mail_password_command", what=why)
        if name == "password_command"
        else Problem(where, address, _field(where, name), f"{quoted(_text(row, name))} {why}")
        for name, why in unwritable(account_of(row, policy, primary=True))
    ]


def _check_programs(row: Mapping[str, Any], wrong: Any) -> None:
    for name in _words(row, "programs"):
        if name.lower() in LATER:
            continue  # said, and nobody's mistake
        if name.lower() not in PROGRAMS:
            hint = did_you_mean(name, PROGRAMS) or f"; known are: {', '.join(PROGRAMS)}"
            wrong("programs", f"{cell(name, PROGRAMS)} is not a program known here{hint}")
        elif (protocol := _text(row, "protocol").lower() or "imap") in PROTOCOLS and protocol not in PROGRAMS[name.lower()].protocols:
            wrong("programs", f"{name} cannot fetch mail by {protocol}; leave it out or write another protocol")


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return "" if value is None else composed(str(value).strip())


def _words(row: Mapping[str, Any], name: str) -> list[str]:
    return _list(row.get(name))


def _list(value: Any) -> list[str]:
    """Words separated by blanks in a sheet, a list in YAML."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [composed(str(word)) for word in value]
    return [] if value is None else composed(str(value)).split()


def _in_yaml(where: str) -> bool:
    """Whether a row is one of a machine's variables, as "desk-01: mail_accounts[2]" is."""
    return "[" in where


def _field(where: str, name: str) -> str:
    """The sheet has columns; a person in YAML has keys."""
    return f"{'key' if _in_yaml(where) else 'column'} {name}"


def _address(row: Mapping[str, Any]) -> str:
    return _text(row, "address").lower()


def _is_primary(row: Mapping[str, Any]) -> bool:
    return _text(row, "primary").lower() in YES


def _who(row: Mapping[str, Any]) -> Who:
    return who(_text(row, "full_name"), _text(row, "login"))
