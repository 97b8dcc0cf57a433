# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What TLS and failures look like as facts. Runs on machines: Python 3.8, standard library only."""

from __future__ import annotations

import socket
import ssl
from typing import Any, Dict, Optional

from ansible_collections.msp.charter_mail.plugins.module_utils.servers import certificate, wire

Facts = Dict[str, Any]

# OpenSSL's words for an answer that is no TLS at all.
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")


def tls(secure: ssl.SSLSocket) -> Facts:
    cipher = secure.cipher() or ("", "", 0)
    return {"ok": True, "version": secure.version(), "cipher": cipher[0], "bits": cipher[2], "error": None, "kind": None}


def describe(secure: ssl.SSLSocket) -> Optional[Facts]:
    der = secure.getpeercert(binary_form=True)
    if not der:
        return None
    sent = getattr(secure, "sent", None)
    return {**certificate.describe(der), "chain": certificate.chain(sent) if sent else None}


def no_handshake(error: Optional[BaseException]) -> Facts:
    """A handshake that failed; kind: timeout, closed, plain (the other side does not speak TLS), tls (it does, but not with us)."""
    kind = "closed"
    if isinstance(error, (socket.timeout, wire.Late)):
        kind = "timeout"
    elif isinstance(error, ssl.SSLError) and not isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        kind = "plain" if error.reason in _NO_TLS else "tls"
    return {"ok": False, "version": None, "cipher": None, "bits": None, "error": words(error), "kind": kind}


def broken(error: Optional[BaseException]) -> Facts:
    """How a conversation ended too early: kind (timeout, closed, garbage, refused, busy) and the words for it."""
    kind = {wire.NotMail: "garbage", wire.Late: "timeout", socket.timeout: "timeout"}.get(type(error), "closed")
    if isinstance(error, wire.Refused):
        kind = "busy" if error.reply.busy else "refused"
    return {"kind": kind, "text": words(error)}


def words(error: Optional[BaseException]) -> str:
    """An error in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message)
    if isinstance(error, ssl.SSLError) and error.reason:
        return str(error.reason).lower().replace("_", " ")
    if isinstance(error, (wire.Late, socket.timeout)):
        said = getattr(error, "said", "")
        return "no answer in time" + (', only "%s"' % said if said else "")
    if isinstance(error, wire.Closed):
        return "the connection was closed" + (' after "%s"' % error.said if error.said else "")
    if isinstance(error, OSError) and error.errno and error.strerror:
        return str(error.strerror).lower()
    return wire.shown(str(error)) or type(error).__name__
