# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""nftables: which output chains stop outgoing TCP to a port, and a rule of ours in them, after every ban, that lets it through.

Only in base chains of type filter on the output hook of the families ip, ip6 and inet is anything opened; other chains on the way out are
looked at and named, and no input chain is ever changed. Our rules are taken out of any chain. What nft lists is read by
:mod:`nft_rules`, what a chain does is said by :mod:`nft_judge`, where our rule may stand by :mod:`place`.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.host import COMMENT, Host, Openings, Plan
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.nft_judge import Judge
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.nft_match import value_of
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.nft_rules import Chain, Key, Rule, Ruleset, read, with_flags
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.place import MAY_STOP, Place, at_work, find, right, told

UNIT = "charter-mail-egress.service"
_UNIT_PATH = "/etc/systemd/system/" + UNIT
_LIST = ("nft", "--json", "list", "ruleset")
_AS_TEXT = ("nft", "--stateless", "list", "ruleset")
_LOAD = ("nft", "--json", "--file", "-")

# nftables.service reads its file anew when the machine starts, and when it is reloaded or restarted: the unit goes along. Nothing but the
# number of a rule says where ours belongs then, so it is put back only into a chain that is, with all that it leads to, the one that was
# looked at; that is also why it is never there twice. The minus: a chain that is another one by now must not keep the others from their
# rule, nor leave a failed unit.
_SHOW = ("nft", "--stateless", "list", "chain")
_OURS = ' comment "%s"\n' % COMMENT
_PUT_BACK = "-/bin/sh -c '{ %s; } | sha256sum | grep -q ^%s && %s'"
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
            value = value_of(item)
            if isinstance(value, tuple):
                found.update(range(max(value[0], 0), min(value[1], 65535) + 1))
            elif isinstance(value, int):
                found.add(value)
        return sorted(found)
    except (ValueError, KeyError, TypeError):
        return []


class Opening(NamedTuple):
    """A rule of ours as it is to be: before the rule ``at`` of the others; ``end``: they are no more than that, so it is the last."""

    at: int
    ports: List[int]
    end: bool


class Decision(NamedTuple):
    """What is to be done. ``commands``: libnftables-json, one transaction; ``openings``: of the chains that need rules of ours."""

    restricted: bool
    before: Dict[str, List[int]]
    after: Dict[str, List[int]]
    notes: List[str]
    commands: List[Dict[str, Any]]
    openings: Dict[Key, List[Opening]]


_KEPT = "%%s is left to %s, let TCP %%s out there by hand"
_ELSEWHERE = "%s may stop TCP %s, and nothing is opened in a chain of its kind: see there by hand"
_LOCKED = "%s keeps a rule of ours for TCP %s: only the program that owns its table can take it out"
_ASLEEP = "%s is in a dormant table: our rule for TCP %s there has no effect before the table is turned on"


def decide(ruleset: Ruleset, ports: Sequence[int], shut: Sequence[int]) -> Decision:
    """What is to be done so that those of ``ports`` are let through that are ``shut``, or that are open by us; our other rules go."""
    decision = Decision(any(chain.policy == "drop" for chain in ruleset.outputs()), {}, {}, [], [], {})
    judges = {port: Judge(ruleset, port) for port in ports}
    looked = []
    for chain in ruleset.chains.values():
        on_the_way = judges.items() if chain.output or chain.elsewhere else ()
        looked.append((chain, {port: find(judge.effects(chain)) for port, judge in on_the_way}))
    at_work_now = {chain.key for chain in ruleset.outputs()}
    stopped = {port for chain, places in looked if chain.key in at_work_now for port, place in places.items() if place.shut}
    asleep = []
    for chain, places in looked:
        now = () if ruleset.sleeps(chain) else shut
        wanted, obstacles = _wanted(chain, places, now, stopped, ruleset.keeper(chain))
        decision.notes.extend(told("the chain %s" % chain.name, obstacle, some) for obstacle, some in obstacles.items())
        if not ruleset.locked(chain):
            _settle(chain, places, [Opening(at, some, at == len(chain.others)) for at, some in sorted(wanted.items())], decision)
        elif chain.ours:
            decision.notes.append(told("the chain %s" % chain.name, _LOCKED, _opened(chain)))
        if ruleset.sleeps(chain) and wanted:
            asleep.append(told("the chain %s" % chain.name, _ASLEEP, decision.after[chain.name]))
    restricted = decision.restricted or bool(stopped or decision.notes)
    return decision._replace(restricted=restricted, notes=decision.notes + asleep)


def _opened(chain: Chain) -> List[int]:
    return sorted({port for _unused, rule in chain.ours for port in our_ports(rule)})


def _wanted(
    chain: Chain, places: Dict[int, Place], shut: Sequence[int], stopped: Set[int], keeper: str
) -> Tuple[Dict[int, List[int]], Dict[str, List[int]]]:
    """The ports to be open in a chain by their places, and those about which something is to be told by what it is."""
    wanted: Dict[int, List[int]] = {}
    obstacles: Dict[str, List[int]] = {}
    opened = _opened(chain)
    for port, place in places.items():
        if chain.elsewhere:
            obstacle = _ELSEWHERE if port in shut and (place.shut or place.first) else ""
        elif place.shut and (port in shut or port in opened):
            obstacle = _KEPT % keeper if keeper else place.obstacle(place.last)
            if not obstacle:
                wanted.setdefault(place.last, []).append(port)
                obstacle = MAY_STOP if place.doubt and port in shut else ""  # ours is behind that
        else:
            obstacle = place.obstacle(place.last) if not place.shut and port in shut and (place.doubt or port not in stopped) else ""
        if obstacle:
            obstacles.setdefault(obstacle, []).append(port)
    return wanted, obstacles


def _settle(chain: Chain, places: Dict[int, Place], wanted: List[Opening], decision: Decision) -> None:
    there = [(port, at) for at, rule in chain.ours for port in our_ports(rule)]
    if at_work(there, places):
        decision.before[chain.name] = at_work(there, places)
    if wanted:
        decision.openings[chain.key] = wanted
        decision.after[chain.name] = sorted(port for opening in wanted for port in opening.ports)
    as_wanted = right(there, places) == sorted(port for port, _unused in there) == decision.after.get(chain.name, [])
    if as_wanted and all(our_ports(rule) for _unused, rule in chain.ours):
        return
    family, table, name = chain.key
    where = {"family": family, "table": table, "chain": name}
    for opening in wanted:
        operand = opening.ports[0] if len(opening.ports) == 1 else {"set": opening.ports}
        match = {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": operand}
        rule = dict(where, expr=[{"match": match}, {"accept": None}], comment=COMMENT)
        if opening.end:
            decision.commands.append({"add": {"rule": rule}})
        else:
            decision.commands.append({"insert": {"rule": dict(rule, handle=chain.others[opening.at].handle)}})
    decision.commands.extend({"delete": {"rule": dict(where, handle=rule.handle)}} for _unused, rule in chain.ours)


def put_back(chains: Sequence[Key], shown: str, openings: Sequence[Opening]) -> str:
    """The command that puts our rules back into a chain. chains: it, and those it leads to; shown: how nft lists them."""
    name = " ".join(chains[0])
    others = "".join(line for line in shown.splitlines(True) if not line.endswith(_OURS))
    digest = hashlib.sha256(others.encode("utf-8")).hexdigest()
    rules = []
    for opening in sorted(openings, reverse=True):  # the last first: the numbers of those before it stay
        operand = str(opening.ports[0]) if len(opening.ports) == 1 else "{ %s }" % ", ".join(map(str, opening.ports))
        place = "add rule %s" % name if opening.end else "insert rule %s index %d" % (name, opening.at)
        rules.append("nft %s tcp dport %s accept comment %s" % (place, operand, COMMENT))
    return _PUT_BACK % ("; ".join(" ".join((*_SHOW, *chain)) for chain in chains), digest, " && ".join(rules))


def unit(commands: Sequence[str]) -> bytes:
    """The unit that puts our rules back after nftables.service has loaded its file; empty when there is nothing to put back."""
    if not commands:
        return b""
    lines = ["\n".join("%s=%s" % (word, command) for command in commands) for word in ("ExecStart", "ExecReload")]
    return (_UNIT_TEXT % tuple(lines)).encode("ascii")


def unit_openings(content: bytes) -> Dict[str, List[int]]:
    """What a unit opens, by chain; also one of an earlier version."""
    found: Dict[str, Set[int]] = {}
    lines = re.findall(
        r"nft (?:add|insert) rule (\S+ \S+ \S+)(?: index \d+)? tcp dport ([{}0-9, ]+) accept", content.decode("utf-8", "replace")
    )
    for name, operand in lines:
        found.setdefault(name, set()).update(int(word) for word in re.findall(r"[0-9]{1,5}", operand))
    return {name: sorted(ports) for name, ports in found.items()}


def plan(host: Host, ports: Sequence[int], shut: Sequence[int]) -> Optional[Plan]:
    """Look at the machine; None where nft is missing. Raises Failed."""
    answer = host.ask(_LIST)
    if answer is None:
        return None
    ruleset = read(answer)
    if any(ruleset.flags.values()):
        ruleset = with_flags(ruleset, host.ask(_AS_TEXT) or "")
    decision = decide(ruleset, ports, shut)
    loader = _properties(host, "nftables.service")
    wanted = unit_of(host, ruleset, decision.openings) if "active" in loader or "enabled" in loader else b""
    found = host.read(_UNIT_PATH) or b""
    state = _properties(host, UNIT) if wanted and wanted == found else ()
    before = Openings(decision.before, unit_openings(found))
    after = Openings(decision.after, unit_openings(wanted))
    steps: List[Callable[[], None]] = []
    if decision.commands:
        steps.append(lambda: host.do(_LOAD, json.dumps({"nftables": decision.commands})))
    # After the rules themselves: a unit that starts puts back only what is not there.
    if wanted and not ("active" in state and "enabled" in state):
        steps.append(lambda: _install(host, wanted))
    elif found and not wanted:
        steps.append(lambda: _uninstall(host))
    return Plan(bool(ruleset.outputs() or decision.restricted), decision.restricted, before, after, decision.notes, steps)


def unit_of(host: Host, ruleset: Ruleset, openings: Dict[Key, List[Opening]]) -> bytes:
    """The unit for these chains of the machine. Raises Failed."""
    commands = []
    for key, wanted in openings.items():
        chains = ruleset.reached(key)
        # A name that cannot be written in /etc/nftables.conf is none of that file's.
        if all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", word) for chain in chains for word in chain):
            shown = "".join(host.ask((*_SHOW, *chain)) or "" for chain in chains)
            commands.append(put_back(chains, shown, wanted))
    return unit(commands)


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
