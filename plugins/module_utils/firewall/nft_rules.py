# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""nftables: what ``nft --json list ruleset`` says, as chains, rules, sets and flags.

Format: libnftables-json(5). Seen from nft 1.0.6 (Debian 12) and 1.1.3 (Debian 13).

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, Iterator, List, NamedTuple, Set, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.host import COMMENT, Failed

_FAMILIES = ("ip", "ip6", "inet")
_WAYS_OUT = {**dict.fromkeys((*_FAMILIES, "bridge"), ("output", "postrouting")), "netdev": ("egress",)}
_SLEEPS, _OWNED = "dormant", "owner"
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
    """One chain. ``kind`` and ``hook``: those of a base chain; ``policy`` is what that does at its end, empty if it is not told."""

    key: Key
    kind: str
    hook: str
    policy: str
    rules: List[Rule]

    @property
    def name(self) -> str:
        return " ".join(self.key)

    @property
    def output(self) -> bool:
        """One that our rules may be in."""
        return self.kind == "filter" and self.hook == "output" and self.key[0] in _FAMILIES

    @property
    def elsewhere(self) -> bool:
        """Another one that packets pass on their way out."""
        return self.hook in _WAYS_OUT.get(self.key[0], ()) and not self.output

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
        """The chains at work that our rules may be in, in the order they are listed."""
        return [chain for chain in self.chains.values() if chain.output and not self.sleeps(chain)]

    def sleeps(self, chain: Chain) -> bool:
        """The chain is not at work, because its table is turned off."""
        return _SLEEPS in self.flags.get(chain.key[:2], ())

    def locked(self, chain: Chain) -> bool:
        """Nobody but the program that owns the table can change it."""
        return _OWNED in self.flags.get(chain.key[:2], ())

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
        if self.locked(chain):
            return "the program that owns it"
        if self.flags.get(chain.key[:2], set()) - {_SLEEPS}:
            return "whoever gave its table flags that are not understood here"
        return ""


def read(text: str) -> Ruleset:
    """Understand ``nft --json list ruleset``. What it says of a chain or rule may be odd, but not which one it is. Raises Failed."""
    ruleset = Ruleset({}, {}, {})
    try:
        data = json.loads(text)
        for item in data["nftables"]:
            for kind, body in item.items():
                if kind == "table":
                    ruleset.flags[_text(body, "family"), _text(body, "name")] = {str(word) for word in _list(body.get("flags", []))}
                elif kind in ("set", "map") and isinstance(body.get("elem", []), list):
                    ruleset.sets[_text(body, "family"), _text(body, "table"), _text(body, "name")] = body.get("elem", [])
                elif kind == "chain":
                    key = _text(body, "family"), _text(body, "table"), _text(body, "name")
                    said = [str(body.get(name, "")) for name in ("type", "hook", "policy")]
                    ruleset.chains[key] = Chain(key, said[0], said[1], said[2], [])
        for item in data["nftables"]:  # a rule may be listed before its chain
            if "rule" in item:
                body = item["rule"]
                key = _text(body, "family"), _text(body, "table"), _text(body, "chain")
                if not isinstance(body["handle"], int):
                    raise TypeError
                # nft leaves out the statements of a rule that has none.
                rule = Rule(body["handle"], str(body.get("comment", "")), _list(body.get("expr", [])))
                ruleset.chains.setdefault(key, Chain(key, "", "", "", [])).rules.append(rule)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Failed("nft lists the rules in a form that is not understood here, so they were left alone") from None
    return ruleset


def with_flags(ruleset: Ruleset, text: str) -> Ruleset:
    """With the flags of tables as ``nft list ruleset`` has them: those in JSON are whatever was in memory, in nft 1.0.6."""
    flags, table = dict(ruleset.flags), ("", "")
    for line in text.splitlines():
        head = re.match(r"table (\S+) (.+?) \{(?: # .*)?$", line)
        said = re.match(r"\tflags (.+)", line)
        if head:
            table = head.group(1), head.group(2)
        elif said and flags.get(table):
            flags[table] = set(said.group(1).replace(" ", "").split(","))
    return ruleset._replace(flags=flags)


def one(item: Any) -> Tuple[str, Any]:
    """Name and content of a statement or expression, which is an object with one key; no name when it is something else."""
    return next(iter(item.items())) if isinstance(item, dict) and len(item) == 1 else ("", None)


def _list(value: Any) -> List[Any]:
    return value if isinstance(value, list) else [value]


def objects(expr: Any) -> Iterator[Dict[str, Any]]:
    """All objects in an expression, however deep."""
    left = [expr]
    for item in left:
        if isinstance(item, list):
            left += item
        elif isinstance(item, dict):
            left += item.values()
            yield item


def _targets(expr: Any) -> Iterator[str]:
    """Where statements jump to."""
    for item in objects(expr):
        yield from (str(item[name].get("target")) for name in ("jump", "goto") if isinstance(item.get(name), dict))


def _text(body: Dict[str, Any], name: str) -> str:
    value = body[name]
    if not isinstance(value, str):
        raise TypeError
    return value
