# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Mailboxes of several people: whose rows they are. Pure, no Ansible."""

from __future__ import annotations

from collections.abc import Iterable

from .cells import Notes
from .problem import Problem


def share(rows: Iterable[dict[str, str]], notes: Notes) -> list[Problem]:
    """Give a shared mailbox on somebody's line to that person.

    Several people have a mailbox when it is on lines with different logins. The name on such a line is the mailbox's, where the login's own
    line has another one: then it becomes the sender name.
    """
    every = [row for row in rows if row["address"] and row["login"]]
    logins: dict[str, set[str]] = {}
    for row in every:
        logins.setdefault(row["address"].lower(), set()).add(row["login"].casefold())
    names: dict[str, list[str]] = {}
    for row in every:
        if len(logins[row["address"].lower()]) == 1:
            names.setdefault(row["login"].casefold(), []).append(row["full_name"])
    for row in every:
        own = names.get(row["login"].casefold(), [])
        if len(logins[row["address"].lower()]) > 1 and own and row["full_name"] not in own:
            row["sender_name"] = row["sender_name"] or row["full_name"]
            row["full_name"] = own[0]
            notes.add(f"{row['address']} is of several people; its name is the sender name", row["source"])
    return []
