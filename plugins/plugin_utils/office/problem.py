"""One way to tell people what is wrong with what they wrote: where, whose, which field, what, and what instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ...module_utils.masking import MASK, inert, mask


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


def merged(problems: Iterable[Problem]) -> list[str]:
    """The problems as lines; what is wrong in the same way on three lines of a list or more is one, with its lines."""
    every = list(dict.fromkeys(problems))
    alike: dict[tuple[str, str], list[Problem]] = {}
    for problem in every:
        alike.setdefault((problem.field, problem.what), []).append(problem)
    found: dict[str, None] = {}
    for problem in every:
        same = list(dict.fromkeys(each.where for each in alike[problem.field, problem.what]))
        text = str(problem) if len(same) < 3 else str(problem._replace(where=places(same), address=""))
        found.setdefault(text)
    return list(found)


def places(wheres: Iterable[str]) -> str:
    """Several places in a list as one text: "staff.csv, lines 3, 4, 5, 7 and 12 more"."""
    every = list(wheres)
    parts = [re.fullmatch(r"(.*?)(?:(:)|, row )(\d+)", where) for where in every]
    if len(every) < 2 or not all(parts) or len({part[1] for part in parts if part}) > 1:
        return ", ".join(every[:3]) + (f" and {len(every) - 3} more" if len(every) > 3 else "")
    numbers = [part[3] for part in parts if part]
    first = parts[0]
    word = "lines" if first and first[2] else "rows"
    more = f" and {len(numbers) - 4} more" if len(numbers) > 5 else ""
    return f"{first[1] if first else ''}, {word} {', '.join(numbers[:4] if more else numbers)}{more}"


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
