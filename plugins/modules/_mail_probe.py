#!/usr/bin/python
# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The half of M(msp.charter_mail.mail_probe) that runs on machines; the one on the controller checks what it is told."""

from __future__ import annotations

DOCUMENTATION = r"""
module: _mail_probe
short_description: Internal, what M(msp.charter_mail.mail_probe) does on a machine
version_added: 0.1.0
author: charter-mail contributors (!UNKNOWN)
description:
  - Called by the action plugin of M(msp.charter_mail.mail_probe) with what that has checked. Not for playbooks.
options:
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
    msg: msp.charter_mail.mail_probe
"""

RETURN = "# As for the module that is for playbooks."

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.msp.charter_mail.plugins.module_utils.servers import dialogs, probe


def main() -> None:
    module = AnsibleModule(argument_spec=probe.SPEC, supports_check_mode=True)
    unknown = sorted({str(each.get("service")) for each in module.params["endpoints"]} - set(dialogs.DIALOGS))
    if unknown:
        module.fail_json(msg="endpoints: service %s is none of %s" % (unknown[0], ", ".join(sorted(dialogs.DIALOGS))))
    module.exit_json(changed=False, endpoints=probe.probe(*probe.arguments(module.params)))


if __name__ == "__main__":
    main()
