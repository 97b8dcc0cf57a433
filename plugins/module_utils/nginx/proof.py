# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a site of ours is what this machine's addresses answer with.

Runs on machines: Python 3.8, standard library only. Looks up no name and reaches no other machine.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import time
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.nginx import site
from ansible_collections.msp.charter_mail.plugins.module_utils.nginx.configuration import place

# Seconds that a single step of an answer may take, and that the link which is tried is good for.
_PATIENCE, _GOOD_FOR = 20, 600
_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_NOBODYS = "nobody/nobody-iphone.mobileconfig"
# What nginx takes for the line of a proxy that says nothing about its client.
_FROM_PROXY = b"PROXY UNKNOWN\r\n"


def problem(data: Dict[str, Any], address: str, proxied: bool, profile: Optional[Tuple[str, bytes]]) -> str:
    """What an address of this machine answers with instead of the site; empty when it is the site.

    data: as site.render() takes it. profile: name and content of one that is served, None when there is none. Nothing is asked of who has
    another certificate. Then a link comes that has ended and is nobody's, of which no other site knows that it was a right one; and only
    then one that works, so that no other site gets it and logs it.
    """
    at = place(address, data["port"])
    try:
        status, _unused = _get(data, address, proxied, _path(data, _NOBODYS, 1))
        if status != http.client.GONE:
            return "%s answers a link to %s that has ended with %d, where this site says 410" % (at, data["host"], status)
        if profile:
            status, content = _get(data, address, proxied, _path(data, profile[0], int(time.time()) + _GOOD_FOR))
            if status != http.client.OK:
                return "%s answers a link to a profile with %d" % (at, status)
            if content != profile[1]:
                return "%s answers a link with other bytes than those of the profile" % at
    except _OtherCertificate:
        return "%s answers for %s with another certificate than profile_server_certificate" % (at, data["host"])
    except (OSError, ValueError, http.client.HTTPException) as error:
        return "%s does not answer for %s over TLS: %s" % (at, data["host"], _said(error))
    return ""


class _OtherCertificate(Exception):
    pass


def _said(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).strip()


def _path(data: Dict[str, Any], name: str, until: int) -> str:
    folder, _unused, file = name.partition("/")
    return "/".join([data["prefix"], site.token(until, folder, data["secret"]), site.quoted(folder), site.quoted(file)])


def _first_certificate(path: str) -> bytes:
    found = _CERTIFICATE.search(Path(path).read_text(encoding="ascii", errors="replace"))
    return ssl.PEM_cert_to_DER_cert(found.group()) if found else b""


def _get(data: Dict[str, Any], address: str, proxied: bool, path: str) -> Tuple[int, bytes]:
    """Status and content of a path that the site's name has at an address of this machine. Raises _OtherCertificate before asking."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Compared with the right one instead; whether phones trust it is not for this machine to say.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((address, data["port"]), timeout=_PATIENCE) as plain:
        if proxied:
            plain.sendall(_FROM_PROXY)
        with context.wrap_socket(plain, server_hostname=data["host"]) as secure:
            if secure.getpeercert(binary_form=True) != _first_certificate(data["certificate"]):
                raise _OtherCertificate
            connection = http.client.HTTPConnection(data["host"])
            # Never a connection of its own, which would go to where the name points.
            connection.auto_open, connection.sock = 0, secure
            host = data["host"] if data["port"] == 443 else "%s:%d" % (data["host"], data["port"])
            connection.request("GET", path, headers={"Host": host, "Connection": "close"})
            answer = connection.getresponse()
            return answer.status, answer.read()
