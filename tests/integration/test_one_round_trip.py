"""However many people and files: one SSH command; a whole run, with its look at the servers: two."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.benchmark import bench_files, bench_provision

pytestmark = pytest.mark.skipif(
    not shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin"), reason="needs sshd (package openssh-server)"
)


def test_one_ssh_command_for_all_files() -> None:
    with tempfile.TemporaryDirectory(prefix="bf") as name:  # a short path, for the SSH control socket
        where = Path(name)
        with bench_files.server(where) as (inventory, log):
            one = ("1", bench_files.mail_files(where / "machine", 1))
            many = ("50", bench_files.mail_files(where / "machine", 50))
            copy = {"ansible.builtin.copy": {"content": "x", "dest": str(where / "x"), "mode": "0600"}}
            rows = bench_files.measure(where, inventory, log, [one, many, ("copy", copy)])
    executed = {name: count for name, count, _seconds in rows}
    assert executed["1"] == executed["50"] == 1
    assert executed["copy"] > 1, "the counter counts"


def test_a_run_costs_a_look_and_a_write() -> None:
    with tempfile.TemporaryDirectory(prefix="bp") as name:
        found = bench_provision.round_trips(Path(name), (1, 20))
    assert {key: executed for key, (executed, _) in found.items()} == {
        (count, which): bench_provision.ROUND_TRIPS for count in (1, 20) for which in ("first", "unchanged")
    }
