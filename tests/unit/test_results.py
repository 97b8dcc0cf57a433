"""What the tasks of a run returned, gathered; and what the callback makes of hostile text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.callback.office import CallbackModule
from ansible_collections.msp.charter_mail.plugins.plugin_utils.report import office_document
from ansible_collections.msp.charter_mail.plugins.plugin_utils.report.diagnosis import _FILES
from ansible_collections.msp.charter_mail.plugins.plugin_utils.report.results import OUTCOMES, Place, Results

CFG = "/usr/lib/thunderbird/charter-mail.cfg"


def entry(person: str, program: str, state: str, dest: str = "~/x", **more: Any) -> dict[str, Any]:
    return {"dest": dest, "program": program, "people": [person] if person else [], "state": state, **more}


def gathered(*files: dict[str, Any], stopped: str = "") -> Results:
    results = Results()
    results.take("mail_files", "desk", {"files": list(files)})
    if stopped:
        results.stop("desk", "failed", stopped)
    return results


def test_who_has_no_login_has_nothing_prepared() -> None:
    message = "this machine has no login jeo; did you mean joe?"
    results = gathered(
        entry("joe@example.org", "thunderbird", "created", CFG),
        entry("joe@example.org", "thunderbird", "no_login", "~jeo", message=message),
        entry("jane@example.org", "thunderbird", "created", CFG),
        stopped="1 of 3 files were not written",
    )
    assert results.places == {
        ("joe@example.org", "desk", "thunderbird"): Place("no such login", "no_login", message),
        ("jane@example.org", "desk", "thunderbird"): Place("to be started", "created"),
    }
    assert results.machines() == {"desk": ("reached", "")}, "it is told by person"


def test_a_machine_that_failed_without_telling_whom_is_named() -> None:
    assert gathered(stopped="the disk is full").machines() == {"desk": ("failed", "the disk is full")}
    assert gathered(entry("a@b.c", "msmtp", "created"), stopped="x").machines() == {"desk": ("failed", "x")}
    results = gathered(entry("a@b.c", "msmtp", "created"))
    results.stop("desk", "unreachable", "timed out")
    assert results.machines() == {"desk": ("unreachable", "timed out")}


def test_the_most_telling_outcome_of_a_program_counts() -> None:
    rows = [entry("jane@example.org", "neomutt", state, f"~/{state}", message="so it is") for state in ("unchanged", "foreign", "created")]
    assert gathered(*rows).places == {("jane@example.org", "desk", "neomutt"): Place("not ours", "foreign", "~/foreign: so it is")}


def test_changes_of_a_shared_file_are_told_by_person() -> None:
    shared = entry("", "thunderbird", "pending", CFG)
    shared.update(people=["jane@example.org", "joe@example.org"], each={"jane@example.org": "unchanged", "left@example.org": "removed"})
    found = {key[0]: place for key, place in gathered(shared).places.items()}
    assert found == {"jane@example.org": Place("to be started", "unchanged"), "left@example.org": Place("removed", "removed")}


def test_a_file_aside_is_a_note_and_nobodys_state() -> None:
    results = gathered(entry("", "thunderbird", "foreign", "/usr/share/thunderbird/isp/x.xml", message="it was there before"))
    assert results.places == {}
    assert results.notes == ["desk: /usr/share/thunderbird/isp/x.xml: it was there before"]


def test_verified_is_only_what_was_seen() -> None:
    results = Results()
    seen = [{"address": "jane@example.org", "program": "thunderbird", "verified": True}]
    results.take("mail_files", "desk", {"files": [entry("jane@example.org", "thunderbird", "unchanged", CFG)], "evidence": seen})
    assert results.places[("jane@example.org", "desk", "thunderbird")] == Place("verified", "unchanged")


def test_what_is_said_of_the_servers_is_from_the_last_look() -> None:
    def looked(verdict: str, choice: str = "") -> dict[str, Any]:
        endpoint = {"service": "smtp", "needed": True, "people": ["jane@example.org"]}
        return {"endpoints": [{"endpoint": endpoint, "verdict": verdict, "advice": f"It is {verdict}."}], "smtp_choice": choice}

    results = Results()
    results.take("mail_probe", "desk", looked("blocked", "port 465 is used."))
    results.take("mail_firewall", "desk", {"changed": True, "message": "Opened TCP 587."})
    results.take("mail_probe", "desk", looked("ok"))
    assert [end["verdict"] for end in results.probes["desk"]] == ["ok"]
    assert results.notes == ["desk: firewall: Opened TCP 587."]


def test_every_outcome_and_every_state_is_known_where_it_is_shown() -> None:
    assert {*OUTCOMES} == {*_FILES}
    states = {state for state in OUTCOMES.values() if state} - {"removed"}
    assert states <= {*office_document.STATES}
    # A state that nobody has thought of waits; it is never ready.
    assert office_document.kind_of("something new") == "waits"


class Shown(list[str]):
    """In place of Ansible's display."""

    verbosity = 0

    def display(self, line: str, **_more: Any) -> None:
        self.append(line)


HOSTILE = "\x1b]0;title\x07\x1b[2J\n1 well\x9b2J\u202e"


@pytest.mark.parametrize("diagnosed", [False, True])
def test_nothing_that_a_machine_says_moves_the_cursor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, diagnosed: bool) -> None:
    callback = CallbackModule()
    monkeypatch.setattr(callback, "get_option", lambda name: {"dir": str(tmp_path / "office")}.get(name, False))
    callback._display = callback._screen = shown = Shown()
    place = {"address": "jane@example.org", "machine": "desk" + HOSTILE, "platform": "linux", "program": "msmtp", "mdm": False}
    mailbox = {"address": "jane@example.org", "name": HOSTILE, "receive": "", "send": ""}
    person = {"id": "jane@example.org", "name": "Jane" + HOSTILE, "login": "jane", "mailboxes": [mailbox], "phones": [], "places": [place]}
    callback._results.office, callback._results.people = "acme", [person]
    row = entry("jane@example.org", "msmtp", "refused", HOSTILE, message=HOSTILE)
    callback._results.take("mail_files", "desk" + HOSTILE, {"files": [row]})
    if diagnosed:
        step = {"title": HOSTILE, "state": "fail", "text": HOSTILE, "steps": []}
        callback._diagnosed["desk"] = {"machine": "desk", "state": "problems", "summary": HOSTILE, "people": [], "steps": [step]}
        callback._report_dir, callback._purpose = str(tmp_path), "diagnose"
    monkeypatch.setattr(CallbackModule.__mro__[1], "v2_playbook_on_stats", lambda *_: None)
    callback.v2_playbook_on_stats(None)
    assert len([line for line in shown if "title" in line]) >= 2
    assert [line for line in shown if not line.isprintable()] == []
    assert not [line for line in shown if line.startswith("1 well")]


def test_a_hand_out_that_is_made_and_brought_up_to_date_in_one_run_was_made() -> None:
    results = Results()

    def handed(**states: str) -> dict[str, str]:
        people = [{"address": address, "full_name": "", "folder": address, "state": state} for address, state in states.items()]
        results.take("mobile_files", "localhost", {"dest": "/b", "people": people})
        return results.handed()

    first = handed(new="created", other="updated", same="unchanged", later="unchanged", left="removed")
    assert first == {"new": "created", "other": "updated", "same": "unchanged", "later": "unchanged", "left": "removed"}
    second = handed(new="updated", other="unchanged", same="unchanged", later="updated")
    assert second == {"new": "created", "other": "updated", "same": "unchanged", "later": "updated", "left": "removed"}
