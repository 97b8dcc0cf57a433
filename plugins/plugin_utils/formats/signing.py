# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Signatures on configuration profiles: CMS SignedData (RFC 5652), content inside, DER. Pure: bytes in, bytes out.

A device shows a profile as verified when the signature leads to a root that it trusts, so the issuers travel in the signature.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from ..office.problem import Problem, printable

with contextlib.suppress(ImportError):  # office/libraries.py says it
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key, pkcs7

WARN_DAYS = 30

Key: TypeAlias = "rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey"

# DER: tags, and contents of object identifiers.
_CONTEXT_0 = 0xA0
_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_MESSAGE_DIGEST = bytes.fromhex("2a864886f70d010904")


class _Part(NamedTuple):
    """A DER value: its tag, what is inside, and all of it."""

    tag: int
    content: bytes
    whole: bytes


class Source(NamedTuple):
    """name: what messages call it, a variable or a file. pem: its content."""

    name: str
    pem: bytes


class Signer(NamedTuple):
    """chain: the certificates of the issuers, the nearest one first; empty for a self-signed certificate."""

    certificate: x509.Certificate
    key: Key
    chain: tuple[x509.Certificate, ...]

    @property
    def all(self) -> tuple[x509.Certificate, ...]:
        """The certificate and its chain."""
        return (self.certificate, *self.chain)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all its certificates, in hexadecimal."""
        return hashlib.sha256(b"".join(map(_der, self.all))).hexdigest()


def load(
    certificate: Source, key: Source, chain: Source | None, password: str, now: datetime.datetime
) -> tuple[Signer | None, list[Problem]]:
    """The signer, or everything that is wrong with it.

    certificate: PEM, with or without its issuers. key: PEM, RSA or EC, encrypted or not. chain: PEM, issuers that are not in
    `certificate`. password: of the key, empty for none. now: an aware time.
    """
    found: list[Problem] = []
    certificates, others = _certificates(certificate, found), _certificates(chain, found) if chain else []
    private = _key(key, password, found)
    if not certificates:
        return None, found
    own = [one for one in certificates if private and _public(one.public_key()) == _public(private.public_key())]
    leaf = (own or certificates)[0]
    if private and not own:
        what = f"does not belong to the certificate of {_name(leaf)} in {certificate.name}; a key and its certificate are made together"
        found.append(Problem(key.name, what=what))
    issuers = _issuers(leaf, [*certificates, *others])
    if not issuers and leaf.issuer != leaf.subject:
        what = f"lacks its chain: the certificate of its issuer ({printable(leaf.issuer.rfc4514_string())}) is not there"
        found.append(Problem(certificate.name, what=f"{what}; append it, as in a fullchain.pem"))
    for one in (leaf, *issuers):
        if one.not_valid_after_utc < now:
            when = f"{one.not_valid_after_utc:%Y-%m-%d}"
            found.append(Problem(certificate.name, what=f"the certificate of {_name(one)} expired on {when}; get a new one"))
        elif one.not_valid_before_utc > now:
            when = f"{one.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
            found.append(Problem(certificate.name, what=f"the certificate of {_name(one)} is not valid before {when}; is the clock right?"))
    return (Signer(leaf, private, tuple(issuers)) if private and not found else None), found


def expiry_warning(signer: Signer, now: datetime.datetime) -> str:
    """A sentence for people when the signer expires within 30 days, else nothing."""
    first = min(signer.all, key=lambda certificate: certificate.not_valid_after_utc)
    left = first.not_valid_after_utc - now
    if left > datetime.timedelta(days=WARN_DAYS):
        return ""
    days = "tomorrow at the latest" if left.days < 1 else f"in {left.days} days" if left.days > 1 else "in one day"
    return (
        f"the certificate of {_name(first)}, with which the profiles are signed, expires on {first.not_valid_after_utc:%Y-%m-%d}, {days}: "
        "installed profiles stay, but one that is installed later counts as unsigned. Get a new certificate and run again."
    )


def sign(plist: bytes, signer: Signer) -> bytes:
    """`plist` signed. The time is part of a signature, so two signatures differ: see still_good()."""
    # set_data() comes first: called after add_certificate() it drops the certificates without a word.
    builder = pkcs7.PKCS7SignatureBuilder().set_data(plist).add_signer(signer.certificate, signer.key, hashes.SHA256())
    for certificate in signer.chain:
        builder = builder.add_certificate(certificate)
    # Without Binary the lines would end otherwise than in what was looked at.
    return builder.sign(Encoding.DER, [pkcs7.PKCS7Options.Binary])


def still_good(signed: bytes, plist: bytes, signer: Signer) -> bool:
    """Whether `signed` is `plist` under a valid signature of `signer`, with all its certificates: then it need not be signed anew."""
    try:
        return _verifies(signed, plist, signer)
    except (IndexError, ValueError, InvalidSignature):
        return False


def _verifies(signed: bytes, plist: bytes, signer: Signer) -> bool:
    # cryptography makes SignedData but does not read it. RFC 5652, 3 to 5.3; definite lengths only, because ours has no others.
    kind, wrapped = _read(_one(signed))
    _unused, _unused, content_info, *certificate_sets, signer_infos = _read(_one(wrapped.content))
    _unused, content = _read(content_info.content)
    certificates = {part.whole for field in certificate_sets if field.tag == _CONTEXT_0 for part in _read(field.content)}
    _unused, _unused, _unused, attributes, _unused, signature, *_others = _read(_one(signer_infos.content))
    if kind.content != _SIGNED_DATA or certificates != set(map(_der, signer.all)):
        return False
    values = {oid.content: value.content for oid, value in (_read(part.content) for part in _read(attributes.content))}
    if _one(content.content) != plist or _one(values.get(_MESSAGE_DIGEST, b"")) != hashlib.sha256(plist).digest():
        return False
    # What is signed is the attributes as a SET, not with the tag they carry (5.4).
    _check(signer.certificate, signature.content, b"\x31" + attributes.whole[1:])
    return True


def _check(certificate: x509.Certificate, signature: bytes, data: bytes) -> None:
    public = certificate.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        public.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
    elif isinstance(public, ec.EllipticCurvePublicKey):
        public.verify(signature, data, ec.ECDSA(hashes.SHA256()))


def _read(data: bytes) -> list[_Part]:
    """The DER values in `data` one after the other. Raises IndexError or ValueError."""
    parts = []
    start = 0
    while start < len(data):
        length, at = data[start + 1], start + 2
        if length & 0x80:
            at += length & 0x7F
            length = int.from_bytes(data[start + 2 : at])
        if at + length > len(data):
            raise ValueError("a value ends behind the end of the data")
        parts.append(_Part(data[start], data[at : at + length], data[start : at + length]))
        start = at + length
    return parts


def _one(data: bytes) -> bytes:
    """The content of the one DER value in `data`."""
    (part,) = _read(data)
    return part.content


def _certificates(source: Source, found: list[Problem]) -> list[x509.Certificate]:
    if _is_pem(source, "CERTIFICATE", found):
        try:
            return x509.load_pem_x509_certificates(source.pem)
        except ValueError:
            found.append(Problem(source.name, what="has a damaged certificate; copy it again, from -----BEGIN to -----END"))
    return []


def _key(source: Source, password: str, found: list[Problem]) -> Key | None:
    if not _is_pem(source, "PRIVATE KEY", found):
        return None
    secret = password.encode() if password and b"ENCRYPTED" in source.pem else None
    try:
        key = load_pem_private_key(source.pem, secret)
    except TypeError:
        found.append(Problem(source.name, what="is encrypted and no password was given"))
    except (ValueError, UnsupportedAlgorithm):
        what = (
            "cannot be opened with the password that was given"
            if secret
            else "has a damaged key; copy it again, from -----BEGIN to -----END"
        )
        found.append(Problem(source.name, what=what))
    else:
        if isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            return key
        found.append(Problem(source.name, what="is neither an RSA nor an EC key; profiles are signed with these two"))
    return None


def _is_pem(source: Source, label: str, found: list[Problem]) -> bool:
    if b"-----BEGIN " in source.pem and f"{label}-----".encode() in source.pem:
        return True
    what = f"is not PEM text with a {label.lower()} in it (-----BEGIN {label}-----)"
    if source.pem[:1] == b"\x30":
        what += "; this is DER, openssl can turn it into PEM"
    found.append(Problem(source.name, what=what))
    return False


def _issuers(certificate: x509.Certificate, pool: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """The chain of `certificate` as far as `pool` has it."""
    chain: list[x509.Certificate] = []
    while certificate.issuer != certificate.subject:
        issuer = next((one for one in pool if one not in chain and _issued(certificate, one)), None)
        if issuer is None:
            break
        chain.append(issuer)
        certificate = issuer
    return chain


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _public(key: CertificatePublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def _name(certificate: x509.Certificate) -> str:
    return printable(certificate.subject.rfc4514_string()) or "an unnamed subject"
