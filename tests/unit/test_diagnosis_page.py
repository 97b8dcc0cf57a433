"""The diagnosis page, read back by Python's own HTML parser."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder

import pytest
from ansible_collections.msp.charter_mail.plugins.plugin_utils.report.diagnosis_page import LONGEST, MACHINES, STEPS, page
from hypothesis import given
from hypothesis import strategies as st

VOID = {"meta", "wbr"}
IMAP, SEND, SENDS = "imap.charter.net:993", "smtp.charter.net:587", "smtp.charter.net:465"
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\x00\x1b[2J\r\n\u202egnp.exe\u2066\u200b\ud800{{ 7*7 }}"
HARMLESS = (
    "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\\x00\\x1b[2J\\r\\n\\u202egnp.exe\\u2066\\u200b\\ud800{{ 7*7 }}"
)


class Tree(HTMLParser):
    """A tree of a page in which every tag is closed where it must be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._builder, self._open = TreeBuilder(), list[str]()
        self.feed(text.removeprefix("<!DOCTYPE html>\n"))
        assert not self._open
        self.root = self._builder.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), "an attribute stands twice"
        self._builder.start(tag, {name: value or "" for name, value in attrs})
        self._open.append(tag)
        if tag in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        self._builder.end(tag)

    def handle_data(self, data: str) -> None:
        if self._open:
            self._builder.data(data)


def step(title: str, state: str = "ok", text: str = "", **more: Any) -> dict[str, Any]:
    return {"title": title, "state": state, "text": text, **more}


def machine(name: str, state: str, *steps: dict[str, Any], summary: str = "") -> dict[str, Any]:
    return {"machine": name, "state": state, "summary": summary, "people": ["jane@example.org"], "steps": list(steps)}


def document(*machines: dict[str, Any], **more: Any) -> dict[str, Any]:
    counts = {state: sum(each["state"] == state for each in machines) for state in MACHINES}
    ok = counts["ok"] == len(machines)
    return {"schema": 1, "office": "acme", "time": "2026-11-25T03:40:00+00:00", "ok": ok, "counts": counts, "machines": machines, **more}


OFFICE = document(
    machine("desk-02", "ok", step(IMAP, column=IMAP, verdict="ok", text="Works."), step("Settings", column="settings")),
    machine("laptop-7", "unreachable", summary="no SSH connection"),
    machine(
        "desk-12",
        "problems",
        step(IMAP, "fail", column=IMAP, verdict="intercepted", text="By Avast.", facts={"Issuer": "Avast", "Chain": "trusted"}),
        step(
            "Sending",
            "ok",
            steps=[
                step(
                    SEND,
                    "fail",
                    column=SEND,
                    verdict="starttls_stripped",
                    steps=[step("Name", facts={"A": "192.0.2.1"}), step("TLS", "skip")],
                ),
                step(SENDS, column=SENDS, verdict="ok", text="Works."),
            ],
        ),
        step("Thunderbird", "warn", column="settings", text="Differs."),
        step("msmtp", column="settings"),
        step("aerc", "skip", column="settings"),
        summary="unable to send: port 587",
    ),
    machine("desk-01", "failed", summary="no Python"),
)


def read(shown: dict[str, Any]) -> Element:
    return Tree(page(shown)).root


def text(element: Element | None) -> str:
    assert element is not None
    return " ".join("".join(element.itertext()).split())


def matrix(root: Element) -> dict[str, dict[str, Element]]:
    """machine -> column -> cell."""
    (table,) = root.iter("table")
    columns = [text(head) for head in table.findall("thead/tr/th")]
    rows = [list(row) for row in table.findall("tbody/tr")]
    assert all(len(row) == len(columns) for row in rows)
    return {text(row[0]): dict(zip(columns[1:], row[1:], strict=True)) for row in rows}


def details(root: Element) -> dict[str, Element]:
    """Title -> its <details>, of the steps that have something to open."""
    return {text(found.find("summary/span")): found for found in root.iter("details")}


def links(root: Element) -> Iterator[str]:
    return (link.attrib["href"] for link in root.iter("a"))


def test_the_office_in_words() -> None:
    root = read(OFFICE)
    assert root.attrib["lang"] == "en"
    assert [text(head) for head in root.iter("h1")] == [text(root.find("head/title"))] == ["Mail diagnosis of acme"]
    (time,) = root.iter("time")
    assert (time.attrib["datetime"], time.text) == ("2026-11-25T03:40:00+00:00", "2026-11-25 03:40 UTC")
    assert text(root.find(".//main//strong")) == "Problems were found, and not every machine could be checked."
    (counts,) = [each for each in root.iter("ul") if each.attrib["class"] == "counts"]
    assert [text(each) for each in counts] == ["1 with problems", "1 where the check failed", "1 unreachable", "1 ok"]


@pytest.mark.parametrize(
    ("states", "ok", "words"),
    [
        ([], True, "No machine was checked."),
        (["ok", "ok"], True, "All that was checked works."),
        (["ok", "unreachable"], True, "All that was checked works."),
        (["ok", "problems"], False, "Problems were found."),
        (["ok", "failed"], False, "Not every machine could be checked."),
        (["ok"], False, "Not all is well."),
    ],
)
def test_the_result_is_said_in_words(states: list[str], ok: bool, words: str) -> None:
    root = read(document(*(machine(f"desk-{number}", state) for number, state in enumerate(states)), ok=ok))
    assert text(root.find(".//main//strong")) == words


@pytest.mark.parametrize(
    ("time", "words"), [("2026-11-25T03:40:59-05:00", "2026-11-25 03:40 UTC-05:00"), ("2026-11-25T03:40:00Z", "2026-11-25 03:40 UTC")]
)
def test_the_time_says_its_offset(time: str, words: str) -> None:
    (shown,) = read({**OFFICE, "time": time}).iter("time")
    assert shown.text == words


def test_the_matrix_has_headers_and_a_caption() -> None:
    (table,) = read(OFFICE).iter("table")
    assert text(table.find("caption"))
    assert [(each.attrib["scope"], text(each)) for each in table.findall("thead/tr/th")] == [
        ("col", column) for column in ("Machine", "Result", IMAP, "settings", SEND, SENDS)
    ]
    assert all([each.attrib.get("scope") for each in row.iter("th")] == ["row"] for row in table.findall("tbody/tr"))


def test_the_machines_that_need_somebody_come_first() -> None:
    root = read(OFFICE)
    order = ["desk-12", "desk-01", "laptop-7", "desk-02"]
    assert list(matrix(root)) == order
    assert [text(each) for each in root.findall(".//section/div/h3")] == order


def test_every_cell_says_its_verdict_and_leads_to_the_step() -> None:
    root = read(OFFICE)
    cells = {name: {column: text(cell) for column, cell in row.items()} for name, row in matrix(root).items()}
    unknown = dict.fromkeys((IMAP, "settings", SEND, SENDS), "not checked")
    assert cells == {
        "desk-12": {
            "Result": "problems unable to send: port 587",
            IMAP: "intercepted",
            "settings": "warning ok skipped",
            SEND: "starttls stripped",
            SENDS: "ok",
        },
        "desk-01": {"Result": "check failed no Python", **unknown},
        "laptop-7": {"Result": "unreachable no SSH connection", **unknown},
        "desk-02": {**unknown, "Result": "ok", IMAP: "ok", "settings": "ok"},
    }
    places = {each.attrib["id"]: each for each in root.iter() if "id" in each.attrib}
    row = matrix(root)["desk-12"]
    titles = {column: [text(places[href[1:]].find(".//span")) for href in links(cell)] for column, cell in row.items()}
    assert titles == {"Result": [], IMAP: [IMAP], "settings": ["Thunderbird", "msmtp", "aerc"], SEND: [SEND], SENDS: [SENDS]}


def test_colour_is_never_alone() -> None:
    """Every look has its sign, and whatever has a look says a word."""
    shown = page(OFFICE)
    signs = {look: re.search(rf'^\.{look} {{.* --sign: "(.)\\a0" / "";', shown, re.MULTILINE) for look in STEPS}
    assert len({sign and sign[1] for sign in signs.values()} - {None}) == len(STEPS)
    assert {look for look, *_ in MACHINES.values()} <= set(STEPS)
    marks = [each for each in Tree(shown).root.iter() if "mark" in each.attrib.get("class", "").split()]
    assert marks
    for mark in marks:
        assert set(mark.attrib["class"].split()) & set(STEPS) and text(mark)


def test_ids_are_unique_and_links_lead_somewhere() -> None:
    for shown in (OFFICE, document(*(copy.deepcopy(OFFICE["machines"][2]) for _ in range(12)))):
        root = read(shown)
        ids = [each.attrib["id"] for each in root.iter() if "id" in each.attrib]
        assert len(ids) == len(set(ids))
        assert {href.removeprefix("#") for href in links(root)} <= set(ids)
        assert all(href.startswith("#") for href in links(root))


def test_what_failed_is_open_with_all_above_it_and_nothing_else() -> None:
    shown = details(read(OFFICE))
    assert {title: "open" in found.attrib for title, found in shown.items() if title != IMAP} == {
        "Sending": True,
        SEND: True,
        "Name": False,
        SENDS: False,
        "Thunderbird": True,
    }
    imap = [found for found in read(OFFICE).iter("details") if text(found.find("summary/span")) == IMAP]
    assert ["open" in found.attrib for found in imap] == [True, False]


def test_a_step_shows_its_text_and_facts() -> None:
    root = read(document(machine("desk-12", "problems", OFFICE["machines"][2]["steps"][0])))
    (found,) = root.iter("details")
    assert text(found.find("div/p")) == "By Avast."
    (facts,) = found.iter("dl")
    assert [(each.tag, text(each)) for each in facts] == [("dt", "Issuer"), ("dd", "Avast"), ("dt", "Chain"), ("dd", "trusted")]


def test_nothing_comes_from_elsewhere_and_nothing_runs() -> None:
    shown = page(document(machine(HOSTILE, "ok", step(HOSTILE, column=HOSTILE)), office=HOSTILE))
    root = Tree(shown).root
    assert not {"script", "img", "link", "iframe", "object", "form", "base", "svg"} & {each.tag for each in root.iter()}
    assert not [name for each in root.iter() for name in each.attrib if name.startswith("on") or name in ("src", "style", "srcset")]
    (style,) = root.iter("style")
    assert not re.search(r"url\(|@import|//", style.text or "")
    policies = [each.attrib["content"] for each in root.iter("meta") if each.attrib.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"]


def test_hostile_text_is_shown_and_does_nothing() -> None:
    hostile = step(HOSTILE, "fail", HOSTILE, verdict=HOSTILE, column=HOSTILE, facts={HOSTILE: HOSTILE}, steps=[step(HOSTILE)])
    broken = {**machine(HOSTILE, "problems", hostile, summary=HOSTILE), "people": [HOSTILE]}
    harmless = step("Send", "fail", "text", verdict="blocked", column="column", facts={"name": "value"}, steps=[step("Name")])
    shown = page(document(broken, office=HOSTILE))
    shown.encode("utf-8")
    root = Tree(shown).root
    ordinary = read(document(machine("desk-12", "problems", harmless, summary="summary")))
    assert [each.tag for each in root.iter() if each.tag != "wbr"] == [each.tag for each in ordinary.iter() if each.tag != "wbr"]
    assert not re.search("[^\\n\\x20-\\x7e\u2013\u2713\u2717]", shown)
    says = "".join(root.itertext())
    # Title, h1 | machine, summary, column, verdict in the matrix | machine, people, summary | title, verdict, text, fact | the step below
    assert says.count(HARMLESS) == 2 + 4 + 3 + 5 + 1


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=60))
def test_any_text_comes_back_as_it_was_but_for_what_hides(said: str) -> None:
    root = read(document(machine("desk-01", "ok", step("Greeting", facts={"Greeting": said}))))
    (fact,) = root.iter("dd")
    assert (fact.text or "") == "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in said)


def test_a_text_without_end_is_cut() -> None:
    root = read(document(machine("desk-01", "ok", step("Greeting", facts={"Greeting": "x" * 10**6}))))
    (fact,) = root.iter("dd")
    assert fact.text == "x" * (LONGEST - 3) + "..."


def test_the_same_document_makes_the_same_page() -> None:
    before = copy.deepcopy(OFFICE)
    assert page(OFFICE) == page(json.loads(json.dumps(OFFICE)))
    assert before == OFFICE, "the document is left as it was"


def test_an_office_without_machines_has_no_empty_table() -> None:
    root = read(document())
    assert not list(root.iter("table")) and "No machine was checked." in text(root)
    ids = {each.attrib["id"] for each in root.iter() if "id" in each.attrib}
    assert {href.removeprefix("#") for href in links(root)} <= ids


def test_a_large_office_stays_small() -> None:
    steps = [
        step(
            f"Send: smtp.example.org:{port}",
            column=f"smtp.example.org:{port}",
            steps=[step(f"Step {n}", facts={"A": "b"}) for n in range(6)],
        )
        for port in range(6)
    ]
    assert len(page(document(*(machine(f"desk-{number:02}", "ok", *steps) for number in range(50))))) < 500_000


@pytest.mark.parametrize("change", [{"time": "yesterday"}, {"machines": [machine("desk-01", "fine")]}, {"office": ...}])
def test_a_document_that_breaks_the_contract_is_refused(change: dict[str, Any]) -> None:
    broken = {key: value for key, value in {**OFFICE, **change}.items() if value is not ...}
    with pytest.raises((KeyError, ValueError)):
        page(broken)


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_colours_have_contrast_in_light_and_dark() -> None:
    """WCAG 2.2 criterion 1.4.3, level AA: 4.5 to 1."""
    themes = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block)) for block in re.findall(r":root {([^}]*--page[^}]*)}", page(OFFICE))]
    assert len(themes) == 2 and themes[0].keys() == themes[1].keys()
    pairs = [(look, f"{look}-back") for look in STEPS]
    pairs += [(ink, back) for ink in ("ink", "quiet", "link", *STEPS) for back in ("page", "skip-back")]
    for theme in themes:
        for ink, back in pairs:
            dark, light = sorted((luminance(theme[ink]), luminance(theme[back])))
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, back, theme["page"])
