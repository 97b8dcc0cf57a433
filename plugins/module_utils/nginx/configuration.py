# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What nginx's configuration says about who listens where, and where one more site has to listen. Pure, no I/O.

Runs on machines: Python 3.8, standard library only. Sources: nginx.org/en/docs/http/ngx_http_core_module.html (listen, server_name),
nginx.org/en/docs/http/request_processing.html, and ngx_conf_read_token in nginx's src/core/ngx_conf_file.c for how words are told apart.
"""

from __future__ import annotations

import contextlib
import fnmatch
import ipaddress
import os
import re
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

ANY4, ANY6 = "0.0.0.0", "::"
OTHER_PORT = "write a port that is free into mail_profile_url, as in https://profiles.example.org:8443/"

# One file in what `nginx -T` prints.
_FILE = re.compile(r"^# configuration file (.+):$", re.MULTILINE)
# Blanks and comments; what ends a directive; text in quotes; any other word, in which a brace may follow a dollar sign.
_TOKEN = re.compile(r"""\s+|\#[^\n]*|([{};])|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|((?![}"'])(?:\\.|\$\{|[^\s;{\\])+)""", re.DOTALL)
_PORTS = re.compile(r"(\d+)(?:-(\d+))?")


class Listen(NamedTuple):
    """One listen directive. address: as nginx binds it, or a name as it stands there. ports: from, to. dual: IPv6 and IPv4 in one."""

    address: str
    ports: Tuple[int, int]
    dual: bool = False
    ssl: bool = False
    proxy: bool = False
    default: bool = False


class Server(NamedTuple):
    """One server block. part: http, stream or mail."""

    part: str
    file: str
    listens: List[Listen]
    names: List[str]

    def on(self, port: int) -> List[Listen]:
        """Its listen directives for a port."""
        return [listen for listen in self.listens if listen.ports[0] <= port <= listen.ports[1]]


class Configuration(NamedTuple):
    """main: the first arguments of directives outside of all blocks. files: the ones that are read. servers: in nginx's order."""

    main: Dict[str, str]
    files: List[str]
    servers: List[Server]


class Clash(Exception):
    """Why one more site cannot be beside the others, in one sentence."""


def read(dump: str, own: Optional[Dict[str, str]] = None) -> Configuration:
    """What `nginx -T` printed, with the files of `own` (path and content) as if they were there already.

    Text that is no configuration gives less, never an error: nginx has read it before.
    """
    parts = _FILE.split(dump)
    files = {name: parts[2 * number + 2] for number, name in enumerate(parts[1::2])}
    files.update(own or {})
    found = Configuration({}, [], [])
    if len(parts) > 1:
        _read_file(parts[1:2], files, [], found)
    return found


def listen_on(config: Configuration, own: str, port: int) -> Tuple[List[Listen], bool]:
    """Where other sites of the http part listen on a port, each address once, and whether ours takes part in a socket for both families.

    own: path of our file. Raises Clash where our TLS on the same port would be in the way of another site, or the other way round.
    """
    merged: Dict[str, Listen] = {}
    for server in config.servers:
        if server.file == own:
            continue
        for listen in server.on(port):
            if server.part == "http":
                before = merged.get(listen.address, listen)
                flags = [bool(listen[place] or before[place]) for place in range(2, len(listen))]
                merged[listen.address] = Listen(listen.address, (port, port), *flags)
            elif listen.address in (ANY4, ANY6):
                raise Clash("port %d is taken by the %s part of this nginx, in %s; %s" % (port, server.part, server.file, OTHER_PORT))
    for listen in merged.values():
        if not listen.ssl:
            file = next(one.file for one in config.servers if one.file != own and listen.address in [each.address for each in one.on(port)])
            raise Clash("the site in %s is served on port %d without TLS, which TLS there would end; %s" % (file, port, OTHER_PORT))
    return list(merged.values()), any(listen.dual for listen in merged.values()) and ANY4 not in merged


def displaced(config: Configuration, own: str, port: int) -> Optional[Server]:
    """The site that has answered for names that no site has and no longer does when ours is read before it; None where nothing changes."""
    mine = next((server for server in config.servers if server.file == own), None)
    for listen in mine.on(port) if mine else []:
        sharing = [one for one in config.servers if one.part == "http" and listen.address in [each.address for each in one.on(port)]]
        other = next((one for one in sharing if one.file != own), None)
        default = any(each.default for one in sharing for each in one.on(port) if each.address == listen.address)
        if other and sharing[0] is mine and not default:
            return other
    return None


def is_nameless(server: Server) -> bool:
    """Whether a site lives from requests whose name no site has."""
    return not any(re.search(r"[a-z]", name, re.IGNORECASE) for name in server.names)


def place(address: str, port: int) -> str:
    """An address and a port."""
    return ("[%s]:%d" if ":" in address else "%s:%d") % (address, port)


def in_listen(address: str, port: int) -> str:
    """The same, as a listen directive has it."""
    return str(port) if address == ANY4 else place(address, port)


def _read_file(chain: List[str], files: Dict[str, str], blocks: List[Dict[str, Any]], found: Configuration) -> None:
    """Add what the last file of a chain of inclusions says. blocks: the ones that it is included in, outermost first."""
    name = chain[-1]
    found.files.append(name)
    for words, end in _directives(files[name]):
        if end == "{":
            blocks.append({"name": words[0] if words else "", "file": name, "listens": [], "names": [], "ssl": False})
        elif end == "}":
            if blocks:
                _close(blocks.pop(), blocks, found)
        elif words[0] == "include" and len(words) == 2:
            pattern = os.path.join(os.path.dirname(chain[0]), words[1])
            for other in sorted(files):
                if other.count("/") == pattern.count("/") and fnmatch.fnmatchcase(other, pattern) and other not in chain:
                    _read_file([*chain, other], files, blocks, found)
        elif not blocks:
            found.main.setdefault(words[0], words[1] if len(words) > 1 else "")
        elif words[0] == "listen" and len(words) > 1:
            blocks[-1]["listens"] += _listen(words[1:])
        elif words[0] == "server_name":
            blocks[-1]["names"] += words[1:]
        elif words == ["ssl", "on"]:  # until nginx 1.25
            blocks[-1]["ssl"] = True


def _close(block: Dict[str, Any], around: List[Dict[str, Any]], found: Configuration) -> None:
    if block["name"] != "server" or not around:
        return
    part = around[0]["name"]
    listens = block["listens"] or ([Listen(ANY4, (80, 80))] if part == "http" else [])
    listens = [listen._replace(ssl=True) for listen in listens] if block["ssl"] else listens
    found.servers.append(Server(part, block["file"], listens, block["names"]))


def _directives(text: str) -> Iterator[Tuple[List[str], str]]:
    """Words and what ends them: a semicolon or a brace."""
    words: List[str] = []
    for token in _TOKEN.finditer(text):
        end, double, single, word = token.groups()
        if end is None:
            words += [value for value in (double, single, word) if value is not None]
        else:
            if words or end != ";":
                yield words, end
            words = []


def _listen(words: List[str]) -> List[Listen]:
    """A listen directive's arguments; nothing for sockets that are not TCP."""
    where, options = words[0], words[1:]
    if where.startswith("unix:") or "quic" in options or "udp" in options:
        return []
    if where.startswith("["):
        host, _unused, port = where[1:].partition("]")
        port = port[1:]
    elif _PORTS.fullmatch(where):
        host, port = "*", where
    else:
        host, _unused, port = where.partition(":")
    with contextlib.suppress(ValueError):  # a name, which nginx looks up
        host = ANY4 if host == "*" else str(ipaddress.ip_address(host))
    ports = _PORTS.fullmatch(port or "80")
    if not ports:
        return []
    first = int(ports.group(1))
    return [
        Listen(
            host,
            (first, int(ports.group(2) or first)),
            dual="ipv6only=off" in options and host == ANY6,
            ssl="ssl" in options,
            proxy="proxy_protocol" in options,
            default="default_server" in options or "default" in options,
        )
    ]
