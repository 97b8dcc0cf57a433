"""Desktop programs besides Thunderbird do their work with the files they were given."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import fleet
import pytest
from office import Mailbox

# Evolution's own words, and Claws Mail's numbers
BACKENDS = {"imap": "imapx", "pop": "pop"}
METHODS = {"starttls": "starttls-on-standard-port", "tls": "ssl-on-alternate-port"}
PROTOCOLS = {"pop": "0", "imap": "1"}
SSL = {"tls": "1", "starttls": "2"}


def server(where: tuple[str, int, str], user: str) -> dict[str, object]:
    host, port, security = where
    return {"host": host, "port": port, "user": user, "security": METHODS[security]}


@pytest.mark.parametrize(("machine", "login"), fleet.PEOPLE)
def test_evolution_signs_in_and_sends(machine: str, login: str) -> None:
    boxes = [box for box in fleet.boxes_of(machine, login) if fleet.uses(box, "evolution")]
    line = fleet.subject()
    with ExitStack() as stack:
        for box in boxes:
            stack.enter_context(fleet.let_in(box))
            stack.enter_context(fleet.took_in(box))
        found = fleet.evolution(machine, login, line)
    expected = [
        {
            "type": BACKENDS[box.protocol],
            **server(box.incoming, box.address),
            "email": box.address,
            "name": box.full_name,
            "organization": box.organization or None,
            "outgoing": server(box.outgoing, box.address),
            "login": "",
            "sent": "",
        }
        for box in boxes
    ]
    assert sorted(found, key=lambda account: account["email"]) == sorted(expected, key=lambda account: str(account["email"]))
    for box in boxes:
        assert fleet.delivered(box, line)["From"].addresses[0].addr_spec == box.address


def claws_account(box: Mailbox) -> dict[str, str]:
    incoming, port, security = box.incoming
    outgoing, submission, way = box.outgoing
    return {
        "organization": box.organization,
        **{"name": box.full_name, "address": box.address, "protocol": PROTOCOLS[box.protocol], "smtp_user_id": "", "use_smtp_auth": "1"},
        **{"receive_server": incoming, f"{box.protocol}_port": str(port), f"ssl_{box.protocol}": SSL[security], "user_id": box.address},
        **{"smtp_server": outgoing, "smtp_port": str(submission), "ssl_smtp": SSL[way]},
        **({"remove_mail": "0"} if box.protocol == "pop" else {}),
    }


def test_claws_mail_signs_in_and_sends() -> None:
    """Everybody at once, for it has to be waited for."""
    boxes = [box for box in fleet.MAILBOXES if fleet.uses(box, "claws")]
    people, line = sorted({(box.machine, box.login) for box in boxes}), fleet.subject()
    with ExitStack() as stack, ThreadPoolExecutor(len(people)) as at_once:
        for box in boxes:
            stack.enter_context(fleet.let_in(box))
            stack.enter_context(fleet.took_in(box))
        found = dict(zip(people, at_once.map(lambda person: fleet.claws(*person, line), people), strict=True))
    for box in boxes:
        accounts = found[box.machine, box.login]
        assert set(accounts) == {mine.address for mine in fleet.boxes_of(box.machine, box.login) if fleet.uses(mine, "claws")}
        assert {**accounts[box.address], **claws_account(box)} == accounts[box.address]
        assert fleet.delivered(box, line)["From"].addresses[0].addr_spec == box.address


def test_own_accounts_stay_as_they_are() -> None:
    """One of Evolution's, of which it knows no more than its name, and one of Claws Mail's, the first that a person makes."""
    box = next(box for box in fleet.MAILBOXES if fleet.uses(box, "evolution") and fleet.uses(box, "claws"))
    source, accounts = ".config/evolution/sources/own.source", ".claws-mail/accountrc"
    own = "\n[Account: 1]\naccount_name=own\naddress=own@example.net\nprotocol=0\n"
    ours = fleet.run(box, f"cat {accounts}")
    fleet.run(box, f"printf '[Data Source]\\nDisplayName=Own\\nEnabled=false\\n' >{source}; cat >>{accounts}", own)
    kept = fleet.run(box, f"cat {source} {accounts}")
    shown = fleet.play("provision_mail", "--limit", box.machine)
    assert fleet.place(box.machine, box.address, "claws") == ("prepared", "unchanged"), shown
    assert fleet.run(box, f"cat {source} {accounts}") == kept and kept.endswith(ours + own)
    fleet.run(box, f"rm {source}; cat >{accounts}", ours)
