# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Find what people's mail programs have stored, and read it with the rights of the person. Changes nothing.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import functools
import os
import stat
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils import mbsyncrc, msmtprc, paths, payload, persons, prefs_js
from ansible_collections.msp.charter_mail.plugins.module_utils.stored import Settings

PROGRAMS = ("thunderbird", "msmtp", "mbsync")

MAX_BYTES = persons.MAX_EVIDENCE
MAX_PROFILES = persons.MAX_GLOB  # per directory of profiles
MAX_ACCOUNTS = 200  # per file

# Directories of profiles, below the home. Source: the snap's and the flatpak's own recipes (comm-central
# taskcluster/docker/tb-snap, tb-flatpak); the flatpak's id was org.mozilla.Thunderbird before.
_PROFILES = {
    "linux": (
        ".thunderbird",
        "snap/thunderbird/common/.thunderbird",
        ".var/app/org.mozilla.thunderbird/.thunderbird",
        ".var/app/org.mozilla.thunderbird_esr/.thunderbird",
        ".var/app/org.mozilla.Thunderbird/.thunderbird",
    ),
    "macos": ("Library/Thunderbird/Profiles",),
    "windows": ("AppData/Roaming/Thunderbird/Profiles",),
}
# msmtp looks for the second only where the first is not (src/tools.c get_userconfig).
_MSMTP = (".msmtprc", ".config/msmtp/config")
# isync 1.5 prefers the first, 1.4 knows only the second: which one counts is not known here, so both are told.
_MBSYNC = (".config/isyncrc", ".mbsyncrc")

Found = Dict[str, List[Dict[str, Any]]]  # accounts, problems


def look(logins: List[str], programs: List[str], root: str, platform: str) -> Found:
    """What the programs of these people have stored, in the order of logins, programs and files.

    ``accounts``: {login, program, file, email, incoming, outgoing}. ``problems``: {login, program, file, message} for what
    could not be read; ``file`` is "" when the person's home cannot be looked at.
    """
    seen: Dict[str, Found] = {}
    tasks: List[Tuple[persons.Person, persons.Work]] = []
    for login in dict.fromkeys(logins):
        person = None if root else persons.find(login)
        if root:
            below = payload.home_below(platform, login)
            shown = "C:" + below[2:] if platform == "windows" else below
            seen[login] = _home(_Home(root.rstrip("/") + below, shown), programs, platform)
        elif person is None:
            seen[login] = _nothing(programs, "this machine has no login %s" % login)
        elif os.geteuid() not in (0, person.uid):
            seen[login] = _nothing(programs, "without root rights only the own home can be read")
        else:
            seen[login] = {}
            tasks.append((person, functools.partial(_home, _Home(person.home, person.home), programs, platform)))
    for number, answer in persons.each(tasks):
        nothing = isinstance(answer, persons.NotDone)
        seen[tasks[number][0].login] = _nothing(programs, str(answer)) if nothing else answer
    found: Found = {"accounts": [], "problems": []}
    for login, theirs in seen.items():
        for kind, entries in theirs.items():
            found[kind] += [{"login": login, **entry} for entry in entries]
    return found


def _nothing(programs: List[str], message: str) -> Found:
    return {"accounts": [], "problems": [{"program": program, "file": "", "message": message} for program in programs]}


class _Home(NamedTuple):
    path: str
    shown: str  # the path as people on that machine know it: a prefix is not part of it


def _home(home: _Home, programs: List[str], platform: str) -> Found:
    """Everything below one home. Runs with the rights of the person."""
    found: Found = {"accounts": [], "problems": []}
    for program in PROGRAMS:
        if program not in programs:
            continue
        search = _Search(home, program, found)
        if program == "thunderbird":
            for folder in _PROFILES[platform]:
                for profile in search.directories(folder):
                    search.read("%s/%s/prefs.js" % (folder, profile), prefs_js.accounts)
        elif platform != "windows" and program == "msmtp":
            for path in _MSMTP:
                if search.read(path, msmtprc.accounts):
                    break
        elif platform != "windows":
            for path in _MBSYNC:
                search.read(path, mbsyncrc.accounts)
    return found


class _Search:
    """The way to one program's files below a home; what is found and what is wrong goes into ``found``."""

    def __init__(self, home: _Home, program: str, found: Found):
        self.home = home
        self.program = program
        self.found = found

    def read(self, relative: str, understand: Callable[[bytes], Settings]) -> bool:
        """Read one file; False when there is none."""
        try:
            content = _content(paths.Anchor(self.home.path, "home"), relative)
        except (OSError, paths.Refused) as error:
            self._problem(relative, _reason(error))
            return True
        if content is None:
            return False
        accounts, problems = understand(content)
        if len(accounts) > MAX_ACCOUNTS:
            problems = problems + ["it has %d accounts; only %d were looked at" % (len(accounts), MAX_ACCOUNTS)]
        for message in problems:
            self._problem(relative, message)
        for account in accounts[:MAX_ACCOUNTS]:
            self.found["accounts"].append({"program": self.program, "file": self._shown(relative), **account._asdict()})
        return True

    def directories(self, relative: str) -> Iterator[str]:
        """Names of the directories (and links, which may lead to one) in a directory, sorted."""
        try:
            names = _directories(paths.Anchor(self.home.path, "home"), relative)
        except (OSError, paths.Refused) as error:
            self._problem(relative, _reason(error))
            return
        if len(names) > MAX_PROFILES:
            self._problem(relative, "it has %d directories; only %d were looked at" % (len(names), MAX_PROFILES))
        yield from names[:MAX_PROFILES]

    def _problem(self, relative: str, message: str) -> None:
        self.found["problems"].append({"program": self.program, "file": self._shown(relative), "message": message})

    def _shown(self, relative: str) -> str:
        path = self.home.shown.rstrip("/") + "/" + relative
        return os.fsencode(path).decode("utf-8", "replace")


def _reason(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "no right to it: %s" % error.strerror
    if isinstance(error, NotADirectoryError):
        return "it is not a directory"
    return str(error)


def _content(anchor: paths.Anchor, relative: str) -> Any:
    """The bytes of a file, None where there is none. Raises paths.Refused and OSError."""
    place = paths.locate(anchor, relative)
    try:
        found = paths.read(place)
    finally:
        paths.close(place)
    if found is None:
        return None
    if len(found.content) > MAX_BYTES:
        raise paths.Refused("it is larger than %d MiB, which no settings file is" % (MAX_BYTES // 1024 // 1024))
    return found.content


def _directories(anchor: paths.Anchor, relative: str) -> List[str]:
    place = paths.locate(anchor, relative)
    if place.handle is None:
        return []
    try:
        handle = os.open(place.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place.handle)
    except FileNotFoundError:
        return []
    finally:
        paths.close(place)
    try:
        return sorted(name for name in os.listdir(handle) if _may_be_directory(handle, name))
    finally:
        os.close(handle)


def _may_be_directory(handle: int, name: str) -> bool:
    try:
        mode = os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return False  # it went meanwhile
    return stat.S_ISDIR(mode) or stat.S_ISLNK(mode)
