"""Somebody sits between the machine and the provider: the diagnosis says who, or what they do."""

from __future__ import annotations

import json
import re

import fleet
import pytest

REFUSED = "0x805a1ff3"  # what Thunderbird says of a certificate of an unknown issuer (SEC_ERROR_UNKNOWN_ISSUER)
JANE_13 = next(box for box in fleet.MAILBOXES if box.machine == "desk-13")


def test_a_mail_shield_is_named() -> None:
    machine = fleet.diagnose()["desk-12"]
    servers = machine["servers"]
    assert servers == {
        "imap.charter.net:993": "intercepted",
        "smtp.charter.net:587": "ok",
        "smtp.charter.net:465": "intercepted",
        "settings": "ok",
    }
    imap = next(step for step in machine["steps"] if step.get("column") == "imap.charter.net:993")
    assert imap["state"] == "fail"
    assert imap["text"].startswith("Avast Mail Shield reads the connection to imap.charter.net:993: the certificate is from")
    assert "which this machine trusts" in imap["text"]
    assert imap["facts"]["Trusted by this machine"] == "yes"
    assert imap["facts"]["Issued by"].startswith("O=Avast Web/Mail Shield")
    # Nobody uses 465 here: it is said, but it is no problem. Nobody has listed the name either.
    smtp = next(step for step in machine["steps"] if step.get("column") == "smtp.charter.net:465")
    assert smtp["state"] == "warn"
    assert 'is intercepted by "O=Sophos, CN=Sophos SSL CA_C11223344": that authority is not public' in smtp["text"]
    assert (smtp["facts"]["Trusted by this machine"], smtp["facts"]["Authority in the distribution's own list"]) == ("yes", "no")
    assert machine["summary"] == "unable to receive: imap.charter.net:993 intercepted"


def test_the_real_thunderbird_refuses_what_is_intercepted() -> None:
    answer = fleet.ask_thunderbird(
        "desk-12", "jane", connect=[["imap.charter.net", 993], ["smtp.charter.net", 465], ["pop.charter.net", 995]]
    )
    assert answer["connections"] == {"imap.charter.net:993": REFUSED, "smtp.charter.net:465": REFUSED, "pop.charter.net:995": "ok"}


@pytest.mark.parametrize(
    ("provider", "verdict", "said"),
    [
        ("incomplete", "incomplete_chain", 'leaves out a certificate, that of "CN=CA between"'),
        ("unlisted", "unknown_root", "Thunderbird will not take the certificate of unlisted.test:993: its authority, which is public,"),
    ],
)
def test_the_provider_s_own_faults_are_told_from_interception(provider: str, verdict: str, said: str) -> None:
    """And beside the verdict, what Thunderbird does."""
    programs = json.dumps({"mail_programs": ["thunderbird", "msmtp"]})
    machine = fleet.diagnose("--limit", "desk-13", "-e", f"mail_provider={provider}", "-e", programs)["desk-13"]
    name = f"{provider}.test:993"
    assert machine["servers"][name] == verdict
    assert said in next(step for step in machine["steps"] if step.get("column") == name)["text"]
    answer = fleet.ask_thunderbird("desk-13", "jane", connect=[[f"{provider}.test", 993], ["imap.charter.net", 993]])
    assert answer["connections"] == {name: REFUSED, "imap.charter.net:993": "ok"}


def test_starttls_that_is_taken_out_is_told_and_465_is_used() -> None:
    shown = fleet.told(fleet.play("provision_mail"))
    assert "desk-13: sending: port 587 does not work here (starttls_stripped); port 465 does and is used." in shown
    machine = fleet.diagnose("--limit", "desk-13", code=0)["desk-13"]
    assert (machine["servers"]["smtp.charter.net:587"], machine["servers"]["smtp.charter.net:465"]) == ("starttls_stripped", "ok")
    relayed = next(step for step in machine["steps"] if step.get("column") == "smtp.charter.net:587")
    assert "XXXXXXXA" in relayed["facts"]["Offered before TLS"], "the double is in the way"


def test_mail_is_sent_over_465() -> None:
    line = fleet.subject()
    with fleet.logged(f"standin/smtp.charter.net:465/smtpd.*sasl_username={JANE_13.address}"):
        fleet.run(JANE_13, f"msmtp -- {JANE_13.address}", fleet.message(JANE_13, line))
    assert fleet.delivered(JANE_13, line)


def test_tls_from_the_first_byte_on_587_names_the_entry_that_fits() -> None:
    machine = fleet.diagnose("--limit", "desk-13", "-e", "mail_provider=implicit")["desk-13"]
    assert machine["servers"]["implicit.test:587"] == "wrong_tls_mode"
    text = json.dumps(machine)
    assert re.search(r"implicit.test:587 speaks TLS from the first byte, but STARTTLS is set: [^\"]*spectrum \(Spectrum", text), text


def test_nothing_was_made_trusted_and_nothing_switched_off() -> None:
    desk = fleet.machine("desk-12")
    assert desk.check_output("ls /usr/local/share/ca-certificates").split() == ["shield-465.crt", "shield-993.crt"]
    assert desk.check_output("systemctl is-active shield-993 shield-465").split() == ["active", "active"]
