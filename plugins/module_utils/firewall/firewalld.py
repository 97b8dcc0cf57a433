# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""firewalld: which policies stop what this machine sends, and the ports that are added to them, where that overrides nothing.

Within a policy firewalld looks at rich rules with a priority below 0, at those that deny, at ports and what else is allowed, at rich rules
with a priority above 0, and then takes the policy's target (firewalld.richlanguage(5), and what firewalld makes of it in nftables).

A port carries no comment in firewalld, so the ports that we added are remembered in a file. What was open before is not
ours. Both the running and the permanent settings are changed, without a reload, which would drop what an administrator has
changed in the running ones alone. Seen from firewalld 1.3.3 (Debian 12) and 2.3.1 (Debian 13).

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import json
from typing import Callable, Dict, FrozenSet, List, NamedTuple, Optional, Sequence, Set, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.firewalld_policies import (
    ALLOW,
    Policy,
    place,
    read_active,
    read_policies,
)
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.host import MISSING, Failed, Host, Openings, Plan
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.place import (
    told,
)

RECORD = "/var/lib/charter-mail/firewall.json"
VERSION = 1
RUNTIME, PERMANENT = "runtime", "permanent"

Record = Dict[str, Dict[str, List[int]]]
"""By policy: the ports we opened (RUNTIME), and those of them that we added to the permanent settings (PERMANENT)."""


def read_record(content: Optional[bytes]) -> Record:
    """Understand the file we keep. Raises Failed: taken for empty, it would leave our ports open for ever."""
    if content is None:
        return {}
    try:
        data = json.loads(content.decode("utf-8"))
        record: Record = data["firewalld"]
        if data["version"] != VERSION:
            raise Failed("%s was written by a newer version of this collection" % RECORD)
        for scopes in record.values():
            for scope, ports in scopes.items():
                if scope not in (RUNTIME, PERMANENT) or not all(isinstance(port, int) for port in ports):
                    raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Failed("%s is damaged; take our ports out of firewalld by hand, then remove it" % RECORD) from None
    return record


def write_record(record: Record) -> Optional[bytes]:
    """The file we keep; None when there is nothing to remember."""
    kept = {name: {scope: ports for scope, ports in scopes.items() if ports} for name, scopes in record.items()}
    kept = {name: scopes for name, scopes in kept.items() if scopes}
    if not kept:
        return None
    return (json.dumps({"version": VERSION, "firewalld": kept}, indent=1, sort_keys=True) + "\n").encode("utf-8")


class Change(NamedTuple):
    """Ports to add to one policy, or to remove from it, in one scope."""

    policy: str
    scope: str
    word: str
    ports: List[int]

    @property
    def command(self) -> List[str]:
        scope = ["--permanent"] if self.scope == PERMANENT else []
        return ["firewall-cmd", *scope, "--policy=%s" % self.policy, *("--%s-port=%d/tcp" % (self.word, port) for port in self.ports)]


class Decision(NamedTuple):
    """What is to be done. ``record``: what we will have added afterwards."""

    restricted: bool
    before: Openings
    after: Openings
    notes: List[str]
    changes: List[Change]
    record: Record


def decide(running: Dict[str, Policy], permanent: Dict[str, Policy], record: Record, ports: Sequence[int], shut: Sequence[int]) -> Decision:
    """What is to be done so that those of ``ports`` are let through that are ``shut``, or that are open by us; the rest of ours goes."""
    restricted = any(policy.restricting for policy in running.values())
    decision = Decision(restricted, Openings({}, {}), Openings({}, {}), [], [], {})
    for name, policy in running.items():
        ours = {scope: frozenset(record.get(name, {}).get(scope, [])) for scope in (RUNTIME, PERMANENT)}
        wanted, notes = _wanted(running, name, ours[RUNTIME], ports, shut)
        decision.notes.extend(notes)
        kept = {RUNTIME: wanted, PERMANENT: ours[PERMANENT] & wanted}
        add = frozenset(port for port in wanted if not policy.opens(port))
        remove = _held(policy, ours[RUNTIME] - wanted)
        lasting = permanent.get(name)
        if lasting:
            add_lasting = frozenset(port for port in wanted if not lasting.opens(port))
            remove_lasting = _held(lasting, ours[PERMANENT] - wanted)
            kept[PERMANENT] |= add_lasting
            # What the permanent settings open without us may be at work through a reload: it is not ours any more.
            remove = frozenset(port for port in remove if port in remove_lasting or not lasting.opens(port))
            _change(decision, name, PERMANENT, add_lasting, remove_lasting)
            _tell(decision.before.lasting, name, _held(lasting, ours[PERMANENT]))
            _tell(decision.after.lasting, name, _held(lasting, ours[PERMANENT]) - remove_lasting | add_lasting)
        _change(decision, name, RUNTIME, add, remove)
        _tell(decision.before.live, name, _held(policy, ours[RUNTIME]))
        _tell(decision.after.live, name, _held(policy, ours[RUNTIME]) - remove | add)
        decision.record[name] = {scope: sorted(numbers) for scope, numbers in kept.items()}
    return decision._replace(restricted=restricted or bool(decision.notes))


def _wanted(
    policies: Dict[str, Policy], name: str, ours: FrozenSet[int], ports: Sequence[int], shut: Sequence[int]
) -> Tuple[FrozenSet[int], List[str]]:
    """The ports that are to be open by us in a policy, and what there is to say of those that are not."""
    wanted: Set[int] = set()
    obstacles: Dict[str, List[int]] = {}
    for port in ports if policies[name].outgoing else []:
        if (port in ours) if policies[name].opens(port) else (port in shut):
            there = place(policies, name, port)
            obstacle = there.obstacle(ALLOW)
            if there.shut and not obstacle:
                wanted.add(port)
            elif there.shut or not any(place(policies, other, port).shut for other in policies if policies[other].outgoing):
                obstacles.setdefault(obstacle, []).append(port)
    return frozenset(wanted), [told("the policy %s" % name, obstacle, some) for obstacle, some in obstacles.items() if obstacle]


def _held(policy: Policy, ours: FrozenSet[int]) -> FrozenSet[int]:
    return frozenset(port for port in ours if policy.holds(port))


def _change(decision: Decision, name: str, scope: str, add: FrozenSet[int], remove: FrozenSet[int]) -> None:
    for word, numbers in (("add", add), ("remove", remove)):
        if numbers:
            decision.changes.append(Change(name, scope, word, sorted(numbers)))


def _tell(openings: Dict[str, List[int]], place: str, ports: FrozenSet[int]) -> None:
    if ports:
        openings[place] = sorted(ports)


def plan(host: Host, ports: Sequence[int], shut: Sequence[int]) -> Optional[Plan]:
    """Look at the machine; None where firewalld is missing. Raises Failed."""
    code, out, _err = host.run(("firewall-cmd", "--state"), "")
    if code == MISSING:
        return None
    content = host.read(RECORD)
    record = read_record(content)
    if code or out.strip() != "running":
        notes = ["firewalld is not running, so the ports that were opened in it earlier stay in its settings"] if record else []
        return Plan(False, False, Openings({}, {}), Openings({}, {}), notes, [])
    active = read_active(_ask(host, "--get-active-policies"))
    running = read_policies(_ask(host, "--list-all-policies"), active)
    permanent = read_policies(_ask(host, "--permanent", "--list-all-policies"))
    decision = decide(running, permanent, record, ports, shut)
    final = write_record(decision.record)
    steps: List[Callable[[], None]] = []
    if decision.changes or final != content:
        steps.append(lambda: _apply(host, decision, record, final))
    return Plan(True, decision.restricted, decision.before, decision.after, decision.notes, steps)


def _ask(host: Host, *options: str) -> str:
    return host.ask(["firewall-cmd", *options]) or ""


def _apply(host: Host, decision: Decision, record: Record, final: Optional[bytes]) -> None:
    # What we add is remembered first: an interrupted run must not leave ports that nobody remembers.
    names = sorted(set(record) | set(decision.record))
    sources = (record, decision.record)
    scopes = (RUNTIME, PERMANENT)
    both = {name: {scope: sorted({p for data in sources for p in data.get(name, {}).get(scope, [])}) for scope in scopes} for name in names}
    host.write(RECORD, write_record(both))
    for change in decision.changes:
        host.do(change.command)
    host.write(RECORD, final)
