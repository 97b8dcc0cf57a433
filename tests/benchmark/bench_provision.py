"""What a whole run costs: round trips to a machine, and time and memory against two pings of every machine.

    python -m tests.benchmark.bench_provision

For the round trips, a folder behind a real sshd on 127.0.0.1 that counts what is executed is the machine. For the time, 50 and 200
machines are folders here; everything is CPU time of the controller and its children, run by run in turn. Fails only when a machine
costs more than two SSH commands; times depend on the computer.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.benchmark.bench_files import ROOT, server

# A look at the machine and its servers, and a write.
ROUND_TRIPS = 2
MAILBOXES = (1, 200)
MACHINES = (50, 200)
PROGRAMS = "thunderbird msmtp mbsync neomutt aerc"
# Servers that are looked at like any others, where nobody answers.
NOBODY = {
    "name": "nobody",
    "title": "Nobody",
    "imap": {"host": "localhost", "port": 1, "security": "tls"},
    "pop": {"host": "localhost", "port": 2, "security": "tls"},
    "smtp": [{"host": "localhost", "port": 3, "security": "starttls"}],
}
PINGS = [{"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.ping": {}}, {"ansible.builtin.ping": {}}]}]


class Cost(NamedTuple):
    """Seconds of CPU, MiB of the largest process."""

    cpu: float
    memory: float


def office(folder: Path, hosts: Mapping[str, Any], people: Mapping[str, list[str]], programs: str = PROGRAMS) -> Path:
    """An office with these machines and their variables. people: logins by machine."""
    folder.mkdir()
    (folder / "group_vars").mkdir()
    settings = {"mail_provider": "nobody", "mail_providers": [NOBODY]}
    (folder / "group_vars/all.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    (folder / "hosts.yml").write_text(yaml.safe_dump({"linux": {"hosts": dict(hosts)}}), encoding="utf-8")
    lines = [f"{login}@example.org,Person {login},{name},{login},{programs}\n" for name, logins in people.items() for login in logins]
    (folder / "staff.csv").write_text("address,full_name,machines,login,programs\n" + "".join(lines), encoding="utf-8")
    return folder


def one_machine(where: Path, count: int, inventory: Mapping[str, Any]) -> Path:
    """An office of one machine over SSH with `count` people."""
    host = {**inventory, "mail_root": str(where / f"machine{count}")}
    return office(where / f"office{count}", {"desk": host}, {"desk": [f"p{number}" for number in range(count)]})


def play(playbook: Path, folder: Path, where: Path) -> Cost:
    """One run, whatever it found. Raises RuntimeError where a machine could not be worked on."""
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(folder), str(playbook)]
    env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_SSH_CONTROL_PATH_DIR": str(where / "cp"), "PWD": str(where)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=where, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(done.stdout)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # Of the largest child that ended until now; runs grow from one to the next.
    return Cost(cpu, after.ru_maxrss / 1024)


def round_trips(where: Path, counts: tuple[int, ...]) -> dict[tuple[int, str], tuple[int, Cost]]:
    """SSH commands of a first and of an unchanged run, by number of mailboxes."""
    with server(where) as (inventory, log):
        found = {}
        for count in counts:
            folder = one_machine(where, count, inventory)
            for which in ("first", "unchanged"):
                before = len(log.read_text().splitlines())
                cost = play(ROOT / "provision-mail.yml", folder, where)
                found[count, which] = len(log.read_text().splitlines()) - before, cost
    return found


def against_pings(where: Path, count: int) -> dict[str, Cost]:
    """Two pings, a first run and an unchanged one, of machines that are folders of this computer."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    names = [f"desk-{number:03}" for number in range(count)]
    hosts = {name: {**local, "mail_root": str(where / f"machines{count}" / name)} for name in names}
    folder = office(where / f"many{count}", hosts, {name: [f"p{number}"] for number, name in enumerate(names)}, "thunderbird")
    (pings := where / "pings.yml").write_text(yaml.safe_dump(PINGS), encoding="utf-8")
    runs = {"two pings": pings, "first": ROOT / "provision-mail.yml", "unchanged": ROOT / "provision-mail.yml"}
    return {name: play(playbook, folder, where) for name, playbook in runs.items()}


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="bp") as name:
        where = Path(name)
        counted = round_trips(where, MAILBOXES)
        compared = {count: against_pings(where, count) for count in MACHINES}
    print(f"{'provision-mail.yml, 1 machine':32} {'SSH commands':>12} {'CPU s':>8} {'peak MiB':>9}")
    for (count, which), (executed, cost) in counted.items():
        print(f"{f'{count} mailboxes, {which}':32} {executed:12} {cost.cpu:8.2f} {cost.memory:9.0f}")
    print(f"{'local machines, one person each':32} {'x two pings':>12} {'CPU s':>8} {'peak MiB':>9}")
    for count, costs in compared.items():
        for which, cost in costs.items():
            ratio = cost.cpu / costs["two pings"].cpu
            print(f"{f'{count} machines, {which}':32} {ratio:12.2f} {cost.cpu:8.2f} {cost.memory:9.0f}")
    most = max(executed for executed, _ in counted.values())
    # Where the inventory does not say which Python a machine has, Ansible asks once per run.
    print(f"round trips: {most}, and one where Python has to be found; allowed: {ROUND_TRIPS}")
    return int(most > ROUND_TRIPS)


if __name__ == "__main__":
    sys.exit(main())
