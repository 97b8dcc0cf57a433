# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""nftables: what a chain's rules do to a TCP connection that leaves for another machine.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union

from ansible_collections.msp.charter_mail.plugins.module_utils.egress_nft_rules import Chain, Key, Rule, Ruleset
from ansible_collections.msp.charter_mail.plugins.module_utils.egress_place import (
    MAKER,
    NO,
    PASSES,
    PATH,
    RETURNS,
    SOME,
    STOPS,
    YES,
    Conditions,
    Effect,
    inside,
)

# Statements that let a packet go on to the next one, and those that let some go on.
_HARMLESS = ("counter", "log", "mangle", "notrack", "set", "map", "ct helper", "ct timeout", "ct expectation", "secmark", "last", "dup")
_RATES = ("limit", "quota", "ct count", "meter")
# What a program behind a queue says cannot be known; it is asked, so it decides.
_VERDICTS = {"drop": STOPS, "reject": STOPS, "accept": PASSES, "queue": PASSES, "return": RETURNS}
_INTERFACES = ("oif", "oifname", "oiftype", "oifkind", "oifgroup")
_KNOWN = {("ct", "state"): "new", ("ct", "direction"): "original", ("fib", "type"): "unicast"}
_TCP = 6
_NOT_TCP = ("udp", "udplite", "icmp", "icmpv6", "igmp", "sctp", "dccp", "gre", "esp", "ah", "comp")


class Judge:
    """Follows a new TCP connection to ``port`` of another machine through a chain. Our own rules are taken to be absent.

    In a chain for both families it is IPv4: a machine without IPv6 sends its mail so, and who shuts IPv6 off as a whole does not stop
    mail, but shall not be overridden either.
    """

    def __init__(self, ruleset: Ruleset, port: int):
        self.ruleset = ruleset
        self.port = port
        self._known: Dict[Key, List[Effect]] = {}

    def effects(self, chain: Chain) -> List[Effect]:
        """What the base chain does, with the numbers of its rules as they are without ours."""
        rules = chain.others
        found = []
        for number, rule in enumerate(rules):
            found += [effect._replace(at=number) for effect in self._rule(rule, chain)]
        found.append(Effect(RETURNS, True, at=len(rules)))
        policy = STOPS if chain.policy == "drop" else PASSES
        return [effect._replace(kind=policy) if effect.kind == RETURNS else effect for effect in found]

    def _walk(self, chain: Chain) -> List[Effect]:
        if chain.key not in self._known:
            self._known[chain.key] = []  # the kernel takes no circles; a listing that has one must not keep us
            found = [effect for rule in chain.others for effect in self._rule(rule, chain)]
            # Once is enough of each, or chains that lead to each other many times would keep us.
            self._known[chain.key] = list(dict.fromkeys([*found, Effect(RETURNS, True)]))
        return self._known[chain.key]

    def _rule(self, rule: Rule, chain: Chain) -> List[Effect]:
        conditions = Conditions()
        for statement in rule.expr:
            name, body = next(iter(statement.items())) if isinstance(statement, dict) and len(statement) == 1 else ("", None)
            if name == "match" and isinstance(body, dict):
                left = body.get("left")
                conditions = conditions.also(self._holds(chain, left, str(body.get("op", "==")), body.get("right")), _is_port(left))
            elif name == "vmap" and isinstance(body, dict):
                return list(self._map(body, chain, conditions))
            elif name in _VERDICTS or name in ("jump", "goto"):
                return self._verdict(name, body, chain, conditions)
            elif name not in _HARMLESS:
                conditions = conditions.also(SOME if name in _RATES else MAKER)
        return []

    def _verdict(self, name: str, body: Any, chain: Chain, conditions: Conditions) -> List[Effect]:
        if name in _VERDICTS:
            return conditions.effects(_VERDICTS[name])
        if not conditions.meant:
            return conditions.effects(RETURNS)  # if somewhere there others are let out, that is by the way
        target = body.get("target") if isinstance(body, dict) else None
        there = self.ruleset.chains.get((chain.key[0], chain.key[1], str(target)))
        return inside(self._walk(there) if there is not None else [], conditions, stays=name == "goto")

    def _map(self, body: Dict[str, Any], chain: Chain, conditions: Conditions) -> Iterator[Effect]:
        key, data = body.get("key"), body.get("data")
        if isinstance(data, str):
            pairs = self.ruleset.sets.get((chain.key[0], chain.key[1], data[1:]))
        else:
            pairs = data.get("set") if isinstance(data, dict) else None
        if not isinstance(pairs, list):  # it may say anything
            pairs = [[None, {"accept": None}], [None, {"drop": None}]]
        elif isinstance(data, str) and not _is_port(key):  # a ban may come into it at any time
            pairs = [*pairs, [None, {"drop": None}]]
        left_over = True
        for pair in sorted(pairs, key=lambda pair: pair[:1] == ["*"] if isinstance(pair, list) else False):  # all the rest: last
            if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], dict) and len(pair[1]) == 1):
                continue
            holds = self._holds(chain, key, "==", pair[0]) if pair[0] != "*" else YES if left_over else NO
            left_over = left_over and holds != YES
            name, target = next(iter(pair[1].items()))
            yield from self._verdict(name, target, chain, conditions.also(holds, _is_port(key)))

    def _holds(self, chain: Chain, left: Any, op: str, right: Any) -> str:
        kind, body = next(iter(left.items())) if isinstance(left, dict) and len(left) == 1 else ("", None)
        if not isinstance(body, dict):
            return MAKER
        values = self._values(chain, right)
        if kind == "payload":
            return self._payload(chain, str(body.get("protocol")), str(body.get("field")), op, values)
        if kind == "meta":
            return self._meta(chain, str(body.get("key")), op, values)
        known = _KNOWN.get((kind, str(body.get("key", body.get("result")))))
        return _among((known,), op, values) if known and body.get("flags", ["daddr"]) == ["daddr"] else MAKER

    def _payload(self, chain: Chain, protocol: str, field: str, op: str, values: Optional[List[Any]]) -> str:
        if protocol in ("tcp", "th"):
            return _compare(self.port, op, values) if field == "dport" else SOME
        if (protocol, field) in (("ip", "protocol"), ("ip6", "nexthdr")):
            holds = _among(("tcp", _TCP), op, values)
            # A header that is not there cannot be asked: with IPv6 in a chain for both the rule is not for IPv4.
            return SOME if holds == YES and protocol == "ip6" and chain.key[0] == "inet" else holds
        if protocol in ("ip", "ip6"):
            return MAKER if field == "saddr" else PATH if field == "daddr" and op == "!=" else SOME
        return NO if protocol in _NOT_TCP else MAKER

    def _meta(self, chain: Chain, key: str, op: str, values: Optional[List[Any]]) -> str:
        if key == "l4proto":
            return _among(("tcp", _TCP), op, values)
        if key == "nfproto":
            own = {"ip": "ipv4", "ip6": "ipv6"}.get(chain.key[0])
            holds = _among((own or "ipv4",), op, values)
            return SOME if own is None and holds == NO else holds
        if key in _INTERFACES:
            # Loopback does not lead to another machine.
            return (YES if op == "!=" else NO) if values in (["lo"], ["loopback"]) else PATH
        if key in ("iif", "iifname") and values is not None:
            return YES if op == "!=" else NO  # what the machine sends has come in nowhere
        return MAKER

    def _values(self, chain: Chain, right: Any) -> Optional[List[Any]]:
        """What is compared with, as a flat list of words, numbers and (first, last); None when it is not understood."""
        if isinstance(right, str) and right.startswith("@"):
            right = self.ruleset.sets.get((chain.key[0], chain.key[1], right[1:]))
        if isinstance(right, dict) and isinstance(right.get("set"), (list, str, int)):
            right = right["set"]
        items = right if isinstance(right, list) else [right]
        values = [value_of(item) for item in items]
        return None if any(value is None for value in values) else values


def _is_port(left: Any) -> bool:
    payload = left.get("payload") if isinstance(left, dict) else None
    return isinstance(payload, dict) and payload.get("protocol") in ("tcp", "th") and payload.get("field") == "dport"


def value_of(item: Any) -> Union[str, int, Tuple[int, int], None]:
    """An element of a set; None when it is not understood."""
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
        return MAKER
    return YES if any(word in values for word in words) != (op == "!=") else NO


def _compare(port: int, op: str, values: Optional[List[Any]]) -> str:
    if values is None or any(isinstance(value, str) for value in values):
        return MAKER
    if op in ("==", "in", "!="):
        there = any(value[0] <= port <= value[1] if isinstance(value, tuple) else value == port for value in values)
        return YES if there != (op == "!=") else NO
    if len(values) == 1 and isinstance(values[0], int) and op in ("<", ">", "<=", ">="):
        other = values[0]
        return YES if {"<": port < other, ">": port > other, "<=": port <= other, ">=": port >= other}[op] else NO
    return MAKER
