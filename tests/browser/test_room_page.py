"""The page on the technician's screen while profiles are handed out, in a real browser against the real server."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.unit.test_room import Running


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path)
    yield found
    found.end()


@pytest.fixture
def page(browser: Browser, running: Running) -> Iterator[Page]:
    """The page at its address; it must not say anything on the console nor ask anybody else for anything."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    found = context.new_page()
    said: list[str] = []
    found.on("console", lambda message: said.append(message.text))
    found.on("pageerror", lambda error: said.append(str(error)))
    found.on("request", lambda request: said.append(request.url) if not request.url.startswith(running.room.page_url) else None)
    found.goto(running.room.page_url)
    yield found
    context.close()
    assert [line for line in said if not line.startswith("data:")] == []


def test_one_code_at_a_time_and_who_has_fetched(page: Page, running: Running, tmp_path: Path) -> None:
    codes = page.locator("figure img")
    assert [code.is_visible() for code in codes.all()] == [False, False]
    page.get_by_text("jane@example.org").first.click()
    assert [code.is_visible() for code in codes.all()] == [True, False]
    page.get_by_text("zoe@example.org").first.click()
    assert [code.is_visible() for code in codes.all()] == [False, True]
    box = codes.nth(1).bounding_box()
    assert box and box["width"] >= 190, "a code is at least 5 cm wide"
    codes.nth(1).screenshot(path=str(tmp_path / "code.png"))
    link = subprocess.run(["zbarimg", "--quiet", "--raw", tmp_path / "code.png"], capture_output=True, text=True, check=True).stdout.strip()
    assert page.get_by_text("not yet").count() == 2
    assert running.ask(link.removeprefix(running.room.base))[2].endswith(b"zoe@example.org")
    page.get_by_text("fetched ").wait_for(timeout=120_000)
    assert page.get_by_text("not yet").count() == 1


def test_one_missed_look_ends_nothing(browser: Browser, running: Running) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.route("**/state", lambda route: route.abort(), times=1)
    page.goto(running.room.page_url)
    page.get_by_text("No answer: it has ended").wait_for(timeout=120_000)
    running.ask(f"/{running.room.people[0].token}")
    page.get_by_text("fetched ").wait_for(timeout=120_000)
    assert page.locator("#gone").inner_text() == ""
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_it_fits_the_screen(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.get_by_text("jane@example.org").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, running: Running, scheme: Any) -> None:
    context = browser.new_context(bypass_csp=True, color_scheme=scheme)
    page = context.new_page()
    running.room.fetch(running.room.people[0], datetime.datetime.now(datetime.UTC))
    page.goto(running.room.page_url)
    page.get_by_text("jane@example.org").first.click()
    found = Axe().run(page).response["violations"]
    context.close()
    assert [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found] == []
