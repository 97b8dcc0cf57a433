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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils import site
from ansible_collections.msp.charter_mail.plugins.module_utils.payload import pack
from ansible_collections.msp.charter_mail.plugins.plugin_utils import links

from tests.integration.playing import ROOT, Play

MISSING = [name for name in ("nginx", "ip", "unshare", "nsenter", "openssl") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes a network and mounts of its own"),
    pytest.mark.skipif(bool(MISSING), reason=f"not on this machine: {', '.join(MISSING)}"),
]

NAME, SECRET = "profiles.example.org", "0123456789abcdefghijklmnopqrstuv"
CONF = "/etc/nginx/conf.d/charter-mail-acme.conf"
DATA = "/var/lib/charter-mail-profiles"
PROFILE = "jane@example.org/jane@example.org-ios.mobileconfig"

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
  stop) nginx -s stop; while [ -e /run/nginx.pid ]; do sleep 0.02; done ;;
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
MODULE = """
import json, sys
from ansible.module_utils.testing import patch_module_args
from ansible_collections.msp.charter_mail.plugins.modules import profile_site
with patch_module_args(json.load(sys.stdin)):
    profile_site.main()
"""
# Another program that takes connections: address, port, and whether IPv4 too.
HOLD = """
import socket, sys
one = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if one.family == socket.AF_INET6:
    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(sys.argv[3:] != ["dual"]))
one.bind((sys.argv[1], int(sys.argv[2])))
one.listen()
print("up", flush=True)
while True:
    one.accept()[0].close()
"""


class Machine:
    """A machine that ends with its first process."""

    def __init__(self, where: Path) -> None:
        self.where = where
        (where / "bin").mkdir(parents=True)
        (where / "bin/systemctl").write_text(SYSTEMCTL)
        (where / "bin/systemctl").chmod(0o755)
        for name in (NAME, "other", "renewed"):
            run = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9"]
            subprocess.run(
                [*run, "-subj", f"/CN={name}", "-keyout", where / f"{name}.key", "-out", where / f"{name}.crt"],
                check=True,
                capture_output=True,
            )
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
        self.plays = 0

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

    def hold(self, *arguments: str) -> None:
        """Start another program."""
        one = subprocess.Popen([*self.enter, "python3", "-c", HOLD, *arguments], stdout=subprocess.PIPE, text=True)
        self.programs.append(one)
        assert one.stdout is not None and one.stdout.readline() == "up\n"

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

    def state(self) -> str:
        """Everything that a failed run may not have changed."""
        listed = f"find {DATA} /etc/nginx -printf '%p %l %m %u:%g\\n' | sort"
        content = f"find {DATA} /etc/nginx -type f -exec sha256sum {{}} + | sort"
        return self.sh(f"mkdir -p {DATA}; {listed}; {content}; rmdir {DATA} 2>/dev/null || true; ss -Htln | sort")

    def play(self, *options: str) -> dict[str, Any]:
        """What the task says, played as a role does."""
        self.plays += 1
        task = {
            "office": "acme",
            "people": [{"folder": "jane@example.org", "devices": ["ios"]}],
            "source": str(self.where / "out"),
            "url": f"https://{NAME}/{{token}}/{{address}}/{{file}}",
            "link_secret": SECRET,
            "link_until": "2037-06-30",
            "certificate": str(self.where / f"{NAME}.crt"),
            "key": str(self.where / f"{NAME}.key"),
        }
        play = Play(self.where / f"play{self.plays}")
        wrap = [*self.enter, "env", f"--chdir={play.where}"]
        results = play.run([{"msp.charter_mail.profile_site": task, "register": "out"}], *options, wrap=wrap)
        assert SECRET not in play.output
        found: dict[str, Any] = results["out"]
        return found

    def serve(self, *, check: bool = False, names: Sequence[str] = (PROFILE,), **more: Any) -> dict[str, Any]:
        """What the module says, as the action asks it."""
        files = {name: (self.where / "out" / name).read_bytes() for name in names}
        data = {
            "office": "acme",
            "state": "present",
            **{"host": NAME, "port": 443, "prefix": "", "secret": SECRET},
            **{"certificate": str(self.where / f"{NAME}.crt"), "key": str(self.where / f"{NAME}.key")},
            **{"names": sorted(files), "digest": site.digest(files)},
            "files": {name: base64.b64encode(files[name]).decode() for name in files},
            **more,
        }
        arguments = {"payload": pack(data), "_ansible_check_mode": check}
        command = [*self.enter, "env", f"PYTHONPATH={ROOT / 'collections'}", sys.executable, "-c", MODULE]
        done = subprocess.run(command, input=json.dumps(arguments), capture_output=True, text=True, check=False)
        assert done.stdout and SECRET not in done.stdout, done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


PATH = f"/{links.token('jane@example.org', links.Link(datetime.date(2037, 6, 30), SECRET))}/{PROFILE.replace('@', '%40')}"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    one = Machine(tmp_path)
    yield one
    one.end()


def everywhere(name: str, status: int, text: str) -> dict[str, Any]:
    return {f"{name} {address}": [status, text] for address in ADDRESSES}


def test_a_machine_with_nothing_gets_a_site_that_is_proved_and_everything_is_taken_back(machine: Machine) -> None:
    before = machine.state()
    checked = machine.play("--check")
    assert checked["changed"] and machine.state() == before
    first = machine.play()
    assert (first["changed"], first["addresses"], first["files"]) == (True, ADDRESSES, 1), first
    assert machine.ask(NAME, path=PATH) == everywhere(NAME, 200, "first")
    again = machine.play("--check")
    assert (again["changed"], again["addresses"]) == (False, ADDRESSES), again
    machine.restart()
    assert machine.ask(NAME, path=PATH) == everywhere(NAME, 200, "first")
    machine.profile("second")
    assert machine.serve()["changed"]
    assert machine.ask(NAME, path=PATH) == everywhere(NAME, 200, "second")
    empty = machine.serve(names=[])
    assert (empty["changed"], empty["files"], empty["addresses"]) == (True, 0, ADDRESSES), empty
    assert {status for status, _ in machine.ask(NAME, path=PATH).values()} == {404}
    gone = machine.serve(state="absent")
    assert gone["changed"], gone
    assert machine.state() == before
    assert machine.ask(NAME, path=PATH) == everywhere(NAME, 0, "ConnectionRefusedError")


BESIDE = {
    "all addresses": ("443 ssl default_server, [::]:443 ssl default_server", ADDRESSES),
    "no default": ("443 ssl, [::]:443 ssl", ADDRESSES),
    "one socket for both families": ("[::]:443 ssl ipv6only=off default_server", ADDRESSES),
    "one address": ("192.0.2.7:443 ssl default_server", ["192.0.2.7", "::1", "2001:db8::7"]),
    "one of each": ("192.0.2.7:443 ssl default_server, [2001:db8::7]:443 ssl", ["192.0.2.7", "2001:db8::7"]),
    "loopback by its name": ("localhost:443 ssl default_server", ["127.0.0.1"]),
    "all and one": ("443 ssl default_server, 192.0.2.7:443 ssl default_server", ADDRESSES),
}


@pytest.mark.parametrize(("listen", "served"), BESIDE.values(), ids=BESIDE.keys())
def test_beside_another_site_each_gets_its_own(machine: Machine, listen: str, served: list[str]) -> None:
    machine.neighbour(listen)
    machine.sh("nginx")
    before = machine.ask("www.example.org")
    first = machine.serve()
    assert not first.get("failed") and first["addresses"] == served, first
    for _ in range(2):
        ours = machine.ask(NAME, path=PATH)
        assert {address: ours[f"{NAME} {address}"] for address in served} == {address: [200, "first"] for address in served}
        theirs = machine.ask("www.example.org")
        assert {key: theirs[key] for key, (status, _) in before.items() if status} == {key: say for key, say in before.items() if say[0]}
        machine.restart()
    assert machine.serve()["changed"] is False
