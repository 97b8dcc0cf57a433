# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Find what people's mail programs have stored, and read it with the rights of the person. Changes nothing.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import functools
import os
import stat
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.files import contents, paths, payload, persons
from ansible_collections.msp.charter_mail.plugins.module_utils.stored import (
    aerc_accounts,
    mbsyncrc,
    msmtprc,
    prefs_js,
    programs,
    thunderbird_profiles,
)
from ansible_collections.msp.charter_mail.plugins.module_utils.stored.account import Settings

PROGRAMS = ("thunderbird", "msmtp", "mbsync", "aerc")

MAX_BYTES = persons.MAX_EVIDENCE
MAX_PROFILES = persons.MAX_GLOB  # per directory of profiles
MAX_ACCOUNTS = 200  # per file


class _Folder(NamedTuple):
    """A directory of profiles.ini, below the home. ``kind``: of the sandbox whose it is, "" for none; ``installs``: where that is
    installed, below the root or, with a relative path, below the home."""

    path: str
    kind: str = ""
    installs: Tuple[str, ...] = ()


# Source: the snap's and the flatpak's own recipes (comm-central taskcluster/docker/tb-snap, tb-flatpak); the flatpak's id was
# org.mozilla.Thunderbird before.
_THUNDERBIRD = {
    "linux": (
        _Folder(".thunderbird"),
        _Folder("snap/thunderbird/common/.thunderbird", "snap", programs.SNAP),
        *(
            _Folder(".var/app/%s/.thunderbird" % name, "flatpak", (programs.FLATPAK % name, programs.OWN_FLATPAK % name))
            for name in programs.FLATPAKS
        ),
    ),
    "macos": (_Folder("Library/Thunderbird"),),
    "windows": (_Folder("AppData/Roaming/Thunderbird"),),
}
# Where profiles are below that when nothing says where.
_PROFILES = {"linux": "", "macos": "/Profiles", "windows": "/Profiles"}
# msmtp looks for the second only where the first is not (src/tools.c get_userconfig).
_MSMTP = (".msmtprc", ".config/msmtp/config")
# isync 1.5 prefers the first, 1.4 knows only the second: which one counts is not known here, so both are told.
_MBSYNC = (".config/isyncrc", ".mbsyncrc")
_AERC = ".config/aerc/accounts.conf"

Found = Dict[str, List[Dict[str, Any]]]  # accounts, problems, sandboxed


def look(logins: List[str], wanted: List[str], root: str, platform: str) -> Found:
    """What the programs of these people have stored, in the order of logins, programs and files.

    wanted: names of programs. ``accounts``: {login, program, file, used, email, incoming, outgoing, managed}; used is false in a profile
    that the program does not open by itself. ``problems``: {login, program, file, message} for what could not be read; ``file`` is "" when
    the person's home cannot be looked at. ``sandboxed``: {login, program, kind} for a flatpak that the person alone has installed.
    """
    seen: Dict[str, Found] = {}
    tasks: List[Tuple[persons.Person, persons.Work]] = []
    for login in dict.fromkeys(logins):
        person = None if root else persons.find(login)
        if root:
            below = payload.home_below(platform, login)
            shown = "C:" + below[2:] if platform == "windows" else below
            seen[login] = _home(_Home(root.rstrip("/"), below, shown), wanted, platform)
        elif person is None:
            seen[login] = _nothing(wanted, "this machine has no login %s" % login)
        elif os.geteuid() not in (0, person.uid):
            seen[login] = _nothing(wanted, "without root rights only the own home can be read")
        else:
            seen[login] = {}
            tasks.append((person, functools.partial(_home, _Home("", person.home, person.home), wanted, platform)))
    for number, answer in persons.each(tasks):
        nothing = isinstance(answer, persons.NotDone)
        seen[tasks[number][0].login] = _nothing(wanted, str(answer)) if nothing else answer
    found: Found = {"accounts": [], "problems": [], "sandboxed": []}
    for login, theirs in seen.items():
        for kind, entries in theirs.items():
            found[kind] += [{"login": login, **entry} for entry in entries]
    return found


def _nothing(wanted: List[str], message: str) -> Found:
    return {"accounts": [], "problems": [{"program": program, "file": "", "message": message} for program in wanted]}


class _Home(NamedTuple):
    root: str  # the prefix, "" for the machine itself
    inside: str  # the path below it
    shown: str  # the path as people on that machine know it

    @property
    def path(self) -> str:
        return self.root + self.inside


def _home(home: _Home, wanted: List[str], platform: str) -> Found:
    """Everything below one home. Runs with the rights of the person."""
    found: Found = {"accounts": [], "problems": [], "sandboxed": []}
    for program in PROGRAMS:
        if program not in wanted:
            continue
        search = _Search(home, program, found)
        if program == "thunderbird":
            for folder in _THUNDERBIRD[platform]:
                there = search.installed(folder)
                for profile in search.profiles(folder.path, folder.path + _PROFILES[platform]):
                    used = profile.used and there and (bool(folder.kind) or platform != "linux" or search.may_open(profile.path))
                    search.read(profile.path + "/prefs.js", prefs_js.accounts, used)
        elif platform != "windows" and program == "msmtp":
            for path in _MSMTP:
                if search.read(path, msmtprc.accounts):
                    break
        elif platform != "windows" and program == "aerc":
            search.read(_AERC, aerc_accounts.accounts)
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

    def read(self, path: str, understand: Callable[[bytes], Settings], used: bool = True) -> bool:
        """Read one file, below the home or, with an absolute path, elsewhere; False when there is none."""
        relative, content = path, self._bytes(path)
        if content is None:
            return False
        accounts, problems = understand(content)
        if len(accounts) > MAX_ACCOUNTS:
            problems = problems + ["it has %d accounts; only %d were looked at" % (len(accounts), MAX_ACCOUNTS)]
        for message in problems:
            self._problem(relative, message)
        for account in accounts[:MAX_ACCOUNTS]:
            self.found["accounts"].append({"program": self.program, "file": self._shown(relative), "used": used, **account._asdict()})
        return True

    def _bytes(self, path: str) -> Optional[bytes]:
        """What is in a file, None where there is none; nothing for one that cannot be read, which is told."""
        try:
            return self._look_into(path)
        except (OSError, paths.Refused) as error:
            self._problem(path, _reason(error))
            return b""

    def _look_into(self, path: str) -> Optional[bytes]:
        """The bytes of a file, None where there is none. Raises paths.Refused and OSError."""
        found: Optional[bytes]
        if path.startswith("/") and not self.home.root:
            # Outside the home the person reads what the person can read, through directories that nobody may list as well.
            folder, name = os.path.split(path)
            found = _content(paths.Anchor(folder, "home"), name)
        else:
            found = _content(paths.Anchor(self.home.root if path.startswith("/") else self.home.path, "home"), path)
        return found

    def installed(self, folder: _Folder) -> bool:
        """Whether the program that has its profiles there can be started. Of one without a sandbox the whole run knows."""
        if not folder.kind:
            return True
        there = [path for path in folder.installs if os.path.lexists(self._place(path))]
        if there and not any(path.startswith("/") for path in there):
            self.found["sandboxed"].append({"program": self.program, "kind": folder.kind})
        return bool(there)

    def may_open(self, profile: str) -> bool:
        """Whether the install that had this profile last is still there. Each install opens a profile of its own: that of one which is
        gone is opened by none."""
        try:
            content = self._look_into(profile + "/compatibility.ini")
        except (OSError, paths.Refused):
            return True  # what is wrong with the profile itself is told by who reads it
        last = thunderbird_profiles.last_install(content or b"")
        return not last or os.path.lexists(self._place(last) + "/application.ini")

    def _place(self, path: str) -> str:
        return (self.home.root if path.startswith("/") else self.home.path + "/") + path

    def profiles(self, folder: str, usual: str) -> List[thunderbird_profiles.Profile]:
        """The profiles that the files of a directory below the home name; where they name none, those in the directory `usual`."""
        if self._names(folder) is None:
            return []
        files = [self._bytes("%s/%s" % (folder, name)) or b"" for name in ("profiles.ini", "installs.ini")]
        home = self.home.inside.rstrip("/")
        found = thunderbird_profiles.profiles("%s/%s" % (home, folder), *files)
        if not found:
            return [thunderbird_profiles.Profile("%s/%s" % (usual, name), True) for name in self.directories(usual)]
        if len(found) > MAX_PROFILES:
            self._problem(folder + "/profiles.ini", "it has %d profiles; only %d were looked at" % (len(found), MAX_PROFILES))
        return [
            profile._replace(path=profile.path[len(home) + 1 :] if profile.path.startswith(home + "/") else profile.path)
            for profile in found[:MAX_PROFILES]
        ]

    def directories(self, relative: str) -> List[str]:
        """Names of the directories (and links, which may lead to one) in a directory, sorted."""
        names = self._names(relative) or []
        if len(names) > MAX_PROFILES:
            self._problem(relative, "it has %d directories; only %d were looked at" % (len(names), MAX_PROFILES))
        return names[:MAX_PROFILES]

    def _names(self, relative: str) -> Optional[List[str]]:
        """What directories() looks through; None for what cannot be read, which is told."""
        try:
            names: List[str] = _directories(paths.Anchor(self.home.path, "home"), relative)
        except (OSError, paths.Refused) as error:
            self._problem(relative, _reason(error))
            return None
        return names

    def _problem(self, relative: str, message: str) -> None:
        self.found["problems"].append({"program": self.program, "file": self._shown(relative), "message": message})

    def _shown(self, relative: str) -> str:
        path = relative if relative.startswith("/") else self.home.shown.rstrip("/") + "/" + relative
        return os.fsencode(path).decode("utf-8", "replace")


def _reason(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "no right to it: %s" % error.strerror
    if isinstance(error, NotADirectoryError):
        return "it is not a directory"
    return str(error)


def _content(anchor: paths.Anchor, relative: str) -> Any:
    """What is in a file below a directory, see _Search._look_into()."""
    place = paths.locate(anchor, relative)
    try:
        found = contents.read(place)
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
