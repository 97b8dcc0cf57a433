# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Let outgoing TCP to a few ports through with the firewall tool that the machine already uses; and take that back.

Only ports that were found shut are opened, and nowhere where that would override what the rules say on purpose, see :mod:`place`.
Destinations are not restricted: addresses of a provider's servers change without notice.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.firewall import firewalld, legacy, nft, ufw
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.host import Host, Openings, Plan, ports_text

TOOLS: Tuple[Tuple[str, Callable[[Host, Sequence[int], Sequence[int]], Optional[Plan]]], ...] = (
    ("firewalld", firewalld.plan),
    ("ufw", ufw.plan),
    ("nftables", nft.plan),
)
"""The first one that is at work is the machine's own: firewalld and ufw make rules that nftables lists as well."""

NONE = "none"


def settle(host: Host, ports: Sequence[int], shut: Sequence[int], check: bool) -> Dict[str, Any]:
    """Open those of ``ports`` that are ``shut``, keep those that are open by us, close what else we opened; return what the module returns.

    Only the machine's own tool opens ports; what we opened in another one earlier is taken back. Raises host.Failed.
    """
    wanted = sorted(set(ports))
    candidates = sorted(set(shut) & set(ports))
    tool, plans = NONE, []
    for name, plan in TOOLS:
        found = plan(host, wanted, candidates) if tool == NONE else plan(host, [], [])
        if found is not None:
            plans.append((name, found))
            if found.in_use and tool == NONE:
                tool = name
    # firewalld and ufw may work through iptables-legacy: its rules are theirs then.
    unseen = legacy.notes(host, candidates) if tool in (NONE, "nftables") else []
    changed = [(name, plan) for name, plan in plans if plan.steps]
    if not check:
        # What closes comes last, or a change of the tool would interrupt the mail.
        for _name, plan in sorted(changed, key=lambda entry: entry[0] != tool):
            for step in plan.steps:
                step()
    return _result(tool, plans, wanted, candidates, unseen, check=check)


def _result(
    tool: str, plans: List[Tuple[str, Plan]], wanted: List[int], shut: List[int], unseen: List[str], *, check: bool
) -> Dict[str, Any]:
    restricted = any(plan.restricted for name, plan in plans if name == tool) or bool(unseen)
    opened = sorted({port for _unused, plan in plans for port in _gained(plan.before, plan.after)})
    closed = sorted({port for _unused, plan in plans for port in _gained(plan.after, plan.before)} - set(opened))
    changed = [name for name, plan in plans if plan.steps]
    notes = [note for _unused, plan in plans for note in plan.notes] + unseen
    parts = []
    if opened:
        word = "would open" if check else "opened"
        parts.append("%s TCP %s for outgoing connections in %s" % (word, ports_text(opened), tool))
    if closed:
        word = "would take back" if check else "took back"
        parts.append("%s what an earlier run had opened in %s: TCP %s" % (word, " and ".join(changed), ports_text(closed)))
    if changed and not parts:
        word = "would bring" if check else "brought"
        parts.append("%s up to date what we open in %s" % (word, " and ".join(changed)))
    if not parts:
        parts.append(_nothing(tool, restricted, wanted, shut, bool(notes)))
    message = "; ".join(parts + notes) + "."
    return {
        "changed": bool(changed),
        "tool": tool,
        "restricted": restricted,
        "opened": opened,
        "closed": closed,
        "message": message[:1].upper() + message[1:],
        "diff": _diff(plans),
    }


def _nothing(tool: str, restricted: bool, wanted: List[int], shut: List[int], notes: bool) -> str:
    if not wanted:
        return "nothing to do, because nothing is opened by us"
    if not shut:
        return "nothing to do, because none of TCP %s was found shut" % ports_text(wanted)
    if tool == NONE:
        return "nothing to do, because none of firewalld, ufw and nftables is at work on outgoing connections"
    if not restricted:
        return "nothing to do, because %s does not restrict outgoing connections" % tool
    return "nothing was changed in %s" % tool if notes else "nothing to do, because %s lets TCP %s out already" % (tool, ports_text(shut))


def _gained(before: Openings, after: Openings) -> List[int]:
    return [port for place, ports in after.live.items() for port in ports if port not in before.live.get(place, [])]


def _diff(plans: List[Tuple[str, Plan]]) -> Dict[str, str]:
    sides = [_lines([(name, getattr(plan, side)) for name, plan in plans]) for side in ("before", "after")]
    header = "outgoing TCP ports opened by charter-mail"
    return {"before": sides[0], "after": sides[1], "before_header": header, "after_header": header}


def _lines(openings: List[Tuple[str, Openings]]) -> str:
    lines = []
    for tool, opening in openings:
        for kind, places in (("now", opening.live), ("at every start", opening.lasting)):
            lines += ["%s, %s, %s: %s\n" % (tool, place, kind, ", ".join(map(str, ports))) for place, ports in places.items()]
    return "".join(lines)
