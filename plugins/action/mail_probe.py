# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller half of mail_probe: which servers, whose passwords, and which port `auto` comes to (documentation: the module)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from ansible.errors import AnsibleActionFail, AnsiblePromptInterrupt, AnsiblePromptNoninteractive
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.msp.charter_mail.plugins.module_utils.files.payload import pack

from ..plugin_utils.office.endpoints import Endpoint, choose_port, endpoints, shut_ports, with_users
from ..plugin_utils.office.model import Account, Policy, resolve_people
from ..plugin_utils.office.plain import plain

display = Display()


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = True
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            {
                "rows": {"type": "list", "elements": "dict", "required": True},
                "policy": {"type": "dict", "required": True},
                "interceptors": {"type": "list", "elements": "dict", "required": True},
                "timeout": {"type": "int", "default": 20},
                "login": {"type": "bool", "default": False},
            }
        )
        policy, rows = Policy.of(plain(arguments["policy"])), plain(arguments["rows"])
        people = resolve_people(rows, policy)
        wanted = endpoints(people, policy)
        if not wanted:
            return {"changed": False, "endpoints": [], "smtp_port": policy.smtp_port, "smtp_choice": "", "shut": []}
        module_args: dict[str, Any] = {
            "endpoints": [dict(end) for end in wanted],
            "interceptors": plain(arguments["interceptors"]),
            "timeout": arguments["timeout"],
        }
        if arguments["login"]:
            module_args["logins"] = pack({"logins": self._logins([a for person in people for a in person["accounts"]], wanted, task_vars)})
        result: dict[str, Any] = self._execute_module(
            module_name="msp.charter_mail.mail_probe", module_args=module_args, task_vars=task_vars or {}
        )
        result.pop("invocation", None)
        if "endpoints" in result:
            port, choice = choose_port(result["endpoints"], policy)
            chosen = endpoints(resolve_people(rows, dataclasses.replace(policy, smtp_port=port)), policy)
            result["shut"] = shut_ports(result["endpoints"])
            result.update(endpoints=with_users(result["endpoints"], chosen), smtp_port=port, smtp_choice=choice)
        return result

    def _logins(self, accounts: list[Account], wanted: list[Endpoint], task_vars: dict[str, Any] | None) -> list[dict[str, Any]]:
        """Ask for every mailbox's password. Nobody is there to answer in a scheduled run, which is what keeps it out of one."""
        if not self._is_pipelining_enabled("new", False):
            # Else the module, with the passwords in it, is a file on the machine for a moment.
            raise AnsibleActionFail(
                "signing in needs pipelining, so that no password is ever in a file: set pipelining = true below [ssh_connection]"
            )
        machine = (task_vars or {}).get("inventory_hostname", "")
        logins = []
        for account in accounts:
            password = _ask(f"Password of {account['address']}, for a try from {machine} (empty: leave out): ")
            if password:
                servers = [account["incoming"], account["outgoing"]]
                places = [_index(wanted, server["host"], server["port"]) for server in servers]
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
