# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller half of apple_profiles: read the profiles that were handed out and run the module once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.msp.charter_mail.plugins.module_utils.files.payload import pack
from ansible_collections.msp.charter_mail.plugins.module_utils.mac import answer
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.plain import plain

_ARGUMENTS: dict[str, Any] = {
    "people": {"type": "list", "elements": "dict", "required": True},
    "files": {"type": "list", "elements": "dict", "default": []},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "open": {"type": "bool", "default": False},
    "remove_pop": {"type": "bool", "default": False},
    "root": {"type": "str", "default": ""},
}
# What mail_files says of a file that is there as it should be.
_IN_PLACE = ("created", "unchanged", "pending", "drift", "conflict", "missing")


class ActionModule(ActionBase):
    """See the documentation in the module file of the same name."""

    TRANSFERS_FILES = False
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _unused, given = self.validate_argument_spec(_ARGUMENTS)
        given = plain(given)
        places = _places(given.pop("files"))
        problems: list[str] = []
        people = []
        for person in given.pop("people"):
            wanted = None
            try:
                if given["state"] == "present":
                    wanted = answer.read(Path(person["profile"]).read_bytes())
            except answer.NotUnderstood as error:
                problems.append(f"{person['profile']}: {error}")
            except OSError as error:
                # What makes it may have been told to write nothing, too.
                if not (self._task.check_mode and isinstance(error, FileNotFoundError)):
                    problems.append(f"{person['profile']}: {error.strerror}")
            addresses = sorted(person["addresses"])
            people.append({"login": person["login"], "addresses": addresses, "wanted": wanted, "file": places.get(tuple(addresses), "")})
        if problems:
            raise AnsibleActionFail("\n".join(problems[:20]))
        data = {**given, "root": given["root"].rstrip("/"), "people": people}
        result: dict[str, Any] = self._execute_module(
            module_name="msp.charter_mail._apple_profiles", module_args={"payload": pack(data)}, task_vars=task_vars
        )
        result.pop("invocation", None)
        return result


def _places(files: Iterable[Mapping[str, Any]]) -> dict[tuple[str, ...], str]:
    """Where each person's file is, by the person's addresses."""
    return {tuple(file["people"]): file["dest"] for file in files if file["state"] in _IN_PLACE}
