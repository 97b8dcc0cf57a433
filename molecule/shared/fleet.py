"""Fixtures and helpers of the scenarios' tests: the office as it should be, the machines over SSH, mail on its way."""

from __future__ import annotations

import functools
import json
import os
import time
import uuid
from pathlib import Path
from typing import Any

import office
import pytest
import testinfra
from testinfra.host import Host

SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
SSH_CONFIG = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"], ".cache/fleet", SCENARIO.name, "ssh_config")
DELIVERED_WITHIN = 20  # seconds

MAILBOXES = office.read(SCENARIO / "inventory")


def each(*programs: str, protocol: str = "") -> pytest.MarkDecorator:
    """Run the test as `box` for every mailbox that is read with one of the programs (with any when none is named)."""
    boxes = [box for box in MAILBOXES if not programs or set(programs) & set(box.programs)]
    return pytest.mark.parametrize("box", [box for box in boxes if protocol in ("", box.protocol)], ids=str)


@functools.cache
def machine(name: str) -> Host:
    """A machine of the fleet, as the technician comes in."""
    return testinfra.get_host(f"ssh://{name}", ssh_config=str(SSH_CONFIG))


@functools.cache
def standin() -> Host:
    """The stand-in for the provider's servers, as root."""
    return testinfra.get_host("ssh://standin", ssh_config=str(SSH_CONFIG), sudo=True)


def run_as(host: str, login: str, command: str, text: str = "") -> str:
    """What the shell command prints when the person runs it on the machine with `text` to read; fails when it fails."""
    person = "sudo --set-home --user %s env LANG=C.UTF-8 timeout 200 sh -c %s"
    result = machine(host).run(f"printf %%s %s | {person}", text, login, f"cd && {command}")
    assert result.rc == 0, f"{login}@{host}$ {command}: {result.rc}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def run(box: office.Mailbox, command: str, text: str = "") -> str:
    """`run_as` the mailbox's person on its machine."""
    return run_as(box.machine, box.login, command, text)


def ask_thunderbird(host: str, login: str, **request: Any) -> dict[str, Any]:
    """Start the person's own Thunderbird, see thunderbird.py for what to ask."""
    return json.loads(run_as(host, login, "python3 /opt/thunderbird.py", json.dumps(request)))


@functools.cache
def thunderbird(host: str, login: str) -> dict[str, Any]:
    """What the person's Thunderbird says once it has logged in everywhere and sent a message from every identity."""
    boxes = [box for box in MAILBOXES if (box.machine, box.login) == (host, login)]
    passwords = {box.address: box.password for box in boxes}
    return ask_thunderbird(host, login, passwords=passwords, send_to=boxes[0].address, subject=subject())


def subject() -> str:
    """A subject no other message has."""
    return f"fleet {uuid.uuid4().hex}"


def message(box: office.Mailbox, line: str) -> str:
    return f"From: {box.address}\nTo: {box.address}\nSubject: {line}\n\nBody\n"


def delivered(address: str, line: str) -> bool:
    """Whether a message with the line in it arrives in the mailbox on the stand-in."""
    return _soon(lambda: standin().run("grep -rqF -- %s %s", line, f"/srv/mail/{address}/Maildir").rc == 0)


def taken_in(box: office.Mailbox) -> bool:
    """Whether the stand-in took mail of this mailbox in at the host and port, and so in the TLS mode, it is to use."""
    host, port, _ = box.outgoing
    return logged(f"standin/{host}:{port}/smtpd.* sasl_username={box.address}$")


def fetched(box: office.Mailbox) -> bool:
    """Whether the person logged in to fetch mail at the stand-in."""
    service = {"imap": "imap-login", "pop": "pop3-login"}[box.protocol]
    return logged(f"{service}: .*Logged in: user=<{box.address}>.*, TLS")


def logged(pattern: str) -> bool:
    """Whether a line of the stand-in's log matches the pattern, in a moment at the latest."""
    return _soon(lambda: standin().run("journalctl --boot --no-pager | grep -qE -- %s", pattern).rc == 0)


def _soon(holds: Any) -> bool:
    end = time.monotonic() + DELIVERED_WITHIN
    while not (found := holds()) and time.monotonic() < end:
        time.sleep(0.3)
    return bool(found)
