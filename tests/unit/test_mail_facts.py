"""Which version a program says it is."""

from __future__ import annotations

import os
import pwd
import tempfile
from pathlib import Path

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils import programs


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("msmtp version 1.8.28\nPlatform: x86_64-pc-linux-gnu\n", "1.8.28"),
        ("isync 1.4.4\n", "1.4.4"),
        ("NeoMutt 20220429\nCopyright (C) 1996-2022 Michael R. Elkins\n", "20220429"),
        ("aerc 0.20.1 +notmuch (go1.23 amd64 linux)\n", "0.20.1"),
        ("aerc 0.14.0-1+b4 (go1.19.5)", "0.14.0-1+b4"),
        ("usage: something\n", None),
    ],
)
def test_the_version_is_found_in_what_the_program_says(text: str, version: str | None) -> None:
    assert programs.version_in(text) == version


def test_thunderbird_is_read_not_started(tmp_path: Path) -> None:
    place = tmp_path / "thunderbird"
    place.mkdir()
    (place / "application.ini").write_text("[App]\nVendor=Mozilla\nName=Thunderbird\nVersion=140.4.0\nBuildID=2\n")
    found = programs.thunderbird([str(tmp_path / "none"), str(place)])
    assert found == {"installed": True, "version": "140.4.0", "path": str(place)}
    assert programs.thunderbird([str(tmp_path)]) == {"installed": False, "version": None, "path": None}


def test_a_program_is_asked_without_rights_and_not_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not below tmp_path, whose parents are closed to the user that asks.
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "mbsync")
        program.parent.chmod(0o755)
        monkeypatch.setattr(programs, "_PATH", f"{folder}:{programs._PATH}")
        program.write_text('#!/bin/sh\necho "version 1.$(id -u).$(env | grep -c SECRET)"\n')
        program.chmod(0o755)
        monkeypatch.setenv("SECRET", "x")
        uid = os.geteuid() or pwd.getpwnam("nobody").pw_uid
        assert programs.look("mbsync", "linux") == {"installed": True, "version": f"1.{uid}.0", "path": str(program)}
        monkeypatch.setattr(programs, "SECONDS", 0.5)
        program.write_text("#!/bin/sh\nexec sleep 60\n")
        assert programs.look("mbsync", "linux")["version"] is None
    assert programs.look("aerc-that-is-not-there", "linux")["installed"] is False
