"""profile_site with the real nginx, on a machine of its own: network, processes, /etc/nginx and /var/lib are not this computer's.

Needs root, nginx, ip, unshare and openssl.
"""

from __future__ import annotations

import base64
import datetime
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils.files.payload import pack
from ansible_collections.msp.charter_mail.plugins.module_utils.nginx import site
from ansible_collections.msp.charter_mail.plugins.plugin_utils.handout import links

from tests.integration.playing import ROOT, Play

MISSING = [name for name in ("nginx", "ip", "unshare", "nsenter", "openssl") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes a network and mounts of its own"),
    pytest.mark.skipif(bool(MISSING), reason=f"not on this machine: {', '.join(MISSING)}"),
]

NAME, SECRET = "profiles.example.org", "0123456789abcdefghijklmnopqrstuv"
CONF = "/etc/nginx/conf.d/charter-mail-acme.conf"
DATA = "/var/lib/charter-mail-profiles"
PROFILE = "jane@example.org/jane-iphone.mobileconfig"

ADDRESSES = ["127.0.0.1", "192.0.2.7", "192.0.2.8", "::1", "2001:db8::7"]

# The machine: two addresses of IPv4 and one of IPv6, nginx as its package has it, no site.
BOOT = """
set -e
mount --make-rprivate /
for place in /run /var/lib /var/log; do mount -t tmpfs none $place; done
mkdir /var/lib/nginx /var/log/nginx
cp -a /etc/nginx {where}/nginx
rm -f {where}/nginx/sites-enabled/* {where}/nginx/conf.d/*
mount --bind {where}/nginx /etc/nginx
ip link set lo up
ip link add eth0 type veth peer name eth1
ip link set eth1 up
ip link set eth0 up
ip address add 192.0.2.7/24 dev eth0
ip address add 192.0.2.8/24 dev eth0
ip -6 address add 2001:db8::7/64 dev eth0 nodad
echo up
exec sleep 3600
"""
# What systemd would do.
SYSTEMCTL = """#!/bin/sh
case $1 in
  start) exec nginx ;;
  # A test of the configuration leaves an empty file.
  stop) test ! -s /run/nginx.pid || nginx -s stop; while test -s /run/nginx.pid; do sleep 0.02; done ;;
esac
"""
# A server for a name: what it answers and whose certificate it has, at every address of the machine.
ASK = f"""
import http.client, json, socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
port, path, names = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
said = {{}}
for address in {ADDRESSES}:
    for name in names:
        try:
            with socket.create_connection((address, port), 20) as plain, context.wrap_socket(plain, server_hostname=name) as secure:
                connection = http.client.HTTPConnection(name)
                connection.auto_open, connection.sock = 0, secure
                connection.request("GET", path, headers={{"Host": name, "Connection": "close"}})
                answer = connection.getresponse()
                said[f"{{name}} {{address}}"] = [answer.status, answer.read().decode()]
        except OSError as error:
            said[f"{{name}} {{address}}"] = [0, type(error).__name__]
print(json.dumps(said))
"""
# The module, once for each of its arguments: a line of JSON each.
MODULE = """
import contextlib, json, sys
from ansible.module_utils.testing import patch_module_args
from ansible_collections.msp.charter_mail.plugins.modules import _profile_site as profile_site
for arguments in json.load(sys.stdin):
    with contextlib.suppress(SystemExit), patch_module_args(arguments):
        profile_site.main()
"""
# Another program that takes connections: address, port, and whether IPv4 too.
HOLD = """
import os, socket, sys
one = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if one.family == socket.AF_INET6:
    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(sys.argv[3:] != ["dual"]))
one.bind((sys.argv[1], int(sys.argv[2])))
one.listen()
print(os.getpid(), flush=True)
while True:
    one.accept()[0].close()
"""


class Machine:
    """A machine that ends with its first process."""

    def __init__(self, where: Path, certificates: Path) -> None:
        self.where = where
        shutil.copytree(certificates, where)
        (where / "bin").mkdir(parents=True)
        (where / "bin/systemctl").write_text(SYSTEMCTL)
        (where / "bin/systemctl").chmod(0o755)
        self.profile("first")
        self.first = subprocess.Popen(
            ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", BOOT.format(where=where)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.first.stdout is not None and self.first.stdout.readline() == "up\n"
        inside = Path(f"/proc/{self.first.pid}/task/{self.first.pid}/children").read_text().split()[0]
        self.path = f"{where / 'bin'}:{os.environ['PATH']}:/usr/sbin"
        self.enter = ["nsenter", f"--target={inside}", "--net", "--mount", "--pid", "--", "env", f"PATH={self.path}"]
        self.programs: list[subprocess.Popen[str]] = []

    def end(self) -> None:
        for one in [*self.programs, self.first]:
            one.kill()
            one.wait()

    def profile(self, content: str) -> None:
        path = self.where / "out" / PROFILE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def sh(self, command: str) -> str:
        done = subprocess.run([*self.enter, "sh", "-ec", command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def hold(self, *arguments: str) -> str:
        """Start another program; its number there."""
        one = subprocess.Popen([*self.enter, "python3", "-c", HOLD, *arguments], stdout=subprocess.PIPE, text=True)
        self.programs.append(one)
        assert one.stdout is not None
        return one.stdout.readline().strip()

    def neighbour(self, listen: str, names: str = "www.example.org", file: str = "sites-enabled/www", more: str = "") -> None:
        """Another site, which says what it is."""
        listens = "".join(f"listen {one}; " for one in listen.split(", "))
        tls = f"ssl_certificate {self.where}/other.crt; ssl_certificate_key {self.where}/other.key;"
        text = f"server {{ {listens} {names and f'server_name {names};'} {tls} {more} location / {{ return 200 neighbour; }} }}\n"
        self.put(f"/etc/nginx/{file}", text)

    def put(self, path: str, text: str) -> None:
        subprocess.run([*self.enter, "sh", "-c", f"cat > {path}"], input=text, text=True, check=True)

    def ask(self, *names: str, port: int = 443, path: str = "/") -> dict[str, Any]:
        done = subprocess.run([*self.enter, "python3", "-c", ASK, str(port), path, *names], capture_output=True, text=True, check=True)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def restart(self) -> None:
        """As a machine that is booted anew. Fails when nginx does not come up."""
        self.sh("systemctl stop nginx; nginx")

    def state(self, times: bool = False) -> str:
        """Everything that a failed run may not have changed; times: nor have put back."""
        listed = f"find $here -printf '%p %l %m %u:%g {'%T@' if times else ''}\\n' | sort"
        content = "find $here -type f -exec sha256sum {} + | sort"
        # One of the two may not be there.
        return self.sh(f"here=$(ls -d {DATA} /etc/nginx || true); {listed}; {content}; ss -Htln | sort")

    def play(self, *tasks: dict[str, Any]) -> list[dict[str, Any]]:
        """What the task says with these arguments and keywords, one after the other, played as a role does."""
        given = {
            "office": "acme",
            "people": [{"folder": "jane@example.org", "devices": ["ios"]}],
            "source": str(self.where / "out"),
            "url": f"https://{NAME}/{{token}}/{{address}}/{{file}}",
            "link_secret": SECRET,
            "link_until": "2037-06-30",
            "certificate": str(self.where / f"{NAME}.crt"),
            "key": str(self.where / f"{NAME}.key"),
        }
        play = Play(self.where / "play")
        steps = []
        for number, task in enumerate(tasks):
            more = {"register": f"step{number}", **task.get("keywords", {})}
            steps.append({"msp.charter_mail.profile_site": {**given, **task.get("arguments", {})}, **more})
        results = play.run(steps, wrap=[*self.enter, "env", f"--chdir={play.where}"])
        assert SECRET not in play.output
        return [results[f"step{number}"] for number in range(len(tasks))]

    def ask_module(self, *wanted: dict[str, Any]) -> list[dict[str, Any]]:
        """What the module says each time it is asked as the action asks it, but for what is in `wanted`."""
        files = {PROFILE: (self.where / "out" / PROFILE).read_bytes()}
        common = {
            "office": "acme",
            "state": "present",
            **{"host": NAME, "port": 443, "prefix": "", "secret": SECRET},
            **{"certificate": str(self.where / f"{NAME}.crt"), "key": str(self.where / f"{NAME}.key")},
        }
        given = []
        for one in wanted:
            kept = {name: files[name] for name in one.get("profiles", files)}
            content = {name: base64.b64encode(kept[name]).decode() for name in kept}
            data = {**common, "names": sorted(kept), "digest": site.digest(kept), "files": content, **one}
            given.append({"payload": pack(data), "_ansible_check_mode": one.get("check", False)})
        command = [*self.enter, "env", f"PYTHONPATH={ROOT / 'collections'}", sys.executable, "-c", MODULE]
        done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=False)
        said: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines() if line]
        assert len(said) == len(given) and SECRET not in done.stdout, (done.stdout, done.stderr)
        return said

    def serve(self, **wanted: Any) -> dict[str, Any]:
        return self.ask_module(wanted)[0]


PATH = f"/{links.token('jane@example.org', links.Link(datetime.date(2037, 6, 30), SECRET))}/{PROFILE.replace('@', '%40')}"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("certificates")
    for name in (NAME, "other", "renewed"):
        run = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9", "-subj"]
        subprocess.run(
            [*run, f"/CN={name}", "-keyout", where / f"{name}.key", "-out", where / f"{name}.crt"], check=True, capture_output=True
        )
    return where


@pytest.fixture
def machine(tmp_path: Path, certificates: Path) -> Iterator[Machine]:
    one = Machine(tmp_path / "machine", certificates)
    yield one
    one.end()


def everywhere(name: str, status: int, text: str) -> dict[str, Any]:
    return {f"{name} {address}": [status, text] for address in ADDRESSES}


def test_a_machine_with_nothing_gets_a_site_that_is_proved_and_everything_is_taken_back(machine: Machine) -> None:
    before = machine.state()
    check = {"keywords": {"check_mode": True}}
    checked, first, again = machine.play(check, {}, check)
    assert checked["changed"] and checked["addresses"] == [], checked
    assert (first["changed"], first["addresses"], first["files"]) == (True, ADDRESSES, 1), first
    assert (again["changed"], again["addresses"]) == (False, ADDRESSES), again
    for _ in range(2):
        assert machine.ask(NAME, path=PATH) == everywhere(NAME, 200, "first")
        machine.restart()
    machine.profile("second")
    assert machine.serve()["changed"]
    assert machine.ask(NAME, path=PATH) == everywhere(NAME, 200, "second")
    empty = machine.serve(profiles=[])
    assert (empty["changed"], empty["files"], empty["addresses"]) == (True, 0, ADDRESSES), empty
    assert {status for status, _ in machine.ask(NAME, path=PATH).values()} == {404}
    assert machine.serve(state="absent")["changed"]
    assert machine.serve(profiles=[])["addresses"] == ADDRESSES
    gone = machine.serve(state="absent")
    assert gone["changed"], gone
    assert machine.state() == before
    assert machine.ask(NAME, path=PATH) == everywhere(NAME, 0, "ConnectionRefusedError")


@pytest.mark.parametrize(
    "spoilt",
    [
        "rm {conf}; cp {data}/../before {conf}",
        "for file in {data}/acme/current/*/*; do echo other > $file; done",
        "systemctl stop nginx",
        "cp {where}/renewed.crt {where}/{name}.crt; cp {where}/renewed.key {where}/{name}.key",
        # New workers are there once nginx has read the file.
        "old=$(pgrep -P $(cat /run/nginx.pid)); sed -i s/current/elsewhere/ {conf}; nginx -s reload; "
        'while [ "$(pgrep -P $(cat /run/nginx.pid))" = "$old" ]; do sleep 0.1; done; sed -i s/elsewhere/current/ {conf}',
    ],
    ids=["file", "profile", "stopped", "renewed certificate", "never loaded"],
)
def test_what_is_not_as_it_was_proved_is_seen_and_put_right(machine: Machine, spoilt: str) -> None:
    machine.serve()
    machine.sh(f"sed s/{NAME}/else.example.org/ {CONF} > {DATA}/../before")
    machine.sh(spoilt.format(conf=CONF, data=DATA, where=machine.where, name=NAME))
    assert machine.serve(check=True)["changed"]
    again = machine.serve()
    assert again["changed"] and again["addresses"] == ADDRESSES, again
    assert machine.ask(NAME, path=PATH) == everywhere(NAME, 200, "first")
    assert machine.serve()["changed"] is False


BESIDE = {
    "all addresses": ("443 ssl default_server, [::]:443 ssl default_server", ADDRESSES),
    "no default": ("443 ssl, [::]:443 ssl", ADDRESSES),
    "one socket for both families": ("[::]:443 ssl ipv6only=off default_server", ADDRESSES),
    "one address": ("192.0.2.7:443 ssl default_server", ["192.0.2.7", "::1", "2001:db8::7"]),
    "one of each": ("192.0.2.7:443 ssl default_server, [2001:db8::7]:443 ssl", ["192.0.2.7", "2001:db8::7"]),
    "loopback by its name": ("localhost:443 ssl default_server", ["127.0.0.1", "::1", "2001:db8::7"]),
    "all and one": ("443 ssl default_server, 192.0.2.7:443 ssl default_server", ADDRESSES),
}


def of(table: dict[str, Any], *stopped: str) -> Any:
    """The cases of a table while nginx runs, and some also before it is started."""
    cases = [(name, True) for name in table] + [(name, False) for name in stopped]
    values = [pytest.param(table[name], running, id=f"{name}, {'running' if running else 'stopped'}") for name, running in cases]
    return pytest.mark.parametrize(("case", "running"), values)


@of(BESIDE, "one socket for both families", "one address", "all and one")
def test_beside_another_site_each_gets_its_own(machine: Machine, case: tuple[str, list[str]], running: bool) -> None:
    listen, served = case
    machine.neighbour(listen)
    machine.sh("nginx")
    theirs = {key: said for key, said in machine.ask("www.example.org").items() if said[0]}
    if not running:
        machine.sh("systemctl stop nginx")
    first = machine.serve()
    assert not first.get("failed") and first["addresses"] == (served if running or "::]" in listen else ADDRESSES), first
    for _ in range(2):
        ours = machine.ask(NAME, path=PATH)
        assert {address: ours[f"{NAME} {address}"] for address in served} == {address: [200, "first"] for address in served}
        assert theirs.items() <= machine.ask("www.example.org").items()
        machine.restart()
    assert machine.serve()["changed"] is False


def test_behind_a_proxy_that_says_who_asks(machine: Machine) -> None:
    machine.neighbour("443 ssl proxy_protocol default_server, [::]:443 ssl proxy_protocol default_server")
    machine.sh("nginx")
    assert machine.serve()["addresses"] == ADDRESSES


def refused(machine: Machine, *reasons: str, **wanted: Any) -> None:
    """A run, and a check, fail with this reason before anything is written."""
    before = machine.state(times=True)
    for result in machine.ask_module({"check": True, **wanted}, wanted):
        assert result.get("failed") and all(reason in result["msg"] for reason in reasons), result
    assert machine.state(times=True) == before


HELD = {
    "all addresses": ["0.0.0.0"],
    "both families": ["::", "dual"],
    "one address": ["192.0.2.8"],
    "IPv6 alone": ["::"],
    "loopback": ["127.0.0.1"],
}


@of(HELD, "all addresses", "one address")
def test_a_port_that_another_program_has_is_refused_before_anything_is_written(machine: Machine, case: list[str], running: bool) -> None:
    machine.neighbour("80")
    if running:
        machine.sh("nginx")
    machine.hold(case[0], "443", *case[1:])
    refused(machine, "port 443 is taken: python3 (process ", "write a port that is free into mail_profile_url")
    machine.restart()


def test_another_sites_port_is_not_turned_into_tls(machine: Machine) -> None:
    machine.neighbour("8443")
    machine.sh("nginx")
    refused(machine, "the site in /etc/nginx/sites-enabled/www is served on port 8443 without TLS", port=8443)


@pytest.mark.parametrize("names", ["_", ""])
def test_a_site_that_answers_for_every_name_goes_on_doing_so(machine: Machine, names: str) -> None:
    machine.neighbour("443 ssl", names)
    machine.sh("nginx")
    refused(machine, "write default_server into the listen directive in /etc/nginx/sites-enabled/www for port 443")
    machine.neighbour("443 ssl default_server", names)
    assert machine.serve()["addresses"] == ADDRESSES
    assert machine.ask("anything.example.org")["anything.example.org 192.0.2.7"] == [200, "neighbour"]


def test_a_site_by_whose_names_nobody_is_missed_is_said(machine: Machine) -> None:
    machine.neighbour("443 ssl")
    machine.sh("nginx")
    assert "write default_server into the listen directive in /etc/nginx/sites-enabled/www for port 443" in str(machine.serve()["warnings"])
    assert "warnings" not in machine.serve()


def test_where_nginx_is_not_installed_its_own_port_is_looked_at_too(machine: Machine) -> None:
    program = machine.hold("0.0.0.0", "80")
    machine.sh("mount --bind /dev/null $(command -v nginx)")
    refused(machine, "nginx is not installed here, and python3 (process ", "has port 80")
    machine.sh(f"kill {program}; while test -d /proc/{program} && ! grep -q '^State:.Z' /proc/{program}/status; do sleep 0.02; done")
    assert machine.serve(check=True)["changed"]
    machine.hold("0.0.0.0", "443")
    refused(machine, "port 443 is taken: python3 (process ")


def test_what_was_wrong_before_is_not_put_on_this_site(machine: Machine) -> None:
    machine.put("/etc/nginx/conf.d/theirs.conf", "nonsense;")
    refused(machine, 'nginx refuses its configuration as it is, without this site: unknown directive "nonsense"')


def test_a_nginx_that_does_not_read_the_folder(machine: Machine) -> None:
    machine.sh("sed -i '\\,include /etc/nginx/conf.d,d' /etc/nginx/nginx.conf")
    refused(machine, f"nginx does not read {CONF}")


def put_back(machine: Machine, *reasons: str, **more: Any) -> None:
    """A run fails with these reasons, and everything is and is served as it was, now and after a restart."""
    # Not running is an answer, no failure.
    ran = machine.sh("test -s /run/nginx.pid && echo yes || true")
    names = (NAME, "www.example.org")
    before, served = machine.state(), machine.ask(*names, path=PATH)
    result = machine.serve(**more)
    assert result.get("failed") and all(reason in result["msg"] for reason in reasons), result
    assert (machine.state(), machine.ask(*names, path=PATH)) == (before, served)
    assert machine.sh("test -s /run/nginx.pid && echo yes || true") == ran


def test_a_configuration_that_nginx_does_not_take_is_seen_and_put_back(machine: Machine) -> None:
    machine.neighbour("443 ssl default_server, [::]:443 ssl default_server")
    machine.sh("nginx")
    machine.serve()
    # Somebody wrote a site, and did not look whether nginx took it.
    machine.hold("0.0.0.0", "8080")
    machine.neighbour("8080", file="sites-enabled/new")
    machine.profile("second")
    reason = "nginx does not take its configuration: bind() to 0.0.0.0:8080 failed (98: Address already in use), which python3 (process "
    put_back(
        machine, reason, "everything was put back, but nginx could not be reloaded and goes on with what it had", host="new.example.org"
    )
    put_back(machine, reason, state="absent")
    machine.sh("rm /etc/nginx/sites-enabled/new")
    put_back_and_restart_works = machine.serve()
    assert put_back_and_restart_works["addresses"] == ADDRESSES
    machine.restart()
    assert machine.ask(NAME, path=PATH) == everywhere(NAME, 200, "second")


def test_a_first_install_that_cannot_start_leaves_no_trace(machine: Machine) -> None:
    machine.neighbour("80")
    machine.hold("0.0.0.0", "80")
    put_back(machine, "bind() to 0.0.0.0:80 failed (98: Address already in use), which python3 (process ", "nginx does not run, as before")


@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
def test_other_answers_put_everything_back(machine: Machine, first: bool) -> None:
    machine.neighbour("443 ssl default_server, [::]:443 ssl default_server")
    machine.sh("nginx")
    if not first:
        machine.serve()
    machine.profile("second")
    machine.put("/etc/nginx/conf.d/all.conf", "deny all;")
    machine.restart()
    put_back(machine, "127.0.0.1:443 answers a link to a profile with 403", "nginx serves what it served before")
    machine.restart()


def test_a_port_that_is_led_elsewhere_is_noticed(machine: Machine) -> None:
    """As for a container, whose port no socket of this machine has."""
    if shutil.which("nft") is None:
        pytest.skip("not on this machine: nft")
    machine.neighbour("8443 ssl default_server")
    machine.sh("nginx")
    rules = "chain output { type nat hook output priority -100; ip daddr 192.0.2.8 tcp dport 443 redirect to :8443; }"
    machine.put("/run/led.nft", f"table ip led {{\n{rules}\n}}\n")
    machine.sh("nft -f /run/led.nft")
    put_back(machine, "192.0.2.8:443 answers for profiles.example.org with another certificate than profile_server_certificate")


def test_a_site_that_came_later_and_could_never_be_loaded_is_named(machine: Machine) -> None:
    machine.serve()
    machine.neighbour("[::]:443 ssl ipv6only=off")
    refused(machine, "another site has ipv6only=off for port 443, with which nginx cannot start beside this one")


def test_a_site_on_one_address_that_came_later_is_joined(machine: Machine) -> None:
    machine.serve()
    machine.neighbour("192.0.2.7:443 ssl default_server")
    machine.sh("nginx -s reload")
    assert machine.serve()["changed"]
    for _ in range(2):
        assert machine.ask(NAME, path=PATH) == everywhere(NAME, 200, "first")
        machine.restart()


@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
def test_a_run_that_was_killed_is_undone_by_the_next(machine: Machine, first: bool) -> None:
    before = ""
    if not first:
        machine.serve()
        before = machine.sh(f"cat {CONF}")
    machine.sh(f"mkdir -p {Path(CONF).parent}")
    # A run writes this file first and takes it away last.
    machine.put(f"{Path(CONF).parent}/.{Path(CONF).name}.before", before)
    machine.put(CONF, "server { listen 443 ssl; server_name half; }\n")
    machine.put(f"{Path(CONF).parent}/.{Path(CONF).name}.half", "server { listen 443 ssl; server_name ha")
    checked = machine.serve(check=True)
    assert checked["changed"] is first, checked
    assert machine.serve()["addresses"] == ADDRESSES
    assert machine.sh("ls -A /etc/nginx/conf.d") == f"{Path(CONF).name}\n"
    assert machine.ask(NAME, path=PATH) == everywhere(NAME, 200, "first")


NO_NAMES = ["..", ".", "", "a/b", "../x", "a\0b", "a\nb", "/"]


def test_the_module_writes_and_removes_nothing_for_what_is_no_name(machine: Machine) -> None:
    machine.serve()
    machine.sh(f"mkdir -p {DATA}/other/current; echo mine > {DATA}/other/current/file")
    before = machine.state(times=True)
    wrong: list[dict[str, Any]] = [{"names": ["file"]}, {"names": ["a/b/c"]}]
    for name in NO_NAMES:
        wrong += [{key: name, "state": state} for key in ("office", "digest") for state in ("present", "absent")]
        wrong += [{"names": [f"{name}/x"]}, {"names": [f"x/{name}"]}, {"files": {f"x/{name}": ""}}]
    for one, result in zip(wrong, machine.ask_module(*wrong), strict=True):
        assert result.get("failed") and "is not the name of a folder or file of an office" in result["msg"], (one, result)
    assert machine.state(times=True) == before


@pytest.mark.parametrize("place", [CONF, f"{DATA}/acme"])
def test_what_is_a_link_to_another_place_is_not_followed(machine: Machine, place: str) -> None:
    machine.sh(f"mkdir -p {DATA} /var/lib/theirs; echo theirs > /var/lib/theirs/file; ln -s /var/lib/theirs {place}")
    for state in ("present", "absent"):
        refused(machine, f"{place} is a link to another place", state=state)
    assert machine.sh("cat /var/lib/theirs/file") == "theirs\n"


def test_the_action_asks_nothing_of_the_server_for_what_is_no_name(machine: Machine) -> None:
    machine.serve()
    before = machine.state(times=True)
    offices = ["..", ".", ""]
    tasks: list[dict[str, Any]] = [{"arguments": {"office": name, "state": state}} for name in offices for state in ("present", "absent")]
    folders = ["..", ".", "", "a/b", "../../etc", "a\nb"]
    tasks += [{"arguments": {"people": [{"folder": name, "devices": ["ios"]}]}} for name in folders]
    for result in machine.play(*tasks):
        assert result["failed"] and "is not the name of a folder; nothing was changed" in result["msg"], result
    assert machine.state(times=True) == before
