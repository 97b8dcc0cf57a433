# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a server's certificate says, whoever signed it, and whether somebody known sits in the way.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import ssl
import tempfile
import time
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.servers.wire import shown

_SHORT = {"commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU", "countryName": "C"}


def describe(der: bytes) -> Dict[str, Any]:
    """A certificate (DER) in words: subject, issuer, names (DNS and IP), not_before and not_after (seconds since 1970),
    days_left, sha256. All but sha256 are None or empty where this Python cannot read certificates without trusting them.
    """
    fields = _decode(der)
    not_after = _seconds(fields.get("notAfter"))
    return {
        "subject": _name(fields.get("subject", ())),
        "issuer": _name(fields.get("issuer", ())),
        "names": [shown(str(value)) for kind, value in fields.get("subjectAltName", ()) if kind in ("DNS", "IP Address")][:50],
        "not_before": _seconds(fields.get("notBefore")),
        "not_after": not_after,
        "days_left": None if not_after is None else int((not_after - time.time()) // 86400),
        "sha256": hashlib.sha256(der).hexdigest(),
    }


def chain(sent: Sequence[bytes]) -> Dict[str, Any]:
    """What a server sent (DER, its own certificate first): sent, how many; lacks, the name of the first issuer on the way up that it left
    out, empty where the way ends in a certificate that signs itself; depth, how many steps up that is; named, whether the last on the way
    says where the missing one is (RFC 5280 section 4.2.2.1). The place is read, never visited.
    """
    fields = [_decode(der) for der in sent[:10]]
    here, depth = fields[0], 0
    while here.get("issuer") != here.get("subject") and depth < len(fields):
        above = next((each for each in fields if each.get("subject") == here.get("issuer")), None)
        if above is None:
            break
        here, depth = above, depth + 1
    ends = here.get("issuer") == here.get("subject")
    return {"sent": len(sent), "lacks": "" if ends else _name(here["issuer"]), "depth": depth, "named": bool(here.get("caIssuers"))}


def signs_itself(der: bytes) -> bool:
    """Whether a certificate's issuer is its subject; so it is with one that cannot be read."""
    fields = _decode(der)
    return fields.get("issuer") == fields.get("subject")


def _decode(der: bytes) -> Dict[str, Any]:
    """The fields as SSLSocket.getpeercert() gives them for a trusted certificate; empty where that fails.

    Python decodes the certificate of a connection only when it was verified. The function that CPython's own tests use does it for any
    (3.6 to 3.14); it wants a file.
    """
    handle, path = tempfile.mkstemp(prefix="charter-mail-")
    try:
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(ssl.DER_cert_to_PEM_cert(der))
        fields: Dict[str, Any] = ssl._ssl._test_decode_cert(path)  # type: ignore[attr-defined]
        return fields
    except (AttributeError, ssl.SSLError, OSError, ValueError):
        return {}
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _seconds(text: Optional[str]) -> Optional[int]:
    try:
        return int(ssl.cert_time_to_seconds(text)) if text else None
    except (ValueError, OverflowError):
        return None


def _name(parts: Tuple[Tuple[Tuple[str, str], ...], ...]) -> str:
    return shown(", ".join("%s=%s" % (_SHORT.get(key, key), value) for part in parts for key, value in part))


def covers(host: str, names: List[str]) -> bool:
    """Whether one of a certificate's names is the host's (RFC 9525: a * stands for exactly the first label)."""
    host = host.lower().rstrip(".")
    for name in (each.lower().rstrip(".") for each in names):
        if name == host:
            return True
        first, dot, rest = name.partition(".")
        if first == "*" and dot and "." in rest and host.partition(".")[2] == rest:
            return True
    return False


def interceptor(issuer: str, known: List[Dict[str, Any]]) -> Optional[Dict[str, Any]]:
    """The entry of ``known`` ({product, issuer: [texts], remedy}) one of whose texts is in the issuer's name, whatever the case."""
    folded = issuer.casefold()
    for entry in known:
        if any(text.casefold() in folded for text in entry["issuer"]):
            return entry
    return None
