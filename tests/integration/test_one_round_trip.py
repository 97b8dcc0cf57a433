"""However many people and files: one SSH command."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.benchmark import bench_files


@pytest.mark.skipif(not shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin"), reason="needs sshd (package openssh-server)")
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
