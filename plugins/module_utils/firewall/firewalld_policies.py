# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""firewalld's policies as it says them, and what they do to a port. Runs on machines: Python 3.8, standard library only."""

from __future__ import annotations

import re
import shlex
from typing import Dict, List, NamedTuple, Sequence

from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.host import Failed
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.place import (
    DOUBT,
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

# Where the rules of a policy are, in their order; ours are among ALLOW.
FIRST, DENY, ALLOW, LAST, TARGET = range(5)


class Policy(NamedTuple):
    """One policy as ``firewall-cmd --list-all-policies`` prints it.

    ports: as written there (``587/tcp``, ``500-600/tcp``). allows: services and protocols. rich: rich rules.
    """

    active: bool
    target: str
    ingress: List[str]
    egress: List[str]
    ports: List[str]
    allows: List[str]
    rich: List[str]

    @property
    def outgoing(self) -> bool:
        """It is at work on what this machine sends."""
        return self.active and "HOST" in self.ingress and bool(self.egress)

    @property
    def restricting(self) -> bool:
        """It is, and stops what it does not name."""
        return self.outgoing and self.target in ("DROP", "REJECT")

    def opens(self, port: int) -> bool:
        """Is the port among those that are open?"""
        return any(_covers(entry, port) for entry in self.ports)

    def effects(self, port: int) -> List[Effect]:
        """What the policy does to a connection to the port of another machine, without its list of ports."""
        # A zone is a set of interfaces.
        all_ways = Conditions() if "ANY" in self.egress else Conditions().also(PATH)
        found = [effect for rule in self.rich for effect in _rich(rule, port, all_ways)]
        if self.allows or self.ports:
            found += [effect._replace(at=ALLOW) for effect in all_ways.also(NO, port=True).effects(PASSES)]
        kind = {"ACCEPT": PASSES, "DROP": STOPS, "REJECT": STOPS}.get(self.target)
        found += [effect._replace(at=TARGET) for effect in (all_ways.effects(kind) if kind else [])]
        return sorted(found, key=lambda effect: effect.at)

    def holds(self, port: int) -> bool:
        """Is the port there by itself, as we add it?"""
        return "%d/tcp" % port in self.ports


def _covers(entry: str, port: int) -> bool:
    found = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?/tcp", entry)
    return bool(found and int(found.group(1)) <= port <= int(found.group(2) or found.group(1)))


def _rich(rule: str, port: int, conditions: Conditions) -> List[Effect]:
    """What a rich rule does, as firewall-cmd prints it."""
    try:
        words = shlex.split(rule)
    except ValueError:
        return [Effect(STOPS, False, way=DOUBT, at=LAST)]
    # The first of a name: a limit has a value, too.
    said = {word.partition("=")[0]: word.partition("=")[2] for word in reversed(words) if "=" in word}
    action = next((word for word in words if word in ("accept", "drop", "reject")), "")
    if not action:
        return []
    if "source" in words:
        conditions = conditions.also(MAKER)
    if "NOT" in words:
        conditions = conditions.also(PATH)
    if said.get("family") == "ipv6" or {"destination", "limit", "source-port"} & set(words):
        conditions = conditions.also(SOME)
    if "port" in words:
        conditions = conditions.also(YES if _covers("%s/%s" % (said.get("port"), said.get("protocol")), port) else NO, port=True)
    elif "protocol" in words:
        conditions = conditions.also(YES if said.get("value") in ("tcp", "6") else NO)
    elif "service" in words:
        conditions = conditions.also(SOME)  # its ports are not looked up
    elif "icmp-type" in words or "icmp-block" in words:
        conditions = conditions.also(NO)
    priority = int(said["priority"]) if re.fullmatch("-?[0-9]+", said.get("priority", "")) else 0
    at = FIRST if priority < 0 else LAST if priority > 0 else ALLOW if action == "accept" else DENY
    return [effect._replace(at=at) for effect in conditions.effects(PASSES if action == "accept" else STOPS)]


def place(policies: Dict[str, Policy], name: str, port: int) -> Place:
    """Where in the policy a port may be let out: within it from FIRST to TARGET."""
    # Where another policy lets out by the way, this one shuts the other ways.
    others = [policy for other, policy in policies.items() if other != name and policy.outgoing]
    by_way = [effect for policy in others for effect in policy.effects(port) if effect.way and effect.kind != STOPS]
    return find([*by_way, *policies[name].effects(port)])


def read_policies(text: str, active: Sequence[str] = ()) -> Dict[str, Policy]:
    """Understand ``firewall-cmd --list-all-policies``, with or without ``--permanent``. Raises Failed.

    active: the names from :func:`read_active`. The word behind a name in the list says nothing: 1.3.3 puts it to all.
    """
    found: Dict[str, Dict[str, str]] = {}
    current: Dict[str, str] = {}
    rich: Dict[str, List[str]] = {}
    rules: List[str] = []
    for line in text.splitlines():
        head = re.fullmatch(r"([^\s:]+)(?: \([^()]*\))?", line)
        if head:
            current = found.setdefault(head.group(1), {})
            rules = rich.setdefault(head.group(1), [])
        elif re.match(r"  [a-z-]", line):
            key, _unused, value = line.strip().partition(":")
            current[key] = value.strip()
        elif line.strip().startswith("rule "):
            rules.append(line.strip())
    policies = {}
    for name, keys in found.items():
        if "target" not in keys:
            raise Failed("firewall-cmd lists the policies in a form that is not understood here, so they were left alone")
        ingress, egress, ports = (keys.get(key, "").split() for key in ("ingress-zones", "egress-zones", "ports"))
        allows = [*keys.get("services", "").split(), *keys.get("protocols", "").split()]
        policies[name] = Policy(name in active, keys["target"], ingress, egress, ports, allows, rich[name])
    return policies


def read_active(text: str) -> List[str]:
    """Names of policies in what ``firewall-cmd --get-active-policies`` prints, each with its zones below it."""
    return re.findall(r"^([^\s:]+)$", text, re.MULTILINE)
