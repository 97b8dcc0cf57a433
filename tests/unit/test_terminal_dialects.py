"""The version that is on a machine decides the words of isync and aerc."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.playbook import ROOT, command

# Debian 12, Debian 13, the first releases with the new words, and nobody knows.
VERSIONS = [("1.4.4", "0.14.0"), ("1.5.1", "0.20.0"), ("1.5", "0.15"), (None, None)]
OLD = ("SSLType", ["smtp-starttls = yes"])
NEW = ("TLSType", [])


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, list[str]]]:
    """Per pair of versions: mbsync's word for TLS, and what aerc needs besides for STARTTLS."""
    folder = tmp_path_factory.mktemp("dialects")
    tasks: list[dict[str, Any]] = []
    for number, (mbsync, aerc) in enumerate(VERSIONS):
        facts = {"programs": {"mbsync": {"version": mbsync}, "aerc": {"version": aerc}}}
        copy = {
            "content": "{{ (__programs_files_mbsync + __programs_files_aerc) | to_json }}",
            "dest": str(folder / str(number)),
            "mode": "0600",
        }
        tasks.append({"ansible.builtin.copy": copy, "vars": {"mail_facts": facts}})
    rows = [*(f"vars/main/{name}.yml" for name in ("main", "mbsync", "aerc")), "defaults/main/terminal.yml"]
    files = [str(ROOT / "roles/programs" / name) for name in rows]
    python = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    playbook = [{"hosts": "localhost", "gather_facts": False, "vars": python, "vars_files": files, "tasks": tasks}]
    (folder / "play.yml").write_text(yaml.safe_dump(playbook), encoding="utf-8")
    run = command("ansible-playbook", "-i", "localhost,", "-c", "local", folder / "play.yml")
    assert run.code == 0, run.out
    return [_words(folder / str(number)) for number in range(len(VERSIONS))]


def _words(path: Path) -> tuple[str, list[str]]:
    rows = {row["program"]: row.get("vars", {}) for row in json.loads(path.read_text(encoding="utf-8"))}
    assert rows["aerc"]["smtp_lines"]["tls"] == []
    return rows["mbsync"]["tls_setting"], rows["aerc"]["smtp_lines"]["starttls"]


def test_old_and_new_words(words: list[tuple[str, list[str]]]) -> None:
    assert words == [OLD, NEW, NEW, NEW]
