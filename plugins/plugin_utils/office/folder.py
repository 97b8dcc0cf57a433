# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What in a folder is an office's: its machines, its people, and what merely lies there. Reads names and a few files; no Ansible."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

# What the one list of an office may be called, and its machines.
SHEETS = ("staff.csv", "staff.ods", "staff.xls", "staff.xlsx")
HOSTS = "hosts.yml"
# What people keep tables in.
_TABLES = (".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".xls", ".ods", ".numbers")


def is_office(folder: Path) -> bool:
    """Whether there are machines and people, in a table of any name or in YAML: what else has a hosts.yml is not ours."""
    names = _names(folder)
    if names & {*SHEETS}:
        return True
    return HOSTS in names and (any(map(_is_table, names)) or _has_people(folder))


def office_of(path: Path, sources: Iterable[Path] = ()) -> Path | None:
    """The office in whose folder the file `path` is: the outermost one below a folder of `sources`, those that Ansible was given."""
    given = [source for source in sources if source in path.parents] or [path.parent]
    within = [folder for folder in path.parents if any(folder == source or source in folder.parents for source in given)]
    return next((folder for folder in reversed(within) if is_office(folder)), None)


def sheets(folder: Path) -> list[str]:
    """The lists that are in a folder; one too many when there are two."""
    return sorted(_names(folder) & {*SHEETS})


def second_sheets(folder: Path) -> list[str]:
    """Names of files that somebody may take for the sheet: `Staff.csv`, `staff - Copy.xlsx`."""
    return sorted(name for name in _names(folder) if is_second_sheet(name))


def is_second_sheet(name: str) -> bool:
    """Whether a file of this name may be taken for the sheet, and is not it."""
    return name not in SHEETS and _is_table(name) and "staff" in name.casefold()


def _is_table(name: str) -> bool:
    # What spreadsheets write while a table is open begins with . or ~.
    return name.casefold().endswith(_TABLES) and not name.startswith((".", "~"))


def _has_people(folder: Path) -> bool:
    places = [folder / HOSTS, *folder.glob("group_vars/**/*"), *folder.glob("host_vars/**/*")]
    return any(b"mail_accounts" in path.read_bytes() for path in places if path.is_file())


def _names(folder: Path) -> set[str]:
    try:
        return {path.name for path in folder.iterdir()}
    except OSError:
        return set()
