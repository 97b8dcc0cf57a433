"""The real terminal programs do their work with the files they were given."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from shlex import quote

import fleet
import pytest
from office import Mailbox

# program: the files it gets, below the person's home
FILES = {
    "msmtp": [".msmtprc"],
    "mbsync": [".mbsyncrc"],
    "neomutt": [".neomuttrc", ".config/neomutt/charter-mail.rc"],
    "aerc": [".config/aerc/accounts.conf"],
}
# A terminal of its own for a program that wants one; it has so many seconds.
IN_A_TERMINAL = "TERM=xterm timeout {} script --quiet --command {} /dev/null </dev/null >/dev/null 2>&1"


@pytest.mark.parametrize(("machine", "login"), fleet.PEOPLE)
@pytest.mark.parametrize("program", FILES)
def test_files_are_private_and_say_whose_they_are(machine: str, login: str, program: str) -> None:
    wanted = any(fleet.uses(box, program) for box in fleet.boxes_of(machine, login))
    for name in FILES[program]:
        with fleet.machine(machine).sudo():
            file = fleet.machine(machine).file(f"/home/{login}/{name}")
            assert file.exists == wanted
            if wanted:
                assert (file.user, file.group, oct(file.mode)) == (login, login, "0o600")
                # aerc's is shared with the person: this project owns keys in it, not the file.
                assert program == "aerc" or "charter-mail" in file.content_string.partition("\n")[0]


@fleet.each("msmtp")
def test_msmtp_sends(box: Mailbox) -> None:
    line = fleet.subject()
    with fleet.took_in(box):
        fleet.run(box, f"msmtp --account={quote(box.address)} -- {quote(box.address)}", fleet.message(box, line))
    assert fleet.delivered(box, line)["From"] == box.address


@fleet.each("mbsync")
def test_mbsync_fetches(box: Mailbox) -> None:
    line = fleet.subject()
    fleet.post(box, line)
    with fleet.let_in(box):
        fleet.run(box, f"mbsync {quote(box.address)}")
    assert fleet.run(box, f"grep -rlF {quote(line)} {quote(box.maildir)}").startswith(f"{box.maildir}/{box.address}/")


@pytest.mark.parametrize("box", fleet.first("neomutt"), ids=str)
def test_neomutt_sends(box: Mailbox) -> None:
    line = fleet.subject()
    with fleet.took_in(box):
        fleet.run(box, f"neomutt -s {quote(line)} -- {quote(box.address)}", "Body\n")
    sender = fleet.delivered(box, line)["From"].addresses[0]
    assert (sender.display_name, sender.addr_spec) == (box.full_name, box.address)


@pytest.mark.parametrize("box", fleet.first("neomutt"), ids=str)
def test_neomutt_opens_the_inbox(box: Mailbox) -> None:
    with fleet.let_in(box):
        fleet.run(box, IN_A_TERMINAL.format(20, "\"neomutt -e 'push <exit>'\""))


def test_aerc_opens_every_inbox() -> None:
    """All at once, for aerc has to be waited for."""
    boxes = [box for box in fleet.MAILBOXES if fleet.uses(box, "aerc")]
    people = {(box.machine, box.login) for box in boxes}
    with ExitStack() as stack, ThreadPoolExecutor(len(people)) as at_once:
        for box in boxes:
            stack.enter_context(fleet.let_in(box))
        list(at_once.map(lambda person: fleet.run_as(*person, f"{IN_A_TERMINAL.format(8, 'aerc')}; true"), people))
