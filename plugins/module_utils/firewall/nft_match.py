# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""nftables: how far what a rule asks holds for a TCP connection that leaves for another machine.

YES and NO are answers that were proved. Whatever is not understood is DOUBT, never NO.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

from typing import Any, List, Optional, Sequence, Tuple, Union

from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.nft_rules import Chain, Ruleset, one
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.place import DOUBT, MAKER, NO, PATH, SOME, YES, Conditions

Value = Union[str, int, Tuple[int, int]]

_INTERFACES = ("oif", "oifname", "oiftype", "oifkind", "oifgroup")
_MAKERS = ("skuid", "skgid", "mark", "cgroup")
_TCP = ("tcp", 6)
_NOT_TCP = ("udp", "udplite", "icmp", "icmpv6", "igmp", "sctp", "dccp", "gre", "esp", "ah", "comp")
# Each inner list has the names of one thing; several: it may be any of them. The route to another machine is not always the one that fib
# finds, which looks at no mark unless it is told to.
_TYPES = (["unicast"], ["blackhole"], ["unreachable"], ["prohibit"], ["throw"], ["nat"], ["unspec"])
_KNOWN = {("ct", "direction"): (["original"],), ("fib", "type"): _TYPES}
# What an element of a set may have besides its value without asking more of the packet.
_MUTE = ("val", "comment", "counter", "timeout", "expires", "last")


class Match:
    """Answers for a new TCP connection to ``port`` of another machine. untracked: a rule may keep it from being tracked."""

    def __init__(self, ruleset: Ruleset, port: int, untracked: bool):
        self.ruleset = ruleset
        self.port = port
        self.states = (["new"], ["untracked"]) if untracked else (["new"],)

    def alternatives(self, chain: Chain, left: Any, op: str, right: Any) -> List[Conditions]:
        """What is asked of the connection; several: one of these. None of them is left out but those that ask nothing new."""
        if fields(left) is None:
            return [Conditions().also(self._holds(chain, left, op, self._values(chain, right)), is_port(left))]
        elements = self._elements(chain, right)
        if elements is None or op not in ("==", "in", "!="):
            return [Conditions().also(DOUBT, is_port(left))]
        found = list(dict.fromkeys(self.element(chain, left, element) for element in elements))
        met = [each for each in found if each.meant]
        certain = [each for each in met if each.sure]
        if op == "!=":
            # All but some: as with addresses that are excepted, others are kept in on purpose.
            unsure = DOUBT if any(each.way == DOUBT for each in met) else PATH
            return [Conditions().also(NO if certain else unsure if met else YES, is_port(left))]
        if not found:
            return [Conditions().also(NO, is_port(left))]
        return certain[:1] + [each for each in found if not each.meant] if certain else found

    def element(self, chain: Chain, left: Any, value: Any) -> Conditions:
        """What it takes to be this element of a set or map."""
        parts = fields(left)
        if parts is None:
            return Conditions().also(self._holds(chain, left, "==", self._values(chain, value)), is_port(left))
        name, values = one(_bare(value))
        if name != "concat" or not isinstance(values, list) or len(values) != len(parts):
            return Conditions().also(DOUBT, is_port(left))
        found = Conditions()
        for number, part in enumerate(parts):
            found = found.both(self.element(chain, part, values[number]))
        return found

    def _holds(self, chain: Chain, left: Any, op: str, values: Optional[List[Value]]) -> str:
        kind, body = one(left)
        if kind in ("&", "|", "^", "<<", ">>") and isinstance(body, list) and body:  # a part of something
            return MAKER if self._holds(chain, body[0], op, values) == MAKER else DOUBT
        if not isinstance(body, dict):
            return DOUBT
        if kind == "payload" and "tunnel" not in body:
            return self._payload(chain, body.get("protocol"), body.get("field"), op, values)
        if kind == "meta" or (kind == "ct" and body.get("key") == "mark"):
            return self._meta(chain, body.get("key"), op, values)
        if kind == "ct" and body.get("key") == "state":
            return _among(self.states, op, values)
        known = _KNOWN.get((kind, str(body.get("key", body.get("result")))))
        return _among(known, op, values) if known and body.get("flags", "daddr") in ("daddr", ["daddr"]) else DOUBT

    def _payload(self, chain: Chain, protocol: Any, field: Any, op: str, values: Optional[List[Value]]) -> str:
        if protocol in ("tcp", "th"):
            return _compare(self.port, op, values) if field == "dport" else SOME if field == "sport" else DOUBT
        if (protocol, field) in (("ip", "protocol"), ("ip6", "nexthdr")):
            holds = _among([_TCP], op, values)
            # A header that is not there cannot be asked: with IPv6 in a chain for both the rule is not for IPv4.
            return SOME if holds == YES and protocol == "ip6" and chain.key[0] == "inet" else holds
        if protocol in ("ip", "ip6") and field in ("saddr", "daddr"):
            return MAKER if field == "saddr" else PATH if op == "!=" else SOME
        if protocol == "ip6" and chain.key[0] == "inet":
            return SOME
        return NO if protocol in _NOT_TCP else DOUBT

    def _meta(self, chain: Chain, key: Any, op: str, values: Optional[List[Value]]) -> str:
        if key == "l4proto":
            return _among([_TCP], op, values)
        if key == "nfproto":
            own = {"ip": "ipv4", "ip6": "ipv6"}.get(chain.key[0])
            holds = _among([[own or "ipv4"]], op, values)
            return SOME if own is None and holds == NO else holds
        if key in _INTERFACES:
            # Loopback does not lead to another machine.
            return (YES if op == "!=" else NO) if values in (["lo"], ["loopback"]) else PATH
        if key in ("iif", "iifname"):
            return _among([["0", 0]], op, values)  # what the machine sends has come in nowhere
        return MAKER if key in _MAKERS else DOUBT

    def _elements(self, chain: Chain, right: Any) -> Optional[List[Any]]:
        """What is compared with, one by one; None when it is not known."""
        if isinstance(right, str) and right.startswith("@"):
            return self.ruleset.sets.get((chain.key[0], chain.key[1], right[1:]))
        if isinstance(right, dict) and isinstance(right.get("set"), (list, str, int)):
            right = right["set"]
        return right if isinstance(right, list) else [right]

    def _values(self, chain: Chain, right: Any) -> Optional[List[Value]]:
        """The same as a flat list of words, numbers and (first, last); None when it is not understood."""
        elements = self._elements(chain, right)
        if elements is None:
            return None
        values = [value for value in map(value_of, elements) if value is not None]
        return values if len(values) == len(elements) else None


def fields(left: Any) -> Optional[List[Any]]:
    """The parts of a concatenation; None where it is none."""
    name, body = one(left)
    return body if name == "concat" and isinstance(body, list) else None


def is_port(left: Any) -> bool:
    """Is it asked for the port, among other things?"""
    payload = left.get("payload") if isinstance(left, dict) else None
    if isinstance(payload, dict):
        # In a tunnel it is the port of a packet within the packet.
        return "tunnel" not in payload and payload.get("protocol") in ("tcp", "th") and payload.get("field") == "dport"
    return any(is_port(part) for part in fields(left) or ())


def _bare(item: Any) -> Any:
    """An element without its comment, counter and timeout; None where it has something that asks more, as a limit."""
    name, body = one(item)
    if name != "elem" or not isinstance(body, dict):
        return item
    return body.get("val") if all(word in _MUTE for word in body) else None


def value_of(item: Any) -> Optional[Value]:
    """An element of a set; None when it is not understood."""
    item = _bare(item)
    if isinstance(item, (str, int)):
        return item
    name, body = one(item)
    if name == "range" and isinstance(body, list) and len(body) == 2:
        first, last = body
        if isinstance(first, int) and isinstance(last, int):
            return first, last
    return None


def _among(possible: Sequence[Sequence[Union[str, int]]], op: str, values: Optional[List[Value]]) -> str:
    """Is it among the values, when it is one of these things? A thing that is known by word alone may have any number."""
    if values is None or op not in ("==", "in", "!="):
        return DOUBT
    numbers = any(not isinstance(value, str) for value in values)
    if numbers and not all(isinstance(name, int) for names in possible for name in names[-1:]):
        return DOUBT
    hits = {any(_same(name, value) for name in names for value in values) for names in possible}
    return DOUBT if len(hits) > 1 else YES if hits.pop() != (op == "!=") else NO


def _same(name: Union[str, int], value: Value) -> bool:
    return isinstance(name, int) and value[0] <= name <= value[1] if isinstance(value, tuple) else name == value


def _compare(port: int, op: str, values: Optional[List[Value]]) -> str:
    if values is None or any(isinstance(value, str) for value in values):
        return DOUBT
    if op in ("==", "in", "!="):
        return YES if any(_same(port, value) for value in values) != (op == "!=") else NO
    if len(values) == 1 and isinstance(values[0], int) and op in ("<", ">", "<=", ">="):
        other = values[0]
        return YES if {"<": port < other, ">": port > other, "<=": port <= other, ">=": port >= other}[op] else NO
    return DOUBT
