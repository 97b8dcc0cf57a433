"""The end of a run in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.callback.mail_summary import CallbackModule
from ansible_collections.msp.charter_mail.plugins.plugin_utils.summary import Summary

MACHINES = {"desk": {"platform": "linux", "people": ["jane@example.org", "joe@example.org"]}}


def entry(person: str, program: str, state: str, dest: str = "~/x", **more: Any) -> dict[str, Any]:
    return {"dest": dest, "program": program, "people": [person], "state": state, **more}


def told(*files: dict[str, Any], stopped: str = "") -> list[str]:
    summary = Summary()
    summary.office("acme", MACHINES)
    summary.files("desk", {"files": list(files)})
    if stopped:
        summary.stopped("desk", stopped)
    return [" ".join(line.split()) for line in summary.lines()]


def test_who_has_no_login_has_nothing_prepared() -> None:
    files = [
        entry("joe@example.org", "thunderbird", "created", "/usr/lib/thunderbird/charter-mail.cfg"),
        entry("joe@example.org", "thunderbird", "no_login", "~jeo", message="this machine has no login jeo; did you mean joe?"),
        entry("jane@example.org", "thunderbird", "created", "/usr/lib/thunderbird/charter-mail.cfg"),
    ]
    lines = told(*files, stopped="failed")
    assert "joe@example.org desk thunderbird no such login nobody gets it" in lines
    assert "jane@example.org desk thunderbird prepared new" in lines
    assert "desk: ~jeo: this machine has no login jeo; did you mean joe?" in lines
    assert not any("desk: failed" in line for line in lines), "the row says it"


def test_a_machine_that_failed_without_a_row_is_named() -> None:
    assert any("desk: failed" in line for line in told(stopped="failed"))
    assert any("desk: failed" in line for line in told(entry("a@b.c", "msmtp", "created"), stopped="failed"))


def test_changes_of_a_shared_file_are_told_by_person() -> None:
    shared = entry("", "thunderbird", "pending", "/usr/lib/thunderbird/charter-mail.cfg")
    shared.update(people=["jane@example.org", "joe@example.org"], each={"jane@example.org": "unchanged", "left@example.org": "removed"})
    lines = told(shared)
    assert "jane@example.org desk thunderbird prepared unchanged" in lines
    assert "left@example.org desk thunderbird removed removed" in lines


def test_a_file_that_moved_to_another_directory_is_not_removed() -> None:
    """Thunderbird was installed anew elsewhere: what was in the first directory goes."""
    moved = [
        entry("jane@example.org", "thunderbird", "unchanged", "/opt/thunderbird/charter-mail.cfg"),
        entry("jane@example.org", "thunderbird", "removed", "/usr/lib/thunderbird/charter-mail.cfg"),
        entry("left@example.org", "thunderbird", "removed", "/usr/lib/thunderbird/charter-mail.cfg"),
    ]
    lines = told(*moved)
    assert "jane@example.org desk thunderbird prepared unchanged" in lines
    assert "left@example.org desk thunderbird removed removed" in lines


def test_a_file_aside_is_a_note_and_nobodys_state() -> None:
    aside = {**entry("", "thunderbird", "foreign", "/usr/share/thunderbird/isp/x.xml", message="it was there before"), "people": []}
    lines = told(entry("jane@example.org", "thunderbird", "created"), aside)
    assert "jane@example.org desk thunderbird prepared new" in lines
    assert "desk: /usr/share/thunderbird/isp/x.xml: it was there before" in lines


def looked(verdict: str, choice: str = "") -> dict[str, Any]:
    endpoint = {"service": "smtp", "needed": True}
    return {"endpoints": [{"endpoint": endpoint, "verdict": verdict, "advice": f"It is {verdict}."}], "smtp_choice": choice}


def test_what_is_said_of_the_servers_is_from_the_last_look() -> None:
    summary = Summary()
    summary.office("example", {"desk-01": {"platform": "linux", "people": ["jane@example.org"]}})
    summary.probe("desk-01", looked("blocked", "port 465 is used."))
    summary.probe("desk-02", looked("refused"))
    summary.firewall("desk-01", {"changed": True, "message": "Opened TCP 587."})
    summary.probe("desk-01", looked("ok"))
    lines = "\n".join(summary.lines())
    assert "desk-01: firewall: Opened TCP 587." in lines and "desk-02: cannot send: It is refused." in lines
    assert "blocked" not in lines and "465" not in lines


class Shown(list[str]):
    """In place of Ansible's display."""

    def display(self, line: str, **_more: Any) -> None:
        self.append(line)


HOSTILE = "\x1b]0;title\x07\x1b[2J\n1 well\x9b2J\u202e"


@pytest.mark.parametrize("diagnosed", [False, True])
def test_nothing_that_a_machine_says_moves_the_cursor(tmp_path: Path, diagnosed: bool) -> None:
    callback = CallbackModule()
    callback._display = shown = Shown()
    callback._summary.office("acme", {"desk" + HOSTILE: {"platform": "linux", "people": ["jane@example.org"]}, **MACHINES})
    callback._summary.files("desk", {"files": [entry("jane@example.org", "msmtp", "refused", HOSTILE, message=HOSTILE)]})
    if diagnosed:
        step = {"title": HOSTILE, "state": "fail", "text": HOSTILE, "steps": []}
        callback._diagnosed["desk"] = {"machine": "desk", "state": "problems", "summary": HOSTILE, "people": [], "steps": [step]}
        callback._dir = str(tmp_path)
    callback.v2_playbook_on_stats(None)
    assert len([line for line in shown if "title" in line]) >= 2
    assert [line for line in shown if not line.isprintable()] == []
    assert not [line for line in shown if line.startswith("1 well")]
