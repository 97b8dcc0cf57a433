# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""ufw: whether its rules stop outgoing TCP to a port, and one rule before them all that lets it through.

Rules are read from ``ufw show added``, which prints them as the commands that make them, in the order they work.
Seen from ufw 0.36.2 (Debian 12 and 13). Rules in /etc/ufw/before.rules are not seen.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import re
import shlex
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils import egress_host
from ansible_collections.msp.charter_mail.plugins.module_utils.egress_host import Failed, Host, Openings, Plan

COMMENT = "charter-mail"
MAX_PORTS = 15  # of one rule; a limit of iptables' multiport

PLACE = "user rules"
"""They work at once and last."""

Target = Tuple[str, str]
"""Ports as ufw writes them (``465,587,600:700``; empty: any) and protocol (``tcp``; empty: any)."""


class Rule(NamedTuple):
    """A rule for outgoing connections as ``ufw show added`` prints it.

    words: the command without its comment. general: it is not for one address or source port. interface: the only one it is
    for, or empty. targets: None until the profile ``app`` is looked up.
    """

    words: Tuple[str, ...]
    action: str
    comment: str
    general: bool
    interface: str
    app: str
    targets: Optional[List[Target]]


class Status(NamedTuple):
    """active, and what becomes of outgoing connections that no rule is for: allow, deny or reject."""

    active: bool
    outgoing: str


def read_status(text: str) -> Status:
    """Understand ``ufw status verbose``. Raises Failed."""
    state = re.search(r"^Status: (\w+)$", text, re.MULTILINE)
    if state is None or state.group(1) not in ("active", "inactive"):
        raise Failed("ufw does not say whether it is active, so it was left alone")
    outgoing = re.search(r"^Default: .*\b(\w+) \(outgoing\)", text, re.MULTILINE)
    if state.group(1) == "active" and outgoing is None:
        raise Failed("ufw does not say what it does with outgoing connections, so it was left alone")
    return Status(state.group(1) == "active", outgoing.group(1) if outgoing else "allow")


def read_rules(text: str) -> List[Rule]:
    """The rules for outgoing connections in what ``ufw show added`` prints. A line that is no such rule is left out."""
    rules = []
    for line in text.splitlines():
        try:
            words = shlex.split(line)
        except ValueError:  # a comment with a quote in it
            continue
        if len(words) > 3 and words[0] == "ufw" and words[1] in ("allow", "deny", "reject", "limit") and words[2] == "out":
            rules.append(_rule(words[1:]))
    return rules


def _rule(words: List[str]) -> Rule:
    comment = interface = app = ports = proto = side = ""
    general = True
    rest = list(words[2:])
    if len(rest) > 1 and rest[-2] == "comment":
        comment = rest[-1]
        rest = rest[:-2]
    kept = tuple(words[:2] + rest)
    while rest:
        word = rest.pop(0)
        value = rest.pop(0) if word in ("on", "proto", "from", "to", "port", "app") and rest else ""
        if word == "on":
            interface = value
        elif word == "proto":
            proto = value
        elif word in ("from", "to"):
            side = word
            general = general and value == "any"
        elif word in ("port", "app") and side == "from":
            general = False
        elif word == "port":
            ports = value
        elif word == "app":
            app = value
        elif word not in ("log", "log-all"):  # the short form: 587/tcp, or a profile
            found = re.fullmatch(r"([0-9][0-9,:]*)(?:/(\w+))?", word)
            if found:
                ports, proto = found.group(1), found.group(2) or ""
            else:
                app = word
    return Rule(kept, words[0], comment, general, interface, app, None if app else [(ports, proto)])


def read_profile(text: str) -> List[Target]:
    """The ports of a profile in what ``ufw app info`` prints."""
    lines = re.split(r"^Ports?:[ \t]*$", text, maxsplit=1, flags=re.MULTILINE)
    found = re.findall(r"^[ \t]+([0-9][0-9,:]*)(?:/(\w+))?[ \t]*$", lines[1], re.MULTILINE) if len(lines) > 1 else []
    return list(found)


def stops(outgoing: str, rules: Sequence[Rule], port: int) -> bool:
    """Do the rules stop a TCP connection to ``port`` of another machine? The first that is for it decides.

    A rule for one address is somebody's special case and does not count; one for an interface counts when it stops.
    """
    for rule in rules:
        if not rule.general or rule.interface == "lo" or not any(_covers(target, port) for target in rule.targets or []):
            continue
        if rule.action in ("deny", "reject"):
            return True
        if not rule.interface:
            return False
    return outgoing in ("deny", "reject")


def _covers(target: Target, port: int) -> bool:
    ports, proto = target
    return proto in ("", "any", "tcp") and (not ports or port in _numbers(ports))


def _numbers(ports: str) -> List[int]:
    found: List[int] = []
    for part in ports.split(","):
        first, _, last = part.partition(":")
        if first.isdecimal() and len(first) < 6 and (not last or (last.isdecimal() and len(last) < 6)):
            found.extend(range(int(first), int(last or first) + 1))
    return found


class Decision(NamedTuple):
    """What is to be done. ``commands``: of ufw, in this order."""

    restricted: bool
    before: Dict[str, List[int]]
    after: Dict[str, List[int]]
    commands: List[List[str]]


def decide(status: Status, rules: Sequence[Rule], ports: Sequence[int]) -> Decision:
    """What is to be done so that outgoing TCP to exactly ``ports`` is let through; none: our rules go. Raises Failed."""
    ours = [rule for rule in rules if rule.comment == COMMENT and rule.action == "allow"]
    others = [rule for rule in rules if rule not in ours]
    shut = [port for port in ports if stops(status.outgoing, others, port)]
    restricted = status.outgoing in ("deny", "reject") or bool(shut)
    wanted = sorted(ports) if shut else []
    if len(wanted) > MAX_PORTS:
        raise Failed("ufw takes at most %d ports in one rule, and %d are asked for" % (MAX_PORTS, len(wanted)))
    there = sorted({number for rule in ours for number in _opened(rule) if not stops(status.outgoing, rules, number)})
    before = {PLACE: there} if there else {}
    after = {PLACE: wanted} if wanted else {}
    same = [rule for rule in ours if _opened(rule) == wanted]
    rest = [rule for rule in ours if rule not in same]
    commands = []
    if wanted and (not same or any(stops(status.outgoing, [rule for rule in rules if rule not in rest], port) for port in wanted)):
        # ufw cannot move a rule, and skips one that it has: where somebody's has come before ours, ours goes first.
        commands = [["ufw", "delete", *rule.words] for rule in same]
        numbers = ",".join(map(str, wanted))
        commands.append(["ufw", "prepend", "allow", "out", "proto", "tcp", "to", "any", "port", numbers, "comment", COMMENT])
    commands.extend(["ufw", "delete", *rule.words] for rule in rest)
    return Decision(restricted, before, after, commands)


def _opened(rule: Rule) -> List[int]:
    return sorted({number for ports, _ in rule.targets or [] for number in _numbers(ports)})


def plan(host: Host, ports: Sequence[int]) -> Optional[Plan]:
    """Look at the machine; None where ufw is missing. Raises Failed."""
    status_text = host.ask(("ufw", "status", "verbose"))
    if status_text is None:
        return None
    status = read_status(status_text)
    decision = decide(status, _rules(host), ports if status.active else [])
    steps: List[Callable[[], None]] = []
    if decision.commands:
        steps.append(lambda: _apply(host, decision.commands, status, ports))
    before, after = Openings(decision.before, {}), Openings(decision.after, {})
    return Plan(status.active, status.active and decision.restricted, before, after, [], steps)


def _rules(host: Host) -> List[Rule]:
    rules = read_rules(host.ask(("ufw", "show", "added")) or "")
    return [rule if rule.targets is not None else rule._replace(targets=_profile(host, rule.app)) for rule in rules]


def _profile(host: Host, app: str) -> List[Target]:
    code, out, _err = host.run(("ufw", "app", "info", app), "")
    return [] if code else read_profile(out)


def _apply(host: Host, commands: Sequence[Sequence[str]], status: Status, ports: Sequence[int]) -> None:
    for command in commands:
        host.do(command)
    # ufw says "Skipping" and is content when the same rule stands further down, without our comment.
    rules = _rules(host)
    left = [port for port in ports if status.active and stops(status.outgoing, rules, port)]
    if left:
        text = "ufw still stops TCP %s: a rule that allows the same ports stands behind one that denies them; delete it and run again"
        raise Failed(text % egress_host.ports_text(left))
