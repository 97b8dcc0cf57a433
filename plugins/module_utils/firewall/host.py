# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the firewall module does to a machine: run a command, keep a file. And what its parts say to each other.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import os
import subprocess
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.files import contents, paths

Run = Callable[[Sequence[str], str], Tuple[int, str, str]]
"""Run a command with a text to read: its exit status (MISSING: there is no such command), what it printed, and its errors."""

COMMENT = "charter-mail"
"""Tells our rule from everybody else's."""

SECONDS = 30
"""How long a command may take. ufw and firewalld answer within one; this is for a bus that hangs."""

MISSING = 127  # what a shell says of a command that is not there
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MAX_QUOTE = 200


class Failed(Exception):
    """The firewall cannot be read or changed. The message is one sentence for people."""


class Openings(NamedTuple):
    """The ports that are open by our own doing, by place: now, and in what the machine reads when it starts."""

    live: Dict[str, List[int]]
    lasting: Dict[str, List[int]]


class Plan(NamedTuple):
    """What one tool says, and what is to be done about it.

    in_use: this tool is at work on the machine. restricted: it restricts outgoing TCP. before, after: now, and once the
    steps have been taken. notes: what a technician has to know, each a clause. steps: what to do, in this order; none: all
    is as it should be.
    """

    in_use: bool
    restricted: bool
    before: Openings
    after: Openings
    notes: List[str]
    steps: List[Callable[[], None]]


class Host:
    """The machine. ``root`` is where its files begin; a test gives a directory of its own."""

    def __init__(self, run: Run, root: str = "/"):
        self.run = run
        self.anchor = paths.Anchor(root, "machine")

    def ask(self, argv: Sequence[str], text: str = "") -> Optional[str]:
        """What the command prints; None where there is no such command. Raises Failed when it fails."""
        code, out, err = self.run(argv, text)
        if code == MISSING:
            return None
        if code:
            raise Failed("%s failed: %s" % (shown(argv), quote(err or out) or "exit status %d" % code))
        return out

    def do(self, argv: Sequence[str], text: str = "") -> None:
        """Run a command that has to be there. Raises Failed."""
        if self.ask(argv, text) is None:
            raise Failed("%s is not on this machine any more" % argv[0])

    def read(self, path: str) -> Optional[bytes]:
        """Content of a file, None where there is none. Raises Failed."""
        try:
            place = paths.locate(self.anchor, path)
            try:
                found = contents.read(place)
            finally:
                paths.close(place)
        except (paths.Refused, OSError) as error:
            raise Failed("%s cannot be read: %s" % (path, error)) from error
        return None if found is None else found.content

    def write(self, path: str, content: Optional[bytes], mode: int = 0o600) -> None:
        """Replace a file that says something else in one step, or remove it (None). Raises Failed.

        A directory that is missing is made for root alone.
        """
        if self.read(path) == content:
            return
        try:
            place = paths.locate(self.anchor, path, None if content is None else 0o700)
            try:
                if content is None:
                    if place.handle is not None:
                        contents.discard(place, place.name)
                else:
                    contents.put(place, contents.stage(place, content, mode, None))
            finally:
                paths.close(place)
        except (paths.Refused, OSError) as error:
            raise Failed("%s cannot be written: %s" % (path, error)) from error


def run(argv: Sequence[str], text: str) -> Tuple[int, str, str]:
    """Run a command on this machine; one that takes longer than SECONDS is ended. Raises Failed for that alone."""
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function  # run_command has no limit, and here is no module
            list(argv),
            input=text.encode("utf-8"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=SECONDS,
            check=False,
            cwd="/",
            env={"PATH": _PATH, "LC_ALL": "C", "HOME": os.environ.get("HOME", "/root")},
        )
    except FileNotFoundError:
        return MISSING, "", ""
    except subprocess.TimeoutExpired:
        raise Failed("%s did not end within %d s" % (shown(argv), SECONDS)) from None
    except OSError as error:
        return 126, "", str(error)
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def shown(argv: Sequence[str]) -> str:
    """A command for a message."""
    return '"%s"' % quote(" ".join(argv))


def quote(text: str) -> str:
    """The first line that says something, without control characters, not too long."""
    for line in text.splitlines():
        clean = "".join(char if char.isprintable() else " " for char in line).strip()
        if clean:
            return clean if len(clean) <= _MAX_QUOTE else clean[:_MAX_QUOTE] + "..."
    return ""


def ports_text(ports: Sequence[int]) -> str:
    """TCP ports in a sentence: ``465, 587 and 993``."""
    words = [str(port) for port in ports]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
