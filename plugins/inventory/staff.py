# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Inventory plugin: an office's staff sheet beside its hosts.yml."""

from __future__ import annotations

DOCUMENTATION = r"""
name: staff
short_description: The people of an office, from its staff sheet
version_added: 0.1.0
author: charter-mail contributors
description:
  - Reads C(staff.csv) beside C(hosts.yml) and gives every machine the rows of its people as C(mail_staff).
  - Adds no machine. Adds the group C(staff) with one group per person that holds the person's machines, so that
    C(ansible-inventory --graph) shows who has what and C(--limit person_jane_example_org) names a person's machines. Adds the groups of
    the platforms, C(linux), C(windows) and C(macos), and C(profile_server), where C(hosts.yml) has none of the name.
  - Takes UTF-8 (with or without a byte order mark) or UTF-16 text; comma, semicolon or tab; quoted cells; CRLF; blank lines; lines
    that start with C(#).
  - A sheet with problems is never half a sheet. They are kept in C(mail_staff_sheets), and M(msp.charter_mail.mail_check) stops the run.
  - Files of a folder are read in the order of their names, so C(hosts.yml) comes first. Machines from another source must sort before
    C(staff.csv).
  - Cells are data. They are never templated, whatever they hold.
options: {}
"""

EXAMPLES = r"""
# inventories/acme/staff.csv
# address,full_name,machines,login
# jane.doe@example.org,Jane Doe,desk-01 desk-02,jane
"""

import re
from pathlib import Path

from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible.utils.display import Display

from ..plugin_utils.problem import Problem
from ..plugin_utils.programs import PLATFORMS
from ..plugin_utils.staff_sheet import Sheet, read_sheet

display = Display()


class InventoryModule(BaseInventoryPlugin):
    NAME = "msp.charter_mail.staff"

    def verify_file(self, path: str) -> bool:
        # Not the parent's test: an unreadable sheet is ours to report, not a file that some other plugin may try.
        return Path(path).name == "staff.csv"

    def parse(self, inventory: InventoryData, loader: DataLoader, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        sheet = _read(Path(path))
        for host in inventory.hosts.values():
            rows = [row for row in sheet.rows if host.name in row["machines"].split()]
            inventory.set_variable(host.name, "mail_staff", rows)
        known = inventory.groups["all"].get_vars().get("mail_staff_sheets", [])
        entry = {"path": path, "rows": sheet.rows, "problems": [str(problem) for problem in sheet.problems]}
        inventory.set_variable("all", "mail_staff_sheets", [*known, entry])
        self._add_groups(sheet)
        if sheet.problems:
            display.warning(f"{path} cannot be used as it is, no playbook of this collection will run with it: {sheet.problems[0]}")

    def _add_groups(self, sheet: Sheet) -> None:
        # A play for a group that an office has no machine in is skipped without a warning.
        for group in ("staff", *PLATFORMS, "profile_server"):
            self.inventory.add_group(group)
        for row in sheet.rows:
            group = self.inventory.add_group(re.sub(r"\W", "_", f"person_{row['address'].lower()}", flags=re.ASCII))
            self.inventory.add_child("staff", group)
            for machine in row["machines"].split():
                if machine in self.inventory.hosts and row["state"].lower() != "absent":
                    self.inventory.add_host(machine, group=group)


def _read(path: Path) -> Sheet:
    try:
        return read_sheet(path.read_bytes(), path.name)
    except OSError as error:
        return Sheet([], [Problem(path.name, what=f"cannot be read: {error.strerror}")])
