"""An office of a scenario as its tests understand it: read on its own, not through the product.

office.py FOLDER...      prints as JSON the mailboxes of the folders' staff sheets and the stand-in's tables for them
"""

from __future__ import annotations

import base64
import csv
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import yaml

# What the provider's servers are, once more: a slip in the product's table shows up as a difference to this one.
SERVERS: dict[str, dict[str, tuple[str, int, str]]] = {
    "charter": {
        "imap": ("imap.charter.net", 993, "tls"),
        "pop": ("pop.charter.net", 995, "tls"),
        "587": ("smtp.charter.net", 587, "starttls"),
        "465": ("smtp.charter.net", 465, "tls"),
    },
    "spectrum": {
        "imap": ("mobile.charter.net", 993, "tls"),
        "pop": ("mobile.charter.net", 995, "tls"),
        "587": ("mobile.charter.net", 587, "tls"),
    },
}


@dataclasses.dataclass(frozen=True)
class Mailbox:
    """A mailbox of a person on one machine; servers are (host, port, tls or starttls)."""

    machine: str
    login: str
    address: str
    full_name: str
    organization: str
    protocol: str
    incoming: tuple[str, int, str]
    outgoing: tuple[str, int, str]
    programs: tuple[str, ...]
    maildir: str

    @property
    def password(self) -> str:
        """Has what shells, quotes and templates stumble over."""
        return f"p\"w'd \\ $HOME %s {{{{x}}}} #:= {self.address}"

    def __str__(self) -> str:
        return f"{self.machine}:{self.address}"


def read(folder: Path) -> list[Mailbox]:
    """The mailboxes of the people who are in the sheet and have not left, once per machine, in the sheet's order."""
    settings = yaml.safe_load((folder / "group_vars/all.yml").read_text(encoding="utf-8"))
    machines = yaml.safe_load((folder / "hosts.yml").read_text(encoding="utf-8"))["linux"]["hosts"]
    with (folder / "staff.csv").open(encoding="utf-8", newline="") as sheet:
        rows = [row for row in csv.DictReader(line for line in sheet if not line.startswith("#")) if row["state"] != "absent"]
    return [
        _mailbox(row, machine, settings | (machines[machine] or {}))
        for row in rows
        for machine in row["machines"].split()
        if machine in machines
    ]


def _mailbox(row: dict[str, str], machine: str, settings: dict[str, Any]) -> Mailbox:
    servers = SERVERS[settings["mail_provider"]]
    # What "auto" comes to on a machine is for the scenario's own tests to say.
    port = row["smtp_port"] or str(settings.get("mail_smtp_port") or 587).replace("auto", "587")
    protocol = row["protocol"] or "imap"
    return Mailbox(
        machine=machine,
        login=row["login"],
        address=row["address"],
        full_name=row["full_name"],
        organization=settings["mail_office"],
        protocol=protocol,
        incoming=servers[protocol],
        outgoing=servers[port],
        programs=tuple(row["programs"].split() or settings["mail_programs"]),
        maildir=settings.get("terminal_maildir", "Mail"),
    )


def tables(boxes: list[Mailbox]) -> dict[str, list[str]]:
    """Lines of the stand-in's files: Dovecot's users (which has an apostrophe escaped), Postfix's mailboxes and domains."""
    passwords = {box.address: base64.b64encode(box.password.encode()).decode() for box in boxes}
    return {
        "users": [address.replace("'", "\\'") + f":{{PLAIN.b64}}{password}::::::" for address, password in passwords.items()],
        "mailboxes": [f"{address} {address}/Maildir/" for address in passwords],
        "domains": sorted({f"{address.partition('@')[2]} here" for address in passwords}),
    }


def main() -> None:
    boxes = list({str(box): box for folder in sys.argv[1:] for box in read(Path(folder))}.values())
    json.dump({"mailboxes": [{**dataclasses.asdict(box), "password": box.password} for box in boxes], "tables": tables(boxes)}, sys.stdout)


if __name__ == "__main__":
    main()
