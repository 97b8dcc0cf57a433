#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name; nothing of it runs on a machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mail_check
short_description: Check an office's settings and people before any machine is contacted
version_added: 0.1.0
author: charter-mail contributors (!UNKNOWN)
description:
  - Runs on the controller only. Looks at every machine of the inventory, whatever C(--limit) says, and reports all problems at once.
  - Everything that can be known before a machine is contacted is looked at here, in one place for all playbooks. The people; the settings
    of all roles of this collection; what phones and Macs get, with the files and certificates that are needed for it and the folder they
    are written to; what a web server for profiles is told.
  - Refuses a run that loads more than one office, or none, and a staff sheet that could not be read.
  - Is meant to run once per play (C(run_once)).
options:
  providers:
    description: The shipped facts about providers. The rest comes from the variables of the machines, and of the group all.
    type: list
    elements: dict
    required: true
  preview_dir:
    description: Where a preview is written, for the callback to say.
    type: path
    default: ""
  purpose:
    description: >-
      What the run is for; the callback P(msp.charter_mail.office#callback) goes by it. A diagnosis does without what phones and Macs get,
      for it makes none of it.
    type: str
    choices: [provision, preview, diagnose]
    default: provision
"""

EXAMPLES = r"""
- name: Check the office before any machine is contacted
  msp.charter_mail.mail_check:
    providers: "{{ __mail_providers }}"
  run_once: true
"""

RETURN = r"""
office:
  description: Name of the office's folder.
  type: str
  returned: success
purpose:
  description: The option of that name.
  type: str
  returned: success
preview_dir:
  description: The option of that name.
  type: str
  returned: success
notes:
  description: What in the list was read otherwise than it is written.
  type: list
  elements: str
  returned: success
people:
  description: >-
    Everybody of the office but those who left, each {id (address of the first mailbox), name, login, mailboxes (address, name, receive,
    send), places (address, machine, platform, program), phones}.
  type: list
  elements: dict
  returned: success
named:
  description: How many rows the office has, those of people who left counted.
  type: int
  returned: success
machines:
  description: >-
    Of every machine with people, its platform (empty when it is in none of the groups linux, windows, macos) and their addresses.
  type: dict
  returned: success
"""
