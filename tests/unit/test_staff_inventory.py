"""What the inventory plugin makes of a sheet, and that its work grows as the sheet does."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible_collections.msp.charter_mail.plugins.action import mail_check
from ansible_collections.msp.charter_mail.plugins.inventory import staff
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.check import Machine, check_office
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.staff_sheet import read_sheet

from tests.unit.test_model import policy


def sheet(people: int, machines: int) -> str:
    rows = (f"p{number}@example.org,Person {number},desk-{number % machines},p{number}\n" for number in range(people))
    return "address,full_name,machines,login\n" + "".join(rows)


def inventory(folder: Path, text: str, *hosts: str) -> InventoryData:
    made = InventoryData()
    for host in hosts:
        made.add_host(host, made.add_group("linux"))
    (folder / "staff.csv").write_text(text, encoding="utf-8")
    plugin = staff.InventoryModule()
    assert plugin.verify_file(str(folder / "staff.csv"))
    plugin.parse(made, DataLoader(), str(folder / "staff.csv"))
    made.reconcile_inventory()
    return made


def calls(work: Callable[[], Any]) -> int:
    """How many functions it takes, Python's own included; how long that takes says nothing here."""
    count = 0

    def note(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def test_twice_the_people_on_twice_the_machines_are_twice_the_work(tmp_path: Path) -> None:
    def of(people: int) -> list[int]:
        machines = people // 5
        hosts = [f"desk-{number}" for number in range(machines)]
        text, chosen = sheet(people, machines), policy()
        rows = read_sheet(text.encode()).rows
        known = {host: Machine(chosen) for host in hosts}
        return [
            calls(lambda: read_sheet(text.encode())),
            calls(lambda: inventory(tmp_path, text, *hosts)),
            calls(lambda: check_office(rows, known, chosen)),
            calls(lambda: mail_check._who_is_where(rows, known)),
        ]

    of(50)  # what is only done once
    few, many = of(200), of(800)
    assert all(more < 5 * less for less, more in zip(few, many, strict=True)), (few, many)


def test_no_group_has_more_children_than_can_be_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staff, "MOST_CHILDREN", 10)
    groups = inventory(tmp_path, sheet(95, 5), *(f"desk-{number}" for number in range(5))).groups
    assert max(len(group.child_groups) for group in groups.values()) <= 15
    people = [name for name in groups if name.startswith("person_")]
    assert len(people) == 95 and {group.name for group in groups["staff"].get_descendants()} == {
        *people,
        *(f"staff_{n}" for n in range(1, 11)),
    }
    assert [host.name for host in groups["person_p7_example_org"].get_hosts()] == ["desk-2"]
    small = inventory(tmp_path, sheet(10, 5), "desk-0").groups
    assert {group.name for group in small["staff"].child_groups} == {f"person_p{number}_example_org" for number in range(10)}


def test_a_machine_and_its_name_in_the_sheet_may_spell_an_accent_in_two_ways(tmp_path: Path) -> None:
    name = unicodedata.normalize("NFD", "büro")
    made = inventory(tmp_path, "address,full_name,machines,login\na@example.org,A,büro,a\n", name)
    (row,) = made.hosts[name].get_vars()["mail_staff"]
    assert row["address"] == "a@example.org" and row["machines"] == name
