# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run found of an office, and what the run before knew. Pure: no I/O, no ansible."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..office.programs import PROGRAMS
from ..office.survey import Key
from .results import Place

Node = dict[str, Any]

NAMES = {
    **{name: program.title for name, program in PROGRAMS.items()},
    "apple_mail": "Apple Mail",
    "outlook": "Outlook",
    "ios": "iPhone or iPad",
    "android": "Android phone",
}


class Run(NamedTuple):
    """What a run found and did. machines: those it was for, name -> "reached", "failed" or "unreachable", and why.

    handouts: id of a person -> path of the page, from the office's folder. handed: address that a hand-out is named by -> what became of it
    (created, updated, unchanged, removed). diagnosis: path of the page of a diagnosis. check: it only looked.
    only: the platforms that a run with this outcome would be for, where it looked at others as well.
    """

    places: Mapping[Key, Place]
    machines: Mapping[str, tuple[str, str]]
    probes: Mapping[str, Sequence[Mapping[str, Any]]]
    handouts: Mapping[str, str]
    handed: Mapping[str, str]
    when: datetime.datetime
    check: bool = False
    only: Sequence[str] = ()
    diagnosis: str = ""


class Earlier:
    """What the document of the run before knew."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.diagnosis = str(document.get("diagnosis", ""))
        self.people: list[Mapping[str, Any]] = document.get("people", [])
        self.machines = {machine["name"]: machine for machine in document.get("machines", [])}
        self.places = {key_of(place): place for person in self.people for place in person["places"]}
        self._by_address: dict[str, list[Mapping[str, Any]]] = {}
        for person in self.people:
            for mailbox in person["mailboxes"]:
                self._by_address.setdefault(mailbox["address"], []).append(person)

    def person(self, person: Mapping[str, Any]) -> Mapping[str, Any]:
        """The same person, by mailbox and by login or name, for a mailbox may be of several people; empty when it is somebody new."""
        having = [one for mailbox in person["mailboxes"] for one in self._by_address.get(mailbox["address"], [])]
        if person["login"]:
            having = [one for one in having if person["login"] == one["login"]] or [one for one in having if not one["login"]]
        same = [one for one in having if one["name"] == person["name"]]
        return next(iter(same or having), {})


def key_of(place: Mapping[str, Any]) -> Key:
    return place["address"], place["machine"], place["program"]
