"""One way to tell people what is wrong with what they wrote: where, whose, which field, what, and what instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..module_utils.masking import MASK, inert, mask


class Problem(NamedTuple):
    """where: "staff.csv:14" or the variable; address: whose row, if known; field: column or key; what: a half sentence."""

    where: str
    address: str = ""
    field: str = ""
    what: str = ""

    def __str__(self) -> str:
        whose = f" ({cell(self.address)[1:-1]})" if self.address else ""
        field = f" {self.field}:" if self.field else ""
        return inert(f"{self.where}{whose}:{field} {self.what}")


def printable(text: str, longest: int = 80) -> str:
    """`text` made inert, shortened to `longest` characters."""
    # An escape is at most ten times as long as what it stands for, but nobody's megabyte has to be looked at for eighty characters.
    shown = inert(text[: longest + 1])
    return shown if len(shown) <= longest else shown[: longest - 3] + "..."


def counted(problems: Sequence[object]) -> str:
    """ "one problem", "2 problems"."""
    return "one problem" if len(problems) == 1 else f"{len(problems)} problems"


def quoted(text: str) -> str:
    """`text` in quotes, without the password of a URL."""
    return f'"{printable(mask(text))}"'


def cell(text: str, known: Iterable[str] = ()) -> str:
    """What somebody typed into a sheet, in quotes; dots when it looks like a password in the wrong column and not like one of `known`."""
    return f'"{MASK}"' if _like_a_password(text) and not did_you_mean(text, known) else quoted(text)


def _like_a_password(text: str) -> bool:
    kinds = [any(map(kind, text)) for kind in (str.islower, str.isupper, str.isdecimal)]
    signs = set(text) & set('!"#$%&()*,/:;<=>?[\\]^`{|}~')
    # An address and a machine have dots, hyphens and the like in them, and no other signs.
    return len(text) >= 8 and (sum(kinds) >= 2 if signs else all(kinds) and not set(text) & set(" .-_@+'"))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ "; did you mean imap?" when one of `known` is near to `word`, else nothing."""
    near = difflib.get_close_matches(word[:100].lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""
