# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Links to profiles that cannot be guessed and that end. Pure: no I/O, no ansible."""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from ansible_collections.msp.charter_mail.plugins.module_utils.nginx import site

from ..office.names import is_host
from ..office.problem import Problem, quoted

SECRET_MIN = 32
# Warned about so many days before links end.
SOON = 30
# Paths stand between quotes in nginx's file.
_PATH = re.compile(r"/[^\"$\\\x00-\x1f\x7f]+")
# What can stand between quotes of an nginx configuration as it is.
_SECRET = re.compile(r"[A-Za-z0-9+/=._~-]*")
_PREFIX = re.compile(r"(/(?![.]{1,2}(/|$))[A-Za-z0-9._~-]+)*")
_UPWARDS = {".", ".."}
_ENDING = "/{token}/{address}/{file}"


class Link(NamedTuple):
    """With what links are made. until: the last day on which they work, in UTC. secret: what nobody else knows."""

    until: datetime.date
    secret: str


class Site(NamedTuple):
    """Where profiles are served. prefix: path before the token, empty or /with/no/slash/at/the/end."""

    host: str
    port: int
    prefix: str


def token(folder: str, link: Link) -> str:
    """The part of a link that lets its owner fetch what is in the folder, until the end of the last day."""
    # The day after may be none: 9999-12-31 is the last one there is.
    start = datetime.datetime.combine(link.until, datetime.time(), datetime.UTC)
    return site.token(int(start.timestamp()) + 24 * 60 * 60, folder, link.secret)


def link_of(url: str, secret: str, until: str) -> tuple[Link | None, list[Problem]]:
    """With what the links of this mail_profile_url are made, and everything that is wrong with it; no message shows the secret.

    until: a day as in 2027-06-30. A secret or a day that the address has no use for does no harm.
    """
    if "{token}" not in url:
        return None, []
    found, day = [], None
    if not secret:
        found.append(_wrong("mobile_link_secret", "is empty, but mail_profile_url has {token}; make one with: openssl rand -base64 36"))
    elif len(secret) < SECRET_MIN:
        what = f"has {len(secret)} characters; {SECRET_MIN} are needed. Make one with: openssl rand -base64 36"
        found.append(_wrong("mobile_link_secret", what))
    elif not _SECRET.fullmatch(secret):
        what = "may have the letters a to z, digits and +/=._~- alone; make one with: openssl rand -base64 36"
        found.append(_wrong("mobile_link_secret", what))
    if not until:
        found.append(_wrong("mobile_link_until", "is empty, but mail_profile_url has {token}; write the last day on which links work"))
    else:
        try:
            day = datetime.date.fromisoformat(until)
        except ValueError:
            found.append(_wrong("mobile_link_until", f"{quoted(until)} is not a date like 2027-06-30"))
    return (Link(day, secret) if day and not found else None), found


def ending_warning(link: Link, today: datetime.date) -> str:
    """What to say when links have ended or soon will; nothing when they are good for longer."""
    left = (link.until - today).days
    if left < 0:
        return f"mobile_link_until: the links to profiles ended on {link.until}; write a later day and hand the pages out again"
    if left <= SOON:
        return f"mobile_link_until: the links to profiles end on {link.until}; a later day gives everybody with an iPhone a new page"
    return ""


def is_address(url: str) -> bool:
    """Whether `url` is an https address that a phone can fetch from, without steps upwards and without a password in it."""
    parts = _taken_apart(url)
    if not parts or parts.scheme != "https" or not _port(parts) or parts.username is not None:
        return False
    return _is_server(parts.hostname or "") and not _UPWARDS & _steps(parts) and url.isprintable() and " " not in url


def site_of(url: str) -> tuple[Site | None, list[Problem]]:
    """Where a server has to answer for this mail_profile_url, or why it cannot."""
    parts = _taken_apart(url)
    if not url:
        what = "is empty; write https://profiles.example.org" + _ENDING + " with a name of your own"
    elif not parts or parts.scheme != "https":
        what = f"{quoted(url)} is not an https address"
    elif not parts.path.endswith(_ENDING) or parts.query or parts.fragment:
        what = f"{quoted(url)} does not end with {_ENDING}, as the links to this server have to"
    elif not is_host(parts.hostname or "") or not _port(parts) or parts.username is not None:
        what = f"{quoted('//' + parts.netloc)} is not a host name with nothing but a port after it"
    elif not _PREFIX.fullmatch(prefix := unquote(parts.path.removesuffix(_ENDING))):
        what = f"{quoted(prefix)} before {{token}} may have letters a to z, digits and ._~- between its slashes alone"
    else:
        return Site(parts.hostname or "", _port(parts), prefix), []
    return None, [_wrong("mail_profile_url", what)]


def server_of(given: Mapping[str, str]) -> tuple[Site | None, list[Problem]]:
    """Where a server of the office answers, and everything that is wrong with what the office says of it; the site only when nothing is.

    given: url, link_secret, link_until, certificate and key, empty for what is not said. No message shows the secret.
    """
    site, found = site_of(given["url"])
    found += link_of(given["url"], given["link_secret"], given["link_until"])[1]
    for option in ("certificate", "key"):
        if not given[option]:
            found.append(_wrong(f"profile_server_{option}", "is empty; write the path of the PEM file on the server"))
        elif not _PATH.fullmatch(given[option]):
            what = "is not a path on the server that begins with / and has no quotes, dollar signs or backslashes"
            found.append(_wrong(f"profile_server_{option}", f"{quoted(given[option])} {what}"))
    return (None if found else site), found


def _taken_apart(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:  # as for https://[x/
        return None


def _port(parts: SplitResult) -> int:
    """The port to connect to, 0 for one that is none."""
    try:
        return 443 if parts.port is None else parts.port
    except ValueError:
        return 0


def _steps(parts: SplitResult) -> set[str]:
    return set(unquote(parts.path).split("/"))


def _is_server(host: str) -> bool:
    try:
        return is_host(host) or bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def _wrong(field: str, what: str) -> Problem:
    return Problem("group_vars/all.yml", field=field, what=what)
