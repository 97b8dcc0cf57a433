# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which TCP sockets take connections on this machine, whose they are, and which addresses it has.

Runs on machines: Python 3.8, standard library only. Source: Linux, Documentation/networking/proc_net_tcp.rst, and proc(5).
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import re
import socket
import struct
import sys
from pathlib import Path
from typing import Dict, Iterable, List, NamedTuple, Set

_LISTEN = "0A"
# Link-local addresses, and addresses that are not in use yet or are somebody else's (IFA_F_TENTATIVE, IFA_F_DADFAILED).
_SCOPE_LINK, _UNUSABLE = 0x20, 0x48


class Listener(NamedTuple):
    """A socket that takes connections. inode: what /proc/<process>/fd knows it by."""

    address: str
    port: int
    inode: int


def listeners() -> List[Listener]:
    """All of them, of this network."""
    found = []
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(FileNotFoundError):
            for line in Path("/proc/net", name).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                address, _unused, port = fields[1].partition(":")
                if fields[3] == _LISTEN:
                    found.append(Listener(_address(address), int(port, 16), int(fields[9])))
    return found


def sockets_of(process: int) -> Set[int]:
    """The inodes of a process's sockets; none when it is gone."""
    found = set()
    with contextlib.suppress(OSError):
        for link in Path("/proc", str(process), "fd").iterdir():
            with contextlib.suppress(OSError):
                match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(str(link)))
                if match:
                    found.add(int(match.group(1)))
    return found


def processes() -> List[int]:
    """The ids of all processes, the oldest first as a rule."""
    return sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def holders(inodes: Iterable[int]) -> Dict[int, str]:
    """Who has these sockets, as in "haproxy (process 123)", for the ones of which that can be seen."""
    wanted = set(inodes)
    found: Dict[int, str] = {}
    for process in processes():
        for inode in (sockets_of(process) & wanted) - set(found):
            with contextlib.suppress(OSError):
                name = Path("/proc", str(process), "comm").read_text(encoding="utf-8", errors="replace").strip()
                found[inode] = "%s (process %d)" % (name, process)
    return found


def is_free(address: str, port: int, dual: bool = False) -> bool:
    """Whether the kernel would let a new program listen there. dual: an IPv6 address for IPv4 too. Takes no connection itself."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not dual))
        try:
            one.bind((address, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return False
    return True


def has_ipv6() -> bool:
    """Whether the kernel knows IPv6."""
    return Path("/proc/net/if_inet6").exists()


def _address(text: str) -> str:
    """An address of /proc/net/tcp or tcp6: words of four bytes, each as the processor stores it."""
    raw = bytes.fromhex(text)
    words = struct.unpack(">%dI" % (len(raw) // 4), raw)
    return str(ipaddress.ip_address(b"".join(word.to_bytes(4, sys.byteorder) for word in words)))


def local_addresses() -> List[str]:
    """The addresses at which this machine reaches itself, loopback included."""
    table = Path("/proc/net/fib_trie").read_text(encoding="ascii")
    found = set(re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", table))
    if has_ipv6():
        for line in Path("/proc/net/if_inet6").read_text(encoding="ascii").splitlines():
            address, _unused, _unused, scope, flags, _unused = line.split()
            if int(scope, 16) != _SCOPE_LINK and not int(flags, 16) & _UNUSABLE:
                found.add(str(ipaddress.IPv6Address(bytes.fromhex(address))))
    return sorted(found, key=lambda address: (":" in address, ipaddress.ip_address(address).packed))
