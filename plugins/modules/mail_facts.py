#!/usr/bin/python
# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a machine knows of people and mail programs. Changes nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mail_facts
short_description: Look which people and mail programs a machine has
version_added: 0.1.0
author: charter-mail contributors
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
    choices: [thunderbird, msmtp, mbsync, neomutt, aerc]
    default: [thunderbird, msmtp, mbsync, neomutt, aerc]
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
  description: By program. RV(programs.installed) is none below a prefix, where nobody can tell.
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

import os
from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.msp.charter_mail.plugins.module_utils.files import machine, payload, persons, store, units
from ansible_collections.msp.charter_mail.plugins.module_utils.servers import probe
from ansible_collections.msp.charter_mail.plugins.module_utils.stored import programs


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "logins": {"type": "list", "elements": "str", "default": []},
            # By program, what has it say its version.
            "packages": {"type": "dict", "required": True},
            "directories": {"type": "dict", "default": {}},
            "root": {"type": "str", "default": ""},
            "platform": {"type": "str", "choices": ["linux", "macos", "windows"], "default": "linux"},
            # As for mail_probe.
            "probe": {
                "type": "dict",
                "options": {
                    "endpoints": {"type": "list", "elements": "dict", "required": True},
                    "interceptors": {"type": "list", "elements": "dict", "required": True},
                    "timeout": {"type": "float", "required": True},
                    "logins": {"type": "str", "no_log": True},
                },
            },
        },
        supports_check_mode=True,
    )
    # Side by side: each waits for others most of the time.
    looking = probe.beside(*probe.arguments(module.params["probe"])) if module.params["probe"] else None
    root = module.params["root"].rstrip("/")
    platform = module.params["platform"]
    try:
        state = machine.open_store(root, platform)
    except store.StoreError as error:
        module.fail_json(msg=units.printable(str(error)))
    addresses = {address for records in state.sets.values() for record in records for address in record["people"]}
    found = {
        "logins": {login: _login(login, root, platform) for login in module.params["logins"]},
        "programs": {
            name: _program(name, root, platform, module.params["directories"].get(name) or "", flag)
            for name, flag in module.params["packages"].items()
        },
        "people": sorted(addresses),
        "remembered": state.remembered,
        "system": os.uname().sysname,
    }
    if looking:
        found["endpoints"] = looking()
    module.exit_json(changed=False, **found)


def _login(login: str, root: str, platform: str) -> Dict[str, Any]:
    if root:
        home = payload.home_below(platform, login)
        home = "C:" + home[2:] if platform == "windows" else home
        return {"exists": True, "uid": None, "gid": None, "home": home}
    person = persons.find(login)
    if person is None:
        return {"exists": False, "uid": None, "gid": None, "home": None}
    return {"exists": True, "uid": person.uid, "gid": person.gid, "home": person.home}


def _program(name: str, root: str, platform: str, directory: str, flag: str) -> Dict[str, Any]:
    if root:
        return {"installed": None, "version": None, "path": None}
    found: Dict[str, Any] = programs.look(name, platform, directory, flag)
    return found


if __name__ == "__main__":
    main()
