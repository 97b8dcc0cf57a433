"""People, accounts and certificates for the tests of phones and Macs."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.account import Account
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.model import resolve_people
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.policy import Policy
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ROOT = Path(__file__).resolve().parents[2]
PROVIDERS = yaml.safe_load((ROOT / "roles/mail/vars/main/providers.yml").read_text())["__mail_providers"]

NAMES = {
    "plain": "Jane Doe",
    "quotes": "Séan \"The 'Boss'\" O'Brien \\",
    "ampersand": "Smith & Sons <sales> &amp; ]]>",
    "non-latin": "山田 太郎",
    "latin-1": "Zoë Müller",
    "emoji": "Jo 😀",
    "right-to-left": "משה دافيد",
    "template": "{{ 7*7 }} {% raw %} $HOME `id`",
    "long": "Wolfe" + "schlegelstein" * 15,
}

NOW = datetime.datetime(2026, 6, 15, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)


def policy(**settings: Any) -> Policy:
    return Policy.of({"providers": PROVIDERS, "organization": "Example Office", **settings})


def account(address: str = "jane@example.org", full_name: str = "Jane Doe", /, **cells: str) -> Account:
    row = {"source": "staff.csv:2", "address": address, "full_name": full_name, "login": "jane", **cells}
    (person,) = resolve_people([row], policy())
    return person["accounts"][0]


class Issued(NamedTuple):
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self, password: str = "") -> bytes:
        encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def issue(
    name: str,
    issuer: Issued | None = None,
    *,
    key: Any = None,
    authority: bool = False,
    start: datetime.datetime = NOW - DAY,
    end: datetime.datetime = NOW + 365 * DAY,
    hosts: Sequence[str] = (),
) -> Issued:
    """A certificate for `name`; for a server's key as public authorities issue them, unless it is an authority's."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
    signing_key = issuer.key if issuer else key
    algorithm = None if isinstance(signing_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Issued(builder.sign(signing_key, algorithm), key)


class Chain(NamedTuple):
    root: Issued
    middle: Issued
    leaf: Issued

    @property
    def full(self) -> bytes:
        """As a fullchain.pem: the certificate and its issuer, not the root."""
        return self.leaf.pem + self.middle.pem


def chain(key: Any = None, **more: Any) -> Chain:
    root = issue("Root", authority=True, start=NOW - 9 * DAY, end=NOW + 3650 * DAY)
    middle = issue("Middle", root, authority=True, start=NOW - 9 * DAY, end=NOW + 3650 * DAY)
    return Chain(root, middle, issue("profiles.example.org", middle, key=key, **more))


def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)
