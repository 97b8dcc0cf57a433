#!/usr/bin/python
# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation. The half on the controller is plugins/action/mail_facts.py, the one on machines _mail_facts.py beside this."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mail_facts
short_description: Look which people and mail programs a machine has
version_added: 0.1.0
author: charter-mail contributors (!UNKNOWN)
description:
  - One round trip for all logins, programs and servers. Changes nothing.
  - Programs are asked for their version as user C(nobody), for at most five seconds each. Thunderbird is not started;
    its version is read from its C(application.ini).
options:
  logins:
    description: Logins to look up, besides those of O(rows).
    type: list
    elements: str
    default: []
  rows:
    description: Rows of the machine's people, as P(msp.charter_mail.resolve_people#filter) takes them. Needs O(policy).
    type: list
    elements: dict
  policy:
    description: The office's decisions, as P(msp.charter_mail.resolve_people#filter) takes them. What the machine remembers wins over
      its C(auto_smtp_port) and C(primaries).
    type: dict
  packages:
    description: Programs to look for.
    type: list
    elements: str
    choices: [thunderbird, evolution, claws, msmtp, mbsync, neomutt, aerc]
    default: [thunderbird, evolution, claws, msmtp, mbsync, neomutt, aerc]
  directories:
    description: By program, the directory it is in, where that is to be looked in and nowhere else. Empty for the usual ones.
    type: dict
    default: {}
  root:
    description: A directory that stands for the machine, like C(DESTDIR). Nothing is looked up then; every login is
      taken to exist, with the home that is usual for the platform.
    type: str
    default: ""
  platform:
    description: Decides where homes and state are.
    type: str
    choices: [linux, macos, windows]
    default: linux
  servers:
    description: Look at the mail servers of the people of O(rows) as well, as M(msp.charter_mail.mail_probe) does, in the same round trip.
    type: dict
    suboptions:
      interceptors:
        description: As for M(msp.charter_mail.mail_probe).
        type: list
        elements: dict
        required: true
      timeout:
        description: As for M(msp.charter_mail.mail_probe).
        type: int
        default: 20
      login:
        description: As for M(msp.charter_mail.mail_probe).
        type: bool
        default: false
      require:
        description: Whether the task fails where a server that somebody needs cannot be used.
        type: bool
        default: false
attributes:
  check_mode:
    description: Does the same.
    support: full
  diff_mode:
    description: Nothing changes.
    support: none
"""

EXAMPLES = r"""
- name: Look which people and programs are there
  msp.charter_mail.mail_facts:
    rows: "{{ mail_rows }}"
    policy: "{{ mail_policy }}"
    packages: [thunderbird, msmtp]
  register: mail_found
"""

RETURN = r"""
logins:
  description: By login.
  returned: always
  type: dict
  sample: {jane: {exists: true, uid: 1000, gid: 1000, home: /home/jane}}
programs:
  description: By program; C(installed) is none below a prefix, where nobody can tell.
  returned: always
  type: dict
  sample:
    msmtp: {installed: true, version: 1.8.28, path: /usr/bin/msmtp}
    thunderbird: {installed: true, version: 140.4.0, path: /opt/thunderbird, others: [], sandboxed: [snap], named: ''}
people:
  description: Addresses that earlier runs have written files for, sorted.
  returned: always
  type: list
  elements: str
  sample: [jane.doe@example.org]
remembered:
  description: What an earlier run had M(msp.charter_mail.mail_files) remember, by name.
  returned: always
  type: dict
  sample: {smtp_port: 465}
probe:
  description: What M(msp.charter_mail.mail_probe) returns; without O(servers) no server was looked at.
  returned: with O(rows)
  type: dict
system:
  description: What the machine calls its system, like C(uname -s).
  returned: always
  type: str
  sample: Linux
"""
