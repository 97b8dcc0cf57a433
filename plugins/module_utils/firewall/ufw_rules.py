# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""ufw's rules as they are read: of what ufw says, and of its framework files. Runs on machines: Python 3.8, standard library only."""

from __future__ import annotations

import re
import shlex
from typing import List, NamedTuple, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.host import COMMENT, Failed
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.place import (
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
    find,
)

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
            conditions = conditions.also(YES if port in ports_in(self.ports) else NO, port=True)
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


def ports_in(ports: str) -> List[int]:
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
        return MAKER if re.search("[a-z]", value) else YES if port in ports_in(value) else NO
    if option in ("--ctstate", "--state"):
        return YES if "NEW" in value.split(",") else NO
    return SOME if option in ("-d", "--destination", "--dst", "--limit", "--limit-burst") else MAKER
