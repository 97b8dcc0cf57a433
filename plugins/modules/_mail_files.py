#!/usr/bin/python
# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The half of M(msp.charter_mail.mail_files) that runs on machines; the one on the controller checks what it is told."""

from __future__ import annotations

DOCUMENTATION = r"""
module: _mail_files
short_description: Internal, what M(msp.charter_mail.mail_files) does on a machine
version_added: 0.1.0
author: charter-mail contributors (!UNKNOWN)
description:
  - Called by the action plugin of M(msp.charter_mail.mail_files) with what that has checked. Not for playbooks.
options:
  payload:
    description: What is to be done, as the action plugin packs it.
    type: str
    required: true
  secrets:
    description: As for M(msp.charter_mail.mail_files).
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Say what is for playbooks
  ansible.builtin.debug:
    msg: msp.charter_mail.mail_files
"""

RETURN = "# As for the module that is for playbooks."

import os
from typing import Any, Dict, List

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.msp.charter_mail.plugins.module_utils.files import machine, payload, store, units
from ansible_collections.msp.charter_mail.plugins.module_utils.stored import find


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "payload": {"type": "str", "required": True, "no_log": True},
            "secrets": {"type": "list", "elements": "str", "default": [], "no_log": True},
        },
        supports_check_mode=True,
    )
    os.umask(0o077)
    data = payload.unpack(module.params["payload"])
    options = machine.Options(
        programs=data["programs"],
        root=data["root"],
        platform=data["platform"],
        take_over=data["take_over"],
        backups=data["backups"],
        check=module.check_mode,
        diff=module._diff,
        secrets=module.params["secrets"],
        remember=data["remember"],
        people=data["people"],
    )
    files: List[Dict[str, Any]] = []
    try:
        run = machine.Machine(options, files)
        run.apply(data["files"])
        stored = find.look(run.answering(data["evidence"]), data["evidence"], options.root, options.platform)
    except store.StoreError as error:
        module.fail_json(msg=units.printable(str(error)), changed=any(outcome["changed"] for outcome in files), files=files)
    result = {
        "changed": any(outcome["changed"] for outcome in run.files),
        "files": run.files,
        "stored": stored,
    }
    if options.diff:
        result["diff"] = run.diff
    wrong = [outcome for outcome in run.files if outcome["state"] in ("refused", "failed", "no_login")]
    if wrong:
        lines = ["%s (%s): %s" % (bad["dest"], bad["state"], bad.get("message", "")) for bad in wrong]
        count = "%d of %d files were not written" % (len(wrong), len(run.files))
        module.fail_json(msg="%s: %s" % (count, "; ".join(lines)), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
