# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Put together what was found on a machine, on the controller only (documentation: the module of the same name)."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ..plugin_utils import diagnosis
from ..plugin_utils.comparison import compare
from ..plugin_utils.plain import plain


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "people": {"type": "list", "elements": "dict", "required": True},
                "probe": {"type": "dict", "required": True},
                "stored": {"type": "dict", "required": True},
                "files": {"type": "list", "elements": "dict", "required": True},
                "dir": {"type": "str", "required": True},
            }
        )
        given = plain(arguments)
        found = diagnosis.machine(
            str((task_vars or {}).get("inventory_hostname", "")),
            [account["address"] for person in given["people"] for account in person["accounts"]],
            probe=given["probe"],
            findings=compare(given["people"], given["stored"].get("accounts", []), given["stored"].get("problems", [])),
            files=given["files"],
            unread=given["stored"].get("problems", []),
        )
        return {"changed": False, "machine": found, "dir": given["dir"]}
