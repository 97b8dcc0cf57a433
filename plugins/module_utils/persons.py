# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Act as a person of the machine, and look at what that person runs and has.

Root never opens a path below a home: a child process gives up root for good, works with the person's own rights, and
hands plain data back through a pipe. What a link or a pipe planted in the home can reach is then what that person
can reach anyway.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import base64
import glob
import json
import os
import pwd
import re
import select
import signal
import subprocess
import sys
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Set

from ansible_collections.msp.charter_mail.plugins.module_utils import paths

SECONDS = 120
"""How long the work for one person may take; a home on a dead file server must not hold up everyone."""

MAX_EVIDENCE = 4 * 1024 * 1024  # bytes read of one file
MAX_GLOB = 50  # files looked at per person and program

Backup = Callable[[str, bytes], None]


class Person(NamedTuple):
    """A login of this machine."""

    login: str
    uid: int
    gid: int
    home: str


class NotDone(Exception):
    """The work for the person did not come to an end. The message is one sentence for people."""


def find(login: str) -> Optional[Person]:
    """Look the login up; None when the machine does not know it."""
    try:
        entry = pwd.getpwnam(login)
    except KeyError:
        return None
    return Person(login, entry.pw_uid, entry.pw_gid, entry.pw_dir)


def home_problem(person: Person) -> Optional[str]:
    """Why nothing can be written to the person's home, in one sentence; None when it can."""
    try:
        info = os.stat(person.home)
    except (FileNotFoundError, NotADirectoryError):
        return "the home %s does not exist (has %s never logged in?)" % (person.home, person.login)
    except OSError:
        return None  # a file server that knows no root: the person will see
    if info.st_uid != person.uid:
        return "the home %s belongs to uid %d, not to %s" % (person.home, info.st_uid, person.login)
    return None


def become(person: Person) -> None:
    """Give up root for good. Called in a child process only."""
    os.umask(0o077)
    os.chdir("/")
    if os.geteuid() == person.uid == 0:
        return
    os.initgroups(person.login, person.gid)
    os.setgid(person.gid)
    os.setuid(person.uid)
    try:
        os.setuid(0)
    except PermissionError:
        return
    if person.uid != 0:
        raise NotDone("root rights could not be given up")


def as_person(person: Person, work: Callable[[Backup], Any], backup: Backup) -> Any:
    """Run ``work`` in a child with the person's rights and return its (JSON) result.

    ``work`` gets a function that hands content to ``backup`` here, where backups may be written.
    Raises NotDone when the child fails, dies or takes too long.
    """
    to_parent, from_child = os.pipe()
    to_child, from_parent = os.pipe()
    child = os.fork()
    if child == 0:
        _child(person, work, from_child, to_child)
    os.close(from_child)
    os.close(to_child)
    try:
        return _serve(person, to_parent, from_parent, backup)
    finally:
        os.close(to_parent)
        os.close(from_parent)
        _reap(child)


def _reap(child: int) -> None:
    for _ in range(1000):  # it has said its last word, or its time is up
        if os.waitpid(child, os.WNOHANG)[0]:
            return
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _child(person: Person, work: Callable[[Backup], Any], out: int, back: int) -> None:
    """Never returns."""
    try:
        try:
            become(person)

            def keep(dest: str, content: bytes) -> None:
                _send(out, {"backup": dest, "content": base64.b64encode(content).decode("ascii")})
                if os.read(back, 1) != b"+":
                    raise OSError("its backup could not be written")

            message = {"done": work(keep)}
        except NotDone as error:
            message = {"error": str(error)}
        except BaseException as error:  # the parent must hear of everything
            message = {"error": "%s: %s" % (type(error).__name__, error)}
        _send(out, message)
    finally:
        os._exit(0)  # no clean-up of what belongs to the parent


def _send(handle: int, message: Dict[str, Any]) -> None:
    data = json.dumps(message).encode("ascii") + b"\n"
    while data:
        data = data[os.write(handle, data) :]


def _serve(person: Person, source: int, answer: int, backup: Backup) -> Any:
    end = time.monotonic() + SECONDS
    data = bytearray()
    while True:
        line, found, rest = data.partition(b"\n")
        if found:
            data = rest
            message = json.loads(line.decode("ascii"))
            if "done" in message:
                return message["done"]
            if "error" in message:
                raise NotDone(message["error"])
            try:
                backup(message["backup"], base64.b64decode(message["content"]))
                os.write(answer, b"+")
            except Exception:  # the child tells, and undoes
                os.write(answer, b"-")
            continue
        if not select.select([source], [], [], max(0.0, end - time.monotonic()))[0]:
            raise NotDone("the work for %s took longer than %d s" % (person.login, SECONDS))
        chunk = os.read(source, 1 << 20)
        if not chunk:
            raise NotDone("the process that worked for %s died" % person.login)
        data += chunk


def running(uid: int) -> Set[str]:
    """Names (at most 15 characters, as Linux keeps them) of the processes of a user."""
    if not sys.platform.startswith("linux"):
        return _running_ps(uid)
    found = set()
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            if os.stat("/proc/" + entry).st_uid != uid:
                continue
            with open("/proc/%s/comm" % entry, encoding="utf-8", errors="replace") as stream:
                name = stream.read().strip()
            with open("/proc/%s/stat" % entry, encoding="utf-8", errors="replace") as stream:
                if stream.read().rpartition(")")[2].split()[0] != "Z":
                    found.add(name[:15])
        except (OSError, IndexError):
            continue  # it ended meanwhile
    return found


def _running_ps(uid: int) -> Set[str]:
    output = subprocess.run(
        ["ps", "-axo", "uid=,comm="], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30, check=False
    ).stdout.decode("utf-8", "replace")
    found = set()
    for line in output.splitlines():
        owner, _, command = line.strip().partition(" ")
        if owner == str(uid):
            found.add(os.path.basename(command.strip())[:15])
    return found


def proven(home: str, checks: List[Dict[str, Any]]) -> List[bool]:
    """For each check (``glob`` below the home, ``patterns``): do all patterns match in one file that the glob finds?

    Called with the person's rights. Files larger than 4 MiB are read as far as that.
    """
    return [_proven(home, check["glob"], check["patterns"]) for check in checks]


def _proven(home: str, pattern: str, expressions: List[str]) -> bool:
    if not expressions:
        return False  # nothing asked is nothing proven
    for path in sorted(glob.glob(os.path.join(glob.escape(home), pattern)))[:MAX_GLOB]:
        try:
            place = paths.locate(paths.Anchor(home, "home"), os.path.relpath(path, home))
        except (OSError, paths.Refused):
            continue
        try:
            handle = os.open(place.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=place.handle)
        except OSError:
            continue
        finally:
            paths.close(place)
        try:
            with os.fdopen(handle, "rb") as stream:
                text = stream.read(MAX_EVIDENCE).decode("utf-8", "replace")
        except OSError:
            continue
        if all(re.search(expression, text, re.MULTILINE) for expression in expressions):
            return True
    return False
