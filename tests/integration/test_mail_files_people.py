"""The process that works for a person, and a run without root. Needs root to make throw-away logins."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils.files import machine, persons

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes throw-away logins")


@pytest.fixture(scope="module")
def person() -> Iterator[persons.Person]:
    login = f"cmp{os.getpid()}"
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", login], check=True)
    try:
        found = persons.find(login)
        assert found is not None
        yield found
    finally:
        subprocess.run(["userdel", "--remove", "--force", login], capture_output=True, check=False)


def test_the_child_has_the_rights_of_the_person_for_good(person: persons.Person) -> None:
    def look() -> dict[str, Any]:
        try:
            os.setuid(0)
            back = True
        except PermissionError:
            back = False
        umask = os.umask(0)
        return {"ids": [*os.getresuid(), *os.getresgid()], "groups": os.getgroups(), "back": back, "umask": umask}

    groups = os.getgroups()
    os.setgroups([0, 4])
    try:
        seen = persons.as_person(person, look)
    finally:
        os.setgroups(groups)
    assert seen["ids"] == [person.uid] * 3 + [person.gid] * 3
    assert seen["groups"] == [person.gid]
    assert seen["back"] is False
    assert seen["umask"] == 0o077
    assert os.geteuid() == 0


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "died"),
        (lambda: os._exit(3), "died"),
        (signal.pause, "did not answer"),
    ],
)
def test_a_child_that_fails_is_told(person: persons.Person, monkeypatch: pytest.MonkeyPatch, work: Any, words: str) -> None:
    monkeypatch.setattr(persons, "SECONDS", 1)
    with pytest.raises(persons.NotDone, match=words):
        persons.as_person(person, work)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_running_programs_are_those_of_the_person(person: persons.Person) -> None:
    assert "sleep" not in persons.running(person.uid)
    sleeper = subprocess.Popen(["sleep", "60"], user=person.uid)
    try:
        for _ in range(100):
            if "sleep" in persons.running(person.uid):
                break
        else:
            pytest.fail("the process was not seen")
    finally:
        sleeper.kill()
        sleeper.wait()
    assert "sleep" not in persons.running(person.uid)


def test_without_root_only_the_own_home_is_written(person: persons.Person) -> None:
    def file(dest: str, path: str, login: str | None) -> dict[str, Any]:
        return {
            **{"dest": dest, "path": path, "login": login, "program": "msmtp", "people": [], "content": "x\n"},
            **{"mode": "0600", "dir_mode": "0700", "strategy": "replace", "sensitive": False, "running": []},
        }

    files = [
        file("~me/.rc", ".rc", person.login),
        file("~root/.rc", ".rc", "root"),
        file("/etc/charter-mail-test", "/etc/charter-mail-test", None),
    ]

    def work() -> list[str]:
        os.environ["HOME"] = person.home
        run = machine.Machine(machine.Options(["msmtp"], "", "linux", False, 3, False, False, []))
        run.apply(files)
        return [outcome["state"] for outcome in run.files]

    assert persons.as_person(person, work) == ["created", "refused", "refused"]
    assert persons.as_person(person, work) == ["unchanged", "refused", "refused"]
    home = Path(person.home)
    assert (home / ".rc").read_text() == "x\n"
    assert stat.S_IMODE((home / ".local/state/charter-mail/state.json").stat().st_mode) == 0o600
    assert not Path("/etc/charter-mail-test").exists()


def test_a_home_that_is_not_there_or_not_ones_own_is_refused(person: persons.Person, tmp_path: Path) -> None:
    assert "does not exist" in str(persons.home_problem(person._replace(home=str(tmp_path / "none"))))
    assert "belongs to uid 0" in str(persons.home_problem(person._replace(home=str(tmp_path))))
    assert persons.home_problem(person) is None
