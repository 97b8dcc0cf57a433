"""The mail servers that a machine's people need, as the probe, the firewall and the diagnosis want them. Pure, no Ansible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypedDict

from .account import Person
from .model import resolve_people
from .policy import Policy, server

# Verdicts that mean: something between here and there keeps this port from being used, another port may get through.
_IN_THE_WAY = ("blocked", "slow", "refused", "starttls_stripped")
# Programs that only fetch or only send; the others do both.
_ONLY = {"msmtp": "smtp", "mbsync": "imap"}


class Variant(TypedDict):
    """Another provider that has a server for the same service at the same port."""

    provider: str
    title: str
    host: str
    security: str


class Endpoint(TypedDict):
    """A server as the model has it. people: addresses that use it; needed: whether anybody does; programs: what would use it here."""

    service: str
    host: str
    port: int
    security: str
    people: list[str]
    needed: bool
    programs: list[str]
    variants: list[Variant]


def endpoints(people: Iterable[Person], policy: Policy) -> list[Endpoint]:
    """Servers that fetch mail for these people, and every submission server of their provider; none where there are no people.

    Submission servers that nobody uses are there too: one of them may be the way out.
    """
    users: dict[tuple[str, str, int, str], list[str]] = {}
    accounts = [account for person in people for account in person["accounts"]]
    for protocol in ("imap", "pop"):
        for account in accounts:
            incoming = account["incoming"]
            if incoming["protocol"] == protocol:
                users.setdefault((protocol, incoming["host"], incoming["port"], incoming["security"]), []).append(account["address"])
    for entry in policy.entry.get("smtp", []) if accounts else []:
        found = server(entry)
        users[("smtp", found["host"], found["port"], found["security"])] = []
    for account in accounts:
        outgoing = account["outgoing"]
        users[("smtp", outgoing["host"], outgoing["port"], outgoing["security"])].append(account["address"])
    return [
        Endpoint(
            service=service,
            host=host,
            port=port,
            security=security,
            people=sorted(set(addresses)),
            needed=bool(addresses),
            programs=sorted({name for account in accounts for name in account["programs"] if _ONLY.get(name, service) == service}),
            variants=_variants(service, port, policy),
        )
        for (service, host, port, security), addresses in users.items()
    ]


def _variants(service: str, port: int, policy: Policy) -> list[Variant]:
    found = []
    for name, entry in policy.known_providers.items():
        servers = entry.get("smtp", []) if service == "smtp" else [entry[service]]
        for other in map(server, servers):
            if name != policy.provider and other["port"] == port:
                found.append(Variant(provider=name, title=str(entry.get("title", name)), host=other["host"], security=other["security"]))
    return found


class Look:
    """What a machine is to look at, and what comes of it."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], policy: Policy) -> None:
        """rows: of the machine's people. Raises ValueError with all that is wrong with them."""
        self._rows, self._policy = rows, policy
        self.people = resolve_people(rows, policy)
        self.endpoints = endpoints(self.people, policy)

    def result(self, looked: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """{endpoints, smtp_port, smtp_choice, shut, remember}, see M(mail_probe). looked: of each endpoint, in their order."""
        if not looked:
            port, choice = self._policy.smtp_port, ""
        else:
            port, choice = choose_port(looked, self._policy)
        chosen = endpoints(resolve_people(self._rows, replace(self._policy, smtp_port=port)), self._policy)
        return {
            "endpoints": with_users(looked, chosen),
            "smtp_port": port,
            "smtp_choice": choice,
            "shut": shut_ports(looked),
            "remember": self._remember(port),
        }

    def _remember(self, port: int | None) -> dict[str, Any]:
        """For the next run: which mailbox is each person's first, and the port that `auto` came to, for nothing may answer then. Where
        nobody has mail and nothing is known, there is nothing to remember.
        """
        first = {person["login"]: person["accounts"][0]["address"] for person in self.people}
        known = {"primaries": first} if first or self._policy.primaries else {}
        return {**known, "smtp_port": port} if self._policy.auto_port and port else known


def choose_port(results: Sequence[Mapping[str, Any]], policy: Policy) -> tuple[int | None, str]:
    """The port to hand mail in at on a machine, and one sentence where there is something to say.

    results: what the probe found, {endpoint, verdict, ...}. Without `auto` it is the port that is set. With it the provider's first
    is taken, unless something is in its way and another one, with TLS no weaker, works: STARTTLS never takes the place of TLS from the
    first byte, for it is easier to take out. Where none works, what it came to last stays.
    """
    if not policy.auto_port:
        return policy.smtp_port, ""
    verdicts = {(r["endpoint"]["host"], r["endpoint"]["port"]): r["verdict"] for r in results if r["endpoint"]["service"] == "smtp"}
    first, *others = [server(entry) for entry in policy.entry["smtp"]]
    said = verdicts.get((first["host"], first["port"]))
    if said in (None, "ok"):
        return first["port"], ""
    fault = f"port {first['port']} does not work here ({said})"
    stays = policy.smtp_port or first["port"]
    if said not in _IN_THE_WAY:
        return stays, f"{fault}, and no other port would mend that; {stays} stays set."
    for other in others:
        works = verdicts.get((other["host"], other["port"])) == "ok"
        if works and other["security"] in ("tls", first["security"]):
            return other["port"], f"{fault}; port {other['port']} does and is used."
    return stays, f"{fault}, and no other does; {stays} stays set."


def shut_ports(results: Iterable[Mapping[str, Any]]) -> list[int]:
    """Ports at which no server was reached although its name is known. What answers, whatever it says, was not shut off from here."""
    tried = {(result["endpoint"]["port"], any(attempt["ok"] for attempt in result["tcp"])) for result in results if result.get("tcp")}
    return sorted(port for port, reached in tried if not reached and (port, True) not in tried)


def with_users(results: Iterable[Mapping[str, Any]], wanted: Iterable[Endpoint]) -> list[dict[str, Any]]:
    """The results with the endpoints of `wanted`, which has the same servers: who needs them may have changed with the port."""
    now = {(end["service"], end["host"], end["port"]): end for end in wanted}
    return [{**result, "endpoint": now[_key(result["endpoint"])]} for result in results]


def _key(endpoint: Mapping[str, Any]) -> tuple[str, str, int]:
    return endpoint["service"], endpoint["host"], endpoint["port"]
