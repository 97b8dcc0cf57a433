"""deliver_profiles.yml as a technician runs it, for a folder that stands for a Mac with doubles of its commands (tests/doubles/macos)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.playbook import LOCAL, ROOT, Run, play, tree

SHEET = "address,full_name,machines,login,protocol,smtp_port,phones,state\n"
SETTINGS = {
    "mail_office": "Example",
    "mail_domains": ["example.org"],
    "mobile_contact": {"name": "IT", "phone": "+1 555 0100"},
    "mobile_paper": "none",
    "mail_probe": False,
}
JANE, INFO = "jane@example.org,Jane Hall,mac,jane,,,,", "info@example.org,Jane Hall,mac,jane,,,,"
POP = "polly@example.org,Polly,mac,polly,pop,,ios,"


class Mac:
    """An office with one Mac: `office` is its folder, `root` stands for the Mac."""

    def __init__(self, folder: Path) -> None:
        self.office, self.root, self.out = folder / "acme", folder / "mac", folder / "build/mobile/acme"
        (self.office / "group_vars").mkdir(parents=True)
        (self.office / "hosts.yml").write_text(f'macos:\n  hosts: {{mac: {{mail_root: "{self.root}"}}}}\n{LOCAL}')
        subprocess.run([ROOT / "tests/doubles/macos/install.sh", self.root], check=True)

    def write(self, *rows: str, **settings: Any) -> Mac:
        (self.office / "staff.csv").write_text(SHEET + "".join(f"{row}\n" for row in rows), encoding="utf-8")
        (self.office / "group_vars/all.yml").write_text(yaml.safe_dump(SETTINGS | settings), encoding="utf-8")
        return self

    def run(self, *arguments: str, playbook: str = "playbooks/deliver_profiles.yml", code: int = 0) -> Run:
        done = play(playbook, "-i", self.office, *arguments, cwd=self.office.parent)
        assert done.code == code, done.out
        return done

    def still(self, *arguments: str) -> Run:
        """A run that changes nothing, not even a file's time."""
        before = {path: path.stat().st_mtime_ns for folder in (self.root, self.out) for path in folder.rglob("*")}
        done = self.run(*arguments)
        after = {path: path.stat().st_mtime_ns for folder in (self.root, self.out) for path in folder.rglob("*")}
        assert before == after, done.out
        assert "changed=0" in done.row("mac ", "ok=") and "changed=0" in done.row("localhost ", "ok=")
        return done

    def at_the_mac(self, command: str, *arguments: str | Path) -> None:
        subprocess.run([self.root / "usr/bin" / command, *arguments], check=True)

    def approve(self, address: str) -> None:
        self.at_the_mac("approve", address.partition("@")[0], self.file(address))

    def file(self, address: str) -> Path:
        return self.root / "Users" / address.partition("@")[0] / f"{address.partition('@')[0]}-mac.mobileconfig"

    def installed(self, login: str) -> list[str]:
        file = self.root / "var/db/mac-double/profiles.json"
        found = json.loads(file.read_text()) if file.exists() else {}
        return [profile["ProfileIdentifier"] for profile in found.get(login, [])]

    def opened(self) -> list[str]:
        log = self.root / "var/db/mac-double/opened"
        return log.read_text().splitlines() if log.exists() else []

    def told(self, address: str, words: str) -> bool:
        """Whether the person's hand-out says so."""
        return words in (self.out / address / "index.html").read_text(encoding="utf-8")


SENT, PENDING, INSTALLED = "You are sent the file", "is in your home folder", "installed on your Mac already"


@pytest.fixture
def mac(tmp_path: Path) -> Mac:
    return Mac(tmp_path)


def test_from_nothing_to_installed_to_outdated(mac: Mac) -> None:
    mac.write(JANE, INFO)
    first = mac.run("--check")
    assert not mac.file("jane@example.org").exists() and not mac.out.exists()
    assert "Jane Hall (mac): Apple Mail would be set up" in first.out

    # With the whole command, which says nothing of Macs being left out.
    whole = mac.run(playbook="provision-mail.yml")
    for address in ("jane@example.org", "info@example.org"):
        assert whole.place(address, "mac", "apple_mail") == ("pending user approval", "created")
    assert "left out" not in whole.out and "WARNING" not in whole.out
    made = (mac.out / "jane@example.org/jane-mac.mobileconfig").read_bytes()
    assert mac.file("jane@example.org").read_bytes() == made
    assert mac.told("jane@example.org", PENDING) and not mac.told("jane@example.org", SENT)
    mac.still()

    mac.approve("jane@example.org")
    run = mac.run()
    assert run.place("jane@example.org", "mac", "apple_mail") == ("installed", "unchanged")
    assert mac.told("jane@example.org", INSTALLED) and not mac.told("jane@example.org", PENDING)

    mac.write(JANE, INFO.replace(",,,,", ",,465,,"))
    run = mac.run()
    assert run.place("jane@example.org", "mac", "apple_mail") == ("outdated", "pending")
    assert "info@example.org: outgoing port is 587 and should be 465" in " ".join(run.out.split())
    assert mac.told("jane@example.org", PENDING)


def test_who_leaves_and_what_is_taken_back(mac: Mac) -> None:
    mac.write(JANE, POP, apple_mail_open=True)
    mac.at_the_mac("sit", "polly", "501")
    assert "it was opened on the person's screen" in " ".join(mac.run().out.split())
    assert [line.split(" ", 1)[1] for line in mac.opened()][0] == "501 /Users/polly/polly-mac.mobileconfig"
    mac.approve("jane@example.org")
    mac.approve("polly@example.org")
    run = mac.write(POP).run()
    assert "left; removed: Apple Mail on mac" in run.out
    assert not mac.file("jane@example.org").exists() and mac.installed("jane") == []
    assert mac.told("polly@example.org", INSTALLED)
    run = mac.run("-e", "apple_mail_state=absent", "-e", "apple_mail_remove_pop=true")
    assert run.place("polly@example.org", "mac", "apple_mail") == ("removed", "removed")
    assert not mac.file("polly@example.org").exists() and mac.installed("polly") == []
    assert mac.told("polly@example.org", SENT)


def test_a_mac_of_an_mdm_is_not_contacted(mac: Mac) -> None:
    before = tree(mac.root)
    run = mac.write(JANE, apple_mail_mdm=True).run(playbook="provision-mail.yml")
    assert tree(mac.root) == before
    assert (mac.out / "jane@example.org/jane-mac.mobileconfig").exists()
    assert run.place("jane@example.org", "mac", "apple_mail")[0] == "by an MDM"


def test_an_office_without_macs_hears_nothing_of_them(mac: Mac) -> None:
    (mac.office / "hosts.yml").write_text(f'linux:\n  hosts: {{desk: {{mail_root: "{mac.root}"}}}}\n{LOCAL}')
    run = mac.write("jane@example.org,Jane Hall,desk,jane,,,ios,").run(playbook="provision-mail.yml")
    assert "Mac" not in run.out.partition("PLAY RECAP")[2] and "WARNING" not in run.out
    assert "1 iPhone or iPad: to be installed" in run.out
