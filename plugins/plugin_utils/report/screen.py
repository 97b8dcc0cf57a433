# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The end of a run in words, for a terminal: the verdict, what needs a hand, what changed, how the rest is. Pure: a document in, lines out.

A line is (kind, text); kind is one of the document's, or "" for plain text.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .run import NAMES

Line = tuple[str, str]

_PLATFORMS = {"linux": "Linux machine", "windows": "Windows machine", "macos": "Mac", "": "machine in no group"}
_PHONES = {"ios": "iPhones or iPads", "android": "Android phones"}
_MOST_NAMES = 12  # of people who have the same to do


def lines(
    document: Mapping[str, Any],
    *,
    width: int = 80,
    check: str = "",
    only: Sequence[str] | None = None,
    notes: Sequence[str] = (),
    verbose: bool = False,
) -> Iterator[Line]:
    """The document in words. check: what to say of a run that did nothing. only: the machines that it was limited to. notes: what a run
    had to say besides.

    verbose: also who is ready.
    """
    people = [person for person in document["people"] if only is None or {place["machine"] for place in person["places"]} & set(only)]
    ids = {person["id"] for person in people}
    todo = [each for each in document["todo"] if each["id"] in ids and (only is None or each["where"] in only)]
    known = {person["id"] for person in document["people"]}
    changes = [each for each in document["changes"] if each["id"] in ids or each["id"] not in known]
    kind, said = verdict(document["office"], people, only)
    yield from _wrapped(kind, said, "", width)
    if check:
        yield "", check
    for level, heading in (("problem", "Something is wrong:"), ("waits", "Waiting for somebody:")):
        mine = [each for each in todo if each["kind"] == level]
        if mine:
            yield "", ""
            yield level, heading
            yield from _grouped(level, mine, width)
    if changes:
        yield "", ""
        yield "", "This would change:" if check else "This changed:"
        yield from _changed(changes, width)
    if notes:
        yield "", ""
        for note in notes:
            yield from _wrapped("", note, "  ", width)
    yield "", ""
    yield from _rest(document, people, only, width)
    if verbose:
        for person in people:
            if person["kind"] == "ready":
                yield from _wrapped("ready", f"{person['name']}: {_everywhere(person)}", "  ", width)


def verdict(office: str, people: Sequence[Mapping[str, Any]], only: Sequence[str] | None) -> Line:
    """How the office, or the machines of a run, stand, in one sentence, and of which kind that is."""
    if not people:
        return "", f"{office}: nobody has mail {'there' if only is not None else 'in this office'}."
    counts = {kind: sum(person["kind"] == kind for person in people) for kind in _SAID}
    said = [one if counts[kind] == 1 else many for kind, (one, many) in _SAID.items()]
    parts = [text.format(counts[kind]) for kind, text in zip(_SAID, said, strict=True) if counts[kind]]
    where = f" on {', '.join(only)}" if only is not None and len(only) <= 3 else " on the machines of this run" if only is not None else ""
    whole = f"{office}: {_count(len(people), 'person', 'people')}{where}. {', '.join(parts)}."
    worst = (
        "problem"
        if counts["problem"]
        else "waits"
        if counts["waits"] or counts["would_change"]
        else "ready"
        if counts["ready"] == len(people)
        else ""
    )
    return worst, whole


_SAID = {
    "ready": ("{} ready", "{} ready"),
    "would_change": ("{} would change", "{} would change"),
    "waits": ("{} waits for somebody", "{} wait for somebody"),
    "problem": ("{} has a problem", "{} have a problem"),
    "not_provisioned": ("{} not provisioned yet", "{} not provisioned yet"),
}


def _grouped(kind: str, todo: Sequence[Mapping[str, Any]], width: int) -> Iterator[Line]:
    """What is to be done, each once, with everybody whom it concerns."""
    for what, whom in alike((each["what"], each["who"], each["where"]) for each in todo):
        yield from _wrapped(kind, _of(what, whom), "  ", width)


def _changed(changes: Sequence[Mapping[str, Any]], width: int) -> Iterator[Line]:
    """What changed, each once, with everybody it happened to."""
    for what, whom in alike((each["what"], each["who"], each["where"]) for each in changes):
        yield from _wrapped("", _of(what, whom), "  ", width)


def alike(given: Iterable[tuple[str, str, str]]) -> Iterator[tuple[str, list[tuple[str, list[str]]]]]:
    """What, who and where, by what: whom it concerns, each with the places."""
    found: dict[str, dict[str, list[str]]] = {}
    for what, who, where in given:
        places = found.setdefault(what, {}).setdefault(who, [])
        places += [where] if where and where not in places else []
    for what, people in found.items():
        yield what, list(people.items())


def _of(what: str, people: Sequence[tuple[str, Sequence[str]]]) -> str:
    whom = [f"{who} ({', '.join(places)})" if places else who for who, places in people]
    return f"{whom[0]}: {what}" if len(whom) == 1 else f"{capital(what)}: {_listed(whom)}"


def _rest(document: Mapping[str, Any], people: Sequence[Mapping[str, Any]], only: Sequence[str] | None, width: int) -> Iterator[Line]:
    """One line per platform, one per kind of phone."""
    machines = [machine for machine in document["machines"] if only is None or machine["name"] in only]
    for platform, name in _PLATFORMS.items():
        mine = [machine for machine in machines if machine["platform"] == platform]
        if mine:
            places = [place for person in people for place in person["places"] if place["platform"] == platform]
            who = {person["id"] for person in people if any(place["platform"] == platform for place in person["places"])}
            text = f"{_count(len(mine), name)}, {_count(len(who), 'person', 'people')}: {_kinds(places)}"
            away = [machine["name"] for machine in mine if machine["state"] == "unreachable"]
            text += f"; not reached: {_listed(away)}" if away else ""
            yield from _wrapped("", text, "", width)
    for kind in ("ios", "android") if only is None else ():
        phones = [phone for person in people for phone in person["phones"] if phone["kind_of"] == kind]
        if phones:
            yield from _wrapped("", f"{_count(len(phones), NAMES[kind], _PHONES[kind])}: {_kinds(phones)}", "", width)


def _kinds(nodes: Sequence[Mapping[str, Any]]) -> str:
    """How many stand how, as in "3 verified, 1 to be started"."""
    states = [node["state"] for node in nodes]
    if len(set(states)) == 1:
        return f"{'all ' if len(states) > 1 else ''}{states[0]}"
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))


def _everywhere(person: Mapping[str, Any]) -> str:
    places = [f"{place['machine']} {NAMES.get(place['program'], place['program'])}" for place in person["places"]]
    return ", ".join([*dict.fromkeys(places), *(NAMES[phone["kind_of"]] for phone in person["phones"])])


def _listed(names: Iterable[str]) -> str:
    unique = list(dict.fromkeys(names))
    more = len(unique) - _MOST_NAMES
    return ", ".join(unique) if more <= 0 else f"{', '.join(unique[:_MOST_NAMES])} and {more} more"


def _wrapped(kind: str, text: str, indent: str, width: int) -> Iterator[Line]:
    for line in textwrap.wrap(
        text, width, initial_indent=indent, subsequent_indent=indent + "  ", break_long_words=False, break_on_hyphens=False
    ):
        yield kind, line


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
