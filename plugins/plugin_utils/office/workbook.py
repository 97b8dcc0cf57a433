# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read a list from a workbook: .xlsx, .ods or .xls, with the values that a person sees. Pure: bytes in, rows of text out."""

from __future__ import annotations

import datetime
import io
from collections.abc import Iterator
from typing import Any, NamedTuple

from .problem import Problem

try:
    import python_calamine as calamine
except ImportError:
    calamine = None  # type: ignore[assignment]  # said where a workbook is to be read

# Numbers are at home in these columns only.
NUMERIC = ("smtp_port",)


class Cell(NamedTuple):
    """A cell as text. kind: "" for text, else what the workbook has it as: a number, a date."""

    text: str
    kind: str = ""


class Table(NamedTuple):
    """One sheet of a workbook. name: "staff.xlsx, sheet Staff". rows: number (from 1) and cells."""

    name: str
    rows: list[tuple[int, list[Cell]]]


def tables(data: bytes, name: str) -> list[Table] | Problem:
    """The sheets of a workbook in their order, those that are hidden left out; or why it cannot be read."""
    if calamine is None:
        return Problem(name, what="cannot be read: python-calamine is not installed (requirements.txt); or save the list as CSV UTF-8")
    try:
        book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        shown = [sheet.name for sheet in book.sheets_metadata if sheet.visible == calamine.SheetVisibleEnum.Visible]
        return [Table(_called(name, title), list(_rows(book.get_sheet_by_name(title)))) for title in shown]
    except calamine.PasswordError:
        return Problem(name, what="has a password; save it without one, or put it into a vault")
    except Exception as error:  # noqa: BLE001  # whatever a broken file makes of the library
        return Problem(name, what=f"is no workbook that can be read ({type(error).__name__}); save it again, or as CSV UTF-8")


def _called(name: str, title: str) -> str:
    # Brackets mean something else where a problem is: a list in YAML.
    return f"{name}, sheet {title.replace('[', '(')}"


def _rows(sheet: Any) -> Iterator[tuple[int, list[Cell]]]:
    for number, row in enumerate(sheet.to_python(skip_empty_area=False), start=1):
        yield number, [_cell(value) for value in row]


def _cell(value: Any) -> Cell:
    if isinstance(value, bool):
        return Cell("true" if value else "false")
    if isinstance(value, (int, float)):
        return Cell(str(int(value)) if float(value).is_integer() else repr(value), "a number")
    if isinstance(value, (datetime.date, datetime.time, datetime.timedelta)):
        return Cell(str(value), "a date or time")
    return Cell("" if value is None else str(value))
