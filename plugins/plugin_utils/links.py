# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Links to profiles that cannot be guessed and that end. Pure: no I/O, no ansible."""

from __future__ import annotations

import datetime
import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from ansible_collections.msp.charter_mail.plugins.module_utils import site

from .problem import Problem, printable

SECRET_MIN = 32
# Warned about so many days before links end.
SOON = 30
# What can stand between quotes of an nginx configuration as it is.
_SECRET = re.compile(r"[A-Za-z0-9+/=._~-]*")
_PREFIX = re.compile(r"(/(?![.]{1,2}(/|$))[A-Za-z0-9._~-]+)*")
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}([.]{_LABEL})*")
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
    end = datetime.datetime.combine(link.until + datetime.timedelta(days=1), datetime.time(), datetime.UTC)
    return site.token(int(end.timestamp()), folder, link.secret)


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
            found.append(_wrong("mobile_link_until", f'"{printable(until)}" is not a date like 2027-06-30'))
    return (Link(day, secret) if day and not found else None), found


def ending_warning(link: Link, today: datetime.date) -> str:
    """What to say when links have ended or soon will; nothing when they are good for longer."""
    left = (link.until - today).days
    if left < 0:
        return f"mobile_link_until: the links to profiles ended on {link.until}; write a later day and hand the pages out again"
    if left <= SOON:
        return f"mobile_link_until: the links to profiles end on {link.until}; a later day gives everybody with an iPhone a new page"
    return ""


def site_of(url: str) -> tuple[Site | None, list[Problem]]:
    """Where a server has to answer for this mail_profile_url, which is one that settings_of() let through, or why it cannot."""
    parts = urlsplit(url)
    try:
        host, port = parts.hostname or "", parts.port or 443
    except ValueError:
        host, port = "", 443
    prefix = unquote(parts.path.removesuffix(_ENDING))
    if not url:
        what = "is empty; write https://profiles.example.org" + _ENDING + " with a name of your own"
    elif not parts.path.endswith(_ENDING) or parts.query or parts.fragment:
        what = f'"{printable(url)}" does not end with {_ENDING}, as the links to this server have to'
    elif not _HOST.fullmatch(host) or parts.username is not None:
        what = f'"{printable(parts.netloc)}" is not a host name with nothing but a port after it'
    elif not _PREFIX.fullmatch(prefix):
        what = f'"{printable(prefix)}" before {{token}} may have letters a to z, digits and ._~- between its slashes alone'
    else:
        return Site(host, port, prefix), []
    return None, [_wrong("mail_profile_url", what)]


def _wrong(field: str, what: str) -> Problem:
    return Problem("group_vars/all.yml", field=field, what=what)
