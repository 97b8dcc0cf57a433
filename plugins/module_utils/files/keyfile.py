# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Enforce some keys in a settings file that a program also writes, and keep every other line as it is.

The format is the common ground of INI files: ``[section]`` heads, ``key = value`` lines, comments that begin with
``#`` or ``;``, blank lines. Lines before the first head belong to the section ``""``, so a file without any head
works too. An indented line without ``=`` continues the value above it.

Only text comes in and goes out; nothing here touches a disk. Other people wrote the text: everything here takes time in proportion to
its length. Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Optional, Tuple

Keys = Dict[str, Dict[str, str]]
"""section -> key -> value; the section "" holds the lines before the first head."""

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\n|\r|$)")  # not splitlines(), for which many more characters end a line

MAX_TEXT = 256 * 1024
MAX_LINE = 64 * 1024
"""Characters. No settings file that people keep comes near; what does is something else."""


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
    """What :func:`merge` returns: the new file, and whether nothing but blank lines is left."""

    text: str
    empty: bool


def _parse(text: str) -> List[_Line]:
    if len(text) > MAX_TEXT:
        raise NotUnderstood("it is longer than %d characters, which no settings file is" % MAX_TEXT)
    lines: List[_Line] = []
    section = ""
    after_pair = False
    for number, raw in enumerate(_LINE.findall(text), 1):
        if not raw:
            continue
        body = raw.rstrip("\r\n")
        end = raw[len(body) :]
        if len(body) > MAX_LINE:
            raise NotUnderstood("line %d is longer than %d characters" % (number, MAX_LINE))
        if "\0" in body:
            raise NotUnderstood("line %d holds a NUL byte" % number)
        stripped = body.strip()
        lead, sign, value = body.partition("=")
        if not stripped or stripped[0] in "#;":
            lines.append(_Line("other", body, end, section, "", "", ""))
            after_pair = False
        elif stripped[0] == "[":
            if len(stripped) < 3 or stripped.find("]") != len(stripped) - 1:
                raise NotUnderstood("line %d is neither a [section], a key = value, nor a comment" % number)
            section = stripped[1:-1]
            lines.append(_Line("head", body, end, section, "", "", ""))
            after_pair = False
        elif sign and lead.strip():
            blanks = len(value) - len(value.lstrip(" \t"))
            lines.append(_Line("pair", body, end, section, lead.strip(), lead + sign + value[:blanks], value.strip()))
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
    equals: str = "=",
    whole: bool = False,
) -> Merged:
    """Put our keys into ``text`` and take out those we put there before and no longer want.

    A key that already has our value keeps its line to the byte. A key that is there twice gets our value in both
    places, because programs differ in which one counts. The sign between key and value is the file's own, ``equals``
    in a file without keys. New keys go to the end of their section, new sections to the end of the file after one
    blank line. A section that we had keys in goes, with that blank line, once it is empty; with ``whole`` at once, whatever is in it.

    Raises NotUnderstood when ``text`` does not parse; nothing is guessed then.
    """
    bom = "\ufeff" if text.startswith("\ufeff") else ""
    lines = _parse(text[len(bom) :])
    newline = next((line.end for line in lines if line.end), "\n")
    equals = _sign(lines) or equals
    lines = _enforce(lines, ours, before or {})
    lines = _drop(lines, ours, before or {}, whole)
    lines = _add(lines, ours, equals, newline)
    return Merged(bom + "".join(line.text + line.end for line in lines), not any(line.text.strip() for line in lines))


def sections(text: str) -> List[str]:
    """Names of the sections in the text, each once. Raises NotUnderstood."""
    return list(dict.fromkeys(line.section for line in _parse(text.lstrip("\ufeff")) if line.kind == "head"))


def restore(text: str, earlier: str, taken: List[str]) -> str:
    """Take the sections named ``taken`` out of ``text`` and put in what they were in ``earlier``, each where it stands now.

    Raises NotUnderstood when one of the texts does not parse.
    """
    bom = "\ufeff" if text.startswith("\ufeff") else ""
    blocks: Dict[str, str] = {}
    for name, block in _blocks(_parse(earlier.lstrip("\ufeff"))):
        blocks[name] = blocks.get(name, "") + block
    kept: List[str] = []
    for name, block in _blocks(_parse(text[len(bom) :])):
        kept.append(blocks.pop(name, "") if name in taken else block)
    for name in taken:  # it is not in the text any more
        if blocks.get(name):
            ends = not kept or kept[-1].endswith(("\n", "\r"))
            kept.append(("" if ends else "\n") + blocks[name])
    return bom + "".join(kept)


def _blocks(lines: List[_Line]) -> List[Tuple[str, str]]:
    """The text by section, in its order; lines before the first head are the section ""."""
    return [(lines[start].section, "".join(line.text + line.end for line in lines[start:end])) for start, end in _spans(lines)]


def _spans(lines: List[_Line]) -> List[Tuple[int, int]]:
    """First line of each section, its head, and the line behind its last."""
    bounds = [number for number, line in enumerate(lines) if line.kind == "head" or number == 0] + [len(lines)]
    return [(start, bounds[number]) for number, start in enumerate(bounds[:-1], 1)]


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


def _drop(lines: List[_Line], ours: Keys, before: Dict[str, List[str]], whole: bool) -> List[_Line]:
    kept: List[_Line] = []
    for start, end in _spans(lines):
        head, below = lines[start], lines[start + 1 : end]
        ours_alone = head.kind == "head" and head.section in before and not ours.get(head.section)
        if ours_alone and (whole or not any(line.text.strip() for line in below)):
            if kept and not kept[-1].text.strip():
                kept.pop()
            kept += [] if whole else below
        else:
            kept += lines[start:end]
    return kept


def _add(lines: List[_Line], ours: Keys, equals: str, newline: str) -> List[_Line]:
    for section, keys in ours.items():
        there = {line.key for line in lines if line.kind == "pair" and line.section == section}
        new = [_pair(section, key, value, equals, newline) for key, value in keys.items() if key not in there]
        if not new:
            continue
        place = _end_of_section(lines, section)
        if place is None:
            place = len(lines)
            new.insert(0, _Line("head", "[%s]" % section, newline, section, "", "", ""))
            if lines:
                new.insert(0, _Line("other", "", newline, section, "", "", ""))
        if place and not lines[place - 1].end:
            lines[place - 1] = lines[place - 1]._replace(end=newline)
        lines = lines[:place] + new + lines[place:]
    return lines


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
