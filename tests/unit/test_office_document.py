"""The document of an office: what is remembered, what is written, and what becomes of a tick."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ansible_collections.msp.charter_mail.plugins.plugin_utils.files.differences import told
from ansible_collections.msp.charter_mail.plugins.plugin_utils.report.office_document import MOST_CHANGES, build, record_done
from ansible_collections.msp.charter_mail.plugins.plugin_utils.report.office_page import page
from ansible_collections.msp.charter_mail.plugins.plugin_utils.report.results import Place
from ansible_collections.msp.charter_mail.plugins.plugin_utils.report.store import Store, StoreError

from tests.golden.test_screens import CASES, SHEET, WHEN, first, later, people, places, run, settled
from tests.playbook import ROOT

SCHEMA = json.loads((ROOT / "docs/office.schema.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", CASES)
def test_every_document_is_as_its_schema_says(name: str) -> None:
    jsonschema.validate(CASES[name][0], SCHEMA, cls=jsonschema.Draft202012Validator)


def states(document: dict[str, Any], name: str) -> dict[str, Any]:
    (person,) = [person for person in document["people"] if person["name"] == name]
    return person


def test_what_a_run_did_not_look_at_is_as_it_was_seen_last() -> None:
    before = settled()
    after = build("acme", people(), run({}, machines={}, when=WHEN + datetime.timedelta(days=1)), before)
    assert [person["places"] for person in after["people"]] == [
        [{**place, "did": ""} for place in person["places"]] for person in before["people"]
    ]
    assert after["changes"] == []


def test_what_was_ready_is_not_once_the_mailbox_is_another_one_and_nobody_has_looked() -> None:
    everybody = people()
    (jane,) = [person for person in everybody if person["name"] == "Jane Doe"]
    jane["mailboxes"] = [{**mailbox, "send": "smtp: elsewhere.example:465 TLS"} for mailbox in jane["mailboxes"]]
    after = build("acme", everybody, run({}, machines={"lnx-01": ("unreachable", "no route")}), settled())

    def there(document: dict[str, Any]) -> set[str]:
        return {place["state"] for place in states(document, "Jane Doe")["places"] if place["machine"] == "lnx-01"}

    assert there(after) == {"not reached"}
    # It stays so until somebody has looked, though the list does not change again.
    assert there(build("acme", everybody, run({}, machines={}), after)) == {"not reached"}
    assert there(build("acme", everybody, run({}, machines={}), settled())) == {"not run yet"}


def test_a_check_changes_nothing_that_is_remembered_of_people() -> None:
    jane = ("jane@acme.example", "lnx-01", "msmtp")
    checked = later(changed={jane: Place("prepared", "drift")}, check=True)
    assert states(checked, "Jane Doe")["kind"] == "would_change"
    assert states(checked, "Jane Doe")["changes"] == states(settled(), "Jane Doe")["changes"]


def test_the_history_of_a_person_is_bounded_and_the_newest_comes_first() -> None:
    document = settled()
    for day in range(MOST_CHANGES + 5):
        found = places(people()) | {("jane@acme.example", "lnx-01", "msmtp"): Place("prepared", "drift")}
        document = build("acme", people(), run(found, when=WHEN + datetime.timedelta(days=day)), document)
    changes = states(document, "Jane Doe")["changes"]
    assert len(changes) == MOST_CHANGES and changes[0]["time"] > changes[-1]["time"]


def test_two_people_who_share_a_mailbox_are_told_apart() -> None:
    shared = SHEET + "team@acme.example,Ann Other,lnx-01,ann,,,,,,\nteam@acme.example,Ben Other,lnx-02,ben,,,,,,\n"
    everybody = [person for person in people(shared) if person["id"] == "team@acme.example"]
    assert [person["name"] for person in everybody] == ["Ann Other", "Ben Other"]
    found = {("team@acme.example", "lnx-01", "thunderbird"): Place("verified", "created")}
    document = build("acme", people(shared), run(found), build("acme", people(shared), run({})))
    assert [change["who"] for change in document["changes"]] == ["Ann Other"]


@pytest.mark.parametrize("who", ["jane", "JANE@acme.example", "jane doe"])
def test_a_phone_is_done_when_somebody_says_so(tmp_path: Path, who: str) -> None:
    store = Store(tmp_path / "acme")
    store.save(first())
    assert store.done(who, "ios", False, WHEN) == "Jane Doe: iPhone or iPad is done"
    document = store.load()
    assert document
    assert states(document, "Jane Doe")["phones"] == [
        {"kind_of": "ios", "state": "done", "done": "2026-11-26T09:00:00+00:00", "kind": "ready"}
    ]
    # It survives the next run, and is taken back.
    kept = build("acme", people(), run(places(people())), document)
    assert states(kept, "Jane Doe")["kind"] == "ready"
    assert store.done(who, "ios", True, WHEN) == "Jane Doe: iPhone or iPad is not done yet"


@pytest.mark.parametrize(
    ("who", "device", "why"),
    [
        ("nobody", "ios", "nobody is nobody of acme; write the person's address"),
        ("jane", "android", "Jane Doe has ios in the list, not android"),
        ("karen", "", "Karen Hall has no phone in the list, not no device"),
    ],
)
def test_a_tick_for_nobody_is_refused(who: str, device: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        record_done(first(), who, device, "2026-11-26T09:00:00+00:00")


def test_what_is_remembered_is_never_half_written_and_never_somebody_else_s(tmp_path: Path) -> None:
    store = Store(tmp_path / "acme")
    with pytest.raises(StoreError, match="is not there: run provision-mail.yml first"):
        store.done("jane", "ios", False, WHEN)
    store.save(first())
    assert sorted(path.name for path in store.dir.iterdir()) == ["index.html", "office.json"]
    assert store.document.stat().st_mode & 0o777 == 0o600
    store.page.write_text("<title>My own page</title>")
    with pytest.raises(FileExistsError, match="no page of this project"):
        store.save(settled())
    assert store.load() == first()
    for text, why in (
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ('{"schema": 99}', "another version"),
    ):
        store.document.write_text(text)
        with pytest.raises(StoreError, match=why):
            store.load()


HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\x1b[2J{{ 7*7 }}"


def test_nothing_in_the_document_becomes_code_in_the_page() -> None:
    hostile = json.loads(json.dumps(first()).replace("Jane Doe", json.dumps(HOSTILE)[1:-1]).replace("lnx-01", json.dumps(HOSTILE)[1:-1]))
    text = page(hostile)
    assert text.count("<script>") == page(first()).count("<script>") == 1
    assert "<img" not in text and "\x1b" not in text and "{{ 7*7 }}" in text


def test_a_difference_is_told_by_its_settings() -> None:
    def one(before: str, after: str, where: str = "/home/jane/.msmtprc") -> list[str]:
        return list(told("desk", [{"before": before, "after": after, "before_header": where, "after_header": where}]))

    assert one("", "a\nb\n") == ["desk: /home/jane/.msmtprc: new, 2 lines"]
    assert one("a\n", "") == ["desk: /home/jane/.msmtprc: removed"]
    assert one("same\n", "same\n") == []
    assert one("host a\nport 143\ntls on\n", "host a\nport 993\ntls on\n") == ["desk: /home/jane/.msmtprc: port 143 -> 993"]
    assert one("Port 143\n", "Port 993\nUser jane\n") == ["desk: /home/jane/.msmtprc: Port 143 -> 993; User jane is new"]
    assert one("x = 1\n???\n", "x = 1\n") == ["desk: /home/jane/.msmtprc: 1 other line"]
    assert one("a 1\nb 1\nc 1\nd 1\ne 1\nf 1\n", "a 2\nb 2\nc 2\nd 2\ne 2\nf 2\n")[0].endswith("d 1 -> 2; 2 more")
    assert one("key " + "x" * 500 + "\n", "key y\n")[0].endswith("... -> y")
    made = [{"before": "", "after": name, "after_header": f"/b/mobile/acme/jane/{name}"} for name in "abc"]
    assert list(told("localhost", made)) == ["/b/mobile/acme/jane/: 3 files are new"]
