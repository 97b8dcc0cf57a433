# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whom this machine and its programs trust: lists of authorities, and TLS contexts that go by one of them.

The machine's own list says what its programs take. Only the other lists, which nobody here added to, tell a public authority from one that
an antivirus, a web filter or an office brought:

    distribution  what the distribution's package has, without additions
    thunderbird   what is built into the Thunderbird that is installed
    policies      what Thunderbird's policies add to that
    completed     distribution and thunderbird, with the certificates between authority and server that somebody added to this machine

A list is None where it cannot be had: then nothing is compared, and nothing is claimed.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import ssl
import threading
from typing import Any, Callable, Dict, FrozenSet, Iterator, List, Optional, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.servers import certificate
from ansible_collections.msp.charter_mail.plugins.module_utils.stored import programs

Authorities = FrozenSet[bytes]
"""Certificates, as DER."""

DISTRIBUTIONS = (
    # Debian, Ubuntu, Alpine: the package's own folder; what an administrator adds lies in others (update-ca-certificates(8)).
    "/usr/share/ca-certificates/mozilla/*.crt",
    # Fedora and its kin: Mozilla's list without anchors (update-ca-trust(8)).
    "/usr/share/pki/ca-trust-source/ca-bundle.trust.p11-kit",
    # Arch: package ca-certificates-mozilla.
    "/usr/share/ca-certificates/trust-source/mozilla.trust.p11-kit",
)
"""Where the distribution's own list is; the first that is there counts. The second and third are known from their packages, not run."""

# Thunderbird's authorities lie in one of these as they are, DER beside DER: seen in 140.12 and 153.7 of Debian 12.
_BUILT_IN = ("libnssckbi.so", "libxul.so")
# Where this is p11-kit's, Thunderbird goes by the machine's list and has none of its own (Fedora, Arch).
_SHARED = ("/usr/lib64/libnssckbi.so", "/usr/lib/libnssckbi.so")
_FEWEST = 50  # no list of public authorities is shorter; a library may hold a few certificates for other ends
_POLICIES = "/etc/thunderbird/policies/policies.json"
_POLICY_CERTIFICATES = ("/usr/lib/mozilla/certificates", "/usr/lib64/mozilla/certificates")  # mozilla.github.io/policy-templates

_PEM = re.compile(r"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END ")
# SEQUENCE { SEQUENCE { [0] { INTEGER 2 }: how every X.509 v3 certificate begins (RFC 5280).
_DER = re.compile(rb"\x30\x82(..)\x30\x82..\xa0\x03\x02\x01\x02", re.DOTALL)
_LARGEST = 8192  # bytes of one certificate
_PIECE = 1024 * 1024
_STRICT = ssl.VERIFY_X509_STRICT  # switched on by default since Python 3.13
_PARTIAL = 0x80000  # X509_V_FLAG_PARTIAL_CHAIN, which has a name in Python since 3.10 and is switched on since 3.13


def distribution() -> Optional[Authorities]:
    """What the distribution's package has."""
    for place in DISTRIBUTIONS:
        found = frozenset(der for path in glob.glob(place) for der in _trusted_in(path))
        if found:
            return found
    return None


def thunderbird() -> Optional[Authorities]:
    """What is built into Thunderbird. It may hold more than Thunderbird trusts (its list names distrusted authorities too), never less."""
    place = programs.look("thunderbird", "linux")["path"]
    if place is None or any("p11-kit" in os.path.realpath(path) for path in _SHARED):
        return None
    found = frozenset(der for name in _BUILT_IN for der in _embedded(os.path.join(place, name)))
    return found if len(found) >= _FEWEST else None


def policies() -> Optional[Authorities]:
    """What Thunderbird's policies make it trust besides; None where they add nothing."""
    place = programs.look("thunderbird", "linux")["path"] or ""
    found = set()
    for path in (_POLICIES, os.path.join(place, "distribution/policies.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            for name in json.loads(_read(path))["policies"]["Certificates"]["Install"]:
                found |= {der for folder in ("/", *_POLICY_CERTIFICATES) for der in _certificates_in(os.path.join(folder, name))}
    return frozenset(found) or None


def completed() -> Optional[Authorities]:
    """The public authorities, with what this machine has of certificates that an authority signed; None where it has none."""
    public = (distribution() or frozenset()) | (thunderbird() or frozenset())
    between = {der for der in machine() - public if not certificate.signs_itself(der)}
    return frozenset(public | between) if public and between else None


LISTS: Dict[str, Callable[[], Optional[Authorities]]] = {
    "distribution": distribution,
    "thunderbird": thunderbird,
    "policies": policies,
    "completed": completed,
}


def machine() -> Authorities:
    """What OpenSSL goes by on this machine: a file, and folders of files that are called by a hash."""
    paths = ssl.get_default_verify_paths()
    files = [paths.cafile] if paths.cafile else []
    for folder in (paths.capath or "").split(os.pathsep):
        files += glob.glob(os.path.join(folder, "[0-9a-f]" * 8 + ".[0-9]*")) if folder else []
    return frozenset(der for path in files for der in _certificates_in(path))


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read(16 * _PIECE)


def _pem(text: str) -> Iterator[bytes]:
    for block in _PEM.findall(text):
        with contextlib.suppress(ValueError):
            der = ssl.PEM_cert_to_DER_cert("-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n" % block.strip())
            # OpenSSL's "trusted" certificates have more behind them.
            yield der[: 4 + int.from_bytes(der[2:4], "big")]


def _certificates_in(path: str) -> List[bytes]:
    """The certificates in a file, PEM or DER; none where it cannot be read."""
    try:
        return list(_pem(_read(path))) or list(_embedded(path))
    except OSError:
        return []


def _trusted_in(path: str) -> List[bytes]:
    """The certificates of a list of the distribution's; of p11-kit's format those that it trusts."""
    try:
        text = _read(path)
    except OSError:
        return []
    if path.endswith(".p11-kit"):
        text = "".join(part for part in text.split("[p11-kit-object-v1]") if re.search(r"^trusted: true$", part, re.MULTILINE))
    return list(_pem(text))


def _embedded(path: str) -> Iterator[bytes]:
    """Certificates that lie in a file of any kind; none where it cannot be read."""
    with contextlib.suppress(OSError), open(path, "rb") as stream:
        data = stream.read(_PIECE)
        while data:
            more = stream.read(_PIECE)
            both = data + more[:_LARGEST]
            for found in _DER.finditer(both):
                end = found.start() + 4 + int.from_bytes(found.group(1), "big")
                if found.start() < len(data) and end - found.start() <= _LARGEST and end <= len(both):
                    yield both[found.start() : end]
            data = more


class Socket(ssl.SSLSocket):
    """A TLS connection that knows what the other side sent. ``sent``: certificates as DER, its own first; None where nobody saw them."""

    sent: Optional[List[bytes]] = None


class Trust:
    """TLS contexts, 1.2 or later; one of a kind for all looks, for it takes some MB and time."""

    def __init__(self) -> None:
        self._contexts: Dict[Tuple[Optional[str], bool, bool], ssl.SSLContext] = {}
        self._lists: Dict[str, Optional[Authorities]] = {}
        self._lock = threading.Lock()

    def authorities(self, name: str) -> Optional[Authorities]:
        """A list of LISTS."""
        with self._lock:
            return self._list(name)

    def _list(self, name: str) -> Optional[Authorities]:
        if name not in self._lists:
            self._lists[name] = LISTS[name]() if name in LISTS else None
        return self._lists[name]

    def context(self, by: Optional[str] = "machine", strict: bool = False, host: bool = True) -> ssl.SSLContext:
        """by: whose authorities count, the machine's, those of a list of LISTS (with neither of the other checks) or None to take any
        certificate; strict: with the checks that newer programs make; host: its name too.
        """
        with self._lock:
            kind = (by, strict, host)
            if kind not in self._contexts:
                context = ssl.create_default_context() if by == "machine" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname = by == "machine" and host
                if by is None:
                    context.verify_mode = ssl.CERT_NONE
                elif by == "machine":
                    context.verify_flags = context.verify_flags | _STRICT if strict else context.verify_flags & ~_STRICT
                else:
                    context.verify_flags &= ~(_STRICT | _PARTIAL)
                    for der in self._list(by) or ():
                        with contextlib.suppress(ssl.SSLError):  # what OpenSSL cannot read, it cannot trust
                            context.load_verify_locations(cadata=der)
                context.minimum_version = ssl.TLSVersion.TLSv1_2
                context.sslsocket_class = Socket
                # Python tells what the other side sent since 3.13, to this (which its own tests use) since 3.8.
                context._msg_callback = _note_sent  # type: ignore[attr-defined]
                self._contexts[kind] = context
            return self._contexts[kind]


def _note_sent(connection: Any, direction: str, version: int, content: int, message: int, data: bytes) -> None:  # noqa: PLR0917  # as ssl calls it
    if direction == "read" and content == _HANDSHAKE and message == _CERTIFICATE and isinstance(connection, Socket):
        connection.sent = sent_in(data, bool(version >= ssl.TLSVersion.TLSv1_3))


_HANDSHAKE, _CERTIFICATE = 22, 11  # RFC 8446 section 4, and 5.1


def sent_in(message: bytes, tls13: bool) -> Optional[List[bytes]]:
    """The certificates (DER) of a handshake message `certificate` of TLS 1.3 (RFC 8446 section 4.4.2) or 1.2 (RFC 5246 section 7.4.2)."""

    def number(at: int, size: int) -> int:
        return int.from_bytes(message[at : at + size], "big")

    place = 5 + number(4, 1) + 3 if tls13 else 4 + 3
    found = []
    while place < len(message):
        begin, end = place + 3, place + 3 + number(place, 3)
        if end > len(message):
            return None
        found.append(message[begin:end])
        place = end + (2 + number(end, 2) if tls13 else 0)
    return found or None


def verified(secure: ssl.SSLSocket) -> Optional[List[bytes]]:
    """The chain (DER) that OpenSSL found to an authority it trusts, the server's own first; None where Python cannot tell (before 3.10)."""
    give = getattr(secure, "get_verified_chain", None) or getattr(getattr(secure, "_sslobj", None), "get_verified_chain", None)
    if give is None:
        return None
    return [each if isinstance(each, bytes) else each.public_bytes(_AS_DER) for each in give()]


_AS_DER = getattr(getattr(ssl, "_ssl", None), "ENCODING_DER", 2)
