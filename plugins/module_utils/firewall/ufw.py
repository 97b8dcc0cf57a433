# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""ufw: whether its rules stop outgoing TCP to a port, and a rule of ours among them, after every ban, that lets it through.

A packet passes before.rules, the rules that people give on the command line (user.rules), after.rules, and the default; ours is among
those in the middle. They are read from where ufw keeps them, for ``ufw show added`` does not tell the order of the IPv6 ones. Source of
the format and of what ``ufw insert`` does to both families: ufw, src/backend_iptables.py and src/frontend.py. Seen from ufw 0.36.2 (Debian
12 and 13).

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.host import COMMENT, Failed, Host, Openings, Plan, ports_text
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.place import (
    BANS,
    BY_WAY,
    at_work,
    right,
    told,
)
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.ufw_rules import (
    ANYWHERE,
    FROM_PORTS,
    PLACE,
    Family,
    Rule,
    ports_in,
    read_rules,
    read_status,
)

MAX_PORTS = 15  # of one rule; a limit of iptables' multiport


class Decision(NamedTuple):
    """What is to be done. ``commands``: of ufw, in this order."""

    restricted: bool
    before: Dict[str, List[int]]
    after: Dict[str, List[int]]
    notes: List[str]
    commands: List[List[str]]


def decide(outgoing: str, families: Sequence[Family], ports: Sequence[int], shut: Sequence[int]) -> Decision:
    """What is to be done so that those of ``ports`` are let through that are ``shut``, or that are open by us; our other rules go.

    outgoing: the default. families: IPv4 and IPv6. Mail that goes out by IPv4 goes out. Raises Failed.
    """
    four, six = families
    opened = {port for _unused, rule in four.ours for port in ports_in(rule.ports)}
    places = {port: four.place(outgoing, port) for port in ports}
    wanted: Dict[int, List[int]] = {}
    obstacles: Dict[str, List[int]] = {}
    for port, place in places.items():
        if port in shut or (place.shut and port in opened):
            obstacle = place.obstacle(place.last) or (_beside(six, outgoing, port, _twin(families, place.last)) if place.shut else "")
            if obstacle:
                obstacles.setdefault(obstacle, []).append(port)
            elif place.shut:
                wanted.setdefault(place.last, []).append(port)
    for some in wanted.values():
        if len(some) > MAX_PORTS:
            raise Failed("ufw takes at most %d ports in one rule, and %d are asked for" % (MAX_PORTS, len(some)))
    there = [(port, at) for at, rule in four.ours for port in ports_in(rule.ports)]
    before = {PLACE: at_work(there, places)} if at_work(there, places) else {}
    after = {PLACE: sorted(port for some in wanted.values() for port in some)} if wanted else {}
    notes = [told("ufw", obstacle, some) for obstacle, some in obstacles.items()]
    restricted = outgoing in ("deny", "reject") or any(place.shut for place in places.values()) or bool(notes)
    as_wanted = right(there, places) == sorted(port for port, _unused in there) == after.get(PLACE, [])
    if as_wanted and _all_well(six, outgoing, after.get(PLACE, [])):
        return Decision(restricted, before, after, notes, [])
    commands = []
    for rule in [rule for family in families for _unused, rule in family.ours]:
        if rule.delete not in commands:
            commands.append(rule.delete)
    for at, some in sorted(wanted.items(), reverse=True):  # the last first: the numbers of those before it stay
        place_words = ["insert", str(_number(four.others, at))] if at < len(four.others) else []
        numbers = ",".join(map(str, some))
        rule_words = ["allow", "out", "proto", "tcp", "from", "any", "port", FROM_PORTS, "to", "any", "port", numbers, "comment", COMMENT]
        commands.append(["ufw", *place_words, *rule_words])
    return Decision(restricted, before, after, notes, commands)


def _twin(families: Sequence[Family], at: int) -> int:
    """Where our rule comes among those for IPv6 when it is put before one for IPv4: before the same there, else at their end."""
    four, six = (family.others for family in families)
    if at < len(four):
        same = four[at]._replace(destination=ANYWHERE[1], source=ANYWHERE[1])
        if same in six:
            return six.index(same)
    return len(six)


def _beside(six: Family, outgoing: str, port: int, at: int) -> str:
    """Why ours cannot stand there among the rules for IPv6. Behind what stops everybody it does nothing, which is no matter."""
    place = six.place(outgoing, port)
    return BY_WAY if place.shut and place.by_way else BANS if at < place.first else ""


def _all_well(six: Family, outgoing: str, ports: List[int]) -> bool:
    """Do our rules for IPv6 open these ports and no others, and override nothing?"""
    there = [(port, at) for at, rule in six.ours for port in ports_in(rule.ports)]
    return sorted(port for port, _unused in there) in ([], ports) and not any(_beside(six, outgoing, port, at) for port, at in there)


def _number(rules: Sequence[Rule], at: int) -> int:
    """The number that ufw gives the rule: it counts the rules that come from one profile as one."""
    return 1 + len(
        {(rule.apps, rule.destination, rule.source, rule.way) if rule.apps else (number,) for number, rule in enumerate(rules[:at])}
    )


def plan(host: Host, ports: Sequence[int], shut: Sequence[int]) -> Optional[Plan]:
    """Look at the machine; None where ufw is missing. Raises Failed."""
    status_text = host.ask(("ufw", "status", "verbose"))
    if status_text is None:
        return None
    status = read_status(status_text)
    some = ports if status.active else []
    decision = decide(status.outgoing, _families(host), some, shut)
    steps: List[Callable[[], None]] = []
    if decision.commands:
        steps.append(lambda: _apply(host, decision, status.outgoing, some))
    before, after = Openings(decision.before, {}), Openings(decision.after, {})
    return Plan(status.active, status.active and decision.restricted, before, after, decision.notes, steps)


def _families(host: Host) -> List[Family]:
    def text(name: str) -> str:
        return (host.read("/etc/ufw/%s.rules" % name) or b"").decode("utf-8", "replace")

    return [Family(read_rules(text("user" + six)), "%s\n%s" % (text("before" + six), text("after" + six))) for six in ("", "6")]


def _apply(host: Host, decision: Decision, outgoing: str, ports: Sequence[int]) -> None:
    for command in decision.commands:
        host.do(command)
    families = _families(host)
    done = decide(outgoing, families, ports, [])
    if done.commands or done.before != decision.after:
        for words in {tuple(rule.delete) for family in families for _unused, rule in family.ours}:
            host.do(words)
        text = "ufw did not put our rule where it belongs, so it was taken out again; let TCP %s out by hand"
        raise Failed(text % ports_text(decision.after.get(PLACE, [])))
