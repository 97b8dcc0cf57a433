"""A table of files and a list of people become one entry per file."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.plugin_utils.files.file_table import expand
from ansible_collections.msp.charter_mail.plugins.plugin_utils.files.table_check import TableError, evidence_rows


def account(address: str, *programs: str) -> dict[str, Any]:
    return {"address": address, "domain": address.split("@")[1], "programs": list(programs)}


PEOPLE = [
    {"login": "ann", "accounts": [account("ann@example.org", "msmtp", "aerc"), account("a@example.com", "aerc")]},
    {"login": "bob", "accounts": [account("bob@example.org", "msmtp")]},
    {"login": "cy", "accounts": [account("cy@example.org", "thunderbird")]},
]


def row(**more: Any) -> dict[str, Any]:
    return {"program": "msmtp", "dest": ".msmtprc", "template": "t.j2", **more}


def dests(*rows: dict[str, Any], people: Any = PEOPLE) -> list[str]:
    return [entry.data["dest"] for entry in expand(list(rows), people, "linux")]


def test_only_people_with_the_program_get_a_file() -> None:
    assert dests(row()) == ["~ann/.msmtprc", "~bob/.msmtprc"]
    assert dests(row(program="mbsync")) == []
    assert dests(row(), people=[]) == []


def test_the_template_sees_the_accounts_of_the_program() -> None:
    (entry,) = expand([row(program="aerc", vars={"extra": 1})], PEOPLE, "macos")
    assert [a["address"] for a in entry.variables["accounts"]] == ["ann@example.org", "a@example.com"]
    assert entry.variables["account"] is entry.variables["accounts"][0]
    assert entry.variables["person"]["login"] == "ann"
    assert (entry.variables["extra"], entry.variables["platform"]) == (1, "macos")
    assert entry.data["people"] == ["a@example.com", "ann@example.org"]


def test_account_scope_writes_one_file_per_mailbox() -> None:
    people = [{"login": "ann", "accounts": [{**account(f"{key}@example.org", "claws"), "key": key} for key in ("a", "b")]}]
    entries = expand([row(program="claws", dest=".c/{key}.rc", scope="account"), row(program="claws", dest=".all")], people, "linux")
    assert [(entry.data["dest"], entry.data["login"], entry.data["people"]) for entry in entries] == [
        ("~ann/.c/a.rc", "ann", ["a@example.org"]),
        ("~ann/.c/b.rc", "ann", ["b@example.org"]),
        ("~ann/.all", "ann", ["a@example.org", "b@example.org"]),
    ]
    first = entries[0].variables
    assert (first["account"]["key"], first["accounts"], "parts" in entries[0].data) == ("a", [first["account"]], False)
    with pytest.raises(TableError, match="dest needs {key} for scope account"):
        expand([row(scope="account")], people, "linux")


def test_a_file_of_the_controller_is_named_by_the_person_s_entry() -> None:
    people = [{**PEOPLE[0], "profile": "/build/ann/ann.bin"}, PEOPLE[2]]
    source = {"program": "msmtp", "dest": "Office/{file}", "src": "profile"}
    (entry,) = expand([source], people, "macos")
    assert (entry.src, entry.template, entry.data["dest"], entry.data["path"]) == (
        "/build/ann/ann.bin",
        "",
        "~ann/Office/ann.bin",
        "Office/ann.bin",
    )
    with pytest.raises(TableError, match="the entry of bob has no profile"):
        expand([source], [people[0], PEOPLE[1]], "macos")


def test_rows_of_one_person_stay_together_and_machine_rows_keep_their_place() -> None:
    rows = [row(), row(dest=".two"), row(dest="/etc/m", scope="machine"), row(dest=".three")]
    assert dests(*rows) == [
        *("~ann/.msmtprc", "~ann/.two", "~bob/.msmtprc", "~bob/.two"),
        "/etc/m",
        *("~ann/.three", "~bob/.three"),
    ]


def test_machine_scope_knows_everyone_and_can_be_kept_when_empty() -> None:
    (entry,) = expand([row(scope="machine", dest="/etc/m", program="aerc")], PEOPLE, "linux")
    assert [p["login"] for p in entry.variables["people"]] == ["ann"]
    assert entry.data["mode"] == "0600"
    assert entry.data["dir_mode"] == "0755"
    assert dests(row(scope="machine", dest="/etc/m"), people=[]) == []
    (kept,) = expand([row(scope="machine", dest="/etc/m", when_empty="keep")], [], "linux")
    assert kept.data["only_known"]
    assert kept.variables["people"] == []


def test_domain_scope_writes_one_file_per_domain() -> None:
    rows = [row(scope="domain", dest="/srv/{domain}/x", program="aerc")]
    assert dests(*rows) == ["/srv/example.com/x", "/srv/example.org/x"]


def test_windows_paths_become_directories() -> None:
    (entry,) = expand([row(scope="machine", dest="c:\\ProgramData\\x.ini")], PEOPLE, "windows")
    assert entry.data["path"] == "/C/ProgramData/x.ini"
    (entry, _) = expand([row(dest="AppData\\Roaming\\x.ini")], PEOPLE, "windows")
    assert entry.data["path"] == "AppData/Roaming/x.ini"


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"dest": "/etc/x"}, "below the home"),
        ({"dest": "../x"}, "below the home"),
        ({"dest": "~/x"}, "below the home"),
        ({"dest": "x/"}, "below the home"),
        ({"dest": "x", "scope": "machine"}, "absolute path"),
        ({"dest": "/a/../x", "scope": "machine"}, "absolute path"),
        ({"dest": "/x", "scope": "domain"}, "needs {domain}"),
        ({"mode": 600}, "octal number in quotes"),
        ({"dir_mode": "rwx"}, "octal number in quotes"),
        ({"strategy": "merge"}, "none of replace, keys, once"),
        ({"scope": "all"}, "none of person"),
        ({"template": ""}, "template is missing"),
        ({"src": "profile"}, "not both"),
        ({"template": "", "src": ["profile"]}, "src must be a text"),
        ({"template": "", "src": "profile", "scope": "machine", "dest": "/x"}, "scope person only"),
        ({"template": "", "src": "profile", "strategy": "keys"}, "needs a template"),
        ({"strateggy": "keys"}, "no option strateggy"),
        ({"running": "aerc"}, "list of process names"),
        ({"sensitive": "yes"}, "true or false"),
    ],
)
def test_a_bad_row_is_named(bad: dict[str, Any], words: str) -> None:
    with pytest.raises(TableError) as caught:
        expand([row(), row(**{"dest": ".y", **bad})], PEOPLE, "linux")
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith("files row 2")
    assert words in caught.value.problems[0]


def test_all_problems_come_at_once() -> None:
    with pytest.raises(TableError) as caught:
        expand([row(mode=1), row(dest=""), "x"], PEOPLE, "linux")
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    "people",
    [
        None,
        "ann",
        [{"accounts": []}],
        [{"login": "../root", "accounts": []}],
        [{"login": "..", "accounts": []}],
        [{"login": "a", "accounts": []}, {"login": "a", "accounts": []}],
        [{"login": "a"}],
    ],
)
def test_people_that_cannot_be_used_are_an_error(people: Any) -> None:
    with pytest.raises(TableError):
        expand([row()], people, "linux")


def test_two_rows_for_one_file_are_an_error() -> None:
    with pytest.raises(TableError, match="written twice"):
        dests(row(), row(dest="./.msmtprc"))


def test_a_domain_cannot_lead_out_of_its_directory() -> None:
    people = [{"login": "a", "accounts": [{"address": "a@..", "domain": "../../etc", "programs": ["msmtp"]}]}]
    with pytest.raises(TableError):
        dests(row(scope="domain", dest="/srv/{domain}"), people=people)


def test_evidence_is_asked_of_programs_whose_settings_can_be_read() -> None:
    (row,) = evidence_rows([{"program": "aerc", "send": "change it"}])
    assert row == {"program": "aerc", "takes_up": False, "adopts": False, "receive": "", "send": "change it"}
    with pytest.raises(TableError) as error:
        evidence_rows([{"program": "neomutt"}, {"program": "aerc", "glob": "x"}, 5])
    assert error.value.problems == [
        "evidence row 1: program is none of thunderbird, msmtp, mbsync, aerc, whose settings can be read",
        "evidence row 2: there is no option glob",
        "evidence row 3 is not a dictionary",
    ]
