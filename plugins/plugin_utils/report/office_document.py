# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How an office stands, as one document: who is ready, who waits for whom, what is wrong, what changed. Pure, no Ansible.

The document (office.json; its schema is docs/office.schema.json) is all that is remembered of earlier runs, and all that screen and page
are made of. Times are ISO 8601 in UTC.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..office.survey import Key
from .results import Place, troubles

SCHEMA = 1
# How a place, a person, an office stands; of several the first one here counts.
KINDS = ("problem", "would_change", "waits", "not_provisioned", "ready")
# So many changes of a person are kept.
MOST_CHANGES = 50

Node = dict[str, Any]


class State(NamedTuple):
    """What a state means: its kind, and what is to be done about it ("" for nothing). {program}, {machine} and {why} are filled in."""

    kind: str
    todo: str = ""


STATES: Mapping[str, State] = {
    "verified": State("ready"),
    "installed": State("ready"),
    "prepared": State("ready"),
    "done": State("ready"),
    "to be started": State("waits", "start {program} once and type the password of the mailbox"),
    "to be installed": State("waits", "scan the code on the hand-out, or open its file, and type the password of the mailbox"),
    "pending user approval": State("waits", "open the profile on the Mac, install it, and type the password of the mailbox"),
    "outdated": State("waits", "install the new profile on the Mac"),
    "unknown": State("waits", "{why}; run again"),
    "kept": State("waits", "{why}"),
    "removed": State("not_provisioned"),
    "absent": State("not_provisioned"),
    "program is open": State("waits", "close {program}, then run again"),
    "home not there": State("waits", "sign in on {machine} once, then run again"),
    "not reached": State("waits", "switch {machine} on, then run again"),
    "not run yet": State("waits", "run provision-mail.yml for {machine}"),
    "to be provisioned": State("would_change"),
    "not ours": State("problem", "{why}"),
    "no such login": State("problem", "{why}"),
    "not installed": State("problem", "{why}"),
    "out of reach": State("problem", "{why}"),
    "own account": State("problem", "{why}"),
    "failed": State("problem", "{why}"),
    "in no group": State("problem", "put {machine} into the group linux, windows or macos of hosts.yml"),
    "by an MDM": State("not_provisioned"),
    "nothing to set up": State("problem", "nothing is set up there: the list names no program that {machine} can have"),
    "not provisioned yet": State("not_provisioned"),
}
NAMES = {
    "thunderbird": "Thunderbird",
    "neomutt": "NeoMutt",
    "apple_mail": "Apple Mail",
    "outlook": "Outlook",
    "ios": "iPhone or iPad",
    "android": "Android phone",
}
# What a run did -> what is said of it.
_DID = {
    "created": "set up",
    "pending": "brought up to date",
    "drift": "put back after a change by hand",
    "conflict": "brought up to date, a change by hand was kept aside",
    "missing": "put back after it was deleted",
    "removed": "removed",
}
# The same of a hand-out.
_MADE = {"created": "made", "updated": "changed", "removed": "removed"}


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


def build(office: str, people: Sequence[Mapping[str, Any]], run: Run, before: Mapping[str, Any] | None = None) -> Node:
    """The document after a run. people: as survey() gives them; before: the document of the run before."""
    time = run.when.astimezone(datetime.UTC).isoformat(timespec="seconds")
    earlier = _Earlier(before or {})
    persons = [_person(person, run, earlier, time) for person in people]
    removed = [key for key, place in run.places.items() if place.outcome == "removed"]
    changes = [*_comings(persons, earlier, before is not None), *_goings(persons, run, earlier, removed)]
    for person in persons:
        changes += [
            {"who": person["name"], "id": person["id"], "where": where, "what": what}
            for where, what in _changes(person, run, earlier, removed)
        ]
    if not run.check:
        for person in persons:
            new = [{"time": time, "where": change["where"], "what": change["what"]} for change in changes if change["id"] == person["id"]]
            person["changes"] = [*new, *person["changes"]][:MOST_CHANGES]
    document = {
        "schema": SCHEMA,
        "office": office,
        "time": time,
        "counts": {},
        "todo": [],
        "changes": changes,
        "people": persons,
        "machines": _machines(people, run, earlier, time),
        "diagnosis": run.diagnosis or earlier.diagnosis,
    }
    refresh(document)
    return document


class _Earlier:
    """What the document of the run before knew."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.diagnosis = str(document.get("diagnosis", ""))
        self.people: list[Mapping[str, Any]] = document.get("people", [])
        self.machines = {machine["name"]: machine for machine in document.get("machines", [])}
        self.places = {_key(place): place for person in self.people for place in person["places"]}
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


def _person(person: Mapping[str, Any], run: Run, earlier: _Earlier, time: str) -> Node:
    known = earlier.person(person)
    before = {mailbox["address"]: mailbox for mailbox in known.get("mailboxes", [])}
    changed = {mailbox["address"] for mailbox in person["mailboxes"] if before.get(mailbox["address"], mailbox) != mailbox}
    places = [_place(place, run, earlier, time, place["address"] in changed) for place in person["places"]]
    done = {phone["kind_of"]: phone["done"] for phone in known.get("phones", []) if phone["done"]}
    waits = "to be provisioned" if run.check and not known else "to be installed"
    phones = [
        _judged({"kind_of": kind, "state": "done" if kind in done else waits, "done": done.get(kind, "")}) for kind in person["phones"]
    ]
    found = {
        "id": person["id"],
        "name": person["name"],
        "login": person["login"],
        "kind": "",
        "mailboxes": person["mailboxes"],
        "places": places,
        "phones": phones,
        "handout": run.handouts.get(person["id"], known.get("handout", "")),
        "changes": list(known.get("changes", [])),
    }
    addresses = {mailbox["address"] for mailbox in person["mailboxes"]}
    stopped = [
        {"where": machine, "kind": "problem", "what": what}
        for machine in sorted({place["machine"] for place in places})
        for people, what in troubles(_servers(machine, run, earlier))
        if addresses & set(people)
    ]
    found["stopped"] = stopped
    return found


def refresh(document: Node) -> None:
    """Work out anew what follows from places, phones and servers: how each person stands, who has to do what, and the counts."""
    document["todo"] = []
    for person in document["people"]:
        nodes = [*person["places"], *person["phones"]]
        person["kind"] = worst([each["kind"] for each in (*nodes, *person["stopped"])])
        todo = _unique([*person["stopped"], *_todo(nodes)])
        document["todo"] += [{"who": person["name"], "id": person["id"], **each} for each in todo]
    counts = Counter(person["kind"] for person in document["people"])
    document["counts"] = {"people": len(document["people"]), **{kind: counts[kind] for kind in KINDS}}


def _key(place: Mapping[str, Any]) -> Key:
    return place["address"], place["machine"], place["program"]


def _place(place: Mapping[str, Any], run: Run, earlier: _Earlier, time: str, changed: bool) -> Node:
    """changed: whether the mailbox is another one in the list than before; what was ready is not what is wanted then."""
    key = _key(place)
    known: Mapping[str, Any] = earlier.places.get(key, {})
    looked = run.places.get(key)
    reached, why = run.machines.get(place["machine"], ("", ""))
    last = {"state": known.get("state", "not run yet"), "why": known.get("why", ""), "seen": known.get("seen", "")}
    if changed and kind_of(last["state"]) == "ready":
        last |= {"state": "not run yet", "why": ""}
    if looked and (not run.only or place["platform"] in run.only):
        would = run.check and looked.outcome in _DID and looked.outcome != "removed"
        now = {"state": "to be provisioned" if would else looked.state, "why": looked.why, "seen": time, "did": looked.outcome}
    elif not place["platform"]:
        now = {"state": "in no group", "why": "", "seen": ""}
    elif place["mdm"]:
        now = {"state": "by an MDM", "why": "", "seen": ""}
    elif place["platform"] == "windows":
        now = {"state": "not provisioned yet", "why": "", "seen": ""}
    elif not place["program"]:
        now = {"state": "nothing to set up", "why": "", "seen": ""}
    elif reached == "failed":
        now = {**last, "state": "failed", "why": why}
    elif reached == "unreachable" and kind_of(last["state"]) != "ready":
        now = {**last, "state": "not reached", "why": why}
    else:
        # Not looked at now. What was ready is on the machine still.
        now = last
    return _judged({**place, "did": "", **now})


def _judged(node: Node) -> Node:
    return {**node, "kind": kind_of(node["state"])}


def kind_of(state: str) -> str:
    """The kind of a state; one that is not known is waited for, never ready."""
    return STATES[state].kind if state in STATES else "waits"


def worst(kinds: Iterable[str]) -> str:
    """The kind that counts of several; with none there is nothing that could be provisioned."""
    found = set(kinds)
    return next((kind for kind in KINDS if kind in found), "not_provisioned")


def _todo(nodes: Iterable[Node]) -> Iterator[Node]:
    for node in nodes:
        todo = STATES[node["state"]].todo if node["state"] in STATES else "{why}"
        if todo:
            machine, program = str(node.get("machine", "")), str(node.get("program", node.get("kind_of", "")))
            why = node.get("why", "")
            what = todo.format(program=NAMES.get(program, program), machine=machine, why=why or node["state"])
            what += f" ({why})" if why and "{why}" not in todo else ""
            yield {"where": machine or NAMES.get(program, program), "kind": node["kind"], "what": what}


def _unique(todo: Iterable[Node]) -> list[Node]:
    found: list[Node] = []
    for each in todo:
        found += [] if each in found else [each]
    return found


def _comings(persons: Sequence[Node], earlier: _Earlier, known: bool) -> Iterator[Node]:
    """People who are new in the list."""
    for person in persons:
        if known and not earlier.person(person):
            yield {"who": person["name"], "id": person["id"], "where": "", "what": "came"}


def _goings(persons: Sequence[Node], run: Run, earlier: _Earlier, removed: Sequence[Key]) -> Iterator[Node]:
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


def _changes(person: Mapping[str, Any], run: Run, earlier: _Earlier, removed: Sequence[Key]) -> Iterator[tuple[str, str]]:
    """What became of a person who is in the list: where, and what."""
    addresses = {mailbox["address"] for mailbox in person["mailboxes"]}
    did: dict[tuple[str, str], set[str]] = {}
    own = {_key(place): place["platform"] for place in person["places"]}
    # What was removed is among the person's places no more; a shared mailbox is of several people.
    gone = {key: "" for key in removed if key[0] in addresses and key not in own}
    for key, platform in {**own, **gone}.items():
        looked = run.places.get(key)
        if looked and looked.outcome in _DID and (not run.only or platform in run.only):
            did.setdefault((looked.outcome, key[1]), set()).add(NAMES.get(key[2], key[2]))
    known = earlier.person(person)
    if known and (moved := _moved(known, person)):
        yield "", moved
    settings = "; ".join(_settings(known, person)) if known else ""
    for (outcome, machine), programs in sorted(did.items()):
        more = f" ({settings})" if settings and outcome in ("pending", "conflict") else ""
        done = f"would be {_DID[outcome]}" if run.check else _DID[outcome]
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


def _machines(people: Sequence[Mapping[str, Any]], run: Run, earlier: _Earlier, time: str) -> list[Node]:
    platforms = {place["machine"]: place["platform"] for person in people for place in person["places"]}
    found = []
    for name, platform in sorted(platforms.items()):
        known = earlier.machines.get(name, {})
        state, why = run.machines.get(name, (known.get("state", "never"), known.get("why", "")))
        found.append(
            {
                "name": name,
                "platform": platform,
                "people": [person["id"] for person in people if name in [place["machine"] for place in person["places"]]],
                "state": state,
                "why": why,
                "seen": time if run.machines.get(name, ("",))[0] == "reached" else known.get("seen", ""),
                "servers": [_server(end) for end in run.probes[name]] if name in run.probes else known.get("servers", []),
                "servers_seen": time if name in run.probes else known.get("servers_seen", ""),
            }
        )
    return found


def _server(result: Mapping[str, Any]) -> Node:
    end = result["endpoint"]
    return {
        "endpoint": {name: end[name] for name in ("service", "host", "port", "security", "needed", "people")},
        "verdict": result["verdict"],
        "advice": result["advice"],
    }


def _servers(machine: str, run: Run, earlier: _Earlier) -> Sequence[Mapping[str, Any]]:
    if machine in run.probes:
        return run.probes[machine]
    found: Sequence[Mapping[str, Any]] = earlier.machines.get(machine, {}).get("servers", [])
    return found


def record_done(document: Node, who: str, device: str, time: str) -> str:
    """Set when a phone was done ("" for not yet) in a document; says what was recorded.

    who: login, address or name of a person, whatever the case. Raises ValueError, with what is possible.
    """
    wanted = who.casefold()
    named = [
        person
        for person in document["people"]
        if wanted
        in {person["login"].casefold(), person["name"].casefold(), *(mailbox["address"].casefold() for mailbox in person["mailboxes"])}
    ]
    if len(named) != 1:
        raise ValueError(
            f"{who} is {'nobody' if not named else 'more than one person'} of {document['office']}; write the person's address"
        )
    person = named[0]
    phones = [phone for phone in person["phones"] if phone["kind_of"] == device]
    if not phones:
        has = ", ".join(phone["kind_of"] for phone in person["phones"]) or "no phone"
        raise ValueError(f"{person['name']} has {has} in the list, not {device or 'no device'}")
    phones[0].update(_judged({"state": "done" if time else "to be installed", "done": time}))
    refresh(document)
    return f"{person['name']}: {NAMES[device]} {'is done' if time else 'is not done yet'}"
