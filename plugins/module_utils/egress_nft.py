# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""nftables: which output chains stop outgoing TCP to a port, and one rule at their front that lets it through.

Format: libnftables-json(5). Seen from nft 1.0.6 (Debian 12) and 1.1.3 (Debian 13).

Only base chains of type filter on the output hook of the families ip, ip6 and inet are looked at, so no input chain is ever
changed. A chain is judged by following a new TCP connection that leaves for another machine through its rules, see `Judge`.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple, Union

from ansible_collections.msp.charter_mail.plugins.module_utils import egress_host
from ansible_collections.msp.charter_mail.plugins.module_utils.egress_host import Failed, Host, Openings, Plan

COMMENT = "charter-mail"
"""Tells our rule from everybody else's."""

UNIT = "charter-mail-egress.service"
_UNIT_PATH = "/etc/systemd/system/" + UNIT
_LIST = ("nft", "--json", "list", "ruleset")
_LOAD = ("nft", "--json", "--file", "-")

# nftables.service reads its file anew when the machine starts, and when it is reloaded or restarted: the unit goes along.
_INSERT = "/usr/sbin/nft insert rule %s tcp dport %s accept comment " + COMMENT
_UNIT_TEXT = """\
# Managed by charter-mail; changes are overwritten.
[Unit]
Description=Let outgoing mail through nftables
After=nftables.service
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
%s
%s

[Install]
WantedBy=nftables.service
"""

_FAMILIES = ("ip", "ip6", "inet")
# Names iptables-nft gives its tables and chain. Source: iptables, iptables/nft.c (xtables_ipv4); seen on 1.8.9 and 1.8.11. ufw works
# through iptables, so its chains are behind the same one.
_IPTABLES = ("filter", "mangle", "raw", "security", "nat")
_IPTABLES_CHAIN = "OUTPUT"

Key = Tuple[str, str, str]
"""Family, table and name of a chain."""


class Rule(NamedTuple):
    """One rule; ``handle`` is its number in the kernel, ``expr`` its statements in order."""

    handle: int
    comment: str
    expr: List[Any]


class Chain(NamedTuple):
    """One chain. ``output``: a base chain of type filter on the output hook; ``policy`` is what it does at its end."""

    key: Key
    output: bool
    policy: str
    rules: List[Rule]

    @property
    def name(self) -> str:
        return " ".join(self.key)


class Ruleset(NamedTuple):
    """What ``nft --json list ruleset`` says. ``sets``: elements of named sets. ``flags``: those of tables."""

    chains: Dict[Key, Chain]
    sets: Dict[Key, List[Any]]
    flags: Dict[Tuple[str, str], Set[str]]

    def outputs(self) -> List[Chain]:
        """The chains that outgoing packets pass, in the order they are listed."""
        found = [chain for chain in self.chains.values() if chain.output and chain.key[0] in _FAMILIES]
        return [chain for chain in found if "dormant" not in self.flags.get(chain.key[:2], ())]

    def keeper(self, chain: Chain) -> str:
        """Whose chain it is when it is another program's, who would lose or overwrite our rule; else empty."""
        family, table, name = chain.key
        if table == "firewalld" or table.startswith("firewalld_"):
            return "firewalld"
        if family in ("ip", "ip6") and table in _IPTABLES and name == _IPTABLES_CHAIN:
            return "iptables"
        # nft 1.0.6 prints the table's name for its flags: then it may be an owner's. "persist" comes with "owner".
        if self.flags.get(chain.key[:2]):
            return "the program that owns it"
        return ""


def read(text: str) -> Ruleset:
    """Understand ``nft --json list ruleset``. Raises Failed."""
    ruleset = Ruleset({}, {}, {})
    try:
        data = json.loads(text)
        for item in data["nftables"]:
            for kind, body in item.items():
                if kind == "table":
                    flags = body.get("flags", [])
                    ruleset.flags[_text(body, "family"), _text(body, "name")] = set([flags] if isinstance(flags, str) else flags)
                elif kind == "set":
                    ruleset.sets[_text(body, "family"), _text(body, "table"), _text(body, "name")] = list(body.get("elem", []))
                elif kind == "chain":
                    chain = _chain(body)
                    ruleset.chains[chain.key] = chain
        for item in data["nftables"]:  # a rule may be listed before its chain
            if "rule" in item:
                body = item["rule"]
                key = _text(body, "family"), _text(body, "table"), _text(body, "chain")
                ruleset.chains[key].rules.append(_rule(body))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Failed("nft lists the rules in a form that is not understood here, so they were left alone") from None
    return ruleset


def _chain(body: Dict[str, Any]) -> Chain:
    key = _text(body, "family"), _text(body, "table"), _text(body, "name")
    output = body.get("type") == "filter" and body.get("hook") == "output"
    return Chain(key, output, str(body.get("policy", "accept")), [])


def _rule(body: Dict[str, Any]) -> Rule:
    handle, comment, expr = body["handle"], body.get("comment", ""), body["expr"]
    if not (isinstance(handle, int) and isinstance(comment, str) and isinstance(expr, list)):
        raise TypeError
    return Rule(handle, comment, expr)


def _text(body: Dict[str, Any], name: str) -> str:
    value = body[name]
    if not isinstance(value, str):
        raise TypeError
    return value


# How far a condition holds for the connection that is followed.
YES = "yes"
SOME = "some"  # in the usual case, or for one way out of several: a drop counts, an accept does not
NO = "no"  # or in a special case alone, or it is not understood: the rule does not count

PASSED, STOPPED = "passed", "stopped"

# Statements that let a packet go on to the next one.
_HARMLESS = ("counter", "log", "mangle", "notrack", "set", "map", "ct helper", "ct timeout", "ct expectation", "secmark", "last")
_TCP = 6


class Judge:
    """Follows a new TCP connection to ``port`` of another machine through a chain.

    A rule counts when its conditions say nothing of the connection but protocol, port, state and interface. A rule for one
    address, one user, one mark is somebody's special case: it neither opens nor closes the port for people.
    ``ours``: whether our own rule is taken to be there.
    """

    def __init__(self, ruleset: Ruleset, port: int, ours: bool):
        self.ruleset = ruleset
        self.port = port
        self.ours = ours
        self._known: Dict[Key, Optional[str]] = {}

    def stops(self, chain: Chain) -> bool:
        """Does the base chain stop the connection?"""
        return (self._walk(chain) or (STOPPED if chain.policy == "drop" else PASSED)) == STOPPED

    def _walk(self, chain: Chain) -> Optional[str]:
        """PASSED or STOPPED; None when the packet comes to the end of the chain, or back from it."""
        if chain.key not in self._known:
            self._known[chain.key] = None  # the kernel takes no circles; a listing that has one must not keep us
            for rule in chain.rules:
                if rule.comment == COMMENT and not self.ours:
                    continue
                outcome, ends = self._rule(rule, chain)
                if ends:
                    self._known[chain.key] = outcome
                    break
        return self._known[chain.key]

    def _rule(self, rule: Rule, chain: Chain) -> Tuple[Optional[str], bool]:
        """What becomes of the packet, and whether that is the end of its way through this chain."""
        certain = True
        for statement in rule.expr:
            name, body = next(iter(statement.items())) if isinstance(statement, dict) and len(statement) == 1 else ("", None)
            if name == "match" and isinstance(body, dict):
                holds = self._holds(chain, body.get("left"), str(body.get("op", "==")), body.get("right"))
                if holds == NO:
                    return None, False
                certain = certain and holds == YES
            elif name == "vmap" and isinstance(body, dict):
                return self._map(body, chain, certain)
            elif name not in _HARMLESS:
                return self._verdict(name, body, chain, certain)
        return None, False

    def _verdict(self, name: str, body: Any, chain: Chain, certain: bool) -> Tuple[Optional[str], bool]:
        if name in ("drop", "reject"):
            return STOPPED, True
        if name in ("accept", "queue"):  # what a program behind a queue says cannot be known; it is asked, so it decides
            return PASSED, certain
        if name == "return":
            return None, certain
        if name in ("jump", "goto") and isinstance(body, dict):
            target = self.ruleset.chains.get((chain.key[0], chain.key[1], str(body.get("target"))))
            outcome = self._walk(target) if target is not None else None
            if outcome == STOPPED:
                return STOPPED, True
            return outcome, certain and (outcome is not None or name == "goto")
        return None, False

    def _map(self, body: Dict[str, Any], chain: Chain, certain: bool) -> Tuple[Optional[str], bool]:
        data = body.get("data")
        pairs = data.get("set") if isinstance(data, dict) else None
        for pair in pairs if isinstance(pairs, list) else []:
            if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], dict) and len(pair[1]) == 1):
                continue
            holds = self._holds(chain, body.get("key"), "==", pair[0])
            if holds in (YES, SOME):
                name, target = next(iter(pair[1].items()))
                outcome, ends = self._verdict(name, target, chain, certain and holds == YES)
                if ends or holds == YES:
                    return outcome, ends
        return None, False

    def _holds(self, chain: Chain, left: Any, op: str, right: Any) -> str:
        if not (isinstance(left, dict) and len(left) == 1):
            return NO
        kind, body = next(iter(left.items()))
        if not isinstance(body, dict):
            return NO
        values = self._values(chain, right)
        if kind == "payload":
            return self._payload(chain, str(body.get("protocol")), str(body.get("field")), op, values)
        if kind == "meta":
            return self._meta(chain, str(body.get("key")), op, values)
        if kind == "ct" and body.get("key") == "state":
            return _among(("new",), op, values)
        return NO

    def _payload(self, chain: Chain, protocol: str, field: str, op: str, values: Optional[List[Any]]) -> str:
        if protocol in ("tcp", "th"):
            return _compare(self.port, op, values) if field == "dport" else NO
        if protocol == "ip6" and chain.key[0] != "ip6":
            return NO  # see _version
        if (protocol, field) in (("ip", "protocol"), ("ip6", "nexthdr")):
            holds = _among(("tcp", _TCP), op, values)
            return SOME if holds == YES and chain.key[0] == "inet" else holds
        # "All but our relay" is the usual case, "this address" a special one.
        return SOME if field == "daddr" and op == "!=" else NO

    def _meta(self, chain: Chain, key: str, op: str, values: Optional[List[Any]]) -> str:
        if key == "l4proto":
            return _among(("tcp", _TCP), op, values)
        if key == "nfproto":
            return self._version(chain, op, values)
        if key in ("oif", "oifname") and values is not None:
            if values == ["lo"]:
                return YES if op == "!=" else NO
            return SOME
        return SOME if key in ("skuid", "skgid") and op == "!=" else NO

    def _version(self, chain: Chain, op: str, values: Optional[List[Any]]) -> str:
        if chain.key[0] != "inet":
            return _among(("ipv4" if chain.key[0] == "ip" else "ipv6",), op, values)
        # A machine without IPv6 sends its mail by IPv4: who shuts IPv6 off as a whole does not stop mail.
        return SOME if _among(("ipv4",), op, values) == YES else NO

    def _values(self, chain: Chain, right: Any) -> Optional[List[Any]]:
        """What is compared with, as a flat list of words, numbers and (first, last); None when it is not understood."""
        if isinstance(right, str) and right.startswith("@"):
            right = self.ruleset.sets.get((chain.key[0], chain.key[1], right[1:]))
        if isinstance(right, dict) and isinstance(right.get("set"), (list, str, int)):
            right = right["set"]
        items = right if isinstance(right, list) else [right]
        values = [_value(item) for item in items]
        return None if any(value is None for value in values) else values


def _value(item: Any) -> Union[str, int, Tuple[int, int], None]:
    if isinstance(item, dict) and isinstance(item.get("elem"), dict):  # an element with a comment, a counter or a timeout
        item = item["elem"].get("val")
    if isinstance(item, (str, int)):
        return item
    if isinstance(item, dict) and isinstance(item.get("range"), list) and len(item["range"]) == 2:
        first, last = item["range"]
        if isinstance(first, int) and isinstance(last, int):
            return first, last
    return None


def _among(words: Sequence[Union[str, int]], op: str, values: Optional[List[Any]]) -> str:
    if values is None or op not in ("==", "in", "!="):
        return NO
    return YES if any(word in values for word in words) != (op == "!=") else NO


def _compare(port: int, op: str, values: Optional[List[Any]]) -> str:
    if values is None or any(isinstance(value, str) for value in values):
        return NO
    if op in ("==", "in", "!="):
        there = any(value[0] <= port <= value[1] if isinstance(value, tuple) else value == port for value in values)
        return YES if there != (op == "!=") else NO
    if len(values) == 1 and isinstance(values[0], int) and op in ("<", ">", "<=", ">="):
        other = values[0]
        return YES if {"<": port < other, ">": port > other, "<=": port <= other, ">=": port >= other}[op] else NO
    return NO


def our_ports(rule: Rule) -> List[int]:
    """The ports our rule opens; none when it is not in the form we write."""
    try:
        match, accept = rule.expr
        left, right = match["match"]["left"], match["match"]["right"]
        if left != {"payload": {"protocol": "tcp", "field": "dport"}} or match["match"]["op"] != "==" or "accept" not in accept:
            return []
        items = right["set"] if isinstance(right, dict) and "set" in right else [right]
        found: Set[int] = set()
        for item in items:
            value = _value(item)
            if isinstance(value, tuple):
                found.update(range(max(value[0], 0), min(value[1], 65535) + 1))
            elif isinstance(value, int):
                found.add(value)
        return sorted(found)
    except (ValueError, KeyError, TypeError):
        return []


class Decision(NamedTuple):
    """What is to be done. ``commands``: libnftables-json, one transaction; ``chains``: those that need our rule."""

    restricted: bool
    before: Dict[str, List[int]]
    after: Dict[str, List[int]]
    notes: List[str]
    commands: List[Dict[str, Any]]
    chains: List[Key]


def decide(ruleset: Ruleset, ports: Sequence[int]) -> Decision:
    """What is to be done so that outgoing TCP to exactly ``ports`` is let through; none: our rules go."""
    decision = Decision(any(chain.policy == "drop" for chain in ruleset.outputs()), {}, {}, [], [], [])
    restricted = decision.restricted
    for chain in ruleset.outputs():
        shut = [port for port in ports if Judge(ruleset, port, ours=False).stops(chain)]
        restricted = restricted or bool(shut)
        keeper = ruleset.keeper(chain)
        if keeper:
            if shut:
                text = "the chain %s is left to %s, let TCP %s out there by hand"
                decision.notes.append(text % (chain.name, keeper, egress_host.ports_text(shut)))
            continue
        wanted = list(ports) if shut else []
        if wanted:
            decision.chains.append(chain.key)
        _settle(ruleset, chain, wanted, decision)
    return decision._replace(restricted=restricted)


def _settle(ruleset: Ruleset, chain: Chain, wanted: List[int], decision: Decision) -> None:
    ours = [rule for rule in chain.rules if rule.comment == COMMENT]
    effective = [port for rule in ours for port in our_ports(rule) if not Judge(ruleset, port, ours=True).stops(chain)]
    if effective:
        decision.before[chain.name] = sorted(set(effective))
    if wanted:
        decision.after[chain.name] = wanted
    if len(ours) == 1 and our_ports(ours[0]) == wanted == effective:
        return
    family, table, name = chain.key
    where = {"family": family, "table": table, "chain": name}
    if wanted:
        expr = [{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": _operand(wanted)}}]
        decision.commands.append({"insert": {"rule": dict(where, expr=expr + [{"accept": None}], comment=COMMENT)}})
    decision.commands.extend({"delete": {"rule": dict(where, handle=rule.handle)}} for rule in ours)


def _operand(ports: List[int]) -> Any:
    return ports[0] if len(ports) == 1 else {"set": ports}


def unit(chains: Sequence[Key], ports: Sequence[int]) -> bytes:
    """The unit that puts our rules back after nftables.service has loaded its file; empty when there is nothing to put back.

    A chain whose name cannot be written in /etc/nftables.conf is none of that file's. The minus: a chain that is gone from
    the file must not keep the others from their rule, nor leave a failed unit.
    """
    operand = str(ports[0]) if len(ports) == 1 else "{ %s }" % ", ".join(map(str, ports))
    plain = [" ".join(key) for key in chains if all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", part) for part in key)]
    lines = [_INSERT % (name, operand) for name in plain]
    if not lines:
        return b""
    starts = "\n".join("ExecStart=-" + line for line in lines)
    reloads = "\n".join("ExecReload=-" + line for line in lines)
    return (_UNIT_TEXT % (starts, reloads)).encode("ascii")


def unit_openings(content: bytes) -> Dict[str, List[int]]:
    """What a unit opens, by chain."""
    text = content.decode("utf-8", "replace")
    found = re.findall(r"^ExecStart=.* insert rule (.+) tcp dport ([{}0-9, ]+) accept", text, re.MULTILINE)
    return {name: sorted({int(word) for word in re.findall(r"[0-9]{1,5}", operand)}) for name, operand in found}


def plan(host: Host, ports: Sequence[int]) -> Optional[Plan]:
    """Look at the machine; None where nft is missing. Raises Failed."""
    answer = host.ask(_LIST)
    if answer is None:
        return None
    ruleset = read(answer)
    decision = decide(ruleset, ports)
    loader = _properties(host, "nftables.service")
    wanted = unit(decision.chains, ports) if "active" in loader or "enabled" in loader else b""
    found = host.read(_UNIT_PATH) or b""
    state = _properties(host, UNIT) if wanted and wanted == found else ()
    before = Openings(decision.before, unit_openings(found))
    after = Openings(decision.after, unit_openings(wanted))
    steps: List[Callable[[], None]] = []
    if wanted and not ("active" in state and "enabled" in state):
        steps.append(lambda: _install(host, wanted))
        # Starting the unit puts rules in: only then it is known what is still to be done.
        steps.append(lambda: _load(host, decide(read(host.ask(_LIST) or ""), ports).commands))
    else:
        if found and not wanted:
            steps.append(lambda: _uninstall(host))
        if decision.commands:
            steps.append(lambda: _load(host, decision.commands))
    return Plan(bool(ruleset.outputs()), decision.restricted, before, after, decision.notes, steps)


def _properties(host: Host, name: str) -> Tuple[str, ...]:
    """ActiveState and UnitFileState of a unit; nothing where systemd is not at work."""
    code, out, _err = host.run(("systemctl", "show", "--property=ActiveState,UnitFileState", name), "")
    return () if code else tuple(line.partition("=")[2] for line in out.splitlines())


def _install(host: Host, content: bytes) -> None:
    host.write(_UNIT_PATH, content, 0o644)
    host.do(("systemctl", "daemon-reload"))
    host.do(("systemctl", "enable", "--now", UNIT))


def _uninstall(host: Host) -> None:
    host.do(("systemctl", "disable", "--now", UNIT))
    host.write(_UNIT_PATH, None)
    host.do(("systemctl", "daemon-reload"))


def _load(host: Host, commands: List[Dict[str, Any]]) -> None:
    if commands:
        host.do(_LOAD, json.dumps({"nftables": commands}))
