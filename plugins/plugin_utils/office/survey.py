# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Everybody of an office, with all they are to have mail on: what a run is held against. Pure, no Ansible."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

from .account import Account, account_of
from .check import Machine
from .model import people_of
from .policy import Policy
from .programs import LATER

Key = tuple[str, str, str]
"""A place: address, machine, program."""


def survey(
    sheet: Iterable[Mapping[str, Any]], machines: Mapping[str, Machine], policy: Policy, mdm: Container[str] = ()
) -> list[dict[str, Any]]:
    """One entry per person, sorted by name; people who left are left out. The rows must be sound, see check.check_office().

    {id, name, login, mailboxes, places, phones}. id: the address of the first mailbox. mailboxes: {address, name, receive, send}, the
    servers as one text each. places: {address, machine, platform, program, mdm}; program is "" where nothing is known to be set up.
    phones: ios, android. mdm: the Macs whose profiles come by an MDM.
    """
    found = []
    for mine in people_of(sheet, machines):
        mailboxes: dict[str, Account] = {}
        places = []
        phones: set[str] = set()
        for row, on in mine:
            for name in on:
                machine = machines[name].policy
                account = account_of(row, machine, primary=False)
                mailboxes.setdefault(account["address"], account)
                places += [
                    {
                        "address": account["address"],
                        "machine": name,
                        "platform": machine.platform,
                        "program": program,
                        "mdm": machine.platform == "macos" and name in mdm,
                    }
                    for program in _programs(row, account, machine.platform)
                ]
            account = account_of(row, policy, primary=False)
            mailboxes.setdefault(account["address"], account)
            phones |= {*account["phones"]}
        first = next(iter(mailboxes.values()))
        found.append(
            {
                "id": first["address"],
                "name": str(mine[0][0]["full_name"]),
                "login": first["login"],
                "mailboxes": [mailbox(account) for account in mailboxes.values()],
                "places": places,
                "phones": sorted(phones),
            }
        )
    return sorted(found, key=lambda person: (person["name"].casefold(), person["id"]))


def mailbox(account: Account) -> dict[str, str]:
    """A mailbox as it is remembered: {address, name, receive, send}, the servers as one text each."""
    return {
        "address": account["address"],
        "name": account["full_name"],
        "receive": _server(account["incoming"]),
        "send": _server(account["outgoing"]),
    }


def _server(server: Any) -> str:
    return f"{server['protocol']}: {server['host']}:{server['port']} {server['security'].upper()}"


def _programs(row: Mapping[str, Any], account: Account, platform: str) -> list[str]:
    if platform == "macos":
        return ["apple_mail"]
    return (
        account["programs"]
        or [name for name in str(row.get("programs") or "").lower().split() if name in LATER and platform == "windows"]
        or [""]
    )
