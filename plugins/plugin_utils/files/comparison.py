"""What mail programs have stored against what the model says: one sentence for each difference. Pure, no Ansible."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from ..office.account import Account, Incoming, Outgoing, Person
from ..office.problem import printable

Direction = Literal["receive", "send"]

# The programs whose stored settings can be read (module mail_settings), as people call them.
NAMES = {"thunderbird": "Thunderbird", "msmtp": "msmtp", "mbsync": "mbsync", "aerc": "aerc"}
DIRECTIONS: Mapping[str, tuple[Direction, ...]] = {
    "thunderbird": ("receive", "send"),
    "msmtp": ("send",),
    "mbsync": ("receive",),
    "aerc": ("receive", "send"),
}

_SECURITY = {"tls": "with TLS", "starttls": "with STARTTLS", "none": "without TLS"}
_PROTOCOL = {"imap": "IMAP", "pop": "POP"}
_SIDE: Mapping[Direction, Literal["incoming", "outgoing"]] = {"receive": "incoming", "send": "outgoing"}


class Finding(NamedTuple):
    """How one program of one person stands with one mailbox, in one direction.

    state: ok, differs, missing (the program has no such account; for Thunderbird normal until it was started after
    provisioning) or unreadable (nothing was found, and something could not be read). ok: whether state is ok.
    what: a sentence without a full stop. file: where it is stored, "" for nothing found. managed: it is an account that this project made.
    adoptable: it is the mailbox on the right server, so that putting it right loses nothing.
    """

    address: str
    login: str
    program: str
    direction: Direction
    ok: bool
    state: Literal["ok", "differs", "missing", "unreadable"]
    what: str
    file: str
    managed: bool = False
    adoptable: bool = False


class _Mailbox(NamedTuple):
    """A mailbox of the model, and what tells stored accounts for it from others."""

    account: Account
    hosts: frozenset[str]  # all hosts of its provider that this machine's people use
    others: frozenset[str]  # addresses of the same person's other mailboxes


class _Program(NamedTuple):
    """A program of one person: what it has stored, and what of it could not be read."""

    name: str
    login: str
    stored: Sequence[Mapping[str, Any]]
    problems: Sequence[Mapping[str, Any]]


def compare(people: Sequence[Person], accounts: Iterable[Mapping[str, Any]], problems: Iterable[Mapping[str, Any]] = ()) -> list[Finding]:
    """All findings, person after person, mailbox after mailbox.

    accounts and problems: what the module mail_settings returned for the machine. A program that has a mailbox several times
    has a finding for each; accounts that are not for a mailbox of the model are nobody's business and appear nowhere.
    """
    # A profile that the program does not open by itself is nobody's mail.
    stored, unread = [entry for entry in accounts if entry.get("used", True)], list(problems)
    findings: list[Finding] = []
    for person in people:
        programs = {name: _Program(name, person["login"], *(_of(person, name, each) for each in (stored, unread))) for name in NAMES}
        for mailbox in _mailboxes(person, people):
            for program in (programs[name] for name in mailbox.account["programs"] if name in programs):
                for direction in DIRECTIONS[program.name]:
                    findings += _findings(mailbox, program, direction)
    return list(dict.fromkeys(findings))


def _of(person: Person, program: str, entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [entry for entry in entries if (entry["login"], entry["program"]) == (person["login"], program)]


def _mailboxes(person: Person, people: Sequence[Person]) -> Iterator[_Mailbox]:
    for account in person["accounts"]:
        fellows = [each for other in people for each in other["accounts"] if each["provider"] == account["provider"]]
        hosts = frozenset(_host(server["host"]) for each in fellows for server in (each["incoming"], each["outgoing"]))
        others = frozenset(_fold(each["address"]) for each in person["accounts"]) - {_fold(account["address"])}
        yield _Mailbox(account, hosts, others)


def _findings(mailbox: _Mailbox, program: _Program, direction: Direction) -> Iterator[Finding]:
    address, name, side = mailbox.account["address"], NAMES[program.name], _SIDE[direction]
    start = (address, program.login, program.name, direction)
    belongs = _receives if direction == "receive" else _sends
    found = [entry for entry in program.stored if belongs(entry, mailbox)]
    for entry in found:
        difference = _difference(entry[side], mailbox.account[side], direction)
        what = f"{name} {difference or _use(entry[side], direction)}"
        yield Finding(
            *start,
            not difference,
            "differs" if difference else "ok",
            what,
            entry["file"],
            bool(entry.get("managed")),
            _is_adoptable(entry, mailbox.account),
        )
    if found:
        return
    if program.problems:
        reasons = "; ".join(dict.fromkeys(_reason(problem) for problem in program.problems))
        yield Finding(*start, False, "unreadable", f"{name}'s settings for {address} are not known: {reasons}", "")
        return
    what = f"has no account for {address} yet"
    if direction == "send" and any(_receives(entry, mailbox) for entry in program.stored):
        what = f"has no server to send from {address}"
    yield Finding(*start, False, "missing", f"{name} {what}", "")


def _is_adoptable(entry: Mapping[str, Any], account: Account) -> bool:
    server, wanted = entry["incoming"], account["incoming"]
    if server is None or server["protocol"] != wanted["protocol"] or _host(server["host"]) != _host(wanted["host"]):
        return False
    user = _fold(server["username"])
    # With POP another login has messages of its own.
    is_short = wanted["protocol"] == "imap" and user == account["local_part"] and _fold(entry["email"]) == account["address"]
    return user == account["address"] or is_short


def _receives(entry: Mapping[str, Any], mailbox: _Mailbox) -> bool:
    server, email, account = entry["incoming"], _fold(entry["email"]), mailbox.account
    if server is None:
        return False
    user, local = _fold(server["username"]), _host(server["host"]) in mailbox.hosts
    if user == account["address"]:
        return True
    if user in mailbox.others:
        return False
    if email == account["address"]:
        # Somebody who writes from this address out of a mailbox somewhere else still has a mailbox of their own there.
        return local or "@" not in user or user.endswith("@" + account["domain"])
    return not email and local and user == account["local_part"]


def _sends(entry: Mapping[str, Any], mailbox: _Mailbox) -> bool:
    server, email, account = entry["outgoing"], _fold(entry["email"]), mailbox.account
    if server is None or email in mailbox.others:
        return False
    if email == account["address"]:
        return True
    if entry["incoming"] is not None:
        return _receives(entry, mailbox)
    if entry["program"] == "thunderbird":
        return False  # a further identity, with an address of its own, that may well send through this mailbox
    user = _fold(server["username"])
    return user == account["address"] or (not email and user == account["local_part"] and _host(server["host"]) in mailbox.hosts)


def _difference(stored: Mapping[str, Any], wanted: Incoming | Outgoing, direction: Direction) -> str:
    """What is wrong and what it should be; "" when nothing is."""
    protocol, host = stored["protocol"] != wanted["protocol"], _host(stored["host"]) != _host(wanted["host"])
    endpoint = protocol or host or (stored["port"], stored["security"]) != (wanted["port"], wanted["security"])
    user = _fold(stored["username"]) != _fold(wanted["username"])
    if not endpoint and not user:
        return ""
    used = printable(stored["username"])
    name = f"uses the user name {used}" if used else "uses no user name"
    if not endpoint:
        return f"{name} to {direction}; it should be {wanted['username']}"
    right = f"port {wanted['port']} {_SECURITY[wanted['security']]}"
    if host or protocol:
        right = f"{wanted['host']} {right}"
    if protocol:
        right = f"{_PROTOCOL[wanted['protocol']]} from {right}"
    by = f" by {_PROTOCOL[stored['protocol']]}" if protocol else ""
    wrong = _use(stored, direction, by)
    if user:
        wrong, right = f"{wrong} and {name}", f"{right} and the user name {wanted['username']}"
    return f"{wrong}; it should be {right}"


def _use(server: Mapping[str, Any], direction: Direction, by: str = "") -> str:
    verb = f"receives{by} from" if direction == "receive" else "sends through"
    return f"{verb} {printable(server['host'])} port {server['port']} {_SECURITY[server['security']]}"


def _reason(problem: Mapping[str, Any]) -> str:
    where = f"{printable(problem['file'])}: " if problem["file"] else ""
    return f"{where}{printable(problem['message'])}"


def _fold(text: str) -> str:
    return text.casefold()


def _host(text: str) -> str:
    return text.casefold().rstrip(".")
