# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the tasks of a run returned, gathered by person, machine and program. Pure: results in, facts out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..office.survey import Key

# What happened to a file, the most telling first: of several files of one program the first one here counts. Then the state it leaves the
# settings in, "" where they are in place.
OUTCOMES = {
    "failed": "failed",
    "refused": "failed",
    "no_login": "no such login",
    "not_installed": "not installed",
    "out_of_reach": "out of reach",
    "own_account": "own account",
    "foreign": "not ours",
    "blocked": "program is open",
    "waiting": "home not there",
    "conflict": "",
    "drift": "",
    "missing": "",
    "pending": "",
    "created": "",
    "unchanged": "",
    # Only where that is all: a file that has moved to another directory is removed from the first.
    "removed": "removed",
}
# Outcomes that fail the run.
FAILED = ("failed", "refused", "no_login", "not_installed", "out_of_reach", "own_account")

# Outcomes that are of a person or a program, and of no file.
_OF_NO_FILE = ("no_login", "not_installed", "out_of_reach")

# What a person does with a service.
DOES = {"imap": "receive", "pop": "receive", "smtp": "send"}
# Programs that make the account themselves, at the person's next start, from what a run has prepared.
TAKES_UP = ("thunderbird",)


class Place(NamedTuple):
    """How a mailbox stands in one program on one machine. outcome: what this run did there, a key of OUTCOMES. why: in words, or ""."""

    state: str
    outcome: str
    why: str = ""


class Results:
    """Takes results in any order; the rest can be asked once all are in."""

    def __init__(self) -> None:
        self.office = ""
        self.people: list[dict[str, Any]] = []
        self._notes: list[str] = []
        self._choices: dict[str, str] = {}
        self.handouts: dict[str, Any] = {}
        # By machine, what mail_probe returned last.
        self.probes: dict[str, Sequence[Mapping[str, Any]]] = {}
        self.stopped: dict[str, tuple[str, str]] = {}
        self.seen: set[str] = set()
        self._outcomes: dict[Key, list[tuple[str, str]]] = {}
        self._verified: set[Key] = set()
        self._profiles: dict[Key, str] = {}
        self._said: dict[Key, str] = {}

    def take(self, module: str, machine: str, result: Mapping[str, Any]) -> None:
        """What a module of this collection (its name without the collection's) returned for a machine, whether it failed or not."""
        taker = getattr(self, f"_{module}", None)
        if taker:
            taker(machine, result)

    def stop(self, machine: str, why: str, words: str) -> None:
        """The run ended for a machine. why: "failed" or "unreachable"; words: the reason, one line. The first reason counts."""
        self.stopped.setdefault(machine, (why, words))

    @property
    def notes(self) -> list[str]:
        """What there is to say besides."""
        return [*self._notes, *(f"{machine}: sending: {choice}" for machine, choice in self._choices.items() if choice)]

    @property
    def places(self) -> dict[Key, Place]:
        """Every place the run has looked at."""
        found = {}
        for key, outcomes in self._outcomes.items():
            outcome, why = min(outcomes, key=lambda each: list(OUTCOMES).index(each[0]))
            # What a Mac says of a profile counts more than what became of the file that it came in.
            found[key] = Place(self._state(key, outcome), outcome, self._said.get(key, why))
        return found

    def machines(self) -> dict[str, tuple[str, str]]:
        """The machines of the run: "reached", "failed" or "unreachable", and why. Where everything that failed is told by person, it was
        reached."""
        told = {key[1] for key, place in self.places.items() if place.outcome in FAILED}
        found = dict.fromkeys(self.seen, ("reached", ""))
        found |= {name: why for name, why in self.stopped.items() if why[0] != "failed" or name not in told}
        return found

    def handed(self) -> dict[str, str]:
        """What became of each hand-out, by the address that it is named by."""
        return {made["address"]: made["state"] for made in self.handouts.get("people", [])}

    def pages(self) -> Iterator[tuple[str, str]]:
        """Id of each person who has a hand-out, and the page."""
        for made in self.handouts.get("people", []):
            if made["state"] != "removed":
                for person in self.people:
                    if person["name"] == made["full_name"] and made["address"] in [mailbox["address"] for mailbox in person["mailboxes"]]:
                        yield person["id"], f"{self.handouts['dest']}/{made['folder']}/index.html"

    def _state(self, key: Key, outcome: str) -> str:
        profile = self._profiles.get(key, "")
        # A profile outlives the file that it came in; until it is installed, the file has to be there.
        if profile and (profile != "pending user approval" or not OUTCOMES[outcome]):
            return profile
        waits = "to be started" if key[2] in TAKES_UP else "prepared"
        return OUTCOMES[outcome] or ("verified" if key in self._verified else waits)

    def _mail_check(self, _machine: str, result: Mapping[str, Any]) -> None:
        if "people" in result:
            self.office, self.people = result["office"], result["people"]
            # A run of several plays asks several times.
            self._notes += [note for note in result.get("notes", []) if note not in self._notes]

    def _mail_files(self, machine: str, result: Mapping[str, Any]) -> None:
        self.seen.add(machine)
        for entry in result.get("files", []):
            message = entry.get("message", "")
            why = f"{entry['dest']}: {message}" if message and entry["state"] not in _OF_NO_FILE else message
            fares = entry.get("each", dict.fromkeys(entry["people"], entry["state"]))
            for address, state in fares.items():
                self._outcomes.setdefault((address, machine, entry["program"]), []).append((state, why))
            if why and not fares:
                self._notes.append(f"{machine}: {why}")
        for entry in result.get("evidence", []):
            if entry["verified"]:
                self._verified.add((entry["address"], machine, entry["program"]))

    def _apple_profiles(self, machine: str, result: Mapping[str, Any]) -> None:
        self.seen.add(machine)
        for person in result.get("people", []):
            for address in person["addresses"]:
                key = (address, machine, "apple_mail")
                self._profiles[key] = person["state"].replace("_", " ")
                self._said[key] = person.get("message", "")
                outcome = "removed" if person["state"] == "removed" and person["changed"] else "unchanged"
                self._outcomes.setdefault(key, []).append((outcome, person.get("message", "")))

    def _mobile_files(self, _machine: str, result: Mapping[str, Any]) -> None:
        if "dest" not in result:
            return
        # Made once, and brought up to date in the same run: what it was at first is what it was for the person.
        before = {made["address"]: made for made in self.handouts.get("people", []) if made["state"] in ("created", "updated", "removed")}
        people = [before.get(made["address"], made) for made in result.get("people", [])]
        gone = [made for made in before.values() if made["address"] not in {each["address"] for each in people}]
        self.handouts = {**result, "people": [*people, *gone]}

    def _mail_facts(self, machine: str, result: Mapping[str, Any]) -> None:
        if "probe" in result:
            self._mail_probe(machine, result["probe"])

    def _mail_probe(self, machine: str, result: Mapping[str, Any]) -> None:
        self.seen.add(machine)
        self.probes[machine] = result.get("endpoints", [])
        # A second look takes the place of the first.
        self._choices[machine] = str(result.get("smtp_choice") or "")

    def _mail_firewall(self, machine: str, result: Mapping[str, Any]) -> None:
        if result.get("changed") or result.get("restricted"):
            self._notes.append(f"{machine}: firewall: {result['message']}")


def troubles(endpoints: Sequence[Mapping[str, Any]]) -> Iterator[tuple[list[str], str]]:
    """Servers that somebody needs and cannot use: addresses of those people, and what to do, in words."""
    for end in endpoints:
        if end["endpoint"]["needed"] and end["verdict"] != "ok":
            yield list(end["endpoint"]["people"]), f"cannot {DOES[end['endpoint']['service']]}: {end['advice']}"
