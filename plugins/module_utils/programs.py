# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which mail programs a machine has, and in which version.

Programs are asked for their version as somebody without rights. Thunderbird is never started: it would open a window
or make a profile; its version stands in its application.ini.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from typing import Any, Callable, Dict, Optional

KNOWN = ("thunderbird", "msmtp", "mbsync", "neomutt", "aerc")
SECONDS = 5
"""How long a program may think about its version."""

_FLAGS = {"neomutt": "-v", "aerc": "-v"}
_PATH = "/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin"
_VERSION = re.compile(r"\b(\d+(?:\.\d+)+(?:[-+.][0-9A-Za-z]+)*|20\d{6})\b")

# Where packages, the vendor's archive and the macOS application put application.ini.
_THUNDERBIRD = {
    "linux": (
        "/usr/lib/thunderbird",
        "/usr/lib64/thunderbird",
        "/usr/lib/thunderbird-esr",
        "/opt/thunderbird",
        "/usr/local/thunderbird",
        "/usr/local/lib/thunderbird",
        "/snap/thunderbird/current",
    ),
    "macos": ("/Applications/Thunderbird.app/Contents/Resources",),
}


def look(name: str, platform: str) -> Dict[str, Any]:
    """``installed``, ``version`` (None where it does not tell) and ``path`` (None where there is none) of a program."""
    if name == "thunderbird":
        return thunderbird(_THUNDERBIRD.get(platform, ()))
    path = shutil.which(name, path=_PATH)
    if path is None:
        return {"installed": False, "version": None, "path": None}
    return {"installed": True, "version": _ask(path, _FLAGS.get(name, "--version")), "path": path}


def thunderbird(places: Any) -> Dict[str, Any]:
    """Read the version from the first application.ini below ``places``."""
    for place in places:
        try:
            with open(os.path.join(place, "application.ini"), encoding="utf-8", errors="replace") as stream:
                found = re.search(r"^Version=(\S+)", stream.read(65536), re.MULTILINE)
        except OSError:
            continue
        return {"installed": True, "version": found.group(1) if found else None, "path": place}
    return {"installed": False, "version": None, "path": None}


def version_in(text: str) -> Optional[str]:
    """The first thing that looks like a version: ``1.8.28``, or the date that neomutt uses (``20220429``)."""
    found = _VERSION.search(text)
    return found.group(1) if found else None


def _ask(path: str, flag: str) -> Optional[str]:
    try:
        done = subprocess.run(
            [path, flag],
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
