# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Configuration profiles for Apple Mail on iPhone, iPad and Mac. Pure: accounts in, bytes out. No password is in them.

Keys and types: Apple's schemas, github.com/apple/device-management, mdm/profiles/{TopLevel,CommonPayloadKeys,com.apple.mail.managed}.yaml.
"""

from __future__ import annotations

import datetime
import plistlib
import uuid
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from ..office.account import ID_NAMESPACE, Account

Device = Literal["ios", "macos"]

MIME_TYPE = "application/x-apple-aspen-config"

# Begins every identifier. Devices replace a profile by its identifier, so never change it.
PREFIX = "msp.charter-mail"

# TargetDeviceType; without it, a phone with a paired watch asks which of the two is meant.
TARGET = {"ios": 1, "macos": 5}
ACCOUNT_TYPE = {"imap": "EmailTypeIMAP", "pop": "EmailTypePOP"}


class Settings(NamedTuple):
    """What an office says in its profiles.

    organization and description are shown with the profile, consent is a text the person has to agree to; empty for none.
    removal_date: the day (UTC) on which devices remove the profile and its accounts by themselves; None for never.
    """

    organization: str = ""
    description: str = ""
    consent: str = ""
    removal_date: datetime.date | None = None


def profile(accounts: Sequence[Account], device: Device, settings: Settings, identity: str = "") -> bytes:
    """The profile of one person for one kind of device, as an XML property list; the same bytes for the same input.

    accounts: all mailboxes of the person, at least one, the primary one first. identity: the address that, with the kind of device, is
    the profile's identity, empty for that of the first account. A device replaces the profile it has by one of the same identity. An
    account's identity is its protocol and address. So other servers, names or further mailboxes change no id.
    Raises ValueError for text that XML cannot carry.
    """
    addresses = [account["address"] for account in accounts]
    identity = identity or addresses[0]
    own = uuid.uuid5(ID_NAMESPACE, f"profile:{device}:{identity}")
    identifier = f"{PREFIX}.{device}.{own.hex[:12]}"
    top: dict[str, Any] = {
        "PayloadType": "Configuration",
        "PayloadVersion": 1,
        "PayloadIdentifier": identifier,
        "PayloadUUID": _uuid(own),
        "PayloadDisplayName": f"E-mail {identity}",
        "PayloadDescription": settings.description or f"Sets up e-mail for {' and '.join(addresses)}.",
        "PayloadContent": [_mail(account, identifier) for account in accounts],
        "TargetDeviceType": TARGET[device],
    }
    if device == "macos":
        # Mail takes accounts of a person only, never of the whole Mac; the key is the Mac's alone.
        top["PayloadScope"] = "User"
    if settings.organization:
        top["PayloadOrganization"] = settings.organization
    if settings.consent:
        top["ConsentText"] = {"default": settings.consent}
    if settings.removal_date:
        top["RemovalDate"] = datetime.datetime.combine(settings.removal_date, datetime.time())
    return plistlib.dumps(top, sort_keys=True)


def _mail(account: Account, profile_identifier: str) -> dict[str, Any]:
    incoming, outgoing = account["incoming"], account["outgoing"]
    return {
        "PayloadType": "com.apple.mail.managed",
        "PayloadVersion": 1,
        "PayloadIdentifier": f"{profile_identifier}.{account['key']}",
        "PayloadUUID": _uuid(uuid.UUID(account["id"])),
        "PayloadDisplayName": account["address"],
        "EmailAccountDescription": account["address"],
        "EmailAccountName": account["full_name"],
        "EmailAccountType": ACCOUNT_TYPE[incoming["protocol"]],
        "EmailAddress": account["address"],
        # The schema lets ports and UseSSL out. Without a port devices try 25 first, and UseSSL is off. It is on for STARTTLS too:
        # there is no word for it, and on 587 devices take it to mean just that.
        "IncomingMailServerAuthentication": "EmailAuthPassword",
        "IncomingMailServerHostName": incoming["host"],
        "IncomingMailServerPortNumber": incoming["port"],
        "IncomingMailServerUseSSL": True,
        "IncomingMailServerUsername": incoming["username"],
        "OutgoingMailServerAuthentication": "EmailAuthPassword",
        "OutgoingMailServerHostName": outgoing["host"],
        "OutgoingMailServerPortNumber": outgoing["port"],
        "OutgoingMailServerUseSSL": True,
        "OutgoingMailServerUsername": outgoing["username"],
        "OutgoingPasswordSameAsIncomingPassword": True,
    }


def _uuid(value: uuid.UUID) -> str:
    return str(value).upper()
