# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Inventory plugin: an office's staff sheet beside its hosts.yml."""

from __future__ import annotations

DOCUMENTATION = r"""
name: staff
short_description: The people of an office, from its staff sheet
version_added: 0.1.0
author: charter-mail contributors (!UNKNOWN)
description:
  - Reads C(staff.csv), C(staff.xlsx), C(staff.ods) or C(staff.xls) beside C(hosts.yml) and gives every machine the rows of its people as
    C(mail_staff).
  - Adds no machine. Adds the group C(staff) with one group per person that holds the person's machines, so that
    C(ansible-inventory --graph) shows who has what and C(--limit person_jane_example_org) names a person's machines. Where there are
    more than a thousand people, there are groups C(staff_1), C(staff_2) and so on of a thousand in between. Adds the groups of
    the platforms, C(linux), C(windows) and C(macos), and C(profile_server), where C(hosts.yml) has none of the name.
  - A person's group is C(person_) and the address, in which a dot is C(_) and the @ is C(_), or C(__) where the domain has not just two
    parts. A dash is C(DASH), an underscore C(UNDER), a plus C(PLUS), anything else C(X) and its code in two hexadecimal digits. So no two
    people share a group.
  - Takes UTF-8 (with or without a byte order mark) or UTF-16 text, also out of a vault; comma, semicolon or tab, or what a first line
    C(sep=;) says; quoted cells; CRLF; blank lines; remarks, which start with C(#).
  - A sheet with problems is never half a sheet. They are kept in C(mail_staff_sheets), and M(msp.charter_mail.mail_check) stops the run.
  - An office's folder has two sources, C(hosts.yml) and C(staff.csv). Whatever else is in it, or in a folder below, is taken
    by this plugin and left alone, so that no other plugin makes machines of certificates, notes and copies; what looks like a second sheet
    is named. The plugin must come first in C(enable_plugins) for that. An office that has machines in other files of its folder names
    them, in C(hosts.yml) under C(all), as the variable C(mail_sources), a list of names; a file that is named with C(-i) is
    a source, too.
  - Files of a folder are read in the order of their names, so C(hosts.yml) comes first. Other sources of machines must come before
    C(staff.csv).
  - Cells are data. They are never templated, whatever they hold.
options: {}
"""

EXAMPLES = r"""
# inventories/acme/staff.csv
# address,full_name,machines,login
# jane.doe@example.org,Jane Doe,desk-01 desk-02,jane
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible import context
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.utils.display import Display

from ..module_utils.masking import inert
from ..plugin_utils.office import lists
from ..plugin_utils.office.folder import HOSTS, SHEETS, is_second_sheet, office_of, sheets
from ..plugin_utils.office.names import group_of
from ..plugin_utils.office.problem import Problem
from ..plugin_utils.office.programs import PLATFORMS
from ..plugin_utils.office.staff_sheet import Sheet, read_sheet

display = Display()

# Ansible looks through all children of a group whenever one is added.
MOST_CHILDREN = 1000


class InventoryModule(BaseInventoryPlugin):
    NAME = "msp.charter_mail.staff"

    def verify_file(self, path: str) -> bool:
        # Not the parent's test: an unreadable sheet is ours to report, not a file that some other plugin may try.
        place = Path(path)
        given = _given()
        office = office_of(place, given)
        return place.name in SHEETS or (office is not None and place != office / HOSTS and place not in given)

    def parse(self, inventory: InventoryData, loader: DataLoader, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        place = Path(path)
        office = office_of(place, _given()) or place.parent
        sources = _sources(office / HOSTS, loader)
        if place not in [office / name for name in SHEETS] and place not in _given():
            if place in sources:
                raise AnsibleParserError(f"{path} is a source that {HOSTS} names: it is for another plugin")
            if is_second_sheet(place.name) and place.parent == office:
                display.warning(f"{inert(path)} is not read: the list of an office is called {', '.join(SHEETS[:-1])} or {SHEETS[-1]}")
            return
        sheet = _read(place, loader)
        theirs, unclear = lists.hand_out(sheet.rows, inventory.hosts)
        problems = lists.keep(path, sheet, [*sheet.problems, *_two(office, place), *_wrong_sources(sources, place), *unclear]).problems
        known = inventory.groups["all"].get_vars().get("mail_staff_sheets", [])
        inventory.set_variable("all", "mail_staff_sheets", [*known, path])
        for name, rows in theirs.items():
            inventory.set_variable(name, "mail_staff", rows)
        self._add_groups(sheet)
        # Our playbooks tell all of them, once.
        if problems and not _is_told():
            display.warning(f"{inert(path)} cannot be used as it is, no playbook of this collection will run with it: {problems[0]}")

    def _add_groups(self, sheet: Sheet) -> None:
        # A play for a group that an office has no machine in is skipped without a warning.
        for group in ("staff", *PLATFORMS, "profile_server"):
            self.inventory.add_group(group)
        parent = "staff"
        for number, row in enumerate(sheet.rows):
            if len(sheet.rows) > MOST_CHILDREN and number % MOST_CHILDREN == 0:
                parent = self.inventory.add_group(f"staff_{number // MOST_CHILDREN + 1}")
                self.inventory.add_child("staff", parent)
            group = self.inventory.add_group(group_of(row["address"]))
            self.inventory.add_child(parent, group)
            for machine in row["machines"].split():
                if machine in self.inventory.hosts and row["state"].lower() != "absent":
                    self.inventory.add_host(machine, group=group)


def _is_told() -> bool:
    """Whether this is a playbook with the callback that tells what is wrong with an office."""
    return "start_at_task" in context.CLIARGS and C.DEFAULT_STDOUT_CALLBACK == "msp.charter_mail.office"


def _given() -> list[Path]:
    """The sources that Ansible was given, on the command line or in its settings."""
    return [Path(source) for source in context.CLIARGS.get("inventory") or ()]


def _sources(hosts: Path, loader: DataLoader) -> list[Path]:
    """Other files of the office's folder that its hosts.yml names as sources of machines."""
    data: Any = None
    if hosts.is_file():
        try:
            # Without the loader's memory: what it has of this file is for the plugin that makes machines of it.
            data = loader.load_from_file(str(hosts), cache="none")
        except AnsibleError:
            return []  # said by that plugin
    for key in ("all", "vars", "mail_sources"):
        data = data.get(key) if isinstance(data, Mapping) else None
    names = data if isinstance(data, list) else [] if data is None else [data]
    return [hosts.parent / str(name) for name in names]


def _two(office: Path, sheet: Path) -> list[Problem]:
    """Two lists in one office: which of them counts, nobody knows."""
    there = sheets(office)
    return (
        [Problem(" and ".join(there), what="are two lists of one office; move one of them away")]
        if len(there) > 1 and sheet.parent == office
        else []
    )


def _wrong_sources(sources: list[Path], sheet: Path) -> list[Problem]:
    missing = [source for source in sources if not source.is_file()]
    late = [source for source in sources if source not in missing and source > sheet]
    where, field = HOSTS, "mail_sources"
    return [
        *(Problem(where, field=field, what=f'"{source.name}" is not there') for source in missing),
        *(Problem(where, field=field, what=f'"{source.name}" is read after {sheet.name}; give it a name before that') for source in late),
    ]


def _read(path: Path, loader: DataLoader) -> Sheet:
    try:
        data = path.read_bytes()
        if data.startswith(lists.VAULT):
            # As bytes, for the sheet's own judgement of what it is written in.
            data = loader.get_text_file_contents(str(path), encoding="latin-1").encode("latin-1")
    except OSError as error:
        return Sheet([], [Problem(path.name, what=f"cannot be read: {error.strerror}")], [])
    except AnsibleError:
        what = "is in a vault that the passwords given do not open; name the right one, as with --ask-vault-pass"
        return Sheet([], [Problem(path.name, what=what)], [])
    return read_sheet(data, path.name)
