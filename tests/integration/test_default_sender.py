"""Which mailbox is the first on a machine: the default sender of msmtp and NeoMutt, whatever the order of the sheet."""

from __future__ import annotations

import re
from pathlib import Path

from tests.playbook import Run, play, tree, write_office

HEADER = "address,full_name,machines,login,programs,primary\n"
SALES = "sales@example.org,Jane Doe,desk-01,jane,msmtp neomutt,\n"
JANE = "jane@example.org,Jane  DOE,desk-01,jane,msmtp neomutt,\n"


def test_the_default_sender_stays(tmp_path: Path) -> None:
    office, machine = tmp_path / "acme", tmp_path / "acme.machines/desk-01"

    def provision(*rows: str, playbook: str = "provision-mail.yml") -> Run:
        write_office(office, HEADER + "".join(rows), "desk-01 desk-02")
        run = play(playbook, "-i", office, cwd=tmp_path)
        assert run.code == 0, run.out
        return run

    def first(folder: Path = machine) -> tuple[str, str]:
        msmtp = (folder / "home/jane/.msmtprc").read_text()
        neomutt = (folder / "home/jane/.config/neomutt/charter-mail.rc").read_text()
        return msmtp.rpartition("account default : ")[2].strip(), neomutt.partition("\nset from = '")[2].partition("'")[0]

    provision(SALES)
    assert first() == ("sales@example.org", "sales@example.org")
    # Of a machine where nobody has mail there is nothing to remember.
    assert not tree(office.with_name("acme.machines") / "desk-02")
    # A mailbox that would come first joins it. A machine that is new has nothing to remember.
    provision(JANE, SALES.replace("desk-01", "desk-01 desk-02"))
    assert first() == ("sales@example.org", "sales@example.org")
    provision(JANE.replace("desk-01", "desk-01 desk-02"), SALES.replace("desk-01", "desk-01 desk-02"))
    before = tree(machine)
    # Sorted the other way, everything is as it was, on a machine that remembers and on one that does not.
    again = provision(SALES.replace("desk-01", "desk-01 desk-02"), JANE.replace("desk-01", "desk-01 desk-02"))
    assert not re.search("changed=[1-9]", again.out), again.out
    assert tree(machine) == before
    # The office says which one is first.
    provision(SALES, JANE.replace(",\n", ",yes\n"))
    assert first() == ("jane@example.org", "jane@example.org")
    # Nothing is said any more: it stays. Then it leaves.
    provision(SALES, JANE)
    assert first() == ("jane@example.org", "jane@example.org")
    provision(SALES)
    assert first() == ("sales@example.org", "sales@example.org")
