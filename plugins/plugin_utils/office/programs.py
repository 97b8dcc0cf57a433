"""The mail programs this collection configures: the one list that the sheet, the model and the tests go by.

A program is configured by the role named here, on the platforms named here. A contract test holds it against the roles.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Program(NamedTuple):
    """What the model must know of a mail program.

    role: the role of this collection that writes its files.
    platforms: where that role can configure it.
    default_on: platforms on which a person gets it when the sheet's column `programs` is empty.
    protocols: how it can fetch mail.
    """

    role: str
    platforms: frozenset[str]
    default_on: frozenset[str] = frozenset()
    protocols: frozenset[str] = frozenset({"imap", "pop"})


PLATFORMS = ("linux", "windows", "macos")
DESKTOPS = frozenset(PLATFORMS)
UNIX = frozenset({"linux", "macos"})

PROGRAMS: Mapping[str, Program] = MappingProxyType(
    {
        "thunderbird": Program("thunderbird", DESKTOPS, default_on=DESKTOPS),
        "msmtp": Program("terminal", UNIX),
        "mbsync": Program("terminal", UNIX, protocols=frozenset({"imap"})),
        "neomutt": Program("terminal", UNIX),
        "aerc": Program("terminal", UNIX, protocols=frozenset({"imap"})),
    }
)

# Programs that people have and that are not set up yet, as people call them.
LATER: Mapping[str, str] = MappingProxyType({"outlook": "Outlook", "apple_mail": "Apple Mail as a program", "mutt": "mutt (NeoMutt is)"})


def programs_on(platform: str) -> tuple[str, ...]:
    """Names of the programs a person gets on `platform` when the sheet names none."""
    return tuple(name for name, program in PROGRAMS.items() if platform in program.default_on)
