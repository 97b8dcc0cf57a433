# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What came, went and changed since the run before, in words. Pure: no I/O, no ansible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..office.survey import Key
from .run import NAMES, Earlier, Node, Run, key_of

# What a run did -> what is said of it.
DID = {
    "created": "set up",
    "pending": "brought up to date",
    "drift": "put back after a change by hand",
    "conflict": "brought up to date, a change by hand was kept aside",
    "missing": "put back after it was deleted",
    "removed": "removed",
}

# The same of a hand-out.
_MADE = {"created": "made", "updated": "changed", "removed": "removed"}


def comings(persons: Sequence[Node], earlier: Earlier, known: bool) -> Iterator[Node]:
    """People who are new in the list."""
    for person in persons:
        if known and not earlier.person(person):
            yield {"who": person["name"], "id": person["id"], "where": "", "what": "came"}


def goings(persons: Sequence[Node], run: Run, earlier: Earlier, removed: Sequence[Key]) -> Iterator[Node]:
    """People who are in the list no more, with what was removed."""
    here = [earlier.person(person) for person in persons]
    addresses = {mailbox["address"] for person in persons for mailbox in person["mailboxes"]}
    left = [person for person in earlier.people if person not in here]
    gone: dict[tuple[str, str], set[str]] = {(person["name"], person["id"]): set() for person in left}
    whose = {mailbox["address"]: (person["name"], person["id"]) for person in left for mailbox in person["mailboxes"]}
    for address, machine, program in removed:
        if address not in addresses:
            gone.setdefault(whose.get(address, (address, address)), set()).add(f"{NAMES.get(program, program)} on {machine}")
    for address, became in run.handed.items():
        if became == "removed" and address not in addresses:
            gone.setdefault(whose.get(address, (address, address)), set()).add("hand-out")
    for (name, address), things in sorted(gone.items()):
        verb = "would be removed" if run.check else "removed"
        what = f"left; {verb}: {', '.join(sorted(things))}" if things else "left"
        yield {"who": name, "id": address, "where": "", "what": what}


def changes_of(person: Mapping[str, Any], run: Run, earlier: Earlier, removed: Sequence[Key]) -> Iterator[tuple[str, str]]:
    """What became of a person who is in the list: where, and what."""
    addresses = {mailbox["address"] for mailbox in person["mailboxes"]}
    did: dict[tuple[str, str], set[str]] = {}
    own = {key_of(place): place["platform"] for place in person["places"]}
    # What was removed is among the person's places no more; a shared mailbox is of several people.
    gone = {key: "" for key in removed if key[0] in addresses and key not in own}
    for key, platform in {**own, **gone}.items():
        looked = run.places.get(key)
        if looked and looked.outcome in DID and (not run.only or platform in run.only):
            did.setdefault((looked.outcome, key[1]), set()).add(NAMES.get(key[2], key[2]))
    known = earlier.person(person)
    if known and (moved := _moved(known, person)):
        yield "", moved
    settings = "; ".join(_settings(known, person)) if known else ""
    for (outcome, machine), programs in sorted(did.items()):
        more = f" ({settings})" if settings and outcome in ("pending", "conflict") else ""
        done = f"would be {DID[outcome]}" if run.check else DID[outcome]
        yield machine, f"{', '.join(sorted(programs))} {done}{more}"
    for address in sorted(addresses & run.handed.keys()):
        if run.handed[address] in _MADE:
            yield "", f"hand-out {'would be ' if run.check else ''}{_MADE[run.handed[address]]}"
    if settings and not any(outcome in ("pending", "conflict") for outcome, _unused in did):
        yield "", f"in the list: {settings}"


def _moved(known: Mapping[str, Any], person: Mapping[str, Any]) -> str:
    """How the machines of a person are others in the list than before, "" when they are not."""
    before, now = ({place["machine"]: "" for place in one["places"]} for one in (known, person))
    gone, come = ", ".join(name for name in before if name not in now), ", ".join(name for name in now if name not in before)
    if gone and come:
        return f"moved from {gone} to {come}"
    return f"no more on {gone}" if gone else f"now on {come} as well" if come else ""


def _settings(known: Mapping[str, Any], person: Mapping[str, Any]) -> Iterator[str]:
    """What is another one in the list than before, from what to what."""
    before = {mailbox["address"]: mailbox for mailbox in known["mailboxes"]}
    for mailbox in person["mailboxes"]:
        old = before.get(mailbox["address"])
        if old is None:
            yield f"new mailbox {mailbox['address']}"
            continue
        for name in ("name", "receive", "send"):
            if old[name] != mailbox[name]:
                yield f"{name} {old[name]} -> {mailbox[name]}"
    for address in sorted({*before} - {mailbox["address"] for mailbox in person["mailboxes"]}):
        yield f"mailbox {address} left"
