# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Thunderbird for Android and K-9 Mail: the settings file, and the text of Thunderbird's QR code. Pure; no password is in them.

Source of both: github.com/thunderbird/thunderbird-android, legacy/core com.fsck.k9.preferences (file), feature/migration/qrcode
(qr-code-format.md, version 1). Neither updates an account that the app has: every import adds one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from xml.etree import ElementTree

from ..office.account import Account, Incoming, Outgoing

# The file format, and the version of the app's settings that the app's own QR import writes; later apps read it step by step.
FILE_FORMAT = "1"
SETTINGS_VERSION = "99"

FILE_TYPE = {"imap": "IMAP", "pop": "POP3", "smtp": "SMTP"}
# The app knows optional variants of both; these two fail rather than go on without TLS.
FILE_SECURITY = {"tls": "SSL_TLS_REQUIRED", "starttls": "STARTTLS_REQUIRED"}
# A password, inside TLS.
FILE_PASSWORD = "PLAIN"
# What becomes of mail on the server when it is deleted in the app; the app's own defaults. Left out, nothing would ever be deleted.
FILE_DELETE = {"imap": "DELETE", "pop": "NEVER"}

QR_VERSION = 1
QR_TYPE = {"imap": 0, "pop": 1, "smtp": 0}
QR_SECURITY = {"starttls": 2, "tls": 3}
QR_PASSWORD = 1


def k9s(accounts: Iterable[Account]) -> bytes:
    """The settings file with these accounts, UTF-8 XML. It has no `global` part, so the app's other settings stay."""
    root = ElementTree.Element("k9settings", version=SETTINGS_VERSION, format=FILE_FORMAT)
    listed = ElementTree.SubElement(root, "accounts")
    for account in accounts:
        entry = ElementTree.SubElement(listed, "account", uuid=account["id"])
        _texts(entry, {"name": account["address"]})
        settings = ElementTree.SubElement(entry, "settings")
        ElementTree.SubElement(settings, "value", key="deletePolicy").text = FILE_DELETE[account["incoming"]["protocol"]]
        _server(entry, "incoming-server", account["incoming"])
        _server(entry, "outgoing-server", account["outgoing"])
        identity = ElementTree.SubElement(ElementTree.SubElement(entry, "identities"), "identity")
        _texts(identity, {"name": account["full_name"], "email": account["address"]})
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n"


def qr_text(account: Account) -> str:
    """The text of the QR code that Thunderbird's account import scans: one account, JSON.

    The name of the account is left out, which makes it the address. A null would make the app refuse the code.
    """
    incoming, outgoing = account["incoming"], account["outgoing"]
    group = [_numbers(outgoing), [account["address"], account["full_name"]]]
    payload = [QR_VERSION, [1, 1], _numbers(incoming), [group]]
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"))


def _server(parent: ElementTree.Element, tag: str, server: Incoming | Outgoing) -> None:
    entry = ElementTree.SubElement(parent, tag, type=FILE_TYPE[server["protocol"]])
    values = {
        "host": server["host"],
        "port": str(server["port"]),
        "connection-security": FILE_SECURITY[server["security"]],
        "authentication-type": FILE_PASSWORD,
        "username": server["username"],
    }
    _texts(entry, values)


def _texts(parent: ElementTree.Element, values: Mapping[str, str]) -> None:
    for tag, text in values.items():
        ElementTree.SubElement(parent, tag).text = text


def _numbers(server: Incoming | Outgoing) -> list[int | str]:
    protocol, security = QR_TYPE[server["protocol"]], QR_SECURITY[server["security"]]
    return [protocol, server["host"], server["port"], security, QR_PASSWORD, server["username"]]
