# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""nftables: what ``nft --json list ruleset`` says, as chains, rules, sets and flags.

Format: libnftables-json(5). Seen from nft 1.0.6 (Debian 12) and 1.1.3 (Debian 13).

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import json
from typing import Any, Dict, Iterator, List, NamedTuple, Set, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.egress_host import COMMENT, Failed

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

    @property
    def ours(self) -> List[Tuple[int, Rule]]:
        """Our rules, each with the number that the next of the others has among those."""
        numbers = [number for number, rule in enumerate(self.rules) if rule.comment == COMMENT]
        return [(number - before, self.rules[number]) for before, number in enumerate(numbers)]

    @property
    def others(self) -> List[Rule]:
        """The rules without ours."""
        return [rule for rule in self.rules if rule.comment != COMMENT]


class Ruleset(NamedTuple):
    """What ``nft --json list ruleset`` says. ``sets``: elements of named sets and maps. ``flags``: those of tables."""

    chains: Dict[Key, Chain]
    sets: Dict[Key, List[Any]]
    flags: Dict[Tuple[str, str], Set[str]]

    def outputs(self) -> List[Chain]:
        """The chains that outgoing packets pass, in the order they are listed."""
        found = [chain for chain in self.chains.values() if chain.output and chain.key[0] in _FAMILIES]
        return [chain for chain in found if "dormant" not in self.flags.get(chain.key[:2], ())]

    def reached(self, key: Key) -> List[Key]:
        """The chain and those that its rules lead to."""
        maps = [elements for name, elements in self.sets.items() if name[:2] == key[:2]]
        found = [key]
        for one in found:
            names = sorted({target for expr in [maps, *(rule.expr for rule in self.chains[one].rules)] for target in _targets(expr)})
            keys = [(key[0], key[1], name) for name in names]
            found += [key for key in keys if key in self.chains and key not in found]
        return found

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
                elif kind in ("set", "map"):
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


def _targets(expr: Any) -> Iterator[str]:
    """Where statements jump to, however deep they say it."""
    if isinstance(expr, list):
        for item in expr:
            yield from _targets(item)
    elif isinstance(expr, dict):
        for name, body in expr.items():
            if name in ("jump", "goto") and isinstance(body, dict):
                yield str(body.get("target"))
            else:
                yield from _targets(body)


def _text(body: Dict[str, Any], name: str) -> str:
    value = body[name]
    if not isinstance(value, str):
        raise TypeError
    return value
