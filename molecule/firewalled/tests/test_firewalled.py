"""Machines with a firewall that lets 587 not out: what is said and used, what the role opens and what not, and that it leaves no trace."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import fleet
import pytest
from office import Mailbox

BOXES = {box.machine: box for box in fleet.MAILBOXES}
OPEN, CLOSE = ("-e", "mail_firewall=true"), ("-e", "mail_firewall=true", "-e", "firewall_state=absent")
FOUND = {"smtp.charter.net:587": "ok", "smtp.charter.net:465": "ok", "imap.charter.net:993": "ok", "settings": "ok"}
BANNED = "192.0.2.77"  # an address of the stand-in, in every firewall of this scenario
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
    shown = fleet.told(fleet.play("provision_mail", "-e", "mail_smtp_port=587", "--limit", "desk-12", "--check"))
    assert "(desk-12): cannot send: No answer from smtp.charter.net:587: port 587 is blocked between this machine and the server" in shown
    found = fleet.diagnose("-e", "mail_smtp_port=587", "--limit", "desk-12")["desk-12"]
    assert found["summary"].startswith("unable to send: smtp.charter.net:587 blocked")


def test_auto_stays_at_465_while_nothing_can_be_told() -> None:
    """The network is down: the machine must not go back to a port that was blocked when it was last seen."""
    desk = fleet.machine("desk-12")
    with desk.sudo():
        desk.check_output("nft insert rule inet office out oif != lo drop")
    try:
        shown = fleet.told(fleet.play("provision_mail", "--limit", "desk-12"))
        assert "port 587 does not work here (blocked), and no other does; 465 stays set." in shown
        assert "port 465" in fleet.run(BOXES["desk-12"], "cat .msmtprc")
    finally:
        with desk.sudo():
            desk.check_output("systemctl restart nftables")


@pytest.fixture(scope="module", autouse=True)
def banned() -> Iterator[None]:
    """The address, somebody at 587 there, and a way to it."""
    standin = fleet.standin().check_output("hostname --all-ip-addresses").split()[0]
    fleet.standin().check_output(f"ip address add {BANNED}/32 dev lo && systemd-run --quiet --unit=banned nc -lk {BANNED} 587")
    for name in BOXES:
        with fleet.machine(name).sudo():
            fleet.machine(name).check_output(f"ip route add {BANNED} via {standin}")
    yield
    fleet.standin().check_output(f"systemctl stop banned && ip address delete {BANNED}/32 dev lo")
    for name in BOXES:
        with fleet.machine(name).sudo():
            fleet.machine(name).check_output(f"ip route delete {BANNED}")


def as_root(machine: str, command: str) -> str:
    with fleet.machine(machine).sudo():
        return fleet.machine(machine).check_output(command)


def connects(machine: str, address: str, user: str = "technician") -> bool:
    """Does the user get through to this address at 587?"""
    with fleet.machine(machine).sudo(user):
        return fleet.machine(machine).run(f"nc -z -w 3 {address} 587").rc == 0


def opens_and_leaves_no_trace(machine: str, firewall: str) -> None:
    before = rules(machine, firewall)
    shown = fleet.told(fleet.play("provision_mail", "--limit", machine, *OPEN))
    assert f"{machine}: firewall: Opened TCP 587 for outgoing connections in {firewall}." in shown
    assert "port 587 does not work here" not in shown, "what is said of the servers is from after the opening"
    opened = rules(machine, firewall)
    assert opened != before and "587" in opened
    assert connects(machine, "smtp.charter.net") and not connects(machine, BANNED)
    again = fleet.play("provision_mail", "--limit", machine, *OPEN)
    assert re.search(rf"^{machine} +: ok=\d+ +changed=0 ", again, re.MULTILINE), again
    assert rules(machine, firewall) == opened
    found = fleet.diagnose("--limit", machine, code=0)[machine]
    assert found["servers"] == FOUND
    sends(BOXES[machine], 587)
    fleet.play("provision_mail", "--limit", machine, "--check", *CLOSE)
    assert rules(machine, firewall) == opened, "a check changes nothing"
    shown = fleet.told(fleet.play("provision_mail", "--limit", machine, *CLOSE))
    assert "port 587 does not work here (blocked); port 465 does and is used" in shown, "nor is it from before the closing"
    assert rules(machine, firewall) == before


def opens_nothing_past_a_tunnel(machine: str, firewall: str, place: str) -> None:
    """The firewall lets out through a tunnel by now."""
    before = rules(machine, firewall)
    shown = fleet.told(fleet.play("provision_mail", "--limit", machine, *OPEN))
    assert re.search(f"{machine}: firewall: .*; {place} is kept shut for TCP 587: it lets out by interface", shown), shown
    assert rules(machine, firewall) == before and not connects(machine, "smtp.charter.net")


def test_nftables() -> None:
    opens_and_leaves_no_trace("desk-12", "nftables")
    assert not fleet.machine("desk-12").file(f"/etc/systemd/system/{UNIT}").exists


UNIT = "charter-mail-egress.service"
EARLIER = """\
[Unit]
After=nftables.service
PartOf=nftables.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-/usr/sbin/nft insert rule inet office out tcp dport { 465, 587, 993 } accept comment charter-mail
[Install]
WantedBy=nftables.service
"""


@contextmanager
def wg0_in_nftables() -> Iterator[None]:
    """Somebody writes a VPN into the file."""
    as_root("desk-12", "sed -i.before '/skuid 65534/a oifname \"wg0\" accept' /etc/nftables.conf && systemctl restart nftables")
    yield
    as_root("desk-12", "mv /etc/nftables.conf.before /etc/nftables.conf && systemctl restart nftables")


def test_nftables_has_its_rule_in_the_same_place_when_its_service_loads_its_rules_anew() -> None:
    before = rules("desk-12", "nftables")
    # As earlier versions did it: at the front, past the bans.
    with fleet.machine("desk-12").sudo():
        assert fleet.machine("desk-12").run(f"printf %%s %s >/etc/systemd/system/{UNIT}", EARLIER).rc == 0
    as_root("desk-12", f"systemctl daemon-reload && systemctl enable --now {UNIT}")
    assert connects("desk-12", BANNED) and connects("desk-12", "smtp.charter.net", "nobody")
    fleet.play("provision_mail", "--limit", "desk-12", *OPEN)
    opened = rules("desk-12", "nftables")
    last = "\t\ttcp dport { 465, 993, 995 } accept\n"
    assert opened == before.replace(last, last + '\t\ttcp dport 587 accept comment "charter-mail"\n')
    for word in ("restart", "reload"):
        as_root("desk-12", f"systemctl {word} nftables")
        fleet.soon(lambda: rules("desk-12", "nftables") == opened, "the rule at its place")
        assert connects("desk-12", "smtp.charter.net")
        assert not connects("desk-12", BANNED) and not connects("desk-12", "smtp.charter.net", "nobody")
    as_root("desk-12", f"systemctl reload {UNIT}")
    assert rules("desk-12", "nftables") == opened, "never twice"
    with wg0_in_nftables():
        assert "charter-mail" not in rules("desk-12", "nftables")
        opens_nothing_past_a_tunnel("desk-12", "nftables", "the chain inet office out")
    fleet.play("provision_mail", "--limit", "desk-12", *CLOSE)
    assert rules("desk-12", "nftables") == before


def test_ufw() -> None:
    opens_and_leaves_no_trace("desk-13", "ufw")


def test_ufw_with_a_tunnel() -> None:
    # As earlier versions did it.
    as_root("desk-13", "ufw prepend allow out proto tcp to any port 465,587,993 comment charter-mail")
    assert connects("desk-13", BANNED)
    fleet.play("provision_mail", "--limit", "desk-13", *OPEN)
    assert connects("desk-13", "smtp.charter.net") and not connects("desk-13", BANNED)
    as_root("desk-13", "ufw allow out on wg0")
    shown = fleet.told(fleet.play("provision_mail", "--limit", "desk-13", *OPEN))
    assert (
        "desk-13: firewall: Took back what an earlier run had opened in ufw: TCP 587; ufw is kept shut for TCP 587: it lets out by" in shown
    )
    opens_nothing_past_a_tunnel("desk-13", "ufw", "ufw")
    as_root("desk-13", "ufw delete allow out on wg0")


def test_firewalld() -> None:
    """In place of nftables, on the machine where firewalld starts in a container."""
    as_root("desk-12", "systemctl disable --now --quiet nftables && nft flush ruleset && /opt/firewalld.sh")
    fleet.play("provision_mail", "--limit", "desk-12")
    sends(BOXES["desk-12"], 465)
    opens_and_leaves_no_trace("desk-12", "firewalld")


def test_firewalld_with_a_tunnel() -> None:
    vpn = "firewall-cmd --quiet --permanent"
    as_root(
        "desk-12",
        f"{vpn} --zone=trusted --add-interface=wg0 && {vpn} --new-policy=vpn && {vpn} --policy=vpn --add-ingress-zone=HOST"
        f" && {vpn} --policy=vpn --add-egress-zone=trusted && {vpn} --policy=vpn --set-target=ACCEPT && firewall-cmd --quiet --reload",
    )
    opens_nothing_past_a_tunnel("desk-12", "firewalld", "the policy office")
