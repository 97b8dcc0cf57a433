"""The pages in a real browser: Debian's Chromium, with a person's clicks, and axe-core as a judge of what everybody can use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.plugin_utils.handout import pages
from ansible_collections.msp.charter_mail.plugins.plugin_utils.report import diagnosis_page, office_page
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.golden.test_screens import CASES, first
from tests.unit.test_diagnosis_page import document, machine, step
from tests.unit.test_handout import TEXTS, UTILS, computer, load, office, person


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that must not say anything on the console nor ask anybody for anything."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    found = context.new_page()
    said: list[str] = []
    found.on("console", lambda message: said.append(message.text))
    found.on("pageerror", lambda error: said.append(str(error)))
    found.on("request", lambda request: said.append(request.url) if not request.url.startswith("file:") else None)
    yield found
    context.close()
    assert said == []


def names(page: Page) -> list[str]:
    """Who is shown."""
    return [person.inner_text().partition("\n")[0] for person in page.locator("#people > li h3").all() if person.is_visible()]


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "page.html"
    path.write_text(text, encoding="utf-8")
    return path.as_uri()


def test_search_filters_and_ticks(page: Page, tmp_path: Path) -> None:
    page.goto(write(tmp_path, office_page.page(CASES["one was never reached, one failed"][0])))
    everybody = ["Jane Doe", "Karen Hall", "Mary Jones", "Paul López"]
    assert [name.split(" ✗")[0].split(" !")[0] for name in names(page)] == everybody
    page.fill("#search", "lopez lnx-01")
    assert [name[:10] for name in names(page)] == ["Paul López"]
    assert page.inner_text("#shown") == "1 of 4 people"
    page.fill("#search", "")
    page.select_option("#kind", "problem")
    assert [name[:8] for name in names(page)] == ["Jane Doe"]
    page.select_option("#kind", "")
    page.select_option("#platform", "android")
    assert [name[:10] for name in names(page)] == ["Paul López"]
    page.select_option("#platform", "")
    box = page.get_by_role("listitem").filter(has_text="Mary Jones").last.get_by_role("checkbox")
    box.check()
    page.reload()
    assert box.is_checked()
    box.uncheck()
    page.reload()
    assert not box.is_checked()
    page.get_by_role("link", name="Karen Hall").click()
    assert page.url.endswith("#p2")


def test_without_a_script_all_is_there_to_read(browser: Browser, tmp_path: Path) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(write(tmp_path, office_page.page(first())))
    text = page.inner_text("body")
    assert all(name in text for name in ("Jane Doe", "Karen Hall", "Mary Jones", "Paul López", "mac-01 Apple Mail"))
    assert not page.locator("#search").is_visible() and page.locator("input[type=checkbox]").first.is_hidden()
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_screen_and_no_column_is_hidden(page: Page, tmp_path: Path, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(write(tmp_path, office_page.page(CASES["a port is blocked"][0])))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert all(cell.is_visible() for cell in page.locator("tbody td").all())


DESKS = [
    computer("linux", "ready", "thunderbird", "msmtp"),
    computer("linux", machine="desk-08"),
    computer("windows", "", "outlook", "thunderbird"),
]
PAGES = {
    "office, first run": lambda: office_page.page(first()),
    "office, problems": lambda: office_page.page(CASES["a port is blocked"][0]),
    "office, nobody": lambda: office_page.page(CASES["nobody"][0]),
    "diagnosis": lambda: diagnosis_page.page(
        document(machine("desk-01", "problems", step("Send", "fail", "No answer", column="smtp:587")))
    ),
    "hand-out": lambda: pages.handout(person(), office(), TEXTS),
    "hand-out, computers": lambda: pages.handout(person(mac=True, computers=DESKS), office(), TEXTS),
    "hand-out, Spanish": lambda: pages.handout(person(computers=DESKS), office(), load(UTILS / "texts/es.yml")),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(browser: Browser, tmp_path: Path, name: str, scheme: Any) -> None:
    # The judge is a script of its own, which the pages' policies would keep out.
    context = browser.new_context(bypass_csp=True, color_scheme=scheme)
    page = context.new_page()
    page.goto(write(tmp_path, PAGES[name]()))
    found = Axe().run(page).response["violations"]
    context.close()
    assert [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found] == []
