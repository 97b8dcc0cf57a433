# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a Mac says of the configuration profiles it has, held against the profile that was handed out. Pure: texts in, words out.

Sources for what the Mac's tools print (none is documented by Apple; nothing here was run on a Mac):

- ``profiles show -output stdout-xml`` is a dictionary with a list of profiles for each login, and for the Mac as a whole under
  ``_computerlevel``. A profile has ProfileIdentifier and ProfileItems; an item has PayloadType and PayloadIdentifier, and its settings
  in PayloadContent (macadmins/osquery-extension, tables/macos_profiles/test_profiles_stdout.plist).
- Without any profile there is no output at all (tests of puppet's mac_profiles_handler), or, without ``-output``, one line that begins
  "There are no configuration profiles installed". Both are taken for none.
- ``scutil``, asked for State:/Users/ConsoleUser, has the lines "Name : jane" and "UID : 501".

Not confirmed: that every setting of a mail account is printed. So what is not printed is never taken for equal.

Used on both sides. Python 3.8, standard library only.
"""

from __future__ import annotations

import hashlib
import json
import plistlib
import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

PREFIX = "msp.charter-mail."
"""Begins the identifier of every profile of ours; no other profile is ever removed."""

MAIL = "com.apple.mail.managed"
NONE_INSTALLED = b"There are no configuration profiles installed"

INSTALLED = "installed"
PENDING = "pending user approval"
OUTDATED = "outdated"
UNKNOWN = "unknown"

# Without these nobody can say that the settings in use are the right ones.
DECISIVE = (
    "EmailAccountType",
    "EmailAddress",
    *(way + "MailServer" + name for way in ("Incoming", "Outgoing") for name in ("HostName", "PortNumber", "UseSSL", "Username")),
)

# What a technician calls them.
WORDS = {
    "EmailAccountType": "protocol",
    "EmailAddress": "address",
    "EmailAccountName": "sender name",
    "IncomingMailServerHostName": "incoming server",
    "IncomingMailServerPortNumber": "incoming port",
    "IncomingMailServerUseSSL": "incoming TLS",
    "IncomingMailServerUsername": "incoming user name",
    "OutgoingMailServerHostName": "outgoing server",
    "OutgoingMailServerPortNumber": "outgoing port",
    "OutgoingMailServerUseSSL": "outgoing TLS",
    "OutgoingMailServerUsername": "outgoing user name",
}


class NotUnderstood(Exception):
    """The Mac's answer is none that is known. The message is one sentence for people."""


class Profile(NamedTuple):
    """A profile: its identifier, and the settings of its mail accounts by the identifier of each."""

    identifier: str
    accounts: Dict[str, Dict[str, Any]]


class Verdict(NamedTuple):
    """How far a person's profile is: one of the words above, and why in one sentence where there is something to say."""

    state: str
    message: str = ""


def read(plist: bytes) -> Profile:
    """A profile as it is handed out, without a signature. Raises NotUnderstood."""
    top = _plist(plist)
    if not isinstance(top, dict) or not isinstance(top.get("PayloadIdentifier"), str):
        raise NotUnderstood("it is not a configuration profile")
    return Profile(top["PayloadIdentifier"], _accounts(top.get("PayloadContent")))


def digest(profile: Profile) -> str:
    """Changes when, and only when, a setting of the accounts does. SHA-256 in hex."""
    return hashlib.sha256(json.dumps(profile, sort_keys=True).encode("utf-8")).hexdigest()


def shown(output: bytes, login: str) -> List[Profile]:
    """The profiles of `login` in what ``profiles show`` printed. Raises NotUnderstood."""
    text = output.strip()
    if not text or text.startswith(NONE_INSTALLED):
        return []
    # A line of the system's log may stand before it.
    start = max(text.find(b"<?xml"), 0) or max(text.find(b"<plist"), 0)
    data = _plist(text[start:])
    if not isinstance(data, dict):
        raise NotUnderstood("macOS listed its profiles in a form that is not known here")
    found: List[Profile] = []
    for owner, profiles in data.items():
        # Mail takes accounts of a person only: what the whole Mac or somebody else has does not count.
        if str(owner).casefold() != login.casefold():
            continue
        if not isinstance(profiles, list) or not all(isinstance(profile, dict) for profile in profiles):
            raise NotUnderstood("macOS listed the profiles of %s in a form that is not known here" % login)
        for profile in profiles:
            identifier = profile.get("ProfileIdentifier", profile.get("PayloadIdentifier"))
            if isinstance(identifier, str):
                found.append(Profile(identifier, _accounts(profile.get("ProfileItems", profile.get("PayloadContent")))))
    return found


def judge(wanted: Profile, found: List[Profile]) -> Verdict:
    """How far a person with the profiles `found` is with the profile `wanted`."""
    mine = [profile for profile in found if profile.identifier == wanted.identifier]
    if not mine:
        if strangers(wanted, found):
            return Verdict(OUTDATED, "a profile from before the person's first address changed is installed")
        return Verdict(PENDING)
    accounts = mine[0].accounts
    wrong = ["%s is missing" % _name(wanted.accounts[key]) for key in wanted.accounts if key not in accounts]
    wrong += ["%s is there and should not be" % _name(accounts[key]) for key in accounts if key not in wanted.accounts]
    hidden: List[str] = []
    for key in sorted(wanted.accounts.keys() & accounts.keys()):
        for name, value in sorted(wanted.accounts[key].items()):
            if name not in accounts[key]:
                hidden += [name] if name in DECISIVE else []
            elif _plain(accounts[key][name]) != _plain(value):
                what = (_name(wanted.accounts[key]), WORDS.get(name, name), accounts[key][name], value)
                wrong.append("%s: %s is %s and should be %s" % what)
    if wrong:
        return Verdict(OUTDATED, "; ".join(wrong[:3]) + ("; and more" if wrong[3:] else ""))
    if hidden:
        names = sorted({WORDS[name] for name in hidden})
        return Verdict(UNKNOWN, "the profile is installed, but macOS does not show its %s" % ", ".join(names))
    return Verdict(INSTALLED)


def ours(found: List[Profile]) -> List[Profile]:
    """The profiles that this project made."""
    return [profile for profile in found if profile.identifier.startswith(PREFIX)]


def strangers(wanted: Profile, found: List[Profile]) -> List[Profile]:
    """Profiles of ours that are not the one that is wanted."""
    return [profile for profile in ours(found) if profile.identifier != wanted.identifier]


def only_imap(profile: Profile) -> bool:
    """Whether all its accounts are seen to keep their mail on the server."""
    types = [account.get("EmailAccountType") for account in profile.accounts.values()]
    return bool(types) and all(kind == "EmailTypeIMAP" for kind in types)


def console(text: str) -> Optional[Tuple[str, int]]:
    """Who sits at the screen, login and uid, in what scutil printed; None for nobody."""
    name = re.search(r"^\s*Name : (\S+)\s*$", text, re.MULTILINE)
    uid = re.search(r"^\s*UID : (\d+)\s*$", text, re.MULTILINE)
    # loginwindow is nobody, and so are root and the assistant of a new Mac (uid below 500).
    if not name or not uid or name.group(1) == "loginwindow" or int(uid.group(1)) < 500:
        return None
    return name.group(1), int(uid.group(1))


def _plist(text: bytes) -> Any:
    try:
        return plistlib.loads(text)
    except Exception as error:  # plistlib lets all sorts of errors out
        raise NotUnderstood("it is no property list (%s)" % type(error).__name__) from error


def _accounts(items: Any) -> Dict[str, Dict[str, Any]]:
    """The mail accounts of a profile, both as it is written and as the Mac shows it (settings below PayloadContent)."""
    if not isinstance(items, list):
        return {}
    accounts: Dict[str, Dict[str, Any]] = {}
    for item in items:
        if not isinstance(item, dict) or item.get("PayloadType") != MAIL:
            continue
        settings = item.get("PayloadContent", item)
        settings = settings if isinstance(settings, dict) else {}
        # Names, descriptions and ids are not settings; passwords are none of ours and go nowhere.
        kept = {key: value for key, value in settings.items() if not re.match("Payload|(Incoming|Outgoing)Password$", str(key))}
        accounts[str(item.get("PayloadIdentifier"))] = kept
    return accounts


def _name(account: Dict[str, Any]) -> str:
    return str(account.get("EmailAddress", "an account"))


def _plain(value: Any) -> str:
    """Numbers and truth values may be printed as text."""
    if isinstance(value, bool):
        return str(int(value))
    return {"true": "1", "false": "0"}.get(str(value), str(value))
