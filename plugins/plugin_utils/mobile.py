# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a person with a phone or a Mac gets: names and contents of files. Pure: no I/O, no ansible."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from . import android, handout, qr
from .identity import file_name
from .links import Link, is_address, token
from .mobileconfig import Device, Settings, profile
from .model import DeviceOwner
from .names import has_control
from .problem import Problem, printable, quoted
from .signing import Signer, sign, still_good

INDEX = "index.html"
# Devices that get a profile.
PROFILES: tuple[Device, ...] = ("ios", "macos")

# What a profile_url can have in braces.
_PLACES = ("address", "file", "token")

_URL_MAX = 500

# Devices as the list of people calls them.
_LISTED: Mapping[str, handout.Device] = {"ios": "ios", "android": "android", "macos": "mac"}

# Only for messages: where the office says all this.
WHERE = "group_vars/all.yml"


class Office(NamedTuple):
    """What is the same for everybody. profile_url: an https address with {address}, {file} or {token} in it, empty for none.
    page, texts: what handout() takes. to_pdf: makes a PDF of a page, None for no PDFs. link: with what tokens are made, if there are any.
    """

    settings: Settings
    signer: Signer | None
    profile_url: str
    page: handout.Office
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


def profile_file(folder: str, device: str, unsigned: bool = False) -> str:
    """Name of the profile for a device (ios, macos) in the person's folder: the one to hand out, or the one without a signature."""
    return f"{folder}-{device}{'.unsigned' if unsigned else ''}.mobileconfig"


def names(owner: DeviceOwner, office: Office) -> list[str]:
    """Names of everything that files() makes for the person."""
    base, devices = folder(owner), owner["devices"]
    made = [profile_file(base, kind, unsigned) for kind in PROFILES if kind in devices for unsigned in (False, True)]
    if "ios" in devices and office.profile_url:
        made += [f"{base}-ios.svg", f"{base}-ios.png"]
    if "android" in devices:
        codes = [f"{file_name(account['address'])}-android" for account in owner["accounts"]]
        made += [f"{base}.k9s", *(f"{code}.{ending}" for code in codes for ending in ("svg", "png"))]
    return [*made, INDEX, *([f"{base}.pdf"] if office.to_pdf else [])]


def files(owner: DeviceOwner, office: Office, read: Callable[[str], bytes]) -> dict[str, bytes]:
    """Everything for one person, name -> content.

    read: gives what is now in a file of the person's folder, nothing if it is not there; a signature that is still good is kept.
    Raises ValueError where a format cannot carry a text.
    """
    accounts, devices, base = owner["accounts"], owner["devices"], folder(owner)
    made: dict[str, bytes] = {}
    names: handout.Files = {}
    codes: handout.Codes = {"ios": None, "android": []}
    for kind in PROFILES:
        if kind in devices:
            names[kind] = name = profile_file(base, kind)
            plist = profile(accounts, kind, office.settings, owner["identity"])
            made[name] = _signed(plist, office.signer, read(name))
            made[profile_file(base, kind, unsigned=True)] = plist
    url = ""
    if "ios" in devices and office.profile_url:
        url = office.profile_url.replace("{address}", quote(base)).replace("{file}", quote(names["ios"]))
        if office.link:
            url = url.replace("{token}", token(base, office.link))
        pictures = qr.pictures(url)
        made |= {f"{base}-ios.svg": pictures.svg, f"{base}-ios.png": pictures.png}
        codes["ios"] = pictures.svg.decode()
    if "android" in devices:
        names["k9s"] = f"{base}.k9s"
        made[names["k9s"]] = android.k9s(accounts)
        scanned: list[handout.AndroidCode] = []
        for account in accounts:
            pictures = qr.pictures(android.qr_text(account))
            name = f"{file_name(account['address'])}-android"
            made |= {f"{name}.svg": pictures.svg, f"{name}.png": pictures.png}
            scanned.append({"address": account["address"], "svg": pictures.svg.decode()})
        codes["android"] = scanned
    recipient: handout.Recipient = {
        "full_name": owner["full_name"],
        "accounts": accounts,
        "phones": [name for name in devices if name != "macos"],
        "mac": "macos" in devices,
        "qr": codes,
        "files": names,
        "profile_url": url or None,
    }
    page = handout.handout(recipient, office.page, office.texts)
    made[INDEX] = page.encode()
    if office.to_pdf:
        made[f"{base}.pdf"] = office.to_pdf(page)
    return made


def index(owners: Iterable[DeviceOwner], office: Office, macs: Mapping[str, handout.State]) -> bytes:
    """The office's list of people. macs: by folder, how far the people with a Mac are."""
    listed: list[handout.Listed] = [
        {
            "full_name": owner["full_name"],
            "addresses": [account["address"] for account in owner["accounts"]],
            "page": f"{folder(owner)}/{INDEX}",
            "pdf": f"{folder(owner)}/{folder(owner)}.pdf" if office.to_pdf else None,
            "devices": {_LISTED[name]: macs.get(folder(owner), "prepared") if name == "macos" else "prepared" for name in owner["devices"]},
        }
        for owner in owners
    ]
    return handout.index(listed, office.page, office.texts).encode()


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
