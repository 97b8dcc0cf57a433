"""What a machine has once it is provisioned, and what it can reach."""

from __future__ import annotations

import fleet
import pytest
from office import Mailbox

MACHINES = sorted({box.machine for box in fleet.MAILBOXES})


@pytest.mark.parametrize("box", fleet.MAILBOXES, ids=str)
def test_reaches_the_servers_of_its_people(box: Mailbox) -> None:
    for host, port, _ in (box.incoming, box.outgoing):
        assert fleet.machine(box.machine).addr(host).port(port).is_reachable


@pytest.mark.parametrize("name", MACHINES)
def test_files_of_thunderbird_belong_to_root_and_can_be_read(name: str) -> None:
    boxes = [box for box in fleet.MAILBOXES if box.machine == name and fleet.uses(box, "thunderbird")]
    domains = sorted({box.address.partition("@")[2] for box in boxes})
    files = ["/usr/lib/thunderbird/charter-mail.cfg", "/etc/thunderbird/pref/charter-mail.js"]
    isp = [f"/usr/share/thunderbird/isp/{domain}.xml" for domain in domains]
    assert fleet.machine(name).check_output("grep -l charter-mail /usr/share/thunderbird/isp/*.xml").splitlines() == isp
    for path in [*files, *isp]:
        file = fleet.machine(name).file(path)
        assert (file.user, file.group, oct(file.mode)) == ("root", "root", "0o644")
        assert any("charter-mail" in line for line in file.content_string.splitlines()[:2])


@pytest.mark.parametrize("name", MACHINES)
def test_passwords_are_nowhere_but_where_the_people_keep_them(name: str) -> None:
    password = fleet.MAILBOXES[0].password.partition("@")[0][:20]
    places = "/home /root /etc /usr/lib/thunderbird /var/lib/charter-mail /var/log /tmp"
    with fleet.machine(name).sudo():
        found = fleet.machine(name).run(f"grep -rlF --exclude-dir=.mail-passwords -- %s {places}", password)
    assert found.stdout == ""


@pytest.mark.parametrize("name", MACHINES)
def test_its_record_is_for_root_alone(name: str) -> None:
    with fleet.machine(name).sudo():
        folder = fleet.machine(name).file("/var/lib/charter-mail")
        record = fleet.machine(name).file("/var/lib/charter-mail/state.json")
        assert (folder.user, oct(folder.mode), record.user, oct(record.mode)) == ("root", "0o700", "root", "0o600")
