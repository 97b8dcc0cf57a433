# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A difference of a file as one line: which settings change, from what to what. Pure: what a module returned as diff in, lines out."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

# A setting of the formats that are written here, with the name up to the value: `port 993`, `Port 993`, `source = …`, `"port": 993,`,
# `set from = …`. A line that has none is told by its number alone.
_SETTING = re.compile(r"\s*(?:set )?[\"<]?(?P<name>[A-Za-z][\w.-]*)[\">]?\s*[ :=]\s*(?P<value>\S.*?),?\s*")
_MOST = 4  # settings told of one file
_LONGEST = 60


def told(machine: str, entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """One line for a file that changes, "desk-01: /home/jane/.msmtprc: port 143 -> 993"; one for all files that come or go of one person's
    folder on this computer."""
    entries = list(entries)
    places = Counter((_folder(entry), _becomes(entry)) for entry in entries)
    seen = set()
    for entry in entries:
        folder, becomes = _folder(entry), _becomes(entry)
        if machine == "localhost" and becomes in ("new", "goes") and places[folder, becomes] > 1:
            if (folder, becomes) not in seen:
                yield f"{folder}/: {places[folder, becomes]} files {'are new' if becomes == 'new' else 'go'}"
            seen.add((folder, becomes))
        else:
            yield from short(machine, entry)


def _folder(entry: Mapping[str, Any]) -> str:
    return _where(entry).rpartition("/")[0]


def _where(entry: Mapping[str, Any]) -> str:
    return str(entry.get("after_header") or entry.get("before_header") or "")


def _becomes(entry: Mapping[str, Any]) -> str:
    before, after = entry.get("before"), entry.get("after")
    return "" if before == after else "new" if not before else "goes" if not after else "changed"


def short(machine: str, entry: Mapping[str, Any]) -> Iterator[str]:
    """One line for a file: "desk-01: /home/jane/.msmtprc: port 143 -> 993"."""
    where = _where(entry)
    start = f"{machine}: {where}" if where else machine
    if "prepared" in entry or not {"before", "after"} <= entry.keys():
        return
    before, after = (value if isinstance(value := entry[side], str) else str(value) for side in ("before", "after"))
    if before == after:
        return
    if not before:
        yield f"{start}: new, {len(after.splitlines())} lines"
    elif not after:
        yield f"{start}: removed"
    else:
        told = list(dict.fromkeys(_settings(before, after)))
        more = len(told) - _MOST
        yield f"{start}: {'; '.join(told[:_MOST])}{f'; {more} more' if more > 0 else ''}"


def _settings(before: str, after: str) -> Iterator[str]:
    old, new = before.splitlines(), after.splitlines()
    for kind, first, last, start, end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        gone, come = _named(old[first:last]), _named(new[start:end])
        for name in [*gone, *(name for name in come if name not in gone)]:
            if name in gone and name in come:
                yield f"{name} {_cut(gone[name])} -> {_cut(come[name])}"
            elif name in come:
                yield f"{name} {_cut(come[name])} is new"
            else:
                yield f"{name} {_cut(gone[name])} goes"
        unnamed = abs((last - first) - len(gone)) + abs((end - start) - len(come))
        if unnamed:
            yield f"{unnamed} other line{'s' * (unnamed > 1)}"


def _named(lines: list[str]) -> dict[str, str]:
    found = {}
    for line in lines:
        match = _SETTING.fullmatch(line[:1000])
        if match:
            found[match["name"]] = match["value"]
    return found


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
