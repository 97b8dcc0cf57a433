#!/usr/bin/python
# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The half of M(msp.charter_mail.mail_facts) that runs on machines; the one on the controller checks what it is told."""

from __future__ import annotations

DOCUMENTATION = r"""
module: _mail_facts
short_description: Internal, what M(msp.charter_mail.mail_facts) does on a machine
version_added: 0.1.0
author: charter-mail contributors (!UNKNOWN)
description:
  - Called by the action plugin of M(msp.charter_mail.mail_facts) with what that has checked. Not for playbooks.
options:
  logins:
    description: Logins to look up.
    type: list
    elements: str
    default: []
  packages:
    description: By program, the command that starts it, with what has it say its version.
    type: dict
    required: true
  directories:
    description: As for M(msp.charter_mail.mail_facts).
    type: dict
    default: {}
  root:
    description: As for M(msp.charter_mail.mail_facts).
    type: str
    default: ""
  platform:
    description: As for M(msp.charter_mail.mail_facts).
    type: str
    choices: [linux, macos, windows]
    default: linux
  probe:
    description: Servers to look at, side by side with the machine.
    type: dict
    suboptions:
      endpoints:
        description: Servers to look at, as the action plugin makes them of the model.
        type: list
        elements: dict
        required: true
      interceptors:
        description: As for M(msp.charter_mail.mail_probe).
        type: list
        elements: dict
        required: true
      timeout:
        description: Seconds for all servers together.
        type: float
        required: true
      logins:
        description: Names and passwords to try, packed.
        type: str
"""

EXAMPLES = r"""
- name: Say what is for playbooks
  ansible.builtin.debug:
    msg: msp.charter_mail.mail_facts
"""

RETURN = "# As for the module that is for playbooks."

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
            # By program, what starts it and has it say its version.
            "packages": {"type": "dict", "required": True},
            "directories": {"type": "dict", "default": {}},
            "root": {"type": "str", "default": ""},
            "platform": {"type": "str", "choices": ["linux", "macos", "windows"], "default": "linux"},
            "probe": {"type": "dict", "options": probe.SPEC},
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
            name: _program(name, root, platform, module.params["directories"].get(name) or "", command)
            for name, command in module.params["packages"].items()
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


def _program(name: str, root: str, platform: str, directory: str, command: str) -> Dict[str, Any]:
    if root:
        return {"installed": None, "version": None, "path": None}
    found: Dict[str, Any] = programs.look(name, platform, directory, command)
    return found


if __name__ == "__main__":
    main()
