"""From what was found on a machine to a technician's words."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils.servers import verdicts
from ansible_collections.msp.charter_mail.plugins.plugin_utils.files.comparison import Finding
from ansible_collections.msp.charter_mail.plugins.plugin_utils.report import diagnosis, server_steps
from ansible_collections.msp.charter_mail.plugins.plugin_utils.report.diagnosis_page import page
from ansible_collections.msp.charter_mail.plugins.plugin_utils.report.results import OUTCOMES

from tests.unit.test_verdicts import EARLY, SHUT, facts

NOW = datetime.datetime(2026, 11, 25, 3, 0, tzinfo=datetime.UTC)


def result(needed: bool = True, port: int = 587, security: str = "starttls", **found: Any) -> dict[str, Any]:
    """What the probe returns of one server."""
    whole = facts(security, **found)
    whole["endpoint"].update(port=port, needed=needed, people=["jane@example.org"] if needed else [])
    return {**whole, **verdicts.judge(whole, []), "ms": 7, "capabilities": {"before": ["STARTTLS"], "after": ["AUTH PLAIN"]}}


SOUND = result()
BLOCKED = {**EARLY, "tcp": [{**SHUT, "kind": "timeout", "error": "no answer", "ms": 5000}]}


def finding(state: Any, what: str) -> Finding:
    return Finding("jane@example.org", "jane", "thunderbird", "receive", state == "ok", state, what, "")


def file(dest: str, state: str, message: str = "", program: str = "msmtp") -> dict[str, Any]:
    """What mail_files says of a file of Jane's."""
    return {"dest": dest, "program": program, "people": ["jane@example.org"], "state": state, "message": message}


def diagnose(results: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    given = {"findings": [], "written": {"files": more.pop("files", [])}, **more}
    return diagnosis.machine("desk-07", ["jane@example.org"], probe={"endpoints": results}, **given)


def shown(*machines: dict[str, Any]) -> list[str]:
    return [line for _state, line in diagnosis.lines(diagnosis.document("acme", NOW, machines))]


def test_all_is_well_in_a_line_each() -> None:
    machine = diagnose([result(), result(False, 465, "tls")])
    assert (machine["state"], machine["summary"]) == ("ok", "all is well")
    assert shown(machine) == [
        "Mail of office acme, seen from 1 machine",
        "",
        "desk-07: all is well (jane@example.org)",
        "       ok   Send: smtp.example.org:587 (STARTTLS)",
        "       ok   Send: smtp.example.org:465 (TLS): Nobody here uses this server now.",
        "       -    Settings: There are none to look at.",
        "",
        "1 well",
    ]


def test_the_failing_step_is_open_and_what_comes_after_it_was_not_reached() -> None:
    machine = diagnose([result(**BLOCKED)])
    assert machine["summary"] == "unable to send: smtp.example.org:587 blocked"
    text = shown(machine)
    at = text.index("       FAIL Send: smtp.example.org:587 (STARTTLS): blocked")
    assert text[at + 1].strip().startswith("No answer from smtp.example.org:587: port 587 is blocked")
    assert text[at + 2 : at + 4] == [
        "              ok   Name: 192.0.2.1 in 1 ms",
        "              FAIL Connection: 192.0.2.1 no answer in 5000 ms",
    ]
    steps = machine["steps"][0]["steps"]
    assert [step["state"] for step in steps] == ["ok", "fail", "skip", "skip", "skip", "skip", "skip"]
    assert [step["title"] for step in steps][2:] == ["Greeting", "STARTTLS", "TLS", "Certificate", "Sign-in offered"]


def test_every_step_that_can_fail_is_one_of_the_tree() -> None:
    for security in ("tls", "starttls"):
        assert {*verdicts.STEPS} - {"starttls"} <= {*server_steps._ORDER[security]}
    assert {*verdicts.STEPS} == {*server_steps._TITLES} == {*server_steps._SAYS}


def test_a_server_nobody_needs_is_no_problem() -> None:
    machine = diagnose([result(), result(False, 465, "tls", **BLOCKED)])
    assert machine["state"] == "ok"
    assert "       note Send: smtp.example.org:465 (TLS): blocked" in shown(machine)


def test_receiving_and_sending_are_told_apart() -> None:
    imap = result(port=993, security="tls", certificate={"issuer": "x", "names": []}, verify={**facts()["verify"], "host_ok": False})
    imap["endpoint"]["service"] = "imap"
    assert diagnose([imap, result(**BLOCKED)])["summary"] == (
        "unable to receive: smtp.example.org:993 name mismatch; unable to send: smtp.example.org:587 blocked"
    )


def test_settings_that_differ_say_what_to_do() -> None:
    wrong = finding("differs", "Thunderbird receives from imap.example.org port 143 without TLS; it should be port 993 with TLS")
    files = [
        file("/home/jane/.msmtprc", "drift"),
        file("/home/jane/.mbsyncrc", "unchanged"),
        file("/home/jane/.neomuttrc", "foreign", "it was there before"),
    ]
    machine = diagnose([result()], findings=[wrong, finding("ok", "fine")], files=files)
    (settings,) = [step for step in machine["steps"] if step.get("column") == "settings"]
    assert (machine["state"], settings["verdict"]) == ("problems", "wrong")
    text = "\n".join(shown(machine))
    assert "port 143 without TLS; it should be port 993 with TLS: run provision-mail.yml." in text
    assert "FAIL /home/jane/.msmtprc: was changed by hand: run provision-mail.yml, which puts it back." in text
    assert "note /home/jane/.neomuttrc: is the person's own and is left alone (it was there before)." in text
    assert ".mbsyncrc" not in text


@pytest.mark.parametrize("state", ["differs", "missing"])
def test_where_all_is_prepared_the_remedy_is_the_program_s_next_start(state: str) -> None:
    """Provisioning again would change nothing."""
    cfg = "/usr/lib/thunderbird/charter-mail.cfg"

    def said(*files: dict[str, Any]) -> str:
        text = "\n".join(shown(diagnose([SOUND], findings=[finding(state, "Thunderbird is behind")], files=list(files))))
        (line,) = [line for line in text.splitlines() if "Thunderbird is behind" in line]
        return line.partition("Thunderbird is behind")[2]

    right = {"differs": "puts that right", "missing": "takes the account up"}[state]
    assert said(file(cfg, "unchanged", program="thunderbird")) == f"; it {right} when the person starts it next."
    assert said(file(cfg, "pending", program="thunderbird")) == ": run provision-mail.yml."
    assert said(file("/home/jane/.msmtprc", "unchanged")) == ": run provision-mail.yml.", "of another program"
    for stuck in ("not_installed", "out_of_reach", "no_login", "refused", "failed"):
        assert said(file(cfg, "unchanged", program="thunderbird"), file("thunderbird", stuck, "why", "thunderbird")) == "."


@pytest.mark.parametrize("state", ["foreign", "blocked", "no_login", "not_installed", "refused", "failed"])
def test_what_a_run_would_not_change_is_no_reason_to_run(state: str) -> None:
    """The file says itself what is in the way."""
    lacks = Finding("jane@example.org", "jane", "msmtp", "send", False, "missing", "msmtp has no account", "")
    text = "\n".join(shown(diagnose([SOUND], findings=[lacks], files=[file("/home/jane/.msmtprc", state, "the reason")])))
    assert "msmtp has no account." in text and "/home/jane/.msmtprc" in text and "(the reason)" in text
    assert "provision-mail.yml" not in text
    text = "\n".join(shown(diagnose([SOUND], findings=[lacks], files=[file("/home/jane/.msmtprc", "unchanged")])))
    assert "msmtp has no account; its file is up to date, so another run changes nothing: look which file msmtp reads." in text


def test_an_own_account_that_stays_is_told_with_what_to_press_and_once() -> None:
    place = "/home/jane/.thunderbird/p/prefs.js"
    wrong = finding("differs", "Thunderbird receives from imap.example.org port 143 without TLS")._replace(file=place)
    files = [
        file("/usr/lib/thunderbird/charter-mail.cfg", "unchanged", program="thunderbird"),
        file(place, "own_account", "Thunderbird receives from port 143. Choose SSL/TLS", "thunderbird"),
    ]
    machine = diagnose([SOUND], findings=[wrong], files=files)
    text = "\n".join(shown(machine))
    assert machine["state"] == "problems"
    assert f"FAIL {place}: has an account of the person's own in the way (Thunderbird receives from port 143. Choose SSL/TLS)." in text
    assert text.count("port 143") == 1 and "run provision-mail.yml" not in text


def test_an_account_that_was_never_taken_up_and_a_file_that_cannot_be_read_are_notes() -> None:
    unread = [{"login": "jane", "program": "thunderbird", "file": "/home/jane/x", "message": "is too large"}]
    machine = diagnose([result()], findings=[finding("missing", "Thunderbird has no account yet")], unread=unread)
    assert machine["state"] == "ok"
    assert "note /home/jane/x: is too large." in "\n".join(shown(machine))


def test_every_outcome_of_a_file_has_words() -> None:
    assert {*OUTCOMES} == {*diagnosis._FILES}


def test_what_could_not_be_looked_at_is_not_well() -> None:
    def settings(result: Any) -> str:
        machine = diagnosis.machine("desk-07", ["jane@example.org"], probe={"endpoints": [SOUND]}, findings=[], written=result)
        assert (machine["state"], machine["summary"]) == ("problems", "settings are not as they should be, or not known")
        return "\n".join(shown(machine))

    assert "FAIL Files of the programs: They were not looked at." in settings(None)
    assert "FAIL Files of the programs: They were not looked at." in settings({"changed": False, "skipped": True})
    assert "FAIL Files of the programs: They could not be looked at: No space left." in settings({"failed": True, "msg": "no space left"})
    assert "FAIL Files of the programs: They could not be looked at: No reason was given." in settings({"failed": True})
    assert "FAIL Files of the programs: What was found of them is not known." in settings({"changed": False})
    # What failed is told once, by the file that says why.
    broken = file("/home/jane/.msmtprc", "failed", "the disk is full")
    text = settings({"failed": True, "msg": "1 file failed", "files": [broken]})
    assert "Files of terminal" not in text
    assert "FAIL /home/jane/.msmtprc: cannot be written (the disk is full)." in text


def test_settings_that_cannot_be_read_are_not_well() -> None:
    machine = diagnose([SOUND], findings=[finding("unreadable", "Thunderbird's settings are not known: it is too large")])
    assert machine["state"] == "problems"
    assert "FAIL jane@example.org (jane): Thunderbird's settings are not known: it is too large." in "\n".join(shown(machine))


def test_of_servers_that_were_not_looked_at_nothing_is_said() -> None:
    machine = diagnose([], files=[file("/home/jane/.msmtprc", "unchanged")])
    assert (machine["state"], machine["summary"]) == ("settings_ok", "all is well; the servers were not looked at")
    report = diagnosis.document("acme", NOW, [machine])
    assert report["ok"]
    assert shown(machine)[-1] == "1 with settings that are well, servers not looked at"
    assert "With settings in order, servers not checked".lower() in page(report).lower()


def test_a_machine_that_nothing_looks_at_is_not_well() -> None:
    windows = diagnosis.left_out("pc-03", "windows", ["jane@example.org"])
    report = diagnosis.document("acme", NOW, [windows, diagnosis.left_out("pc-04", "windows", [])])
    assert not report["ok"]
    assert "pc-03: windows machines are not looked at by this version (jane@example.org)" in shown(windows)
    assert [line for _state, line in diagnosis.lines(report)][-1] == "1 well, 1 not diagnosed"
    assert "Not every machine could be checked." in page(report)


def test_the_document_counts_and_sorts() -> None:
    report = diagnosis.document(
        "acme",
        NOW,
        [
            diagnose([result()]),
            diagnosis.not_seen("desk-02", "unreachable", "could not be reached", ["b@example.org", "a@example.org"]),
            {**diagnose([result(**BLOCKED)]), "machine": "desk-01"},
        ],
    )
    assert [each["machine"] for each in report["machines"]] == ["desk-01", "desk-02", "desk-07"]
    assert {state: number for state, number in report["counts"].items() if number} == {"ok": 1, "problems": 1, "unreachable": 1}
    assert (report["ok"], report["time"]) == (False, "2026-11-25T03:00:00+00:00")
    assert [line for _state, line in diagnosis.lines(report)][-1] == "1 well, 1 with problems, 1 not reached"


def test_words_of_a_server_cannot_move_the_cursor() -> None:
    said = {"good": False, "text": "554 \x1b[2J\u202eevil", "busy": False}
    for line in shown(diagnose([result(**{**EARLY, "greeting": said})])):
        assert line.isprintable() or line == ""
