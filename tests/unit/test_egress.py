"""What firewalls say of outgoing mail, and what is to be done about it. The texts are what the real tools printed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils import egress, egress_firewalld, egress_host, egress_nft, egress_ufw
from ansible_collections.msp.charter_mail.plugins.module_utils.egress_host import MISSING, Failed, Host
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


def captured(version: str) -> egress_nft.Ruleset:
    return egress_nft.read((HERE / f"nft-{version}.json").read_text())


def stopped(ruleset: egress_nft.Ruleset, name: str, ports: Sequence[int]) -> list[int]:
    (chain,) = [chain for chain in ruleset.outputs() if chain.name == name]
    return [port for port in ports if egress_nft.Judge(ruleset, port, ours=False).stops(chain)]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("chain", "ports"),
    [
        ("inet closed output", [25, 465, 587, 993]),
        ("inet input_only output", []),
        ("ip sets output", [25, 587]),
        ("inet maps output", [587]),
        ("inet special output", []),
        ("inet ends output", [25, 465, 587]),
        ("ip6 relay output", [587]),
        ("ip filter OUTPUT", [25, 587, 993]),
    ],
)
def test_which_chain_stops_which_port(version: str, chain: str, ports: list[int]) -> None:
    assert stopped(captured(version), chain, [25, 465, 587, 993]) == ports


def test_a_chain_that_sleeps_is_not_at_work() -> None:
    assert "inet asleep output" not in [chain.name for chain in captured("1.1.3").outputs()]


@pytest.mark.parametrize("version", VERSIONS)
def test_each_restricting_chain_gets_one_rule_and_others_none(version: str) -> None:
    decision = egress_nft.decide(captured(version), PORTS)
    opened = [" ".join(key) for key in decision.chains]
    assert opened == ["inet closed output", "ip sets output", "inet maps output", "inet ends output", "ip6 relay output"]
    assert decision.restricted
    assert decision.after == dict.fromkeys(opened, PORTS)
    assert [list(command) for command in decision.commands] == [["insert"]] * 5
    assert "the chain ip filter OUTPUT is left to iptables, let TCP 587 and 993 out there by hand" in decision.notes


def base(
    *rules: list[Any], policy: str = "accept", table: str = "t", flags: Any = None, comments: Sequence[str] = ()
) -> egress_nft.Ruleset:
    """A rule set with one output chain; rules are lists of statements."""
    chain = {"family": "inet", "table": table, "name": "out", "type": "filter", "hook": "output", "policy": policy}
    items: list[dict[str, Any]] = [{"table": {"family": "inet", "name": table, **({"flags": flags} if flags else {})}}, {"chain": chain}]
    for number, expr in enumerate(rules):
        comment = {"comment": comments[number]} if number < len(comments) and comments[number] else {}
        items.append({"rule": {"family": "inet", "table": table, "chain": "out", "handle": number + 10, "expr": expr, **comment}})
    return egress_nft.read(json.dumps({"nftables": items}))


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
        # Interfaces: loopback is not the way out; a drop on any other counts, an accept on one does not open the others.
        ([[meta("oifname", "lo"), DROP]], False),
        ([[meta("oifname", "lo", "!="), DROP]], True),
        ([[meta("oif", "eth0"), dport(587), DROP]], True),
        ([[meta("oif", "wg0"), dport(587), ACCEPT], [DROP]], True),
        ([[meta("oif", "wg0"), RETURN], [DROP]], True),
        ([[meta("oifname", "lo", "!="), ACCEPT], [DROP]], False),
        # The state of a connection that begins.
        ([[state(["established", "related"], "in"), DROP]], False),
        ([[state({"set": ["new", "invalid"]}), DROP]], True),
        ([[state("invalid"), DROP]], False),
        ([[state("established", "!="), DROP]], True),
        # Somebody's special case, and what is true for nearly everybody.
        ([[daddr("192.0.2.1"), DROP]], False),
        ([[daddr("192.0.2.1", "!="), dport(587), DROP]], True),
        ([[daddr("192.0.2.1", "!="), ACCEPT], [DROP]], True),
        ([[meta("skuid", 1000), DROP]], False),
        ([[meta("skuid", 0, "!="), dport(587), DROP]], True),
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


def ours(*ports: int) -> list[Any]:
    return [dport(ports[0] if len(ports) == 1 else {"set": list(ports)}), ACCEPT]


def test_our_own_rule_is_left_alone_replaced_or_taken_back() -> None:
    same = base(ours(*PORTS), [DROP], comments=["charter-mail"])
    assert egress_nft.decide(same, PORTS).commands == []
    where = {"family": "inet", "table": "t", "chain": "out"}
    insert = {"insert": {"rule": {**where, "expr": ours(587), "comment": "charter-mail"}}}
    assert egress_nft.decide(same, [587]).commands == [insert, {"delete": {"rule": {**where, "handle": 10}}}]
    assert egress_nft.decide(same, []).commands == [{"delete": {"rule": {**where, "handle": 10}}}]

    def kinds(ruleset: egress_nft.Ruleset) -> list[str]:
        return [word for command in egress_nft.decide(ruleset, PORTS).commands for word in command]

    assert kinds(base(ours(*PORTS), ours(*PORTS), [DROP], comments=["charter-mail", "charter-mail"])) == ["insert", "delete", "delete"]
    assert kinds(base(ours(*PORTS), comments=["charter-mail"])) == ["delete"], "nothing is stopped any more"
    assert kinds(base(ours(*PORTS), [DROP], comments=["somebody's"])) == []
    assert kinds(base([daddr("192.0.2.1"), *ours(*PORTS)], [DROP], comments=["charter-mail"])) == ["insert", "delete"]
    behind = base([dport(587), DROP], ours(*PORTS), [DROP], comments=["", "charter-mail"])
    assert kinds(behind) == ["insert", "delete"]
    assert egress_nft.decide(behind, PORTS).before == {"inet t out": [465, 993]}


@pytest.mark.parametrize(("table", "flags"), [("firewalld", None), ("vpn", "owner"), ("vpn", ["owner", "persist"]), ("vpn", "vpn")])
def test_chains_of_other_programs_are_only_named(table: str, flags: Any) -> None:
    decision = egress_nft.decide(base([DROP], table=table, flags=flags), PORTS)
    assert decision.commands == [] and decision.restricted
    assert len(decision.notes) == 1 and f"inet {table} out" in decision.notes[0]


def test_a_closed_chain_that_lets_the_ports_out_already_is_restricted_and_left_alone() -> None:
    decision = egress_nft.decide(base([dport({"set": PORTS}), ACCEPT], policy="drop"), PORTS)
    assert decision.restricted and decision.commands == []


def test_the_unit_puts_back_each_rule_and_can_be_read_again() -> None:
    chains = [("inet", "filter", "output"), ("ip6", "my-table", "o.1")]
    openings = dict.fromkeys(["inet filter output", "ip6 my-table o.1"], PORTS)
    assert egress_nft.unit_openings(egress_nft.unit(chains, PORTS)) == openings
    assert egress_nft.unit_openings(egress_nft.unit([("ip", "a", "b")], [587])) == {"ip a b": [587]}
    assert egress_nft.unit([("ip", "%n", "x"), ("ip", "a b", "x"), ("ip", "a", "x\nExecStart=/bin/false")], PORTS) == b""


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
    result = egress.settle(machine.host, PORTS, check=False)
    assert (root / UNIT).exists() == kept
    commands = ["systemctl daemon-reload", "systemctl enable --now charter-mail-egress.service"]
    assert machine.changes("daemon-reload", "enable") == (commands if kept else [])
    assert result["opened"] == PORTS and result["tool"] == "nftables"
    assert ("at every start" in result["diff"]["after"]) == kept
    assert len(machine.changes("--file")) == 1


def test_the_unit_is_written_once_and_goes_with_the_rule(root: Path) -> None:
    machine = Machine(root, nft=NFT_CLOSED, systemctl="ActiveState=active\nUnitFileState=enabled\n")
    assert egress.settle(machine.host, PORTS, check=True)["opened"] == PORTS
    assert not (root / UNIT).exists() and machine.changes("daemon-reload", "enable", "--file") == []
    egress.settle(machine.host, PORTS, check=False)
    machine.answers["nft"] = NFT_OPENED
    machine.log.clear()
    assert egress.settle(machine.host, PORTS, check=False)["changed"] is False
    assert machine.changes("daemon-reload", "enable", "--file") == []
    assert egress.settle(machine.host, [], check=True)["closed"] == PORTS
    assert (root / UNIT).exists()
    result = egress.settle(machine.host, [], check=False)
    assert result["closed"] == PORTS and not (root / UNIT).exists()
    assert machine.changes("systemctl d") == ["systemctl disable --now charter-mail-egress.service", "systemctl daemon-reload"]


def test_a_unit_that_was_changed_or_stopped_by_hand_is_put_right(root: Path) -> None:
    machine = Machine(root, nft=NFT_OPENED, systemctl="ActiveState=active\nUnitFileState=enabled\n")
    result = egress.settle(machine.host, PORTS, check=False)
    assert result["changed"] and result["opened"] == [] and "brought up to date" in result["message"].lower()
    written = (root / UNIT).read_bytes()
    (root / UNIT).write_bytes(b"[Unit]\n")
    assert egress.settle(machine.host, PORTS, check=False)["changed"]
    assert (root / UNIT).read_bytes() == written
    machine.answers["systemctl show --property=ActiveState,UnitFileState charter-mail-egress.service"] = (
        "ActiveState=inactive\nUnitFileState=enabled\n"
    )
    assert egress.settle(machine.host, PORTS, check=False)["changed"]


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
ADDED = """\
Added user rules (see 'ufw status' for running firewall):
ufw allow out 53
ufw allow out on eth0 to any port 123 proto udp
ufw allow 22/tcp
ufw deny out 587/tcp
ufw reject out to 192.0.2.0/24 port 25
ufw deny out SMTP
ufw limit log 2222/tcp comment 'it is "quoted" x'
ufw route allow in on eth0 out on eth1
ufw deny out 'Mail submission'
"""
PROFILE = "Profile: %s\nTitle: Mail server\nDescription: Mail server\n\nPort:\n  %s\n"


def test_ufw_rules_are_read_as_it_prints_them() -> None:
    rules = egress_ufw.read_rules(ADDED)
    assert [(rule.action, rule.interface, rule.general, rule.app, rule.targets) for rule in rules] == [
        ("allow", "", True, "", [("53", "")]),
        ("allow", "eth0", True, "", [("123", "udp")]),
        ("deny", "", True, "", [("587", "tcp")]),
        ("reject", "", False, "", [("25", "")]),
        ("deny", "", True, "SMTP", None),
        ("deny", "", True, "Mail submission", None),
    ]
    assert egress_ufw.read_profile(PROFILE % ("Mail submission", "587/tcp")) == [("587", "tcp")]
    assert egress_ufw.read_profile("Ports:\n  80,443/tcp\n  8000:8010/udp\n  22\n") == [("80,443", "tcp"), ("8000:8010", "udp"), ("22", "")]
    assert egress_ufw.read_profile("ERROR: Could not find profile 'x'") == []


@pytest.mark.parametrize(
    ("outgoing", "rules", "stops"),
    [
        ("allow", "", False),
        ("deny", "", True),
        ("reject", "ufw allow out 587", False),
        ("deny", "ufw allow out 500:600/tcp", False),
        ("deny", "ufw allow out 587/udp", True),
        ("deny", "ufw allow out on wg0 to any port 587 proto tcp", True),
        ("deny", "ufw allow out to 192.0.2.1 port 587 proto tcp", True),
        ("deny", "ufw allow in 587/tcp\nufw allow 587/tcp", True),
        ("deny", "ufw limit out 587/tcp", False),
        ("deny", "ufw allow out to any", False),
        ("allow", "ufw deny out 465,587/tcp", True),
        ("allow", "ufw reject out log from any to any port 587", True),
        ("allow", "ufw deny out from any port 587", False),
        ("allow", "ufw allow out 587\nufw deny out 587/tcp", False),
        ("allow", "ufw deny out on eth0", True),
        ("allow", "ufw deny out on lo", False),
        ("allow", "ufw deny out proto udp to any", False),
        ("allow", "ufw route deny out 587/tcp\nufw deny out 587/tcp comment 'don", False),
    ],
)
def test_the_first_ufw_rule_for_everybody_decides(outgoing: str, rules: str, stops: bool) -> None:
    assert egress_ufw.stops(outgoing, egress_ufw.read_rules(rules), 587) is stops


PREPEND = "ufw prepend allow out proto tcp to any port 465,587,993 comment charter-mail"
OURS = "ufw allow out 465,587,993/tcp comment 'charter-mail'\n"
DELETE = "ufw delete allow out 465,587,993/tcp"


@pytest.mark.parametrize(
    ("outgoing", "rules", "ports", "commands"),
    [
        ("deny", "", PORTS, [PREPEND]),
        ("allow", "ufw deny out 587/tcp\n", PORTS, [PREPEND]),
        ("allow", "", PORTS, []),
        ("allow", OURS, PORTS, [DELETE]),
        ("deny", "ufw allow out 400:1000/tcp\n", PORTS, []),
        ("deny", OURS, PORTS, []),
        ("deny", OURS, [], [DELETE]),
        ("deny", OURS, [587], ["ufw prepend allow out proto tcp to any port 587 comment charter-mail", DELETE]),
        ("deny", "ufw deny out 587\n" + OURS, PORTS, [DELETE, PREPEND]),
        ("deny", OURS + "ufw allow out 25/tcp comment 'charter-mail'\n", PORTS, ["ufw delete allow out 25/tcp"]),
        ("deny", "ufw allow out 465,587,993/tcp comment 'somebody'\n", [], []),
    ],
)
def test_ufw_gets_one_rule_before_all_others(outgoing: str, rules: str, ports: list[int], commands: list[str]) -> None:
    decision = egress_ufw.decide(egress_ufw.Status(True, outgoing), egress_ufw.read_rules(rules), ports)
    assert [" ".join(command) for command in decision.commands] == commands


def test_ufw_that_skips_our_rule_is_told(root: Path) -> None:
    machine = Machine(root, ufw="", ufw_status=STATUS % "deny", ufw_show_added="ufw deny out 587\nufw allow out 465,587,993/tcp\n")
    with pytest.raises(Failed, match="ufw still stops TCP 587: a rule that allows the same ports"):
        egress.settle(machine.host, PORTS, check=False)
    assert machine.changes("prepend") == [PREPEND]


def test_a_profile_s_ports_are_looked_up(root: Path) -> None:
    machine = Machine(root, ufw_status=STATUS % "allow", ufw_show_added="ufw deny out 'Mail submission'\n")
    machine.answers["ufw app info Mail submission"] = PROFILE % ("Mail submission", "587/tcp")
    assert egress.settle(machine.host, PORTS, check=True)["opened"] == PORTS
    machine.answers["ufw app info Mail submission"] = (1, "ERROR: Could not find profile")
    assert egress.settle(machine.host, PORTS, check=True)["restricted"] is False


@pytest.mark.parametrize("text", ["", "Status: on\n", "Status: active\n", "Status: active\nDefault: deny (incoming)\n"])
def test_a_ufw_that_does_not_say_what_it_does_is_left_alone(text: str) -> None:
    with pytest.raises(Failed, match="left alone"):
        egress_ufw.read_status(text)


def test_too_many_ports_for_one_rule_of_ufw() -> None:
    with pytest.raises(Failed, match="at most 15 ports in one rule, and 16"):
        egress_ufw.decide(egress_ufw.Status(True, "deny"), [], list(range(1, 17)))


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
    decision = egress_firewalld.decide(both[0], both[1], {"egress": mine}, ports)
    assert [" ".join(change.command) for change in decision.changes] == commands
    assert decision.record["egress"] == left


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
    assert egress.settle(machine.host, PORTS, check=True)["opened"] == [587, 993]
    assert not record.parent.exists()
    machine.answers["firewall-cmd --policy"] = (1, "Error: COMMAND_FAILED")
    with pytest.raises(Failed, match="COMMAND_FAILED"):
        egress.settle(machine.host, PORTS, check=False)
    assert json.loads(record.read_text())["firewalld"] == {"egress": {RUN: [587, 993], LAST: [587, 993]}}
    assert record.stat().st_mode & 0o777 == 0o600 and record.parent.stat().st_mode & 0o777 == 0o700
    machine = firewalld(root, "465/tcp 587/tcp 993/tcp")
    assert egress.settle(machine.host, PORTS, check=False)["changed"] is False
    result = egress.settle(machine.host, [], check=False)
    assert result["closed"] == [587, 993] and not record.exists()
    assert not machine.changes("465/tcp", "--reload")


def test_a_firewalld_that_stands_still_keeps_our_ports_and_we_say_so(root: Path) -> None:
    machine = firewalld(root, "")
    egress.settle(machine.host, PORTS, check=False)
    machine.answers["firewall-cmd --state"] = (252, "not running")
    result = egress.settle(machine.host, [], check=False)
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
    machine.answers |= {"ufw status": STATUS % "deny", "ufw show added": "", "ufw": "", "nft": NFT_CLOSED}
    assert egress.settle(machine.host, PORTS, check=True)["tool"] == "firewalld"
    machine.answers["firewall-cmd --state"] = (252, "not running")
    assert egress.settle(machine.host, PORTS, check=True)["tool"] == "ufw"
    machine.answers["ufw status"] = "Status: inactive\n"
    assert egress.settle(machine.host, PORTS, check=True)["tool"] == "nftables"
    machine.answers["nft"] = '{"nftables": []}'
    assert egress.settle(machine.host, PORTS, check=False) == {
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
    assert egress.settle(Machine(root).host, PORTS, check=False)["tool"] == "none"


def test_a_machine_that_changed_its_tool_has_the_old_rule_taken_back_last(root: Path) -> None:
    machine = Machine(root, ufw="", ufw_status=STATUS % "deny", nft=NFT_OPENED)
    machine.answers["ufw show added"] = OURS
    result = egress.settle(machine.host, PORTS, check=False)
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
        egress.settle(Machine(root, **answers).host, PORTS, check=False)
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
goto xt"""
words = st.sampled_from(WORDS.split())
leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["tcp", "@s", "lo", "new", "t"])
junk = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | st.text(max_size=4), inner, max_size=3), max_leaves=20
)
statements = st.one_of(
    junk,
    st.builds(match, st.dictionaries(words, junk, max_size=1), junk, st.sampled_from(["==", "!=", "in", "<"])),
    st.builds(dport, junk),
    st.builds(meta, st.sampled_from(["l4proto", "oif", "nfproto", "skuid"]), junk),
    st.builds(lambda key, pairs: {"vmap": {"key": key, "data": {"set": pairs}}}, junk, junk | st.lists(st.lists(junk, max_size=2))),
    st.sampled_from([DROP, ACCEPT, {"jump": {"target": "out"}}, {"goto": {"target": "out"}}]),
)


@given(st.lists(st.lists(statements, max_size=3), max_size=4), st.sampled_from(["drop", "accept"]), st.booleans())
def test_any_statements_are_judged(rules: list[list[Any]], policy: str, mine: bool) -> None:
    decision = egress_nft.decide(base(*rules, policy=policy, comments=["charter-mail"] if mine else []), PORTS)
    json.dumps(decision.commands)
    egress_nft.unit(decision.chains, PORTS)


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
    only_failed(egress_nft.read, text)
    only_failed(egress_ufw.read_status, text)
    rules = egress_ufw.read_rules(text)
    egress_ufw.stops("allow", [rule if rule.targets is not None else rule._replace(targets=[]) for rule in rules], 587)
    egress_ufw.read_profile(text)
    only_failed(egress_firewalld.read_policies, text)
    egress_firewalld.read_active(text)
    only_failed(egress_firewalld.read_record, text.encode("utf-8", "surrogatepass"))
    egress_nft.unit_openings(text.encode("utf-8", "surrogatepass"))
