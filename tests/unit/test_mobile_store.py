"""The controller's folder of files: one step per file, and what is remembered."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.action import mobile_files
from ansible_collections.msp.charter_mail.plugins.action.mobile_files import ActionModule
from ansible_collections.msp.charter_mail.plugins.plugin_utils.files.folder import MANIFEST, Folder
from ansible_collections.msp.charter_mail.plugins.plugin_utils.handout import ready


@pytest.fixture
def store(tmp_path: Path) -> Folder:
    made = Folder(tmp_path / "out", False, False)
    assert made.put("jane", "1", {"a.txt": b"one", "b.txt": b"two"}) == "created"
    made.save()
    return made


def test_the_next_run_knows_what_was_written(store: Folder) -> None:
    again = Folder(store.dest, False, False)
    assert again.known == store.known
    assert again.is_current("jane", "1")
    assert not again.is_current("jane", "2") and not again.is_current("zoe", "1")
    (store.dest / "jane/a.txt").write_bytes(b"changed")
    assert not again.is_current("jane", "1")
    (store.dest / "jane/a.txt").unlink()
    assert not again.is_current("jane", "1")


def test_what_a_run_had_in_mind_is_ours_and_is_not_taken_for_done(store: Folder) -> None:
    store.expect("jane", ["a.txt", "c.txt"], ("jane", "j"))
    store.expect("zoe", ["z.txt"], ("zoe", ""))
    store.save()
    again = Folder(store.dest, False, False)
    assert again.whose() == {"jane": ("jane", "j"), "zoe": ("zoe", "")}
    (store.dest / "zoe").mkdir()
    for name in ("jane/a.txt", "jane/c.txt", "jane/d.txt", "zoe/z.txt"):
        (store.dest / name).write_bytes(b"other")
    assert again.unknown("jane", ["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"]) == ["d.txt"]
    assert again.strangers("jane", {"c.txt": b"three", "d.txt": b"other"}) == []
    (problem,) = again.strangers("jane", {"c.txt": b"three", "d.txt": b"four"})
    assert str(problem).startswith(f"{store.dest}/jane: has d.txt, in the way")
    assert not again.is_current("jane", "1") and not again.is_current("zoe", "")
    # Nobody knows whether it is what was going to be written.
    assert again.clear({"jane"}) == ["zoe"] and (store.dest / "zoe/z.txt").exists()
    assert again.put("zoe", "1", {"z.txt": b"z"}) == "created"
    assert again.put("jane", "2", {"a.txt": b"one", "b.txt": b"two"}) == "updated"
    again.save()
    assert Folder(store.dest, False, False).whose() == {"jane": ("jane", "j"), "zoe": ()}


def test_a_manifest_of_before_names_nobody(store: Folder) -> None:
    path = store.dest / MANIFEST
    known = json.loads(path.read_bytes())
    assert known["folders"]["jane"].pop("who") == []
    path.write_text(json.dumps(known))
    assert Folder(store.dest, False, False).known == store.known


def test_a_file_is_replaced_in_one_step(store: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        with path.open("wb") as stream:
            stream.write(data[:1])
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        store.put("jane", "2", {"a.txt": b"other", "b.txt": b"two"})
    assert store.read("jane", "a.txt") == b"one"
    assert sorted(path.name for path in (store.dest / "jane").iterdir()) == ["a.txt", "b.txt"]
    assert store.known["jane"].inputs == "1"


def test_a_check_writes_and_removes_nothing(store: Folder) -> None:
    before = {path: path.read_bytes() for path in store.dest.rglob("*") if path.is_file()}
    check = Folder(store.dest, True, True)
    assert check.put("jane", "2", {"a.txt": b"other"}) == "updated"
    assert check.put("zoe", "1", {"z.png": b"\x89\xff"}) == "created"
    check.save()
    leaving = Folder(store.dest, True, True)
    assert leaving.clear({"zoe"}) == ["jane"]
    leaving.save()
    assert {path: path.read_bytes() for path in store.dest.rglob("*") if path.is_file()} == before
    assert check.changed and leaving.changed

    def shown(one: Folder) -> list[tuple[str, str, str]]:
        return [(Path(entry["after_header"]).name, entry["before"], entry["after"][:9]) for entry in one.diff]

    assert shown(check) == [("a.txt", "one", "other"), ("b.txt", "two", ""), ("z.png", "", "(2 bytes,")]
    assert shown(leaving) == [("a.txt", "one", ""), ("b.txt", "two", "")]


def test_another_version_of_the_code_makes_everything_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "qr.py").write_text("1")
    monkeypatch.setattr(mobile_files, "PLUGIN_UTILS", tmp_path)
    first = mobile_files._tool()
    (tmp_path / "qr.py").write_text("2")
    assert mobile_files._tool() != first
    assert mobile_files._digest(["a", {"x": 1, "b": 2}]) == mobile_files._digest(["a", {"b": 2, "x": 1}]) != mobile_files._digest(["a"])


def test_another_language_is_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for language in ("de", "en"):
        (tmp_path / f"{language}.yml").write_text(f"lang: {language}\n")
    monkeypatch.setattr(ready, "TEXTS", tmp_path)
    assert ready.texts_of("de") == ({"lang": "de"}, [])
    texts, (problem,) = ready.texts_of("../en")
    assert texts == {"lang": "en"}
    assert str(problem) == 'group_vars/all.yml: mobile_language: "../en" is not de or en'


def test_long_work_shows_how_far_it_is_and_remembers(store: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(mobile_files, "PROGRESS", 10)
    monkeypatch.setattr(mobile_files.time, "monotonic", iter(range(0, 999, 6)).__next__)
    monkeypatch.setattr(mobile_files.display, "display", shown.append)
    owners: list[Any] = [{"number": number} for number in range(6)]
    for owner in ActionModule._with_progress(owners, store):
        store.put(f"p{owner['number']}", "1", {"a": b"a"})
    # The clock is read again for each line.
    assert shown == ["Hand-outs: 1 of 6 people", "Hand-outs: 3 of 6 people", "Hand-outs: 5 of 6 people"]
    assert Folder(store.dest, False, False).known.keys() == {"jane", "p0", "p1", "p2", "p3", "p4"}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts a small file system")
def test_a_full_disk_is_said_of_the_file_that_did_not_fit(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", place], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        store = Folder(place, False, False)
        store.put("jane", "1", {"a.txt": b"one"})
        with pytest.raises(OSError) as caught:
            store.put("jane", "2", {"a.txt": b"x" * 200_000})
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(place / "jane/a.txt"))
        assert [path.name for path in (place / "jane").iterdir()] == ["a.txt"] and store.read("jane", "a.txt") == b"one"
    finally:
        subprocess.run(["umount", place], check=True)
