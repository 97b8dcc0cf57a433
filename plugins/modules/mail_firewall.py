#!/usr/bin/python
# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Let outgoing mail through the machine's own firewall."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mail_firewall
short_description: Let outgoing mail through the firewall that a machine already uses
version_added: 0.1.0
author: charter-mail contributors (!UNKNOWN)
description:
  - Opens TCP ports for outgoing connections that were found shut, where the machine's own firewall stops them, and takes that back again.
  - What the firewall stops or lets out on purpose is not overridden. What it forbids an address, a user or an interface stays forbidden,
    and where it lets out by interface, mark, user or source (a VPN's kill switch) nothing is opened. The message names what was left.
  - A rule that is not understood may stop a port, and is named for that. Nothing is opened past it.
  - Works with the tool that is at work on the machine, the first of C(firewalld), C(ufw) and nftables (C(nft)). Installs
    and starts none. Other rules, and everything about incoming connections, stay as they are.
  - Destinations are not restricted, because addresses of a provider's servers change without notice.
  - Needs root rights.
options:
  ports:
    description: TCP ports that may be open, 1 to 65535. What an earlier run opened and is not among them is closed again.
    type: list
    elements: int
    required: true
  shut:
    description: >-
      Those of them that do not work from here, as RV(msp.charter_mail.mail_probe#module:shut) has them. No others are opened; what an
      earlier run opened stays, as long as it is among O(ports).
    type: list
    elements: int
    default: []
  state:
    description: With V(absent) everything that earlier runs opened is closed again, in every tool.
    type: str
    choices: [present, absent]
    default: present
attributes:
  check_mode:
    description: Says what would be done.
    support: full
  diff_mode:
    description: Shows the ports that are open by our own doing.
    support: full
"""

EXAMPLES = r"""
- name: Let mail out
  msp.charter_mail.mail_firewall:
    ports: [465, 587, 993]
    shut: [587]

- name: Take that back
  msp.charter_mail.mail_firewall:
    ports: [465, 587, 993]
    state: absent
"""

RETURN = r"""
tool:
  description: The tool that is at work on the machine, V(firewalld), V(ufw), V(nftables) or V(none).
  returned: success
  type: str
  sample: nftables
restricted:
  description: Whether outgoing TCP is restricted there, or may be, by something that is not understood or not opened by us.
  returned: success
  type: bool
opened:
  description: Ports that this run opened in the rules at work; in check mode, would open.
  returned: success
  type: list
  elements: int
  sample: [587]
closed:
  description: Ports that an earlier run opened and this run closed; in check mode, would close.
  returned: success
  type: list
  elements: int
message:
  description: One sentence for people. Names what was left as it is, and why.
  returned: success
  type: str
  sample: Opened TCP 587 for outgoing connections in nftables.
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall import egress, host


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "ports": {"type": "list", "elements": "int", "required": True},
            "shut": {"type": "list", "elements": "int", "default": []},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    for name in ("ports", "shut"):
        for port in module.params[name]:
            if not 1 <= port <= 65535:
                module.fail_json(msg="%s: %d is not a port; ports are 1 to 65535." % (name, port))
    ports = module.params["ports"] if module.params["state"] == "present" else []
    if os.geteuid():
        module.fail_json(msg="The firewall can only be read and changed by root; run this with become.")
    try:
        result = egress.settle(host.Host(host.run), ports, module.params["shut"], module.check_mode)
    except host.Failed as error:
        module.fail_json(msg="%s." % error)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
