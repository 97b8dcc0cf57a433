"""A row of a list of people, or of a machine's variables: what may stand in it, and how it is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .identity import Who, in_order, who
from .names import composed

PROTOCOLS = ("imap", "pop")
PHONES = ("ios", "android")
STATES = ("present", "absent")
# What is said of a person; the sheet says `machines` besides.
KEYS = ("address", "full_name", "login", "protocol", "smtp_port", "programs", "phones", "primary", "state", "sender_name")
# YAML makes a yes without quotes a boolean, and so do spreadsheets with true.
YES, NO = ("yes", "true"), ("no", "false")
SMTP_PORTS = (587, 465)


def text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return "" if value is None else composed(str(value).strip())


def words(row: Mapping[str, Any], name: str) -> list[str]:
    return as_list(row.get(name))


def as_list(value: Any) -> list[str]:
    """Words separated by blanks in a sheet, a list in YAML."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [composed(str(word)) for word in value]
    return [] if value is None else composed(str(value)).split()


def in_yaml(where: str) -> bool:
    """Whether a row is one of a machine's variables, as "desk-01: mail_accounts[2]" is."""
    return "[" in where


def field_of(where: str, name: str) -> str:
    """The sheet has columns; a person in YAML has keys."""
    return f"{'key' if in_yaml(where) else 'column'} {name}"


def address_of(row: Mapping[str, Any]) -> str:
    return text(row, "address").lower()


def is_primary(row: Mapping[str, Any]) -> bool:
    return text(row, "primary").lower() in YES


def who_of(row: Mapping[str, Any]) -> Who:
    return who(text(row, "full_name"), text(row, "login"))


def mailboxes_in_order(rows: Iterable[Mapping[str, Any]], before: str) -> list[Mapping[str, Any]]:
    """The first row of each mailbox of one person, the primary one first."""
    first: dict[str, Mapping[str, Any]] = {}
    said: dict[str, bool] = {}
    person: Who = ("", "")
    for row in rows:
        address, person = address_of(row), who_of(row)
        first.setdefault(address, row)
        said[address] = said.get(address, False) or is_primary(row)
    return [first[address] for address in in_order(said, person, before)]
