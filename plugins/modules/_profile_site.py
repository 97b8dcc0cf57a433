#!/usr/bin/python
# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The half of M(msp.charter_mail.profile_site) that runs on machines; the one on the controller checks what it is told."""

from __future__ import annotations

DOCUMENTATION = r"""
module: _profile_site
short_description: Internal, what M(msp.charter_mail.profile_site) does on a machine
version_added: 0.1.0
author: charter-mail contributors (!UNKNOWN)
description:
  - Called by the action plugin of M(msp.charter_mail.profile_site) with what that has checked. Not for playbooks.
options:
  payload:
    description: What is to be done, as the action plugin packs it.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Say what is for playbooks
  ansible.builtin.debug:
    msg: msp.charter_mail.profile_site
"""

RETURN = "# As for the module that is for playbooks."

import os
from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.msp.charter_mail.plugins.module_utils.files import payload
from ansible_collections.msp.charter_mail.plugins.module_utils.nginx.serving import Refused, Server


def main() -> None:
    module = AnsibleModule(argument_spec={"payload": {"type": "str", "required": True, "no_log": True}}, supports_check_mode=True)
    data = payload.unpack(module.params["payload"])
    os.umask(0o077)
    if os.geteuid() != 0:
        module.fail_json(msg="root rights are needed: set ansible_become: true for the group profile_server")
    server = Server(module, data)
    try:
        server.check_places()
        if data["state"] == "absent":
            server.remove()
        elif "files" not in data and not module.check_mode and server.wants_profiles():
            module.exit_json(changed=False, send=True)
        else:
            server.serve()
    except Refused as refused:
        module.fail_json(msg=str(refused))
    except OSError as error:
        module.fail_json(msg="%s: %s" % (error.filename, error.strerror) if error.filename else str(error))
    result: Dict[str, Any] = {"changed": server.changed, "files": len(data["names"]), "addresses": server.addresses}
    if module._diff:
        result["diff"] = server.diff
    module.exit_json(**result)


if __name__ == "__main__":
    main()
