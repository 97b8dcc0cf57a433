"""Run the project's playbooks as a technician does, for tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent

# A machine of an office in a test: a folder below `root`, no other computer.
LOCAL = """\
  vars:
    ansible_connection: local
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
"""


class Run(NamedTuple):
    code: int
    out: str
    cwd: Path

    @property
    def document(self) -> dict[str, Any]:
        """What is remembered of the one office that was worked on from this folder."""
        (path,) = self.cwd.glob("build/office/*/office.json")
        found: dict[str, Any] = json.loads(path.read_bytes())
        return found

    def place(self, address: str, machine: str, program: str) -> tuple[str, str]:
        """How a mailbox stands in a program of a machine, and what the run did there."""
        places = [place for person in self.document["people"] for place in person["places"]]
        (found,) = [place for place in places if (place["address"], place["machine"], place["program"]) == (address, machine, program)]
        return found["state"], found["did"]

    def row(self, *words: str) -> str:
        """The one line of the output that has all these words."""
        lines = [line for line in self.out.splitlines() if all(word in line for word in words)]
        assert len(lines) == 1, (words, lines, self.out)
        return lines[0]


def command(*arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Run:
    """Run a command of the environment that runs the tests, in the test's own folder; a deprecation warning is a failure."""
    cwd = cwd or Path.cwd()
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = ("ANSIBLE_", "CHARTER_MAIL_", "OFFICE", "ARGS", "MAKE")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(own)}
    environment |= {
        "PATH": path,
        "PWD": str(cwd),
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        # With the tasks and the recap; what people see without is for tests of its own.
        "CHARTER_MAIL_ANSIBLE_OUTPUT": "1",
        "_ANSIBLE_TEMPLAR_UNTRUSTED_TEMPLATE_BEHAVIOR": "warning",
        **(env or {}),
    }
    done = subprocess.run(
        [*map(str, arguments)], cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert "[DEPRECATION WARNING]" not in done.stdout, done.stdout
    return Run(done.returncode, done.stdout, cwd)


def play(playbook: str, *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Run:
    return command("ansible-playbook", ROOT / playbook, *arguments, cwd=cwd, env=env)


def write_office(folder: Path, sheet: str | bytes, hosts: str, settings: str = "") -> Path:
    """An office below `folder`; hosts: the machines of group linux, separated by blanks, each a folder beside the office."""
    (folder / "group_vars").mkdir(parents=True, exist_ok=True)
    machines = "".join(f"    {name}:\n" for name in hosts.split())
    root = '    mail_root: "{{ inventory_dir }}.machines/{{ inventory_hostname }}"\n'
    (folder / "hosts.yml").write_text(f"linux:\n  hosts:\n{machines}{LOCAL}{root}", encoding="utf-8")
    (folder / "staff.csv").write_bytes(sheet if isinstance(sheet, bytes) else sheet.encode())
    # A test looks at no server but its own.
    probe = "" if "mail_probe" in settings else "mail_probe: false\n"
    (folder / "group_vars/all.yml").write_text(settings + probe, encoding="utf-8")
    return folder


def copy_project(folder: Path) -> Path:
    """The files of the project and nothing else that lies in the clone, in `folder`."""
    for name in command("git", "ls-files", "-co", "--exclude-standard", cwd=ROOT).out.splitlines():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).exists():
            shutil.copy2(ROOT / name, target, follow_symlinks=False)
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
