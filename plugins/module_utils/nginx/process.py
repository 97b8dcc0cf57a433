# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The nginx that runs on this machine: whether it took a configuration, and what it says when it did not.

Runs on machines: Python 3.8, standard library only. Sources: nginx.org/en/docs/control.html, ngx_process_cycle.c and ngx_cycle.c of nginx.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from pathlib import Path
from typing import Callable, Collection, Dict, List, Optional, Set, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.nginx import configuration, listening, site

# Seconds that nginx may take to read its configuration; names of other servers in it are looked up meanwhile.
_PATIENCE = 120
_STEP = 0.02


class Nginx:
    """run: runs a command and gives exit code, output and errors, as AnsibleModule.run_command does. binary: path of nginx."""

    def __init__(self, run: Callable[..., Tuple[int, str, str]], binary: str, main_file: Path) -> None:
        self._run, self._binary, self._main_file = run, binary, main_file
        self._main: Optional[Dict[str, str]] = None

    def test(self) -> Tuple[int, str, str]:
        """What `nginx -T` says about the files as they are: exit code, all files, messages. What runs goes on as before."""
        code, dump, said = self._run([self._binary, "-T"])
        if code:
            with contextlib.suppress(OSError, UnicodeError):
                dump = "# configuration file %s:\n%s" % (self._main_file, self._main_file.read_text(encoding="utf-8"))
        self._main = configuration.read(dump).main
        return code, dump, said

    def master(self) -> Optional[int]:
        """The process that has the sockets; None when nginx does not run."""
        with contextlib.suppress(OSError, ValueError):
            process = int(Path(self._path("pid", "pid-path", "/run/nginx.pid")).read_text(encoding="ascii"))
            # The number of an nginx that ended may be another program's by now; a binary that was updated is called "nginx (deleted)".
            program = os.path.basename(os.readlink("/proc/%d/exe" % process)).partition(" ")[0]
            return process if program == os.path.basename(os.path.realpath(self._binary)) else None
        return None

    def held(self) -> List[listening.Listener]:
        """Where it takes connections."""
        master = self.master()
        mine = listening.sockets_of(master) if master else set()
        return [one for one in listening.listeners() if one.inode in mine]

    def load(self) -> str:
        """Let it take the configuration, which test() had no objection to, and start it when it does not run.

        Returns why it does not have it now, or nothing. When it could not be reloaded, it goes on with the one before.
        """
        log = self._path("error_log", "error-log-path", "")
        before = _size(log)
        master = self.master()
        if master:
            good = self._reload(master)
        else:
            self._run(["systemctl", "start", "nginx"])
            good = self.master() is not None
        return "" if good else _reason(log, before)

    def stop(self) -> None:
        """End it."""
        self._run(["systemctl", "stop", "nginx"])

    def _reload(self, master: int) -> bool:
        """A command to reload ends well whatever becomes of it, so it is the processes that tell.

        The master blocks its signals while it works, and waits for one with none blocked. When it waits again, it has started new workers
        and told the old ones to end, or it kept the old ones, because it could not have a socket, say. The old ones take no more
        connections once they have closed their sockets.
        """
        before = _children(master)
        os.kill(master, signal.SIGHUP)
        _until(lambda: _is_waiting(master))
        if not _children(master) - before:
            return False
        sockets = {one.inode for one in listening.listeners()}
        return _until(lambda: not any(listening.sockets_of(process) & sockets for process in before))

    def _path(self, directive: str, built_with: str, default: str) -> str:
        """What the configuration says, or else the value that nginx was built with."""
        if self._main is None:
            self.test()
        if self._main and directive in self._main:
            return os.path.join("/", self._main[directive])
        _unused, out, said = self._run([self._binary, "-V"])
        found = re.search(r"--%s=(\S+)" % built_with, out + said)
        return found.group(1) if found else default


def _until(done: Callable[[], bool]) -> bool:
    end = time.monotonic() + _PATIENCE
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(_STEP)
    return True


def _is_waiting(process: int) -> bool:
    """Whether a master is done with what it was told; also when it is no more."""
    try:
        status = dict(line.split(":", 1) for line in Path("/proc", str(process), "status").read_text(encoding="utf-8").splitlines())
        blocked, pending = (int(status[field], 16) for field in ("SigBlk", "ShdPnd"))
    except (OSError, KeyError):
        return True
    # Asleep, too: a signal that is just being taken is neither pending nor blocked for a moment.
    return status["State"].strip().startswith("S") and not blocked and not pending & 1 << (signal.SIGHUP - 1)


def _children(process: int) -> Set[int]:
    found = set()
    for other in listening.processes():
        with contextlib.suppress(OSError, IndexError):
            # The name, which may have anything in it, is in parentheses.
            fields = Path("/proc", str(other), "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(fields[1]) == process and fields[0] != "Z":
                found.add(other)
    return found


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def _reason(log: str, start: int) -> str:
    """What nginx wrote into its error log after `start`, in one line."""
    text = ""
    with contextlib.suppress(OSError), open(log, "rb") as stream:
        stream.seek(start if start <= _size(log) else 0)
        text = stream.read(100000).decode("utf-8", "replace")
    if "[emerg]" not in text:
        return "its error log says why"
    reason = site.reason(text, "")
    socket = re.search(r"bind\(\) to (\S+):(\d+) failed \(98:", reason)
    return reason + (", which %s has" % who(int(socket.group(2))) if socket else "")


def who(port: int, but: Collection[listening.Listener] = ()) -> str:
    """Who takes connections on a port, as a list for people. but: sockets that are left out."""
    there = [one for one in listening.listeners() if one.port == port and one not in but]
    names = listening.holders(one.inode for one in there)
    return " and ".join(sorted({names.get(one.inode, "a program that cannot be seen") for one in there})) or "a program that cannot be seen"
