"""What Thunderbird for Android does with a QR code and with a settings file, told from its source, to judge ours by.

github.com/thunderbird/thunderbird-android: feature/migration/qrcode (QrCodePayloadAdapter, QrCodePayloadValidator, IntValueMapper,
SettingsValueMapper), core/common (HostNameUtils, Port, EmailAddressParser), legacy/core com.fsck.k9 (preferences.SettingsFileParser,
ServerSettingsDescriptions, AccountSettingsValidator, IdentitySettingsValidator, ServerTypeConverter, EmailAddressValidator).
"""

from __future__ import annotations

import json
import re
import uuid
from typing import Any
from xml.etree import ElementTree

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,255}}\Z)({_LABEL}\.)*{_LABEL}\.?", re.IGNORECASE | re.ASCII)
_ATOM = r"[0-9a-zA-Z!#$%&'*+\-/=?^_`{|}~]+"
_DOMAIN = r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?"
_QR_ADDRESS = re.compile(rf"(?=.{{1,254}}\Z)(?=[^@]{{1,64}}@){_ATOM}(\.{_ATOM})*@{_DOMAIN}(\.{_DOMAIN})*")
_TOP = r"([a-zA-Z]([a-zA-Z0-9]|-|_)*[a-zA-Z0-9]|[a-zA-Z])"
_LEVEL = r"([a-zA-Z0-9]([a-zA-Z0-9]|-|_)*[a-zA-Z0-9]|[a-zA-Z0-9])"
_FILE_ADDRESS = re.compile(rf"{_ATOM}(\.{_ATOM})*@((({_LEVEL}\.)+{_TOP})|{_LEVEL})")

SECURITY = {0: "plain", 1: "starttls", 2: "starttls", 3: "tls"}
# 3 (GSSAPI) and 4 (NTLM) are in the format, but the app does not know them.
AUTHENTICATION = {0: "none", 1: "password", 2: "encrypted password", 5: "certificate", 6: "oauth2"}
# Words of a settings file of version 95 and later, which have no default.
FILE_SECURITY = {"NONE": "plain", "STARTTLS_REQUIRED": "starttls", "SSL_TLS_REQUIRED": "tls"}
FILE_AUTHENTICATION = ("PLAIN", "CRAM_MD5", "EXTERNAL", "XOAUTH2", "NONE")


class Refused(Exception):
    """The app would not take it, or the format does not allow it."""


def _need(condition: bool, what: str) -> None:
    if not condition:
        raise Refused(what)


def scan(text: str, *, ours: bool = True) -> list[dict[str, Any]]:
    """The accounts of a QR code. ours: also hold it against what a writer must and must not do.

    The app's reader takes "993" for 993; that is not allowed here, nor is anything else for a number.
    """
    try:
        data = json.loads(text)
    except ValueError as error:
        raise Refused("not JSON") from error
    _need(isinstance(data, list) and len(data) >= 4 and len(data) % 2 == 0, "not a payload")
    _need(data[0] == 1 and type(data[0]) is int, "version")
    sequence = _fields(data[1], [int, int], 0, ours)
    _need(not ours or 1 <= sequence[0] <= sequence[1], "sequence")
    return [_account(data[at], data[at + 1], ours) for at in range(2, len(data), 2)]


def _account(incoming: Any, groups: Any, ours: bool) -> dict[str, Any]:
    fields = _fields(incoming, [int, str, int, int, int, str, str, str], 2, ours)
    _need(fields[0] in (0, 1), "incoming protocol")
    _need(isinstance(groups, list) and groups != [], "outgoing servers")
    found = []
    for group in groups:
        _need(isinstance(group, list) and len(group) >= 2, "identities")
        server = _fields(group[0], [int, str, int, int, int, str, str], 1, ours)
        _need(server[0] == 0, "outgoing protocol")
        identities = [_fields(one, [str, str], 0, ours) for one in group[1:]]
        for address, name in identities:
            _need(bool(_QR_ADDRESS.fullmatch(address)), "address")
            _need(_single_line(name), "display name")
        found.append((server, identities))
    (outgoing, identities) = found[0]
    _need(not ours or (fields[3] != 1 and outgoing[3] != 1), "reserved number")
    name = fields[6] if len(fields) > 6 else ""
    _need(_single_line(name), "account name")
    return {
        "name": name or identities[0][0],
        "incoming": {"protocol": ("imap", "pop")[fields[0]], **_server(fields)},
        "outgoing": {"protocol": "smtp", **_server(outgoing)},
        "identities": [{"name": name, "email": address} for address, name in identities],
        "password": len(fields) > 7 or len(outgoing) > 6,
    }


def _server(fields: list[Any]) -> dict[str, Any]:
    _, host, port, security, authentication, username = fields[:6]
    _need(bool(_HOST.fullmatch(host)), "host")
    _need(1 <= port <= 65535, "port")
    _need(security in SECURITY, "security")
    _need(authentication in AUTHENTICATION, "authentication")
    _need(all(map(_single_line, [username, *fields[6:]])), "username or password")
    return {
        "host": host,
        "port": port,
        "security": SECURITY[security],
        "authentication": AUTHENTICATION[authentication],
        "username": username,
    }


def _fields(value: Any, kinds: list[type], optional: int, ours: bool) -> list[Any]:
    """The fields of an array. A reader skips what comes behind the known ones; a writer must not write it."""
    _need(isinstance(value, list) and len(value) >= len(kinds) - optional, "fields are missing")
    _need(not ours or len(value) <= len(kinds), "fields that the format does not have")
    fields = value[: len(kinds)]
    _need(all(type(field) is kind for field, kind in zip(fields, kinds, strict=False)), "type of a field")
    return fields


def _single_line(text: str) -> bool:
    return "\r" not in text and "\n" not in text


def import_file(data: bytes) -> list[dict[str, Any]]:
    """The accounts of a settings file. Where the app would go on with a default or skip an account, this refuses."""
    root = ElementTree.fromstring(data.decode("utf-8"))
    _need(root.tag == "k9settings" and root.get("format") == "1" and int(root.get("version", "0")) >= 95, "root")
    _need([child.tag for child in root] == ["accounts"], "more than accounts: the app's own settings would be overwritten")
    found = []
    for account in root.iter("account"):
        identities = [{"name": one.findtext("name"), "email": one.findtext("email")} for one in account.findall("identities/identity")]
        _need(identities != [] and all(_FILE_ADDRESS.fullmatch(one["email"] or "") for one in identities), "identity")
        found.append(
            {
                "uuid": str(uuid.UUID(account.get("uuid", ""))),
                "name": account.findtext("name"),
                "settings": {value.get("key"): value.text for value in account.findall("settings/value")},
                "incoming": _file_server(account.find("incoming-server"), {"imap": "imap", "pop3": "pop"}),
                "outgoing": _file_server(account.find("outgoing-server"), {"smtp": "smtp"}),
                "identities": identities,
                "password": account.find(".//password") is not None,
            }
        )
    _need(len({one["uuid"] for one in found}) == len(found) > 0, "no accounts, or one twice")
    return found


def _file_server(server: ElementTree.Element | None, types: dict[str, str]) -> dict[str, Any]:
    _need(server is not None, "server")
    assert server is not None
    text = {child.tag: child.text or "" for child in server}
    kind = server.get("type", "").lower()
    _need(kind in types, "type")
    _need(text["connection-security"] in FILE_SECURITY and text["authentication-type"] in FILE_AUTHENTICATION, "security")
    _need(1 <= int(text["port"]) <= 65535 and text["host"] != "" and _single_line(text["username"]), "port, host or user name")
    return {
        "protocol": types[kind],
        "host": text["host"],
        "port": int(text["port"]),
        "security": FILE_SECURITY[text["connection-security"]],
        "authentication": text["authentication-type"],
        "username": text["username"],
    }
