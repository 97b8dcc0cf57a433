# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller half of mail_probe: which servers, whose passwords, and which port `auto` comes to (documentation: the module)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible.errors import AnsibleActionFail, AnsiblePromptInterrupt, AnsiblePromptNoninteractive
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.files.payload import pack
from ..plugin_utils.office.endpoints import Endpoint, Look
from ..plugin_utils.office.plain import plain
from ..plugin_utils.office.policy import Policy

display = Display()


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = True
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _unused, arguments = self.validate_argument_spec(
            {
                "rows": {"type": "list", "elements": "dict", "required": True},
                "policy": {"type": "dict", "required": True},
                "interceptors": {"type": "list", "elements": "dict", "required": True},
                "timeout": {"type": "int", "default": 20},
                "login": {"type": "bool", "default": False},
            }
        )
        look = Look(plain(arguments["rows"]), Policy.of(plain(arguments["policy"])))
        if not look.endpoints:
            return {"changed": False, **look.result([])}
        asked = module_args(self, look, plain(arguments), task_vars or {})
        result: dict[str, Any] = self._execute_module(
            module_name="msp.charter_mail._mail_probe", module_args=asked, task_vars=task_vars or {}
        )
        result.pop("invocation", None)
        if "endpoints" in result:
            result |= look.result(result["endpoints"])
        return result


def module_args(action: ActionBase, look: Look, options: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
    """What the module on the machine is told. options: interceptors, timeout, login. Raises AnsibleActionFail."""
    given: dict[str, Any] = {
        "endpoints": [dict(end) for end in look.endpoints],
        "interceptors": options["interceptors"],
        "timeout": options["timeout"],
    }
    if options["login"]:
        if not action._is_pipelining_enabled("new", False):
            # Else the module, with the passwords in it, is a file on the machine for a moment.
            raise AnsibleActionFail(
                "signing in needs pipelining, so that no password is ever in a file: set pipelining = true below [ssh_connection]"
            )
        given["logins"] = pack({"logins": _logins(look, task_vars.get("inventory_hostname", ""))})
    return given


def _logins(look: Look, machine: str) -> list[dict[str, Any]]:
    """Ask for every mailbox's password. Nobody is there to answer in a scheduled run, which is what keeps it out of one."""
    logins = []
    for account in [account for person in look.people for account in person["accounts"]]:
        password = _ask(f"Password of {account['address']}, for a try from {machine} (empty: leave out): ")
        if password:
            servers = [account["incoming"], account["outgoing"]]
            places = [_index(look.endpoints, server["host"], server["port"]) for server in servers]
            logins.append({"username": account["incoming"]["username"], "password": password, "endpoints": places})
    return logins


def _index(wanted: Iterable[Endpoint], host: str, port: int) -> int:
    return next(number for number, end in enumerate(wanted) if (end["host"], end["port"]) == (host, port))


def _ask(question: str) -> str:
    try:
        answer = display.prompt_until(question, private=True)
    except (AnsiblePromptNoninteractive, AnsiblePromptInterrupt) as error:
        raise AnsibleActionFail(
            "mail_login_test asks for passwords, so it needs a terminal; it is never done in a scheduled run"
        ) from error
    return bytes(answer).decode("utf-8").rstrip("\r\n")
