# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Connections to several addresses at once.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time
from typing import Any, Dict, List, Optional, Tuple

Facts = Dict[str, Any]

FAMILIES: Dict[int, str] = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}


class Race:
    """Connect to several addresses at once; the first that answers wins, the others are waited for at the end.

    A mail program does it in some such way (RFC 8305), and a technician wants to know of a family that hangs.
    """

    def __init__(self, addresses: List[Tuple[int, str]], port: int, end: float) -> None:
        self._begin = time.monotonic()
        self._end = end
        self._selector = selectors.DefaultSelector()
        self._results: Dict[Tuple[int, str], Facts] = {}
        self.winner: Optional[Tuple[int, str]] = None
        for place in addresses:
            self._results[place] = {"ip": place[1], "family": FAMILIES[place[0]], "ok": None, "ms": None, "error": None, "kind": None}
            self._start(place, port)

    def _start(self, place: Tuple[int, str], port: int) -> None:
        connection = None
        try:
            connection = socket.socket(place[0], socket.SOCK_STREAM)
            connection.setblocking(False)
            code = connection.connect_ex((place[1], port))
        except OSError as error:
            if connection is not None:
                connection.close()
            self._failed(place, error.errno or 0)
            return
        if code in (0, errno.EINPROGRESS):
            self._selector.register(connection, selectors.EVENT_WRITE, place)
        else:
            connection.close()
            self._failed(place, code)

    def _failed(self, place: Tuple[int, str], code: int) -> None:
        kind = "refused" if code in (errno.ECONNREFUSED, errno.ECONNRESET) else "unreachable"
        # No address of this family here is no news: the machine has no such network.
        if code in (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            kind = "no network"
        self._results[place].update(ok=False, ms=ms(self._begin), error=os.strerror(code).lower(), kind=kind)

    def first(self) -> Optional[socket.socket]:
        """The first connection that stands, None when there is none in time."""
        while self._selector.get_map():
            for connection, place in self._ready():
                self._won(connection, place)
                if self.winner == place:
                    return connection
            if time.monotonic() >= self._end:
                break
        return None

    def finish(self) -> None:
        """Wait for the rest and close it."""
        while self._selector.get_map() and time.monotonic() < self._end:
            for connection, place in self._ready():
                self._won(connection, place)
                connection.close()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]  # only sockets are registered
            self._results[key.data].update(ok=False, ms=ms(self._begin), error="no answer", kind="timeout")
        self._selector.close()

    def _won(self, connection: socket.socket, place: Tuple[int, str]) -> None:
        self._results[place].update(ok=True, ms=ms(self._begin))
        if self.winner is None:
            connection.setblocking(True)
            self.winner = place

    def _ready(self) -> List[Tuple[socket.socket, Tuple[int, str]]]:
        found = []
        for key, _events in self._selector.select(max(0.0, self._end - time.monotonic())):
            connection: socket.socket = key.fileobj  # type: ignore[assignment]  # the same
            self._selector.unregister(connection)
            code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                connection.close()
                self._failed(key.data, code)
            else:
                found.append((connection, key.data))
        return found

    def results(self) -> List[Facts]:
        """One per address: ip, family, ok, ms, error, kind (timeout, refused, unreachable, no network)."""
        return [dict(result) for result in self._results.values()]


def ms(since: float) -> int:
    """Milliseconds since then (time.monotonic)."""
    return int((time.monotonic() - since) * 1000)
