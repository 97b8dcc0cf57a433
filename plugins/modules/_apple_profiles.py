#!/usr/bin/python
# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The half of M(msp.charter_mail.apple_profiles) that runs on machines; the one on the controller checks what it is told."""

from __future__ import annotations

DOCUMENTATION = r"""
module: _apple_profiles
short_description: Internal, what M(msp.charter_mail.apple_profiles) does on a machine
version_added: 0.1.0
author: charter-mail contributors (!UNKNOWN)
description:
  - Called by the action plugin of M(msp.charter_mail.apple_profiles) with what that has checked. Not for playbooks.
options:
  payload:
    description: What is to be done, as the action plugin packs it.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Say what is for playbooks
  ansible.builtin.debug:
    msg: msp.charter_mail.apple_profiles
"""

RETURN = "# As for the module that is for playbooks."

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.msp.charter_mail.plugins.module_utils.files import payload, store, units
from ansible_collections.msp.charter_mail.plugins.module_utils.mac import profiles


def main() -> None:
    module = AnsibleModule(argument_spec={"payload": {"type": "str", "required": True, "no_log": True}}, supports_check_mode=True)
    data = payload.unpack(module.params["payload"])
    options = profiles.Options(
        root=data["root"],
        absent=data["state"] == "absent",
        open=data["open"],
        remove_pop=data["remove_pop"],
        check=module.check_mode,
    )
    try:
        mac = profiles.Mac(options)
        mac.work(data["people"])
    except store.StoreError as error:
        module.fail_json(msg=units.printable(str(error)), people=[])
    module.exit_json(changed=mac.changed, people=mac.people)


if __name__ == "__main__":
    main()
