# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller half of profile_site: check what the office says, read the profiles, send them when the server has others."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.msp.charter_mail.plugins.module_utils.payload import pack
from ansible_collections.msp.charter_mail.plugins.plugin_utils.identity import file_name
from ansible_collections.msp.charter_mail.plugins.plugin_utils.links import server_of
from ansible_collections.msp.charter_mail.plugins.plugin_utils.mobile import PROFILES, profile_file
from ansible_collections.msp.charter_mail.plugins.plugin_utils.plain import plain

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
        _, given = self.validate_argument_spec(_ARGUMENTS)
        given = plain(given)
        data: dict[str, Any] = {"office": file_name(given["office"]), "state": given["state"], "names": []}
        if given["state"] == "absent":
            return self._ask(data, task_vars)
        data |= _site(given)
        files = self._profiles(given)
        content = {name: base64.b64encode(files[name]).decode() for name in files}
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        data |= {"names": sorted(files), "digest": digest}
        result = self._ask(data, task_vars)
        return self._ask({**data, "files": content}, task_vars) if result.get("send") else result

    def _ask(self, data: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(
            module_name="msp.charter_mail.profile_site", module_args={"payload": pack(data)}, task_vars=task_vars
        )
        result.pop("invocation", None)
        return result

    def _profiles(self, given: Mapping[str, Any]) -> dict[str, bytes]:
        """What is served: by folder and name, the profiles that are handed out."""
        found: dict[str, bytes] = {}
        for person in given["people"]:
            folder = person["folder"]
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


def _site(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the office says, once nothing is wrong with it."""
    site, found = server_of(given)
    if not site:
        # Not in the words of other checks: nginx may have been installed by now.
        raise AnsibleActionFail("the profiles are served as before, for this is wrong:\n" + "\n".join(map(str, found)))
    return {**site._asdict(), "secret": given["link_secret"], "certificate": given["certificate"], "key": given["key"]}
