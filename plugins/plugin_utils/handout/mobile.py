# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a person with a phone or a Mac gets: names and contents of files. Pure: no I/O, no ansible."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from ..files.folder import Entry
from ..formats import android, qr
from ..formats.mobileconfig import Device, Settings, profile
from ..formats.signing import Signer, sign, still_good
from ..office.identity import file_name, who
from ..office.model import DeviceOwner
from ..office.names import has_control
from ..office.problem import Problem, printable, quoted
from ..office.survey import Key
from . import page_input, pages
from .links import Link, is_address, token

PAGE = "index.html"
# The folder beside those of the people with the profiles that an MDM takes: it signs them itself.
MDM = "mdm"
# Devices that get a profile, as people call them: files are named so.
PROFILES: Mapping[Device, str] = {"ios": "iphone", "macos": "mac"}

# What a place on a machine must be for its person to find the program set up; and, on a Mac, the profile in the home folder.
READY = ("verified", "installed", "prepared", "to be started")
DELIVERED = ("pending user approval", "outdated")

# What a profile_url can have in braces.
_PLACES = ("address", "file", "token")

_URL_MAX = 500

# Only for messages: where the office says all this.
WHERE = "group_vars/all.yml"


class Office(NamedTuple):
    """What is the same for everybody. profile_url: an https address with {address}, {file} or {token} in it, empty for none.
    page, texts: what handout() takes. to_pdf: makes a PDF of a page, None for no PDFs. link: with what tokens are made, if there are any.
    """

    settings: Settings
    signer: Signer | None
    profile_url: str
    page: page_input.Office
    texts: Mapping[str, Any]
    to_pdf: Callable[[str], bytes] | None = None
    link: Link | None = None


def settings_of(options: Mapping[str, Any], organization: str, today: datetime.date) -> tuple[Settings, list[Problem]]:
    """The words of the profiles, and everything that is wrong with them and with profile_url.

    options: description, consent, removal_date (as in 2027-06-30) and profile_url; empty texts for what the office does not say.
    """
    found: list[Problem] = []
    for name in ("description", "consent"):
        if has_control(options[name].replace("\n", "")):
            found.append(_wrong(name, f"{quoted(options[name])} has a control character; type it again"))
    day, text = None, options["removal_date"]
    if text:
        try:
            day = datetime.date.fromisoformat(text)
        except ValueError:
            found.append(_wrong("removal_date", f"{quoted(text)} is not a date like 2027-06-30"))
    if day and day <= today:
        found.append(_wrong("removal_date", f"{day} is not in the future; devices would remove the profile at once"))
    found += _profile_url_problems(options["profile_url"])
    return Settings(organization, options["description"], options["consent"], day), found


def check_owners(owners: Iterable[DeviceOwner]) -> list[Problem]:
    """People whose files would be in the same folder."""
    found: list[Problem] = []
    first: dict[str, DeviceOwner] = {}
    for owner in owners:
        address = owner["identity"]
        other = first.setdefault(address, owner)
        if other is not owner:
            names = " and of ".join(printable(one["full_name"]) for one in (other, owner))
            found.append(Problem(address, what=f"is the first mailbox of {names}; say with primary which mailbox of their own is"))
    return found


def folder(owner: DeviceOwner) -> str:
    """Name of the person's folder."""
    return file_name(owner["identity"])


def profile_file(folder: str, device: Device) -> str:
    """Name of the profile for a device in the person's folder."""
    return f"{_short(folder)}-{PROFILES[device]}.mobileconfig"


def left_by(owner: DeviceOwner, known: Mapping[str, Entry]) -> list[str]:
    """Folders with an iPhone's profile that were this person's, under a mailbox that the person has no more."""
    mine = who(owner["full_name"], owner["login"])
    addresses = {file_name(account["address"]) for account in owner["accounts"]}
    return [
        folder
        for folder, entry in sorted(known.items())
        # Without a login there is nothing but the mailbox that tells people of one name apart.
        if owner["login"] and entry.who == mine and folder not in addresses and profile_file(folder, "ios") in entry.files
    ]


def unsigned_file(folder: str, device: Device, signed: bool) -> str:
    """Path of the profile without a signature, from the office's folder. signed: whether there is one with a signature as well."""
    return f"{MDM}/{_mdm_file(folder, device)}" if signed else f"{folder}/{profile_file(folder, device)}"


def mdm_names(owners: Iterable[DeviceOwner], office: Office) -> list[str]:
    """Names of everything that is in the folder MDM. Where no profile is signed, an MDM takes those that are handed out."""
    return [_mdm_file(folder(owner), kind) for owner in owners for kind in PROFILES if office.signer and kind in owner["devices"]]


def mdm(owners: Iterable[DeviceOwner], office: Office) -> dict[str, bytes]:
    """What is in the folder MDM, name -> content."""
    made = ((owner, kind) for owner in owners for kind in PROFILES if office.signer and kind in owner["devices"])
    return {_mdm_file(folder(owner), kind): profile(owner["accounts"], kind, office.settings, owner["identity"]) for owner, kind in made}


def names(owner: DeviceOwner, office: Office) -> list[str]:
    """Names of everything that files() makes for the person."""
    name, devices = folder(owner), owner["devices"]
    made = [profile_file(name, kind) for kind in PROFILES if kind in devices]
    if "ios" in devices and office.profile_url:
        made += [f"{_short(name)}-iphone.{ending}" for ending in ("svg", "png")]
    if "android" in devices:
        made += [_k9s(name), *(f"{code}.{ending}" for code in _codes(owner) for ending in ("svg", "png"))]
    return [*made, PAGE, *([_pdf(name)] if office.to_pdf else [])]


def standing(owner: DeviceOwner, states: Mapping[Key, str]) -> list[page_input.Computer]:
    """How the person's computers stand. states: what is known of everybody's places, by address, machine and program."""
    mine = {account["address"] for account in owner["accounts"]}
    found = []
    for computer in owner["computers"]:
        known: dict[str, list[str]] = {}
        for (address, machine, program), state in states.items():
            if machine == computer["machine"] and address in mine:
                known.setdefault(program, []).append(state)
        ready = sorted(program for program, each in known.items() if all(state in READY for state in each))
        how: page_input.Standing
        programs, how = ready, "ready" if ready else ""
        if computer["platform"] == "windows":
            programs, how = computer["programs"] or [*pages.GUIDES], ""
        elif not ready and computer["platform"] == "macos" and all(state in DELIVERED for state in known.get("apple_mail", [""])):
            how = "delivered"
        found.append(page_input.Computer(machine=computer["machine"], platform=computer["platform"], programs=programs, standing=how))
    return found


def files(owner: DeviceOwner, office: Office, computers: Sequence[page_input.Computer], read: Callable[[str], bytes]) -> dict[str, bytes]:
    """Everything for one person, name -> content.

    computers: as standing() gives them. read: gives what is now in a file of the person's folder, nothing if it is not there; a signature
    that is still good is kept. Raises ValueError where a format cannot carry a text.
    """
    accounts, devices, base = owner["accounts"], owner["devices"], folder(owner)
    made: dict[str, bytes] = {}
    names: page_input.Files = {}
    codes: page_input.Codes = {"ios": None, "android": []}
    for kind in PROFILES:
        if kind in devices:
            names[kind] = name = profile_file(base, kind)
            made[name] = _signed(profile(accounts, kind, office.settings, owner["identity"]), office.signer, read(name))
    url = ""
    if "ios" in devices and office.profile_url:
        url = office.profile_url.replace("{address}", quote(base)).replace("{file}", quote(names["ios"]))
        if office.link:
            url = url.replace("{token}", token(base, office.link))
        pictures = qr.pictures(url)
        made |= {f"{_short(base)}-iphone.svg": pictures.svg, f"{_short(base)}-iphone.png": pictures.png}
        codes["ios"] = pictures.svg.decode()
    if "android" in devices:
        names["k9s"] = _k9s(base)
        made[names["k9s"]] = android.k9s(accounts)
        scanned: list[page_input.AndroidCode] = []
        for name, account in zip(_codes(owner), accounts, strict=True):
            pictures = qr.pictures(android.qr_text(account))
            made |= {f"{name}.svg": pictures.svg, f"{name}.png": pictures.png}
            scanned.append({"address": account["address"], "svg": pictures.svg.decode()})
        codes["android"] = scanned
    recipient: page_input.Recipient = {
        "full_name": owner["full_name"],
        "accounts": accounts,
        "phones": [name for name in devices if name != "macos"],
        "computers": computers,
        "qr": codes,
        "files": names,
        "profile_url": url or None,
    }
    page = pages.handout(recipient, office.page, office.texts)
    made[PAGE] = page.encode()
    if office.to_pdf:
        made[_pdf(base)] = office.to_pdf(page)
    return made


def _mdm_file(folder: str, device: Device) -> str:
    return f"{folder}-{PROFILES[device]}.unsigned.mobileconfig"


def _short(name: str) -> str:
    """What stands before the @: enough to tell whose a file is, and short enough to be read."""
    return name.rpartition("@")[0] or name


def _k9s(name: str) -> str:
    return f"{_short(name)}-android.k9s"


def _pdf(name: str) -> str:
    return f"{_short(name)}.pdf"


def _codes(owner: DeviceOwner) -> list[str]:
    """Names of the codes for Android, one per mailbox, without what says that they are pictures."""
    full = [file_name(account["address"]) for account in owner["accounts"]]
    short = [_short(name) for name in full]
    return [f"{name}-android" for name in (short if len({*short}) == len(short) else full)]


def _signed(plist: bytes, signer: Signer | None, before: bytes) -> bytes:
    if signer is None:
        return plist
    return before if still_good(before, plist, signer) else sign(plist, signer)


def _profile_url_problems(url: str) -> list[Problem]:
    places = re.findall(r"\{([^{}]*)\}", url)
    unknown = [place for place in places if place not in _PLACES]
    if not url:
        return []
    if not is_address(url):
        what = f"{quoted(url)} is not an https address"
    elif len(url) > _URL_MAX:
        what = f"has {len(url)} characters; {_URL_MAX} are the most that a QR code should hold"
    elif unknown:
        what = f"{{{printable(unknown[0])}}} is not known; write {{address}}, {{file}} or {{token}} where each person's own part goes"
    elif not places:
        what = "is the same for everybody; write {address} or {file} where each person's own part goes"
    elif twice := next((place for place in places if places.count(place) > 1), ""):
        what = f"has {{{twice}}} twice; once is enough, and a QR code has little room"
    else:
        return []
    return [Problem(WHERE, field="mail_profile_url", what=what)]


def _wrong(option: str, what: str) -> Problem:
    return Problem(WHERE, field=f"mobile_{option}", what=what)
