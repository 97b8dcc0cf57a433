# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a page is made of: person, office, codes, files; and what is wrong with what an office says of itself. Pure, no Ansible."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from ..office.account import Account
from ..office.problem import Problem, quoted

Texts = Mapping[str, Any]

Device = Literal["ios", "android", "mac"]

# How a computer stands. ready: all is in place, but for the password. delivered: the person has what is needed to go on (a Mac's profile).
Standing = Literal["", "delivered", "ready"]

Way = Literal["incoming", "outgoing"]

TWO_FACTOR = ("none", "app_password")

ACCENT = "#1f4e79"

# What a file begins with -> what it is. Programs that write SVG may put a declaration or a comment before the element.
_IMAGES = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*|<!DOCTYPE[^>]*>\s*)*<svg[\s>]", re.DOTALL), "image/svg+xml"),
)

_LOGO = re.compile(r"data:image/(png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/]+={0,2}")

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


class AndroidCode(TypedDict):
    """The QR code of Thunderbird's account import for one mailbox. svg: the image, with a viewBox."""

    address: str
    svg: str


class Codes(TypedDict):
    """ios: an SVG with the person's profile_url, None where the office serves no profiles. android: one code per mailbox."""

    ios: str | None
    android: Sequence[AndroidCode]


class Files(TypedDict, total=False):
    """Names of the files made for the person, without a folder. A key that is missing: the file was not made."""

    ios: str
    macos: str
    k9s: str


class Computer(TypedDict):
    """A machine of the person. programs: on Windows those to be set up by hand; elsewhere those that are set up already."""

    machine: str
    platform: str
    standing: Standing
    programs: Sequence[str]


class Recipient(TypedDict):
    """Whom a page is for. profile_url: the https address the iOS profile is fetched from; None: the file is handed over otherwise."""

    full_name: str
    accounts: Sequence[Account]
    phones: Sequence[str]
    computers: Sequence[Computer]
    qr: Codes
    files: Files
    profile_url: str | None


class Contact(TypedDict):
    """Who helps. Any of them may be empty, but one of phone and email must be there."""

    name: str
    phone: str
    email: str
    hours: str


class Office(TypedDict):
    """What the office says. logo: a data: URI as logo_uri() makes it. accent: a colour like #1f4e79; text on it is black or white,
    whichever can be read. signed: the Apple profiles carry the office's signature. two_factor: how the mailboxes are signed in to.
    """

    name: str
    contact: Contact
    two_factor: Literal["none", "app_password"]
    signed: bool
    logo: NotRequired[str | None]
    accent: NotRequired[str | None]


def logo_uri(data: bytes) -> str:
    """The image as a data: URI. Raises ValueError when it is no PNG, JPEG, GIF, WebP or SVG image."""
    for begins, kind in _IMAGES:
        if begins.match(data):
            return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
    raise ValueError("is not an image; PNG, JPEG, GIF, WebP and SVG can be used")


def has_contact(contact: Mapping[str, Any]) -> bool:
    """Whether it says how to reach somebody."""
    return any(str(contact.get(way) or "").strip() for way in ("phone", "email"))


def check_office(office: Mapping[str, Any], where: str = "group_vars/all.yml") -> list[Problem]:
    """Everything that is wrong with what an office says for its hand-outs; field names are those of Office."""
    found: list[Problem] = []

    def wrong(field: str, what: str) -> None:
        found.append(Problem(where, field=field, what=what))

    contact = office.get("contact") or {}
    if not str(office.get("name") or "").strip():
        wrong("name", "is empty; people must see whose page it is")
    if not has_contact(contact):
        wrong("contact", "has neither phone nor email; the page must say who helps")
    if office.get("two_factor") not in TWO_FACTOR:
        wrong("two_factor", f"{quoted(str(office.get('two_factor')))} is not {' or '.join(TWO_FACTOR)}")
    if not _COLOUR.fullmatch(str(office.get("accent") or ACCENT)):
        wrong("accent", f"{quoted(str(office.get('accent')))} is not a colour like {ACCENT}")
    if office.get("logo") and not _LOGO.fullmatch(str(office.get("logo"))):
        wrong("logo", "is not an image; PNG, JPEG, GIF, WebP and SVG can be used")
    return found


def refuse(office: Office) -> None:
    problems = check_office(office)
    if problems:
        raise ValueError("\n".join(map(str, problems)))
