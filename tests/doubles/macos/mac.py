#!/usr/bin/env python3
"""A double of the commands of macOS that apple_profiles runs, for machines that are no Macs. Copied under each command's name.

    install.sh ROOT                        puts it below ROOT, as /usr/bin/profiles and so on
    ROOT/usr/bin/approve LOGIN FILE        what a person does: open the profile and press Install
    ROOT/usr/bin/sit LOGIN UID             who is at the screen; without arguments, nobody

What it knows is in ROOT/var/db/mac-double. It speaks as the sources in plugins/module_utils/mac/answer.py say that macOS does; it proves
nothing about macOS itself.
"""

from __future__ import annotations

import json
import os
import plistlib
import subprocess
import sys
from pathlib import Path
from typing import Any

NAME, *ARGUMENTS = sys.argv
PLACE = Path(NAME).resolve().parents[1]
ROOT = PLACE.parent if PLACE.name == "usr" else PLACE
STATE = ROOT / "var/db/mac-double"


def known() -> dict[str, Any]:
    file = STATE / "profiles.json"
    return json.loads(file.read_text()) if file.exists() else {}


def option(name: str) -> str:
    return ARGUMENTS[ARGUMENTS.index(name) + 1]


def profiles() -> int:
    if (STATE / "broken").exists():
        print("profiles: the daemon does not answer", file=sys.stderr)
        return 1
    verb, login = ARGUMENTS[0], option("-user")
    assert option("-type") == "configuration"
    everything = known()
    if verb == "show":
        assert option("-output") == "stdout-xml"
        mine = everything.get(login)
        sys.stdout.buffer.write(plistlib.dumps({login: mine}) if mine else b"")
        return 0
    if verb == "remove":
        assert "-forced" in ARGUMENTS
        everything[login] = [profile for profile in everything.get(login, []) if profile["ProfileIdentifier"] != option("-identifier")]
        (STATE / "profiles.json").write_text(json.dumps(everything))
        return 0
    print("profiles tool no longer supports installs. Use System Settings Profiles to add configuration profiles.", file=sys.stderr)
    return 1


def approve() -> int:
    """A profile of the same identifier is replaced."""
    login, file = ARGUMENTS
    content = Path(file).read_bytes()
    if not content.startswith(b"<?xml"):
        command = ["openssl", "cms", "-verify", "-noverify", "-inform", "DER", "-in", file]
        content = subprocess.run(command, capture_output=True, check=True).stdout
    profile = plistlib.loads(content)
    shown = {"ProfileIdentifier": profile["PayloadIdentifier"], "ProfileUUID": profile["PayloadUUID"], "ProfileType": "Configuration"}
    shown["ProfileItems"] = [
        {
            **{key: value for key, value in item.items() if key.startswith("Payload")},
            "PayloadContent": {key: value for key, value in item.items() if not key.startswith("Payload")},
        }
        for item in profile["PayloadContent"]
    ]
    everything = known()
    others = [other for other in everything.get(login, []) if other["ProfileIdentifier"] != shown["ProfileIdentifier"]]
    (STATE / "profiles.json").write_text(json.dumps({**everything, login: [*others, shown]}))
    return 0


def sit() -> int:
    name, uid = ARGUMENTS or ["loginwindow", "0"]
    (STATE / "screen").write_text(f"Name : {name}\n  UID : {uid}\n")
    return 0


def scutil() -> int:
    assert sys.stdin.read() == "show State:/Users/ConsoleUser\n"
    screen = (STATE / "screen").read_text() if (STATE / "screen").exists() else ""
    print(f"<dictionary> {{\n  {screen}}}" if screen else "  No such key")
    return 0


def launchctl() -> int:
    assert ARGUMENTS[0] == "asuser"
    session = "MAC_SESSION=" + ARGUMENTS[1]
    # sudo takes no variables along but those on its own line.
    return subprocess.run([*ARGUMENTS[2:6], "env", session, *ARGUMENTS[6:]], check=False).returncode


def sudo() -> int:
    """Only where there is no real one: below a folder nobody else can be become."""
    assert ARGUMENTS[:2] == ["-H", "-u"]
    return subprocess.run(ARGUMENTS[3:], check=False).returncode


def open_() -> int:
    with (STATE / "opened").open("a") as log:
        log.write(f"{os.getuid()} {os.environ['MAC_SESSION']} {ARGUMENTS[0]}\n")
    return 0


COMMANDS = {
    "profiles": profiles,
    "approve": approve,
    "sit": sit,
    "scutil": scutil,
    "launchctl": launchctl,
    "sudo": sudo,
    "open": open_,
}
sys.exit(COMMANDS[Path(NAME).name]())
