"""The end of a run in words: person x machine x program. Pure: results in, lines out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

# What happened to a file -> what a technician reads; of several files of one program the first word here counts.
OUTCOMES = {
    "failed": "failed",
    "refused": "refused",
    "no_login": "nobody gets it",
    "not_installed": "waits for the program",
    "out_of_reach": "waits for the program",
    "own_account": "left alone",
    "foreign": "left alone",
    "blocked": "waits",
    "waiting": "waits",
    "conflict": "updated, a change by hand backed up",
    "drift": "put back after a change by hand",
    "missing": "put back after it was deleted",
    "pending": "updated",
    "created": "new",
    "removed": "removed",
    "unchanged": "unchanged",
}
# Outcomes after which the settings are not in place, with the state they leave.
_NOT_IN_PLACE = {
    "failed": "failed",
    "refused": "failed",
    "no_login": "no such login",
    "not_installed": "not installed",
    "out_of_reach": "out of reach",
    "own_account": "own account",
    "foreign": "not ours",
    "blocked": "program is open",
    "waiting": "home not there",
    "removed": "removed",
}

# Outcomes that fail the run.
FAILED = ("failed", "refused", "no_login", "not_installed", "out_of_reach", "own_account")

# What a person does with a service.
DOES = {"imap": "receive", "pop": "receive", "smtp": "send"}

HEADINGS = ("person", "machine", "program", "state", "this run")


class Summary:
    """Collects results in any order; lines() can be called once all are in."""

    def __init__(self) -> None:
        self._office = ""
        self._machines: Mapping[str, Any] = {}
        self._states: dict[tuple[str, str, str], list[str]] = {}
        self._verified: set[tuple[str, str, str]] = set()
        self._profiles: dict[tuple[str, str, str], str] = {}
        self._notes: list[str] = []
        self._probed: dict[str, list[str]] = {}
        self._handouts = ""
        self._stopped: dict[str, str] = {}
        self._seen: set[str] = set()
        self._told: set[str] = set()  # machines with a row that says what failed

    def office(self, name: str, machines: Mapping[str, Any]) -> None:
        """machines: machine -> {platform, people: [addresses]}, as mail_check returns it."""
        self._office, self._machines = name, machines

    def stopped(self, machine: str, why: str) -> None:
        """why: "failed" or "unreachable"."""
        self._stopped[machine] = why

    @property
    def name(self) -> str:
        """Name of the office."""
        return self._office

    def unseen(self) -> Iterator[tuple[str, str, str, list[str]]]:
        """Machines that stopped: name, "unreachable" or "failed", the reason in words, addresses of their people."""
        for name, why in sorted(self._stopped.items()):
            words = {"unreachable": "could not be reached", "failed": "the run failed there, see above"}[why]
            yield name, why, words, list(self._machines.get(name, {"people": []})["people"])

    def files(self, machine: str, result: Mapping[str, Any]) -> None:
        """result: what mail_files returned for the machine."""
        self._seen.add(machine)
        for entry in result.get("files", []):
            for address, state in entry.get("each", dict.fromkeys(entry["people"], entry["state"])).items():
                self._states.setdefault((address, machine, entry["program"]), []).append(state)
            if entry["state"] in FAILED and entry["people"]:
                self._told.add(machine)
            if entry.get("message"):
                self._notes.append(f"{machine}: {entry['dest']}: {entry['message']}")
        for entry in result.get("evidence", []):
            if entry["verified"]:
                self._verified.add((entry["address"], machine, entry["program"]))

    def profiles(self, machine: str, result: Mapping[str, Any]) -> None:
        """result: what apple_profiles returned for the machine."""
        self._seen.add(machine)
        for person in result.get("people", []):
            for address in person["addresses"]:
                key = (address, machine, "apple_mail")
                self._profiles[key] = person["state"]
                self._states.setdefault(key, []).append("removed" if person["state"] == "removed" and person["changed"] else "unchanged")
            if person.get("message"):
                self._notes.append(f"{machine}: {person['login']}: {person['message']}")

    def handouts(self, result: Mapping[str, Any], here: PurePath) -> None:
        """result: what mobile_files returned for the office. here: the folder that names of files are shown from."""
        people = sum(person["state"] != "removed" for person in result.get("people", []))
        if people:
            page = PurePath(result["dest"], "index.html")
            page = page.relative_to(here) if page.is_relative_to(here) else page
            self._handouts = f"Phones and Macs of {_count(people, 'person', 'people')}: {page}"

    def probe(self, machine: str, result: Mapping[str, Any]) -> None:
        """result: what mail_probe returned for the machine. A second look takes the place of the first."""
        notes = self._probed[machine] = []
        for end in result.get("endpoints", []):
            if end["endpoint"]["needed"] and end["verdict"] != "ok":
                notes.append(f"{machine}: cannot {DOES[end['endpoint']['service']]}: {end['advice']}")
        if result.get("smtp_choice"):
            notes.append(f"{machine}: sending: {result['smtp_choice']}")

    def firewall(self, machine: str, result: Mapping[str, Any]) -> None:
        """result: what mail_firewall returned for the machine."""
        if result.get("changed") or result.get("restricted"):
            self._notes.append(f"{machine}: firewall: {result['message']}")

    def lines(self, check: bool = False) -> Iterator[str]:
        """The summary; nothing when no office was worked on."""
        if not self._office:
            return
        people = {address for machine in self._machines.values() for address in machine["people"]}
        yield ""
        yield f"Mail of office {self._office}: {_count(len(people), 'mailbox', 'mailboxes')} on {_count(len(self._machines), 'machine')}"
        if check:
            yield "Check only: nothing was written; the last column is what a run would do."
        if self._states:
            yield ""
            yield from _table([HEADINGS, *(self._row(key) for key in sorted(self._states))])
        notes = {*self._notes, *(note for notes in self._probed.values() for note in notes)}
        rest = [*self._left_out(), *sorted(notes), *filter(None, [self._handouts])]
        if rest:
            yield ""
            yield from rest

    def _row(self, key: tuple[str, str, str]) -> tuple[str, ...]:
        outcome = next(name for name in OUTCOMES if name in self._states[key])
        in_place = self._profiles.get(key) or ("verified" if key in self._verified else "prepared")
        # A profile outlives the file that it came in.
        state = in_place if key in self._profiles and outcome == "removed" else _NOT_IN_PLACE.get(outcome, in_place)
        return (*key, state, OUTCOMES[outcome])

    def _left_out(self) -> Iterator[str]:
        """Machines without a result, each with the reason and the people who are waiting for it."""
        for name in sorted({*self._machines, *self._stopped} - (self._seen - set(self._stopped))):
            machine = self._machines.get(name, {"platform": "", "people": []})
            why = self._stopped.get(name)
            if why == "failed" and name in self._told:
                continue
            if not why and machine["platform"] == "macos":
                why = "left out of this run; what its people need is for playbooks/deliver_profiles.yml"
            elif not why and machine["platform"] and machine["platform"] != "linux":
                why = f"left out, {machine['platform']} machines are not provisioned by this version"
            elif not why:
                why = "left out of this run" if machine["platform"] else "left out, in none of the groups linux, windows and macos"
            waiting = f" ({', '.join(machine['people'])})" if machine["people"] else ""
            yield f"{name}: {why}{waiting}"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
