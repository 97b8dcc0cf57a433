"""What one round trip saves: SSH commands and seconds of mail_files, copy, a template loop and Mitogen, side by side.

    python -m tests.benchmark.bench_files

Starts an sshd of its own on 127.0.0.1 (own host key, own key, own directory) whose forced command counts what is
executed, and ends it by its process id. Fails only when mail_files needs more than one command;
times depend on the machine.
"""

from __future__ import annotations

import contextlib
import getpass
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
PEOPLE = 200
LOOP = 20

MARK = """
import json, time
from ansible.plugins.action import ActionBase
class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    def run(self, tmp=None, task_vars=None):
        with open(self._task.args['log']) as log:
            executed = len(log.readlines())
        with open(self._task.args['to'], 'a') as stream:
            stream.write(json.dumps([self._task.args['name'], executed, time.monotonic()]) + '\\n')
        return {}
"""

TEMPLATE = """# {{ mail_managed_header | default('') }}
defaults
auth on
tls on
{% for account in accounts %}
account {{ account.address }}
host {{ account.outgoing.host }}
port {{ account.outgoing.port }}
from {{ account.address }}
user {{ account.outgoing.username }}
passwordeval {{ account.password_command }}
{% endfor %}
"""


@contextlib.contextmanager
def server(where: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    """An sshd for this user alone. Gives the inventory variables to reach it and the log of executed commands."""
    sshd = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if sshd is None:
        raise FileNotFoundError("sshd is not installed (package openssh-server)")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(where / name)], check=True)
    shutil.copy(where / "user.pub", where / "authorized_keys")
    log = where / "executed"
    log.write_text("")
    wrapper = where / "count"
    wrapper.write_text(f'#!/bin/sh\necho x >> {log}\nexec /bin/sh -c "$SSH_ORIGINAL_COMMAND"\n')
    wrapper.chmod(0o700)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = where / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {where}/host\nAuthorizedKeysFile {where}/authorized_keys\n"
        f"PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        f"Subsystem sftp internal-sftp\nForceCommand {wrapper}\nMaxSessions 50\n"
    )
    separation = Path("/run/sshd")  # an sshd that root starts insists on it
    made = os.geteuid() == 0 and not separation.exists()
    if made:
        separation.mkdir(mode=0o755)
    daemon = subprocess.Popen([sshd, "-D", "-e", "-f", str(config)], stderr=(where / "sshd.log").open("w"))
    try:
        _wait(port, daemon, where / "sshd.log")
        yield (
            {
                "ansible_connection": "ssh",
                "ansible_host": "127.0.0.1",
                "ansible_port": port,
                "ansible_user": getpass.getuser(),
                "ansible_ssh_private_key_file": str(where / "user"),
                "ansible_ssh_common_args": "-F none -o IdentitiesOnly=yes -o StrictHostKeyChecking=no "
                f"-o UserKnownHostsFile={where}/known_hosts",
                "ansible_python_interpreter": sys.executable,
            },
            log,
        )
    finally:
        daemon.terminate()
        daemon.wait(timeout=10)
        if made:
            with contextlib.suppress(OSError):
                separation.rmdir()


def _wait(port: int, daemon: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(100):
        if daemon.poll() is not None:
            raise RuntimeError(f"sshd ended: {log.read_text()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"sshd does not answer: {log.read_text()}")


def people(count: int) -> list[dict[str, Any]]:
    """People with one account each."""
    found = []
    for number in range(count):
        address = f"user{number:03}@example.org"
        account = {
            "address": address,
            "domain": "example.org",
            "programs": ["msmtp"],
            "password_command": f"secret-tool lookup service charter-mail user {address}",
            "outgoing": {"host": "mail.example.org", "port": 587, "username": address},
        }
        found.append({"login": f"user{number:03}", "full_name": "User", "accounts": [account]})
    return found


def measure(
    where: Path, inventory: dict[str, Any], log: Path, tasks: list[tuple[str, dict[str, Any]]], **environment: str
) -> list[tuple[str, int, float]]:
    """Run the tasks over one SSH connection, already open. Returns (name, SSH commands, seconds) of each."""
    (where / "templates").mkdir(exist_ok=True)
    (where / "action_plugins").mkdir(exist_ok=True)
    (where / "templates/rc.j2").write_text(TEMPLATE)
    (where / "action_plugins/mark.py").write_text(MARK)
    (where / "ansible.cfg").write_text("")
    marks = where / "marks"
    marks.unlink(missing_ok=True)

    def mark(name: str) -> dict[str, Any]:
        return {"mark": {"log": str(log), "to": str(marks), "name": name}}

    steps: list[dict[str, Any]] = [{"ansible.builtin.raw": "true"}, mark("")]
    for name, task in tasks:
        steps += [task, mark(name)]
    play = [{"hosts": "all", "gather_facts": False, "tasks": steps}]
    (where / "play.yml").write_text(yaml.safe_dump(play, sort_keys=False))
    (where / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"here": inventory}}}))
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "hosts.yml", "play.yml"],
        cwd=where,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(where / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_HOME": str(where / ".ansible"),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(where / "cp"),
            "ANSIBLE_SSH_ARGS": "-C -o ControlMaster=auto -o ControlPersist=15s",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    points = [yaml.safe_load(line) for line in marks.read_text().splitlines()]
    return [(name, executed - before[1], now - before[2]) for before, (name, executed, now) in zip(points, points[1:], strict=False)]


def mail_files(root: Path, count: int) -> dict[str, Any]:
    return {
        "msp.charter_mail.mail_files": {
            "root": str(root),
            "people": people(count),
            "files": [{"program": "msmtp", "dest": ".msmtprc", "template": "rc.j2"}],
        }
    }


def template_loop(target: Path, count: int) -> dict[str, Any]:
    return {
        "ansible.builtin.template": {"src": "rc.j2", "dest": str(target) + "/{{ item.login }}", "mode": "0600"},
        "loop": people(count),
        "loop_control": {"label": "{{ item.login }}"},
        "vars": {"accounts": "{{ item.accounts }}"},
    }


def mitogen(where: Path, inventory: dict[str, Any], log: Path) -> list[tuple[str, int, float]] | str:
    """The same loop under Mitogen's strategy, or why not."""
    spec = importlib.util.find_spec("ansible_mitogen")
    if spec is None or spec.origin is None:
        return "Mitogen is not installed here, so it is not compared (pip install mitogen)"
    target = where / "mitogen"
    target.mkdir()
    tasks = [
        (f"template loop, {LOOP} files, Mitogen, first", template_loop(target, LOOP)),
        (f"template loop, {LOOP} files, Mitogen, unchanged", template_loop(target, LOOP)),
        (f"mail_files, {PEOPLE} files, Mitogen, unchanged", mail_files(where / "machine", PEOPLE)),
    ]
    plugins = str(Path(spec.origin).parent / "plugins/strategy")
    try:
        return measure(where, inventory, log, tasks, ANSIBLE_STRATEGY="mitogen_linear", ANSIBLE_STRATEGY_PLUGINS=plugins)
    except RuntimeError as error:
        return f"Mitogen does not run here: {str(error).strip().splitlines()[-1]}"


def main() -> int:
    # A short path: the name of an SSH control socket has little room.
    with tempfile.TemporaryDirectory(prefix="bf") as name:
        where = Path(name)
        (where / "loop").mkdir()
        copy = {"ansible.builtin.copy": {"content": "x\n", "dest": str(where / "one"), "mode": "0600"}}
        tasks = [
            (f"mail_files, {PEOPLE} files, first", mail_files(where / "machine", PEOPLE)),
            (f"mail_files, {PEOPLE} files, unchanged", mail_files(where / "machine", PEOPLE)),
            ("copy, 1 file, first", copy),
            ("copy, 1 file, unchanged", copy),
            (f"template loop, {LOOP} files, first", template_loop(where / "loop", LOOP)),
            (f"template loop, {LOOP} files, unchanged", template_loop(where / "loop", LOOP)),
        ]
        with server(where) as (inventory, log):
            rows = measure(where, inventory, log, tasks)
            other = mitogen(where, inventory, log)
    table(rows if isinstance(other, str) else rows + other, rows[2][2])
    note = "Mitogen keeps a Python process on the machine; the one SSH command that starts it is not in its rows."
    print(other if isinstance(other, str) else note)
    if [row[1] for row in rows[:2]] != [1, 1]:
        print("mail_files needed more than one SSH command", file=sys.stderr)
        return 1
    return 0


def table(rows: list[tuple[str, int, float]], unit: float) -> None:
    """Print the rows; the ratio is to one copy of one file."""
    print(f"{'task':45} {'SSH commands':>12} {'seconds':>8} {'x copy of 1':>12} {'ms per file':>12}")
    for name, executed, seconds in rows:
        files = int(next(word for word in name.split() if word.isdigit()))
        print(f"{name:45} {executed:12} {seconds:8.2f} {seconds / unit:12.2f} {seconds / files * 1000:12.1f}")


if __name__ == "__main__":
    sys.exit(main())
