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

from .names import composed
from .problem import Problem, cell, did_you_mean

REQUIRED = ("address", "full_name")
COLUMNS = (*REQUIRED, "machines", "login", "protocol", "smtp_port", "programs", "phones", "primary", "state")

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
    problems: what is wrong with the file itself; with any, the rows must not be acted on.
    """

    rows: list[dict[str, str]]
    problems: list[Problem]


def read_sheet(data: bytes, name: str = "staff.csv") -> Sheet:
    """Parse the bytes of a sheet; `name` is what error messages call it."""
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
        return Sheet([], [wrong])
    separator = hint[1] if hint else max(",;\t", key=lines[written[0]].count)
    reader = csv.reader(io.StringIO("\n".join(lines), newline=""), delimiter=separator, strict=True, skipinitialspace=True)
    header: list[str] = []
    rows: list[dict[str, str]] = []
    problems: list[Problem] = []
    end = 0
    try:
        for record in reader:
            line, end = end + 1, reader.line_num
            cells = [_clean(cell) for cell in record]
            if not any(cells) or cells[0].startswith("#"):
                continue
            where = f"{name}:{line}"
            if not header:
                header, problems = _header(cells, where)
                if problems:
                    return Sheet([], problems)
                continue
            row = dict.fromkeys(COLUMNS, "") | dict(zip(header, cells, strict=False))
            if any(cells[len(header) :]):
                what = f'has more cells than the header; a cell with "{separator}" in it needs quotes'
                problems.append(Problem(where, row["address"], what=what))
            if row.pop("", ""):
                problems.append(Problem(where, row["address"], what="has text in a column without a name"))
            rows.append(row | {"source": where})
    except csv.Error as error:
        quote = f'has a quote (") that is not closed, or text behind a closing quote, in or before line {reader.line_num} ({error})'
        long = f'has a cell of more than {csv.field_size_limit()} characters; shorten it, or close the quote (") that it begins with'
        problems.append(Problem(f"{name}:{end + 1}", what=long if "field limit" in str(error) else quote))
    return Sheet(rows, problems)


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


def _header(cells: Sequence[str], where: str) -> tuple[list[str], list[Problem]]:
    names = [re.sub(r"[ -]+", "_", cell.lower()) for cell in cells]
    problems = [
        Problem(where, what=f"column {cell(given, COLUMNS)} is not known{did_you_mean(name, COLUMNS)}; known are: {', '.join(COLUMNS)}")
        for given, name in zip(cells, names, strict=True)
        if name and name not in COLUMNS
    ]
    problems += [Problem(where, what=f'column "{name}" is there twice') for name in COLUMNS if names.count(name) > 1]
    problems += [Problem(where, what=f'column "{name}" is missing') for name in REQUIRED if name not in names]
    return names, problems
