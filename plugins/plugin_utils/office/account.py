"""A mailbox on a machine, complete. Every default is filled in here, so that templates take fields and decide nothing."""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Mapping
from typing import Any, Literal, TypedDict, cast

from .policy import PASSWORD_COMMANDS, Policy, Security, server, smtp_servers
from .programs import PROGRAMS, programs_on
from .rows import address_of, text, words

# Ids must be the same on every run, machine and version of this project: never change this.
ID_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:msp:charter-mail:account")


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


class Person(TypedDict):
    """One login on a machine with the mailboxes it reads; the first is the primary one."""

    login: str
    full_name: str
    accounts: list[Account]


def account_id(protocol: str, address: str) -> str:
    """The account's UUIDv5 (RFC 9562 5.5): the same for ever for this protocol and address, whatever the servers."""
    return str(uuid.uuid5(ID_NAMESPACE, f"{protocol}:{address.lower()}"))


def account_of(row: Mapping[str, Any], policy: Policy, primary: bool) -> Account:
    address = address_of(row)
    local_part, _unused, domain = address.rpartition("@")
    protocol = text(row, "protocol").lower() or "imap"
    port = int(text(row, "smtp_port") or policy.smtp_port or 0)
    identity = account_id(protocol, address)
    wanted = [name.lower() for name in words(row, "programs")] or policy.programs or programs_on(policy.platform)
    usable = [name for name, program in PROGRAMS.items() if policy.platform in program.platforms and protocol in program.protocols]
    command = PASSWORD_COMMANDS.get(policy.password_command, policy.password_command)
    return Account(
        id=identity,
        key=identity.replace("-", "")[:12],
        address=address,
        local_part=local_part,
        domain=domain,
        full_name=text(row, "sender_name") or text(row, "full_name"),
        organization=policy.organization,
        login=text(row, "login"),
        provider=policy.provider,
        incoming=cast(Incoming, {"protocol": protocol, **server(policy.entry[protocol]), "username": address}),
        outgoing=cast(Outgoing, {"protocol": "smtp", **server(smtp_servers(policy.entry, port)[0]), "username": address}),
        # The address may carry any of the shell's characters (RFC 5321 allows $ ` ' and more).
        password_command=command.replace("{address}", shlex.quote(address)),
        programs=[name for name in usable if name in wanted],
        phones=[name.lower() for name in words(row, "phones")],
        primary=primary,
    )
