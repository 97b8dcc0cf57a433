"""Homes that hang, are full, are away or changed hands: real logins and real file systems. Needs root."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils.files import machine, persons, store

from tests.unit.machine_below import item

ROOT = Path(__file__).resolve().parent.parent.parent
MISSING = [name for name in ("useradd", "mkfs.ext4", "fsfreeze", "mount") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes throw-away logins and mounts"),
    pytest.mark.skipif(bool(MISSING), reason=f"not on this machine: {', '.join(MISSING)}"),
]


class Place:
    """Throw-away logins on this machine, with a state directory of their own."""

    def __init__(self, folder: Path, logins: Sequence[str]) -> None:
        self.folder, self.logins = folder, logins
        self.homes = {login: folder / "homes" / login for login in logins}
        self.mounts: list[Path] = []
        self.state = folder / "state"

    def run(self, *files: dict[str, Any], **more: Any) -> dict[str, tuple[str, str]]:
        """What a run says: path -> state, message."""
        run = self.machine(**more)
        run.apply(list(files))
        return {outcome["dest"]: (outcome["state"], outcome.get("message", "")) for outcome in run.files}

    @staticmethod
    def machine(**more: Any) -> machine.Machine:
        options = {
            "programs": ["msmtp", "aerc", "thunderbird"],
            "root": "",
            "platform": "linux",
            "take_over": False,
            "backups": 3,
            "check": False,
        }
        return machine.Machine(machine.Options(**{**options, "diff": False, "secrets": [], **more}))

    def states(self, *files: dict[str, Any], **more: Any) -> list[str]:
        return [state for state, _ in self.run(*files, **more).values()]

    def mount(self, where: Path, size: str = "8M") -> None:
        """A small file system of its own, in a file."""
        image = self.folder / f"{len(self.mounts)}.img"
        with image.open("wb") as stream:
            stream.truncate(int(size.rstrip("M")) * 1024 * 1024)
        subprocess.run(["mkfs.ext4", "-q", "-m0", image], check=True)
        done = subprocess.run(["mount", "-o", "loop", image, where], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no loop mount can be made here: {done.stderr.strip()}")
        self.mounts.append(where)

    def end(self) -> None:
        for where in reversed(self.mounts):
            subprocess.run(["fsfreeze", "--unfreeze", where], capture_output=True, check=False)
            subprocess.run(["umount", "--lazy", where], check=False)
        for login in self.logins:
            subprocess.run(["userdel", "--force", login], capture_output=True, check=False)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and folder.stat().st_mode & 0o777 == 0o700:
            folder.chmod(0o711)  # people have to get to their homes
    found = Place(tmp_path, [f"cmf{os.getpid()}{letter}" for letter in "ab"])
    monkeypatch.setattr(store, "directory", lambda *_: str(found.state))
    (tmp_path / "homes").mkdir(mode=0o755)
    try:
        for login in found.logins:
            subprocess.run(["useradd", "--create-home", "--home-dir", found.homes[login], login], check=True)
        yield found
    finally:
        found.end()


def fill(path: Path) -> None:
    """A file that takes all the room there is."""
    with path.open("wb") as stream, contextlib.suppress(OSError):
        while True:
            stream.write(b"x" * 4096)
            stream.flush()


def test_a_home_that_hangs_holds_up_nobody(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frozen file system: who writes to it hangs in the kernel and cannot even be killed."""
    ann, bob = place.logins
    frozen = place.homes[ann]
    place.mount(frozen)
    shutil.chown(frozen, ann, ann)
    files = [item(login=ann), item(login=bob)]
    assert place.states(*files) == ["created", "created"]
    subprocess.run(["fsfreeze", "--freeze", frozen], check=True)
    changed = [item(login=login, content="two\n") for login in (ann, bob)]
    with monkeypatch.context() as short:
        short.setattr(persons, "SECONDS", 10)
        found = place.run(*changed)
    assert found == {
        f"~{ann}/.rc": ("failed", f"the home {frozen} did not answer within 10 s"),
        f"{place.homes[bob]}/.rc": ("pending", ""),
    }
    # The lock is free though the process that hangs is still there.
    assert place.states(item(login=bob, content="three\n", program="aerc"), programs=["aerc"]) == ["refused"]
    subprocess.run(["fsfreeze", "--unfreeze", frozen], check=True)
    os.waitpid(-1, 0)  # now it can end
    after = place.run(*changed)
    assert after[f"{place.homes[bob]}/.rc"] == ("unchanged", ""), after
    assert (frozen / ".rc").read_text() == "two\n"
    assert place.states(*changed) == ["unchanged", "unchanged"]
    assert [path.name for path in frozen.iterdir() if "charter-mail-" in path.name] == []


def test_a_full_disk_costs_nobody_anything(place: Place) -> None:
    ann, bob = place.logins
    home = place.homes[ann]
    place.mount(home, "2M")
    shutil.chown(home, ann, ann)
    place.run(item(login=ann))
    (home / ".rc").write_text("theirs\n")
    filler = home / "filler"
    fill(filler)
    big = "x" * 20_000
    found = place.run(item(login=ann, content=big), item(login=bob, content=big))
    assert found[f"{home}/.rc"] == ("failed", "No space left on device")
    assert found[f"{place.homes[bob]}/.rc"][0] == "created"
    assert (home / ".rc").read_text() == "theirs\n"
    filler.unlink()
    assert place.states(item(login=ann, content=big), item(login=bob, content=big)) == ["conflict", "unchanged"]
    assert (home / ".local/state/charter-mail/backups/.rc.1").read_text() == "theirs\n"


def test_a_full_disk_under_the_state_is_said_before_anything_is_touched(place: Place) -> None:
    place.state.mkdir(mode=0o700)
    place.mount(place.state, "2M")
    fill(place.state / "filler")
    many = [item(f".rc{number}", login=place.logins[0]) for number in range(40)]
    for check in (True, False):
        with pytest.raises(store.StoreError, match=r"state\.json cannot be written: No space left on device"):
            place.run(*many, check=check)
    assert not list(place.homes[place.logins[0]].glob(".rc*"))
    (place.state / "filler").unlink()
    assert set(place.states(*many)) == {"created"}


def test_a_state_that_is_immutable_is_said(place: Place) -> None:
    place.run(item(login=place.logins[0]))
    state = place.state / "state.json"
    if subprocess.run(["chattr", "+i", state], capture_output=True, check=False).returncode:
        pytest.skip("no file can be made immutable here")
    try:
        with pytest.raises(store.StoreError, match=r"state\.json cannot be written: no right to it"):
            place.run(item(content="two\n", login=place.logins[0]))
    finally:
        subprocess.run(["chattr", "-i", state], check=True)
    assert (place.homes[place.logins[0]] / ".rc").read_text() == "one\n"


def test_a_leaver_whose_home_is_away_is_not_forgotten(place: Place) -> None:
    ann, _bob = place.logins
    home = place.homes[ann]
    place.run(item(login=ann))
    away = home.rename(place.folder / "homes/away")
    state, words = place.run()[f"~{ann}/.rc"]
    assert state == "waiting"
    assert "does not exist" in words
    home.mkdir()  # a mount point with nothing mounted on it
    assert "belongs to uid 0" in place.run()[f"~{ann}/.rc"][1]
    shutil.chown(home, ann, ann)
    state, words = place.run()[f"{home}/.rc"]
    assert state == "waiting"
    assert "another directory" in words
    home.rmdir()
    away.rename(home)
    assert place.states() == ["removed"]
    assert not (home / ".rc").exists()
    assert place.run() == {}


def test_who_has_no_login_here_is_told_for_every_program(place: Place) -> None:
    ann, _bob = place.logins
    near = f"{ann}x"
    people = [
        {"login": ann, "programs": {"thunderbird": ["ann@example.org"]}},
        {"login": near, "programs": {"thunderbird": ["joe@example.org"], "msmtp": ["joe@example.org"]}},
    ]
    shared = item(str(place.folder / "shared.cfg"), program="thunderbird")
    run = place.machine(people=people)
    run.apply([shared, item(login=ann, program="aerc"), item(login=near)])
    words = f"this machine has no login {near}; did you mean {ann}?"
    assert [(outcome["dest"], outcome["program"], outcome["state"], outcome.get("message", "")) for outcome in run.files] == [
        (shared["dest"], "thunderbird", "created", ""),
        (f"{place.homes[ann]}/.rc", "aerc", "created", ""),
        (f"~{near}/.rc", "msmtp", "no_login", words),
        (f"~{near}", "thunderbird", "no_login", words),
    ]


def test_a_login_that_is_gone_for_good_is_forgotten(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, _bob = place.logins
    place.run(item(login=ann))
    subprocess.run(["userdel", "--force", ann], capture_output=True, check=False)
    monkeypatch.setattr(persons, "_LOCAL", set())  # as if logins came from a directory server as well
    assert place.states() == ["waiting"]
    monkeypatch.undo()
    monkeypatch.setattr(store, "directory", lambda *_: str(place.state))
    assert persons.absence(ann).__class__ is persons.Deleted
    assert place.states() == ["removed"]
    assert place.run() == {}


def test_a_file_of_ours_that_changed_hands_is_put_back_and_kept(place: Place) -> None:
    ann, _bob = place.logins
    home = place.homes[ann]
    place.run(item(login=ann))
    for text in ("roots\n", "again\n"):
        (home / ".rc").write_text(text)
        os.chown(home / ".rc", 0, 0)
        (home / ".rc").chmod(0o600)
        assert place.states(item(login=ann), check=True) == ["drift"]
        assert place.states(item(login=ann)) == ["drift"]
        assert (home / ".rc").read_text() == "one\n"
        assert (home / ".rc").owner() == ann
    copies = home / ".local/state/charter-mail/backups"
    assert [(copies / f".rc.{number}").read_text() for number in (1, 2)] == ["again\n", "roots\n"]
    os.chown(home / ".rc", 0, 0)
    (home / ".rc").chmod(0o600)
    assert place.states() == ["removed"]
    assert not (home / ".rc").exists()


RUN = """
import os, signal, sys, time
from pathlib import Path
sys.path.insert(0, {collections!r})
sys.path.insert(0, {root!r})
from ansible_collections.msp.charter_mail.plugins.module_utils.files import machine, paths, persons, store, contents
from tests.unit.machine_below import item
store.directory = lambda *_: {state!r}
put, run = contents.put, os.getpid()
def dying(place, temporary):
    put(place, temporary)
    if place.name == ".rc" and {victim!r} == "worker":
        os.kill(os.getpid(), signal.SIGKILL)
    if place.name == ".rc":
        while os.getppid() == run:  # until the run is killed
            time.sleep(0.01)
        os._exit(0)
contents.put = dying
work = machine.Machine(machine.Options(["msmtp"], "", "linux", False, 3, False, False, []))
work.apply([item(login=login) for login in {logins!r}])
print([outcome["state"] for outcome in work.files])
"""


@pytest.mark.parametrize(("victim", "name"), [("run", "SIGKILL"), ("run", "SIGTERM"), ("worker", "SIGKILL")])
def test_what_a_killed_run_wrote_is_known_to_the_next(place: Place, victim: str, name: str) -> None:
    words = {"collections": str(ROOT / "collections"), "root": str(ROOT), "state": str(place.state), "logins": place.logins}
    ann = place.logins[0]
    written = place.homes[ann] / ".rc"
    with subprocess.Popen([sys.executable, "-c", RUN.format(**words, victim=victim)], stdout=subprocess.PIPE, text=True) as run:
        while run.poll() is None and not written.exists():
            time.sleep(0.01)
        if victim == "run":
            run.send_signal(getattr(signal, name))
        said, _ = run.communicate(timeout=120)
    assert said == ("" if victim == "run" else "['failed', 'failed']\n")
    assert written.read_text() == "one\n"
    assert place.run(item(login=ann, content="two\n"))[f"{place.homes[ann]}/.rc"][0] == "pending"
    assert "removed" in place.states()
    assert not (place.homes[ann] / ".rc").exists()
