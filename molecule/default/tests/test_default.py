"""The next run tells who has really got the account, from what Thunderbird itself wrote."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import fleet

PROVISION = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"], "provision-mail.yml")


def test_next_run_sees_accounts_that_thunderbird_took_up() -> None:
    box = next(box for box in fleet.MAILBOXES if fleet.uses(box, "thunderbird"))
    fleet.thunderbird(box.machine, box.login)
    command = ["ansible-playbook", "--inventory", str(fleet.SCENARIO / "inventory"), "--limit", box.machine, str(PROVISION)]
    environment = {**os.environ, "ANSIBLE_FORCE_COLOR": "0"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert f"{box.address} {box.machine} thunderbird verified unchanged" in [" ".join(line.split()) for line in run.stdout.splitlines()]
