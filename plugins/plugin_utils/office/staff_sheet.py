"""Read a staff sheet as spreadsheets really save it. Pure: bytes in, rows and problems out.

Only the shape of the file is judged here (encoding, separator, header, number of cells). What a cell means is the
model's business, so that people written in YAML are judged by the same rules.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Sequence
from typing import NamedTuple

from .cells import Notes, tidy
from .headers import COLUMNS, FIRST, LAST, Header, is_secret, read_header
from .names import composed
from .problem import Problem, cell, printable
from .shared import share
from .workbook import NUMERIC, tables

# Spreadsheets pad with these when text is pasted from a web page; none of them can be part of a setting.
_BLANKS = re.compile("[\u00a0\u2007\u202f]")
_INVISIBLE = re.compile("[\u200b\u2060\ufeff]")

_LINE_END = re.compile(r"\r\n|\r|\n")
# Excel's hint to itself, alone on a line before the header: what stands between cells.
_HINT = re.compile(r" *sep=([,;\t|])[,;\t ]*", re.I | re.A)
# A remark as a spreadsheet saves it: in quotes where it has to be, and padded with separators.
_REMARK = re.compile(r'[ \t]*"?[ \t]*#')

# What a text begins with, what it is then, and Python's name for it. Excel's "Unicode text" is UTF-16 with a mark; without one it is UTF-8.
_MARKS = (
    (codecs.BOM_UTF16_LE, "UTF-16", "utf-16-le"),
    (codecs.BOM_UTF16_BE, "UTF-16", "utf-16-be"),
    (codecs.BOM_UTF8, "UTF-8", "utf-8"),
    (b"", "UTF-8", "utf-8"),
)
_SAVE = 'save the sheet as "CSV UTF-8"'
# What begins like this is no text.
_OTHER_KINDS = {
    b"PK\x03\x04": "a workbook (xlsx, ods)",
    b"\xd0\xcf\x11\xe0": "a workbook (xls)",
    b"%PDF-": "a PDF",
}


class Sheet(NamedTuple):
    """rows: one dict per person: the sheet's columns (text, empty when not given) and `source` ("staff.csv:14").
    problems: what is wrong with the file itself; with any, the rows must not be acted on. notes: what was read otherwise than it is
    written.
    """

    rows: list[dict[str, str]]
    problems: list[Problem]
    notes: list[str]


def read_sheet(data: bytes, name: str = "staff.csv") -> Sheet:
    """Parse the bytes of a list; `name` is what error messages call it, its ending says of what kind it is."""
    if not name.endswith(".csv"):
        return _workbook(data, name)
    text, wrong = _decode(data, name)
    # A remark keeps its line, so that every number in a message is the one the editor shows.
    lines = ["" if line.lstrip().startswith("#") else line for line in _LINE_END.split(text)]
    # What is before the header: nothing, remarks, a hint.
    written = [number for number, line in enumerate(lines) if line.strip(" \t;,") and not _REMARK.match(line)]
    hint = _HINT.fullmatch(lines[written[0]]) if written else None
    if hint:
        lines[written.pop(0)] = ""
    if not wrong and not written:
        wrong = Problem(f"{name}:1", what=f"has no header; the first line must name the columns: {', '.join(COLUMNS)}")
    if wrong:
        return Sheet([], [wrong], [])
    separator = hint[1] if hint else max(",;\t", key=lines[written[0]].count)
    reader = csv.reader(io.StringIO("\n".join(lines), newline=""), delimiter=separator, strict=True, skipinitialspace=True)
    collected = _Rows(f'has more cells than the header; a cell with "{separator}" in it needs quotes')
    end = 0
    try:
        for record in reader:
            line, end = end + 1, reader.line_num
            if not collected.take(f"{name}:{line}", [_clean(cell) for cell in record]):
                break
    except csv.Error as error:
        quote = f'has a quote (") that is not closed, or text behind a closing quote, in or before line {reader.line_num} ({error})'
        long = f'has a cell of more than {csv.field_size_limit()} characters; shorten it, or close the quote (") that it begins with'
        collected.problems.append(Problem(f"{name}:{end + 1}", what=long if "field limit" in str(error) else quote))
    return collected.sheet()


class _Rows:
    """Rows under one header, as they come."""

    def __init__(self, too_many: str) -> None:
        self._too_many = too_many
        self._header: Header | None = None
        self._notes = Notes()
        self._rows: list[dict[str, str]] = []
        self.problems: list[Problem] = []

    def take(self, where: str, cells: Sequence[str], kinds: Sequence[str] = ()) -> bool:
        """A row of texts, and what each is besides ("" for text). False when there is no use in going on."""
        if not any(cells) or cells[0].startswith("#"):
            return True
        if self._header is None:
            self._header = read_header(cells, where)
            self.problems += self._header.problems
            self._tell_ignored(where)
            return not self.problems
        names = self._header.names
        row = dict.fromkeys((*COLUMNS, FIRST, LAST), "") | {name: text for name, text in zip(names, cells, strict=False) if name}
        name = " ".join(filter(None, (row.pop(FIRST), row.pop(LAST))))
        row["full_name"] = row["full_name"] or name
        row["source"] = where
        if any(cells[len(names) :]):
            self.problems.append(Problem(where, row["address"], what=self._too_many))
        if any(text and not given for text, given in zip(cells, self._header.given, strict=False)):
            self.problems.append(Problem(where, row["address"], what="has text in a column without a name"))
        for column, text, kind in zip(names, cells, kinds, strict=False):
            if kind and column and column not in NUMERIC and text:
                what = f"{cell(text)} is {kind} in the workbook; format the column as text and type it again, as it was meant"
                self.problems.append(Problem(where, row["address"], f"column {column}", what))
        tidy(row, self._notes)
        self._rows.append(row)
        return True

    @property
    def fits(self) -> bool:
        """Whether there was a header, and it was one."""
        return self._header is not None and not self._header.problems

    def _tell_ignored(self, where: str) -> None:
        ignored = self._header.ignored if self._header else []
        secret = [column for column in ignored if is_secret(column)]
        others = [column for column in ignored if column not in secret]
        if others:
            self._notes.add(f"not needed, and not read: column{'s' * (len(others) > 1)} {', '.join(map(_name, others))}", where)
        if secret:
            what = f"not read: column {', '.join(map(_name, secret))}; delete it, a list is no place for passwords"
            self._notes.add(what, where)

    def sheet(self) -> Sheet:
        if self._header is None and not self.problems:
            return Sheet([], [], [])
        self.problems += share(self._rows, self._notes)
        return Sheet([] if self._header and self._header.problems else self._rows, self.problems, self._notes.lines())


def _name(column: str) -> str:
    return printable(column, 40)


def _workbook(data: bytes, name: str) -> Sheet:
    """The first sheet whose header fits; where none does, what is wrong with the first that has something in it."""
    found = tables(data, name)
    if isinstance(found, Problem):
        return Sheet([], [found], [])
    tried: list[Sheet] = []
    for table in found:
        collected = _Rows("has more cells than the header")
        for number, cells in table.rows:
            where = f"{table.name}, row {number}"
            if not collected.take(where, [_clean(cell.text) for cell in cells], [cell.kind for cell in cells]):
                break
        sheet = collected.sheet()
        if collected.fits:
            return sheet
        tried += [sheet] if sheet.problems or sheet.notes else []
    if tried:
        return min(tried, key=lambda sheet: len(sheet.problems))
    return Sheet([], [Problem(name, what=f"has no header in any of its sheets; name the columns: {', '.join(COLUMNS)}")], [])


def _decode(data: bytes, name: str) -> tuple[str, Problem | None]:
    """The text, or why there is none."""
    mark, called, codec = next(kind for kind in _MARKS if data.startswith(kind[0]))
    data = data.removeprefix(mark)
    if kind := next((kind for start, kind in _OTHER_KINDS.items() if data.startswith(start)), ""):
        return "", Problem(f"{name}:1", what=f"is {kind} under another name, no text; {_SAVE}")
    try:
        text = data.decode(codec)
    except UnicodeDecodeError as error:
        line = len(_LINE_END.split(data[: error.start].decode(codec, "ignore")))
        what = f"is not {called} text (byte 0x{data[error.start]:02X}); {_SAVE}"
        return "", Problem(f"{name}:{line}", what=what)
    if "\0" in text:
        line = len(_LINE_END.split(text.partition("\0")[0]))
        return "", Problem(f"{name}:{line}", what=f"has a zero byte, which no text has; {_SAVE}")
    return text, None


def _clean(cell: str) -> str:
    return composed(_BLANKS.sub(" ", _INVISIBLE.sub("", cell)).strip(" \t"))
