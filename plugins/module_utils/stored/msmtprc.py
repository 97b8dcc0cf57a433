# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read the accounts of a msmtp configuration file. Source of the rules: msmtp 1.8 src/conf.c, the same from 1.8.21 to 1.8.33.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import re
from typing import Dict, NamedTuple, Optional

from ansible_collections.msp.charter_mail.plugins.module_utils.stored.account import Settings, Stored, server, stored

MAX_LINE = 499
"""Bytes without the line end; at a longer line msmtp gives the whole file up."""

# Commands whose values say where mail goes; of all others only the names matter.
_KEPT = ("host", "port", "protocol", "from", "user", "auth", "tls", "tls_starttls")
_OTHERS = """
    account defaults timeout connect_timeout domain from_full_name allow_from_override auto_from maildomain password
    passwordeval ntlmdomain tls_nostarttls tls_key_file tls_cert_file tls_trust_file tls_crl_file tls_fingerprint
    tls_certcheck tls_nocertcheck tls_min_dh_prime_bits tls_priorities tls_host_override tls_force_sslv3 dsn_return
    dsn_notify keepbcc logfile logfile_time_format syslog aliases proxy_host proxy_port set_from_header set_date_header
    set_msgid_header set_to_header remove_bcc_headers undisclosed_recipients source_ip socket add_missing_from_header
    add_missing_date_header
"""
_COMMANDS = frozenset(_KEPT) | frozenset(_OTHERS.split())
_ADDRESS = re.compile(r"[^@\s%*]+@[^@\s%*]+")
_PORT = re.compile(r"\s*\+?(?:0[xX][0-9a-fA-F]{1,8}|[0-9]{1,11})\Z")


class _Bad(Exception):
    """msmtp would give the whole file up. The message is a half sentence."""


class _Account(NamedTuple):
    values: Dict[str, str]  # what holds for it
    own: Dict[str, str]  # what it hands on: its own and its parents' commands, not the defaults


def accounts(data: bytes) -> Settings:
    """The accounts in the order of the file; one that only repeats another (``account default : x``) is left out.

    Takes any bytes and raises nothing. Where msmtp cannot read the file, or runs a command to learn a line of it, there are
    no accounts, and a problem says why.
    """
    found: Dict[str, _Account] = {}
    try:
        _read(data, found)
    except _Bad as error:
        return Settings([], [str(error)])
    entries = (_stored(account.values) for account in found.values())
    return Settings(list({repr(entry): entry for entry in entries if entry is not None}.values()), [])


def _read(data: bytes, found: Dict[str, _Account]) -> None:
    defaults = _Account({}, {})
    current: Optional[_Account] = None
    for number, raw in enumerate(data.split(b"\n"), 1):
        if len(raw) > MAX_LINE:
            raise _Bad("line %d is longer than the %d characters that msmtp reads" % (number, MAX_LINE))
        line = raw.partition(b"\0")[0].decode("utf-8", "replace")
        line = (line[:-1] if line.endswith("\r") else line).strip(" \t")
        if not line or line.startswith("#"):
            continue
        command, _unused, rest = line.replace("\t", " ").partition(" ")
        argument = _unquoted(line[len(command) :])
        if command == "eval":
            raise _Bad("line %d is the output of a command (eval), so only msmtp knows what it uses" % number)
        if command not in _COMMANDS:
            raise _Bad("line %d begins with a word that is no command of msmtp" % number)
        if command == "defaults":
            current = defaults
        elif command == "account":
            current = _account(argument, number, defaults, found)
        else:
            if current is None:  # as in msmtp 1.2, lines before the first account make one
                current = found["default"] = _Account({}, {})
            if command == "tls_nostarttls":
                command, argument = "tls_starttls", "off"
            if command in _KEPT:
                _check(command, argument, number)
                current.values[command] = current.own[command] = argument


def _unquoted(text: str) -> str:
    text = text.strip(" \t")
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def _account(argument: str, number: int, defaults: _Account, found: Dict[str, _Account]) -> _Account:
    name, colon, parents = argument.partition(":")
    name = _unquoted(name) if colon else name
    if not name or "," in name:
        raise _Bad("line %d has no usable name for an account" % number)
    if name in found:
        raise _Bad("line %d names an account that is there already" % number)
    account = found[name] = _Account(dict(defaults.values), {})
    for parent in parents.split(",") if colon else []:
        other = found.get(_unquoted(parent))
        if other is None or other is account:
            raise _Bad("line %d takes over an account that is not there (yet)" % number)
        account.values.update(other.own)
        account.own.update(other.own)
    return account


def _check(command: str, argument: str, number: int) -> None:
    wrong = (
        (command == "host" and not argument)
        or (command == "port" and not 1 <= _port(argument) <= 65535)
        or (command == "protocol" and argument not in ("smtp", "lmtp"))
        or (command in ("tls", "tls_starttls") and argument not in ("", "on", "off"))
    )
    if wrong:
        raise _Bad("line %d has no usable value for %s" % (number, command))


def _port(text: str) -> int:
    """A number as C's strtol reads it (0x: hexadecimal, 0: octal), 0 for anything else."""
    if not _PORT.match(text):
        return 0
    digits = text.strip().lstrip("+").lower()
    base = 16 if digits.startswith("0x") else 8 if digits.startswith("0") else 10
    try:
        return int(digits, base)
    except ValueError:
        return 0


def _stored(values: Dict[str, str]) -> Optional[Stored]:
    if "host" not in values or values.get("protocol") == "lmtp":
        return None  # a stencil for other accounts, or local delivery
    security = "none"
    if values.get("tls", "off") != "off":
        security = "tls" if values.get("tls_starttls") == "off" else "starttls"
    # The port that is not given: doc/msmtp.texi, src/msmtp.c.
    port = _port(values["port"]) if "port" in values else 465 if security == "tls" else 25
    # Without `auth`, which is off by default, a user name is not used.
    user = values.get("user", "") if values.get("auth", "off") != "off" else ""
    sender = values.get("from", "")  # may be a pattern: *@example.org, %U@example.org
    return stored(sender if _ADDRESS.fullmatch(sender) else "", None, server("smtp", values["host"], port, security, user))
