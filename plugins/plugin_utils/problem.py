"""One way to tell people what is wrong with what they wrote: where, whose, which field, what, and what instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Problem(NamedTuple):
    """where: "staff.csv:14" or the variable; address: whose row, if known; field: column or key; what: a half sentence."""

    where: str
    address: str = ""
    field: str = ""
    what: str = ""

    def __str__(self) -> str:
        whose = f" ({printable(self.address)})" if self.address else ""
        field = f" {self.field}:" if self.field else ""
        return inert(f"{self.where}{whose}:{field} {self.what}")


def inert(text: str) -> str:
    """`text` with everything that could move a cursor, hide, or turn the direction of writing shown as an escape."""
    return text if text.isprintable() else "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable(text: str, longest: int = 80) -> str:
    """`text` made inert, shortened to `longest` characters."""
    # An escape is at most ten times as long as what it stands for, but nobody's megabyte has to be looked at for eighty characters.
    shown = inert(text[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 3] + "..."


def counted(problems: Sequence[object]) -> str:
    """ "one problem", "2 problems"."""
    return "one problem" if len(problems) == 1 else f"{len(problems)} problems"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ "; did you mean imap?" when one of `known` is near to `word`, else nothing."""
    near = difflib.get_close_matches(word[:100].lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""
