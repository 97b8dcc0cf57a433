"""mail_firewall with the real nft, in a network namespace of its own. Needs root, nft and unshare."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall import egress, nft, nft_judge, nft_rules, place
from ansible_collections.msp.charter_mail.plugins.module_utils.firewall.host import Host

from tests.integration.playing import Play

MISSING = [name for name in ("nft", "ip", "unshare", "nsenter") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes network namespaces"),
    pytest.mark.skipif(bool(MISSING), reason=f"not on this machine: {', '.join(MISSING)}"),
]

PORTS = [465, 587]
TRIED = [25, 465, 587]
SERVER, BANNED = "192.0.2.2", "192.0.2.3"  # addresses of the other machine
USER = 1002

LISTEN = """
import select, socket
listening = []
for port in (25, 465, 587):
    one = socket.socket()
    one.bind(("", port))
    one.listen(50)
    listening.append(one)
print("up", flush=True)
while True:
    for one in select.select(listening, [], [])[0]:
        one.accept()[0].close()
"""
TRY = """
import os, select, socket, sys, time
address, user, ports = sys.argv[1], int(sys.argv[2]), (25, 465, 587)
os.setuid(user)
tries = {}
for port in ports:
    one = socket.socket()
    one.setblocking(False)
    one.connect_ex((address, port))
    tries[one] = port
end, left = time.monotonic() + 0.3, 1
while tries and left:
    left = max(0, end - time.monotonic())  # the last look is after the end, so that nobody has to be quick
    for one in select.select([], list(tries), [], left)[1]:
        port = tries.pop(one)
        if one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
            print(port)
"""


class Namespace:
    """The network of a machine. Programs that would lead to this computer's own firewall and services are not in it."""

    def __init__(self, folder: Path) -> None:
        absent = folder / "absent"
        absent.write_text("#!/bin/sh\nexit 127\n")
        absent.chmod(0o755)
        found = [path for path in map(shutil.which, ("firewall-cmd", "ufw", "systemctl")) if path]
        hide = "".join(f"mount --bind {absent} {os.path.realpath(path)} && " for path in found)
        self.holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-c", f"{hide}ip link set lo up && echo up && exec sleep 600"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.holder.stdout is not None and self.holder.stdout.readline() == "up\n"
        self.enter = ["nsenter", f"--target={self.holder.pid}", "--net", "--mount", "--"]

    def run(self, argv: Sequence[str], text: str = "") -> tuple[int, str, str]:
        done = subprocess.run(
            [*self.enter, *argv], input=text, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
        )
        return done.returncode, done.stdout, done.stderr

    def check(self, *argv: str, text: str = "") -> str:
        code, out, err = self.run(argv, text)
        assert code == 0, (argv, err)
        return out

    def load(self, rules: str) -> None:
        self.check("nft", "-f", "-", text="flush ruleset\n" + rules)

    def reached(self, address: str = SERVER, user: int = 0) -> list[int]:
        """The ports of the other machine that a TCP connection of the user gets to."""
        return sorted(int(line) for line in self.check("python3", "-c", TRY, address, str(user)).split())

    def settle(self, ports: Sequence[int] = PORTS) -> dict[str, Any]:
        """Look, then let the firewall be opened for what was found shut. A second time changes nothing."""
        result = egress.settle(Host(self.run), ports, [port for port in TRIED if port not in self.reached()], check=False)
        if result["changed"]:
            after = self.rules()
            again = egress.settle(Host(self.run), ports, [port for port in TRIED if port not in self.reached()], check=False)
            assert not again["changed"] and self.rules() == after
        return result

    def rules(self) -> str:
        """All rules, without what they have counted."""
        return self.check("nft", "--stateless", "list", "ruleset")

    def listed(self, chain: str) -> list[str]:
        """The rules of a chain, without what they have counted."""
        lines = self.check("nft", "--stateless", "list", "chain", *chain.split()).splitlines()
        return [line.strip() for line in lines if line.startswith("\t\t") and not line.startswith("\t\ttype ")]

    def end(self) -> None:
        self.holder.kill()
        self.holder.wait()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    """A machine with a cable to another one, which takes connections on the ports of TRIED."""
    started: list[Any] = []
    try:
        near, far = (Namespace(tmp_path_factory.mktemp(name)) for name in ("near", "far"))
        started += [near, far]
        # Two cables: eth0, and wg0 for a tunnel. What goes through the tunnel is a matter of routes.
        for name, networks in (("eth0", ("192.0.2.1/24", f"{SERVER}/24", f"{BANNED}/24")), ("wg0", ("198.51.100.1/24", "198.51.100.2/24"))):
            near.check("ip", "link", "add", name, "type", "veth", "peer", "name", name, "netns", str(far.holder.pid))
            for number, address in enumerate(networks):
                (far if number else near).check("ip", "address", "add", address, "dev", name)
            for namespace in (near, far):
                namespace.check("ip", "link", "set", name, "up")
        listener = subprocess.Popen([*far.enter, "python3", "-c", LISTEN], stdout=subprocess.PIPE, text=True)
        started.append(listener)
        assert listener.stdout is not None and listener.stdout.readline() == "up\n"
        assert near.reached() == TRIED
        yield near
    finally:
        for one in reversed(started):
            if isinstance(one, Namespace):
                one.end()
            else:
                one.kill()
                one.wait()


CLOSED = """
table inet filter {
  chain input { type filter hook input priority filter; policy drop; iif "lo" accept; ct state established,related accept; }
  chain output { type filter hook output priority filter; policy drop; oif "lo" accept; ct state established,related accept; }
}
table inet second {
  chain late { type filter hook output priority 10; policy accept; tcp dport 587 counter reject with tcp reset; }
  chain open { type filter hook output priority 20; policy accept; tcp dport 9 drop; }
}
"""


TUNNEL = ("route", "add", SERVER, "via", "198.51.100.2", "src", "198.51.100.1")
"""Mail goes through the tunnel."""
FRONT = """
nft insert rule inet t out tcp dport { 465, 587 } accept comment charter-mail
"""


@pytest.fixture
def tunnel(machine: Namespace) -> Iterator[None]:
    machine.check("ip", *TUNNEL)
    yield
    machine.run(["ip", "route", "delete", SERVER])


# A chain that lets out by the way: words of its rules, in the order of a listing; policy.
KILL_SWITCHES = {
    "by name": ('oifname "lo" accept; oifname "wg0" accept;', "drop"),
    "by index": ('oif "lo" accept; oif "wg0" accept; udp dport 51820 accept; ct state established,related accept;', "drop"),
    "drop at the end": ('oifname { "lo", "wg0" } accept; tcp dport 22 accept; counter drop;', "accept"),
    "reject the rest": ('oifname != { "lo", "wg0" } reject;', "accept"),
    "by ports": ('oif "lo" accept; oifname "wg0" tcp dport { 25, 465, 587 } accept; meta l4proto { tcp, udp } th dport 53 accept;', "drop"),
    "by source": ('oif "lo" accept; ip saddr 198.51.100.1 accept;', "drop"),
    "in a chain": ("jump sub; reject with tcp reset;", "accept"),
    "return": ("jump spare;", "accept"),
    "map": ('oifname vmap { "lo" : accept, "wg0" : accept, "eth0" : drop };', "drop"),
}
KILL_SWITCH = """
table inet t {
  chain sub { oifname "wg0" accept; }
  chain spare { oifname "lo" return; oifname "wg0" return; drop; }
  chain out { type filter hook output priority filter; policy %s; %s }
}
"""


def kept(result: dict[str, Any]) -> str:
    """The ports that were not opened in the chain, on purpose."""
    found = re.search("the chain inet t out (?:stops some .*)?is kept .*TCP ([0-9]+(?: and [0-9]+)?)", result["message"])
    return found.group(1) if found else ""


@pytest.mark.parametrize("rules", KILL_SWITCHES.values(), ids=KILL_SWITCHES.keys())
def test_nothing_is_opened_past_a_tunnel(machine: Namespace, tunnel: None, rules: tuple[str, str]) -> None:
    machine.load(KILL_SWITCH % (rules[1], rules[0]))
    before = machine.rules()
    assert machine.reached() == TRIED
    assert machine.settle()["message"] == "Nothing to do, because none of TCP 465 and 587 was found shut."
    # The tunnel is down: what was in it would now go straight out.
    machine.check("ip", "route", "delete", SERVER)
    assert machine.reached() == []
    result = machine.settle()
    assert not result["changed"] and result["restricted"]
    assert kept(result) == "465 and 587"
    assert machine.reached() == []
    # An earlier version let it go straight out.
    machine.check(*FRONT.split())
    assert machine.reached() == [465, 587]
    assert machine.settle()["closed"] == [465, 587]
    assert machine.reached() == []
    assert machine.rules() == before


# What a chain forbids on purpose, and what it does to the rest. The opening comes between.
BANS = {
    "policy": ("", "drop"),
    "drop at the end": ("counter drop;", "accept"),
    "reject at the end": ("log; reject with icmpx admin-prohibited;", "accept"),
    "ports": ("tcp dport 400-600 reject with tcp reset;", "accept"),
    "set of ports": ("tcp dport @mail drop; udp dport 53 accept;", "accept"),
    "jump": ("tcp dport 993 accept; jump rest;", "accept"),
}
BANNING = """
table inet t {
  set bad { type ipv4_addr; flags interval; elements = { 192.0.2.3, 203.0.113.0/24 }; }
  set mail { type inet_service; elements = { 465, 587 }; }
  chain banned { meta skuid 1002 drop; return; }
  chain rest { drop; }
  chain out {
    type filter hook output priority filter; policy %s;
    oif "lo" accept
    ct state established,related accept
    ip daddr @bad reject
    jump banned
    tcp dport 25 accept
    %s
  }
}
"""


@pytest.mark.parametrize("rest", BANS.values(), ids=BANS.keys())
def test_what_is_forbidden_on_purpose_stays_forbidden(machine: Namespace, rest: tuple[str, str]) -> None:
    machine.load(BANNING % (rest[1], rest[0]))
    before = machine.rules()
    assert machine.reached() == [25]
    result = machine.settle()
    assert result["opened"] == PORTS and result["message"] == "Opened TCP 465 and 587 for outgoing connections in nftables."
    assert machine.reached() == TRIED
    assert machine.reached(BANNED) == [] and machine.reached(user=USER) == []
    assert machine.reached(user=USER + 1) == TRIED
    opened = machine.listed("inet t out")
    # An earlier version opened at the front, past the bans.
    machine.check("nft", "flush", "chain", "inet", "t", "out")
    machine.load(BANNING % (rest[1], rest[0]))
    machine.check(*FRONT.split())
    assert machine.reached(BANNED) == machine.reached(user=USER) == PORTS
    machine.settle()
    assert machine.listed("inet t out") == opened
    assert machine.reached() == TRIED and machine.reached(BANNED) == [] and machine.reached(user=USER) == []
    assert machine.settle([])["closed"] == PORTS
    assert machine.rules() == before


# There is no place after a ban and before what stops everybody.
NO_PLACE = {
    "ban behind": "tcp dport 587 drop; ip daddr 192.0.2.3 drop;",
    "ban beside": "jump mixed;",
    "all but the relay": "ip daddr != 192.0.2.25 tcp dport 587 drop;",
    "all but one user": "meta skuid != 1002 tcp dport 587 reject;",
    "one interface": 'oifname "eth0" tcp dport 587 drop;',
    "users in a map": "meta skuid vmap { 0 : jump mixed, 1002 : accept };",
}


MIXED = """
table inet t {
  chain mixed { tcp dport 587 drop; meta skuid 1002 drop; }
  chain out { type filter hook output priority filter; policy accept; %s }
}
"""


@pytest.mark.parametrize("rules", NO_PLACE.values(), ids=NO_PLACE.keys())
def test_where_there_is_no_place_the_chain_is_named_and_left(machine: Namespace, rules: str) -> None:
    machine.load(MIXED % rules)
    before = machine.check("nft", "list", "ruleset")
    assert machine.reached() == [25, 465]
    result = machine.settle()
    assert not result["changed"] and result["restricted"]
    assert kept(result) == "587"
    assert machine.check("nft", "list", "ruleset") == before


def test_ports_of_one_chain_may_have_places_of_their_own(machine: Namespace) -> None:
    machine.load(
        "table inet t { chain out { type filter hook output priority filter; policy drop;"
        "ct state established accept; tcp dport 587 drop; tcp dport 25 accept; udp dport 53 accept; }; }"
    )
    assert machine.settle()["opened"] == PORTS and machine.reached() == TRIED
    assert machine.listed("inet t out") == [
        "ct state established accept",
        'tcp dport 587 accept comment "charter-mail"',
        "tcp dport 587 drop",
        "tcp dport 25 accept",
        "udp dport 53 accept",
        'tcp dport 465 accept comment "charter-mail"',
    ]
    machine.check("nft", "add", "rule", "inet", "t", "out", "udp", "dport", "123", "accept")
    assert not machine.settle()["changed"], "a place is as good as another where nothing of consequence is between"
    machine.check("nft", "add", "rule", "inet", "t", "out", "ip", "daddr", BANNED, "drop")
    result = machine.settle()
    assert result["closed"] == [587] and kept(result) == "587"
    assert machine.reached() == [25, 465] and machine.reached(BANNED) == [25]


TWO_PLACES = """
table ip t {
  chain out { type filter hook output priority 5; policy drop; tcp dport 25 accept; tcp dport 587 drop; tcp dport 4 accept; }
}
"""


def puts_back(machine: Namespace, unit: bytes) -> None:
    """Do what systemd does when nftables.service has loaded its file."""
    for line in unit.decode().splitlines():
        if line.startswith("ExecStart=-/bin/sh -c '"):
            machine.run(["sh", "-c", line.partition("'")[2][:-1]])


def test_after_a_reload_the_rules_are_put_back_where_they_were_or_not_at_all(machine: Namespace) -> None:
    rules = BANNING % ("accept", "tcp dport { 80, 443 } accept; ct state vmap { new : jump rest };")
    rules = rules.replace("chain rest { drop; }", "chain rest { tcp dport 465 drop; }") + TWO_PLACES
    machine.load(rules)
    machine.settle()
    ruleset = nft_rules.read(machine.check("nft", "--json", "list", "ruleset"))
    unit = nft.unit_of(Host(machine.run), ruleset, nft.decide(ruleset, PORTS, []).openings)
    opened = machine.rules()
    assert opened.count("charter-mail") == 3
    puts_back(machine, unit)
    assert machine.rules() == opened, "never twice"
    machine.load(rules)
    assert machine.reached() == [25]
    puts_back(machine, unit)
    assert machine.rules() == opened
    assert machine.reached() == TRIED and machine.reached(BANNED) == [] and machine.reached(user=USER) == []
    # Somebody has written other rules since: into the chain, into one that it leads to, or has taken the chain away.
    for old, new in (("oif", 'oifname "wg0" accept; oif'), ("skuid 1002", "skuid { 1001, 1002 }"), ("chain out", "chain away")):
        machine.load(rules.replace(old, new))
        changed = machine.check("nft", "--stateless", "list", "table", "inet", "t")
        puts_back(machine, unit)
        assert machine.check("nft", "--stateless", "list", "table", "inet", "t") == changed


def test_a_run_opens_the_ports_once_and_takes_exactly_that_back(machine: Namespace, tmp_path: Path) -> None:
    play = Play(tmp_path / "project")
    machine.load(CLOSED)
    (tmp_path / "try.py").write_text(TRY)

    def firewall(register: str, ports: list[int], **more: Any) -> dict[str, Any]:
        given = {name: more.pop(name) for name in ("state", "shut") if name in more}
        return {"msp.charter_mail.mail_firewall": {"ports": ports, **given}, "register": register, **more}

    def look(register: str) -> dict[str, Any]:
        command = f"nft --stateless list ruleset; python3 {tmp_path}/try.py {SERVER} 0 | sort -n"
        return {"step": {"sh": command}, "register": register}

    results = play.run(
        [
            look("before"),
            firewall("works", PORTS),
            firewall("checked", PORTS, shut=PORTS, check_mode=True, diff=True),
            look("untouched"),
            firewall("first", PORTS, shut=PORTS),
            look("opened"),
            firewall("again", PORTS),
            look("same"),
            firewall("other", [587]),
            look("fewer"),
            firewall("gone", [587], state="absent"),
            look("after"),
            firewall("twice", [587], state="absent"),
            firewall("wrong", [0, 587]),
        ],
        wrap=[*machine.enter, "env", f"--chdir={play.where}"],
    )
    out = {name: result["out"] for name, result in results.items() if "out" in result}
    before = out["before"]
    assert 'iif "lo" accept' in before
    assert results["works"]["message"] == "Nothing to do, because none of TCP 465 and 587 was found shut."
    assert results["checked"]["changed"] and results["checked"]["diff"]["before"] == ""
    assert "inet filter output, now: 465, 587" in results["checked"]["diff"]["after"]
    assert "inet second late, now: 587" in results["checked"]["diff"]["after"]
    assert out["untouched"] == before
    first = results["first"]
    assert (first["tool"], first["restricted"], first["opened"], first["closed"]) == ("nftables", True, PORTS, [])
    rule = '\t\ttcp dport %s accept comment "charter-mail"\n'
    behind, ahead = '\t\toif "lo" accept\n\t\tct state established,related accept\n', "\t\ttcp dport 587 counter reject with tcp reset\n"
    expected = before.replace(behind, behind + rule % "{ 465, 587 }").replace(ahead, rule % "587" + ahead)
    assert out["opened"] == expected + "465\n587\n", "one rule before what stops a port, and nothing else"
    assert results["again"]["changed"] is False and out["same"] == out["opened"]
    assert results["other"]["closed"] == [465]
    assert out["fewer"] == expected.replace("{ 465, 587 }", "587") + "587\n"
    assert results["gone"]["closed"] == [587] and out["after"] == before
    assert results["twice"]["changed"] is False
    assert results["wrong"]["msg"] == "ports: 0 is not a port; ports are 1 to 65535."


def test_the_role_opens_what_was_found_shut_and_looks_again(machine: Namespace, tmp_path: Path) -> None:
    """The other machine takes connections at 465 and 587 and says nothing; at 993 it takes none."""
    play = Play(tmp_path / "project")
    machine.load(CLOSED)
    hosts = tmp_path / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{SERVER} imap.charter.net smtp.charter.net\n")
    machine.check("mount", "--bind", str(hosts), "/etc/hosts")
    asked = {
        "mail_firewall": True,
        "mail_accounts": [{"address": "jane@example.org", "full_name": "Jane", "login": "root"}],
        "reachability_timeout": 4,
    }
    (tmp_path / "asked.json").write_text(json.dumps(asked))

    def role(name: str, tasks: str = "main.yml", **variables: Any) -> dict[str, Any]:
        return {
            "ansible.builtin.include_role": {"name": f"msp.charter_mail.{name}", "tasks_from": tasks, "public": True},
            "vars": {"mail_platform": "linux", **variables},
        }

    def look(**variables: Any) -> dict[str, Any]:
        """As the role mail looks, at servers alone."""
        rows = {name: f"{{{{ mail_{name} }}}}" for name in ("rows", "policy")}
        asked = {"root": "", "platform": "linux", "servers": "{{ __reachability_look }}", **rows}
        return {"msp.charter_mail.mail_facts": asked, "register": "mail_facts", "vars": {"mail_platform": "linux", **variables}}

    def seen(register: str) -> list[dict[str, Any]]:
        both = "{{ {'shut': reachability_result.shut | default('not looked'), 'firewall': firewall_result | default({})} }}"
        return [{"ansible.builtin.debug": {"msg": both}, "register": register}]

    try:
        results = play.run(
            [
                role("mail", "model.yml"),
                role("reachability"),
                look(),
                *seen("closed"),
                role("firewall", mail_root="/somewhere"),
                *seen("folder"),
                role("firewall", mail_platform="windows"),
                *seen("windows"),
                role("firewall"),
                *seen("opened"),
                role("reachability", "look.yml"),
                role("firewall"),
                *seen("again"),
                role("firewall", firewall_ports=[587]),
                *seen("fewer"),
                role("firewall", firewall_state="absent"),
                *seen("absent"),
                {
                    "block": [
                        # What can be opened is opened first; what the machine is left for is how it is after that.
                        look(mail_require_reachable=True),
                        role("firewall", mail_require_reachable=True),
                    ],
                    "rescue": [{"ansible.builtin.set_fact": {"why": "{{ ansible_failed_result.msg }}"}}],
                },
                {"ansible.builtin.debug": {"msg": "{{ [why, firewall_result.opened] }}"}, "register": "left"},
            ],
            *("-e", f"@{tmp_path / 'asked.json'}"),
            wrap=[*machine.enter, "env", f"--chdir={play.where}"],
        )
    finally:
        machine.check("umount", "/etc/hosts")
    found = {name: result["msg"] for name, result in results.items() if "msg" in result}
    assert found["closed"]["shut"] == [465, 587, 993]
    assert found["folder"]["firewall"]["skipped"] and found["windows"]["firewall"]["skipped"]
    assert found["opened"]["firewall"]["opened"] == [465, 587, 993]
    assert found["opened"]["shut"] == [993], "from the second look"
    assert found["again"]["firewall"]["changed"] is False and found["again"]["shut"] == [993]
    assert (found["fewer"]["firewall"]["opened"], found["fewer"]["firewall"]["closed"]) == ([], [465, 993])
    assert found["fewer"]["shut"] == [465, 993]
    assert found["absent"]["firewall"]["closed"] == [587] and found["absent"]["shut"] == [465, 587, 993]
    why, opened = found["left"]
    assert opened == [465, 587, 993] and "The connection to imap.charter.net:993 is refused" in why


def test_a_chain_of_iptables_is_named_and_not_touched(machine: Namespace) -> None:
    if shutil.which("iptables-nft") is None:
        pytest.skip("not on this machine: iptables-nft")
    machine.load("")
    for line in ("-A OUTPUT -o lo -j ACCEPT", "-A OUTPUT -p tcp --dport 465 -j ACCEPT", "-P OUTPUT DROP"):
        machine.check("iptables-nft", *line.split())
    before = machine.rules()
    result = machine.settle()
    assert result["restricted"] and not result["changed"]
    text = "Nothing was changed in nftables; the chain ip filter OUTPUT is left to iptables, let TCP 587 out there by hand."
    assert result["message"] == text
    assert machine.rules() == before


def test_a_machine_without_an_output_chain_is_left_alone(machine: Namespace) -> None:
    machine.load("table inet filter { chain input { type filter hook input priority filter; policy drop; }; }")
    before = machine.check("nft", "list", "ruleset")
    result = egress.settle(Host(machine.run), PORTS, PORTS, check=False)
    assert (result["tool"], result["changed"]) == ("none", False)
    assert machine.check("nft", "list", "ruleset") == before


# Rules of one output chain, and what leads to it; the verdict is the kernel's.
JUDGED = {
    "nothing": "",
    "accept before": "tcp dport 587 accept; drop;",
    "reject at the end": "tcp dport { 25, 465 } accept; log; reject with icmpx admin-prohibited;",
    "one port": "tcp dport 587 drop;",
    "range": "tcp dport 400-500 reject with tcp reset;",
    "all but": "tcp dport != { 25, 587 } drop;",
    "less": "tcp dport < 500 drop;",
    "set": "tcp dport @blocked drop;",
    "map": "tcp dport vmap { 25 : accept, 465 : drop, 587 : jump sub };",
    "protocols": "meta l4proto vmap { udp : accept, tcp : jump sub };",
    "state map": "ct state vmap { established : accept, related : accept, invalid : drop, new : jump sub };",
    "state": "ct state established,related accept; ct state new tcp dport 465 drop;",
    "jump": "jump sub; tcp dport 25 drop;",
    "goto": "goto sub; drop;",
    "interface": 'oifname "eth0" jump sub;',
    "not loopback": 'oifname != "lo" tcp dport 587 drop;',
    "loopback": 'oif "lo" drop; oifname "lo" drop;',
    "other protocols": "udp dport != 53 drop; icmp type echo-request drop; ip protocol udp drop;",
    "this protocol": "ip protocol tcp tcp dport 587 drop; meta l4proto { tcp, udp } th dport 465 drop;",
    "version": "meta nfproto ipv4 tcp dport 25 drop; meta nfproto ipv6 drop;",
    "not the relay": "ip daddr != 192.0.2.25 tcp dport 587 drop;",
    "somebody else's address": "ip daddr 192.0.2.25 tcp dport 587 drop;",
    "somebody else": "meta skuid 4711 tcp dport 587 drop; meta skuid != 4711 tcp dport 465 drop;",
}
AROUND = """
table inet judged {
  set blocked { type inet_service; flags interval; elements = { 25, 500-600 }; }
  chain deep { tcp dport 465 drop; return; }
  chain sub { tcp dport 587 reject with tcp reset; jump deep; tcp dport 465 accept; }
  chain output { type filter hook output priority filter; policy %s; %s }
}
"""


# What stays shut there because it is so on purpose, with the policy accept and drop; and what of it has no place for a rule of ours.
STAYS = {
    "interface": (([465, 587], [465, 587]), (TRIED, TRIED)),
    "not the relay": (([587], [587]), ([587], [])),
    "somebody else": (([465], [465]), ([465], [])),
    "version": (([25], [25]), ([25], [25])),
}


@pytest.mark.parametrize("policy", ["accept", "drop"])
@pytest.mark.parametrize("name", JUDGED)
def test_a_chain_is_judged_as_the_kernel_does(machine: Namespace, policy: str, name: str) -> None:
    stays, left = STAYS.get(name, (([], []), ([], [])))[policy == "drop"]
    machine.load(AROUND % (policy, JUDGED[name]))
    ruleset = nft_rules.read(machine.check("nft", "--json", "list", "ruleset"))
    (chain,) = ruleset.outputs()
    places = {port: place.find(nft_judge.Judge(ruleset, port).effects(chain)) for port in TRIED}
    reached, before = machine.reached(), machine.rules()
    shut = [port for port in TRIED if port not in reached]
    assert name in STAYS or [port for port, place in places.items() if place.shut] == shut
    assert machine.settle(TRIED)["opened"] == [port for port in shut if port not in left]
    assert machine.reached() == [port for port in TRIED if port not in stays]
    egress.settle(Host(machine.run), [], [], check=False)
    assert machine.rules() == before


# What nft can ask, and what that is to a connection to 587: it stops it, it does not, or it may.
STOPS, NOT, MAY, SOME = "stops", "does not", "may stop TCP 587", "stops some on purpose"
ASKED = {
    "meta l4proto . th dport { tcp . 587 } drop;": STOPS,
    "meta l4proto . th dport { udp . 53, tcp . 500-600 } drop;": STOPS,
    "meta l4proto . th dport { udp . 587, tcp . 25 } drop;": NOT,
    "meta l4proto . th dport != { tcp . 587, udp . 53 } drop;": NOT,
    "meta l4proto . th dport != { tcp . 25, udp . 53 } drop;": STOPS,
    "meta l4proto . th dport @both drop;": STOPS,
    "ip protocol . th dport { tcp . 587 } drop;": STOPS,
    "ip daddr . tcp dport { 192.0.2.2 . 587 } drop;": SOME,
    "ip daddr . tcp dport { 192.0.2.0/24 . 25 } drop;": NOT,
    "ip daddr . tcp dport != @pairs drop;": SOME,
    'oifname . tcp dport { "eth0" . 587 } drop;': SOME,
    'oifname . tcp dport { "lo" . 587 } drop;': NOT,
    "ct state . tcp dport { new . 587 } drop;": STOPS,
    "ct state . tcp dport { established . 587 } drop;": NOT,
    "meta l4proto . th dport vmap { tcp . 587 : drop, udp . 53 : accept };": STOPS,
    "meta l4proto . th dport vmap @verdicts;": STOPS,
    "tcp dport vmap @ports;": STOPS,
    "tcp dport vmap @none;": NOT,
    "meta mark vmap @marks;": SOME,
    "tcp dport vmap { 587 : continue, 25 : return }; tcp dport 587 drop;": STOPS,
    "tcp dport @timed drop;": STOPS,
    "tcp dport @counted drop;": STOPS,
    "fib daddr type local drop;": NOT,
    "fib daddr type != { local, unicast } drop;": MAY,
    "fib daddr type unicast tcp dport 587 drop;": MAY,
    "fib daddr type blackhole drop;": MAY,
    "fib saddr . oif type local tcp dport 587 drop;": MAY,
    "meta l4proto 1-10 drop;": STOPS,
    "meta l4proto > 5 drop;": MAY,
    "ip version 4 drop;": MAY,
    "ip ttl 64 drop;": MAY,
    "tcp flags syn drop;": MAY,
    "tcp flags & (fin|syn|rst|ack) == syn drop;": MAY,
    "tcp dport & 0xff00 == 0x0200 drop;": MAY,
    "@th,16,16 587 drop;": STOPS,
    "@th,16,8 2 drop;": MAY,
    "meta protocol ip drop;": MAY,
    "meta length > 40 drop;": MAY,
    "meta skgid 0 drop;": SOME,
    "meta cgroup 0 drop;": SOME,
    "meta mark & 0xff == 0 drop;": SOME,
    "iif 0 drop;": STOPS,
    "meta iifgroup 0 drop;": MAY,
    "socket transparent 0 drop;": MAY,
    "numgen inc mod 1 0 drop;": MAY,
    "numgen inc mod 1 vmap { 0 : drop };": MAY,
    "jhash ip saddr . tcp sport mod 1 0 drop;": MAY,
    "ct status snat drop;": MAY,
    "ct state untracked drop;": NOT,
    "rt mtu > 100 drop;": MAY,
    "limit rate over 1/day burst 1 packets drop;": SOME,
    'counter name tcp dport map { 25 : "c" } drop;': MAY,
    'counter name tcp dport map { 587 : "c" } drop;': MAY,
    "meta mark set tcp dport map { 25 : 1 } drop;": MAY,
    "update @seen { ip daddr limit rate over 1/day burst 1 packets } drop;": MAY,
    "delete @seen { ip daddr } drop;": MAY,
    "jump empty; goto empty; drop;": NOT,
}
ASKING = """
table inet t {
  set both { type inet_proto . inet_service; flags interval,timeout; elements = { tcp . 500-600 timeout 1h }; }
  set pairs { type ipv4_addr . inet_service; elements = { 192.0.2.25 . 587 }; }
  set timed { type inet_service; flags timeout; elements = { 587 timeout 1h }; }
  set counted { type inet_service; counter; elements = { 587 comment "x" }; }
  set seen { type ipv4_addr; flags dynamic,timeout; timeout 1m; }
  map verdicts { type inet_proto . inet_service : verdict; elements = { tcp . 587 : drop }; }
  map ports { type inet_service : verdict; flags interval; counter; elements = { 20-25 : jump empty, 587 comment "x" : jump full }; }
  map none { type inet_service : verdict; }
  map marks { type mark : verdict; elements = { 1 : accept, 0 : drop }; }
  counter c { }
  chain empty { }
  chain full { drop; }
  chain out { type filter hook output priority filter; policy %s; oif "lo" accept; %s }
}
"""


def found_shut(machine: Namespace, ports: Sequence[int] = (587,), check: bool = True) -> dict[str, Any]:
    """What a run says when these ports were found shut, whether they are or not."""
    return egress.settle(Host(machine.run), ports, ports, check=check)


@pytest.mark.parametrize("rules", ASKED)
def test_what_is_not_understood_may_stop_a_port_and_is_never_taken_for_no(machine: Namespace, rules: str) -> None:
    machine.load(ASKING % ("accept", rules))
    stops = 587 not in machine.reached()
    result = found_shut(machine)
    said = STOPS if result["opened"] else next((word for word in (MAY, SOME) if word in result["message"]), NOT)
    assert said == ASKED[rules], result["message"]
    assert result["restricted"] == (said != NOT)
    assert not (stops and said == NOT) and not (not stops and said == STOPS), "the kernel has the last word"
    # Before a policy that stops all, ours comes after what is not understood, and that is said again.
    machine.load(ASKING % ("drop", rules))
    result = found_shut(machine, check=False)
    if said == MAY:
        assert MAY in result["message"] or "is kept shut for TCP 587" in result["message"]
        assert not result["opened"] or "charter-mail" in machine.listed("inet t out")[-1]


def test_what_was_kept_from_being_tracked_is_not_new(machine: Namespace) -> None:
    raw = "table inet raw { chain out { type filter hook output priority raw; tcp dport %s notrack; }; }\n"
    for rules, said in (("ct state untracked drop;", MAY), ("ct state new tcp dport 587 drop;", MAY), ("ct state invalid drop;", "")):
        machine.load(raw % "587" + ASKING % ("accept", rules))
        result = found_shut(machine)
        assert (said in result["message"]) if said else not result["restricted"]
    machine.load(raw % "25" + ASKING % ("accept", "ct state untracked drop;"))
    assert not found_shut(machine)["restricted"]


def test_a_rule_without_statements_is_read(machine: Namespace) -> None:
    machine.load(CLOSED)
    machine.check("nft", "--json", "--file", "-", text=EMPTY_RULE)
    before = machine.rules()
    assert machine.settle()["opened"] == PORTS and machine.reached() == PORTS
    assert machine.settle([])["closed"] == PORTS and machine.rules() == before


EMPTY_RULE = json.dumps({"nftables": [{"add": {"rule": {"family": "inet", "table": "filter", "chain": "output", "expr": []}}}]})
DORMANT = "table inet %s { flags dormant; chain out { type filter hook output priority filter; policy drop; oif lo accept; }; }"


@pytest.mark.parametrize("name", ["t", "dormant", "owner"])
def test_our_rule_in_a_dormant_table_is_seen_told_and_taken_back(machine: Namespace, name: str) -> None:
    """Under these names, for nft 1.0.6 writes in JSON for a table's flags what happens to be in memory."""
    asleep, awake = DORMANT % name, (DORMANT % name).replace("flags dormant;", "")
    machine.load(asleep)
    before = machine.rules()
    result = found_shut(machine, PORTS, check=False)
    assert not result["changed"] and not result["restricted"], "it is not what stops them"
    machine.load(awake)
    assert machine.settle()["opened"] == PORTS
    machine.check("nft", "-f", "-", text=f"table inet {name} {{ flags dormant; }}")
    opened = machine.rules()
    result = found_shut(machine, PORTS, check=False)
    assert not result["changed"] and not result["restricted"] and machine.rules() == opened
    assert f"the chain inet {name} out is in a dormant table: our rule for TCP 465 and 587 there has no effect" in result["message"]
    result = machine.settle([])
    assert result["closed"] == PORTS and machine.rules() == before


@pytest.mark.parametrize("chain", ["type filter hook input priority 0;", "type filter hook postrouting priority 0;", "", "ip filter"])
def test_our_rule_is_taken_back_wherever_it_has_come_to(machine: Namespace, chain: str) -> None:
    table = "ip filter { chain OUTPUT { type filter hook output priority 0; policy drop; %s }; }"
    table = table if chain == "ip filter" else f"inet t {{ chain other {{ {chain} %s }}; }}"
    machine.load("table " + table % "")
    before = machine.rules()
    for ports in (PORTS, []):
        machine.load("table " + table % 'tcp dport { 465, 587 } accept comment "charter-mail";')
        assert found_shut(machine, ports, check=False)["closed"] == PORTS
        assert machine.rules() == before


def test_a_rule_of_ours_that_an_owner_keeps_is_named(machine: Namespace) -> None:
    owner = subprocess.Popen([*machine.enter, "nft", "-i"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdin is not None and owner.stdout is not None
    try:
        machine.load("")
        table = "{ flags owner; chain out { type filter hook output priority 0; policy drop; %s }; }"
        owner.stdin.write(f"table inet own {table % 'tcp dport 587 accept comment charter-mail;'}\nlist tables\n")
        owner.stdin.flush()
        while "table inet own" not in owner.stdout.readline():
            pass
        result = found_shut(machine, [], check=False)
    finally:
        owner.kill()
        owner.communicate()
    assert not result["changed"] and "the chain inet own out keeps a rule of ours for TCP 587: only the program" in result["message"]


# Chains on the way out that are none of those we open anything in; None: they let 587 through.
ELSEWHERE = {
    "netdev": ("table netdev n { chain e { type filter hook egress device eth0 priority 0; tcp dport 587 drop; }; }", "netdev n e"),
    "netdev for others": ("table netdev n { chain e { type filter hook egress device eth0 priority 0; udp dport 587 drop; }; }", None),
    "route": ("table inet r { chain o { type route hook output priority 0; policy drop; tcp dport 25 accept; }; }", "inet r o"),
    "postrouting": ("table ip r { chain o { type filter hook postrouting priority 0; tcp dport 587 drop; }; }", "ip r o"),
    "by a set": ("table ip r { set s { type ipv4_addr; }; chain o { type route hook output priority 0; ip daddr @s drop; }; }", "ip r o"),
    "redirected": ("table ip r { chain o { type nat hook output priority 0; tcp dport 587 redirect to :9; }; }", "ip r o"),
    "masqueraded": ("table ip r { chain o { type nat hook postrouting priority 0; masquerade; }; }", None),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_chains_of_other_kinds_are_looked_at_and_named(machine: Namespace, name: str) -> None:
    rules, chain = ELSEWHERE[name]
    code, _, error = machine.run(["nft", "-f", "-"], "flush ruleset\n" + rules)
    if code:
        pytest.skip(error.splitlines()[0])
    assert name == "by a set" or (587 in machine.reached()) == (chain is None)
    result = found_shut(machine)
    assert (f"the chain {chain} may stop TCP 587, and nothing is opened in" in result["message"]) == (chain is not None)
    assert not result["changed"] and result["restricted"] == (chain is not None)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("-p tcp --dport 587 -j REJECT", "is left to iptables, let TCP 587 out there by hand"),
        ("-p tcp -m multiport --dports 25,587 -j DROP", MAY),
        ("-m conntrack --ctstate NEW -p tcp --dport 587 -j REJECT", MAY),
        ("-p tcp --dport 587 -m string --string x --algo bm -j TEE --gateway 192.0.2.9", MAY),
        ("-p tcp --dport 587 -j LOG", ""),
        ("-p tcp --dport 25 -j REJECT", ""),
        ("-m comment --comment x -p tcp --dport 587 -j DROP", "is left to iptables"),
    ],
)
def test_what_iptables_adds_to_nft_is_not_taken_for_nothing(machine: Namespace, rule: str, said: str) -> None:
    if shutil.which("iptables-nft") is None:
        pytest.skip("not on this machine: iptables-nft")
    machine.load("")
    machine.check("iptables-nft", "-A", "OUTPUT", *rule.split())
    stops = 587 not in machine.reached()
    result = found_shut(machine)
    assert said in result["message"] and result["restricted"] == bool(said) and not result["changed"]
    assert said or not stops


def test_iptables_legacy_may_stop_a_port_and_is_named(machine: Namespace) -> None:
    if shutil.which("iptables-legacy") is None or machine.run(["iptables-legacy", "-S"])[0]:
        pytest.skip("not on this machine: iptables-legacy")
    machine.load("")
    try:
        assert not found_shut(machine)["restricted"], "it has tables, and nothing in them"
        machine.check("iptables-legacy", "-A", "OUTPUT", "-p", "tcp", "--dport", "587", "-j", "DROP")
        assert 587 not in machine.reached()
        result = found_shut(machine)
        assert result["restricted"] and not result["changed"]
        assert "; iptables-legacy may stop TCP 587, and nothing is opened there" in result["message"]
    finally:
        machine.check("iptables-legacy", "-F")
