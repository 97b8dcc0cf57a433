# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one shape in which the readers of mail programs' settings tell what they found. Never a password.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional

from ansible_collections.msp.charter_mail.plugins.module_utils.masking import mask

MAX_TEXT = 1000
"""Characters that are kept of a host, address or user name; the longest legal one is 320 (RFC 5321 4.5.3.1)."""

Server = Dict[str, Any]  # protocol, host, port, security, username


class Stored(NamedTuple):
    """An account as a program has stored it. ``email`` is "" where the program stores no plain address.

    ``managed``: it carries the mark of this project; what a person made carries none.
    """

    email: str
    incoming: Optional[Server]
    outgoing: Optional[Server]
    managed: bool = False


class Settings(NamedTuple):
    """What a file holds, and half sentences about what in it could not be understood. They quote nothing of the file."""

    accounts: List[Stored]
    problems: List[str]


def server(protocol: str, host: str, port: int, security: str, username: str) -> Server:
    """protocol: imap, pop or smtp. security: tls, starttls or none. username: "" for a program that does not log in."""
    return {"protocol": protocol, "host": _text(host), "port": port, "security": security, "username": _text(username)}


def stored(email: str, incoming: Optional[Server], outgoing: Optional[Server], managed: bool = False) -> Stored:
    """An account, its address cut like the other texts."""
    return Stored(_text(email), incoming, outgoing, managed)


def _text(text: str) -> str:
    """Cut, and without a password that somebody typed along, as in imaps://jane:PASSWORD@host."""
    return mask(text)[:MAX_TEXT]
