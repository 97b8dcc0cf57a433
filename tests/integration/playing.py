"""Run a real ansible-playbook on this machine and look at what it did.

One start of ansible-playbook takes seconds, so a test puts many steps into one play: tasks of the collection, and shell
steps that run on the controller without a module (action plugin ``step``) between them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent

STEP = """
import json, os, subprocess
from ansible.plugins.action import ActionBase
class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    def run(self, tmp=None, task_vars=None):
        args = self._task.args
        if 'save' in args:
            with open(args['to'], 'w') as stream:
                json.dump(args['save'], stream)
            return {}
        done = subprocess.run(['sh', '-ec', str(args['sh'])], capture_output=True, text=True)
        return {'failed': done.returncode != 0, 'out': done.stdout, 'msg': done.stderr}
"""


class Unsafe(str):
    """Text that is never a template, as the inventory plugin hands it over; written with the tag !unsafe."""


yaml.SafeDumper.add_representer(Unsafe, lambda dumper, data: dumper.represent_scalar("!unsafe", str(data), style='"'))


class Play:
    """A project directory with templates, and its results."""

    def __init__(self, where: Path) -> None:
        self.where = where
        (where / "templates").mkdir(parents=True)
        (where / "action_plugins").mkdir()
        (where / "action_plugins/step.py").write_text(STEP)
        (where / "ansible.cfg").write_text("")  # nobody's own settings
        self.output = ""
        self.code = 0

    def template(self, name: str, text: str) -> None:
        (self.where / "templates" / name).write_bytes(text.encode())

    def run(
        self,
        tasks: list[dict[str, Any]],
        *options: str,
        variables: dict[str, Any] | None = None,
        environment: dict[str, str] | None = None,
        wrap: list[str] | None = None,
    ) -> dict[str, Any]:
        """Run the tasks; a task with ``register`` is in what comes back. Tasks go on after a failure."""
        names = [task["register"] for task in tasks if "register" in task]
        saved = self.where / "results.json"
        saved.unlink(missing_ok=True)
        play = {
            "hosts": "localhost",
            "gather_facts": False,
            "vars": variables or {},
            "tasks": [
                *({"ignore_errors": True, **task} if "register" in task else task for task in tasks),
                {"step": {"to": str(saved), "save": {n: f"{{{{ {n} }}}}" for n in names}}, "no_log": True},
            ],
        }
        (self.where / "site.yml").write_text(yaml.safe_dump([play], sort_keys=False, allow_unicode=True))
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local"]
        done = subprocess.run(
            [*(wrap or []), *command, "site.yml", *options],
            cwd=self.where,
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(self.where / "ansible.cfg"),
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
                "ANSIBLE_HOME": str(self.where / ".ansible"),
                "ANSIBLE_INJECT_FACT_VARS": "false",
                "ANSIBLE_PIPELINING": "true",
                "ANSIBLE_PYTHON_INTERPRETER": os.environ.get("TARGET_PYTHON", sys.executable),
                "_ANSIBLE_TEMPLAR_UNTRUSTED_TEMPLATE_BEHAVIOR": "warning",
                **(environment or {}),
            },
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )
        self.output = done.stdout + done.stderr
        self.code = done.returncode
        assert "DEPRECATION" not in self.output, self.output
        assert saved.exists(), self.output
        results: dict[str, Any] = json.loads(saved.read_text())
        return results


def account(address: str, *programs: str, **more: Any) -> dict[str, Any]:
    local, _, domain = address.partition("@")
    return {"address": address, "local_part": local, "domain": domain, "programs": list(programs), **more}


def states(result: dict[str, Any]) -> dict[str, str]:
    """dest -> state"""
    return {outcome["dest"]: outcome["state"] for outcome in result["files"]}
