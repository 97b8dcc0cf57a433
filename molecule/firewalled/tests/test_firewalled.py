"""Machines with a firewall that lets 587 not out: what is said, what is used, what the role opens, and that it leaves no trace."""

from __future__ import annotations

import re

import fleet
import pytest
from office import Mailbox

BOXES = {box.machine: box for box in fleet.MAILBOXES}
OPEN, CLOSE = ("-e", "mail_firewall=true"), ("-e", "mail_firewall=true", "-e", "firewall_state=absent")
FOUND = {"smtp.charter.net:587": "ok", "smtp.charter.net:465": "ok", "imap.charter.net:993": "ok", "settings": "ok"}
# What each firewall has of rules, as text.
RULES = {
    "nftables": "nft list ruleset",
    "ufw": "cat /etc/ufw/user.rules /etc/ufw/user6.rules",
    "firewalld": "firewall-cmd --list-all-policies; firewall-cmd --permanent --list-all-policies; firewall-cmd --list-all-zones",
}


def sends(box: Mailbox, port: int) -> None:
    """The person's real msmtp sends, and the server at this port takes it in."""
    line = fleet.subject()
    with fleet.logged(
        f"standin/smtp.charter.net:{port}/smtpd.*\\[{fleet.address(box.machine)}\\], .*sasl_username={re.escape(box.address)}$"
    ):
        fleet.run(box, f"msmtp -- {box.address}", fleet.message(box, line))
    assert fleet.delivered(box, line)


def rules(machine: str, firewall: str) -> str:
    with fleet.machine(machine).sudo():
        return fleet.machine(machine).check_output(RULES[firewall])


@pytest.mark.parametrize("machine", sorted(BOXES))
def test_587_is_blocked_and_mail_goes_out_at_465(machine: str) -> None:
    found = fleet.diagnose("--limit", machine, code=0)[machine]
    assert found["servers"] == {**FOUND, "smtp.charter.net:587": "blocked"}
    sends(BOXES[machine], 465)


def test_without_auto_the_blocked_port_is_a_problem_and_the_machine_is_provisioned_all_the_same() -> None:
    shown = fleet.play("provision_mail", "-e", "mail_smtp_port=587", "--limit", "desk-12", "--check")
    assert "desk-12: cannot send: No answer from smtp.charter.net:587: port 587 is blocked between this machine and the server" in shown
    found = fleet.diagnose("-e", "mail_smtp_port=587", "--limit", "desk-12")["desk-12"]
    assert found["summary"].startswith("unable to send: smtp.charter.net:587 blocked")


def test_auto_stays_at_465_while_nothing_can_be_told() -> None:
    """The network is down: the machine must not go back to a port that was blocked when it was last seen."""
    desk = fleet.machine("desk-12")
    with desk.sudo():
        desk.check_output("nft insert rule inet office out oif != lo drop")
    try:
        shown = fleet.play("provision_mail", "--limit", "desk-12")
        assert "port 587 does not work here (blocked), and no other does; 465 stays set." in shown
        assert "port 465" in fleet.run(BOXES["desk-12"], "cat .msmtprc")
    finally:
        with desk.sudo():
            desk.check_output("systemctl restart nftables")


def opens_and_leaves_no_trace(machine: str, firewall: str, opened_ports: str = "465, 587 and 993") -> None:
    before = rules(machine, firewall)
    shown = fleet.play("provision_mail", "--limit", machine, *OPEN)
    assert f"{machine}: firewall: Opened TCP {opened_ports} for outgoing connections in {firewall}." in shown
    opened = rules(machine, firewall)
    assert opened != before and "587" in opened
    again = fleet.play("provision_mail", "--limit", machine, *OPEN)
    assert re.search(rf"^{machine} +: ok=\d+ +changed=0 ", again, re.MULTILINE), again
    assert rules(machine, firewall) == opened
    found = fleet.diagnose("--limit", machine, code=0)[machine]
    assert found["servers"] == FOUND
    sends(BOXES[machine], 587)
    fleet.play("provision_mail", "--limit", machine, "--check", *CLOSE)
    assert rules(machine, firewall) == opened, "a check changes nothing"
    fleet.play("provision_mail", "--limit", machine, *CLOSE)
    assert rules(machine, firewall) == before


def test_nftables() -> None:
    opens_and_leaves_no_trace("desk-12", "nftables")
    with fleet.machine("desk-12").sudo():
        assert not fleet.machine("desk-12").file("/etc/systemd/system/charter-mail-egress.service").exists


def test_nftables_keeps_the_port_open_when_its_service_loads_its_rules_anew() -> None:
    fleet.play("provision_mail", "--limit", "desk-12", *OPEN)
    desk = fleet.machine("desk-12")
    with desk.sudo():
        desk.check_output("systemctl restart nftables")
    fleet.soon(lambda: re.findall("charter-mail", rules("desk-12", "nftables")), "the rule")
    fleet.play("provision_mail", "--limit", "desk-12", *CLOSE)


def test_ufw() -> None:
    opens_and_leaves_no_trace("desk-13", "ufw")


def test_firewalld() -> None:
    """In place of nftables, on the machine where firewalld starts in a container."""
    desk = fleet.machine("desk-12")
    with desk.sudo():
        desk.check_output("systemctl disable --now --quiet nftables && nft flush ruleset && /opt/firewalld.sh")
    fleet.play("provision_mail", "--limit", "desk-12")
    sends(BOXES["desk-12"], 465)
    opens_and_leaves_no_trace("desk-12", "firewalld", "587")
