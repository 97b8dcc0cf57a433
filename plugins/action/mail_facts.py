# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller half of mail_facts: which programs, which servers, and what comes of the look at them (documentation: the module)."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ..plugin_utils.office.endpoints import Look
from ..plugin_utils.office.plain import plain
from ..plugin_utils.office.policy import Policy
from ..plugin_utils.office.programs import PROGRAMS
from .mail_probe import module_args


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = True
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        servers = {
            "interceptors": {"type": "list", "elements": "dict", "required": True},
            "timeout": {"type": "int", "default": 20},
            "login": {"type": "bool", "default": False},
            "require": {"type": "bool", "default": False},
        }
        _unused, arguments = self.validate_argument_spec(
            {
                "logins": {"type": "list", "elements": "str", "default": []},
                "rows": {"type": "list", "elements": "dict"},
                "policy": {"type": "dict"},
                "packages": {"type": "list", "elements": "str", "choices": [*PROGRAMS], "default": [*PROGRAMS]},
                "directories": {"type": "dict", "default": {}},
                "root": {"type": "str", "default": ""},
                "platform": {"type": "str", "choices": ["linux", "macos", "windows"], "default": "linux"},
                "servers": {"type": "dict", "options": servers},
            },
            required_together=[("rows", "policy")],
            required_by={"servers": ["rows"]},
        )
        given = plain(arguments)
        rows, policy, asked = (given.pop(name) for name in ("rows", "policy", "servers"))
        packages = {name: PROGRAMS[name].command for name in given.pop("packages")}
        look = None if rows is None else Look(rows, Policy.of(policy))
        given["logins"] += [person["login"] for person in look.people] if look else []
        probe = module_args(self, look, asked, task_vars or {}) if look and asked and look.endpoints else None
        result: dict[str, Any] = self._execute_module(
            module_name="msp.charter_mail._mail_facts",
            module_args={**given, "packages": packages, **({"probe": probe} if probe else {})},
            task_vars=task_vars or {},
        )
        result.pop("invocation", None)
        if look and not result.get("failed"):
            # Only the machine knows who was first there, and which port `auto` came to last: both stay where nothing says otherwise.
            last = result["remembered"]
            known = {"auto_smtp_port": last.get("smtp_port", ""), "primaries": last.get("primaries", {})}
            result["probe"] = Look(rows, Policy.of({**policy, **known})).result(result.pop("endpoints", []))
            if asked and asked["require"] and (faults := _faults(result["probe"]["endpoints"])):
                kept = "mail_require_reachable is set, so the mail settings on this machine stay as they are."
                # Ansible prints the whole result of what failed: the sentence alone is for people.
                return {"failed": True, "changed": False, "msg": " ".join([*faults, kept])}
        return result


def _faults(endpoints: list[dict[str, Any]]) -> list[str]:
    """What is wrong with servers that somebody on the machine needs."""
    return [end["advice"] for end in endpoints if end["endpoint"]["needed"] and end["verdict"] != "ok"]
