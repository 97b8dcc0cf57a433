# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a person's Thunderbird keeps its profiles: what profiles.ini and installs.ini say.

Source: mozilla-central toolkit/profile/nsToolkitProfileService.cpp. ``[Profile0]`` has Path, which with ``IsRelative=1`` is below the
directory of profiles.ini, and with 0 is an absolute path; each install of the program has its own default profile, named in profiles.ini
as ``[Install…]`` with the install's hash, and starts no other. installs.ini is a copy of that, which counts only where profiles.ini is of
a version from before (no ``Version`` in ``[General]``). ``Default=1`` is of that time, too.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import os
from typing import Dict, List, NamedTuple

Sections = Dict[str, Dict[str, str]]

MAX_SECTIONS = 200


class Profile(NamedTuple):
    """A profile. ``path`` is absolute. ``used``: whether a start of the program that names none opens it, as far as can be told."""

    path: str
    used: bool


def read(data: bytes) -> Sections:
    """The sections of an INI file as Mozilla's parser takes it: a line ``[name]`` or ``key=value``; everything else means nothing."""
    found: Sections = {}
    section: Dict[str, str] = {}
    for line in data.splitlines():
        text = os.fsdecode(line.strip())
        if text.startswith("[") and text.endswith("]"):
            if len(found) == MAX_SECTIONS:
                break
            section = found.setdefault(text[1:-1], {})
        elif "=" in text and not text.startswith((";", "#")):
            name, _unused, value = text.partition("=")
            section[name.strip()] = value.strip()
    return found


def profiles(root: str, profiles_ini: bytes, installs_ini: bytes) -> List[Profile]:
    """The profiles of a person. root: absolute path of the directory that the two files are in.

    Those that the program opens come first. Where nothing says which, all of them may be.
    """
    listed = read(profiles_ini)
    own = {
        name: _path(root, section["Path"], section.get("IsRelative", "1") != "0")
        for name, section in listed.items()
        if name.startswith("Profile") and section.get("Path")
    }
    copy = {} if listed.get("General", {}).get("Version") else read(installs_ini)
    defaults = [section.get("Default", "") for section in copy.values()]
    defaults += [section.get("Default", "") for name, section in listed.items() if name.startswith("Install")]
    used = [_path(root, default, not default.startswith("/")) for default in defaults if default]
    used = used or [own[name] for name in own if listed[name].get("Default") == "1"] or list(own.values())
    every = list(dict.fromkeys(used + list(own.values())))
    return [Profile(path, path in used) for path in every]


def last_install(compatibility_ini: bytes) -> str:
    """The directory of the install that opened a profile last, "" where its compatibility.ini does not say.

    Source: mozilla-central toolkit/xre/nsAppRunner.cpp, WriteVersion.
    """
    found = read(compatibility_ini).get("Compatibility", {}).get("LastPlatformDir", "")
    return found if found.startswith("/") else ""


def _path(root: str, path: str, relative: bool) -> str:
    return os.path.normpath(os.path.join(root, path) if relative else os.path.join("/", path))
