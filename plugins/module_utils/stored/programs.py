# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which mail programs a machine has, and in which version.

Programs are asked for their version as somebody without rights. Thunderbird is never started: it would open a window
or make a profile; its version stands in its application.ini.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import glob
import os
import pwd
import re
import shutil
import stat
import subprocess
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

SECONDS = 5
"""How long a program may think about its version."""

_PATH = "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin"
_VERSION = re.compile(r"\b(\d+(?:\.\d+)+(?:[-+.][0-9A-Za-z]+)*|20\d{6})\b")

# Where packages, the vendor's archive and the macOS application put application.ini; * is any one directory.
_THUNDERBIRD = {
    "linux": (
        "/usr/lib/thunderbird",
        "/usr/lib64/thunderbird",
        "/usr/lib/thunderbird-esr",
        "/opt/thunderbird",
        "/usr/local/thunderbird",
        "/usr/local/lib/thunderbird",
        "/opt/*",
        "/opt/*/*",
    ),
    "macos": ("/Applications/Thunderbird.app/Contents/Resources",),
}
# Installs that nothing of the machine reaches into. Source: snapd's and flatpak's layout; the names of Mozilla's and of older packages.
SNAP = ("/snap/thunderbird/current", "/var/lib/snapd/snap/thunderbird/current")
FLATPAKS = tuple("org.mozilla.%s" % name for name in ("thunderbird", "thunderbird_esr", "Thunderbird"))
FLATPAK = "/var/lib/flatpak/app/%s/current"
OWN_FLATPAK = ".local/share/flatpak/app/%s/current"
"""Below the home of a person who has installed it for themselves."""
_SANDBOXED = {"snap": SNAP, "flatpak": tuple(FLATPAK % name for name in FLATPAKS)}
# Where their files are: what leads there is none of the machine's own installs.
_INSIDE = re.compile(r"/snap/|/var/lib/(?:snapd|flatpak)/|.*/\.local/share/flatpak/")
# What a script that starts Thunderbird runs, when it says so in one word.
_STARTS = re.compile(rb"(?<![^\s\"'=])(/[^\s\"'$;|&]+)/thunderbird(?:-bin)?(?![^\s\"';|&])")
_MAX_TEXT = 65536

Found = Dict[str, Any]


def look(name: str, platform: str, directory: str = "", command: str = "") -> Found:
    """``installed``, ``version`` (None where it does not tell) and ``path`` (None where there is none) of a program.

    command: what starts it, with what has it say its version. Without that it is not asked: some open a window, or need one.

    Of Thunderbird also ``others``, further directories it is in, ``sandboxed``, kinds of installs that cannot be reached into, and
    ``named``, which is directory: the one to look in, "" for all that are usual.
    """
    if name == "thunderbird":
        places = [directory] if directory else _places(platform)
        return {**thunderbird(places, _SANDBOXED if platform == "linux" else {}), "named": directory}
    name, *flags = command.split()
    path = shutil.which(name, path=_PATH)
    if path is None:
        return {"installed": False, "version": None, "path": None}
    return {"installed": True, "version": _ask([path, *flags]) if flags else None, "path": path}


def thunderbird(places: Sequence[str], sandboxed: Mapping[str, Sequence[str]]) -> Found:
    """The first of ``places`` counts that has Thunderbird's application.ini."""
    versions: Dict[str, Optional[str]] = {}
    for place in places:
        for path in sorted(glob.glob(place)) if "*" in place else [place]:
            text = _text(os.path.join(path, "application.ini")).decode("utf-8", "replace")
            if re.search(r"^Name=Thunderbird\s*$", text, re.MULTILINE):
                found = re.search(r"^Version=(\S+)", text, re.MULTILINE)
                versions.setdefault(path, found.group(1) if found else None)
    first, *others = [*versions, ""]
    return {
        "installed": bool(versions),
        "version": versions.get(first),
        "path": first or None,
        "others": [path for path in others if path and not os.path.samefile(path, first)],
        "sandboxed": [kind for kind, paths in sandboxed.items() if any(map(os.path.lexists, paths))],
    }


def _text(path: str) -> bytes:
    """The beginning of a regular file, nothing where there is none. Who can write to the directory can leave a pipe there."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    with os.fdopen(handle, "rb") as stream:
        return stream.read(_MAX_TEXT) if stat.S_ISREG(os.fstat(handle).st_mode) else b""


def _places(platform: str) -> List[str]:
    """Directories Thunderbird may be in; those that its command leads to come first."""
    command = shutil.which("thunderbird", path=_PATH)
    leads: List[str] = []
    if command:
        real = os.path.realpath(command)
        text = _text(real)
        started = _STARTS.findall(text) if text.startswith(b"#!") else []
        leads = [os.path.dirname(real), *(os.path.realpath(os.fsdecode(path)) for path in started)]
    return [*(place for place in leads if not _INSIDE.match(place + "/")), *_THUNDERBIRD.get(platform, ())]


def version_in(text: str) -> Optional[str]:
    """The first thing that looks like a version: ``1.8.28``, or the date that neomutt uses (``20220429``)."""
    found = _VERSION.search(text)
    return found.group(1) if found else None


def _ask(command: List[str]) -> Optional[str]:
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function  # run_command has no limit, and is root
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
            check=False,
            cwd="/",
            env={"PATH": _PATH, "LC_ALL": "C", "HOME": "/nonexistent"},
            preexec_fn=_unprivileged(),
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return version_in(done.stdout[:65536].decode("utf-8", "replace"))


def _unprivileged() -> Optional[Callable[[], None]]:
    """A step that gives up root in the child. A program that cannot be asked without root is not asked."""
    if os.geteuid():
        return None
    entry = pwd.getpwnam("nobody")

    def give_up() -> None:
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)

    return give_up
