"""mail_settings through a real ansible-playbook, and with the rights of people of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils.files import persons
from ansible_collections.msp.charter_mail.plugins.module_utils.stored import find

from tests.integration.playing import Play

ROOT = Path(__file__).resolve().parents[2]
RC = "host {}\nfrom jane@example.org\npassword open-sesame\n"
EVERY = list(find.PROGRAMS)


def task(**arguments: Any) -> dict[str, Any]:
    return {"msp.charter_mail.mail_settings": arguments}


def test_a_task_reads_the_files_this_project_writes(tmp_path: Path) -> None:
    machine = tmp_path / "machine"
    shutil.copytree(ROOT / "tests/golden/expected/desk/home", machine / "home")
    (machine / "home/brien").mkdir(exist_ok=True)
    (machine / "home/brien/.msmtprc").write_text("eval echo host x\n")
    steps = [
        {**task(logins=["jane", "brien"], root=str(machine)), "register": "read"},
        {**task(logins=["jane", "brien"], root=f"{machine}/"), "check_mode": True, "register": "check"},
        {**task(logins=["jane"], programs=["mbsync"], root=str(machine)), "register": "one"},
        {**task(logins=["jane"], programs=["pine"], root=str(machine)), "register": "wrong"},
        {**task(logins=["no-such-login"]), "register": "nobody"},
    ]
    results = Play(tmp_path / "project").run(steps)
    read = results["read"]
    assert read["changed"] is False
    assert [(account["login"], account["program"], account["file"], account["email"]) for account in read["accounts"]] == [
        ("jane", "msmtp", "/home/jane/.msmtprc", "jane.doe@example.org"),
        ("jane", "msmtp", "/home/jane/.msmtprc", "info@example.com"),
        ("jane", "mbsync", "/home/jane/.mbsyncrc", ""),
        ("jane", "mbsync", "/home/jane/.mbsyncrc", ""),
        ("jane", "aerc", "/home/jane/.config/aerc/accounts.conf", "jane.doe@example.org"),
        ("jane", "aerc", "/home/jane/.config/aerc/accounts.conf", "info@example.com"),
    ]
    message = "line 1 is the output of a command (eval), so only msmtp knows what it uses"
    assert read["problems"] == [{"login": "brien", "program": "msmtp", "file": "/home/brien/.msmtprc", "message": message}]
    for key in ("accounts", "problems"):
        assert results["check"][key] == read[key]
    assert [account["program"] for account in results["one"]["accounts"]] == ["mbsync"] * 2
    assert results["wrong"]["failed"] and "pine" in results["wrong"]["msg"]
    assert results["nobody"]["accounts"] == []
    assert [(problem["program"], problem["file"], problem["message"]) for problem in results["nobody"]["problems"]] == [
        (program, "", "this machine has no login no-such-login") for program in EVERY
    ]


@pytest.fixture(scope="module")
def people() -> Iterator[tuple[persons.Person, persons.Person]]:
    """Two throw-away logins."""
    if os.geteuid() != 0:
        pytest.skip("needs root: makes throw-away logins")
    logins = [f"cms{os.getpid()}{letter}" for letter in "ab"]
    try:
        for login in logins:
            subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", login], check=True)
        jane, john = (persons.find(login) for login in logins)
        assert jane and john
        yield jane, john
    finally:
        for login in logins:
            subprocess.run(["userdel", "--remove", "--force", login], capture_output=True, check=False)


@pytest.fixture
def homes(people: tuple[persons.Person, persons.Person]) -> Iterator[tuple[persons.Person, Path, persons.Person, Path]]:
    """Both with an empty home."""
    jane, john = people
    for person in people:
        for entry in Path(person.home).iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    yield jane, Path(jane.home), john, Path(john.home)


def write(person: persons.Person, path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    for each in (path, *path.parents):
        if each == Path(person.home):
            break
        os.chown(each, person.uid, person.gid)
    path.chmod(0o600)


def look(person: persons.Person) -> tuple[list[str], list[tuple[str, str]]]:
    """Hosts, and problems as (name of the file, message)."""
    found = find.look([person.login], EVERY, "", "linux")
    assert "open-sesame" not in str(found)
    hosts = [(account["incoming"] or account["outgoing"])["host"] for account in found["accounts"]]
    return hosts, [(Path(problem["file"]).name, problem["message"]) for problem in found["problems"]]


def test_a_person_s_own_files_are_read(homes: tuple[persons.Person, Path, persons.Person, Path]) -> None:
    jane, home, _, _ = homes
    write(jane, home / ".msmtprc", RC.format("jane.test"))
    assert look(jane) == (["jane.test"], [])


PREFS = """user_pref("mail.accountmanager.accounts", "a");
user_pref("mail.account.a.server", "s");
user_pref("mail.server.s.type", "imap");
user_pref("mail.server.s.hostname", "{}");
user_pref("mail.server.s.userName", "jane@example.org");
"""


@pytest.fixture
def shelf() -> Iterator[Path]:
    """A directory outside the homes that people may go through and not list, as /home often is."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


def test_a_profile_elsewhere_is_read_with_the_person_s_rights(
    homes: tuple[persons.Person, Path, persons.Person, Path], shelf: Path
) -> None:
    jane, home, john, other = homes
    write(john, other / ".thunderbird/p/prefs.js", PREFS.format("john.test"))
    other.chmod(0o700)
    for number, person in enumerate((jane, john)):
        (shelf / f"{number}").mkdir(mode=0o700)
        (shelf / f"{number}/prefs.js").write_text(PREFS.format(f"shelf-{number}.test"))
        for path in (shelf / f"{number}", shelf / f"{number}/prefs.js"):
            os.chown(path, person.uid, person.gid)
    (shelf / "link").symlink_to(other / ".thunderbird/p")
    (shelf / "file").touch()
    places = [shelf / "0", shelf / "1", shelf / "link", shelf / "file", other / ".thunderbird/p", Path("/root"), shelf / "nowhere"]
    lines = [f"[Profile{number}]\nIsRelative=0\nPath={path}\n" for number, path in enumerate(places)]
    write(jane, home / ".thunderbird/profiles.ini", "".join(lines))
    hosts, problems = look(jane)
    assert hosts == ["shelf-0.test"]
    refused = ("prefs.js", "no right to it: Permission denied")
    assert problems == [refused, refused, ("prefs.js", "it is not a directory"), refused, refused]


def test_a_link_to_somebody_else_s_file_is_not_read(homes: tuple[persons.Person, Path, persons.Person, Path]) -> None:
    jane, home, john, other = homes
    write(john, other / "rc", RC.format("john.test"))
    write(john, other / ".thunderbird/p/prefs.js", 'user_pref("mail.x", 1);')
    (home / ".msmtprc").symlink_to(other / "rc")
    os.link(other / "rc", home / ".mbsyncrc")  # a hard link: only the rights of the person help
    (home / ".thunderbird").symlink_to(other / ".thunderbird")
    hosts, problems = look(jane)
    assert hosts == []
    assert [name for name, _ in problems] == [".thunderbird", ".msmtprc", ".mbsyncrc"]
    assert "leads out of" in problems[0][1] and "leads out of" in problems[1][1]
    assert problems[2][1] == "it cannot be read by the one it should belong to"


def test_what_the_person_cannot_read_is_told(homes: tuple[persons.Person, Path, persons.Person, Path]) -> None:
    jane, home, _, _ = homes
    write(jane, home / ".msmtprc", RC.format("jane.test"))
    os.chown(home / ".msmtprc", 0, 0)
    for folder in (home / ".thunderbird", home / ".config"):
        folder.mkdir(mode=0o700)  # root's, as after a start with sudo
    assert look(jane) == (
        [],
        [
            (".thunderbird", "no right to it: Permission denied"),
            (".msmtprc", "it cannot be read by the one it should belong to"),
            ("isyncrc", "no right to it: Permission denied"),
            ("accounts.conf", "no right to it: Permission denied"),
        ],
    )


def test_it_is_the_person_who_reads(people: tuple[persons.Person, persons.Person], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "_home", lambda *_: {"accounts": [{"ids": [*os.getresuid(), *os.getresgid()]}], "problems": []})
    found = find.look([person.login for person in people], EVERY, "", "linux")["accounts"]
    assert [entry["ids"] for entry in found] == [[person.uid] * 3 + [person.gid] * 3 for person in people]
    assert os.geteuid() == 0


def test_a_reader_that_fails_is_told(people: tuple[persons.Person, persons.Person], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "_home", lambda *_: 1 / 0)
    found = find.look([people[0].login], ["msmtp"], "", "linux")
    assert found["accounts"] == []
    assert "ZeroDivisionError" in found["problems"][0]["message"]


def test_without_root_only_the_own_home_is_read(homes: tuple[persons.Person, Path, persons.Person, Path]) -> None:
    jane, home, john, other = homes
    write(jane, home / ".msmtprc", RC.format("jane.test"))
    write(john, other / ".msmtprc", RC.format("john.test"))

    def work() -> find.Found:
        return find.look([jane.login, john.login], ["msmtp"], "", "linux")

    found = persons.as_person(jane, work)
    assert [account["login"] for account in found["accounts"]] == [jane.login]
    assert [(problem["login"], problem["message"]) for problem in found["problems"]] == [
        (john.login, "without root rights only the own home can be read")
    ]


def test_a_home_that_is_not_there_is_told(people: tuple[persons.Person, persons.Person], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persons, "find", lambda login: people[0]._replace(home="/nonexistent"))
    problems = find.look([people[0].login], EVERY, "", "linux")["problems"]
    assert [problem["program"] for problem in problems] == EVERY
    assert all("does not exist" in problem["message"] for problem in problems)
