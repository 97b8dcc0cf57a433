# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Profiles that are handed to iPhones in the room: who gets what by which link, and the page on the technician's screen. No Ansible.

A link is a secret of 16 bytes, made anew each time; whoever has it gets that one profile. The profiles are read once, before anybody can
ask: no address leads to a file.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import secrets
import threading
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..files.folder import MANIFEST
from ..formats import qr
from .mobile import MDM, PROFILES

HERE = Path(__file__).parent
TYPE = "application/x-apple-aspen-config"
_ENDING = f"-{PROFILES['ios']}.mobileconfig"
# DER begins with a sequence, a profile without a signature with a declaration of XML.
_SIGNED = b"\x30"


class RoomError(Exception):
    """Nothing can be handed out. The message is one sentence for people."""


class Guest(NamedTuple):
    """Somebody with an iPhone. short: what stands before the @, where that is nobody else's. file: the name that the profile gets there."""

    name: str
    address: str
    short: str
    file: str
    profile: bytes
    token: str

    @property
    def signed(self) -> bool:
        return self.profile.startswith(_SIGNED)


class Answer(NamedTuple):
    """What an address gives. guest: whose profile it is."""

    kind: str
    body: bytes
    guest: Guest | None = None


def guests(folder: Path) -> list[Guest]:
    """Everybody with an iPhone's profile in the hand-outs of an office, by name.

    Raises RoomError when there are no hand-outs, or a profile is not as it was written.
    """
    try:
        made = json.loads((folder / MANIFEST).read_bytes())["folders"]
        wanted = [
            (unquote(name), str(entry.get("name") or unquote(name)), folder / name / file, digest)
            for name, entry in made.items()
            for file, digest in entry["files"].items()
            if file.endswith(_ENDING) and name != MDM
        ]
    except FileNotFoundError as error:
        raise RoomError(f"{folder} has no hand-outs; run make handouts") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RoomError(f"{folder / MANIFEST} cannot be read; run make handouts") from error
    shorts = [address.rpartition("@")[0] for address, *_unused in wanted]
    found = []
    for address, full_name, path, digest in wanted:
        try:
            profile = path.read_bytes()
        except OSError as error:
            raise RoomError(f"{path}: {error.strerror}; run make handouts") from error
        if hashlib.sha256(profile).hexdigest() != digest:
            raise RoomError(f"{path} was changed since it was written; run make handouts, which puts it right")
        short = address.rpartition("@")[0]
        short = short if shorts.count(short) == 1 else address
        found.append(Guest(full_name, address, short, path.name, profile, secrets.token_urlsafe(16)))
    return sorted(found, key=lambda guest: (guest.name.casefold(), guest.address))


class Room:
    """What can be asked for, and who has fetched. Used by several threads. base: where it is reached, as http://192.168.1.20:8743."""

    def __init__(self, office: str, people: list[Guest], base: str, until: datetime.datetime) -> None:
        self.office, self.people, self.base, self.until = office, people, base, until
        self.token = secrets.token_urlsafe(16)
        self._by_token = {guest.token: guest for guest in people}
        self._fetched: dict[str, str] = {}
        self.refused = 0
        self._lock = threading.Lock()

    @property
    def page_url(self) -> str:
        return f"{self.base}/{self.token}"

    def url(self, guest: Guest) -> str:
        """The person's link, which stands in the code."""
        return f"{self.base}/{guest.token}"

    def answer(self, path: str) -> Answer | None:
        """What is at this path of an address, None where nothing is."""
        if path == f"/{self.token}":
            return Answer("text/html; charset=utf-8", self.page().encode())
        if path == f"/{self.token}/state":
            return Answer("application/json", json.dumps(self.state()).encode())
        guest = self._by_token.get(path.removeprefix("/"))
        return Answer(TYPE, guest.profile, guest) if guest else None

    def fetch(self, guest: Guest, when: datetime.datetime) -> bool:
        """Remember that a profile was fetched; whether it was for the first time."""
        with self._lock:
            first = guest.token not in self._fetched
            self._fetched.setdefault(guest.token, f"{when:%H:%M}")
        return first

    def refuse(self) -> None:
        """Count a request for anything else."""
        with self._lock:
            self.refused += 1

    def state(self) -> list[str]:
        """When each profile was fetched first, "" for not yet, in the order of `people`."""
        with self._lock:
            return [self._fetched.get(guest.token, "") for guest in self.people]

    def waiting(self) -> list[Guest]:
        """Who has not fetched the profile yet."""
        return [guest for guest, when in zip(self.people, self.state(), strict=True) if not when]

    def page(self) -> str:
        """The page on the technician's screen: everybody's code, one at a time, and who has fetched."""
        environment = Environment(
            loader=FileSystemLoader([HERE, HERE.parent]), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        script = (HERE / "room_page.js").read_text(encoding="utf-8")
        return environment.get_template("room_page.html.j2").render(
            office=self.office,
            until=f"{self.until:%H:%M}",
            signed=all(guest.signed for guest in self.people),
            script=Markup(script),
            script_hash=Markup(f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"),
            people=[
                {
                    "name": guest.name,
                    "address": guest.address,
                    "when": when,
                    "code": "data:image/svg+xml;base64," + base64.b64encode(qr.pictures(self.url(guest)).svg).decode(),
                }
                for guest, when in zip(self.people, self.state(), strict=True)
            ],
        )
