"""Which version a program says it is."""

from __future__ import annotations

import os
import pwd
import re
import signal
import tempfile
from pathlib import Path

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils.stored import programs


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


INI = "[App]\nVendor=Mozilla\nName=%s\nVersion=%s\nBuildID=2\n"


def install(place: Path, name: str = "Thunderbird", version: str = "140.4.0") -> Path:
    place.mkdir(parents=True)
    (place / "application.ini").write_text(INI % (name, version))
    return place


def test_thunderbird_is_read_not_started(tmp_path: Path) -> None:
    place = install(tmp_path / "thunderbird")
    found = {"installed": True, "version": "140.4.0", "path": str(place), "others": [], "sandboxed": []}
    assert programs.thunderbird([str(tmp_path / "none"), str(place)], {}) == found
    nothing = {"installed": False, "version": None, "path": None, "others": [], "sandboxed": []}
    assert programs.thunderbird([str(tmp_path)], {}) == nothing


def test_thunderbird_is_found_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the directory its command leads to, in one somebody unpacked; not another of Mozilla's programs, and once each."""
    opt = tmp_path / "opt"
    install(opt / "firefox", "Firefox")
    install(opt / "a/thunderbird", version="128.0")
    here = install(tmp_path / "usr/lib64/thunderbird")
    (tmp_path / "lib").symlink_to(here)
    (here / "thunderbird").write_text("#!/bin/sh\n")
    (here / "thunderbird").chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/thunderbird").symlink_to(here / "thunderbird")
    monkeypatch.setattr(programs, "_PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(programs, "_THUNDERBIRD", {"linux": (str(tmp_path / "lib"), f"{opt}/*", f"{opt}/*/*")})
    monkeypatch.setattr(programs, "_SANDBOXED", {"snap": [str(tmp_path / "snap/current")], "flatpak": [str(tmp_path / "flatpak")]})
    (tmp_path / "snap").mkdir()
    (tmp_path / "snap/current").symlink_to("1234")
    assert programs.look("thunderbird", "linux") == {
        **{"installed": True, "version": "140.4.0", "path": str(here), "others": [f"{opt}/a/thunderbird"], "sandboxed": ["snap"]},
        "named": "",
    }
    assert programs.look("thunderbird", "linux", f"{opt}/a/thunderbird")["version"] == "128.0"
    assert not programs.look("thunderbird", "linux", f"{opt}/firefox")["installed"]


@pytest.mark.parametrize(
    "script",
    [
        '#!/bin/sh\nexec {place}/thunderbird "$@"\n',
        "#!/bin/bash\nMOZ_LIB_DIR=/nowhere\nTHERE='{place}/thunderbird-bin'\nexec \"$THERE\"\n",
    ],
)
def test_thunderbird_is_found_where_a_script_starts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    place = install(tmp_path / "apps/tb")
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin/thunderbird"
    command.write_text(script.format(place=place))
    command.chmod(0o755)
    monkeypatch.setattr(programs, "_PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(programs, "_THUNDERBIRD", {"linux": ()})
    assert programs.look("thunderbird", "linux")["path"] == str(place)


def test_what_leads_into_a_sandbox_is_no_install_to_write_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The transitional package's script starts the snap, whose files are read-only."""
    place = install(tmp_path / "snap/thunderbird/42/usr/lib/thunderbird")
    (tmp_path / "thunderbird").write_text(f"#!/bin/sh\nexec {place}/thunderbird\n")
    (tmp_path / "thunderbird").chmod(0o755)
    monkeypatch.setattr(programs, "_PATH", str(tmp_path))
    monkeypatch.setattr(programs, "_THUNDERBIRD", {"linux": ()})
    assert programs.look("thunderbird", "linux")["installed"]
    monkeypatch.setattr(programs, "_INSIDE", re.compile(re.escape(f"{tmp_path}/snap/")))
    assert not programs.look("thunderbird", "linux")["installed"]
    monkeypatch.undo()
    for inside in ("/snap/thunderbird/42/usr/lib/thunderbird", "/var/lib/flatpak/app/x/y", "/home/jane/.local/share/flatpak/app/x"):
        assert programs._INSIDE.match(inside + "/")
    assert not programs._INSIDE.match("/opt/snap/thunderbird/")


def test_a_pipe_in_place_of_thunderbird_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    os.mkfifo(tmp_path / "x/application.ini")
    here = install(tmp_path / "y")
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it waits for somebody to write to the pipe"))
    signal.alarm(5)
    try:
        assert programs.thunderbird([f"{tmp_path}/*"], {})["path"] == str(here)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


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
        found = {"installed": True, "version": f"1.{uid}.0", "path": str(program)}
        assert programs.look("mbsync", "linux", command="mbsync --version") == found
        monkeypatch.setattr(programs, "SECONDS", 0.5)
        program.write_text("#!/bin/sh\nexec sleep 60\n")
        assert programs.look("mbsync", "linux", command="mbsync --version")["version"] is None
        # What opens a window is not asked.
        program.write_text("#!/bin/sh\necho 1.5 && touch $0.started\n")
        assert programs.look("mbsync", "linux", command="mbsync") == {"installed": True, "version": None, "path": str(program)}
        assert [path.name for path in Path(folder).iterdir()] == ["mbsync"]
    assert programs.look("aerc", "linux", command="aerc-that-is-not-there -v")["installed"] is False
