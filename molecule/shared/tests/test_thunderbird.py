"""The person's own Thunderbird has exactly the accounts it should have, and they work."""

from __future__ import annotations

from typing import Any

import fleet
import pytest
from office import Mailbox

# Thunderbird's own words
TYPES = {"imap": "imap", "pop": "pop3"}
SOCKETS = {"starttls": 2, "tls": 3}


def server(where: tuple[str, int, str], user: str) -> dict[str, Any]:
    host, port, security = where
    return {"host": host, "port": port, "socket": SOCKETS[security], "user": user}


def account(box: Mailbox) -> dict[str, Any]:
    """The account of a mailbox, with its outgoing server in place of a key."""
    return {
        "type": TYPES[box.protocol],
        **server(box.incoming, box.address),
        "email": box.address,
        "name": box.full_name,
        "organization": box.organization,
        "outgoing": server(box.outgoing, box.address),
    }


def accounts(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """What Thunderbird listed, in the form of `account`, but for accounts that a person made by hand."""
    return [
        {
            **{key: listed[key] for key in ("type", "host", "port", "socket", "user")},
            **{key: identity[key] for key in ("email", "name", "organization")},
            "outgoing": answer["outgoing"][identity["outgoing"]],
        }
        for listed in answer["accounts"]
        for identity in listed["identities"]
        if not listed["user"].startswith("own-")
    ]


@pytest.mark.parametrize(("machine", "login"), fleet.PEOPLE)
def test_lists_exactly_the_accounts(machine: str, login: str) -> None:
    answer = fleet.thunderbird(machine, login)
    boxes = [box for box in fleet.boxes_of(machine, login) if fleet.uses(box, "thunderbird")]
    assert accounts(answer) == [account(box) for box in boxes]
    assert len(answer["outgoing"]) == len(boxes)


@fleet.each("thunderbird")
def test_logs_in_and_sends(box: Mailbox) -> None:
    answer = fleet.thunderbird(box.machine, box.login)
    login = answer["logins"][box.address]
    assert login["status"] == 0
    assert login["messages"] >= 1
    assert answer["sent"][box.address] == 0
