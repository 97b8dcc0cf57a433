# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Macs and their people: whose profile is whose. Pure: no I/O, no ansible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..office.account import Person
from ..office.identity import who
from .mobile import profile_file, unsigned_file

PROGRAM = "apple_mail"


def mac_people(people: Sequence[Person], made: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The people of a Mac with the profiles that were made for them, as mail_files and apple_profiles take them.

    made: what mobile_files returned. An entry has login, full_name, accounts (of the program apple_mail), addresses, and the paths
    `signed` (the profile to hand out) and `profile` (the same without a signature). Raises ValueError for people without a profile.
    """
    made_for = {who(entry["full_name"], entry["login"]): entry["folder"] for entry in made["people"] if "macos" in entry["devices"]}
    folders = [made_for.get(who(person["full_name"], person["login"]), "") for person in people]
    if missing := [f"{person['login']} ({person['full_name']})" for person, name in zip(people, folders, strict=True) if not name]:
        raise ValueError(f"no profile was made for {', '.join(missing)}; run the role mobile before")
    return [
        {
            "login": person["login"],
            "full_name": person["full_name"],
            "accounts": [{**account, "programs": [PROGRAM]} for account in person["accounts"]],
            "addresses": [account["address"] for account in person["accounts"]],
            "signed": f"{made['dest']}/{name}/{profile_file(name, 'macos')}",
            "profile": f"{made['dest']}/{unsigned_file(name, 'macos', made['signed'])}",
        }
        for person, name in zip(people, folders, strict=True)
    ]
