# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Put together what was found on a machine, on the controller only (documentation: the module of the same name)."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ..plugin_utils.files.comparison import compare
from ..plugin_utils.office.plain import plain
from ..plugin_utils.report import diagnosis


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _unused, arguments = self.validate_argument_spec(
            {
                "people": {"type": "list", "elements": "dict", "default": []},
                "probe": {"type": "dict", "default": {}},
                "stored": {"type": "dict", "default": {}},
                "written": {"type": "dict"},
                "left_out": {"type": "dict", "options": {"platform": {"type": "str"}, "people": {"type": "list", "elements": "str"}}},
                "dir": {"type": "str", "required": True},
            },
            mutually_exclusive=[("left_out", name) for name in ("probe", "stored", "written")],
        )
        given = plain(arguments)
        name = str((task_vars or {}).get("inventory_hostname", ""))
        if given["left_out"] is not None:
            addresses = given["left_out"]["people"] or []
            found = diagnosis.left_out(name, given["left_out"]["platform"] or "", addresses)
            return {"changed": False, "machine": found, "dir": given["dir"]}
        found = diagnosis.machine(
            name,
            [account["address"] for person in given["people"] for account in person["accounts"]],
            probe=given["probe"],
            findings=compare(given["people"], given["stored"].get("accounts", []), given["stored"].get("problems", [])),
            written=given["written"],
            unread=given["stored"].get("problems", []),
        )
        return {"changed": False, "machine": found, "dir": given["dir"]}
