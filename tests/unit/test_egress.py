"""What firewalls say of outgoing mail, and what is to be done about it. The texts are what the real tools printed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall import egress
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall import firewalld as egress_firewalld
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall import host as egress_host
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall import nft as egress_nft
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall import nft_judge as egress_nft_judge
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall import nft_rules as egress_nft_rules
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall import place as egress_place
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall import ufw as egress_ufw
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.host import MISSING, Failed, Host
from hypothesis import given
from hypothesis import strategies as st

PORTS = [465, 587, 993]
HERE = Path(__file__).parent / "egress"
VERSIONS = ["1.0.6", "1.1.3"]


class Machine:
    """Answers commands from a table, by their beginning; remembers what was asked to change something."""

    def __init__(self, root: Path, **answers: str | tuple[int, str]) -> None:
        self.answers: dict[str, str | tuple[int, str]] = {}
        self.log: list[str] = []
        self.host = Host(self.run, str(root))
        for name, answer in answers.items():
            self.answers[name.replace("_", " ")] = answer
        if "nft" in answers:
            self.answers["nft --stateless list chain"] = "table inet filter {\n}\n"

    def run(self, argv: Sequence[str], text: str) -> tuple[int, str, str]:
        line = " ".join(argv)
        best = max((key for key in self.answers if line.startswith(key)), key=len, default="")
        if not best:
            return MISSING, "", ""
        self.log.append(line + text)
        answer = self.answers[best]
        return (0, answer, "") if isinstance(answer, str) else (answer[0], "", answer[1])

    def changes(self, *words: str) -> list[str]:
        return [line for line in self.log if any(word in line for word in words)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc/systemd/system").mkdir(parents=True)
    (tmp_path / "var/lib").mkdir(parents=True)
    return tmp_path


# --- nftables


def captured(version: str) -> egress_nft_rules.Ruleset:
    return egress_nft_rules.read((HERE / f"nft-{version}.json").read_text())


def stopped(ruleset: egress_nft_rules.Ruleset, name: str, ports: Sequence[int]) -> list[int]:
    (chain,) = [chain for chain in ruleset.outputs() if chain.name == name]
    return [port for port in ports if egress_place.find(egress_nft_judge.Judge(ruleset, port).effects(chain)).shut]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("chain", "ports"),
    [
        ("inet closed output", [25, 465, 587, 993]),
        ("inet input_only output", []),
        ("ip sets output", []),  # for one interface
        ("inet maps output", [587]),
        ("inet special output", []),
        ("inet ends output", [25, 465, 587]),
        ("ip6 relay output", []),  # for all but one address
        ("ip filter OUTPUT", [25, 587, 993]),
    ],
)
def test_which_chain_stops_which_port_for_everybody(version: str, chain: str, ports: list[int]) -> None:
    assert stopped(captured(version), chain, [25, 465, 587, 993]) == ports


def test_a_chain_that_sleeps_is_not_at_work() -> None:
    assert "inet asleep output" not in [chain.name for chain in captured("1.1.3").outputs()]


@pytest.mark.parametrize("version", VERSIONS)
def test_each_chain_gets_the_ports_that_it_stops_where_it_stops_them(version: str) -> None:
    decision = egress_nft.decide(captured(version), PORTS, PORTS)
    opened = {" ".join(key): openings for key, openings in decision.openings.items()}
    assert decision.restricted and decision.before == {}
    assert opened == {
        "inet closed output": [egress_nft.Opening(7, PORTS, end=True)],
        "inet maps output": [egress_nft.Opening(0, [587], end=False)],
        "inet ends output": [egress_nft.Opening(2, [465, 587], end=False)],
    }
    assert [list(command) for command in decision.commands] == [["add"], ["insert"], ["insert"]]
    places = {"maps": 0, "ends": 2}
    handles = [chain.rules[places[chain.key[1]]].handle for chain in captured(version).outputs() if chain.key[1] in places]
    assert [command["insert"]["rule"]["handle"] for command in decision.commands[1:]] == handles
    assert decision.notes[-1] == "the chain ip filter OUTPUT is left to iptables, let TCP 587 and 993 out there by hand"


def listed(
    *rules: list[Any], policy: str = "accept", table: str = "t", flags: Any = None, comments: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """What nft lists for one output chain; rules are lists of statements."""
    chain = {"family": "inet", "table": table, "name": "out", "type": "filter", "hook": "output", "policy": policy}
    items: list[dict[str, Any]] = [{"table": {"family": "inet", "name": table, **({"flags": flags} if flags else {})}}, {"chain": chain}]
    for number, expr in enumerate(rules):
        comment = {"comment": comments[number]} if number < len(comments) and comments[number] else {}
        items.append({"rule": {"family": "inet", "table": table, "chain": "out", "handle": number + 10, "expr": expr, **comment}})
    return items


def base(*rules: list[Any], **more: Any) -> egress_nft_rules.Ruleset:
    """The same, read."""
    return egress_nft_rules.read(json.dumps({"nftables": listed(*rules, **more)}))


def match(left: Any, right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def dport(right: Any, op: str = "==") -> dict[str, Any]:
    return match({"payload": {"protocol": "tcp", "field": "dport"}}, right, op)


def daddr(right: Any, op: str = "==") -> dict[str, Any]:
    return match({"payload": {"protocol": "ip", "field": "daddr"}}, right, op)


def meta(key: str, right: Any, op: str = "==") -> dict[str, Any]:
    return match({"meta": {"key": key}}, right, op)


def state(right: Any, op: str = "==") -> dict[str, Any]:
    return match({"ct": {"key": "state"}}, right, op)


DROP, ACCEPT, RETURN = {"drop": None}, {"accept": None}, {"return": None}
REJECT = {"reject": {"type": "icmpx", "expr": "port-unreachable"}}


@pytest.mark.parametrize(
    ("rules", "stops"),
    [
        ([[DROP]], True),
        ([[{"log": {"prefix": "x"}}, {"counter": {"packets": 0, "bytes": 0}}, REJECT]], True),
        ([[{"log": None}], [RETURN], [DROP]], False),
        ([[dport(587), ACCEPT], [DROP]], False),
        ([[DROP], [dport(587), ACCEPT]], True),
        ([[dport({"range": [500, 600]}), REJECT]], True),
        ([[dport({"set": [25, {"elem": {"val": 587, "comment": "x"}}]}), DROP]], True),
        ([[dport(1024, "<"), DROP]], True),
        ([[dport(587, ">"), DROP]], False),
        ([[dport(587, ">="), DROP]], True),
        ([[dport({"set": [80, 443]}, "!="), DROP]], True),
        ([[dport({"set": [80, 587]}, "!="), DROP]], False),
        ([[dport("submission"), DROP]], False),
        ([[dport("@nothing"), DROP]], False),
        # Loopback is not the way out; a rule for another interface is for some.
        ([[meta("oifname", "lo"), DROP]], False),
        ([[meta("oifname", "lo", "!="), DROP]], True),
        ([[meta("oif", "eth0"), dport(587), DROP]], False),
        ([[meta("oif", "wg0"), dport(587), ACCEPT], [DROP]], True),
        ([[meta("oif", "wg0"), RETURN], [DROP]], True),
        ([[meta("oifname", "lo", "!="), ACCEPT], [DROP]], False),
        # The state of a connection that begins.
        ([[state(["established", "related"], "in"), DROP]], False),
        ([[state({"set": ["new", "invalid"]}), DROP]], True),
        ([[state("invalid"), DROP]], False),
        ([[state("established", "!="), DROP]], True),
        # For some.
        ([[daddr("192.0.2.1"), DROP]], False),
        ([[daddr("192.0.2.1", "!="), dport(587), DROP]], False),
        ([[daddr("192.0.2.1", "!="), ACCEPT], [DROP]], True),
        ([[meta("skuid", 1000), DROP]], False),
        ([[meta("skuid", 0, "!="), dport(587), DROP]], False),
        ([[meta("mark", 1), DROP]], False),
        # Protocols.
        ([[meta("nfproto", "ipv6"), DROP]], False),
        ([[meta("nfproto", "ipv4"), dport(587), DROP]], True),
        ([[meta("l4proto", "udp"), DROP]], False),
        ([[meta("l4proto", 6), DROP]], True),
        ([[match({"payload": {"protocol": "udp", "field": "dport"}}, 53, "!="), DROP]], False),
        # What may hold or not, or is not understood.
        ([[{"limit": {"rate": 1, "per": "second"}}, DROP]], False),
        ([[{"xt": None}, DROP]], False),
        ([[{"jump": {"target": "nowhere"}}], [{"jump": {"target": "out"}}]], False),
        ([[{"queue": {"num": 0}}], [DROP]], False),
    ],
)
def test_a_rule_counts_when_it_is_for_everybody(rules: list[list[Any]], stops: bool) -> None:
    assert stopped(base(*rules), "inet t out", [587]) == ([587] if stops else [])


TUNNEL, USER = [meta("oifname", "wg0"), ACCEPT], [meta("skuid", 1000), ACCEPT]


@pytest.mark.parametrize(
    ("rules", "policy", "place"),
    [
        ([[state("established"), ACCEPT], [dport(25), ACCEPT]], "drop", (True, False, 0, 2)),
        ([[daddr("192.0.2.1"), DROP], [dport(25), ACCEPT], [DROP], [daddr("192.0.2.9"), DROP]], "accept", (True, False, 1, 2)),
        ([[dport(587), DROP], [daddr("192.0.2.1"), DROP]], "accept", (True, False, 2, 0)),
        ([[dport(587), DROP], [state("new"), ACCEPT], [daddr("192.0.2.1"), DROP]], "drop", (True, False, 0, 0)),
        ([[daddr("192.0.2.1"), RETURN], [{"limit": {"rate": 9}}, DROP]], "drop", (True, False, 2, 2)),
        ([[daddr("192.0.2.1"), ACCEPT]], "drop", (True, False, 0, 1)),
        ([[match({"tcp option": {"name": "fastopen"}}, 1), REJECT], [dport("@unknown"), DROP]], "drop", (True, False, 2, 2)),
        # Who lets out by the way shuts the other ways.
        ([TUNNEL], "drop", (True, True, 0, 1)),
        ([[meta("oif", {"set": ["lo", "wg0"]}), ACCEPT]], "drop", (True, True, 0, 1)),
        ([[dport(25), ACCEPT], [meta("mark", 1), ACCEPT]], "drop", (True, True, 0, 2)),
        ([[match({"payload": {"protocol": "ip", "field": "saddr"}}, "192.0.2.7"), ACCEPT]], "drop", (True, True, 0, 1)),
        ([[match({"rt": {"key": "ipsec"}}, True), ACCEPT], [REJECT]], "accept", (True, True, 0, 1)),
        ([[dport(587), DROP], TUNNEL], "drop", (True, True, 0, 0)),
        ([[meta("oifname", "wg0"), RETURN], [DROP]], "accept", (True, True, 0, 1)),
        (
            [[{"vmap": {"key": {"meta": {"key": "oifname"}}, "data": {"set": [["lo", ACCEPT], ["wg0", ACCEPT]]}}}]],
            "drop",
            (True, True, 0, 1),
        ),
        ([[{"vmap": {"key": {"meta": {"key": "oifname"}}, "data": "@unknown"}}], [dport(25), ACCEPT]], "drop", (True, True, 1, 2)),
        ([[daddr("@bad", "!="), ACCEPT]], "drop", (True, True, 0, 1)),
        ([[dport(22), ACCEPT], [daddr("@bad", "!="), dport(443), ACCEPT]], "drop", (True, True, 0, 2)),
        # Even if not this port; but not when it lets others out everywhere, and has one port more for somebody.
        ([[meta("oifname", "eth0"), dport({"set": [80, 443]}), ACCEPT]], "drop", (True, True, 0, 1)),
        ([[dport(80), ACCEPT], [meta("oifname", "eth0"), dport(22), ACCEPT]], "drop", (True, True, 0, 2)),
        ([[meta("skuid", 110), dport(443), ACCEPT]], "drop", (True, True, 0, 1)),
        ([[dport(443), ACCEPT], [meta("skuid", 0), dport(25), ACCEPT]], "drop", (True, False, 0, 2)),
        ([[meta("oifname", "eth0"), match({"payload": {"protocol": "udp", "field": "dport"}}, 53), ACCEPT]], "drop", (True, False, 0, 1)),
        # It does not stop everybody.
        ([TUNNEL], "accept", (False, True, 0, 0)),
        ([[meta("oifname", "wg0", "!="), REJECT]], "accept", (False, False, 1, 0)),
        ([USER, [dport(587), ACCEPT]], "drop", (False, True, 0, 0)),
    ],
)
def test_a_place_is_after_every_ban_and_before_what_stops_everybody(rules: list[list[Any]], policy: str, place: tuple[Any, ...]) -> None:
    ruleset = base(*rules, policy=policy)
    assert egress_place.find(egress_nft_judge.Judge(ruleset, 587).effects(ruleset.outputs()[0]))[:4] == place


def test_chains_that_lead_to_each_other_many_times_are_soon_judged() -> None:
    """Sixteen in a row, each going to the next by ten rules: more ways than can be followed."""
    names = ["out", *(f"c{number}" for number in range(16))]
    chains = [{"family": "inet", "table": "t", "name": name} for name in names]
    chains[0] |= {"type": "filter", "hook": "output", "policy": "drop"}
    rules = [
        {"family": "inet", "table": "t", "chain": name, "handle": 1, "expr": [daddr(f"192.0.2.{number}"), {"jump": {"target": after}}]}
        for name, after in zip(names, names[1:], strict=False)
        for number in range(10)
    ]
    rules.append({"family": "inet", "table": "t", "chain": names[-1], "handle": 1, "expr": [meta("skuid", 7), DROP]})
    text = json.dumps({"nftables": [{"chain": chain} for chain in chains] + [{"rule": rule} for rule in rules]})
    ruleset = egress_nft_rules.read(text)
    (chain,) = ruleset.outputs()
    assert egress_place.find(egress_nft_judge.Judge(ruleset, 587).effects(chain))[:4] == (True, False, 10, 10)
    assert ruleset.reached(chain.key) == [("inet", "t", name) for name in names]


def ours(*ports: int) -> list[Any]:
    return [dport(ports[0] if len(ports) == 1 else {"set": list(ports)}), ACCEPT]


def test_our_own_rule_is_left_alone_replaced_or_taken_back() -> None:
    same = base(ours(*PORTS), [DROP], comments=["charter-mail"])
    assert egress_nft.decide(same, PORTS, []).commands == [], "what is open by us is not shut any more"
    where = {"family": "inet", "table": "t", "chain": "out"}
    insert = {"insert": {"rule": {**where, "expr": ours(587), "comment": "charter-mail", "handle": 11}}}
    assert egress_nft.decide(same, [587], []).commands == [insert, {"delete": {"rule": {**where, "handle": 10}}}]
    assert egress_nft.decide(same, [], []).commands == [{"delete": {"rule": {**where, "handle": 10}}}]

    def kinds(ruleset: egress_nft_rules.Ruleset, shut: Sequence[int] = PORTS) -> list[str]:
        return [word for command in egress_nft.decide(ruleset, PORTS, shut).commands for word in command]

    assert kinds(base(ours(*PORTS), ours(*PORTS), [DROP], comments=["charter-mail", "charter-mail"])) == ["insert", "delete", "delete"]
    assert kinds(base(ours(*PORTS), comments=["charter-mail"])) == ["delete"], "nothing is stopped any more"
    assert kinds(base(ours(*PORTS), [DROP], comments=["somebody's"])) == []
    assert kinds(base([DROP]), [25, 587]) == ["insert"] and kinds(base([DROP]), []) == kinds(base([DROP]), [25]) == []
    assert kinds(base([daddr("192.0.2.1"), *ours(*PORTS)], [DROP], comments=["charter-mail"])) == ["insert", "delete"]
    behind = base([dport(587), DROP], ours(*PORTS), [DROP], comments=["", "charter-mail"])
    assert kinds(behind) == ["insert", "insert", "delete"]
    assert egress_nft.decide(behind, PORTS, []).before == {"inet t out": [465, 993]}
    assert egress_nft.decide(behind, PORTS, []).after == {"inet t out": PORTS}
    # As earlier versions put it: at the front, with ports that need it not.
    front = base(ours(*PORTS), [daddr("192.0.2.1"), DROP], [dport(465), ACCEPT], comments=["charter-mail"], policy="drop")
    expr = ours(587, 993)
    moved = [{"add": {"rule": {**where, "expr": expr, "comment": "charter-mail"}}}, {"delete": {"rule": {**where, "handle": 10}}}]
    assert egress_nft.decide(front, PORTS, []).commands == moved
    shut_in = base(ours(*PORTS), [meta("oifname", "lo"), ACCEPT], TUNNEL, comments=["charter-mail"], policy="drop")
    assert egress_nft.decide(shut_in, PORTS, []).commands == moved[1:]
    assert "inet t out is kept shut for TCP 465, 587 and 993: it lets out by interface" in egress_nft.decide(shut_in, PORTS, []).notes[0]


def test_a_ban_that_may_be_in_the_way_is_named_where_nothing_else_is() -> None:
    ban = [daddr("192.0.2.1"), DROP]
    assert egress_nft.decide(base(ban), PORTS, []).notes == []
    decision = egress_nft.decide(base(ban), PORTS, [587])
    assert decision.commands == [] and decision.restricted
    (note,) = decision.notes
    assert note.startswith("the chain inet t out stops some on purpose, by address, user or interface, and is kept so: see")
    assert note.endswith("in the way of TCP 587")


@pytest.mark.parametrize(("table", "flags"), [("firewalld", None), ("vpn", "owner"), ("vpn", ["owner", "persist"]), ("vpn", "vpn")])
def test_chains_of_other_programs_are_only_named(table: str, flags: Any) -> None:
    decision = egress_nft.decide(base([DROP], table=table, flags=flags), PORTS, PORTS)
    assert decision.commands == [] and decision.restricted
    assert len(decision.notes) == 1 and f"inet {table} out" in decision.notes[0]
    assert egress_nft.decide(base([DROP], table=table, flags=flags), PORTS, []).notes == []


def test_a_closed_chain_that_lets_the_ports_out_already_is_restricted_and_left_alone() -> None:
    decision = egress_nft.decide(base([dport({"set": PORTS}), ACCEPT], policy="drop"), PORTS, PORTS)
    assert decision.restricted and decision.commands == []


def test_the_unit_puts_back_each_rule_and_can_be_read_again() -> None:
    listed = "table inet filter {\n\tchain output {\n%s\t}\n}\n"
    opening = '\t\ttcp dport { 465, 587 } accept comment "charter-mail"\n'
    openings = [egress_nft.Opening(2, [587], False), egress_nft.Opening(5, [465, 993], True)]
    chains = [("inet", "filter", "output"), ("inet", "filter", "sub")]
    command = egress_nft.put_back(chains, listed % opening, openings)
    assert command == egress_nft.put_back(chains, listed % "", openings)
    digest = hashlib.sha256((listed % "").encode()).hexdigest()
    assert command == (
        "-/bin/sh -c '{ nft --stateless list chain inet filter output; nft --stateless list chain inet filter sub; }"
        f" | sha256sum | grep -q ^{digest}"
        " && nft add rule inet filter output tcp dport { 465, 993 } accept comment charter-mail"
        " && nft insert rule inet filter output index 2 tcp dport 587 accept comment charter-mail'"
    )
    unit = egress_nft.unit([command, egress_nft.put_back([("ip6", "my-table", "o.1")], "", openings[:1])])
    assert egress_nft.unit_openings(unit) == {"inet filter output": PORTS, "ip6 my-table o.1": [587]}
    assert egress_nft.unit([]) == b""
    earlier = b"ExecStart=-/usr/sbin/nft insert rule inet filter output tcp dport { 465, 587 } accept comment charter-mail\n"
    assert egress_nft.unit_openings(earlier) == {"inet filter output": [465, 587]}


@pytest.mark.parametrize("name", ["%n", "a b", "x\nExecStart=/bin/false"])
def test_a_chain_that_no_file_can_name_is_not_put_back(root: Path, name: str) -> None:
    ruleset = base([DROP], table=name)
    assert egress_nft.unit_of(Machine(root).host, ruleset, egress_nft.decide(ruleset, PORTS, PORTS).openings) == b""


OUTPUT = {"family": "inet", "table": "filter", "name": "output", "type": "filter", "hook": "output", "policy": "drop"}
OUR_RULE = {"family": "inet", "table": "filter", "chain": "output", "handle": 7, "comment": "charter-mail", "expr": ours(*PORTS)}
NFT_CLOSED = json.dumps({"nftables": [{"chain": OUTPUT}]})
NFT_OPENED = json.dumps({"nftables": [{"chain": OUTPUT}, {"rule": OUR_RULE}]})
UNIT = "etc/systemd/system/charter-mail-egress.service"


@pytest.mark.parametrize(
    ("loader", "kept"),
    [
        ("ActiveState=active\nUnitFileState=disabled\n", True),
        ("ActiveState=inactive\nUnitFileState=enabled\n", True),
        ("ActiveState=inactive\nUnitFileState=disabled\n", False),
        ("ActiveState=inactive\nUnitFileState=\n", False),
        ((1, "System has not been booted with systemd as init system"), False),
    ],
)
def test_a_rule_is_kept_over_a_restart_where_nftables_service_loads_the_rules(root: Path, loader: Any, kept: bool) -> None:
    machine = Machine(root, nft=NFT_CLOSED, systemctl="")
    machine.answers["systemctl show --property=ActiveState,UnitFileState nftables.service"] = loader
    result = egress.settle(machine.host, PORTS, PORTS, check=False)
    assert (root / UNIT).exists() == kept
    commands = ["systemctl daemon-reload", "systemctl enable --now charter-mail-egress.service"]
    assert machine.changes("daemon-reload", "enable") == (commands if kept else [])
    assert result["opened"] == PORTS and result["tool"] == "nftables"
    assert ("at every start" in result["diff"]["after"]) == kept
    assert len(machine.changes("--file")) == 1


def test_the_unit_is_written_once_and_goes_with_the_rule(root: Path) -> None:
    machine = Machine(root, nft=NFT_CLOSED, systemctl="ActiveState=active\nUnitFileState=enabled\n")
    assert egress.settle(machine.host, PORTS, PORTS, check=True)["opened"] == PORTS
    assert not (root / UNIT).exists() and machine.changes("daemon-reload", "enable", "--file") == []
    egress.settle(machine.host, PORTS, PORTS, check=False)
    machine.answers["nft"] = NFT_OPENED
    machine.log.clear()
    assert egress.settle(machine.host, PORTS, PORTS, check=False)["changed"] is False
    assert machine.changes("daemon-reload", "enable", "--file") == []
    assert egress.settle(machine.host, [], [], check=True)["closed"] == PORTS
    assert (root / UNIT).exists()
    result = egress.settle(machine.host, [], [], check=False)
    assert result["closed"] == PORTS and not (root / UNIT).exists()
    assert machine.changes("systemctl d") == ["systemctl disable --now charter-mail-egress.service", "systemctl daemon-reload"]


def test_a_unit_that_was_changed_or_stopped_by_hand_is_put_right(root: Path) -> None:
    machine = Machine(root, nft=NFT_OPENED, systemctl="ActiveState=active\nUnitFileState=enabled\n")
    result = egress.settle(machine.host, PORTS, PORTS, check=False)
    assert result["changed"] and result["opened"] == [] and "brought up to date" in result["message"].lower()
    written = (root / UNIT).read_bytes()
    (root / UNIT).write_bytes(b"[Unit]\n")
    assert egress.settle(machine.host, PORTS, PORTS, check=False)["changed"]
    assert (root / UNIT).read_bytes() == written
    machine.answers["systemctl show --property=ActiveState,UnitFileState charter-mail-egress.service"] = (
        "ActiveState=inactive\nUnitFileState=enabled\n"
    )
    assert egress.settle(machine.host, PORTS, PORTS, check=False)["changed"]


def said(*rules: Any, policy: str = "accept", ports: Sequence[int] = (587,), more: Sequence[dict[str, Any]] = ()) -> str:
    """What is said of 587 when it was found shut: it is opened, or why not; empty: the rules do not concern it."""
    ruleset = egress_nft_rules.read(json.dumps({"nftables": [*listed(*rules, policy=policy), *more]}))
    decision = egress_nft.decide(ruleset, ports, ports)
    assert decision.restricted == bool(decision.notes or decision.openings or policy == "drop")
    return "opened" if decision.openings and not decision.notes else "; ".join(decision.notes)


MAY = "the chain inet t out may stop TCP 587: not all of its rules are understood here"
ELEMENT = {"elem": {"val": 587, "limit": {"rate": 1, "per": "second"}}}
L4_PORT = {"concat": [{"meta": {"key": "l4proto"}}, {"payload": {"protocol": "th", "field": "dport"}}]}


def named(kind: str, name: str, **body: Any) -> dict[str, Any]:
    return {kind: {"family": "inet", "table": "t", "name": name, **body}}


@pytest.mark.parametrize(
    "rule",
    [
        # Statements that may be verdicts.
        *([{name: None}] for name in ("xt", "tproxy", "synproxy", "fwd", "dnat", "redirect", "flow", "of tomorrow", "")),
        *([item] for item in (None, "drop", 7, [DROP], {}, {"drop": None, "counter": None}, {"match": None}, {"vmap": 1})),
        [{"queue": {"num": 0}}],
        [{"queue": {"num": "1-3", "flags": ["bypass", "fanout"]}}],
        [{"xt": {"type": "target", "name": "TARPIT"}}],
        [{"xt": {"type": "watcher", "name": "REJECT"}}],
        [dport(587), {"of tomorrow": 1}, ACCEPT],
        # Conditions.
        [{"xt": {"type": "match", "name": "cgroup"}}, DROP],
        [match({"socket": {"key": "cgroupv2"}}, "user.slice"), DROP],
        [match({"osf": {"key": "name"}}, "Linux"), DROP],
        [match({"fib": {"result": "oif", "flags": ["daddr"]}}, False), DROP],
        [match({"fib": {"result": "check", "flags": ["daddr", "mark"]}}, "unicast", "!="), DROP],
        [match({"ct": {"key": "state"}}, {"|": ["established", "related"]}, "!="), DROP],
        [match({"payload": {"protocol": "of tomorrow", "field": "dport"}}, 587), DROP],
        [match({"payload": {"tunnel": "vxlan", "protocol": "tcp", "field": "dport"}}, 587), DROP],
        [match({"payload": {"base": "th", "offset": 16, "len": 16}}, 587), DROP],
        [match({"numgen": {"mode": "inc", "mod": 2}}, 0), DROP],
        [match(None, None), DROP],
        [{"match": {}}, DROP],
        [match({"meta": {"key": "l4proto"}}, "tcp", "~"), DROP],
        [meta("l4proto", 6, ">="), DROP],
        [meta("l4proto", {"prefix": {"addr": 6, "len": 8}}), DROP],
        [meta("of tomorrow", 1), DROP],
        [dport("@nothing"), DROP],
        [dport({"set": [ELEMENT]}), DROP],
        [dport({"range": ["a", "z"]}), DROP],
        [dport({"set": [25, {"of tomorrow": 1}]}), DROP],
        [match(L4_PORT, "@nothing"), DROP],
        [match(L4_PORT, {"set": [587]}), DROP],
        [match(L4_PORT, {"set": [{"concat": ["tcp"]}]}), DROP],
        [match(L4_PORT, {"set": [{"concat": ["tcp", "submission"]}]}), DROP],
        [match(L4_PORT, {"set": [{"concat": ["tcp", {"of tomorrow": 1}]}]}, "!="), DROP],
        [match(L4_PORT, {"set": [{"concat": ["tcp", 587]}]}, "<"), DROP],
        [match({"concat": "l4proto"}, {"set": [{"concat": ["tcp", 587]}]}), DROP],
        # Where the packet goes then.
        [{"jump": {"target": "nowhere"}}],
        [{"goto": None}],
        [{"jump": {"target": "out"}}],
        [{"vmap": {}}],
        *([{"vmap": {"key": {"meta": {"key": "l4proto"}}, "data": data}}] for data in (None, "@nothing", {"set": 5}, {"set": [["tcp"]]})),
        [{"vmap": {"key": {"meta": {"key": "l4proto"}}, "data": {"set": [["tcp", {"of tomorrow": None}]]}}}],
        [{"vmap": {"key": {"meta": {"key": "l4proto"}}, "data": {"set": [["tcp", None]]}}}],
        [{"vmap": {"key": {"of tomorrow": 1}, "data": {"set": [[1, DROP]]}}}],
    ],
)
def test_what_is_not_understood_may_stop_a_port(rule: list[Any]) -> None:
    assert said(rule) == MAY
    assert said([dport(587), ACCEPT], rule) == "", "nothing gets there"
    # Nothing is opened before it; nor behind it, when it may as well let some out on purpose.
    behind = said(rule, [DROP])
    assert behind.startswith("the chain inet t out is kept shut for TCP 587: a rule that is not understood here may") or behind == MAY
    # Nor is there a place where it is behind what stops everybody.
    assert said([dport(587), DROP], rule).startswith("the chain inet t out is kept shut for TCP 587: ")
    assert "not understood here" in said([dport(587), DROP], rule)


@pytest.mark.parametrize(
    "rule",
    [
        [],
        [{"continue": None}],
        [meta("l4proto", "udp"), {"tproxy": {"port": 9}}],
        [dport(25), {"jump": {"target": "nowhere"}}],
        [match(L4_PORT, {"set": [{"concat": ["udp", {"of tomorrow": 1}]}]}), DROP],
        [match(L4_PORT, {"set": []}), DROP],
        [dport(25), {"queue": {"num": 0}}],
        [{"vmap": {"key": {"meta": {"key": "l4proto"}}, "data": {"set": [["udp", {"of tomorrow": 1}], ["tcp", {"continue": None}]]}}}],
        [{"counter": {"packets": 1, "bytes": 2}}, {"log": None}, {"mangle": {"key": {"meta": {"key": "mark"}}, "value": 1}}],
    ],
)
def test_what_can_be_proved_not_to_concern_a_port_restricts_nothing(rule: list[Any]) -> None:
    assert said(rule) == ""
    assert said(rule, [DROP]) == "opened"


def test_a_rule_for_another_port_stops_none_but_may_let_out_by_the_way() -> None:
    rule = [dport(25), {"of tomorrow": 1}]
    assert said(rule) == "" and "may let some out on purpose" in said(rule, policy="drop")
    assert said([dport(80), ACCEPT], rule, policy="drop") == "opened", "others are let out everywhere"


def test_what_may_stop_a_port_is_told_beside_what_is_opened() -> None:
    second = {"family": "inet", "table": "t", "name": "late", "type": "filter", "hook": "output", "policy": "accept"}
    rule = {"family": "inet", "table": "t", "chain": "late", "handle": 1, "expr": [meta("day", "Sunday"), DROP]}
    assert said([DROP], more=[{"chain": second}, {"rule": rule}]) == MAY.replace(" out ", " late ")
    # Behind what is not understood, and before what stops all.
    assert said([meta("day", "Sunday"), DROP], [DROP]) == MAY
    decision = egress_nft.decide(base([meta("day", "Sunday"), DROP], [DROP]), [587], [587])
    assert decision.openings == {("inet", "t", "out"): [egress_nft.Opening(1, [587], False)]}
    assert egress_nft.decide(base([meta("day", "Sunday"), DROP], [DROP]), [587], []).notes == [], "it works"


def test_a_listing_that_leaves_out_what_is_known_else_is_no_proof() -> None:
    chain = named("chain", "out", type="filter", hook="output")
    rule = {"family": "inet", "table": "t", "chain": "out", "handle": 9}

    def one(*items: Any) -> str:
        decision = egress_nft.decide(egress_nft_rules.read(json.dumps({"nftables": list(items)})), [587], [587])
        return "; ".join(decision.notes) or ("opened" if decision.openings else "")

    policy = named("chain", "out", type="filter", hook="output", policy="accept")
    assert one(chain) == MAY, "nobody says what happens at the end"
    assert one(named("chain", "out", type="filter", hook="output", policy="of tomorrow")) == MAY
    assert one(policy) == one(policy, {"rule": rule}) == one(policy, {"rule": {**rule, "expr": []}}) == ""
    assert one(policy, {"rule": {**rule, "expr": {"drop": None}}}) == "opened"
    assert one(policy, {"rule": {**rule, "expr": 5}}) == MAY
    assert one(policy, {"rule": {**rule, "expr": [dport("@s"), DROP]}}, named("set", "s", elem=5)) == MAY
    assert one(policy, {"rule": {**rule, "expr": [dport("@s"), DROP]}}, named("set", "s")) == ""
    assert one(policy, {"rule": {**rule, "comment": 5, "expr": [DROP]}}) == "opened"
    assert one(policy, {"of tomorrow": 5}, {"rule": {**rule, "chain": "unlisted", "expr": [DROP]}}) == ""
    other = named("chain", "out", type="of tomorrow", hook="output", policy="accept")
    assert one(other, {"rule": {**rule, "expr": [DROP]}}).startswith("the chain inet t out may stop TCP 587, and nothing is opened in")


def test_depth_is_no_way_around_a_judgement() -> None:
    deep: Any = 1
    for _ in range(150):
        deep = {"&": [deep, 1]}
    assert said([match(deep, 1), DROP]) == MAY
    chains = [named("chain", f"c{number}") for number in range(400)]
    jumps = [
        {"rule": {"family": "inet", "table": "t", "chain": f"c{n}", "handle": 1, "expr": [{"jump": {"target": f"c{n + 1}"}}]}}
        for n in range(400)
    ]
    assert said([{"jump": {"target": "c0"}}], more=[*chains, *jumps]) == MAY
    assert said([dport(25), {"jump": {"target": "c0"}}], more=[*chains, *jumps]) == ""


def test_one_table_among_many_is_dormant_as_the_text_has_it(root: Path) -> None:
    """In JSON nft 1.0.6 writes for a table's flags what happens to be in memory."""
    out = {"type": "filter", "hook": "output", "policy": "drop", "name": "out"}
    mine = {"family": "inet", "chain": "out", "handle": 7, "comment": "charter-mail", "expr": ours(*PORTS)}
    items = [
        part
        for table in ("a", "b c")
        for part in (
            {"table": {"family": "inet", "name": table, "flags": "Lester Gooch #5"}},
            {"chain": {"family": "inet", "table": table, **out}},
            {"rule": {**mine, "table": table}},
        )
    ]
    machine = Machine(root, nft="", systemctl="")
    machine.answers["nft --json"] = json.dumps({"nftables": items})
    text = "table inet a {\n\tflags dormant\n\n\tset s {\n\t\tflags interval\n\t}\n}\n"
    text += "table inet b c { # progname vpn\n\tflags owner,persist\n}\n"
    machine.answers["nft --stateless list ruleset"] = text
    result = egress.settle(machine.host, PORTS, PORTS, check=True)
    assert "the chain inet b c out is left to the program that owns it" in result["message"]
    assert "the chain inet b c out keeps a rule of ours for TCP 465, 587 and 993" in result["message"]
    assert "the chain inet a out is in a dormant table: our rule for TCP 465, 587 and 993 there has no effect" in result["message"]
    assert not result["changed"]
    result = egress.settle(machine.host, [], [], check=False)
    assert result["closed"] == PORTS and len(machine.changes('"delete"')) == 1 and '"table": "a"' in machine.changes('"delete"')[0]


LEGACY = "# Generated\n*filter\n:INPUT DROP [0:0]\n:OUTPUT %s [0:0]\n%s\nCOMMIT\n"


@pytest.mark.parametrize(
    ("save", "told"),
    [
        (LEGACY % ("ACCEPT", "-A INPUT -j DROP"), False),
        (LEGACY % ("ACCEPT", "-A OUTPUT -o eth0 -j ACCEPT\n-A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE"), False),
        (LEGACY % ("DROP", ""), True),
        (LEGACY % ("ACCEPT", "-A OUTPUT -p tcp -j REJECT --reject-with tcp-reset"), True),
        (LEGACY % ("ACCEPT", "-A OUTPUT -j mine"), True),
        (LEGACY % ("ACCEPT", "-A OUTPUT"), True),
        ((1, "cannot"), True),
        (None, True),
    ],
)
def test_what_nft_does_not_list_may_stop_a_port_as_well(root: Path, save: Any, told: bool) -> None:
    machine = Machine(root, nft='{"nftables": []}')
    machine.answers["cat /proc/net/ip_tables_names"] = "filter\n"
    if save is not None:
        machine.answers["iptables-legacy-save"] = save
    result = egress.settle(machine.host, PORTS, [587], check=False)
    note = "; iptables-legacy may stop TCP 587, and nothing is opened there: see by hand."
    assert result["message"].endswith(note) == told and result["restricted"] == told and not result["changed"]
    assert not egress.settle(machine.host, PORTS, [], check=False)["restricted"]
    machine.answers["cat /proc/net/ip_tables_names"] = "\n"
    machine.log.clear()
    assert not egress.settle(machine.host, PORTS, [587], check=False)["restricted"]
    assert not machine.changes("legacy"), "asking would make the tables"


# --- ufw

STATUS = """\
Status: active
Logging: on (low)
Default: deny (incoming), %s (outgoing), disabled (routed)
New profiles: skip

To                         Action      From
--                         ------      ----
22/tcp                     ALLOW IN    Anywhere
"""
# What ufw 0.36.2 writes into user.rules and user6.rules; ANY is 0.0.0.0/0 or ::/0.
USER_RULES = """\
*filter
:ufw-user-input - [0:0]
### RULES ###

### tuple ### allow tcp 22 ANY any ANY in
-A ufw-user-input -p tcp --dport 22 -j ACCEPT

### tuple ### allow any 123 ANY any ANY out_eth0

### tuple ### deny tcp 587 ANY any ANY out comment=6974206973202771756f74656427

### tuple ### reject_log any any 203.0.113.0/24 any ANY out

### tuple ### allow tcp 465,587 ANY any ANY Mail%20submission - out

### tuple ### route:allow any any ANY any ANY in_eth0!out_eth1

### tuple ### allow tcp 587 ANY 1:65535 ANY out comment=636861727465722d6d61696c
### END RULES ###
"""
MINE = "allow tcp %s ANY 1:65535 ANY out comment=636861727465722d6d61696c"
EARLIER = "allow tcp %s ANY any ANY out comment=636861727465722d6d61696c"


def families(
    *four: str, six: Sequence[str] | None = None, before: Sequence[str] = (), after: Sequence[str] = ()
) -> list[egress_ufw.Family]:
    """The rules of user.rules, and of user6.rules where they are not the same; lines of before.rules and after.rules."""
    framework = "".join("\n".join(["*filter", *lines, "COMMIT\n"]) for lines in (before, after))
    lists = [[line.replace("ANY", name) for line in rules] for rules, name in ((four, "0.0.0.0/0"), (four if six is None else six, "::/0"))]
    return [egress_ufw.Family(egress_ufw.read_rules("".join(f"### tuple ### {line}\n" for line in rules)), framework) for rules in lists]


def test_ufw_s_rules_are_read_as_it_writes_them() -> None:
    rules = egress_ufw.read_rules(USER_RULES.replace("ANY", "::/0"))
    assert [(rule.action, rule.proto, rule.ports, rule.apps, rule.way, rule.ours) for rule in rules] == [
        ("allow", "tcp", "22", (), "in", False),
        ("allow", "any", "123", (), "out_eth0", False),
        ("deny", "tcp", "587", (), "out", False),
        ("reject_log", "any", "any", (), "out", False),
        ("allow", "tcp", "465,587", ("Mail%20submission", "-"), "out", False),
        ("route:allow", "any", "any", (), "in_eth0!out_eth1", False),
        ("allow", "tcp", "587", (), "out", True),
    ]
    assert rules[2].comment == "it is 'quoted'" and rules[3].destination == "203.0.113.0/24"
    assert " ".join(rules[6].delete) == "ufw delete allow out proto tcp from any port 1:65535 to any port 587"
    with pytest.raises(Failed, match="left alone"):
        egress_ufw.read_rules("### tuple ### allow tcp\n")


@pytest.mark.parametrize(
    ("outgoing", "rules", "place"),
    [
        ("allow", [], (False, False, 0, 0)),
        ("deny", [], (True, False, 0, 0)),
        ("reject", ["allow any 587 ANY any ANY out"], (False, False, 0, 0)),
        ("deny", ["allow tcp 500:600 ANY any ANY out"], (False, False, 0, 0)),
        ("deny", ["allow udp 587 ANY any ANY out"], (True, False, 0, 1)),
        ("deny", ["allow any any 192.0.2.1 any ANY out"], (True, False, 0, 1)),
        ("deny", ["allow tcp 587 ANY any ANY in", "route:allow any any ANY any ANY in_eth0!out_eth1"], (True, False, 0, 2)),
        ("deny", ["limit tcp 587 ANY any ANY out"], (False, False, 0, 0)),
        ("deny", ["allow tcp 465,587 ANY any ANY Mail%20submission - out"], (False, False, 0, 0)),
        ("allow", ["deny tcp 25,587 ANY any ANY out", "allow any 53 ANY any ANY out"], (True, False, 0, 0)),
        ("allow", ["deny any any ANY any ANY out_lo"], (False, False, 0, 0)),
        # After every ban.
        ("deny", ["deny any any 203.0.113.9 any ANY out", "allow tcp 80 ANY any ANY out"], (True, False, 1, 2)),
        ("deny", ["reject_log any any ANY any 192.0.2.7 out"], (True, False, 1, 1)),
        ("allow", ["reject any any ANY any ANY out", "deny any any 203.0.113.9 any ANY out"], (True, False, 0, 0)),
        ("allow", ["deny any 587 ANY any ANY out", "deny any any 203.0.113.9 any ANY out"], (True, False, 2, 0)),
        ("allow", ["deny any any ANY any ANY out_eth0"], (False, False, 1, 0)),
        # Where it lets out by the way.
        ("deny", ["allow any any ANY any ANY out_tun0"], (True, True, 0, 1)),
        ("deny", ["allow any any ANY any 10.8.0.2 out"], (True, True, 0, 1)),
        ("deny", ["allow tcp 443 ANY any ANY out", "allow tcp 993 ANY any ANY out_tun0"], (True, True, 0, 2)),
        ("deny", ["allow udp 123 ANY any ANY out_eth0"], (True, False, 0, 1)),
    ],
)
def test_the_place_of_our_rule_among_ufw_s(outgoing: str, rules: list[str], place: tuple[Any, ...]) -> None:
    assert families(*rules)[0].place(outgoing, 587)[:4] == place


OWN = "-A ufw-before-output -o lo -j ACCEPT", "-A ufw-before-output -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"


@pytest.mark.parametrize(
    ("before", "after", "bar"),
    [
        (OWN, [], ""),
        (["-A ufw-before-input -i tun0 -j ACCEPT", "-A ufw-before-output -p udp --dport 53 -j ACCEPT"], [], ""),
        (["-A ufw-before-output -p icmp -j ACCEPT", "-A ufw-before-output -d 203.0.113.0/24 -j DROP"], [], ""),
        (["-A ufw-before-output -p tcp -m multiport --dports 80,443 -j ACCEPT"], [], ""),
        (["-A ufw-before-output -o tun0 -j ACCEPT"], [], "by interface"),
        (["-A ufw-before-output ! -o lo -m owner --uid-owner 110 -j ACCEPT"], [], "by interface"),
        (["-A ufw-before-output ! -d 203.0.113.0/24 -j ACCEPT"], [], "by interface"),
        (["-I OUTPUT -o wg+ -j ACCEPT"], [], "by interface"),
        (["-A ufw-before-output -j mine"], [], "not understood"),
        (["-A ufw-before-output ! -o wg0 -m conntrack --ctstate NEW -j REJECT"], [], ""),
        (["-A ufw-before-output -p tcp --dport 587 -j DROP"], [], "would override"),
        ([], ["-A ufw-after-output -d 203.0.113.0/24 -j DROP"], "would override"),
        (["-A OUTPUT -d 203.0.113.0/24 -j DROP"], [], "would override"),
        ([], ["-A ufw-after-input -d 203.0.113.0/24 -j DROP"], ""),
        ([], ["-A ufw-after-output -m owner --uid-owner 1002 -j REJECT"], "would override"),
        ([], ["-A ufw-after-output -j LOG --log-prefix 'no -A'"], ""),
        ([], ["-A ufw-after-output 'unbalanced -j DROP"], "not understood"),
    ],
)
def test_ufw_s_other_files_are_read(before: Sequence[str], after: Sequence[str], bar: str) -> None:
    four, _ = families("allow tcp 22 ANY any ANY in", before=before, after=after)
    place = four.place("deny", 587)
    assert (bar in place.obstacle(place.last)) if bar else (place.obstacle(place.last) == "")
    assert families(before=[], after=[])[0]._replace(framework="\n".join(["*nat", *before])).place("deny", 587)[:4] == (True, False, 0, 0)


ADD = "allow out proto tcp from any port 1:65535 to any port %s comment charter-mail"
DELETE = "ufw delete allow out proto tcp from any port 1:65535 to any port %s"
DELETE_EARLIER = "ufw delete allow out proto tcp from any to any port %s"
BAN, BAN_6 = "deny any any 203.0.113.9 any ANY out", "deny any any 2001:db8::9 any ANY out"


@pytest.mark.parametrize(
    "case",
    [
        ("deny", [], None, PORTS, PORTS, ["ufw " + ADD % "465,587,993"]),
        ("deny", [], None, PORTS, [587], ["ufw " + ADD % "587"]),
        ("deny", [], None, PORTS, [], []),
        ("allow", [], None, PORTS, PORTS, []),
        (
            "allow",
            ["allow any 53 ANY any ANY out", BAN, "deny tcp 587 ANY any ANY out"],
            None,
            PORTS,
            PORTS,
            ["ufw insert 3 " + ADD % "587"],
        ),
        # A profile with two rules has one number.
        (
            *("allow", ["allow tcp 80 ANY any ANY Web - in", "allow udp 80 ANY any ANY Web - in", "deny tcp 587 ANY any ANY out"], None),
            *(PORTS, PORTS, ["ufw insert 2 " + ADD % "587"]),
        ),
        ("deny", ["deny tcp 587 ANY any ANY out"], None, PORTS, PORTS, ["ufw " + ADD % "465,993", "ufw insert 1 " + ADD % "587"]),
        ("allow", [MINE % "587"], None, PORTS, [], [DELETE % "587"]),
        ("deny", [MINE % "465,587,993"], None, PORTS, [], []),
        ("deny", [MINE % "465,587,993"], [], PORTS, [], []),
        ("deny", [MINE % "465,587,993"], None, [], [], [DELETE % "465,587,993"]),
        ("deny", [MINE % "465,587,993"], None, [587], [], [DELETE % "465,587,993", "ufw " + ADD % "587"]),
        ("deny", [MINE % "587"], None, PORTS, [993], [DELETE % "587", "ufw " + ADD % "587,993"]),
        ("deny", [EARLIER % "587", "allow any 53 ANY any ANY out"], None, PORTS, [], []),
        ("deny", [EARLIER % "587", BAN], None, PORTS, [], [DELETE_EARLIER % "587", "ufw " + ADD % "587"]),
        ("deny", [EARLIER % "587"], [EARLIER % "587", BAN_6], PORTS, [], [DELETE_EARLIER % "587", "ufw " + ADD % "587"]),
        ("deny", [EARLIER % "587", "allow any any ANY any ANY out_tun0"], None, PORTS, [], [DELETE_EARLIER % "587"]),
        ("deny", ["allow any any ANY any ANY out_tun0"], None, PORTS, PORTS, []),
        ("deny", ["allow tcp 587 ANY any ANY out comment=736f6d65626f6479"], None, [], [], []),
        # Before the same rule of the other family, where it is there; else at the end, where it overrides nothing.
        ("allow", [BAN, "deny any any ANY any ANY out"], ["deny any any ANY any ANY out"], [587], [587], ["ufw insert 2 " + ADD % "587"]),
        ("allow", ["deny any any ANY any ANY out"], ["deny any any ANY any ANY out", BAN_6], [587], [587], ["ufw insert 1 " + ADD % "587"]),
        ("allow", ["deny any 587 ANY any ANY out"], ["deny any 587 ANY any ANY out", BAN_6], [587], [587], []),
        ("allow", ["deny any 587 ANY any ANY out"], [BAN_6], [587], [587], ["ufw insert 1 " + ADD % "587"]),
    ],
)
def test_ufw_gets_our_rule_at_its_place(
    case: tuple[str, list[str], list[str] | None, list[int], list[int], list[str]],
) -> None:
    outgoing, rules, six, ports, shut, commands = case
    decision = egress_ufw.decide(outgoing, families(*rules, six=six), ports, shut)
    assert [" ".join(command) for command in decision.commands] == commands


def ufw(root: Path, outgoing: str, *rules: str) -> Machine:
    """A machine whose ufw has these rules, and takes no others."""
    folder = root / "etc/ufw"
    folder.mkdir()
    for name, any_ in (("user.rules", "0.0.0.0/0"), ("user6.rules", "::/0")):
        (folder / name).write_text("".join(f"### tuple ### {rule}\n" for rule in rules).replace("ANY", any_))
    return Machine(root, ufw="", ufw_status=STATUS % outgoing)


def test_a_rule_that_did_not_come_where_it_belongs_is_taken_out_and_told(root: Path) -> None:
    machine = ufw(root, "deny", BAN)
    file = root / "etc/ufw/user.rules"
    run = machine.host.run

    def misplace(argv: Sequence[str], text: str) -> tuple[int, str, str]:
        if argv[1] == "allow":
            file.write_text(f"### tuple ### {MINE % 587}\n### tuple ### {BAN}\n".replace("ANY", "0.0.0.0/0"))
        return run(argv, text)

    machine.host.run = misplace
    with pytest.raises(Failed, match="ufw did not put our rule where it belongs, so it was taken out again; let TCP 587 out by hand"):
        egress.settle(machine.host, PORTS, [587], check=False)
    assert machine.changes("allow") == ["ufw " + ADD % "587", DELETE % "587"]


def test_what_ufw_keeps_shut_is_told(root: Path) -> None:
    machine = ufw(root, "deny", "allow any any ANY any ANY out_tun0")
    assert egress.settle(machine.host, PORTS, [587], check=False)["message"] == (
        "Nothing was changed in ufw; ufw is kept shut for TCP 587: it lets out by interface, user, mark or address, "
        "which an opening would get past."
    )


@pytest.mark.parametrize("text", ["", "Status: on\n", "Status: active\n", "Status: active\nDefault: deny (incoming)\n"])
def test_a_ufw_that_does_not_say_what_it_does_is_left_alone(text: str) -> None:
    with pytest.raises(Failed, match="left alone"):
        egress_ufw.read_status(text)


def test_too_many_ports_for_one_rule_of_ufw() -> None:
    with pytest.raises(Failed, match="at most 15 ports in one rule, and 16"):
        egress_ufw.decide("deny", families(), list(range(1, 17)), list(range(1, 17)))


# --- firewalld

ACTIVE = """\
allow-host-ipv6
  ingress-zones: ANY
  egress-zones: HOST
egress
  ingress-zones: HOST
  egress-zones: ANY
"""
POLICIES = """\
allow-host-ipv6 (active)
  priority: -15000
  target: CONTINUE
  ingress-zones: ANY
  egress-zones: HOST
  services:
  ports:
  protocols:
  masquerade: no
  forward-ports:
  source-ports:
  icmp-blocks:
  rich rules:
	rule family="ipv6" icmp-type name="neighbour-advertisement" accept
	rule family="ipv6" icmp-type name="redirect" accept

egress (active)
  priority: -1
  target: REJECT
  ingress-zones: HOST
  egress-zones: ANY
  services: dns
  ports: %s
  protocols:
  masquerade: no
  forward-ports:
  source-ports:
  icmp-blocks:
  rich rules:

lan (active)
  priority: -1
  target: DROP
  ingress-zones: HOST
  egress-zones: trusted
  services:
  ports:
  protocols:
  masquerade: no
  forward-ports:
  source-ports:
  icmp-blocks:
  rich rules:
"""
RUN, LAST = egress_firewalld.RUNTIME, egress_firewalld.PERMANENT


def test_policies_are_read_as_firewall_cmd_prints_them() -> None:
    policies = egress_firewalld.read_policies(POLICIES % "465/tcp 500-586/tcp 993/udp", egress_firewalld.read_active(ACTIVE))
    assert list(policies) == ["allow-host-ipv6", "egress", "lan"]
    assert [name for name, policy in policies.items() if policy.restricting] == ["egress"], "1.3.3 marks inactive ones active"
    assert policies["egress"].allows == ["dns"] and policies["egress"].rich == []
    assert policies["allow-host-ipv6"].rich[1] == 'rule family="ipv6" icmp-type name="redirect" accept'
    policy = policies["egress"]
    assert [port for port in (465, 500, 586, 587, 993) if policy.opens(port)] == [465, 500, 586]
    assert policy.holds(465) and not policy.holds(500)
    with pytest.raises(Failed, match="left alone"):
        egress_firewalld.read_policies("egress\n  ports: 1/tcp\n")


PERMANENTLY, NOW = "firewall-cmd --permanent --policy=egress", "firewall-cmd --policy=egress"


# Running and permanent ports, what we remember, the ports asked for; the commands, what we remember then.
CASES: list[tuple[str, str, Any, list[int], list[str], Any]] = [
    (
        *("465/tcp", "465/tcp", {}, PORTS),
        [f"{PERMANENTLY} --add-port=587/tcp --add-port=993/tcp", f"{NOW} --add-port=587/tcp --add-port=993/tcp"],
        {RUN: [587, 993], LAST: [587, 993]},
    ),
    # Open in the running settings by somebody else: not ours, in neither.
    ("587/tcp", "", {}, [587], [], {RUN: [], LAST: []}),
    # Open in the permanent settings alone, before a reload: they stay somebody else's.
    ("", "587/tcp", {}, [587], [f"{NOW} --add-port=587/tcp"], {RUN: [587], LAST: []}),
    ("587/tcp", "587/tcp", {RUN: [587]}, [], [], {RUN: [], LAST: []}),
    ("587/tcp", "587/tcp", {RUN: [587], LAST: [587]}, [587], [], {RUN: [587], LAST: [587]}),
    (
        *("587/tcp 993/tcp", "587/tcp 993/tcp", {RUN: [587, 993], LAST: [587, 993]}, [587]),
        [f"{PERMANENTLY} --remove-port=993/tcp", f"{NOW} --remove-port=993/tcp"],
        {RUN: [587], LAST: [587]},
    ),
    # Swallowed by somebody's range: it cannot be taken out of it.
    ("500-600/tcp", "500-600/tcp", {RUN: [587], LAST: [587]}, [], [], {RUN: [], LAST: []}),
    # Taken out by hand: it is put back.
    (
        *("", "", {RUN: [587], LAST: [587]}, [587]),
        [f"{PERMANENTLY} --add-port=587/tcp", f"{NOW} --add-port=587/tcp"],
        {RUN: [587], LAST: [587]},
    ),
]


@pytest.mark.parametrize("case", CASES)
def test_firewalld_s_ports_that_were_open_are_not_ours(case: tuple[str, str, Any, list[int], list[str], Any]) -> None:
    running, permanent, mine, ports, commands, left = case
    active = egress_firewalld.read_active(ACTIVE)
    both = [egress_firewalld.read_policies(POLICIES % text, active) for text in (running, permanent)]
    shut = [port for port in ports if not both[0]["egress"].opens(port)]
    decision = egress_firewalld.decide(both[0], both[1], {"egress": mine}, ports, shut)
    assert [" ".join(change.command) for change in decision.changes] == commands
    assert decision.record["egress"] == left


def policies(*rich: str, **others: str) -> dict[str, egress_firewalld.Policy]:
    """The policy `egress` with these rich rules; others by name: zone and target, then ports and rich rules."""
    text = POLICIES % "" + "".join(
        f"{name} (active)\n  target: {said.split()[1]}\n  ingress-zones: HOST\n  egress-zones: {said.split()[0]}\n"
        f"  ports: {' '.join(said.split()[2:])}\n"
        for name, said in others.items()
    )
    rules = "".join(f"\t{rule}\n" for rule in rich)
    head, tail = text.split("egress-zones: ANY\n", 1)
    text = head + "egress-zones: ANY\n" + tail.replace("  rich rules:\n", "  rich rules:\n" + rules, 1)
    return egress_firewalld.read_policies(text, ["egress", *others])


ADDRESS, WHO = 'rule family="ipv4" destination address="203.0.113.0/24" reject', 'rule family="ipv4" source address="10.8.0.2" accept'


@pytest.mark.parametrize(
    ("rich", "others", "kept"),
    [
        ([], {}, ""),
        # Rich rules that deny come before ports, unless their priority is above 0.
        ([ADDRESS], {}, ""),
        ([ADDRESS.replace("rule", 'rule priority="-5"')], {}, ""),
        ([ADDRESS.replace("rule", 'rule priority="5"')], {}, "the policy egress is kept shut for TCP 587: an opening would override"),
        (['rule port port="587" protocol="tcp" drop'], {}, "the policy egress is kept shut for TCP 587: an opening would override"),
        (['rule priority="5" port port="500-600" protocol="tcp" drop'], {}, ""),
        (['rule priority="5" port port="25" protocol="tcp" drop'], {}, ""),
        (['rule priority="5" service name="smtp" drop'], {}, "the policy egress is kept shut for TCP 587: an opening would override"),
        (['rule priority="5" protocol value="udp" reject', 'rule priority="6" icmp-type name="echo-request" drop'], {}, ""),
        (['rule priority="5" protocol value="tcp" reject type="tcp-reset"'], {}, ""),
        (
            ['rule priority="5" protocol value="tcp" source address="10.8.0.2" log limit value="3/m" drop'],
            *({}, "the policy egress is kept shut for TCP 587: an opening would override"),
        ),
        (['rule priority="-5" log prefix="out" level="info" limit value="3/m"'], {}, ""),
        (['rule priority="5" "unbalanced drop'], {}, "the policy egress is kept shut for TCP 587: an opening would override"),
        (['rule priority="5" family="ipv6" drop'], {}, "the policy egress is kept shut for TCP 587: an opening would override"),
        # By the way.
        ([WHO], {}, "the policy egress is kept shut for TCP 587: it lets out by interface"),
        ([WHO.replace("source", "destination")], {}, ""),
        ([WHO.replace("source", "destination NOT")], {}, "the policy egress is kept shut for TCP 587: it lets out by interface"),
        ([], {"vpn": "tunnel ACCEPT"}, "the policy egress is kept shut for TCP 587: it lets out by interface"),
        ([], {"vpn": "tunnel CONTINUE 993/tcp"}, "the policy egress is kept shut for TCP 587: it lets out by interface"),
        ([], {"vpn": "tunnel CONTINUE"}, ""),
        ([], {"second": "ANY CONTINUE 80/tcp"}, ""),
    ],
)
def test_firewalld_s_port_is_added_where_it_overrides_nothing(rich: list[str], others: dict[str, str], kept: str) -> None:
    running = policies(*rich, **others)
    decision = egress_firewalld.decide(running, {}, {}, [587], [587])
    assert [" ".join(change.command) for change in decision.changes] == ([] if kept else [f"{NOW} --add-port=587/tcp"])
    assert [note.startswith(kept) for note in decision.notes] == ([True] if kept else [])
    assert egress_firewalld.decide(running, {}, {}, [587], []).changes == [], "a port that works is not touched"
    # An earlier version had it added all the same.
    opened = {**running, "egress": running["egress"]._replace(ports=["587/tcp"])}
    decision = egress_firewalld.decide(opened, {}, {"egress": {RUN: [587]}}, [587], [])
    assert [" ".join(change.command) for change in decision.changes] == ([f"{NOW} --remove-port=587/tcp"] if kept else [])


def test_a_policy_for_some_zones_is_somebody_s_ban() -> None:
    running = {"out": policies(out="public DROP 993/tcp 587/tcp")["out"]}
    decision = egress_firewalld.decide(running, {}, {"out": {RUN: [587]}}, PORTS, [465])
    assert [" ".join(change.command) for change in decision.changes] == ["firewall-cmd --policy=out --remove-port=587/tcp"]
    assert "the policy out stops some on purpose" in decision.notes[0] and "TCP 465" in decision.notes[0]


def firewalld(root: Path, ports: str) -> Machine:
    return Machine(
        root,
        **{
            "firewall-cmd": "success\n",
            "firewall-cmd_--state": "running\n",
            "firewall-cmd_--get-active-policies": ACTIVE,
            "firewall-cmd_--list-all-policies": POLICIES % ports,
            "firewall-cmd_--permanent_--list-all-policies": POLICIES % ports,
        },
    )


def test_what_firewalld_got_is_remembered_before_it_gets_it_and_forgotten_after(root: Path) -> None:
    record = root / "var/lib/charter-mail/firewall.json"
    machine = firewalld(root, "465/tcp")
    assert egress.settle(machine.host, PORTS, PORTS, check=True)["opened"] == [587, 993]
    assert not record.parent.exists()
    machine.answers["firewall-cmd --policy"] = (1, "Error: COMMAND_FAILED")
    with pytest.raises(Failed, match="COMMAND_FAILED"):
        egress.settle(machine.host, PORTS, PORTS, check=False)
    assert json.loads(record.read_text())["firewalld"] == {"egress": {RUN: [587, 993], LAST: [587, 993]}}
    assert record.stat().st_mode & 0o777 == 0o600 and record.parent.stat().st_mode & 0o777 == 0o700
    machine = firewalld(root, "465/tcp 587/tcp 993/tcp")
    assert egress.settle(machine.host, PORTS, PORTS, check=False)["changed"] is False
    result = egress.settle(machine.host, [], [], check=False)
    assert result["closed"] == [587, 993] and not record.exists()
    assert not machine.changes("465/tcp", "--reload")


def test_a_firewalld_that_stands_still_keeps_our_ports_and_we_say_so(root: Path) -> None:
    machine = firewalld(root, "")
    egress.settle(machine.host, PORTS, PORTS, check=False)
    machine.answers["firewall-cmd --state"] = (252, "not running")
    result = egress.settle(machine.host, [], [], check=False)
    assert result["tool"] == "none" and not result["changed"] and "firewalld is not running" in result["message"]
    assert (root / "var/lib/charter-mail/firewall.json").exists()


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1]", b'{"version": 1, "firewalld": {"x": {"y": [1]}}}', b'{"version": 9, "firewalld": {}}']
)
def test_a_damaged_memory_is_not_taken_for_empty(content: bytes) -> None:
    with pytest.raises(Failed, match="firewall.json"):
        egress_firewalld.read_record(content)


# --- the machine's own tool


def test_the_first_tool_that_is_at_work_is_the_machine_s(root: Path) -> None:
    machine = firewalld(root, "")
    machine.answers |= {"ufw status": STATUS % "deny", "ufw": "", "nft": NFT_CLOSED}
    assert egress.settle(machine.host, PORTS, PORTS, check=True)["tool"] == "firewalld"
    machine.answers["firewall-cmd --state"] = (252, "not running")
    assert egress.settle(machine.host, PORTS, PORTS, check=True)["tool"] == "ufw"
    machine.answers["ufw status"] = "Status: inactive\n"
    assert egress.settle(machine.host, PORTS, PORTS, check=True)["tool"] == "nftables"
    machine.answers["nft"] = '{"nftables": []}'
    assert egress.settle(machine.host, PORTS, PORTS, check=False) == {
        "changed": False,
        "tool": "none",
        "restricted": False,
        "opened": [],
        "closed": [],
        "message": "Nothing to do, because none of firewalld, ufw and nftables is at work on outgoing connections.",
        "diff": {
            "before": "",
            "after": "",
            "before_header": "outgoing TCP ports opened by charter-mail",
            "after_header": "outgoing TCP ports opened by charter-mail",
        },
    }
    assert egress.settle(Machine(root).host, PORTS, PORTS, check=False)["tool"] == "none"


def test_a_machine_that_changed_its_tool_has_the_old_rule_taken_back_last(root: Path) -> None:
    machine = ufw(root, "deny", MINE % "465,587,993")
    machine.answers["nft"] = NFT_OPENED
    result = egress.settle(machine.host, PORTS, PORTS, check=False)
    assert (result["tool"], result["opened"], result["closed"]) == ("ufw", [], PORTS)
    assert len(machine.changes("delete")) == 1


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (
            {"nft": (1, "\x1b[31mOperation not permitted (you must be root)\nnetlink: more\n")},
            "nft --json list ruleset.* failed:.*not permitted",
        ),
        ({"nft": "no json"}, "not understood here"),
        ({"nft": '{"nftables": [{"rule": {}}]}'}, "not understood here"),
        ({"nft": "[" * 100000}, "not understood here"),
        ({"ufw": (1, "ERROR: problem running")}, "problem running"),
    ],
)
def test_what_goes_wrong_is_one_sentence(root: Path, answers: dict[str, Any], words: str) -> None:
    with pytest.raises(Failed, match=words) as caught:
        egress.settle(Machine(root, **answers).host, PORTS, PORTS, check=False)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 300


def test_a_command_is_ended_when_it_hangs_and_told_when_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress_host, "SECONDS", 0.2)
    with pytest.raises(Failed, match='"sleep 60" did not end within'):
        egress_host.run(["sleep", "60"], "")
    assert egress_host.run(["charter-mail-no-such-command"], "")[0] == MISSING
    monkeypatch.setattr(egress_host, "SECONDS", 30)
    assert egress_host.run(["sh", "-c", "echo $LC_ALL; cat; echo no >&2; exit 3"], "in\n") == (3, "C\nin\n", "no\n")


def test_a_file_is_written_when_it_says_something_else(root: Path) -> None:
    host, file = Machine(root).host, root / "var/lib/new/file"
    host.write("/var/lib/new/file", None)
    assert not file.parent.exists()
    host.write("/var/lib/new/file", b"one", 0o644)
    inode = file.stat().st_ino
    host.write("/var/lib/new/file", b"one")
    assert (file.stat().st_ino, file.stat().st_mode & 0o777) == (inode, 0o644)
    host.write("/var/lib/new/file", b"two")
    assert file.read_bytes() == b"two"
    host.write("/var/lib/new/file", None)
    assert host.read("/var/lib/new/file") is None
    file.mkdir()
    with pytest.raises(Failed, match="/var/lib/new/file cannot be read"):
        host.write("/var/lib/new/file", b"three")


# --- whatever the tools print

WORDS = """match left right op payload protocol field meta key ct vmap data set range elem val jump target accept drop limit queue return
goto xt concat fib flags result & stmt map type name tunnel"""
words = st.sampled_from(WORDS.split())
leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["tcp", "@s", "lo", "new", "t"])
junk = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | st.text(max_size=4), inner, max_size=3), max_leaves=20
)
statements = st.one_of(
    junk,
    st.builds(match, st.dictionaries(words, junk, max_size=1), junk, st.sampled_from(["==", "!=", "in", "<"])),
    st.builds(dport, junk),
    st.builds(
        lambda right, op: match(L4_PORT, right, op),
        junk | st.lists(st.builds(lambda v: {"concat": v}, junk)),
        st.sampled_from(["==", "!="]),
    ),
    st.builds(lambda name, body: {name: body}, words, junk),
    st.builds(meta, st.sampled_from(["l4proto", "oif", "nfproto", "skuid"]), junk),
    st.builds(lambda key, pairs: {"vmap": {"key": key, "data": {"set": pairs}}}, junk, junk | st.lists(st.lists(junk, max_size=2))),
    st.sampled_from([DROP, ACCEPT, {"jump": {"target": "out"}}, {"goto": {"target": "out"}}]),
)


@given(st.lists(st.lists(statements, max_size=3), max_size=4), st.sampled_from(["drop", "accept"]), st.booleans())
def test_any_statements_are_judged(rules: list[list[Any]], policy: str, mine: bool) -> None:
    decision = egress_nft.decide(base(*rules, policy=policy, comments=["charter-mail"] if mine else []), PORTS, PORTS)
    json.dumps(decision.commands)
    for openings in decision.openings.values():
        egress_nft.put_back([("inet", "t", "out")], "", openings)


def only_failed(parse: Callable[[Any], object], given_: Any) -> None:
    try:
        parse(given_)
    except Failed as error:
        assert str(error).isprintable()


listings = st.lists(st.dictionaries(st.sampled_from(["rule", "chain", "set", "table"]), junk))


@given(st.dictionaries(st.sampled_from(["nftables", "x"]), junk | listings))
def test_any_json_is_read_or_refused(data: Any) -> None:
    only_failed(egress_nft.read, json.dumps(data))


PIECES = "ufw allow deny out on proto from to any port 587 1:99999999999 comment ' x (active) target:"
pieces = st.sampled_from([*PIECES.split(), "  target:", "x (active)"])
lines = st.lists(st.text(max_size=20) | st.lists(pieces, max_size=9).map(" ".join), max_size=6).map("\n".join)


@given(lines)
def test_any_text_is_read_or_refused(text: str) -> None:
    only_failed(egress_nft_rules.read, text)
    only_failed(egress_ufw.read_status, text)
    only_failed(lambda lines: egress_ufw.Family(egress_ufw.read_rules(lines), lines).place("deny", 587), text)
    only_failed(egress_firewalld.read_policies, text)
    egress_firewalld.read_active(text)
    only_failed(egress_firewalld.read_record, text.encode("utf-8", "surrogatepass"))
    egress_nft.unit_openings(text.encode("utf-8", "surrogatepass"))
