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

import re
import shlex
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.host import COMMENT, Failed, Host, Openings, Plan, ports_text
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.place import (
    BANS,
    BY_WAY,
    MAKER,
    NO,
    PASSES,
    PATH,
    SOME,
    STOPS,
    YES,
    Conditions,
    Effect,
    Place,
    at_work,
    find,
    right,
    told,
)

MAX_PORTS = 15  # of one rule; a limit of iptables' multiport

PLACE = "user rules"
"""They work at once and last."""

ANYWHERE = ("0.0.0.0/0", "::/0")
# All ports, said so that the rule is not taken for one of somebody else's: ufw has no two that differ in what they do alone.
FROM_PORTS = "1:65535"


class Rule(NamedTuple):
    """A rule of user.rules, as its tuple there has it. apps: profiles; way: out, in, out_eth0 ..."""

    action: str
    proto: str
    ports: str
    destination: str
    source_ports: str
    source: str
    apps: Tuple[str, ...]
    way: str
    comment: str

    @property
    def ours(self) -> bool:
        """It is the rule that we make."""
        return self.action == "allow" and self.comment == COMMENT and (self.way + "_").startswith("out_")

    def effects(self, port: int) -> List[Effect]:
        """What it does to a connection to the port of another machine."""
        action, direction = self.action.partition("_")[0], self.way.partition("_")
        if direction[0] != "out" or ":" in action or self.proto not in ("any", "tcp"):
            return []
        conditions = Conditions()
        if direction[2]:
            conditions = conditions.also(NO if direction[2] == "lo" else PATH)
        if self.destination not in ANYWHERE:
            conditions = conditions.also(SOME)
        if self.source not in ANYWHERE:
            conditions = conditions.also(MAKER)
        if self.source_ports not in ("any", FROM_PORTS):
            conditions = conditions.also(SOME)
        if self.ports != "any":
            conditions = conditions.also(YES if port in _numbers(self.ports) else NO, port=True)
        return conditions.effects(STOPS if action in ("deny", "reject") else PASSES)

    @property
    def delete(self) -> List[str]:
        """The command that takes it out."""
        words = ["ufw", "delete", "allow", "out"]
        interface = self.way.partition("_")[2]
        for word, value in (("on", interface), ("proto", self.proto), ("from", self.source), ("port", self.source_ports)):
            words += [word, "any" if value in ANYWHERE else value] if value and (value != "any" or word == "from") else []
        words += ["to", "any" if self.destination in ANYWHERE else self.destination]
        return words + (["port", self.ports] if self.ports != "any" else [])


class Family(NamedTuple):
    """The rules for IPv4 or IPv6. framework: before.rules and after.rules."""

    rules: List[Rule]
    framework: str

    @property
    def others(self) -> List[Rule]:
        """The rules without ours."""
        return [rule for rule in self.rules if not rule.ours]

    @property
    def ours(self) -> List[Tuple[int, Rule]]:
        """Our rules, each with the number that the next of the others has among those."""
        numbers = [number for number, rule in enumerate(self.rules) if rule.ours]
        return [(number - before, self.rules[number]) for before, number in enumerate(numbers)]

    def place(self, outgoing: str, port: int) -> Place:
        """Where among the others ours may stand. outgoing: the default."""
        others = self.others
        effects = [effect._replace(at=-1) for effect in in_framework(self.framework, "-I OUTPUT|-[AI] ufw6?-before-output", port)]
        for number, rule in enumerate(others):
            effects += [effect._replace(at=number) for effect in rule.effects(port)]
        end = len(others)
        effects += [effect._replace(at=end) for effect in in_framework(self.framework, "-A OUTPUT|-[AI] ufw6?-after-output", port)]
        return find([*effects, Effect(STOPS if outgoing in ("deny", "reject") else PASSES, True, at=end)])


class Status(NamedTuple):
    """active, and what becomes of outgoing connections that no rule is for: allow, deny or reject."""

    active: bool
    outgoing: str


def read_status(text: str) -> Status:
    """Understand ``ufw status verbose``. Raises Failed."""
    state = re.search(r"^Status: (\w+)$", text, re.MULTILINE)
    if state is None or state.group(1) not in ("active", "inactive"):
        raise Failed("ufw does not say whether it is active, so it was left alone")
    outgoing = re.search(r"^Default: .*\b(\w+) \(outgoing\)", text, re.MULTILINE)
    if state.group(1) == "active" and outgoing is None:
        raise Failed("ufw does not say what it does with outgoing connections, so it was left alone")
    return Status(state.group(1) == "active", outgoing.group(1) if outgoing else "allow")


def read_rules(text: str) -> List[Rule]:
    """The rules in user.rules or user6.rules. Raises Failed."""
    rules = []
    for line in text.splitlines():
        found = re.fullmatch(r"### tuple ###\s+(.*?)(?: comment=([0-9a-f]*))?\s*", line)
        if not found:
            continue
        words = found.group(1).split()
        if not 6 <= len(words) <= 9:
            raise Failed("ufw keeps its rules in a form that is not understood here, so they were left alone")
        action, proto, ports, destination, source_ports, source, *rest = words
        way = rest.pop() if len(rest) % 2 else "in"
        comment = bytes.fromhex(found.group(2) or "").decode("utf-8", "replace")
        rules.append(Rule(action, proto, ports, destination, source_ports, source, tuple(rest), way, comment))
    return rules


def _numbers(ports: str) -> List[int]:
    found: List[int] = []
    for part in ports.split(","):
        first, _unused, last = part.partition(":")
        if first.isdecimal() and len(first) < 6 and (not last or (last.isdecimal() and len(last) < 6)):
            found.extend(range(int(first), int(last or first) + 1))
    return found


def in_framework(text: str, heads: str, port: int) -> List[Effect]:
    """What the lines that begin so in before.rules or after.rules (iptables-restore's format) do to a connection to the port."""
    effects: List[Effect] = []
    table = ""
    for line in text.splitlines():
        table = line.strip() if line.startswith("*") else table
        head = re.match("(?:%s)\\s" % heads, line)
        if head and table == "*filter":
            try:
                effects += _iptables(shlex.split(line[head.end() :]), port)
            except ValueError:
                effects += _UNKNOWN
    return effects


_UNKNOWN = Conditions().anything()
# Options of iptables that say nothing of the connection, and targets after which it goes on.
_MUTE = ("-m", "--match", "--log-prefix", "--log-level", "--reject-with", "--comment", "--syn")
_HARMLESS = ("LOG", "NFLOG", "ufw-logging-deny", "ufw-logging-allow", "ufw6-logging-deny", "ufw6-logging-allow", "ufw-user-output")
_TARGETS = {"ACCEPT": PASSES, "DROP": STOPS, "REJECT": STOPS}


def _iptables(words: List[str], port: int) -> List[Effect]:
    """What one rule of iptables does."""
    conditions, target, negated = Conditions(), "", False
    while words:
        option = words.pop(0)
        values = []
        while words and words[0] != "!" and not words[0].startswith("-"):
            values.append(words.pop(0))
        value = values[0] if values else ""
        if option in ("-j", "--jump", "-g", "--goto"):
            target = value
        elif option == "!":
            negated = True
            continue
        elif option not in _MUTE:
            holds = _option(option, value, port)
            holds = {YES: NO, NO: YES, SOME: PATH}.get(holds, holds) if negated else holds
            conditions = conditions.also(holds, option in _PORTS)
        negated = False
    if target in _TARGETS:
        return conditions.effects(_TARGETS[target])
    # A chain of somebody's own is not looked into: it may do anything.
    return [] if target in _HARMLESS or not conditions.effects(PASSES) else _UNKNOWN


_PORTS = ("--dport", "--dports", "--destination-port", "--destination-ports")


def _option(option: str, value: str, port: int) -> str:
    if option in ("-p", "--protocol"):
        return YES if value in ("tcp", "6", "all") else NO
    if option in ("-o", "--out-interface"):
        return NO if value == "lo" else PATH
    if option in _PORTS:
        return MAKER if re.search("[a-z]", value) else YES if port in _numbers(value) else NO
    if option in ("--ctstate", "--state"):
        return YES if "NEW" in value.split(",") else NO
    return SOME if option in ("-d", "--destination", "--dst", "--limit", "--limit-burst") else MAKER


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
    opened = {port for _unused, rule in four.ours for port in _numbers(rule.ports)}
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
    there = [(port, at) for at, rule in four.ours for port in _numbers(rule.ports)]
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
    there = [(port, at) for at, rule in six.ours for port in _numbers(rule.ports)]
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
