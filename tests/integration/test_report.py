"""The report of diagnose_mail.yml, as a technician gets it on the controller."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.playbook import play, tree, write_office


def test_a_report_replaces_the_one_before_and_nothing_else(tmp_path: Path) -> None:
    office = write_office(tmp_path / "acme", "address,full_name,machines,login\njane@example.org,Jane,desk-01,jane\n", "desk-01")
    report = tmp_path / "build/diagnosis/acme"

    def diagnose() -> str:
        # Jane's mail programs were never started, so the diagnosis has something to say.
        run = play("playbooks/diagnose_mail.yml", "-i", office, cwd=tmp_path)
        assert run.code == 2, run.out
        return " ".join(run.out.split())

    report.mkdir(parents=True)
    (report / "notes.txt").write_text("mine")
    assert f"Report: {report}/diagnosis.html" in diagnose()
    first = tree(report)
    assert sorted(first) == ["diagnosis.html", "diagnosis.json", "notes.txt"]
    assert json.loads(first["diagnosis.json"])["office"] == "acme"
    assert f"Report: {report}/diagnosis.html" in diagnose()
    (report / "diagnosis.html").write_text("<title>My own page</title>")
    before = tree(report)
    assert f"The report was not written: {report} has diagnosis.html, no report of this project; move that elsewhere" in diagnose()
    assert tree(report) == before
    # Of a pipe that nobody writes to, reading would not end.
    (report / "diagnosis.html").unlink()
    os.mkfifo(report / "diagnosis.html")
    assert "The report was not written" in diagnose()


def test_a_machine_that_nothing_looks_at_is_named_and_is_not_well(tmp_path: Path) -> None:
    sheet = "address,full_name,machines,login\njane@example.org,Jane,desk-01,jane\njim@example.org,Jim,pc-03,jim\n"
    office = write_office(tmp_path / "acme", sheet, "desk-01")
    with (office / "hosts.yml").open("a") as hosts:
        hosts.write("windows:\n  hosts:\n    pc-03:\n    pc-04:\n")
    run = play("playbooks/diagnose_mail.yml", "-i", office, cwd=tmp_path)
    assert run.code == 2, run.out
    assert "pc-03: windows machines are not looked at by this version (jim@example.org)" in run.out
    assert "pc-04: nobody of this office has mail here" in run.out
    assert "1 well, 1 with problems, 1 not diagnosed" in run.out
    # A run that writes nothing says of nothing that it was changed or written.
    assert "changed: [" not in run.out and " changed=0 " in run.row("desk-01", "ok=")
    assert "TASK [" in run.out and "Write " not in run.out, run.out
    alone = play("playbooks/diagnose_mail.yml", "-i", office, "--limit", "pc-03", cwd=tmp_path)
    assert alone.code == 2, alone.out
    assert "pc-03: windows machines are not looked at by this version (jim@example.org)" in alone.out
    assert "left out" not in alone.out and "desk-01" not in alone.out.partition("Mail of office acme")[2]
