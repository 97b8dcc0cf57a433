# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Enforce some keys in a settings file that a program also writes, and keep every other line as it is.

The format is the common ground of INI files: ``[section]`` heads, ``key = value`` lines, comments that begin with
``#`` or ``;``, blank lines. Lines before the first head belong to the section ``""``, so a file without any head
works too. An indented line without ``=`` continues the value above it.

Only text comes in and goes out; nothing here touches a disk. Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Optional, Tuple

Keys = Dict[str, Dict[str, str]]
"""section -> key -> value; the section "" holds the lines before the first head."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|$)")
_HEAD = re.compile(r"^\s*\[([^\]\r\n]+)\]\s*$")
_PAIR = re.compile(r"^(\s*([^=\[\s#;][^=]*?)\s*=[ \t]*)(.*?)\s*$", re.DOTALL)


class NotUnderstood(ValueError):
    """The text is not a file of sections and ``key = value`` lines. The message names the line (counted from 1)."""


class _Line(NamedTuple):
    kind: str  # head, pair, more (continues a pair), other
    text: str  # without the line end
    end: str  # "\n", "\r\n", "\r" or "" on a last line without one
    section: str
    key: str
    lead: str  # of a pair: everything before the value
    value: str


class Merged(NamedTuple):
    """What :func:`merge` returns.

    ``text`` is the new file, ``sections`` names the sections that this call had to add, ``empty`` is true when
    nothing but blank lines is left.
    """

    text: str
    sections: List[str]
    empty: bool


def _parse(text: str) -> List[_Line]:
    lines: List[_Line] = []
    section = ""
    after_pair = False
    for number, raw in enumerate(_LINE.findall(text), 1):
        if not raw:
            continue
        body = raw.rstrip("\r\n")
        end = raw[len(body) :]
        stripped = body.strip()
        if "\0" in body:
            raise NotUnderstood("line %d holds a NUL byte" % number)
        if not stripped or stripped[0] in "#;":
            lines.append(_Line("other", body, end, section, "", "", ""))
            after_pair = False
            continue
        head = _HEAD.match(body)
        if head:
            section = head.group(1)
            lines.append(_Line("head", body, end, section, "", "", ""))
            after_pair = False
            continue
        pair = _PAIR.match(body)
        if pair:
            lines.append(_Line("pair", body, end, section, pair.group(2), pair.group(1), pair.group(3)))
            after_pair = True
        elif after_pair and body[0] in " \t":
            lines.append(_Line("more", body, end, section, lines[-1].key, "", ""))
        else:
            raise NotUnderstood("line %d is neither a [section], a key = value, nor a comment" % number)
    return lines


def read_keys(text: str) -> Keys:
    """Return the keys of a text that holds each key once; sections without keys are left out.

    Raises NotUnderstood for a text that does not parse or that names a key twice.
    """
    keys: Keys = {}
    for line in _parse(text.lstrip("\ufeff")):
        if line.kind == "more":
            raise NotUnderstood("the value of %s goes on over several lines" % line.key)
        if line.kind != "pair":
            continue
        section = keys.setdefault(line.section, {})
        if line.key in section:
            raise NotUnderstood("the key %s is there twice" % line.key)
        section[line.key] = line.value
    return keys


def names(keys: Keys) -> Dict[str, List[str]]:
    """The names without the values, sorted: what the state file remembers."""
    return {section: sorted(keys[section]) for section in sorted(keys) if keys[section]}


def present(text: str, wanted: Dict[str, List[str]]) -> Dict[str, Dict[str, List[str]]]:
    """Return the values the text has for the wanted keys (a list: a key can be there several times, or not at all)."""
    found: Dict[str, Dict[str, List[str]]] = {s: {k: [] for k in keys} for s, keys in wanted.items()}
    last: Optional[List[str]] = None
    for line in _parse(text.lstrip("\ufeff")):
        if line.kind == "pair":
            last = found.get(line.section, {}).get(line.key)
            if last is not None:
                last.append(line.value)
        elif line.kind == "more" and last is not None:
            last[-1] += "\n" + line.text.strip()
    return found


def merge(
    text: str,
    ours: Keys,
    before: Optional[Dict[str, List[str]]] = None,
    our_sections: Optional[List[str]] = None,
    equals: str = "=",
) -> Merged:
    """Put our keys into ``text`` and take out those we put there before and no longer want.

    A key that already has our value keeps its line to the byte. A key that is there twice gets our value in both
    places, because programs differ in which one counts. The sign between key and value is the file's own, ``equals``
    in a file without keys. New keys go to the end of their section, new sections to the end of the file after one
    blank line. Sections named in ``our_sections`` go, with that blank line, once they are empty.

    Raises NotUnderstood when ``text`` does not parse; nothing is guessed then.
    """
    bom = "\ufeff" if text.startswith("\ufeff") else ""
    lines = _parse(text[len(bom) :])
    newline = next((line.end for line in lines if line.end), "\n")
    equals = _sign(lines) or equals
    lines = _enforce(lines, ours, before or {})
    lines = _drop_empty(lines, ours, our_sections or [])
    lines, added = _add(lines, ours, equals, newline)
    return Merged(bom + "".join(line.text + line.end for line in lines), added, not any(line.text.strip() for line in lines))


def equals_sign(text: str) -> str:
    """How the text writes the sign between key and value, with or without spaces. Raises NotUnderstood."""
    return _sign(_parse(text.lstrip("\ufeff"))) or "="


def _sign(lines: List[_Line]) -> str:
    pair = next((line for line in lines if line.kind == "pair"), None)
    return "" if pair is None else pair.lead.strip()[len(pair.key) :] + " " * pair.lead.endswith(" ")


def _enforce(lines: List[_Line], ours: Keys, before: Dict[str, List[str]]) -> List[_Line]:
    kept: List[_Line] = []
    drop_more = False
    for index, line in enumerate(lines):
        if line.kind == "more":
            if not drop_more:
                kept.append(line)
            continue
        value = ours.get(line.section, {}).get(line.key)
        continued = index + 1 < len(lines) and lines[index + 1].kind == "more"
        gone = line.kind == "pair" and value is None and line.key in before.get(line.section, [])
        wrong = line.kind == "pair" and value is not None and (value != line.value or continued)
        drop_more = gone or wrong
        if wrong:
            kept.append(line._replace(text=line.lead + str(value), value=str(value)))
        elif not gone:
            kept.append(line)
    return kept


def _drop_empty(lines: List[_Line], ours: Keys, our_sections: List[str]) -> List[_Line]:
    kept: List[_Line] = []
    for index, line in enumerate(lines):
        if line.kind == "head" and line.section in our_sections and not ours.get(line.section):
            rest = lines[index + 1 :]
            end = next((i for i, later in enumerate(rest) if later.kind == "head"), len(rest))
            if not any(later.text.strip() for later in rest[:end]):
                if kept and not kept[-1].text.strip():
                    kept.pop()
                continue
        kept.append(line)
    return kept


def _add(lines: List[_Line], ours: Keys, equals: str, newline: str) -> Tuple[List[_Line], List[str]]:
    added: List[str] = []
    for section, keys in ours.items():
        there = {line.key for line in lines if line.kind == "pair" and line.section == section}
        new = [_pair(section, key, value, equals, newline) for key, value in keys.items() if key not in there]
        if not new:
            continue
        place = _end_of_section(lines, section)
        if place is None:
            added.append(section)
            place = len(lines)
            new.insert(0, _Line("head", "[%s]" % section, newline, section, "", "", ""))
            if lines:
                new.insert(0, _Line("other", "", newline, section, "", "", ""))
        if place and not lines[place - 1].end:
            lines[place - 1] = lines[place - 1]._replace(end=newline)
        lines = lines[:place] + new + lines[place:]
    return lines, added


def _pair(section: str, key: str, value: str, equals: str, newline: str) -> _Line:
    return _Line("pair", key + equals + value, newline, section, key, key + equals, value)


def _end_of_section(lines: List[_Line], section: str) -> Optional[int]:
    """Where a new key of the section goes: behind the last line of its first block that is not blank."""
    start = 0
    if section:
        heads = [i for i, line in enumerate(lines) if line.kind == "head" and line.section == section]
        if not heads:
            return None
        start = heads[0] + 1
    end = start
    for index in range(start, len(lines)):
        if lines[index].kind == "head":
            break
        if lines[index].text.strip():
            end = index + 1
    return end
