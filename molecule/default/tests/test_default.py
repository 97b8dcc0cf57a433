"""The next run tells who has really got the account, from what Thunderbird itself wrote."""

from __future__ import annotations

import json

import fleet
import pytest


def test_next_run_sees_accounts_that_thunderbird_took_up() -> None:
    box = next(box for box in fleet.MAILBOXES if fleet.uses(box, "thunderbird"))
    fleet.thunderbird(box.machine, box.login)
    fleet.play("provision_mail", "--limit", box.machine)
    assert fleet.place(box.machine, box.address, "thunderbird") == ("verified", "unchanged")


@pytest.mark.parametrize("sandboxed", [False, True])
def test_a_program_that_is_not_there_is_said_and_is_no_success(sandboxed: bool) -> None:
    box = next(box for box in fleet.MAILBOXES if fleet.uses(box, "thunderbird"))
    snap = "mkdir -p /snap/thunderbird && ln -s 42 /snap/thunderbird/current" if sandboxed else "true"
    sudo = fleet.machine(box.machine).check_output
    sudo(f"sudo sh -c 'mv /usr/lib/thunderbird/application.ini /usr/bin/msmtp /var/tmp && {snap}'")
    try:
        told = fleet.told(fleet.play("provision_mail", "--limit", box.machine, code=2))
    finally:
        sudo("sudo sh -c 'mv /var/tmp/application.ini /usr/lib/thunderbird; mv /var/tmp/msmtp /usr/bin; rm -rf /snap/thunderbird'")
    state = "out of reach" if sandboxed else "not installed"
    assert fleet.place(box.machine, box.address, "thunderbird")[0] == state
    assert fleet.place(box.machine, box.address, "msmtp")[0] == "not installed"
    assert "smtp is not installed; install it, then run again" in told


# Makes of the account that is ours in a profile one that the person might have made by hand, years ago: no mark on it, no TLS. Reads
# [address, port, socket] and prints the profile's file.
BY_HAND = r"""
import glob, json, re, sys
address, port, socket = json.load(sys.stdin)
(path,) = [path for path in glob.glob(".thunderbird/*/prefs.js") if address in open(path).read()]
lines = [line for line in open(path).read().splitlines() if "charter_mail." not in line]
key = next(re.search(r"server_(charter_\w+)\.userName", line)[1] for line in lines if "userName" in line and address in line)
text = "\n".join(lines).replace(f"account_{key}", "account77").replace(f"server_{key}", "server77")
text = text.replace(f"id_{key}", "id77").replace(f"smtp_{key}", "smtp77")
for name, value in (("port", port), ("socketType", socket)):
    text = re.sub(rf'("mail.server.server77.{name}", )\d+', rf"\g<1>{value}", text)
assert key + "." not in text
open(path, "w").write(text + "\n")
print(path)
"""


@pytest.mark.parametrize("machine", sorted({box.machine for box in fleet.MAILBOXES}))
def test_an_own_account_without_tls_is_told_and_taken_over_when_the_office_says_so(machine: str) -> None:
    """The last test of a machine: its Thunderbird has the account as an own one from here on."""
    box = next(box for box in fleet.MAILBOXES if box.machine == machine and fleet.uses(box, "thunderbird"))
    fleet.thunderbird(box.machine, box.login)
    fleet.run(box, "cat >/tmp/by_hand.py", BY_HAND)
    profile = fleet.run(box, "python3 /tmp/by_hand.py", json.dumps([box.address, 143, 0])).strip()

    line = fleet.told(fleet.play("provision_mail", "--limit", box.machine, code=2))
    assert f"{profile}: Thunderbird receives from {box.incoming[0]} port 143 without TLS; it should be port 993 with TLS" in line
    assert "choose Connection security SSL/TLS and Port 993" in line and "thunderbird_adopt" in line

    # Thunderbird keeps the one of the two that was there, so ours is not put in beside it.
    listed = [account for account in fleet.ask_thunderbird(box.machine, box.login)["accounts"] if account["user"] == box.address]
    assert [(account["key"], account["port"], account["socket"]) for account in listed] == [("account77", 143, 0)]

    fleet.play("provision_mail", "--limit", box.machine, "-e", "thunderbird_adopt=true")
    line = fleet.subject()
    fleet.post(box, line)
    with fleet.let_in(box), fleet.took_in(box):
        answer = fleet.ask_thunderbird(
            box.machine, box.login, passwords={box.address: box.password}, send_to=box.address, subject=fleet.subject()
        )
    (mine,) = [account for account in answer["accounts"] if account["user"] == box.address]
    assert (mine["key"], mine["host"], mine["port"], mine["socket"]) == ("account77", box.incoming[0], 993, 3)
    assert answer["logins"][box.address]["status"] == 0 and answer["sent"][box.address] == 0
    fleet.play("provision_mail", "--limit", box.machine, "-e", "thunderbird_adopt=true")
    assert fleet.place(box.machine, box.address, "thunderbird") == ("verified", "unchanged")
