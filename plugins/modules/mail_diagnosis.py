#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name; nothing of it runs on a machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mail_diagnosis
short_description: Put together what was found on a machine, in a technician's words
version_added: 0.1.0
author: charter-mail contributors
description:
  - Runs on the controller only and changes nothing. Makes one tree of steps of what other modules found.
options:
  people:
    description: People as P(msp.charter_mail.resolve_people#filter) gives them.
    type: list
    elements: dict
    required: true
  probe:
    description: What M(msp.charter_mail.mail_probe) returned, also of a task that was skipped.
    type: dict
    required: true
  stored:
    description: What M(msp.charter_mail.mail_settings) returned.
    type: dict
    required: true
  files:
    description: The C(files) that M(msp.charter_mail.mail_files) returned in check mode.
    type: list
    elements: dict
    required: true
  dir:
    description: Directory on the controller in which the callback P(msp.charter_mail.mail_summary#callback) writes the report.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Put together what was found
  msp.charter_mail.mail_diagnosis:
    people: "{{ mail_people }}"
    probe: "{{ reachability_result }}"
    stored: "{{ mail_stored }}"
    files: "{{ thunderbird_result.files + terminal_result.files }}"
    dir: build/diagnosis
  register: diagnosis_result
"""

RETURN = r"""
machine:
  description: >-
    machine (its name), state (V(ok) or V(problems)), summary, people (addresses) and steps, a tree of {title, state (V(ok), V(fail),
    V(warn), V(skip)), text, verdict, column, facts, steps}.
  returned: always
  type: dict
dir:
  description: The option of that name.
  returned: always
  type: str
"""
