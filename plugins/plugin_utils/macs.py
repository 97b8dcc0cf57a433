# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Macs and their people: whose profile is whose, and how far everybody is. Pure: no I/O, no ansible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .handout import State
from .identity import who
from .mobile import folder, profile_file
from .model import DeviceOwner, Person

PROGRAM = "apple_mail"

# What apple_profiles says of a person -> what the office's list says. A Mac that could not be asked leaves what is known as it is.
STATES: Mapping[str, State] = {"installed": "installed", "pending user approval": "pending", "outdated": "outdated"}
UNKNOWN = "unknown"
# From nothing done to all done; of a person's Macs the least far one counts.
ORDER: Sequence[State] = ("missing", "prepared", "pending", "outdated", "installed")

# By folder of the person and name of the Mac: the state, and the digest of the profile that it was told of.
Known = Mapping[str, Mapping[str, Mapping[str, str]]]


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
            "profile": f"{made['dest']}/{name}/{profile_file(name, 'macos', unsigned=True)}",
        }
        for person, name in zip(people, folders, strict=True)
    ]


def heard(known: Known, owners: Iterable[DeviceOwner], answers: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """What is known of everybody's Macs after a run. answers: by Mac, the people that apple_profiles returned."""
    after: dict[str, Any] = {}
    for owner in owners:
        mine: dict[str, Mapping[str, str]] = {}
        for mac in owner["macs"]:
            before = known.get(folder(owner), {}).get(mac)
            said = next((one for one in answers.get(mac, ()) if one["login"].casefold() == owner["login"].casefold()), None)
            if mac in answers and said is None:
                before = None
            elif said is not None and said["state"] != UNKNOWN:
                state = STATES.get(said["state"])
                before = {"state": state, "profile": said["profile"]} if state else None
            if before:
                mine[mac] = before
        if mine:
            after[folder(owner)] = mine
    return after


def states(known: Known, owners: Iterable[DeviceOwner], profiles: Mapping[str, str]) -> dict[str, State]:
    """By folder, how far the people with a Mac are. profiles: by folder, the digest of the profile that is handed out now."""
    found: dict[str, State] = {}
    for owner in owners:
        name = folder(owner)
        if not owner["macs"]:
            continue
        each = [_state(known.get(name, {}).get(mac), profiles.get(name, "")) for mac in owner["macs"]]
        found[name] = min(each, key=ORDER.index)
    return found


def _state(known: Mapping[str, str] | None, profile: str) -> State:
    """What was said of another profile may still be waiting, but it is not what is in use."""
    if not known:
        return "prepared"
    if known["state"] == "installed" and known["profile"] != profile:
        return "outdated"
    return next((state for state in ORDER if state == known["state"]), "prepared")
