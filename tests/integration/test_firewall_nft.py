"""mail_firewall with the real nft, in a network namespace of its own. Needs root, nft and unshare."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils import egress, egress_nft
from ansible_collections.msp.charter_mail.plugins.module_utils.egress_host import Host

from tests.integration.playing import Play

MISSING = [name for name in ("nft", "ip", "unshare", "nsenter") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes network namespaces"),
    pytest.mark.skipif(bool(MISSING), reason=f"not on this machine: {', '.join(MISSING)}"),
]

PORTS = [465, 587]
TRIED = [25, 465, 587]

LISTEN = """
import select, socket
listening = []
for port in (25, 465, 587):
    one = socket.socket()
    one.bind(("192.0.2.2", port))
    one.listen(50)
    listening.append(one)
print("up", flush=True)
while True:
    for one in select.select(listening, [], [])[0]:
        one.accept()[0].close()
"""
TRY = """
import concurrent.futures, socket
def reached(port):
    with socket.socket() as one:
        one.settimeout(0.4)
        return one.connect_ex(("192.0.2.2", port)) == 0
ports = (25, 465, 587)
with concurrent.futures.ThreadPoolExecutor() as pool:
    for port, there in zip(ports, pool.map(reached, ports)):
        if there:
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

    def reached(self) -> list[int]:
        """The ports of the other machine that a TCP connection gets to."""
        return [int(line) for line in self.check("python3", "-c", TRY).split()]

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
        near.check("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", str(far.holder.pid))
        for namespace, address in ((near, "192.0.2.1/24"), (far, "192.0.2.2/24")):
            namespace.check("ip", "address", "add", address, "dev", "eth0")
            namespace.check("ip", "link", "set", "eth0", "up")
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


def test_a_run_opens_the_ports_once_and_takes_exactly_that_back(machine: Namespace, tmp_path: Path) -> None:
    play = Play(tmp_path / "project")
    machine.load(CLOSED)
    (tmp_path / "try.py").write_text(TRY)

    def firewall(register: str, ports: list[int], **more: Any) -> dict[str, Any]:
        state = more.pop("state", "present")
        return {"msp.charter_mail.mail_firewall": {"ports": ports, "state": state}, "register": register, **more}

    def look(register: str) -> dict[str, Any]:
        return {
            "step": {"sh": f"nft list ruleset | sed 's/counter packets [0-9]* bytes [0-9]*/counter/'; python3 {tmp_path}/try.py"},
            "register": register,
        }

    results = play.run(
        [
            look("before"),
            firewall("checked", PORTS, check_mode=True, diff=True),
            look("untouched"),
            firewall("first", PORTS),
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
    assert results["checked"]["changed"] and results["checked"]["diff"]["before"] == ""
    assert "inet filter output, now: 465, 587" in results["checked"]["diff"]["after"]
    assert "inet second late, now: 465, 587" in results["checked"]["diff"]["after"]
    assert out["untouched"] == before
    first = results["first"]
    assert (first["tool"], first["restricted"], first["opened"], first["closed"]) == ("nftables", True, PORTS, [])
    rule = '\t\ttcp dport { 465, 587 } accept comment "charter-mail"\n'
    head = "\t\ttype filter hook output priority %s\n"
    expected = before
    for priority in ("filter; policy drop;", "filter + 10; policy accept;"):
        assert expected.count(head % priority) == 1
        expected = expected.replace(head % priority, head % priority + rule)
    assert out["opened"] == expected + "465\n587\n", "one rule at the front of each chain that stops one, and nothing else"
    assert results["again"]["changed"] is False and out["same"] == out["opened"]
    assert results["other"]["closed"] == [465]
    assert out["fewer"] == expected.replace("{ 465, 587 }", "587") + "587\n"
    assert results["gone"]["closed"] == [587] and out["after"] == before
    assert results["twice"]["changed"] is False
    assert results["wrong"]["msg"] == "ports: 0 is not a port; ports are 1 to 65535."


def test_the_role_opens_the_accounts_ports_on_machines_alone(machine: Namespace, tmp_path: Path) -> None:
    play = Play(tmp_path / "project")
    machine.load(CLOSED)

    def role(register: str, **variables: Any) -> list[dict[str, Any]]:
        around = {"mail_ports": PORTS, "mail_root": "", "mail_platform": "linux", **variables}
        return [
            {"ansible.builtin.include_role": {"name": "msp.charter_mail.firewall"}, "vars": around},
            {"ansible.builtin.debug": {"var": "firewall_result"}, "register": register},
        ]

    results = play.run(
        [
            *role("folder", mail_root="/somewhere"),
            *role("windows", mail_platform="windows"),
            *role("ours"),
            *role("asked", firewall_ports=[587]),
            *role("absent", firewall_state="absent"),
        ],
        wrap=[*machine.enter, "env", f"--chdir={play.where}"],
    )
    found = {name: result["firewall_result"] for name, result in results.items()}
    assert found["folder"]["skipped"] and found["windows"]["skipped"]
    assert found["ours"]["opened"] == PORTS
    assert (found["asked"]["opened"], found["asked"]["closed"]) == ([], [465])
    assert found["absent"]["closed"] == [587]


def test_a_chain_of_iptables_is_named_and_not_touched(machine: Namespace) -> None:
    if shutil.which("iptables-nft") is None:
        pytest.skip("not on this machine: iptables-nft")
    machine.load("")
    for line in ("-A OUTPUT -o lo -j ACCEPT", "-A OUTPUT -p tcp --dport 465 -j ACCEPT", "-P OUTPUT DROP"):
        machine.check("iptables-nft", *line.split())
    before = machine.check("nft", "list", "ruleset")
    result = egress.settle(Host(machine.run), PORTS, check=False)
    assert result["restricted"] and not result["changed"]
    text = "Nothing was changed in nftables; the chain ip filter OUTPUT is left to iptables, let TCP 587 out there by hand."
    assert result["message"] == text
    assert machine.check("nft", "list", "ruleset") == before


def test_a_machine_without_an_output_chain_is_left_alone(machine: Namespace) -> None:
    machine.load("table inet filter { chain input { type filter hook input priority filter; policy drop; }; }")
    before = machine.check("nft", "list", "ruleset")
    result = egress.settle(Host(machine.run), PORTS, check=False)
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


@pytest.mark.parametrize("policy", ["accept", "drop"])
@pytest.mark.parametrize("rules", JUDGED.values(), ids=JUDGED.keys())
def test_a_chain_is_judged_as_the_kernel_does(machine: Namespace, policy: str, rules: str) -> None:
    machine.load(AROUND % (policy, rules))
    ruleset = egress_nft.read(machine.check("nft", "--json", "list", "ruleset"))
    (chain,) = ruleset.outputs()
    passed = [port for port in TRIED if not egress_nft.Judge(ruleset, port, ours=False).stops(chain)]
    assert passed == machine.reached()
    before = machine.check("nft", "list", "ruleset")
    assert egress.settle(Host(machine.run), TRIED, check=False)["opened"] == (TRIED if passed != TRIED else [])
    assert machine.reached() == TRIED
    assert egress.settle(Host(machine.run), TRIED, check=False)["changed"] is False
    egress.settle(Host(machine.run), [], check=False)
    assert machine.check("nft", "list", "ruleset") == before
