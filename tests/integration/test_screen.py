"""A run as people see it, on a pipe: through the real ansible-playbook, with the wrapper that gives the exit codes."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.playbook import ROOT, Run, command, write_office

SHEET = "address,full_name,machines,login,programs,phones\n"
JANE = "jane@example.org,Jane Doe,desk-01,jane,thunderbird msmtp,\n"
JOE = "joe@example.org,Joe Roe,desk-02,joe,msmtp,\n"
QUIET = {"CHARTER_MAIL_ANSIBLE_OUTPUT": ""}


@pytest.fixture
def office(tmp_path: Path) -> Path:
    return write_office(tmp_path / "acme", SHEET + JANE + JOE, "desk-01 desk-02")


def run(office: Path, *arguments: str, playbook: str = "provision-mail.yml") -> Run:
    return command("sh", ROOT / "contrib/play.sh", "-i", office, ROOT / playbook, *arguments, cwd=office.parent, env=QUIET)


def test_a_life_of_an_office_in_words_and_codes(office: Path) -> None:
    check = run(office, "--check", "--diff")
    assert check.code == 2, "something waits to be done"
    assert "desk-02: /home/joe/.msmtprc: new, " in check.out
    assert "Check only: nothing was changed." in check.out
    assert "Joe Roe (desk-02): msmtp would be set up" in check.out
    assert not (office.parent / "build/office").exists() and not office.with_name("acme.machines").exists()

    first = run(office)
    assert first.code == 0
    lines = first.out.splitlines()
    assert sorted(lines[:2]) == ["desk-01: done", "desk-02: done"]
    assert lines[3:4] == ["acme: 2 people. 1 ready, 1 waits for somebody."]
    assert lines[-1] == "Page: build/office/acme/index.html"
    assert not re.search("TASK|PLAY|ok=|Validating", first.out)
    page = office.parent / "build/office/acme/index.html"
    assert "Joe Roe" in page.read_text(encoding="utf-8")

    again = run(office, "-v")
    assert again.code == 0 and "This changed" not in again.out
    assert "  Joe Roe: desk-02 msmtp" in again.out.splitlines()

    msmtprc = office.with_name("acme.machines") / "desk-02/home/joe/.msmtprc"
    msmtprc.write_text(msmtprc.read_text().replace("port 587", "port 25"))
    drift = run(office, "--check", "--diff")
    assert drift.code == 2 and "desk-02: /home/joe/.msmtprc: port 25 -> 587" in drift.out
    assert "Joe Roe (desk-02): msmtp would be put back after a change by hand" in drift.out
    limited = run(office, "--limit", "desk-01")
    assert limited.code == 0 and "Joe" not in limited.out and "acme: 1 person on desk-01. 1 waits for somebody." in limited.out
    status = command(sys.executable, ROOT / "contrib/office.py", office.parent / "build/office/acme", "status")
    assert status.code == 0 and "acme: 2 people. 1 ready, 1 waits for somebody." in status.out

    (office / "staff.csv").write_text(SHEET + JANE)
    left = run(office)
    assert "  Joe Roe: left; removed: msmtp on desk-02" in left.out.splitlines()
    whole = run(office, "-vv")
    assert "TASK [msp.charter_mail.mail : Look at the machine, and" in whole.out and "PLAY RECAP" in whole.out


def test_an_office_that_is_wrong_says_that_and_nothing_else(office: Path) -> None:
    (office / "staff.csv").write_text(SHEET + JANE.replace("desk-01", "desk-1") + JOE.replace("@", ""))
    wrong = run(office)
    assert wrong.code == 1
    lines = wrong.out.splitlines()
    assert lines[0] == "2 problems with this office:"
    assert lines[-1] == "2 problems with this office, listed above; no machine was contacted, nothing was changed"
    assert len(lines) == 4, wrong.out
    (office / "hosts.yml").write_text("linux: [")
    assert run(office).code == 1


def test_a_machine_that_fails_or_is_away_is_one_line_at_once(office: Path) -> None:
    (office / "host_vars").mkdir()
    away = "ansible_connection: ssh\nansible_host: 127.0.0.1\nansible_port: 1\nmail_root: ''\n"
    (office / "host_vars/desk-02.yml").write_text(away)
    gone = run(office)
    assert gone.code == 4
    assert re.search("(?m)^desk-02: not reached: .*Connection refused$", gone.out), gone.out
    assert "Joe Roe (desk-02): switch desk-02 on, then run again" in gone.out
    office.with_name("acme.machines").mkdir(exist_ok=True)
    (office / "host_vars/desk-02.yml").write_text("mail_root: /proc/nothing/here\n")
    failed = run(office)
    assert failed.code == 2
    assert next(line for line in failed.out.splitlines() if line.startswith("desk-02: ")) == "desk-02: failed"
    assert "Something is wrong:" in failed.out and "Traceback" not in failed.out and "Origin:" not in failed.out


def test_other_playbooks_look_as_ever(tmp_path: Path) -> None:
    (tmp_path / "plain.yml").write_text("- hosts: localhost\n  gather_facts: false\n  tasks: [{debug: {msg: hello}}]\n")
    plain = command("ansible-playbook", "plain.yml", cwd=tmp_path, env=QUIET)
    assert plain.code == 0
    assert "TASK [debug]" in plain.out and "msg: hello" in plain.out and "PLAY RECAP" in plain.out


def test_on_a_terminal_one_line_moves(office: Path) -> None:
    """A pseudo terminal of 60 columns: nothing is wider, and the line that moves is gone at the end."""
    (office / "group_vars/all.yml").write_text("mail_probe: false\n")
    parent, child = pty.openpty()
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "COLUMNS": "60", "LINES": "24"}
    done = subprocess.Popen(
        [Path(sys.executable).parent / "ansible-playbook", "-i", office, ROOT / "provision-mail.yml"],
        **{"stdout": child, "stderr": child, "stdin": subprocess.DEVNULL, "cwd": office.parent, "env": environment},
    )
    os.close(child)
    shown = b""
    while True:
        try:
            piece = os.read(parent, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(parent)
    assert done.wait() == 0
    text = shown.decode()
    moving = re.findall(r"\r\x1b\[K([^\r\n]+)", text)
    assert any(re.fullmatch(r"acme  \d of \d machines  desk-0\d: .*", line.strip()) for line in moving), moving
    assert "desk-01: done" not in text
    screen = [re.sub(r".*\r\x1b\[K", "", line) for line in text.replace("\r\n", "\n").split("\n")]
    assert max(map(len, screen)) <= 60, screen
    assert "acme: 2 people. 1 ready, 1 waits for somebody." in screen


def test_a_tick_is_kept_and_counted(office: Path) -> None:
    (office / "staff.csv").write_text(SHEET + JANE.rstrip() + "ios\n")
    (office / "group_vars/all.yml").write_text("mail_probe: false\nmail_office: Acme\nmobile_contact: {phone: '1'}\nmobile_paper: none\n")
    assert run(office).code == 0
    folder = office.parent / "build/office/acme"
    done = command(sys.executable, ROOT / "contrib/office.py", folder, "done", "jane", "ios")
    assert (done.code, done.out) == (0, "Jane Doe: iPhone or iPad is done\n")
    assert "iPhone or iPad: done" in run(office).out
    assert json.loads((folder / "office.json").read_bytes())["people"][0]["phones"][0]["state"] == "done"
    nobody = command(sys.executable, ROOT / "contrib/office.py", folder, "done", "zoe", "ios")
    assert (nobody.code, nobody.out) == (1, "zoe is nobody of acme; write the person's address\n")


def test_an_office_of_phones_alone_is_told_what_is_wrong_with_it_and_nothing_of_machines(office: Path) -> None:
    (office / "hosts.yml").write_text("all: {}\n")
    (office / "staff.csv").write_text("address,full_name,phones\njane@example.org,Jane Doe,ios\n")
    wrong = run(office)
    assert wrong.code == 1 and "mobile_contact: has neither phone nor email" in wrong.out
    assert "no machine to work on" not in wrong.out
