"""The end of a run as people read it, for every kind of end. The texts are in screens/; read the difference before you commit it."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.check import Machine
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.policy import Policy
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.staff_sheet import read_sheet
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.survey import survey
from ansible_collections.msp.charter_mail.plugins.plugin_utils.report import screen
from ansible_collections.msp.charter_mail.plugins.plugin_utils.report.office_document import build
from ansible_collections.msp.charter_mail.plugins.plugin_utils.report.results import Place
from ansible_collections.msp.charter_mail.plugins.plugin_utils.report.run import Run

from tests.playbook import ROOT

SCREENS = Path(__file__).parent / "screens"
WHEN = datetime.datetime(2026, 11, 26, 9, 0, tzinfo=datetime.UTC)
PROVIDERS = yaml.safe_load((ROOT / "roles/mail/vars/main/providers.yml").read_text(encoding="utf-8"))["__mail_providers"]
PLATFORMS = {"lnx-01": "linux", "lnx-02": "linux", "pc-01": "windows", "mac-01": "macos", "spare": ""}
SHEET = """address,full_name,machines,login,protocol,smtp_port,programs,phones,primary,state
jane@acme.example,Jane Doe,lnx-01 lnx-02,jane,,,thunderbird msmtp,ios,,
paul@acme.example,Paul López,lnx-01,paul,,,,android,,
info@acme.example,Paul López,lnx-01,paul,,,,,,
mary@acme.example,Mary Jones,pc-01,mjones,,,,ios,,
karen@acme.example,Karen Hall,mac-01,karen,,,,,,
"""
IN_PLACE = {"thunderbird": "verified", "apple_mail": "installed"}
LOOKED = {"lnx-01": ("reached", ""), "lnx-02": ("reached", ""), "mac-01": ("reached", "")}
DONE = {"jane@acme.example": "created", "paul@acme.example": "created", "mary@acme.example": "created", "karen@acme.example": "created"}


def people(sheet: str = SHEET) -> list[dict[str, Any]]:
    machines = {name: Machine(Policy(PROVIDERS, platform=platform)) for name, platform in PLATFORMS.items()}
    return survey(read_sheet(sheet.encode()).rows, machines, Policy(PROVIDERS))


def places(everybody: list[dict[str, Any]], outcome: str = "unchanged", **states: str) -> dict[Any, Place]:
    """What a run finds where all is as it should be; states: program -> another state."""
    return {
        (place["address"], place["machine"], place["program"]): Place(
            states.get(place["program"], IN_PLACE.get(place["program"], "prepared")), outcome
        )
        for person in everybody
        for place in person["places"]
        if place["platform"] in ("linux", "macos")
    }


def run(found: Mapping[Any, Place], **more: Any) -> Run:
    given = {"machines": LOOKED, "probes": {}, "handouts": {}, "handed": {}, "when": WHEN, **more}
    return Run(places=found, **given)


def first() -> dict[str, Any]:
    """After the first run: nothing was there before."""
    everybody = people()
    return build(
        "acme", everybody, run(places(everybody, "created", thunderbird="to be started", apple_mail="pending user approval"), handed=DONE)
    )


def settled() -> dict[str, Any]:
    """Everybody has done what there was to do, but for Mary, whose PC waits for a later version."""
    everybody = people()
    document = build("acme", everybody, run(places(everybody)), first())
    for person in document["people"]:
        for phone in person["phones"]:
            phone["done"] = "2026-11-26T10:00:00+00:00"
    return document


def later(sheet: str = SHEET, changed: Mapping[tuple[str, str, str], Place] | None = None, **more: Any) -> dict[str, Any]:
    everybody = people(sheet)
    return build("acme", everybody, run(places(everybody) | (changed or {}), **more), settled())


def cases() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    jane, paul = ("jane@acme.example", "lnx-01", "msmtp"), ("paul@acme.example", "lnx-01", "thunderbird")
    left = SHEET.replace("paul,,,,android,,\n", "paul,,,,android,,absent\n").replace("paul,,,,,,\n", "paul,,,,,,absent\n")
    moved = SHEET.replace("lnx-01 lnx-02,jane", "lnx-02,jane")
    port = SHEET.replace("mary@acme", "new@acme.example,New One,lnx-02,new,,,,,,\nmary@acme").replace("jane,,,", "jane,,465,")
    taken = {key: Place("removed", "removed") for key in places(people()) if key[0] in ("paul@acme.example", "info@acme.example")}
    blocked = {
        "endpoint": {
            **{"service": "smtp", "host": "smtp.charter.net", "port": 587, "security": "starttls"},
            **{"needed": True, "people": ["jane@acme.example"]},
        },
        "verdict": "blocked",
        "advice": "No answer from smtp.charter.net:587: port 587 is blocked; open it outwards in the firewall.",
    }
    yield "first run", first(), {}
    yield "all well", later(), {}
    yield "all well, all named", later(), {"verbose": True}
    yield "drift put back", later(changed={jane: Place("prepared", "drift")}), {}
    yield (
        "drift put back, check",
        later(changed={jane: Place("prepared", "drift")}, check=True),
        {"check": "Check only: nothing was changed."},
    )
    yield "somebody left", later(left, taken, handed={"paul@acme.example": "removed"}), {}
    yield (
        "somebody left, check",
        later(left, taken, handed={"paul@acme.example": "removed"}, check=True),
        {"check": "Check only: nothing was changed."},
    )
    yield "somebody moved", later(moved, {jane: Place("removed", "removed")}), {}
    news = {key: Place("prepared", "pending") for key in places(people(port)) if key[0] == "jane@acme.example" and key[2] == "msmtp"}
    news[("new@acme.example", "lnx-02", "thunderbird")] = Place("to be started", "created")
    yield "another port, a new person", later(port, news), {}
    why = "/home/paul/.thunderbird/x/prefs.js: Thunderbird receives from port 143 without TLS; it should be port 993 with TLS."
    yield "an own account", later(changed={paul: Place("own account", "own_account", why)}), {}
    login = Place("no such login", "no_login", "~paul: this machine has no login paul; did you mean paula?")
    yield "no such login", later(changed={paul: login}), {}
    away = {key: place for key, place in places(people()).items() if key[1] != "lnx-02"}
    gone = build("acme", people(), run(away, machines=LOOKED | {"lnx-02": ("unreachable", "timed out")}), settled())
    yield "one was not reached", gone, {}
    never = build(
        "acme", people(), run({}, machines={"lnx-01": ("unreachable", "timed out"), "lnx-02": ("failed", "No space left on device")})
    )
    yield "one was never reached, one failed", never, {}
    yield "a port is blocked", later(probes={"lnx-01": [blocked]}), {"notes": ["lnx-01: firewall: port 587 was left shut."]}
    yield "one machine", later(changed={jane: Place("prepared", "drift")}), {"only": ["lnx-01"]}
    yield "narrow", first(), {"width": 40}
    yield "in no group", build("acme", people("address,full_name,machines,login\na@b.example,Ann,spare,ann\n"), run({}, machines={})), {}
    yield "nobody", build("acme", [], run({}, machines={})), {}


CASES = {name: (document, options) for name, document, options in cases()}


@pytest.mark.parametrize("name", CASES)
def test_the_screen_is_as_it_was(name: str) -> None:
    document, options = CASES[name]
    told = list(screen.lines(document, **options))
    assert all(kind in ("", "ready", "waits", "problem", "would_change", "not_provisioned") for kind, _ in told)
    text = "".join(f"{line}\n" for _, line in told)
    longest = max((line for line in text.splitlines() if " " in line.strip()), key=len)
    assert len(longest) <= options.get("width", 80), longest
    path = SCREENS / f"{name}.txt"
    if os.environ.get("GOLDEN_UPDATE"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_every_screen_has_its_case() -> None:
    assert {path.stem for path in SCREENS.iterdir()} == {*CASES}
