# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The list of a new office as a workbook, and its machines out of a list of them. Pure, no Ansible."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from .headers import COLUMNS
from .names import is_host
from .problem import Problem, quoted
from .programs import PROGRAMS
from .workbook import Table, tables

with contextlib.suppress(ImportError):  # office/libraries.py says it
    import xlsxwriter

# What each column is for, on the second sheet.
HELP: Mapping[str, str] = {
    "address": "The mailbox: the whole address, as in jane.doe@example.org. Needed.",
    "full_name": "The person. Needed.",
    "machines": "The person's machines, as hosts.yml calls them, separated by commas. Empty for somebody with a phone alone.",
    "login": "The person's account name on those machines. Needed where there are machines.",
    "protocol": "imap or pop. Empty: imap.",
    "smtp_port": "587 or 465. Empty: what the provider prefers.",
    "programs": f"Mail programs on Linux: {', '.join(PROGRAMS)}. Empty: Thunderbird.",
    "phones": "iphone, android, or both.",
    "primary": "yes for the first of a person's mailboxes. Empty: the one that is named after the person.",
    "state": "left for somebody whose mail is to be taken off the machines. Empty: here.",
    "sender_name": "The sender name of this mailbox, where it is another one than the person's.",
}
_WIDTHS = {"address": 34, "full_name": 24, "machines": 24, "sender_name": 20}
_EMPTY_ROWS = 500

PLATFORMS = ("linux", "windows", "macos")
_PLATFORM = re.compile(r"(?P<windows>win)|(?P<macos>mac|os ?x|darwin|imac)|(?P<linux>linux|ubuntu|debian|fedora|mint|suse|rhel)", re.I)
_NAME = ("name", "machine", "computer", "computer name", "hostname", "host", "device", "device name", "pc")
_SYSTEM = ("platform", "os", "operating system", "system", "type")


def workbook(rows: Iterable[Mapping[str, str]]) -> bytes:
    """A workbook with these people, all cells text, so that a login 00417 stays what it is. A second sheet says what the columns are."""
    stream = io.BytesIO()
    book = xlsxwriter.Workbook(
        stream, {"in_memory": True, "strings_to_numbers": False, "strings_to_formulas": False, "strings_to_urls": False}
    )
    text, head = book.add_format({"num_format": "@"}), book.add_format({"num_format": "@", "bold": True, "bottom": 1})
    sheet = book.add_worksheet("Staff")
    sheet.freeze_panes(1, 0)
    for column, name in enumerate(COLUMNS):
        sheet.set_column(column, column, _WIDTHS.get(name, 12), text)
        sheet.write_string(0, column, name, head)
    number = 0
    for number, row in enumerate(rows, start=1):
        for column, name in enumerate(COLUMNS):
            if row.get(name):
                sheet.write_string(number, column, row[name].replace(" ", ", ") if name == "machines" else row[name], text)
    how = book.add_worksheet("How to")
    how.set_column(0, 0, 14)
    how.set_column(1, 1, 90)
    for line, (name, words) in enumerate(HELP.items()):
        how.write_string(line, 0, name, head)
        how.write_string(line, 1, words)
    book.close()
    return stream.getvalue()


def machines_of(data: bytes, name: str) -> tuple[dict[str, list[str]], list[Problem]]:
    """Names of machines by platform, "" for those of which the list does not say it, and what is no name of a machine.

    A table (.csv, .xlsx, .ods, .xls) has a column for the name and may have one for the system. In a text, a line has names separated by
    blanks, and may end with the system.
    """
    found: dict[str, list[str]] = {platform: [] for platform in (*PLATFORMS, "")}
    problems: list[Problem] = []
    for where, machine, system in _listed(data, name):
        match = _PLATFORM.match(system.strip())
        platform = match.lastgroup if match and match.lastgroup else ""
        if not is_host(machine):
            problems.append(Problem(where, what=f"{quoted(machine)} is no name of a machine"))
        elif machine.casefold() not in {each.casefold() for every in found.values() for each in every}:
            found[platform].append(machine)
    return found, problems


def _listed(data: bytes, name: str) -> Iterator[tuple[str, str, str]]:
    """Where it stands, a machine, and its system."""
    if name.endswith((".xlsx", ".ods", ".xls")):
        read = tables(data, name)
        yield from _in_tables([] if isinstance(read, Problem) else read)
        return
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    lines = text.splitlines()
    if name.endswith(".csv"):
        separator = max(",;\t", key=(lines or [""])[0].count)
        yield from _in_rows(((f"{name}:{number}", row) for number, row in enumerate(csv.reader(lines, delimiter=separator), start=1)))
        return
    for number, line in enumerate(lines, start=1):
        words = re.split(r"[,;\s]+", line.partition("#")[0].strip())
        system = words.pop() if len(words) > 1 and _PLATFORM.match(words[-1]) and "-" not in words[-1] else ""
        yield from ((f"{name}:{number}", word, system) for word in words if word)


def _in_tables(read: Sequence[Table]) -> Iterator[tuple[str, str, str]]:
    for table in read:
        yield from _in_rows((f"{table.name}, row {number}", [cell.text for cell in cells]) for number, cells in table.rows)


def _in_rows(rows: Iterable[tuple[str, Sequence[str]]]) -> Iterator[tuple[str, str, str]]:
    header: list[str] = []
    for where, row in rows:
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if not header:
            header = [" ".join(re.sub(r"[^0-9a-z]+", " ", cell.casefold()).split()) for cell in cells]
            name = next((header.index(each) for each in _NAME if each in header), 0)
            system = next((header.index(each) for each in _SYSTEM if each in header), -1)
            if header[name] in _NAME:
                continue
        if name < len(cells) and cells[name]:
            yield where, cells[name], cells[system] if 0 <= system < len(cells) else ""
