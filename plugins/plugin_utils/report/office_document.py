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

from .changes import DID, changes_of, comings, goings
from .results import troubles
from .run import NAMES, Earlier, Node, Run, key_of

SCHEMA = 1
# How a place, a person, an office stands; of several the first one here counts.
KINDS = ("problem", "would_change", "waits", "not_provisioned", "ready")
# So many changes of a person are kept.
MOST_CHANGES = 50


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


def build(office: str, people: Sequence[Mapping[str, Any]], run: Run, before: Mapping[str, Any] | None = None) -> Node:
    """The document after a run. people: as survey() gives them; before: the document of the run before."""
    time = run.when.astimezone(datetime.UTC).isoformat(timespec="seconds")
    earlier = Earlier(before or {})
    persons = [_person(person, run, earlier, time) for person in people]
    removed = [key for key, place in run.places.items() if place.outcome == "removed"]
    changes = [*comings(persons, earlier, before is not None), *goings(persons, run, earlier, removed)]
    for person in persons:
        changes += [
            {"who": person["name"], "id": person["id"], "where": where, "what": what}
            for where, what in changes_of(person, run, earlier, removed)
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


def _person(person: Mapping[str, Any], run: Run, earlier: Earlier, time: str) -> Node:
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


def _place(place: Mapping[str, Any], run: Run, earlier: Earlier, time: str, changed: bool) -> Node:
    """changed: whether the mailbox is another one in the list than before; what was ready is not what is wanted then."""
    key = key_of(place)
    known: Mapping[str, Any] = earlier.places.get(key, {})
    looked = run.places.get(key)
    reached, why = run.machines.get(place["machine"], ("", ""))
    last = {"state": known.get("state", "not run yet"), "why": known.get("why", ""), "seen": known.get("seen", "")}
    if changed and kind_of(last["state"]) == "ready":
        last |= {"state": "not run yet", "why": ""}
    if looked and (not run.only or place["platform"] in run.only):
        would = run.check and looked.outcome in DID and looked.outcome != "removed"
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


def _machines(people: Sequence[Mapping[str, Any]], run: Run, earlier: Earlier, time: str) -> list[Node]:
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


def _servers(machine: str, run: Run, earlier: Earlier) -> Sequence[Mapping[str, Any]]:
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
