"""The next run tells who has really got the account, from what Thunderbird itself wrote."""

from __future__ import annotations

import fleet


def test_next_run_sees_accounts_that_thunderbird_took_up() -> None:
    box = next(box for box in fleet.MAILBOXES if fleet.uses(box, "thunderbird"))
    fleet.thunderbird(box.machine, box.login)
    shown = fleet.play("provision_mail", "--limit", box.machine)
    assert f"{box.address} {box.machine} thunderbird verified unchanged" in [" ".join(line.split()) for line in shown.splitlines()]
