"""What is gone is gone from the programs; what is the person's own stays."""

from __future__ import annotations

import fleet
import pytest

# Left by a line that is gone, left by `state`, lost Thunderbird alone.
LEFT, GONE, BACK = ("desk-12", "left", "left.hand@example.org"), ("desk-13", "gone", "gone.too@example.org"), ("desk-12", "back", "")


@pytest.mark.parametrize(("machine", "login", "address"), [LEFT, GONE])
def test_files_of_those_who_left_are_gone_and_their_mail_is_not(machine: str, login: str, address: str) -> None:
    files = fleet.run_as(machine, login, "find . -type f").splitlines()
    for name in (".msmtprc", ".mbsyncrc", ".config/neomutt/charter-mail.rc", ".config/aerc/accounts.conf"):
        assert f"./{name}" not in files
    assert [name for name in files if name.startswith(f"./Post & more/{address}/")]
    assert [name for name in files if "/ImapMail/" in name and "mail.twc.com" not in name]


@pytest.mark.parametrize(("machine", "login", "address"), [LEFT, GONE, BACK])
def test_thunderbird_has_their_own_account_alone(machine: str, login: str, address: str) -> None:
    del address
    answer = fleet.ask_thunderbird(machine, login)
    assert [account["user"] for account in answer["accounts"]] == [f"own-{login}"]
    assert answer["outgoing"] == {}


def test_who_moved_is_gone_from_the_old_machine() -> None:
    assert fleet.machine("desk-12").run("sudo test -e /home/zoe/.msmtprc").rc == 1


def test_what_was_taken_over_is_kept() -> None:
    kept = fleet.machine("desk-12").check_output('sudo grep -rl "Ann\'s own" /var/lib/charter-mail/backups').splitlines()
    assert len(kept) == 1
    with fleet.machine("desk-12").sudo():
        file = fleet.machine("desk-12").file(kept[0])
        assert (file.user, oct(file.mode)) == ("root", "0o600")
