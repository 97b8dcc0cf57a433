"""Fixtures and helpers of the scenarios' tests: the office as it should be, the machines over SSH, mail on its way."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_string
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, cast

import office
import pytest
import testinfra
from testinfra.host import Host

SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
SSH_CONFIG = PROJECT / ".cache/fleet" / SCENARIO.name / "ssh_config"
OFFICE = PROJECT / ".cache/fleet" / SCENARIO.name / "office"
DELIVERED_WITHIN = 20  # seconds

MAILBOXES = office.read(SCENARIO / "inventory")


PEOPLE = sorted({(box.machine, box.login) for box in MAILBOXES})
# A person who fetches by POP does not get these, even when the sheet names them.
IMAP_ONLY = {"mbsync", "aerc"}


def uses(box: office.Mailbox, program: str) -> bool:
    return program in box.programs and (box.protocol == "imap" or program not in IMAP_ONLY)


def each(program: str) -> pytest.MarkDecorator:
    """Run the test as `box` for every mailbox that is used with the program."""
    return pytest.mark.parametrize("box", [box for box in MAILBOXES if uses(box, program)], ids=str)


def first(program: str) -> list[office.Mailbox]:
    """Everybody's first mailbox that is used with the program: the one it starts with."""
    boxes = {(box.machine, box.login): box for box in reversed(MAILBOXES) if uses(box, program)}
    return list(boxes.values())


def boxes_of(machine: str, login: str) -> list[office.Mailbox]:
    return [box for box in MAILBOXES if (box.machine, box.login) == (machine, login)]


@functools.cache
def machine(name: str) -> Host:
    """A machine of the fleet, as the technician comes in."""
    return testinfra.get_host(f"ssh://{name}", ssh_config=str(SSH_CONFIG))


@functools.cache
def standin() -> Host:
    """The stand-in for the provider's servers, as root."""
    return testinfra.get_host("ssh://standin", ssh_config=str(SSH_CONFIG), sudo=True)


@functools.cache
def address(name: str) -> str:
    """The machine's address in the fleet's network."""
    return machine(name).check_output("hostname --all-ip-addresses").strip()


def run_as(host: str, login: str, command: str, text: str = "") -> str:
    """What the shell command prints when the person runs it on the machine with `text` to read; fails when it fails."""
    person = "sudo --set-home --user %s env LANG=C.UTF-8 timeout 200 sh -c %s"
    result = machine(host).run(f"printf %%s %s | {person}", text, login, f"cd && {command}")
    assert result.rc == 0, f"{login}@{host}$ {command}: {result.rc}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def run(box: office.Mailbox, command: str, text: str = "") -> str:
    """`run_as` the mailbox's person on its machine."""
    return run_as(box.machine, box.login, command, text)


def ask_thunderbird(host: str, login: str, without: str = "", **request: Any) -> dict[str, Any]:
    """Start the person's own Thunderbird, see drivers/thunderbird.py for what to ask; `without` names variables of the environment."""
    command = " ".join(["env", *(f"-u {name}" for name in without.split()), "python3 /opt/thunderbird.py"])
    return json.loads(run_as(host, login, command, json.dumps(request)))


def evolution(host: str, login: str, line: str) -> list[dict[str, Any]]:
    """What Evolution's libraries say of the person's accounts, each signed in and a message with the subject `line` sent from it."""
    passwords = {box.address: box.password for box in boxes_of(host, login)}
    request = json.dumps({"passwords": passwords, "subject": line})
    return json.loads(run_as(host, login, "dbus-run-session -- python3 /opt/evolution.py", request))


def claws(host: str, login: str, line: str) -> dict[str, dict[str, str]]:
    """The person's accounts by address as Claws Mail leaves them, each looked into and a message with the subject `line` sent from it."""
    passwords = {box.address: box.password for box in boxes_of(host, login)}
    request = json.dumps({"passwords": passwords, "subject": line})
    return json.loads(run_as(host, login, "python3 /opt/claws.py", request))


@functools.cache
def thunderbird(host: str, login: str) -> dict[str, Any]:
    """What the person's Thunderbird says once it has fetched a new message everywhere and sent one from every identity."""
    boxes = boxes_of(host, login)
    for box in boxes:
        post(box, subject())
    passwords = {box.address: box.password for box in boxes}
    return ask_thunderbird(host, login, passwords=passwords, send_to=boxes[0].address, subject=subject())


def play(playbook: str, *arguments: str, code: int = 0, inventory: Path = SCENARIO / "inventory") -> str:
    """What a technician sees who runs one of the project's playbooks, for this office; `code` is how it should end."""
    command = ["ansible-playbook", "--inventory", str(inventory), str(PROJECT / "playbooks" / f"{playbook}.yml"), *arguments]
    own = {"ANSIBLE_FORCE_COLOR": "0", "CHARTER_MAIL_ANSIBLE_OUTPUT": "1", "CHARTER_MAIL_OFFICE_DIR": str(OFFICE)}
    done = subprocess.run(command, env={**os.environ, **own}, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def told(shown: str) -> str:
    """The end of what a technician sees, as one line: where lines are broken is not the point."""
    return " ".join(shown.partition("PLAY RECAP")[2].split())


def place(host: str, address: str, program: str) -> tuple[str, str]:
    """How a mailbox stands in a program of a machine after the last run, and what that did there."""
    people = json.loads((OFFICE / "office.json").read_text(encoding="utf-8"))["people"]
    places = [place for person in people for place in person["places"]]
    (found,) = [place for place in places if (place["machine"], place["address"], place["program"]) == (host, address, program)]
    return found["state"], found["did"]


def diagnose(*arguments: str, code: int = 2) -> dict[str, dict[str, Any]]:
    """The machines of the report of diagnose_mail.yml by name, each with `servers`, verdicts by "host:port"."""
    with tempfile.TemporaryDirectory() as folder:
        play("diagnose_mail", "-e", f"diagnosis_dir={folder}", *arguments, code=code)
        assert Path(folder, "diagnosis.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
        report = json.loads(Path(folder, "diagnosis.json").read_text(encoding="utf-8"))
    return {each["machine"]: {**each, "servers": verdicts(each)} for each in report["machines"]}


def verdicts(machine: dict[str, Any]) -> dict[str, str]:
    """What the report says of each server, and of the settings."""
    return {step["column"]: step["verdict"] for step in machine["steps"] if step.get("column") and step.get("verdict")}


def subject() -> str:
    """A subject no other message has."""
    return f"fleet {uuid.uuid4().hex}"


def message(box: office.Mailbox, line: str) -> str:
    """A message to oneself."""
    return f"From: {box.address}\nTo: {box.address}\nSubject: {line}\n\nBody\n"


def post(box: office.Mailbox, line: str) -> None:
    """Put a message into the mailbox, as if it had come from elsewhere."""
    result = standin().run("printf %%s %s | sendmail -- %s", message(box, line), box.address)
    assert result.rc == 0 and delivered(box, line), result.stderr


def delivered(box: office.Mailbox, line: str) -> EmailMessage:
    """The message with this subject, which is in the mailbox on the stand-in in a moment."""

    def look() -> str:
        return standin().run("grep -rhF --null-data -- %s %s | tr -d '\\0'", line, f"/srv/mail/{box.address}/Maildir").stdout

    return cast(EmailMessage, message_from_string(soon(look, f"a message {line!r} for {box.address}"), policy=default))


@contextmanager
def took_in(box: office.Mailbox) -> Iterator[None]:
    """During the block the stand-in takes mail of this mailbox in, at the host and port (so in the TLS mode) it is to use."""
    host, port, _ = box.outgoing
    with logged(f"standin/{host}:{port}/smtpd.*\\[{address(box.machine)}\\], .*sasl_username={re.escape(box.address)}$"):
        yield


@contextmanager
def let_in(box: office.Mailbox) -> Iterator[None]:
    """During the block the stand-in lets the person in to fetch mail."""
    service = {"imap": "imap-login", "pop": "pop3-login"}[box.protocol]
    with logged(f"{service}: .*Logged in: user=<{re.escape(box.address)}>, .* rip={address(box.machine)}, .*TLS"):
        yield


@contextmanager
def logged(pattern: str) -> Iterator[None]:
    """During the block, or in a moment, the stand-in's mail log gets a line that matches the extended regular expression."""
    cursor = standin().check_output("journalctl --lines 0 --show-cursor --quiet").removeprefix("-- cursor: ")
    yield
    soon(lambda: standin().run("journalctl SYSLOG_FACILITY=2 --after-cursor %s | grep -E -- %s", cursor, pattern).stdout, pattern)


def soon(look: Callable[[], Any], what: str) -> Any:
    """What `look` finds within the time that mail may take."""
    end = time.monotonic() + DELIVERED_WITHIN
    while not (found := look()):
        assert time.monotonic() < end, f"the stand-in never saw {what}"
        time.sleep(0.3)
    return found
