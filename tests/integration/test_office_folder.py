"""What lies in an office's folder: two sources, and whatever people keep there, under our ansible.cfg and under somebody's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_collection import CONFIG
from tests.playbook import ROOT, Run, command, play, write_office
from tests.unit.test_lists import xlsx

SHEET = "address,full_name,machines,login\njane@example.org,Jane,desk-01,jane\na.b@example.org,A,desk-01,a\na-b@example.org,B,desk-02,b\n"
WORKBOOK = b"PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00!\x00\xff\xfe\x00"
# Of each of them some plugin of Ansible's would make machines, or stop.
JUNK: dict[str, bytes] = {
    "README": b"the machines of acme are old\n",
    "notes": b"call: [jane\n",
    "passwords.yml": b"all: {hosts: {not-a-machine: {}}}\n",
    "hosts.yml.orig": b"all: {hosts: {not-a-machine-either: {}}}\n",
    "hosts - Copy.yml": b"linux: {hosts: {desk-01: {mail_root: /wrong}, desk-99: {}}}\n",
    "old.json": b'{"all": {"hosts": ["desk-98"]}}',
    "logo.png": b"\x89PNG\r\n\x1a\n\x00",
    "signer.pem": b"-----BEGIN CERTIFICATE-----\n",
    "get.sh": b'#!/bin/sh\necho \'{"all": {"hosts": ["desk-97"]}}\'\n',
    "~$staff.xlsx": b"\x05jane",
    "old/hosts.yml": b"all: {hosts: {desk-96: {}}}\n",
    "old/staff.csv": b"address,full_name\nold@example.org,Old\n",
    "contract/README": b"desk-95\n",
}
SECOND = {"Staff.csv": SHEET.encode(), "staff - Copy.csv": b"address;full_name\n", "Staff.xlsx": WORKBOOK, "staff (1).ods": WORKBOOK}


@pytest.fixture
def office(tmp_path: Path) -> Path:
    return write_office(tmp_path / "acme", SHEET, "desk-01 desk-02")


def put(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o755 if name.endswith(".sh") else 0o644)


def own_config(folder: Path) -> dict[str, str]:
    """The ansible.cfg that README gives people who have the collection alone."""
    config = folder / "ansible.cfg"
    config.write_text(CONFIG, encoding="utf-8")
    return {"ANSIBLE_CONFIG": str(config), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")}


def listed(office: Path, *arguments: str | Path, env: Mapping[str, str] | None = None) -> tuple[dict[str, Any], str]:
    run = command("ansible-inventory", "-i", office, *arguments, "--list", env=env)
    assert run.code == 0, run.out
    start = run.out.index("{\n")
    return json.JSONDecoder().raw_decode(run.out, start)[0], " ".join(run.out[:start].split())


@pytest.mark.parametrize("config", ["ours", "one's own"])
def test_nothing_but_the_two_sources_is_read_and_a_second_sheet_is_named(office: Path, config: str, tmp_path: Path) -> None:
    env = own_config(tmp_path) if config == "one's own" else None
    before, said = listed(office, env=env)
    assert "WARNING" not in said
    put(office, JUNK | SECOND)
    after, said = listed(office, env=env)
    assert after == before and sorted(after["_meta"]["hostvars"]) == ["desk-01", "desk-02"]
    assert said.count("WARNING") == len(SECOND)
    for name in SECOND:
        assert f"{office}/{name} is not read: the list of an office is called staff.csv, staff.ods, staff.xls or staff.xlsx" in said
    run = play("playbooks/preview_mail.yml", "-i", office.parent, "-e", f"mail_preview_dir={tmp_path}/seen", env=env)
    assert run.code == 0 and "acme: 3 people. 3 " in run.out, run.out


def test_a_sheet_under_another_name_is_no_sheet_and_stops_the_run(office: Path) -> None:
    (office / "staff.csv").rename(office / "Staff.csv")
    put(office, {"staff 2.xlsx": WORKBOOK})
    run = play("playbooks/preview_mail.yml", "-i", office)
    assert run.code != 0
    assert (
        f"no people: neither {office}/staff.csv (or staff.ods, staff.xls, staff.xlsx) nor mail_accounts in the inventory is there. "
        "The list has to have one of these names; there is Staff.csv and staff 2.xlsx." in run.out
    )


def test_an_office_names_other_sources_of_machines(office: Path) -> None:
    put(office, {"cloud.yml": b"linux: {hosts: {desk-03: {}}}\n", "other.yml": b"linux: {hosts: {desk-04: {}}}\n"})
    assert "desk-03" not in listed(office)[0]["_meta"]["hostvars"]
    hosts = (office / "hosts.yml").read_text() + "all:\n  vars:\n    mail_sources: [cloud.yml]\n    said: '{{ inventory_hostname }}'\n"
    (office / "hosts.yml").write_text(hosts)
    (office / "staff.csv").write_text(SHEET.replace("desk-02", "desk-03"))
    found, said = listed(office)
    assert sorted(found["_meta"]["hostvars"]) == ["desk-01", "desk-02", "desk-03"] and "WARNING" not in said
    (row,) = found["_meta"]["hostvars"]["desk-03"]["mail_staff"]
    assert "a-b@example.org" in str(row["address"])
    assert "desk-04" in listed(office, "-i", office / "other.yml")[0]["_meta"]["hostvars"], "a file that is named is a source"
    put(office.parent / "elsewhere", {"more.yml": b"linux: {hosts: {desk-01: {}, desk-06: {}}}\n"})
    (office / "staff.csv").write_text(SHEET.replace("desk-02", "desk-06"))
    assert "a-b@example.org" in str(
        listed(office.parent / "elsewhere/more.yml", "-i", office)[0]["_meta"]["hostvars"]["desk-06"]["mail_staff"]
    )
    assert "msg: desk-01" in command("ansible", "-i", office, "desk-01", "-m", "debug", "-a", "msg={{ said }}").out.replace('"', "")
    (office / "hosts.yml").write_text(hosts.replace("[cloud.yml]", "[claud.yml, zoo.yml]"))
    put(office, {"zoo.yml": b"linux: {hosts: {desk-05: {}}}\n"})
    run = play("playbooks/preview_mail.yml", "-i", office)
    assert 'hosts.yml: mail_sources: "claud.yml" is not there' in run.out.splitlines()
    assert run.row('hosts.yml: mail_sources: "zoo.yml" is read after staff.csv; give it a name before that')


def test_a_folder_that_is_no_office_is_read_as_ever(tmp_path: Path) -> None:
    put(tmp_path / "web", {"hosts.yml": b"all: {hosts: {web-01: {}}}\n", "more.yml": b"all: {hosts: {web-02: {}}}\n"})
    assert sorted(listed(tmp_path / "web")[0]["all"]["children"]) and "web-02" in json.dumps(listed(tmp_path / "web")[0])


def test_an_office_of_people_in_yaml_alone_is_an_office(office: Path) -> None:
    (office / "staff.csv").unlink()
    with (office / "group_vars/all.yml").open("a", encoding="utf-8") as settings:
        settings.write("mail_accounts: []\n")
    put(office, JUNK)
    assert sorted(listed(office)[0]["_meta"]["hostvars"]) == ["desk-01", "desk-02"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_sheet_in_a_vault(office: Path, tmp_path: Path, encoding: str) -> None:
    before = listed(office)[0]
    (office / "staff.csv").write_text(SHEET, encoding=encoding)
    for name in ("right", "wrong"):
        (tmp_path / name).write_text(name)
    command("ansible-vault", "encrypt", "--vault-password-file", tmp_path / "right", office / "staff.csv")
    assert (office / "staff.csv").read_bytes().startswith(b"$ANSIBLE_VAULT")
    assert listed(office, "--vault-password-file", tmp_path / "right")[0] == before
    for arguments in ([], ["--vault-password-file", tmp_path / "wrong"]):
        run = play("playbooks/preview_mail.yml", "-i", office, *arguments)
        assert run.code != 0
        line = "staff.csv: is in a vault that the passwords given do not open; name the right one, as with --ask-vault-pass"
        assert line in run.out.splitlines() and "jane@" not in run.out


def test_limit_takes_one_person_s_machines(office: Path) -> None:
    def hosts(group: str) -> Run:
        return command("ansible", "-i", office, group, "--list-hosts")

    assert [line.strip() for line in hosts("person_a_b_example_org").out.splitlines()[1:]] == ["desk-01"]
    assert [line.strip() for line in hosts("person_aDASHb_example_org").out.splitlines()[1:]] == ["desk-02"]


def test_a_workbook_is_a_list_and_two_lists_are_one_too_many(office: Path) -> None:
    rows = [
        ["E-mail address", "Name", "PC", "User", "Department"],
        ["jane@example.org", "Jane", "DESK-01.acme.local", "ACME\\jane", "Sales"],
    ]
    (office / "staff.csv").unlink()
    (office / "staff.xlsx").write_bytes(xlsx(Staff=rows))
    (office / "~$staff.xlsx").write_bytes(b"\0lock")
    (office / ".~lock.staff.xlsx#").write_text("jane")
    run = play("playbooks/preview_mail.yml", "-i", office, cwd=office.parent)
    assert run.code == 0 and "[WARNING]" not in run.out, run.out
    told = " ".join(run.out.split())
    assert "logins are read without their domain (staff.xlsx, sheet Staff, row 2)" in told
    assert "not needed, and not read: column Department (staff.xlsx, sheet Staff, row 1)" in told
    assert (office.parent / "build/preview/acme/desk-01").is_dir()
    (office / "staff.csv").write_text(SHEET)
    two = play("playbooks/preview_mail.yml", "-i", office, cwd=office.parent)
    assert two.code == 2 and two.row("staff.csv and staff.xlsx: are two lists of one office; move one of them away")
