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

from .problem import Problem, did_you_mean

REQUIRED = ("address", "full_name")
COLUMNS = (*REQUIRED, "machines", "login", "protocol", "smtp_port", "programs", "phones", "primary", "state")

# Spreadsheets pad with these when text is pasted from a web page; none of them can be part of a setting.
_BLANKS = re.compile("[\u00a0\u2007\u202f]")
_INVISIBLE = re.compile("[\u200b\u2060\ufeff]")


class Sheet(NamedTuple):
    """rows: one dict per person: the sheet's columns (text, empty when not given) and `source` ("staff.csv:14").
    problems: what is wrong with the file itself; with any, the rows must not be acted on.
    """

    rows: list[dict[str, str]]
    problems: list[Problem]


def read_sheet(data: bytes, name: str = "staff.csv") -> Sheet:
    """Parse the bytes of a sheet; `name` is what error messages call it."""
    try:
        text = _decode(data)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        what = f'is not UTF-8 text (byte 0x{data[error.start]:02X}); save the sheet as "CSV UTF-8"'
        return Sheet([], [Problem(f"{name}:{line}", what=what)])
    # A comment keeps its line, so that every number in a message is the one the editor shows.
    lines = ["" if line.lstrip().startswith("#") else line for line in re.split(r"\r\n|\r|\n", text)]
    header_line = next((number for number, line in enumerate(lines) if line.strip(" \t;,")), None)
    if header_line is None:
        return Sheet([], [Problem(f"{name}:1", what=f"has no header; the first line must name the columns: {', '.join(COLUMNS)}")])
    separator = max(",;\t", key=lines[header_line].count)
    reader = csv.reader(io.StringIO("\n".join(lines), newline=""), delimiter=separator, strict=True, skipinitialspace=True)
    header: list[str] = []
    rows: list[dict[str, str]] = []
    problems: list[Problem] = []
    end = 0
    try:
        for record in reader:
            line, end = end + 1, reader.line_num
            cells = [_clean(cell) for cell in record]
            if not any(cells):
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
        what = f'has a quote (") that is not closed, or text behind a closing quote, in or before line {reader.line_num} ({error})'
        problems.append(Problem(f"{name}:{end + 1}", what=what))
    return Sheet(rows, problems)


def _decode(data: bytes) -> str:
    # Excel's "Unicode text" is UTF-16 with a mark; everything else has to be UTF-8.
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    return data.decode("utf-8-sig")


def _clean(cell: str) -> str:
    return _BLANKS.sub(" ", _INVISIBLE.sub("", cell)).strip(" \t")


def _header(cells: Sequence[str], where: str) -> tuple[list[str], list[Problem]]:
    names = [re.sub(r"[ -]+", "_", cell.lower()) for cell in cells]
    problems = [
        Problem(where, what=f'column "{cell}" is not known{did_you_mean(name, COLUMNS)}; known are: {", ".join(COLUMNS)}')
        for cell, name in zip(cells, names, strict=True)
        if name and name not in COLUMNS
    ]
    problems += [Problem(where, what=f'column "{name}" is there twice') for name in COLUMNS if names.count(name) > 1]
    problems += [Problem(where, what=f'column "{name}" is missing') for name in REQUIRED if name not in names]
    return names, problems
