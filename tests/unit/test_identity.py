"""Who is one person, which mailbox is the first, and that the order of rows has no say in it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import yaml
from ansible_collections.msp.charter_mail.plugins.plugin_utils.files import file_table
from ansible_collections.msp.charter_mail.plugins.plugin_utils.formats import thunderbird
from ansible_collections.msp.charter_mail.plugins.plugin_utils.formats.mobileconfig import Settings
from ansible_collections.msp.charter_mail.plugins.plugin_utils.handout import mobile
from ansible_collections.msp.charter_mail.plugins.plugin_utils.handout.links import Link
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office import endpoints
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.check import Machine, check_office
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.identity import fits, in_order, remembered, who
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.model import DeviceOwner, device_owners, resolve_people
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.unit.mobile_samples import NOW, ROOT, policy

TEXTS = yaml.safe_load((ROOT / "plugins/plugin_utils/handout/texts/en.yml").read_text(encoding="utf-8"))
PAGE: Any = {"name": "Example", "contact": {"name": "", "phone": "1", "email": "", "hours": ""}, "two_factor": "none", "signed": False}
OFFICE = mobile.Office(Settings(), None, "https://p.example.org/{token}/{address}/{file}", PAGE, TEXTS, link=Link(NOW.date(), "s" * 40))
PROGRAMS = "thunderbird msmtp mbsync neomutt aerc"


@pytest.mark.parametrize(
    ("address", "full_name", "login"),
    [
        ("jane@x.org", "Jane Doe", ""),
        ("jane.doe@x.org", "Jane  DOE", ""),
        ("doe_jane@x.org", "Jane Doe", ""),
        ("janedoe2@x.org", "Jane Doe", ""),
        ("j-doe@x.org", "Jane Doe", ""),
        ("jdoe@x.org", "Jane Mary Doe", ""),
        ("jane.m.doe@x.org", "Dr. Jane Mary Doe", ""),
        ("john.obrien@x.org", "John O'Brien", ""),
        ("zoe.muller@x.org", "Zoë Müller", ""),
        ("zoe.mueller@x.org", "Zoë Müller", ""),
        ("zoe.muller@x.org", "Zoe\u0308 Mu\u0308ller", ""),
        ("soren@x.org", "Søren Strauß", ""),
        ("soeren.strauss@x.org", "Søren Strauß", ""),
        ("anna.lee-smith@x.org", "Anna Lee-Smith", ""),
        ("yamada@x.org", "山田 太郎", "Yamada"),
    ],
)
def test_a_mailbox_named_after_its_person(address: str, full_name: str, login: str) -> None:
    assert fits(address, who(full_name, login))


@pytest.mark.parametrize(
    ("address", "full_name", "login"),
    [
        ("info@x.org", "Jane Doe", "jane"),
        ("jd@x.org", "Jane Doe", "jane"),
        ("jane.sales@x.org", "Jane Doe", "jane"),
        ("janet@x.org", "Jane Doe", "jane"),
        ("42@x.org", "Jane Doe", "jane"),
        ("info@jane.doe", "Jane Doe", "jane"),
        ("info@x.org", "山田 太郎", ""),
    ],
)
def test_a_mailbox_of_another_name(address: str, full_name: str, login: str) -> None:
    assert not fits(address, who(full_name, login))


def test_a_name_that_could_be_read_in_a_million_ways_takes_no_time() -> None:
    name = " ".join("a" * number for number in range(1, 20)) + " b" * 20
    assert not fits(f"{'a' * 63}c@x.org", who(name, "a"))


JANE = who("Jane Doe", "jane")


@pytest.mark.parametrize(
    ("mailboxes", "before", "expected"),
    [
        ({"info@x.org": False, "jane@x.org": False}, "", ["jane@x.org", "info@x.org"]),
        ({"sales@x.org": False, "info@x.org": False}, "", ["info@x.org", "sales@x.org"]),
        ({"jane@x.org": False, "info@x.org": True}, "jane@x.org", ["info@x.org", "jane@x.org"]),
        ({"jane@x.org": False, "sales@x.org": False, "info@x.org": False}, "sales@x.org", ["sales@x.org", "jane@x.org", "info@x.org"]),
        ({"jane@x.org": False, "info@x.org": False}, "gone@x.org", ["jane@x.org", "info@x.org"]),
    ],
)
def test_which_mailbox_is_the_first(mailboxes: dict[str, bool], before: str, expected: list[str]) -> None:
    for order in itertools.permutations(mailboxes):
        assert in_order({address: mailboxes[address] for address in order}, JANE, before) == expected


BOB = who("Bob", "bob")


@pytest.mark.parametrize(
    ("people", "folders", "expected"),
    [
        # Nothing is known.
        ([(JANE, ["jane@x.org", "info@x.org"])], {}, [""]),
        # A second mailbox came.
        ([(JANE, ["jane@x.org", "info@x.org"])], {"info@x.org": JANE}, ["info@x.org"]),
        # Another name; a run of before this was kept in mind.
        ([(JANE, ["jane@x.org", "info@x.org"])], {"info@x.org": who("Jane Roe", "jane")}, ["info@x.org"]),
        ([(JANE, ["jane@x.org", "info@x.org"])], {"info@x.org": ()}, ["info@x.org"]),
        # It left.
        ([(JANE, ["jane@x.org"])], {"info@x.org": JANE}, [""]),
        # It went to somebody else, who has an identity, or has none yet.
        ([(JANE, ["sales@x.org"]), (BOB, ["bob@x.org", "sales2@x.org"])], {"sales2@x.org": JANE, "bob@x.org": BOB}, ["", "bob@x.org"]),
        ([(JANE, ["sales@x.org"]), (BOB, ["sales2@x.org"])], {"sales2@x.org": JANE}, ["", ""]),
        # Both have it now.
        ([(JANE, ["a@x.org", "info@x.org"]), (BOB, ["b@x.org", "info@x.org"])], {"info@x.org": BOB}, ["", "info@x.org"]),
        ([(JANE, ["a@x.org", "info@x.org"]), (BOB, ["b@x.org", "info@x.org"])], {"info@x.org": ()}, ["", ""]),
        # Two of one name, without a login.
        ([(who("J", ""), ["1@x.org"]), (who("J", ""), ["2@x.org"])], {f"{n}@x.org": who("J", "") for n in "123"}, ["1@x.org", "2@x.org"]),
    ],
)
def test_what_is_remembered_of_an_identity(people: Any, folders: Mapping[str, tuple[str, ...]], expected: list[str]) -> None:
    assert remembered(people, folders) == expected
    assert remembered(people[::-1], folders) == expected[::-1]


def row(address: str, full_name: str, **cells: str) -> dict[str, str]:
    return {"source": f"staff.csv:{address}", "address": address, "full_name": full_name, "state": "", **cells}


def problems(*rows: dict[str, Any], machines: dict[str, Machine] | None = None) -> list[str]:
    return [str(problem) for problem in check_office(rows, machines or {"desk": Machine(policy()), "mac": Machine(policy())}, policy())]


def test_one_mailbox_of_a_person_can_be_the_first() -> None:
    mine = {"login": "jane", "full_name": "Jane Doe"}
    rows = [
        row("a@x.org", **mine, machines="desk", primary="yes"),
        row("b@x.org", **mine, machines="mac", primary="No"),
        row("c@x.org", **mine, primary="TRUE"),
        row("old@x.org", **mine, primary="yes") | {"state": "absent"},
        row("d@x.org", "Jane Doe", primary="yes"),
        row("e@x.org", "Jane Doe", primary="first"),
    ]
    assert problems(*rows) == [
        "staff.csv:c@x.org (c@x.org): column primary: is yes for a@x.org of the same person too (staff.csv:a@x.org);"
        " write it for the one that comes first, and leave the others empty",
        'staff.csv:e@x.org (e@x.org): column primary: "first" is not yes or no',
    ]
    in_yaml = {"source": "desk: mail_accounts[0]", "address": "c@x.org", **mine, "primary": True}
    found = problems(rows[0], machines={"desk": Machine(policy(), [in_yaml])})
    assert [line.partition(": is yes")[0] for line in found] == ["desk: mail_accounts[0] (c@x.org): key primary"]
    # The same mailbox on two machines is one mailbox.
    machines = {name: Machine(policy(), [in_yaml | {"source": f"{name}: mail_accounts[0]"}]) for name in ("desk", "mac")}
    assert problems(machines=machines) == []


def test_the_check_of_one_machine_knows_it_too() -> None:
    rows = [row(f"{name}@x.org", "Jane", login="jane", primary="yes") for name in "ab"]
    with pytest.raises(ValueError, match="is yes for a@x.org of the same person too"):
        resolve_people(rows, policy())


def test_a_login_in_two_spellings_on_one_machine() -> None:
    rows = [row("a@x.org", "Jane", login="jane", machines="desk mac"), row("b@x.org", "Jane", login="Jane", machines="desk")]
    assert problems(*rows) == ['staff.csv:b@x.org (b@x.org): column login: "Jane" on desk is "jane" in staff.csv:a@x.org; write both alike']
    # On two machines of two systems it may be so.
    assert problems(rows[0] | {"machines": "mac"}, rows[1]) == []


def test_in_yaml_a_person_needs_a_login() -> None:
    rows = [{"source": f"desk: mail_accounts[{number}]", "address": f"{number}@x.org", "full_name": "John Smith"} for number in (0, 1)]
    assert [line.partition(";")[0] for line in problems(machines={"desk": Machine(policy(), rows)})] == [
        f"desk: mail_accounts[{number}] ({number}@x.org): key login: is empty" for number in (0, 1)
    ]


def test_the_office_says_which_is_first() -> None:
    rows = [row("jane@x.org", "Jane", login="jane", phones="ios"), row("info@x.org", "Jane", login="jane", primary="yes")]
    (person,), (owner,) = resolve_people(rows, policy()), device_owners(rows, {}, policy())
    for one in (person, owner):
        assert [(account["address"], account["primary"]) for account in one["accounts"]] == [("info@x.org", True), ("jane@x.org", False)]
    assert owner["identity"] == "info@x.org"


def test_who_was_first_stays_first_on_a_machine() -> None:
    def first(*rows: dict[str, str], before: Any) -> str:
        return resolve_people(rows, policy(primaries=before))[0]["accounts"][0]["address"]

    sales, jane, info = (row(f"{name}@x.org", "Jane", login="jane") for name in ("sales", "jane", "info"))
    assert first(sales, jane, before={"jane": "sales@x.org", "bob": "jane@x.org"}) == "sales@x.org"
    assert first(sales, jane, info | {"primary": "yes"}, before={"jane": "sales@x.org"}) == "info@x.org"
    assert first(info, jane, before={"jane": "sales@x.org"}) == "jane@x.org"
    # What a machine tells may be anything.
    for nonsense in (["sales@x.org"], "sales@x.org", {"jane": ["sales@x.org"]}, {"jane": None}):
        assert first(sales, jane, before=nonsense) == "jane@x.org"


def ids(owner: DeviceOwner) -> tuple[str, str, bytes]:
    """Folder, link and identity of the profile."""
    files = mobile.files(owner, OFFICE, mobile.standing(owner, {}), lambda name: b"")
    plist = next(content for name, content in files.items() if name.endswith("-iphone.mobileconfig"))
    top = plist.rpartition(b"<key>PayloadIdentifier</key>")[2].partition(b"</string>")[0]
    return mobile.folder(owner), next(content for name, content in files.items() if name.endswith("-iphone.svg")).decode(), top


def test_a_mailbox_that_comes_or_goes_leaves_the_phone_as_it_is() -> None:
    def owner(*rows: dict[str, str], known: Mapping[str, tuple[str, ...]]) -> DeviceOwner:
        return device_owners(rows, {}, policy(), known)[0]

    info = row("info@x.org", "Jane Doe", login="jane", phones="ios")
    jane, sales = row("jane.doe@x.org", "Jane Doe", login="jane"), row("sales@x.org", "Jane Doe", login="jane", phones="ios")
    first = owner(info, known={})
    known = {mobile.folder(first): who("Jane Doe", "jane")}
    assert first["identity"] == "info@x.org"
    for rows in ([info, jane], [jane, info], [info, jane, sales], [info, jane | {"primary": "yes"}], [info | {"full_name": "jane DOE"}]):
        again = owner(*rows, known=known)
        assert ids(again) == ids(first)
        assert again["accounts"][0]["address"] == ("jane.doe@x.org" if any("primary" in one for one in rows) else "info@x.org")
    # The mailbox itself leaves: the next one gives the identity.
    assert owner(jane | {"phones": "ios"}, sales, known=known)["identity"] == "jane.doe@x.org"


def test_two_people_of_one_name_without_a_login_are_two() -> None:
    smiths = [row(f"john{number}@x.org", "John Smith", phones="ios android") for number in (1, 2)]
    owners = device_owners(smiths, {}, policy())
    assert [[account["address"] for account in owner["accounts"]] for owner in owners] == [["john1@x.org"], ["john2@x.org"]]
    for owner, other in zip(owners, ("john2", "john1"), strict=True):
        assert not [
            name
            for name, content in mobile.files(owner, OFFICE, mobile.standing(owner, {}), lambda name: b"").items()
            if other.encode() in content
        ]
    # Who has a login is nobody's namesake; and one person says so by a login, machine or not.
    assert len(device_owners([*smiths, row("john3@x.org", "John Smith", phones="ios", login="john")], {}, policy())) == 3
    (one,) = device_owners([smith | {"login": "john"} for smith in smiths], {}, policy())
    assert [account["address"] for account in one["accounts"]] == ["john1@x.org", "john2@x.org"]


PEOPLE = (
    *(("Jane Doe", "jane"), ("jane  doe", "jane"), ("JANE DOE", "jane")),
    *(("Zoe\u0308", "zoe"), ("Zoë", "zoe")),
    *(("John Smith", ""), ("JOHN SMITH", "")),
)
CELLS = {
    "protocol": st.sampled_from(("", "pop")),
    "smtp_port": st.sampled_from(("", "465")),
    "phones": st.sampled_from(("", "ios", "android ios")),
    "primary": st.sampled_from(("", "", "", "yes", "no")),
    "state": st.sampled_from(("", "", "", "absent")),
}


@st.composite
def sheets(draw: st.DrawFn) -> list[dict[str, str]]:
    locals_ = draw(st.lists(st.sampled_from(("jane.doe", "info", "zoe", "a", "jdoe", "john")), min_size=1, unique=True))
    rows = []
    for number, local in enumerate(locals_, start=2):
        full_name, login = draw(st.sampled_from(PEOPLE))
        machines = draw(st.sampled_from(("", "desk", "mac", "desk mac", "mac desk"))) if login else ""
        cells = {name: draw(cell) for name, cell in CELLS.items()}
        rows.append(row(f"{local}@x.org", full_name, login=login, machines=machines, **cells) | {"source": f"staff.csv:{number}"})
    return rows


def machines_of(sheet: Sequence[Mapping[str, str]], in_yaml: Sequence[str]) -> dict[str, Machine]:
    """Two machines, with these mailboxes given in YAML on both, as far as they are not in the sheet."""
    sheet_has = {one["address"] for one in sheet}
    rows = [row(address, "Zoë", login="zoe") for address in in_yaml if address not in sheet_has]
    named = [{**one, "source": f"m: mail_accounts[{number}]"} for number, one in enumerate(rows)]
    mac = Machine(policy(platform="macos", smtp_port="465"), named)
    return {"desk": Machine(policy(platform="linux", programs=PROGRAMS), named), "mac": mac}


@settings(deadline=None, max_examples=60)
@given(sheets(), st.randoms(use_true_random=False), st.data())
def test_the_order_of_rows_changes_no_byte(sheet: list[dict[str, str]], random: Any, data: st.DataObject) -> None:
    """Whatever the sheet, either both orders are refused, or everybody gets the same from both."""
    known = {one["address"]: data.draw(st.sampled_from([JANE, who("Zoë", "zoe"), ()])) for one in sheet[:3]}
    shuffled = sheet[:]
    random.shuffle(shuffled)
    machines = machines_of(sheet, ["b@x.org", "info@x.org"])
    backwards = dict(reversed(machines_of(sheet, ["info@x.org", "b@x.org"]).items()))
    refused = bool(check_office(sheet, machines, policy()))
    assert refused == bool(check_office(shuffled, backwards, policy()))
    event(f"refused: {refused}")
    if refused:
        return
    owners = device_owners(sheet, machines, policy(), known)
    assert owners == device_owners(shuffled, backwards, policy(), known)
    assert written(sheet, machines, known) == written(shuffled, backwards, known)


def rows_of(name: str, sheet: Sequence[Mapping[str, str]], machines: Mapping[str, Machine]) -> list[Mapping[str, Any]]:
    return [*(one for one in sheet if name in one["machines"].split()), *machines[name].rows]


def written(sheet: Sequence[Mapping[str, str]], machines: Mapping[str, Machine], known: Mapping[str, tuple[str, ...]]) -> list[Any]:
    """What is made of these rows, as far as it is made without templates, and what the templates are given."""
    made: list[Any] = []
    for owner in device_owners(sheet, machines, policy(), known):
        files = mobile.files(owner, OFFICE, mobile.standing(owner, {}), lambda name: b"")
        assert owner["identity"] in [account["address"] for account in owner["accounts"]]
        assert sorted(mobile.names(owner, OFFICE)) == sorted(files)
        made.append(files)
    for name in sorted(machines):
        people = resolve_people(rows_of(name, sheet, machines), machines[name].policy)
        entries = file_table.expand(
            [
                {"program": program, "dest": f".{program}", "template": "t", "scope": "person"} for program in PROGRAMS.split()
            ] + [{"program": "thunderbird", "dest": "/isp/{domain}", "template": "t", "scope": "domain"}],
            people,
            "linux",
        )  # fmt: skip
        made.append([json.dumps([entry.data, entry.variables]) for entry in entries])
        made.append(thunderbird.people_json(people))
        made.append(thunderbird.client_config([account for person in people for account in person["accounts"]], "x.org"))
        made.append(json.dumps(endpoints.endpoints(people, machines[name].policy)))
    return made
