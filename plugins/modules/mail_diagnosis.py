#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name; nothing of it runs on a machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mail_diagnosis
short_description: Put together what was found on a machine, in a technician's words
version_added: 0.1.0
author: charter-mail contributors (!UNKNOWN)
description:
  - Runs on the controller only and changes nothing. Makes one tree of steps of what other modules found.
options:
  people:
    description: People as P(msp.charter_mail.resolve_people#filter) gives them.
    type: list
    elements: dict
    default: []
  probe:
    description: What M(msp.charter_mail.mail_probe) returned, also of a task that was skipped.
    type: dict
    default: {}
  stored:
    description: What M(msp.charter_mail.mail_settings) returned.
    type: dict
    default: {}
  written:
    description: >-
      By name of the role, what M(msp.charter_mail.mail_files) returned in check mode. A result that failed, was skipped or is not there
      (null) is a finding.
    type: dict
    default: {}
  left_out:
    description: >-
      In place of everything else, for a machine that nothing looked at. The C(machines) entry of
      M(msp.charter_mail.mail_check), empty for a machine without people.
    type: dict
    suboptions:
      platform:
        description: Platform of the machine; empty when it is in none of the groups.
        type: str
      people:
        description: Addresses of its people.
        type: list
        elements: str
  dir:
    description: Directory on the controller in which the callback P(msp.charter_mail.office#callback) writes the report.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Put together what was found
  msp.charter_mail.mail_diagnosis:
    people: "{{ mail_people }}"
    probe: "{{ reachability_result }}"
    stored: "{{ mail_stored }}"
    written: {thunderbird: "{{ thunderbird_result }}", terminal: "{{ terminal_result }}"}
    dir: build/diagnosis
  register: diagnosis_result
"""

RETURN = r"""
machine:
  description: >-
    machine (its name), state (V(ok), V(settings_ok) where the servers were not looked at, V(problems), or V(not_diagnosed)), summary,
    people (addresses) and steps, a tree of {title, state (V(ok), V(fail), V(warn), V(skip)), text, verdict, column, facts, steps}.
  returned: always
  type: dict
dir:
  description: The option of that name.
  returned: always
  type: str
"""
