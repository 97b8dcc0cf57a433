"""The diagnosis of an office as one self-contained HTML page: a document in, text out.

The document is what the diagnosis also writes as JSON:

    {"schema": 1, "office": str, "time": ISO 8601 with offset, "ok": bool, "counts": {state of a machine: number},
     "machines": [{"machine": str, "state": a key of MACHINES, "summary": str, "people": [str], "steps": [step]}]}
    step: {"title": str, "state": a key of STEPS, "text": str, and where there is one: "verdict": str,
           "column": the column of the matrix it is a cell of, "facts": {str: str}, "steps": [step]}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..office.problem import printable

# State of a machine -> its look, what its row says, what the line of counts says. Who needs a person comes first.
MACHINES = {
    "problems": ("fail", "problems", "with problems"),
    "failed": ("warn", "check failed", "where the check failed"),
    "unreachable": ("warn", "unreachable", "unreachable"),
    "not_diagnosed": ("warn", "not diagnosed", "not diagnosed"),
    "settings_ok": ("ok", "settings ok", "with settings in order, servers not checked"),
    "ok": ("ok", "ok", "ok"),
}
# State of a step, which is also its look -> what is said where it has no verdict.
STEPS = {"ok": "ok", "fail": "failed", "warn": "warning", "skip": "skipped"}
# Longer texts are cut: a server can say what it likes.
LONGEST = 1000


class Step(NamedTuple):
    """One step as the page shows it; anchor: its id, only where a cell of the matrix leads to it."""

    title: str
    look: str
    word: str
    text: str
    column: str
    anchor: str
    open: bool
    facts: Mapping[str, str]
    steps: Sequence[Step]


class Machine(NamedTuple):
    """One machine as the page shows it; cells: column of the matrix -> its steps."""

    anchor: str
    name: str
    look: str
    word: str
    summary: str
    people: Sequence[str]
    steps: Sequence[Step]
    cells: Mapping[str, Sequence[Step]]


def page(document: Mapping[str, Any]) -> str:
    """The page of a diagnosis; the same document makes the same page.

    Raises KeyError or ValueError for a document that lacks something, has a state not known here or a time that is none.
    """
    order = list(MACHINES)
    rows = sorted(document["machines"], key=lambda row: (order.index(row["state"]), row["machine"]))
    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, Path(__file__).parents[1]]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("diagnosis_page.html.j2").render(
        office=document["office"],
        time=document["time"],
        clock=_clock(datetime.fromisoformat(document["time"])),
        look="ok" if document["ok"] else "fail",
        result=_result(document["ok"], document["counts"]),
        counts=[
            (look, document["counts"][state], words) for state, (look, _unused, words) in MACHINES.items() if document["counts"].get(state)
        ],
        columns=list(dict.fromkeys(column for row in document["machines"] for column in _columns(row["steps"]))),
        machines=[_machine(f"m{number}", row) for number, row in enumerate(rows, start=1)],
    )


def _shown(value: Any) -> Any:
    """Every text on its way into the page; what the template itself made stays as it is."""
    return printable(value, LONGEST) if isinstance(value, str) and not isinstance(value, Markup) else value


def _clock(time: datetime) -> str:
    offset = f"{time:%z}"
    return f"{time:%Y-%m-%d %H:%M} " + ("UTC" if offset in ("", "+0000") else f"UTC{offset[:3]}:{offset[3:5]}")


def _result(ok: bool, counts: Mapping[str, int]) -> str:
    if not sum(counts.values()):
        return "No machine was checked."
    if ok:
        return "All that was checked works."
    unknown = counts.get("failed") or counts.get("unreachable") or counts.get("not_diagnosed")
    if counts.get("problems"):
        return "Problems were found, and not every machine could be checked." if unknown else "Problems were found."
    return "Not every machine could be checked." if unknown else "Not all is well."


def _columns(steps: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for step in steps:
        if step.get("column"):
            yield step["column"]
        yield from _columns(step.get("steps", ()))


def _machine(anchor: str, row: Mapping[str, Any]) -> Machine:
    cells: dict[str, list[Step]] = {}
    steps = [_step(step, anchor, cells) for step in row["steps"]]
    look, word, _unused = MACHINES[row["state"]]
    return Machine(anchor, row["machine"], look, word, row["summary"], row["people"], steps, cells)


def _step(step: Mapping[str, Any], machine: str, cells: dict[str, list[Step]]) -> Step:
    """The step with all below it; what is a cell of the matrix is added to `cells`."""
    column = step.get("column", "")
    steps = [_step(below, machine, cells) for below in step.get("steps", ())]
    state = step["state"]
    shown = Step(
        title=step["title"],
        look=state,
        word=step.get("verdict", "").replace("_", " ") or STEPS[state],
        text=step["text"],
        column=column,
        anchor=f"{machine}-{sum(map(len, cells.values())) + 1}" if column else "",
        open=state in ("fail", "warn") or any(below.open for below in steps),
        facts=step.get("facts", {}),
        steps=steps,
    )
    if column:
        cells.setdefault(column, []).append(shown)
    return shown
