"""Somebody sits between the machine and the provider: the diagnosis says who, or what they do."""

from __future__ import annotations

import json
import re

import fleet

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
    # Nobody uses 465 here: it is said, but it is no problem.
    assert next(step for step in machine["steps"] if step.get("column") == "smtp.charter.net:465")["state"] == "warn"
    assert machine["summary"] == "unable to receive: imap.charter.net:993 intercepted"


def test_starttls_that_is_taken_out_is_told_and_465_is_used() -> None:
    shown = fleet.play("provision_mail")
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
    assert desk.check_output("ls /usr/local/share/ca-certificates").split() == ["shield.crt", "standin.crt"]
    assert desk.check_output("systemctl is-active shield-993 shield-465").split() == ["active", "active"]
