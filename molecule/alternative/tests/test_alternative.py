"""What is gone is gone from the programs; what is the person's own stays."""

from __future__ import annotations

from typing import Any

import fleet
import pytest

# Left by a line that is gone, left by `state`, lost Thunderbird alone.
LEFT, GONE, BACK = ("desk-12", "left", "left.hand@example.org"), ("desk-13", "gone", "gone.too@example.org"), ("desk-12", "back", "")

# Made while the office's account is away; Thunderbird gives its identity a number that one of that account had.
MORE = {"type": "imap", "hostname": "mail.twc.com", "username": "own-more", "email": "more@example.net", "full_name": "More"}


@pytest.fixture(scope="module")
def returned() -> dict[str, Any]:
    """What Thunderbird shows people who are back for a while, by login. By then the provider has other servers."""
    # Three mailboxes are not in that list, which is meant.
    options = ("-e", "mail_provider=charter", "-e", "mail_confirm_removals=3")
    fleet.play("provision_mail", "--tags", "thunderbird", *options, inventory=fleet.SCENARIO / "before")
    answers = {login: fleet.ask_thunderbird(machine, login) for machine, login, _ in (LEFT, GONE)}
    fleet.play("provision_mail", "--tags", "thunderbird")
    return answers


@pytest.mark.parametrize(("machine", "login", "address"), [LEFT, GONE])
def test_files_of_those_who_left_are_gone_and_their_mail_is_not(machine: str, login: str, address: str) -> None:
    files = fleet.run_as(machine, login, "find . -type f").splitlines()
    for name in (".msmtprc", ".mbsyncrc", ".config/neomutt/charter-mail.rc", ".config/aerc/accounts.conf"):
        assert f"./{name}" not in files
    assert [name for name in files if name.startswith(f"./Post & more/{address}/")]
    assert [name for name in files if "/ImapMail/" in name and "mail.twc.com" not in name]


@pytest.mark.parametrize(("machine", "login", "address"), [LEFT, GONE, BACK])
def test_thunderbird_has_their_own_accounts_alone(machine: str, login: str, address: str) -> None:
    del address
    answer = fleet.ask_thunderbird(machine, login, make=MORE)
    assert [account["user"] for account in answer["accounts"]] == [f"own-{login}", "own-more"]
    assert answer["outgoing"] == {}


def test_who_moved_is_gone_from_the_old_machine() -> None:
    assert fleet.machine("desk-12").run("sudo test -e /home/zoe/.msmtprc").rc == 1


def test_what_was_taken_over_is_kept() -> None:
    machine = fleet.machine("desk-12")
    kept = machine.check_output("sudo sh -c 'grep -rl \"Ann.s own\" /home/*/.local/state/charter-mail/backups'").splitlines()
    assert len(kept) == 1
    with machine.sudo():
        assert machine.file(kept[0]).user == kept[0].split("/")[2]
        assert oct(machine.file(kept[0].rpartition("/")[0]).mode) == "0o700"


@pytest.mark.parametrize(("login", "address"), [LEFT[1:], GONE[1:]])
def test_who_returns_finds_what_was_chosen_in_thunderbird(returned: dict[str, Any], login: str, address: str) -> None:
    accounts = {account["user"]: account for account in returned[login]["accounts"]}
    account, server = accounts[address], f"imap://{address.replace('@', '%40')}@imap.charter.net"
    assert (account["host"], account["label"]) == ("imap.charter.net", "Chosen label")
    first, second = account["identities"]
    assert (first["email"], first["name"], first["signature"]) == (address, "Chosen Zoë", "Chosen 名前")
    assert (first["sent"], first["archives"]) == ("mailbox://nobody@Local%20Folders/Sent", f"{server}/Old mail")
    assert (second["email"], second["name"], second["signature"]) == ("second@example.org", "Second Zoë", "Second 名前")
    assert (second["sent"], second["outgoing"]) == (f"{server}/Sent", first["outgoing"])
    assert [(identity["email"], identity["signature"]) for identity in accounts["own-more"]["identities"]] == [("more@example.net", "")]


@pytest.mark.usefixtures("returned")
@pytest.mark.parametrize(("machine", "login", "address"), [LEFT, GONE])
def test_accounts_go_when_it_is_known_who_it_is_and_not_before(machine: str, login: str, address: str) -> None:
    answers = [fleet.ask_thunderbird(machine, login, without=names) for names in ("USER LOGNAME", "")]
    assert [address in [account["user"] for account in answer["accounts"]] for answer in answers] == [True, False]
