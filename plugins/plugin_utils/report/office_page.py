# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The page of an office, from its document alone: who is ready, what is to be done, every person, every machine. Pure, no Ansible."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..office.problem import printable
from .run import NAMES
from .screen import alike, capital, verdict

HERE = Path(__file__).parent
# Near the beginning of every page that was made here.
MARK = b"<title>Mail of "

# How somebody stands -> the look, the name of the filter, and what a count of people says.
KINDS = {
    "problem": ("fail", "with a problem", "with a problem"),
    "waits": ("warn", "waiting for somebody", "waiting for somebody"),
    "not_provisioned": ("skip", "not provisioned yet", "not provisioned yet"),
    "ready": ("ok", "ready", "ready"),
}
_LOOK = {kind: look for kind, (look, _unused, _unused) in KINDS.items()}
_PLATFORMS = {"linux": "Linux", "windows": "Windows", "macos": "Mac", "ios": "iPhone, iPad", "android": "Android"}
# Longer texts are cut: a machine can say what it likes.
LONGEST = 1000


def page(document: Mapping[str, Any]) -> str:
    """The page; the same document makes the same page. Raises KeyError for a document that lacks something."""
    environment = Environment(
        loader=FileSystemLoader([HERE, HERE.parent]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clock"] = _clock
    anchors = {person["id"]: f"p{number}" for number, person in enumerate(document["people"], start=1)}
    kind, said = verdict(document["office"], document["people"], None)
    script = (HERE / "office_page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    used = {name for person in document["people"] for name in _platforms(person)}
    return environment.get_template("office_page.html.j2").render(
        office=document["office"],
        time=document["time"],
        look=_LOOK.get(kind, "skip"),
        verdict=said.partition(": ")[2],
        counts=[
            {"kind": kind, "look": look, "name": name, "words": f"{document['counts'][kind]} {words}"}
            for kind, (look, name, words) in KINDS.items()
            if document["counts"][kind]
        ],
        todo=list(_todo(document["todo"], anchors)),
        platforms={name: title for name, title in _PLATFORMS.items() if name in used},
        people=[_person(person, document, anchors[person["id"]]) for person in document["people"]],
        machines=[_machine(machine, document["people"]) for machine in document["machines"]],
        diagnosis=document["diagnosis"],
        script=Markup(script),
        script_hash=Markup(f"sha256-{digest}"),
    )


def _shown(value: Any) -> Any:
    """Every text on its way into the page; what the template itself made stays as it is."""
    return printable(value, LONGEST) if isinstance(value, str) and not isinstance(value, Markup) else value


def _clock(time: str) -> str:
    return f"{datetime.fromisoformat(time):%Y-%m-%d %H:%M} UTC"


def _todo(todo: Sequence[Mapping[str, Any]], anchors: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    names = {each["id"]: each["who"] for each in todo}
    for kind in ("problem", "waits"):
        mine = [each for each in todo if each["kind"] == kind]
        for what, people in alike((each["what"], each["id"], each["where"]) for each in mine):
            yield {
                "look": _LOOK[kind],
                "word": {"problem": "problem", "waits": "waits"}[kind],
                "what": capital(what),
                "whom": [{"name": names[who], "anchor": anchors[who], "where": ", ".join(where)} for who, where in people],
            }


def _person(person: Mapping[str, Any], document: Mapping[str, Any], anchor: str) -> dict[str, Any]:
    several = len(person["mailboxes"]) > 1
    look, word, _unused = KINDS[person["kind"]]
    return {
        "anchor": anchor,
        "name": person["name"],
        "kind": person["kind"],
        "look": look,
        "word": word,
        "platforms": " ".join(_platforms(person)),
        "addresses": [mailbox["address"] for mailbox in person["mailboxes"]],
        "places": [
            {
                "where": " ".join(
                    filter(None, [place["machine"], NAMES.get(place["program"], place["program"]), place["address"] if several else ""])
                ),
                "look": _LOOK[place["kind"]],
                "state": place["state"],
                "seen": place["seen"],
            }
            for place in person["places"]
        ],
        "phones": [
            {
                "name": NAMES[phone["kind_of"]],
                "look": _LOOK[phone["kind"]],
                "state": phone["state"],
                "done": phone["done"],
                "tick": f"{document['office']} {person['id']} {phone['kind_of']}",
            }
            for phone in person["phones"]
        ],
        "todo": list(dict.fromkeys(capital(each["what"]) + "." for each in document["todo"] if each["id"] == person["id"])),
        "handout": person["handout"],
        "changes": [
            {"time": change["time"], "what": ": ".join(filter(None, [change["where"], change["what"]]))} for change in person["changes"]
        ],
    }


def _platforms(person: Mapping[str, Any]) -> list[str]:
    return sorted({place["platform"] for place in person["places"]} | {phone["kind_of"] for phone in person["phones"]})


def _machine(machine: Mapping[str, Any], people: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = {person["id"]: person["name"] for person in people}
    return {
        "name": machine["name"],
        "platform": _PLATFORMS.get(machine["platform"], ""),
        "seen": machine["seen"],
        "trouble": {"unreachable": "not reached", "failed": "the run failed there"}.get(machine["state"], ""),
        "people": [names[who] for who in machine["people"]],
        "servers_seen": machine["servers_seen"],
        "servers": [
            {
                "name": f"{server['endpoint']['host']}:{server['endpoint']['port']}",
                "verdict": server["verdict"].replace("_", " "),
                "look": "ok" if server["verdict"] == "ok" else "fail" if server["endpoint"]["needed"] else "warn",
            }
            for server in machine["servers"]
        ],
    }
