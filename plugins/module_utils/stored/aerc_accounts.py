# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read aerc's accounts.conf: the servers of each section, without what could be a password.

Source: aerc-accounts(5), aerc-imap(5) and aerc-smtp(5) of 0.20: ``imap`` and ``smtp`` start TLS (``smtp`` up to 0.14 only with
``smtp-starttls``), ``imaps`` and ``smtps`` begin with it, ``+insecure`` goes without; further words after a plus are ways to log in.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import urllib.parse
from email.utils import parseaddr
from typing import Optional

from ansible_collections.msp.charter_mail.plugins.module_utils.files import keyfile
from ansible_collections.msp.charter_mail.plugins.module_utils.stored.account import Server, Settings, server, stored

_PORTS = {("imap", "tls"): 993, ("imap", "other"): 143, ("smtp", "tls"): 465, ("smtp", "other"): 587}


def accounts(data: bytes) -> Settings:
    """The sections in their order. One with a source that is no IMAP server fetches nothing from a provider."""
    found = []
    try:
        sections = keyfile.read_keys(data.decode("utf-8", "replace"))
    except keyfile.NotUnderstood as error:
        return Settings([], [str(error)])
    for keys in sections.values():
        address = parseaddr(_plain(keys.get("from", "")))[1]
        incoming, outgoing = _server(_plain(keys.get("source", "")), "imap"), _server(_plain(keys.get("outgoing", "")), "smtp")
        if incoming or outgoing:
            found.append(stored(address, incoming, outgoing))
    return Settings(found, [])


def _plain(value: str) -> str:
    """A value without its quotes."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in '`"' else value


def _server(url: str, protocol: str) -> Optional[Server]:
    scheme, _unused, _rest = url.partition("://")
    kind, *words = scheme.lower().split("+")
    if kind not in (protocol, protocol + "s"):
        return None
    try:
        parts = urllib.parse.urlsplit("//" + _rest)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    security = "tls" if kind.endswith("s") else "none" if "insecure" in words or "none" in words else "starttls"
    usual = _PORTS[protocol, "tls" if security == "tls" else "other"]
    return server(protocol, host, port or usual, security, urllib.parse.unquote(parts.username or ""))
