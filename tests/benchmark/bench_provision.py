"""What a whole run costs: round trips on an unchanged machine, and time and memory from 1 to 200 mailboxes.

    python tests/benchmark/bench_provision.py

The machine is a folder behind a real sshd on 127.0.0.1 that counts what is executed. Fails only when an unchanged machine costs more
round trips than client roles + 2, or when the SSH commands grow with the mailboxes; times depend on the machine.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from bench_files import ROOT, server

CLIENT_ROLES = 2
COUNTS = (1, 200)
PROGRAMS = "thunderbird msmtp mbsync neomutt aerc"


def office(where: Path, count: int, inventory: dict[str, object]) -> Path:
    """An office of one machine with `count` people."""
    folder = where / f"office{count}"
    folder.mkdir()
    # Pinned, because a version manager's shim on this computer could be found instead.
    host = {**inventory, "mail_root": str(where / f"machine{count}"), "mail_probe": False}
    (folder / "hosts.yml").write_text(yaml.safe_dump({"linux": {"hosts": {"desk": host}}}), encoding="utf-8")
    lines = [f"p{number}@example.org,Person {number},desk,p{number},{PROGRAMS}\n" for number in range(count)]
    (folder / "staff.csv").write_text("address,full_name,machines,login,programs\n" + "".join(lines), encoding="utf-8")
    return folder


def provision(folder: Path, where: Path, log: Path) -> tuple[int, float, float]:
    """SSH commands, seconds, and peak memory (MiB) of the largest controller process of one run."""
    before, start = len(log.read_text().splitlines()), time.monotonic()
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(folder), str(ROOT / "provision-mail.yml")]
    env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_SSH_CONTROL_PATH_DIR": str(where / "cp"), "PWD": str(where)}
    done = subprocess.Popen(command, cwd=where, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output = done.stdout.read() if done.stdout else ""
    _, status, usage = os.wait4(done.pid, 0)
    done.returncode = os.waitstatus_to_exitcode(status)
    if done.returncode:
        raise RuntimeError(output)
    assert "Page: build/office" in output, output
    return len(log.read_text().splitlines()) - before, time.monotonic() - start, usage.ru_maxrss / 1024


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="bp") as name:
        where = Path(name)
        with server(where) as (inventory, log):
            rows = {}
            for count in COUNTS:
                folder = office(where, count, inventory)
                rows[count, "first"] = provision(folder, where, log)
                rows[count, "unchanged"] = provision(folder, where, log)
    print(f"{'provision-mail.yml, 1 machine':32} {'SSH commands':>12} {'seconds':>8} {'peak MiB':>9}")
    for (count, which), (executed, seconds, memory) in rows.items():
        print(f"{f'{count} mailboxes, {which}':32} {executed:12} {seconds:8.2f} {memory:9.0f}")
    for which in ("first", "unchanged"):
        print(f"{COUNTS[0]} -> {COUNTS[1]} mailboxes, {which}: {rows[COUNTS[1], which][1] / rows[COUNTS[0], which][1]:.2f} x the time")
    most = max(executed for executed, _, _ in rows.values())
    # Where the inventory does not say which Python a machine has, Ansible asks once per run.
    print(f"round trips: {most}, and one where Python has to be found; allowed: {CLIENT_ROLES} client roles + 2 = {CLIENT_ROLES + 2}")
    return int(most + 1 > CLIENT_ROLES + 2)


if __name__ == "__main__":
    sys.exit(main())
