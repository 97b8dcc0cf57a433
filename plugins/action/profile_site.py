# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller half of profile_site: check what the office says, read the profiles, send them when the server has others."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.msp.charter_mail.plugins.module_utils.files.payload import pack
from ansible_collections.msp.charter_mail.plugins.module_utils.nginx import site
from ansible_collections.msp.charter_mail.plugins.plugin_utils.handout.links import server_of
from ansible_collections.msp.charter_mail.plugins.plugin_utils.handout.mobile import PROFILES, profile_file
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.identity import file_name
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.plain import plain
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.problem import quoted

_TEXT = {"type": "str", "default": ""}
_ARGUMENTS: dict[str, Any] = {
    "people": {"type": "list", "elements": "dict", "default": []},
    "source": _TEXT,
    "office": {"type": "str", "required": True},
    "url": _TEXT,
    "link_secret": {**_TEXT, "no_log": True},
    "link_until": _TEXT,
    "certificate": _TEXT,
    "key": {**_TEXT, "no_log": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


class ActionModule(ActionBase):
    """See the documentation in the module file of the same name."""

    TRANSFERS_FILES = False
    _requires_connection = True
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _unused, given = self.validate_argument_spec(_ARGUMENTS)
        given = plain(given)
        data: dict[str, Any] = {"office": _plain(file_name(given["office"]), "office"), "state": given["state"], "names": []}
        if given["state"] == "absent":
            return self._ask(data, task_vars)
        data |= _site(given)
        files = self._profiles(given)
        data |= {"names": sorted(files), "digest": site.digest(files)}
        result = self._ask(data, task_vars)
        if result.get("send"):
            data["files"] = {name: base64.b64encode(files[name]).decode() for name in files}
            return self._ask(data, task_vars)
        return result

    def _ask(self, data: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(
            module_name="msp.charter_mail._profile_site", module_args={"payload": pack(data)}, task_vars=task_vars
        )
        result.pop("invocation", None)
        return result

    def _profiles(self, given: Mapping[str, Any]) -> dict[str, bytes]:
        """What is served: by folder and name, the profiles that are handed out."""
        found: dict[str, bytes] = {}
        for person in given["people"]:
            folder = _plain(person["folder"], "folder")
            for kind in PROFILES:
                if kind not in person["devices"]:
                    continue
                name = f"{folder}/{profile_file(folder, kind)}"
                try:
                    found[name] = Path(given["source"], name).read_bytes()
                except OSError as error:
                    # What makes it may have been told to write nothing, too.
                    if not (self._task.check_mode and isinstance(error, FileNotFoundError)):
                        raise AnsibleActionFail(f"{Path(given['source'], name)}: {error.strerror}") from error
        return found


def _plain(name: str, option: str) -> str:
    """The same, once it is known to be the name of one folder."""
    if not site.is_plain(name):
        raise AnsibleActionFail(f"{option}: {quoted(name)} is not the name of a folder; nothing was changed")
    return name


def _site(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the office says, once nothing is wrong with it."""
    where, found = server_of(given)
    if not where:
        # Not in the words of other checks: nginx may have been installed by now.
        raise AnsibleActionFail("the profiles are served as before, for this is wrong:\n" + "\n".join(map(str, found)))
    return {**where._asdict(), "secret": given["link_secret"], "certificate": given["certificate"], "key": given["key"]}
