"""Profiles for Apple Mail: keys and types, ids that stay, and judges that are not ours."""

from __future__ import annotations

import datetime
import os
import plistlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.plugin_utils.formats.mobileconfig import Device, Settings, profile
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.mobile_samples import NAMES, ROOT, account

JANE, INFO, POP = account(), account("info@example.org"), account("jane@example.org", protocol="pop", smtp_port="465")
SETTINGS = Settings("Example & Office", "Mail of the office", "You get the office's mail.", datetime.date(2027, 6, 30))
DEVICES: tuple[Device, ...] = ("ios", "macos")

# The project's own contract, for a clone without Apple's schemas: key -> type, and whether it must be there.
# Source: github.com/apple/device-management (2024-10-21), mdm/profiles, and what devices do with a key left out.
TOP: dict[str, tuple[type, bool]] = {
    "PayloadType": (str, True),
    "PayloadVersion": (int, True),
    "PayloadIdentifier": (str, True),
    "PayloadUUID": (str, True),
    "PayloadContent": (list, True),
    "PayloadDisplayName": (str, True),
    "PayloadDescription": (str, False),
    "PayloadOrganization": (str, False),
    "PayloadScope": (str, False),
    "TargetDeviceType": (int, True),
    "ConsentText": (dict, False),
    "RemovalDate": (datetime.datetime, False),
}
MAIL: dict[str, tuple[type, bool]] = {
    "PayloadType": (str, True),
    "PayloadVersion": (int, True),
    "PayloadIdentifier": (str, True),
    "PayloadUUID": (str, True),
    "PayloadDisplayName": (str, True),
    "EmailAccountType": (str, True),
    "EmailAccountDescription": (str, True),
    # An MDM asks nobody, so it needs the next one, the address and both user names.
    "EmailAccountName": (str, True),
    "EmailAddress": (str, True),
    "IncomingMailServerAuthentication": (str, True),
    "IncomingMailServerHostName": (str, True),
    "IncomingMailServerPortNumber": (int, True),
    "IncomingMailServerUseSSL": (bool, True),
    "IncomingMailServerUsername": (str, True),
    "OutgoingMailServerAuthentication": (str, True),
    "OutgoingMailServerHostName": (str, True),
    "OutgoingMailServerPortNumber": (int, True),
    "OutgoingMailServerUseSSL": (bool, True),
    "OutgoingMailServerUsername": (str, True),
    "OutgoingPasswordSameAsIncomingPassword": (bool, True),
}
UUID = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")


def faults(payload: dict[str, Any], contract: dict[str, tuple[type, bool]]) -> Iterator[str]:
    for key in payload.keys() - contract.keys():
        yield f"{key} is not in the contract"
    for key, (kind, required) in contract.items():
        if key not in payload:
            if required:
                yield f"{key} is missing"
        elif type(payload[key]) is not kind:
            yield f"{key} is a {type(payload[key]).__name__}"


def checked(data: bytes) -> dict[str, Any]:
    """The profile, after the project's own contract."""
    top: dict[str, Any] = plistlib.loads(data)
    payloads = top["PayloadContent"]
    assert list(faults(top, TOP)) == []
    assert [list(faults(payload, MAIL)) for payload in payloads] == [[] for _ in payloads]
    for key in ("PayloadUUID", "PayloadIdentifier"):
        ids = [part[key] for part in (top, *payloads)]
        assert len(set(ids)) == len(ids)
        assert key == "PayloadIdentifier" or all(map(UUID.fullmatch, ids))
    assert b"assword</key>" not in data.replace(b"OutgoingPasswordSameAsIncomingPassword</key>", b"")
    return top


def ids(data: bytes) -> list[tuple[str, str]]:
    top = plistlib.loads(data)
    return [(part["PayloadIdentifier"], part["PayloadUUID"]) for part in (top, *top["PayloadContent"])]


def test_the_contract_sees_wrong_types_and_missing_keys() -> None:
    good = plistlib.loads(profile([JANE], "ios", SETTINGS))["PayloadContent"][0]
    assert list(faults({**good, "IncomingMailServerUseSSL": 1}, MAIL)) == ["IncomingMailServerUseSSL is a int"]
    assert list(faults({**good, "OutgoingMailServerPortNumber": "587"}, MAIL)) == ["OutgoingMailServerPortNumber is a str"]
    assert list(faults({**good, "IncomingPassword": "x"}, MAIL)) == ["IncomingPassword is not in the contract"]
    del good["EmailAccountType"]
    assert list(faults(good, MAIL)) == ["EmailAccountType is missing"]


def test_an_account_is_written_out() -> None:
    (mail,) = checked(profile([JANE], "ios", Settings()))["PayloadContent"]
    mail = {key: value for key, value in mail.items() if not key.startswith("Payload")}
    assert mail == {
        "EmailAccountDescription": "jane@example.org",
        "EmailAccountName": "Jane Doe",
        "EmailAccountType": "EmailTypeIMAP",
        "EmailAddress": "jane@example.org",
        "IncomingMailServerAuthentication": "EmailAuthPassword",
        "IncomingMailServerHostName": "imap.charter.net",
        "IncomingMailServerPortNumber": 993,
        "IncomingMailServerUseSSL": True,
        "IncomingMailServerUsername": "jane@example.org",
        "OutgoingMailServerAuthentication": "EmailAuthPassword",
        "OutgoingMailServerHostName": "smtp.charter.net",
        "OutgoingMailServerPortNumber": 587,
        "OutgoingMailServerUseSSL": True,
        "OutgoingMailServerUsername": "jane@example.org",
        "OutgoingPasswordSameAsIncomingPassword": True,
    }


def test_pop_and_port_465() -> None:
    (mail,) = checked(profile([POP], "ios", Settings()))["PayloadContent"]
    assert (mail["EmailAccountType"], mail["IncomingMailServerHostName"]) == ("EmailTypePOP", "pop.charter.net")
    assert (mail["IncomingMailServerPortNumber"], mail["OutgoingMailServerPortNumber"]) == (995, 465)


def test_the_two_kinds_of_devices_differ_where_they_must() -> None:
    ios, macos = (checked(profile([JANE], device, SETTINGS)) for device in DEVICES)
    assert (ios["TargetDeviceType"], "PayloadScope" in ios) == (1, False)
    assert (macos["TargetDeviceType"], macos["PayloadScope"]) == (5, "User")
    assert ios["PayloadIdentifier"] != macos["PayloadIdentifier"]


def test_the_office_s_words() -> None:
    top = checked(profile([JANE], "ios", SETTINGS))
    assert (top["PayloadOrganization"], top["PayloadDescription"]) == ("Example & Office", "Mail of the office")
    assert top["ConsentText"] == {"default": "You get the office's mail."}
    assert top["RemovalDate"] == datetime.datetime(2027, 6, 30)
    plain = checked(profile([JANE, INFO], "ios", Settings()))
    assert not plain.keys() & {"PayloadOrganization", "ConsentText", "RemovalDate"}
    assert plain["PayloadDescription"] == "Sets up e-mail for jane@example.org and info@example.org."


def test_all_mailboxes_of_a_person_are_in_one_profile() -> None:
    payloads = checked(profile([JANE, INFO], "macos", SETTINGS))["PayloadContent"]
    assert [mail["EmailAddress"] for mail in payloads] == ["jane@example.org", "info@example.org"]


def test_ids_stay_whatever_the_servers_and_the_names() -> None:
    moved = {**JANE, "full_name": "Jane Roe", "incoming": {**JANE["incoming"], "host": "imap.other.test", "port": 1}}
    assert ids(profile([moved], "ios", Settings())) == ids(profile([JANE], "ios", SETTINGS))  # type: ignore[list-item]
    assert ids(profile([JANE, INFO], "ios", Settings()))[:2] == ids(profile([JANE], "ios", Settings()))


def test_ids_are_these_for_ever() -> None:
    """Devices know their profiles by them: a change here adds a second profile to every phone."""
    assert ids(profile([JANE], "ios", Settings())) == [
        ("msp.charter-mail.ios.bdb0855d6ae8", "BDB0855D-6AE8-515A-8060-9CDF4659581A"),
        ("msp.charter-mail.ios.bdb0855d6ae8.9d5f2bd27868", "9D5F2BD2-7868-5690-AE3D-C2D54FE00597"),
    ]
    assert ids(profile([JANE], "macos", Settings()))[0] == ("msp.charter-mail.macos.b271d78b9b3a", "B271D78B-9B3A-51B7-80F5-D6C667F2CBAA")


def test_another_protocol_is_another_account_in_the_same_profile() -> None:
    (top, imap), (other_top, pop) = ids(profile([JANE], "ios", Settings())), ids(profile([POP], "ios", Settings()))
    assert top == other_top
    assert imap[0] != pop[0] and imap[1] != pop[1]


def test_addresses_that_look_alike_do_not_share_ids() -> None:
    found = [ids(profile([account(f"{name}@example.org")], "ios", Settings())) for name in ("a-b", "a.b", "a_b", "ab")]
    assert len({identity for pair in found for one in pair for identity in one}) == 4 * 4


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufffe\uffff"), min_size=1))
def test_any_name_comes_back_and_bytes_are_stable(name: str) -> None:
    jane = {**JANE, "full_name": name}
    data = profile([jane], "ios", Settings(organization=name, description=name, consent=name))  # type: ignore[list-item]
    assert data == profile([jane], "ios", Settings(organization=name, description=name, consent=name))  # type: ignore[list-item]
    top = plistlib.loads(data)
    assert top["PayloadContent"][0]["EmailAccountName"] == top["PayloadOrganization"] == top["ConsentText"]["default"] == name


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Profiles with every awkward name, of both kinds, on disk."""
    made = []
    for kind, name in NAMES.items():
        for device in DEVICES:
            path = tmp_path / f"{kind}-{device}.mobileconfig"
            path.write_bytes(profile([account("jane@example.org", name), POP | {"address": "x@example.org"}], device, SETTINGS))  # type: ignore[list-item]
            made.append(path)
    return made


def test_apple_s_schemas(files: list[Path]) -> None:
    judge = Path(os.environ.get("CHARTER_MAIL_ORACLES") or ROOT.parent / "shared/oracles") / "check_mobileconfig.py"
    if not judge.exists():
        pytest.skip("Apple's schemas are not at hand (CHARTER_MAIL_ORACLES names their folder); the contract above was checked")
    done = subprocess.run([sys.executable, judge, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_plistutil(files: list[Path], tmp_path: Path) -> None:
    """libplist reads what plistlib wrote, and plistlib what libplist made of it."""
    tool = shutil.which("plistutil")
    if tool is None:
        pytest.skip("plistutil is not installed (package libplist-utils)")
    for path in files:
        binary = tmp_path / "binary"
        subprocess.run([tool, "-i", path, "-o", binary, "-f", "bin"], check=True, capture_output=True)
        assert plistlib.loads(binary.read_bytes()) == plistlib.loads(path.read_bytes())
