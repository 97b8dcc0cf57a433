# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Write the list of a new office, on the controller (documentation: the module of the same name)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..plugin_utils.office.libraries import missing
from ..plugin_utils.office.new_list import machines_of, workbook
from ..plugin_utils.office.problem import Problem
from ..plugin_utils.office.staff_sheet import read_sheet
from .mobile_files import refuse


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        path = {"type": "path", "default": ""}
        _unused, arguments = self.validate_argument_spec({"dest": {"type": "path", "required": True}, "source": path, "machines": path})
        problems = missing("xlsxwriter")
        rows: list[dict[str, str]] = []
        notes: list[str] = []
        if arguments["source"]:
            rows, found, notes = read_sheet(*_read(arguments["source"], problems))
            problems += found
        machines: dict[str, list[str]] = {}
        if arguments["machines"]:
            machines, wrong = machines_of(*_read(arguments["machines"], problems))
            problems += wrong
        refuse(problems, "nothing was written")
        try:
            with Path(arguments["dest"]).open("xb") as stream:
                stream.write(workbook(rows))
        except OSError as error:
            raise AnsibleActionFail(f"{arguments['dest']}: {error.strerror}") from error
        known = {platform or "unknown": names for platform, names in machines.items()}
        return {"changed": True, "people": len(rows), "machines": known, "notes": notes}


def _read(name: str, problems: list[Problem]) -> tuple[bytes, str]:
    path = Path(name)
    try:
        return path.read_bytes(), path.name
    except OSError as error:
        problems.append(Problem(path.name, what=f"cannot be read: {error.strerror}"))
        return b"address,full_name\n", "list.csv"
