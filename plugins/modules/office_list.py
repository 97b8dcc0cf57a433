#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name; nothing of it runs on a machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: office_list
short_description: Write the list of a new office, and read its machines
version_added: 0.1.0
author: charter-mail contributors (!UNKNOWN)
description:
  - Runs on the controller only. Writes a workbook for the people of a new office, empty, or with the people of a list or an export that the
    office has.
  - Fails, writing nothing, where O(source) or O(machines) cannot be read, with all problems at once. Never overwrites a file.
options:
  dest:
    description: The workbook to write.
    type: path
    required: true
  source:
    description: A list of people, CSV or a workbook, with the headers that people and the exports of Microsoft 365 and Google have.
    type: path
    default: ""
  machines:
    description: >-
      A list of machines. A text with names, each line perhaps with the system at its end; or a table with a column for the name and perhaps
      one for the system.
    type: path
    default: ""
"""

EXAMPLES = r"""
- name: Write the list of a new office
  msp.charter_mail.office_list:
    dest: inventories/acme/staff.xlsx
    source: people.xlsx
    machines: machines.txt
"""

RETURN = r"""
people:
  description: How many lines the list has.
  type: int
  returned: success
machines:
  description: Names of machines, each under its platform (linux, windows, macos, or unknown).
  type: dict
  returned: success
notes:
  description: What was read otherwise than it is written.
  type: list
  elements: str
  returned: success
"""
