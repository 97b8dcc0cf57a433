"""Completion of the names of offices, as bash asks for it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.playbook import ROOT


def complete(words: list[str], offices: Path) -> list[str]:
    script = (
        f". {ROOT}/contrib/completion.sh; cd {ROOT}; COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; "
        'COMP_WORDS[COMP_CWORD]=${COMP_WORDS[COMP_CWORD]#EMPTY}; _charter_mail_make; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, env={"OFFICES": str(offices), "PATH": "/usr/bin:/bin"}
    )
    assert done.stderr == ""
    return sorted(done.stdout.split())


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_offices_and_targets_complete(tmp_path: Path) -> None:
    for name in ("acme", "acme-west", "zoo"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "hosts.yml").touch()
    (tmp_path / "notes").mkdir()
    assert complete(["make", "provision", "OFFICE", "=", "ac"], tmp_path) == ["acme", "acme-west"]
    assert complete(["make", "provision", "OFFICE", "="], tmp_path) == ["acme", "acme-west", "zoo"]
    assert complete(["make", "OFFICE=z"], tmp_path) == ["zoo"]
    assert complete(["make", "prov"], tmp_path) == ["provision"]
    assert complete(["make", "OFF"], tmp_path) == ["OFFICE="]
