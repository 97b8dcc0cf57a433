"""Signed profiles: OpenSSL is the judge of what cryptography signed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.plugin_utils.formats.mobileconfig import Settings, profile
from ansible_collections.msp.charter_mail.plugins.plugin_utils.formats.signing import Signer, Source, expiry_warning, load, sign, still_good
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.mobile_samples import DAY, NOW, Chain, account, chain, issue, rsa_key

PLIST = profile([account()], "ios", Settings("Example Office"))
CHAIN = chain()
OTHER = chain()


def signer(made: Chain = CHAIN) -> Signer:
    found, problems = load(Source("cert.pem", made.full), Source("key.pem", made.leaf.key_pem()), None, "", NOW)
    assert found and problems == []
    return found


SIGNED = sign(PLIST, signer())


def problems(
    certificate: bytes = CHAIN.full, key: bytes = CHAIN.leaf.key_pem(), more: bytes | None = None, password: str = "", **_: Any
) -> list[str]:
    others = None if more is None else Source("chain.pem", more)
    found, faults = load(Source("cert.pem", certificate), Source("key.pem", key), others, password, NOW)
    assert (found is None) == bool(faults)
    return [str(fault) for fault in faults]


def verify(signed: bytes, made: Chain, where: Path) -> bytes:
    """What OpenSSL takes out of `signed`, trusting nothing but the root. Without the issuer inside, this fails."""
    (where / "root.pem").write_bytes(made.root.pem)
    (where / "signed").write_bytes(signed)
    command = ["openssl", "cms", "-verify", "-inform", "DER", "-in", where / "signed", "-CAfile", where / "root.pem"]
    # The certificates of web servers are for no other purpose; the time of the test's certificates is the test's.
    done = subprocess.run([*command, "-purpose", "any", "-attime", f"{NOW.timestamp():.0f}"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize(
    "key", [rsa_key(), ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())], ids=["rsa", "p256", "p384"]
)
def test_openssl_verifies_with_the_root_alone_and_gets_the_same_bytes(key: Any, tmp_path: Path) -> None:
    made = chain(key)
    signed = sign(PLIST, signer(made))
    assert verify(signed, made, tmp_path) == PLIST
    assert still_good(signed, PLIST, signer(made))


def test_openssl_does_not_verify_what_was_changed(tmp_path: Path) -> None:
    at = SIGNED.index(b"imap.charter.net")
    with pytest.raises(AssertionError):
        verify(SIGNED[:at] + b"imap.evil.tst.net"[:16] + SIGNED[at + 16 :], CHAIN, tmp_path)


def test_openssl_reads_a_signature_that_it_made_itself_as_we_do(tmp_path: Path) -> None:
    """still_good() reads the structure by itself; here is one that another program wrote."""
    for name, data in (("plist", PLIST), ("leaf", CHAIN.leaf.pem), ("chain", CHAIN.middle.pem), ("key", CHAIN.leaf.key_pem())):
        (tmp_path / name).write_bytes(data)
    command = (
        "openssl cms -sign -signer leaf -inkey key -certfile chain -nodetach -binary -md sha256 -outform DER -nosmimecap -in plist -out out"
    )
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    assert still_good((tmp_path / "out").read_bytes(), PLIST, signer())


def test_the_same_plist_and_signer_need_no_new_signature() -> None:
    assert still_good(SIGNED, PLIST, signer())
    assert not still_good(SIGNED, PLIST + b" ", signer())
    assert not still_good(SIGNED, PLIST, signer(OTHER))
    renewed = Chain(CHAIN.root, CHAIN.middle, issue("profiles.example.org", CHAIN.middle, key=CHAIN.leaf.key))
    assert not still_good(SIGNED, PLIST, signer(renewed))
    assert not still_good(SIGNED, PLIST, signer()._replace(chain=()))
    assert not still_good(PLIST, PLIST, signer())
    assert not still_good(b"", PLIST, signer())


def places() -> list[int]:
    """Where in SIGNED something is that counts: the profile, the certificates, what is signed, the signature."""
    parts = [PLIST, *(one.certificate.public_bytes(Encoding.DER) for one in (CHAIN.leaf, CHAIN.middle))]
    found = [place for part in parts for place in range(SIGNED.index(part), SIGNED.index(part) + len(part))]
    content_type, ecdsa_sha256 = bytes.fromhex("2a864886f70d010903"), bytes.fromhex("300a06082a8648ce3d040302")
    algorithm = SIGNED.rindex(ecdsa_sha256)
    return [*found, *range(SIGNED.rindex(content_type), algorithm), *range(algorithm + len(ecdsa_sha256) + 1, len(SIGNED))]


@given(st.sampled_from(places()), st.integers(1, 255))
def test_a_signature_with_a_changed_byte_is_not_kept(place: int, change: int) -> None:
    broken = bytearray(SIGNED)
    broken[place] ^= change
    assert not still_good(bytes(broken), PLIST, signer())


@given(st.integers(0, len(SIGNED) - 1))
def test_half_a_signature_is_not_kept(length: int) -> None:
    assert not still_good(SIGNED[:length], PLIST, signer())


def test_where_the_issuers_come_from_makes_no_difference() -> None:
    there = signer()
    for certificate, more in ((CHAIN.leaf.pem, CHAIN.middle.pem), (CHAIN.middle.pem + CHAIN.leaf.pem, None), (CHAIN.full, CHAIN.full)):
        others = None if more is None else Source("chain.pem", more)
        found, _ = load(Source("cert.pem", certificate), Source("key.pem", CHAIN.leaf.key_pem()), others, "", NOW)
        assert found and found.fingerprint == there.fingerprint
    with_root, _ = load(Source("c", CHAIN.full + CHAIN.root.pem), Source("k", CHAIN.leaf.key_pem()), None, "", NOW)
    assert with_root and [one.subject for one in with_root.chain] == [CHAIN.middle.certificate.subject, CHAIN.root.certificate.subject]


def test_key_forms() -> None:
    secret = CHAIN.leaf.key_pem("corect horse")
    assert problems(key=secret, password="corect horse") == []
    assert problems(password="not needed") == []
    old = CHAIN.leaf.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    assert problems(key=old) == []
    assert problems(certificate=CHAIN.leaf.key_pem() + CHAIN.full, key=CHAIN.leaf.key_pem() + CHAIN.full) == []


def test_a_self_signed_certificate_has_no_chain() -> None:
    own = issue("office")
    assert problems(own.pem, own.key_pem()) == []


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"key": OTHER.leaf.key_pem()},
            "key.pem: does not belong to the certificate of CN=profiles.example.org in cert.pem; "
            "a key and its certificate are made together",
        ),
        (
            {"certificate": CHAIN.leaf.pem},
            "cert.pem: lacks its chain: the certificate of its issuer (CN=Middle) is not there; append it, as in a fullchain.pem",
        ),
        ({"certificate": b"hello"}, "cert.pem: is not PEM text with a certificate in it (-----BEGIN CERTIFICATE-----)"),
        (
            {"certificate": CHAIN.leaf.certificate.public_bytes(Encoding.DER)},
            "cert.pem: is not PEM text with a certificate in it (-----BEGIN CERTIFICATE-----); this is DER, openssl can turn it into PEM",
        ),
        (
            {"certificate": CHAIN.leaf.pem.replace(b"MII", b"M!!", 1)},
            "cert.pem: has a damaged certificate; copy it again, from -----BEGIN to -----END",
        ),
        ({"more": b""}, "chain.pem: is not PEM text with a certificate in it (-----BEGIN CERTIFICATE-----)"),
        ({"key": CHAIN.full}, "key.pem: is not PEM text with a private key in it (-----BEGIN PRIVATE KEY-----)"),
        (
            {"key": CHAIN.leaf.key_pem().replace(b"MI", b"MX", 1)},
            "key.pem: has a damaged key; copy it again, from -----BEGIN to -----END",
        ),
        ({"key": CHAIN.leaf.key_pem("secret")}, "key.pem: is encrypted and no password was given"),
        ({"key": CHAIN.leaf.key_pem("secret"), "password": "other"}, "key.pem: cannot be opened with the password that was given"),
    ],
)
def test_one_clear_line_each(given: dict[str, Any], line: str) -> None:
    assert problems(**given) == [line]


def test_a_key_that_devices_cannot_use() -> None:
    own = issue("office", key=ed25519.Ed25519PrivateKey.generate())
    assert problems(own.pem, own.key_pem()) == ["key.pem: is neither an RSA nor an EC key; profiles are signed with these two"]


def test_times() -> None:
    past, future = chain(start=NOW - 5 * DAY, end=NOW - DAY), chain(start=NOW + DAY)
    assert problems(past.full, past.leaf.key_pem()) == [
        "cert.pem: the certificate of CN=profiles.example.org expired on 2026-06-14; get a new one"
    ]
    assert problems(future.full, future.leaf.key_pem()) == [
        "cert.pem: the certificate of CN=profiles.example.org is not valid before 2026-06-16 12:00 UTC; is the clock right?"
    ]
    middle = issue("Middle", CHAIN.root, authority=True, start=NOW - 9 * DAY, end=NOW - DAY)
    leaf = issue("profiles.example.org", middle)
    assert problems(leaf.pem + middle.pem, leaf.key_pem()) == [
        "cert.pem: the certificate of CN=Middle expired on 2026-06-14; get a new one"
    ]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    past = chain(start=NOW - 5 * DAY, end=NOW - DAY)
    assert [line.partition(":")[0] for line in problems(past.leaf.pem, OTHER.leaf.key_pem())] == ["key.pem", "cert.pem", "cert.pem"]
    assert len(problems(past.leaf.pem, b"", b"")) == 4


@pytest.mark.parametrize(("days", "word"), [(31, ""), (30, "in 30 days"), (1.5, "in one day"), (0.5, "tomorrow at the latest")])
def test_a_warning_30_days_before_the_end(days: float, word: str) -> None:
    text = expiry_warning(signer(chain(end=NOW + days * DAY)), NOW)
    assert (word in text) if word else text == ""
    assert not word or "CN=profiles.example.org" in text
