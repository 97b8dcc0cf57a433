# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lists of people that this process has read, by path, and whose rows are whose machine's.

A list is kept here and not in a variable of the inventory: every machine would carry a copy of it, in every task and in what
`ansible-inventory --list` prints. Who has an inventory without having read the list (one that was exported) reads it where it says it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .cells import index_of, machine_of
from .folder import HOSTS
from .names import composed
from .problem import Problem, cell, merged
from .staff_sheet import Sheet, read_sheet

VAULT = b"$ANSIBLE_VAULT"


class List(NamedTuple):
    rows: list[dict[str, str]]
    problems: list[str]
    notes: list[str]


_known: dict[str, List] = {}


def keep(path: str, sheet: Sheet, problems: Sequence[Problem]) -> List:
    """Remember what a list came to."""
    _known[path] = List(sheet.rows, merged(problems), sheet.notes)
    return _known[path]


def recall(path: str, machines: Iterable[str]) -> List:
    """A list that was read, or that is read now. machines: names of those in the inventory."""
    if path in _known:
        return _known[path]
    name = Path(path).name
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        return List([], merged([Problem(name, what=f"cannot be read: {error.strerror} ({path}, where the inventory says it is)")]), [])
    if data.startswith(VAULT):
        what = "is in a vault, and this inventory was made from it elsewhere; give the office's folder as inventory"
        return List([], merged([Problem(name, what=what)]), [])
    sheet = read_sheet(data, name)
    problems = [*sheet.problems, *hand_out(sheet.rows, machines)[1]]
    return keep(path, sheet, problems)


def hand_out(rows: Iterable[dict[str, Any]], machines: Iterable[str]) -> tuple[dict[str, list[dict[str, Any]]], list[Problem]]:
    """The rows of every machine's people. Names of machines are put as the inventory has them; what may be two of them is a problem."""
    # Two spellings of an accent are one name: the machine's own is what is meant.
    spelt = {composed(name): name for name in machines}
    index = index_of(spelt)
    theirs: dict[str, list[dict[str, Any]]] = {name: [] for name in spelt.values()}
    found: list[Problem] = []
    for row in rows:
        names = []
        for word in row["machines"].split():
            fitting = machine_of(word, index)
            if len(fitting) > 1:
                what = f"{cell(word, fitting)} may be {' or '.join(sorted(fitting))}; write the whole name as in {HOSTS}"
                found.append(Problem(row["source"], row["address"], "column machines", what))
            names.append(spelt[fitting[0]] if len(fitting) == 1 else word)
        row["machines"] = " ".join(dict.fromkeys(names))
        for name in dict.fromkeys(names):
            if name in theirs:
                theirs[name].append(row)
    return theirs, found
