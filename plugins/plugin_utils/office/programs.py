"""The mail programs this collection configures: the one list that the sheet, the model and the tests go by.

What is written for a program is in the role `programs`. A contract test holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Program(NamedTuple):
    """What the model must know of a mail program.

    title: as people call it.
    platforms: where it can be configured.
    default_on: platforms on which a person gets it when the sheet's column `programs` is empty.
    protocols: how it can fetch mail.
    command: what starts it, with what has it say its version where it can be asked for that. Thunderbird is found in other ways.
    """

    title: str
    platforms: frozenset[str]
    default_on: frozenset[str] = frozenset()
    protocols: frozenset[str] = frozenset({"imap", "pop"})
    command: str = ""


PLATFORMS = ("linux", "windows", "macos")
DESKTOPS = frozenset(PLATFORMS)
LINUX = frozenset({"linux"})
UNIX = frozenset({"linux", "macos"})

PROGRAMS: Mapping[str, Program] = MappingProxyType(
    {
        "thunderbird": Program("Thunderbird", DESKTOPS, default_on=DESKTOPS),
        "evolution": Program("Evolution", LINUX, command="evolution"),
        "claws": Program("Claws Mail", LINUX, command="claws-mail --version"),
        "msmtp": Program("msmtp", UNIX, command="msmtp --version"),
        "mbsync": Program("mbsync", UNIX, protocols=frozenset({"imap"}), command="mbsync --version"),
        "neomutt": Program("NeoMutt", UNIX, command="neomutt -v"),
        "aerc": Program("aerc", UNIX, protocols=frozenset({"imap"}), command="aerc -v"),
    }
)

# Programs that people have and that are not set up yet, as people call them.
LATER: Mapping[str, str] = MappingProxyType({"outlook": "Outlook", "apple_mail": "Apple Mail as a program", "mutt": "mutt (NeoMutt is)"})


def programs_on(platform: str) -> tuple[str, ...]:
    """Names of the programs a person gets on `platform` when the sheet names none."""
    return tuple(name for name, program in PROGRAMS.items() if platform in program.default_on)
