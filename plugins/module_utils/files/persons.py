# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Act as a person of the machine, and look at what that person runs and has.

Root never opens a path below a home: a child process gives up root for good, works with the person's own rights, and
hands plain data back through a pipe. What a link or a pipe planted in the home can reach is then what that person
can reach anyway.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import pwd
import select
import signal
import subprocess
import sys
import time
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

SECONDS = 30
"""How long the work for one person may take: it is done in less than one, unless the home is on a file server that is dead."""

PATIENCE = 1
"""Seconds after which the next person's work begins beside it."""

MAX_EVIDENCE = 4 * 1024 * 1024  # bytes read of one file
MAX_GLOB = 50  # files looked at per person and program

_LOCAL = {"files", "compat", "systemd", "altfiles"}  # sources of logins that are on the machine itself

Work = Callable[[], Any]
"""What is done with the rights of a person. What it returns has to fit into JSON."""


class Person(NamedTuple):
    """A login of this machine."""

    login: str
    uid: int
    gid: int
    home: str


class NotDone(Exception):
    """The work for the person did not come to an end. The message is one sentence for people."""


class Silent(NotDone):
    """The person's home did not answer in time."""


class Away(NotDone):
    """The home is not there, so nothing was looked at."""

    word = "refused"  # the outcome of a file that was wanted there


class Unknown(Away):
    """The machine does not know the login now."""

    word = "no_login"


class Deleted(Unknown):
    """The machine knows all its logins itself, and this one is not among them: nobody can use what is in that home."""


def find(login: str) -> Optional[Person]:
    """Look the login up; None when the machine does not know it."""
    try:
        entry = pwd.getpwnam(login)
    except KeyError:
        return None
    return Person(login, entry.pw_uid, entry.pw_gid, entry.pw_dir)


def absence(login: str) -> Unknown:
    """What it means that the machine does not know a login: one from a directory (LDAP, a domain) may be back tomorrow.

    Source: nsswitch.conf(5); where the file is missing (macOS, for one), logins may come from anywhere.
    """
    message = "this machine has no login %s%s" % (login, similar(login))
    try:
        with open("/etc/nsswitch.conf", encoding="utf-8", errors="replace") as stream:
            found = [line.partition(":")[2].partition("#")[0].split() for line in stream if line.startswith("passwd:")]
    except OSError:
        return Unknown(message)
    return Deleted(message) if found and set(found[0]) <= _LOCAL else Unknown(message)


def similar(login: str) -> str:
    """A question for a message: which login of this machine may be meant. Empty when none is like it; logins of services are left out."""
    known = [entry.pw_name for entry in pwd.getpwall() if 500 <= entry.pw_uid < 65534]
    return "".join("; did you mean %s?" % name for name in difflib.get_close_matches(login, known, 1))


def home_problem(person: Person) -> Optional[str]:
    """Why nothing can be written to the person's home, in one sentence; None when it can.

    Asks the file system, which may never answer: called in a child process.
    """
    try:
        info = os.stat(person.home)
    except (FileNotFoundError, NotADirectoryError):
        return "the home %s does not exist (has %s never logged in?)" % (person.home, person.login)
    except OSError as error:
        return "the home %s cannot be looked at: %s" % (person.home, error.strerror)
    if info.st_uid != person.uid:
        return "the home %s belongs to uid %d, not to %s" % (person.home, info.st_uid, person.login)
    return None


def become(person: Person) -> None:
    """Give up root for good. Called in a child process only."""
    os.umask(0o077)
    os.chdir("/")
    if os.geteuid() == person.uid:
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


def each(tasks: Sequence[Tuple[Person, Work]]) -> Iterator[Tuple[int, Any]]:
    """Do the work of several people, each in a child with that person's rights; number of the task and what the work returned, or NotDone.

    One after another, but who is not ready within PATIENCE is not waited for: the next ones go on beside, and what is ready comes
    first. Nobody is waited for longer than SECONDS.
    """
    slow: List[Tuple[int, _Child]] = []
    for number, (person, work) in enumerate(tasks):
        try:
            child = _Child(person, work)
        except OSError as error:
            yield number, NotDone("no process could be started for %s: %s" % (person.login, error.strerror))
            continue
        if child.ready(PATIENCE):
            yield number, child.answer()
        else:
            slow.append((number, child))
        for late in [entry for entry in slow if entry[1].ready(0)]:
            slow.remove(late)
            yield late[0], late[1].answer()
    for number, child in slow:
        child.ready(max(0.0, child.end - time.monotonic()))
        yield number, child.answer()


def as_person(person: Person, work: Work) -> Any:
    """What the work returns, done with the rights of one person. Raises NotDone."""
    ((_unused, answer),) = each([(person, work)])
    if isinstance(answer, NotDone):
        raise answer  # pylint: disable=raising-non-exception  # it is one, by the line above
    return answer


class _Child:
    """A process that does the work of one person and says one thing at its end: what came of it."""

    def __init__(self, person: Person, work: Work):
        self.person = person
        self.end = time.monotonic() + SECONDS
        self._heard = bytearray()
        self._closed = False
        self._source, out = os.pipe()
        try:
            self._pid = os.fork()
        except OSError:
            os.close(self._source)
            os.close(out)
            raise
        if self._pid == 0:
            _work(person, work, out)
        os.close(out)

    def ready(self, seconds: float) -> bool:
        """Has it said its last word? Waits so long for it, and no longer."""
        until = time.monotonic() + seconds
        while not self._closed:
            if not select.select([self._source], [], [], max(0.0, until - time.monotonic()))[0]:
                return False
            chunk = os.read(self._source, 1 << 20)
            self._heard += chunk
            self._closed = not chunk
        return True

    def answer(self) -> Any:
        """What the work returned, or NotDone; one that has not said it by now is ended."""
        if not self._closed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
        os.close(self._source)
        self._reap()
        if not self._closed:
            return Silent("the home %s did not answer within %d s" % (self.person.home, SECONDS))
        try:
            message = json.loads(self._heard.decode("ascii"))
        except ValueError:  # nothing, or half of it
            return NotDone("the process that worked for %s died" % self.person.login)
        if "away" in message:
            return Away(message["away"])
        return NotDone(message["error"]) if "error" in message else message["done"]

    def _reap(self) -> None:
        """Take note of its end. One that hangs in the kernel does not end, whatever it is sent: that one is left to itself."""
        for _unused in range(1000):
            if os.waitpid(self._pid, os.WNOHANG)[0]:
                return
            time.sleep(0.001)


def _work(person: Person, work: Work, out: int) -> None:
    """The child. Never returns."""
    try:
        # It may outlive us: then it must not hold our lock, nor the connection that our caller waits on.
        _let_go(out)
        try:
            become(person)
            problem = home_problem(person)
            message = {"away": problem} if problem else {"done": work()}
        except NotDone as error:
            message = {"error": str(error)}
        except BaseException as error:  # the parent must hear of everything
            message = {"error": "%s: %s" % (type(error).__name__, error)}
        data = json.dumps(message).encode("ascii")
        while data:
            data = data[os.write(out, data) :]
    finally:
        os._exit(0)  # no clean-up of what belongs to the parent


def _let_go(kept: int) -> None:
    """Close every file but one."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for handle in (0, 1, 2):
        os.dup2(nothing, handle)
    os.closerange(3, kept)
    os.closerange(kept + 1, max(kept + 2, _most_files()))


def _most_files() -> int:
    """One more than the highest handle that is open."""
    try:
        return max(map(int, os.listdir("/dev/fd"))) + 1
    except OSError:  # no /proc
        return 1024


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
    output = subprocess.run(  # pylint: disable=ansible-bad-function  # run_command has no limit, and here is no module
        ["ps", "-axo", "uid=,comm="], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30, check=False
    ).stdout.decode("utf-8", "replace")
    found = set()
    for line in output.splitlines():
        owner, _unused, command = line.strip().partition(" ")
        if owner == str(uid):
            found.add(os.path.basename(command.strip())[:15])
    return found
