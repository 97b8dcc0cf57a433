"""What a look at the servers costs: three at once against one alone, fifty machines with a dead server, memory under hostile servers.

    python -m tests.benchmark.bench_probe

Servers are doubles on loopback that answer after a delay, as over a line. Fails when three servers take more than 1.3 times the slowest of
them, when dead servers cost fifty machines more than rounds x timeout, or when the probe takes 50 MB; times depend on the machine.
"""

from __future__ import annotations

import contextlib
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "collections")]

from tests.integration.test_mail_probe import HOSTILE, end, in_a_process  # noqa: E402  # the path comes first
from tests.mail_servers import IMAP, Authority, Smtp, scripted, serve, silent, tls  # noqa: E402

DELAY = 0.08  # seconds before each answer
ROUNDS = 5
MACHINES, FORKS, TIMEOUT = 50, 25, 8


def healthy(where: Path, context: Any) -> bool:
    """Three servers of a healthy machine, at once and each alone."""
    servers = [
        (tls(context, scripted("* OK hello", IMAP, DELAY)), "imap", "tls"),
        (Smtp(context, delay=DELAY), "smtp", "starttls"),
        (tls(context, Smtp(delay=DELAY).inside), "smtp", "tls"),
    ]
    with contextlib.ExitStack() as stack:
        ends = [end(stack.enter_context(serve(talk)), service, security) for talk, service, security in servers]
        times: dict[int, list[float]] = {}
        for _ in range(ROUNDS):
            for number, some in enumerate([ends, *([each] for each in ends)]):
                results, _memory, took = in_a_process(sys.executable, some, where)
                assert all(result["verdict"] == "ok" for result in results), results
                times.setdefault(number, []).append(took)
    together, *alone = (statistics.median(times[number]) for number in sorted(times))
    print(f"{'3 servers of a healthy machine, one process':44} {together:6.2f} s")
    for (_talk, service, security), seconds in zip(servers, alone, strict=True):
        print(f"{f'  {service} {security} alone':44} {seconds:6.2f} s")
    ratio = together / max(alone)
    print(f"{'together / slowest alone':44} {ratio:6.2f} x (allowed: 1.3)")
    return ratio <= 1.3


def office(where: Path, name: str, imap: int, smtp: int) -> Path:
    """Fifty machines, which are folders here, with one person each."""
    folder = where / name
    (folder / "group_vars").mkdir(parents=True)
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "mail_root": str(where / "machine")}
    hosts = {f"desk-{number:02}": None for number in range(MACHINES)}
    (folder / "hosts.yml").write_text(yaml.safe_dump({"linux": {"hosts": hosts, "vars": here}}), encoding="utf-8")
    servers = {
        "imap": {"host": "localhost", "port": imap, "security": "tls"},
        "pop": {"host": "localhost", "port": imap, "security": "tls"},
        "smtp": [{"host": "localhost", "port": smtp, "security": "tls"}],
    }
    authority = {"product": "the benchmark's own authority", "issuer": ["Test CA"], "ours": True}
    settings = {"mail_provider": "own", "mail_providers": [{"name": "own", **servers}], "reachability_timeout": TIMEOUT}
    settings["reachability_interceptors"] = [authority]
    (folder / "group_vars/all.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    rows = [f"p{number}@example.org,P {number},desk-{number:02},p{number}\n" for number in range(MACHINES)]
    (folder / "staff.csv").write_text("address,full_name,machines,login\n" + "".join(rows), encoding="utf-8")
    return folder


def run(folder: Path) -> tuple[float, str]:
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(folder), "--forks", str(FORKS), "--tags", "reachability"]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "PWD": str(folder.parent)}
    start = time.monotonic()
    command.append(str(ROOT / "provision-mail.yml"))
    done = subprocess.run(command, cwd=folder.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return time.monotonic() - start, done.stdout


def fleet(where: Path, context: Any) -> bool:
    """Fifty machines, all well, and then with one dead server each."""
    with serve(tls(context, scripted("* OK hello", IMAP))) as imap, serve(tls(context, Smtp().inside)) as smtp, silent() as dead:
        well, _ = run(office(where, "well", imap, smtp))
        slow, shown = run(office(where, "dead", imap, dead))
    assert shown.count("cannot send: No answer from localhost") == MACHINES, shown
    most = math.ceil(MACHINES / FORKS) * TIMEOUT
    print(f"{f'{MACHINES} machines, {FORKS} forks, all well':44} {well:6.1f} s")
    print(f"{'  with one dead server each':44} {slow:6.1f} s, {slow - well:.1f} s more (allowed: rounds x timeout = {most} s)")
    return slow - well <= most


def hostile(where: Path) -> bool:
    """Every kind of hostile server at once."""
    with contextlib.ExitStack() as stack:
        cases = [(talk, service, security) for talk in HOSTILE for service in ("smtp", "imap", "pop") for security in ("tls", "starttls")]
        ends = [end(stack.enter_context(serve(talk)), service, security) for talk, service, security in cases]
        _results, memory, took = in_a_process(sys.executable, ends, where)
    print(f"{f'{len(ends)} hostile servers at once':44} {took:6.1f} s, peak {memory / 1024:.0f} MiB (allowed: 50 MB)")
    return memory * 1024 < 50_000_000


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="bq") as name:
        where = Path(name)
        authority = Authority(where)
        os.environ["SSL_CERT_FILE"] = str(authority.pem)
        context = authority.context()
        passed = [healthy(where, context), hostile(where), fleet(where, context)]
    return int(not all(passed))


if __name__ == "__main__":
    sys.exit(main())
