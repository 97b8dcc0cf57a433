# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where among a firewall's rules one that lets a port out may stand, so that it overrides nothing that is there on purpose. Pure.

Each tool tells in effects what its rules do, one after the other, to a new TCP connection to the port on another machine. Three kinds of
rules are told apart: what stops everybody, which the opening has to come before; what stops some (an address, a user, an interface), a ban,
which it has to come after; and what lets out by the way, which means that other ways are shut on purpose, so that there is no place at all.
What is not understood may be any of these: it is taken for the one that forbids most, and told as what it is.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

from typing import Dict, Iterable, List, NamedTuple, Sequence, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.firewall import host

# What becomes of the connection at a rule: it is stopped, it is let out, it goes back to the chain that led here. OTHERS: it goes on to the
# next rule, and TCP to other ports is let out.
STOPS, PASSES, RETURNS, OTHERS = "stops", "passes", "returns", "others"

# How far a condition holds for the connections to a port: for all, for none, or for some. Some are told by an address they go to or by how
# many they are (SOME); by who makes them, their mark or source (MAKER); by the interface they leave through, or as all that do not go to
# an address (PATH). By the last two a rule that lets some out keeps others in, and means it. DOUBT: what is asked is not understood here,
# so it may hold for all or for none. YES and NO are only said of what is certain.
YES, NO, SOME, MAKER, DOUBT, PATH = "yes", "no", "some", "maker", "doubt", "path"
NO_WAY = ""
# The later ones say more. PATH after DOUBT: what is asked of an interface besides cannot make it more than some.
_WAYS = (NO_WAY, MAKER, DOUBT, PATH)


class Effect(NamedTuple):
    """What becomes of the connection at the rule ``at``, counted from 0.

    sure: for everybody. by_port: because of its port, so that the rules behind it are at work on other ports. way: MAKER, DOUBT, PATH.
    """

    kind: str
    sure: bool
    by_port: bool = False
    way: str = NO_WAY
    at: int = 0


class Conditions(NamedTuple):
    """What a rule asks, as far as it was read. possible: a connection to another machine can meet it; meant: one to the port can."""

    possible: bool = True
    meant: bool = True
    sure: bool = True
    by_port: bool = False
    way: str = NO_WAY

    def also(self, holds: str, port: bool = False) -> Conditions:
        """With one more. port: it is about the port."""
        return Conditions(
            self.possible and (holds != NO or port),
            self.meant and holds != NO,
            self.sure and holds in (YES, NO),
            self.by_port or port,
            max(self.way, holds if holds in _WAYS else NO_WAY, key=_WAYS.index),
        )

    def both(self, other: Conditions) -> Conditions:
        """With those of another, which are asked as well."""
        return Conditions(
            self.possible and other.possible,
            self.meant and other.meant,
            self.sure and other.sure,
            self.by_port or other.by_port,
            max(self.way, other.way, key=_WAYS.index),
        )

    def anything(self) -> List[Effect]:
        """What a rule does whose verdict is not understood."""
        doubtful = self.also(DOUBT)
        return doubtful.effects(STOPS) + doubtful.effects(PASSES)

    def effects(self, kind: str) -> List[Effect]:
        """What the rule does whose verdict this is."""
        if not self.possible or (not self.meant and (kind == STOPS or (kind == RETURNS and not self.way))):
            return []
        return [Effect(kind if self.meant else OTHERS, self.sure, self.by_port, self.way)]


class Place(NamedTuple):
    """Where an opening may stand: before the rule ``first``, before ``last``, or between.

    shut: the port is stopped for everybody. by_way: but others are let out by the way they take. Where nothing is stopped for some,
    ``first`` is 0. doubt: something that is not understood may stop it; way_in_doubt: nothing but such lets others out by the way.
    """

    shut: bool
    by_way: bool
    first: int
    last: int
    doubt: bool = False
    way_in_doubt: bool = False

    def obstacle(self, at: int) -> str:
        """Why an opening before the rule ``at`` is out of the question, or none would help: for told(). Empty: it is not."""
        if not self.shut:
            return MAY_STOP if self.doubt else _FOR_SOME if self.first else ""
        if self.by_way:
            return _MAY_PASS if self.way_in_doubt else BY_WAY
        return "" if self.first <= at <= self.last else _MAY_FORBID if self.doubt else BANS


_FOR_SOME = "%s stops some on purpose, by address, user or interface, and is kept so: see whether that is in the way of TCP %s"
MAY_STOP = "%s may stop TCP %s: not all of its rules are understood here"
_MAY_PASS = "%s is kept shut for TCP %s: a rule that is not understood here may let some out on purpose, which an opening would get past"
BY_WAY = "%s is kept shut for TCP %s: it lets out by interface, user, mark or address, which an opening would get past"
_MAY_FORBID = "%s is kept shut for TCP %s: an opening would override what is not understood here"
BANS = "%s is kept shut for TCP %s: an opening would override what it forbids on purpose"


def find(effects: Iterable[Effect]) -> Place:
    """The place for an opening. The last effect is that of the end, where a connection comes that no rule is for."""
    shut, first, last, doubt = False, 0, 0, False
    passes, others = set(), set()
    for effect in effects:
        if effect.kind == OTHERS:
            if effect.sure or effect.way:
                others.add(effect.way)
        elif not effect.sure:
            if effect.kind == STOPS:
                first = max(first, effect.at + 1)
                doubt = doubt or effect.way == DOUBT
            else:
                passes.add(effect.way)
        elif effect.kind == PASSES:
            break
        else:
            if not shut:
                shut, last = True, effect.at
            if not effect.by_port:
                break
    # Who lets out by port for everybody, and one port more for a user, does not shut other ways; with paths there is no telling.
    by_way = bool(passes - {NO_WAY}) or PATH in others or (bool({MAKER, DOUBT} & others) and NO_WAY not in others)
    return Place(shut, by_way, first, last, doubt, by_way and (passes | others) <= {NO_WAY, DOUBT})


def inside(effects: Iterable[Effect], under: Conditions, stays: bool) -> List[Effect]:
    """The effects of a chain seen from the rule that leads there; stays: the packet does not come back."""
    found = []
    for effect in effects:
        seen = Effect(effect.kind, effect.sure and under.sure, effect.by_port or under.by_port, max(effect.way, under.way, key=_WAYS.index))
        if effect.kind != RETURNS or stays:
            found.append(seen)
        elif not effect.sure and seen.way:
            found.append(seen._replace(kind=PASSES))  # some are spared, by their way, what the rest of the chain does
        if effect.sure and (effect.kind in (PASSES, RETURNS) or (effect.kind == STOPS and not effect.by_port)):
            break
    return found


Openings = Sequence[Tuple[int, int]]
"""Ports that we opened, each with the number of the rule that ours stands before."""


def at_work(there: Openings, places: Dict[int, Place]) -> List[int]:
    """The ports that are open by us or anyhow."""
    return sorted({port for port, at in there if port not in places or not places[port].shut or at <= places[port].last})


def right(there: Openings, places: Dict[int, Place]) -> List[int]:
    """The ports that are open by us where they may be."""
    return sorted(port for port, at in there if port in places and places[port].shut and not places[port].obstacle(at))


def told(owner: str, obstacle: str, ports: Sequence[int]) -> str:
    """A clause for people. owner: whose rules they are, as ``the chain inet filter output``."""
    return obstacle % (owner, host.ports_text(ports))
