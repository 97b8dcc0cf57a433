"""What the diagnosis says from the user's own chair, with real servers and a real Thunderbird."""

from __future__ import annotations

import json
import os
import re

import fleet
import pexpect
import pytest

JANE = next(box for box in fleet.MAILBOXES if (box.machine, box.login) == ("desk-12", "jane"))
JANE_13 = next(box for box in fleet.MAILBOXES if (box.machine, box.login) == ("desk-13", "jane"))
CHARTER = {"imap.charter.net:993": "ok", "smtp.charter.net:587": "ok", "smtp.charter.net:465": "ok"}


def test_all_is_well() -> None:
    machines = fleet.diagnose(code=0)
    assert machines["desk-12"]["servers"] == {**CHARTER, "pop.charter.net:995": "ok", "settings": "ok"}
    assert machines["desk-13"]["servers"] == {**CHARTER, "settings": "ok"}
    for machine in machines.values():
        (smtp,) = [step for step in machine["steps"] if step.get("column") == "smtp.charter.net:587"]
        said = {step["title"]: step["text"] for step in smtp["steps"]}
        assert said["STARTTLS"] == "offered and taken"
        assert "refused before TLS" in said["Sign-in offered"]
        assert "Throw-away CA" in said["Certificate"]


@pytest.mark.parametrize(("provider", "verdict"), [("expired", "expired"), ("misnamed", "name_mismatch"), ("unknown", "untrusted")])
def test_certificates(provider: str, verdict: str) -> None:
    machine = fleet.diagnose("--limit", "desk-13", "-e", f"mail_provider={provider}")["desk-13"]
    assert {name: said for name, said in machine["servers"].items() if name != "settings"} == {
        f"{provider}.test:993": verdict,
        f"{provider}.test:587": verdict,
    }


def test_provisioning_says_what_will_not_work_and_goes_on_or_stops() -> None:
    options = ("--limit", "desk-13", "--check", "-e", "mail_provider=expired")
    shown = fleet.told(fleet.play("provision_mail", *options))
    assert "Jane Doe (desk-13): cannot receive: The certificate of expired.test:993 expired on 2020-02-01" in shown
    assert "Jane Doe (desk-13): cannot send: " in shown
    stopped = " ".join(fleet.play("provision_mail", *options, "-e", "mail_require_reachable=true", code=2).split())
    assert "mail_require_reachable is set, so the mail settings on this machine stay as they are." in stopped
    assert "msmtp" not in stopped
    assert "The certificate of expired.test:993 expired on 2020-02-01" in stopped


def sign_in(password: str, code: int) -> str:
    """Diagnose with a log-in test at a terminal, and answer its question."""
    command = ["--inventory", str(fleet.SCENARIO / "inventory"), str(fleet.PROJECT / "playbooks/diagnose_mail.yml")]
    options = ["--limit", "desk-13", "-e", "mail_login_test=true", "-e", f"diagnosis_dir={fleet.PROJECT}/.cache/fleet/reachable/report"]
    terminal = {"env": {**os.environ, "ANSIBLE_FORCE_COLOR": "0"}, "encoding": "utf-8", "timeout": 120, "dimensions": (50, 300)}
    with pexpect.spawn("ansible-playbook", command + options, **terminal) as child:
        child.expect("Password of jane.doe@example.org, for a try from desk-13")
        child.sendline(password)
        child.expect(pexpect.EOF)
        shown = str(child.before)
        child.close()
        assert child.exitstatus == code, shown
    assert password not in shown
    return shown


def test_a_right_password() -> None:
    with fleet.let_in(JANE_13), fleet.logged(f"sasl_username={JANE.address}|smtpd.*disconnect.*auth=1"):
        shown = sign_in(JANE.password, 0)
    # Thunderbird was never started there, which is a note.
    assert "desk-13: nothing is wrong, see the notes" in shown


def test_a_wrong_password_is_tried_once() -> None:
    cursor = fleet.standin().check_output("journalctl --lines 0 --show-cursor --quiet").removeprefix("-- cursor: ")
    with fleet.logged(f"imap-login: .*auth failed, 1 attempts.*user=<{JANE.address}>"):
        shown = sign_in("wrong-but-secret", 2)
    assert "login rejected" in shown
    assert "two-factor sign-in is on and wants an app password" in shown
    log = fleet.standin().run("journalctl SYSLOG_FACILITY=2 --after-cursor %s", cursor).stdout
    assert log.count("auth failed") == 1 and "SASL" not in log, log
    report = (fleet.PROJECT / ".cache/fleet/reachable/report/diagnosis.json").read_text(encoding="utf-8")
    assert "wrong-but-secret" not in report


def test_without_a_terminal_nobody_signs_in() -> None:
    shown = fleet.play("diagnose_mail", "--limit", "desk-13", "-e", "mail_login_test=true", "-e", "diagnosis_dir=/nonexistent", code=2)
    assert "it is never done in a scheduled run" in shown
    # Provisioning is what gets scheduled: it asks nobody.
    assert "Password of" not in fleet.play("provision_mail", "--check", "-e", "mail_login_test=true")


def test_the_settings_a_program_has_stored_are_compared() -> None:
    """A real Thunderbird takes the account up; then somebody changes its settings."""
    fleet.ask_thunderbird("desk-12", "jane")
    assert fleet.diagnose("--limit", "desk-12", code=0)["desk-12"]["servers"]["settings"] == "ok"
    prefs = "$(ls -d .thunderbird/*/prefs.js | head -n 1)"
    change = 's/(mail.server.server_charter_[0-9a-f]+.port", )993/\\1143/; s/(mail.server.server_charter_[0-9a-f]+.socketType", )3/\\10/'
    fleet.run(JANE, f"sed -E -i '{change}' {prefs}")
    machine = fleet.diagnose("--limit", "desk-12")["desk-12"]
    assert machine["servers"]["settings"] == "wrong"
    text = json.dumps(machine)
    remedy = "it puts that right when the person starts it next"
    assert re.search(rf"Thunderbird [^\"]*port 143 without TLS[^\"]*port 993 with TLS; {remedy}", text), text
    assert not [step for step in machine["steps"] if step.get("column") != "settings" and step["state"] == "fail"]


def test_a_file_changed_by_hand_is_named() -> None:
    fleet.run(JANE, "sed -i s/587/25/ .msmtprc")
    text = json.dumps(fleet.diagnose("--limit", "desk-12")["desk-12"])
    assert "/home/jane/.msmtprc" in text and "was changed by hand" in text
    assert re.search(r"msmtp [^\"]*port 25 [^\"]*port 587", text), text
    assert "25" in fleet.run(JANE, "grep ^port .msmtprc"), "the diagnosis changes nothing"
