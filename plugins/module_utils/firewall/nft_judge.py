# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""nftables: what a chain's rules do to a TCP connection that leaves for another machine.

What is not understood, be it a condition, a statement, a verdict or a chain, may stop it or let it out, and is never left out.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Optional, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.nft_match import Match, fields, is_port
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.nft_rules import Chain, Key, Rule, Ruleset, objects, one
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.place import (
    DOUBT,
    MAKER,
    NO,
    PASSES,
    RETURNS,
    SOME,
    STOPS,
    YES,
    Conditions,
    Effect,
    inside,
)

# Statements after which a packet goes on to the next one, and those that let some go on.
_HARMLESS = ("counter", "log", "mangle", "notrack", "set", "map", "ct helper", "ct timeout", "ct expectation", "secmark", "last", "dup")
_RATES = ("limit", "quota", "ct count", "meter")
_VERDICTS = {"drop": STOPS, "reject": STOPS, "accept": PASSES, "return": RETURNS, "snat": PASSES, "masquerade": PASSES}
# What iptables-nft adds to nft: of its matches and targets nft tells nothing but the name. What they are in nft's own words; others of the
# matches ask something, others of the targets may do anything.
_MATCH = "xt match"
_XT = {
    ("match", "comment"): "log",
    **dict.fromkeys((("target", name) for name in ("CT", "NOTRACK")), "notrack"),
    **dict.fromkeys((("target", name) for name in ("LOG", "NFLOG", "MARK", "CONNMARK", "TCPMSS", "TOS", "DSCP", "CHECKSUM")), "log"),
    **{("target", "REJECT"): "reject", ("target", "NFQUEUE"): "queue", ("target", "SNAT"): "snat", ("target", "MASQUERADE"): "snat"},
}
_ANYTHING = [*Conditions().anything(), Effect(RETURNS, True)]
_PROTOCOLS = ({"meta": {"key": "l4proto"}}, {"meta": {"key": "nfproto"}}, {"payload": {"protocol": "ip", "field": "protocol"}})


class Judge:
    """Follows a new TCP connection to ``port`` of another machine through a chain. Our own rules are taken to be absent.

    In a chain for both families it is IPv4: a machine without IPv6 sends its mail so, and who shuts IPv6 off as a whole does not stop
    mail, but shall not be overridden either.
    """

    def __init__(self, ruleset: Ruleset, port: int):
        self.ruleset = ruleset
        self._known: Dict[Key, List[Effect]] = {}
        self.match = Match(ruleset, port, False)
        self.match = Match(ruleset, port, any(self._untracks(rule, chain) for chain in ruleset.chains.values() for rule in chain.rules))

    def effects(self, chain: Chain) -> List[Effect]:
        """What the base chain does, with the numbers of its rules as they are without ours."""
        rules = chain.others
        found = []
        for number, rule in enumerate(rules):
            found += [effect._replace(at=number) for effect in self._rule(rule, chain)]
        found.append(Effect(RETURNS, True, at=len(rules)))
        return [end for effect in found for end in (_ends(chain.policy, effect) if effect.kind == RETURNS else [effect])]

    def _walk(self, chain: Chain) -> List[Effect]:
        if chain.key not in self._known:
            self._known[chain.key] = _ANYTHING  # the kernel takes no circles; a listing that has one must not keep us
            found = [effect for rule in chain.others for effect in self._rule(rule, chain)]
            # Once is enough of each, or chains that lead to each other many times would keep us.
            self._known[chain.key] = list(dict.fromkeys([*found, Effect(RETURNS, True)]))
        return self._known[chain.key]

    def _rule(self, rule: Rule, chain: Chain) -> List[Effect]:
        try:
            return self._follow(rule, chain)
        except RecursionError:  # the kernel takes sixteen chains in a row, and no expression that deep
            return Conditions().anything()

    def _follow(self, rule: Rule, chain: Chain) -> List[Effect]:
        found: List[Effect] = []
        alternatives = [Conditions()]
        for statement in rule.expr:
            name, body = _statement(statement)
            if name == "vmap" and isinstance(body, dict):
                return found + [effect for under in alternatives for effect in self._map(body, chain, under)]
            if name in _VERDICTS or name in ("jump", "goto", "queue", "continue"):
                return found + [effect for under in alternatives for effect in self._verdict(name, body, chain, under)]
            asked = self._asks(name, body, chain)
            if asked is None:
                # It may be a verdict. If it is none, what comes after it is for all or for some.
                found += [effect for under in alternatives for effect in under.anything()]
            alternatives = _also(alternatives, asked)
        return found

    def _asks(self, name: str, body: Any, chain: Chain) -> Optional[List[Conditions]]:
        """What a statement that is no verdict asks, one of these; None when it may be anything."""
        if name == "match" and isinstance(body, dict):
            return self.match.alternatives(chain, body.get("left"), str(body.get("op", "==")), body.get("right"))
        if name in _RATES or name == _MATCH:
            return [Conditions().also(SOME if name in _RATES else DOUBT)]
        return [Conditions().also(_goes_on(name, body))] if name in _HARMLESS else None

    def _untracks(self, rule: Rule, chain: Chain) -> bool:
        """Is the connection one that the rule may keep from being tracked?"""
        statements = [_statement(statement) for statement in rule.expr]
        names = [name for name, _unused in statements]
        alternatives = [Conditions()]
        for name, body in statements[: names.index("notrack")] if "notrack" in names else ():
            alternatives = _also(alternatives, self._asks(name, body, chain))
        return "notrack" in names and any(under.meant for under in alternatives)

    def _verdict(self, name: str, body: Any, chain: Chain, conditions: Conditions) -> List[Effect]:
        if name in _VERDICTS:
            return conditions.effects(_VERDICTS[name])
        if name == "queue":
            # A program is asked, and what it says cannot be known; where none listens, the packet is dropped.
            return conditions.also(DOUBT).effects(STOPS) + conditions.effects(PASSES)
        if name == "continue":
            return []
        if name not in ("jump", "goto"):
            return conditions.anything()
        if not conditions.meant:
            return conditions.effects(RETURNS)  # if somewhere there others are let out, that is by the way
        target = body.get("target") if isinstance(body, dict) else None
        there = self.ruleset.chains.get((chain.key[0], chain.key[1], str(target)))
        return inside(self._walk(there) if there is not None else _ANYTHING, conditions, stays=name == "goto")

    def _map(self, body: Dict[str, Any], chain: Chain, under: Conditions) -> Iterator[Effect]:
        key, data = body.get("key"), body.get("data")
        if isinstance(data, str):
            pairs = self.ruleset.sets.get((chain.key[0], chain.key[1], data[1:]))
        else:
            pairs = data.get("set") if isinstance(data, dict) else None
        if not isinstance(pairs, list):
            yield from under.anything()
            return
        if isinstance(data, str) and not all(is_port(part) or part in _PROTOCOLS for part in fields(key) or [key]):
            yield from under.also(MAKER).effects(STOPS)  # a ban may come into it at any time
        left_over = True
        for pair in sorted(pairs, key=lambda pair: pair[:1] == ["*"] if isinstance(pair, list) else False):  # all the rest: last
            if not (isinstance(pair, list) and len(pair) == 2):
                yield from under.anything()
                continue
            rest = Conditions().also(YES if left_over else NO)
            asked = rest if pair[0] == "*" else self.match.element(chain, key, pair[0])
            left_over = left_over and not (asked.meant and asked.sure)
            name, target = one(pair[1])
            yield from self._verdict(name, target, chain, under.both(asked))


def _statement(statement: Any) -> Tuple[str, Any]:
    name, body = one(statement)
    if name == "xt" and isinstance(body, dict):
        kind = str(body.get("type"))
        return _XT.get((kind, str(body.get("name"))), _MATCH if kind == "match" else ""), body
    return name, body


def _also(alternatives: List[Conditions], asked: Optional[List[Conditions]]) -> List[Conditions]:
    more = [Conditions().also(DOUBT)] if asked is None else asked
    return list(dict.fromkeys(under.both(each) for under in alternatives for each in more))


def _goes_on(name: str, body: Any) -> str:
    """How far a packet comes past a statement that is no verdict: what looks something up leaves the rule where it finds nothing."""
    if name in ("set", "map"):
        extra = body.get("stmt", []) if isinstance(body, dict) and body.get("op") in ("add", "update") else None
        return YES if isinstance(extra, list) and all(one(each)[0] in ("counter", "last") for each in extra) else DOUBT
    if name == "mangle" and one(body.get("key") if isinstance(body, dict) else None)[0] not in ("meta", "ct"):
        return DOUBT
    return DOUBT if any("map" in each for each in objects(body)) else YES


def _ends(policy: str, effect: Effect) -> List[Effect]:
    """What the policy makes of a packet that comes to the end of the chain; one that is not told may be either."""
    if policy in ("drop", "accept"):
        return [effect._replace(kind=STOPS if policy == "drop" else PASSES)]
    return [effect._replace(kind=STOPS, sure=False, way=DOUBT), effect._replace(kind=PASSES)]
