"""Hand-outs: what stands on a page, that nothing else can get onto it, and that it prints on one sheet."""

from __future__ import annotations

import base64
import importlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jinja2
import pypdf
import pytest
import segno
import yaml
from ansible_collections.msp.charter_mail.plugins.plugin_utils.formats import pdf
from ansible_collections.msp.charter_mail.plugins.plugin_utils.handout import page_input, pages
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
UTILS = ROOT / "plugins/plugin_utils/handout"
TEMPLATES = sorted((UTILS / "templates").glob("*.j2"))
CATALOGUES = sorted((UTILS / "texts").glob("*.yml"))
CSS = (UTILS / "templates/page.css").read_text(encoding="utf-8")
VOID = {"br", "img", "meta"}

LINK = "https://mail.example.org/p/x7Qm3vVnR2k9TtY5bA8wLdGhJ/jane.mobileconfig"
CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
NAMES = [
    "Jane Doe",
    'O\'Brien, "Zoë" & Söhne',
    '<script>alert("x")</script>',
    '"><img src=x onerror=alert(1)>{{ 7 * 7 }}{% raw %} **bold** {file}',
    "名前 漢字 한국어 ไทย हिन्दी Ελληνικά",
    "محمد بن عبد الله (ABC) 1",
    "Wolfeschlegelsteinhausenbergerdorff" * 5,
    "l" * 200,
]


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


TEXTS = load(UTILS / "texts/en.yml")
every_language = pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda path: path.stem)


def svg(text: str) -> str:
    out = io.BytesIO()
    segno.make_qr(text, error="m", encoding="utf-8").save(out, kind="svg", omitsize=True, xmldecl=False)
    return out.getvalue().decode()


def account(address: str = "jane.doe@example.org", protocol: str = "imap", smtp: tuple[int, str] = (587, "starttls")) -> Any:
    incoming = {"protocol": protocol, "host": f"{protocol}.charter.net", "port": 993 if protocol == "imap" else 995, "security": "tls"}
    outgoing = {"protocol": "smtp", "host": "smtp.charter.net", "port": smtp[0], "security": smtp[1]}
    return {
        "address": address,
        "incoming": {**incoming, "username": address},
        "outgoing": {**outgoing, "username": address},
        "password_command": "echo hunter22",
    }


def computer(platform: str, standing: str = "", *programs: str, machine: str = "desk-07") -> Any:
    return {"machine": machine, "platform": platform, "standing": standing, "programs": list(programs)}


MAC = computer("macos", "delivered", machine="mac-01")


def person(*accounts: Any, phones: tuple[str, ...] = ("ios", "android"), mac: bool = False, **changes: Any) -> Any:
    boxes = accounts or (account(),)
    # As long as Thunderbird's payload is for such an address.
    codes = [{"address": box["address"], "svg": svg("x" * 140 + box["address"] * 2)} for box in boxes]
    return {
        "full_name": "Jane Doe",
        "accounts": list(boxes),
        "phones": list(phones),
        "computers": [MAC] if mac else [],
        "qr": {"ios": svg(LINK), "android": codes if "android" in phones else []},
        "files": {"ios": "jane-iphone.mobileconfig", "macos": "jane-mac.mobileconfig", "k9s": "jane-android.k9s"},
        "profile_url": LINK,
        **changes,
    }


def office(**changes: Any) -> Any:
    contact = {"name": "Sam at Brightside IT", "phone": "+1 555 0100", "email": "help@example.com", "hours": "Mon to Fri, 8 am to 6 pm"}
    return {"name": "Acme Dental Practice", "contact": contact, "two_factor": "app_password", "signed": True, **changes}


LOGO = page_input.logo_uri(b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 3 1"><rect width="3" height="1"/></svg>')
THREE = [account(), account("reception@example.org"), account("invoices@example.org")]


class Page(HTMLParser):
    """A page taken apart. Fails on what browsers would have to mend: tags left open or closed in the wrong order, attributes twice."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), (tag, attrs)
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def values(self, attribute: str) -> list[str]:
        return [attributes[attribute] for _, attributes in self.tags if attribute in attributes]


def page(whom: Any = None, whose: Any = None, texts: Any = TEXTS) -> Page:
    return Page(pages.handout(whom or person(), whose or office(), texts))


def every_page(texts: Any = TEXTS) -> Iterator[str]:
    """Pages that between them show everything a page can show."""
    for whose in (office(logo=LOGO), office(two_factor="none", signed=False)):
        yield pages.handout(person(mac=True), whose, texts)
        yield pages.handout(person(*THREE, account("pop@example.org", "pop", (465, "tls")), mac=True), whose, texts)
        yield pages.handout(person(profile_url=None, qr={"ios": None, "android": []}), whose, texts)
        yield pages.handout(person(profile_url=None, files={}, mac=True, qr={"ios": None, "android": []}), whose, texts)
        desks = [computer("linux", "ready", "thunderbird", "msmtp"), computer("linux"), computer("windows", "", "outlook", "thunderbird")]
        yield pages.handout(person(computers=[*desks, computer("macos")], phones=()), whose, texts)
        yield pages.handout(person(*THREE, computers=[*desks, computer("macos", "ready")], phones=()), whose, texts)
        yield pages.handout(person(phones=()), whose, texts)
        yield pages.handout(person(computers=desks, phones=()), whose, texts)


# --- what stands on the page


@pytest.mark.parametrize(("protocol", "smtp"), [("imap", (587, "starttls")), ("pop", (465, "tls")), ("imap", (587, "tls"))])
def test_every_value_of_the_settings_is_there(protocol: str, smtp: tuple[int, str]) -> None:
    whom = person(account(protocol=protocol, smtp=smtp))
    html = pages.handout(whom, office(), TEXTS)
    first, second = re.findall(r'<table class="server settings">.*?</table>', html, re.DOTALL)
    for table, server in ((first, whom["accounts"][0]["incoming"]), (second, whom["accounts"][0]["outgoing"])):
        cells = re.findall(r'<td class="value"><bdi dir="ltr">(.*?)</bdi></td>', table)
        security = {"tls": "SSL/TLS", "starttls": "STARTTLS"}[server["security"]]
        assert cells == [server["host"], str(server["port"]), security, "jane.doe@example.org"]
    assert f"Incoming mail ({'IMAP' if protocol == 'imap' else 'POP3'})" in page(whom).text
    assert ("Personal (POP3)" in page(whom).text) == (protocol == "pop")


def test_mailboxes_with_the_same_servers_share_the_tables() -> None:
    shown = page(person(*THREE))
    assert len([table for table in shown.all("table") if "settings" in table["class"]]) == 2
    assert "the whole address" in shown.text
    mixed = page(person(*THREE, account("pop@example.org", "pop")))
    assert len([table for table in mixed.all("table") if "settings" in table["class"]]) == 4
    assert "For jane.doe@example.org, reception@example.org, invoices@example.org" in mixed.text
    assert "For pop@example.org" in mixed.text


def test_each_device_has_its_part_and_no_other() -> None:
    for phones, mac in ((("ios",), False), (("android",), False), ((), True), (("ios", "android"), True)):
        shown = page(person(phones=phones, mac=mac))
        devices = [section["id"] for section in shown.all("section") if section.get("class") == "device"]
        assert devices == [*phones, *(["mac"] if mac else [])]
        for app, there in (("Samsung Email", "android" in phones), ("Mail on a Mac", mac), ("Mail on iPhone", "ios" in phones)):
            assert (app in shown.text.partition(TEXTS["manual"]["heading"])[2].partition(TEXTS["manual"]["same_password"])[2]) == there


def test_the_apps_own_words_for_security_are_told() -> None:
    assert "SSL/TLS here: SSL or SSL/TLS · STARTTLS here: TLS or STARTTLS" in page().text
    assert "Security here: Use SSL on" in page().text
    assert page().text.count(" here: ") == 3, "nothing is said of the apps that have the same words"
    assert "STARTTLS" not in page(person(account(smtp=(465, "tls")))).text
    assert "Gmail, Samsung Email and Outlook on phones cannot take" in page().text


def test_outlook_is_not_told_to_people_with_pop() -> None:
    assert "Outlook (phone)" in page().text
    assert "Outlook (phone)" not in page(person(account(protocol="pop"))).text


def test_a_computer_s_part_is_what_was_seen_of_it() -> None:
    password = TEXTS["password"]["one"]["type"]["app_password"]
    ready = page(person(phones=(), computers=[computer("linux", "ready", "msmtp", "thunderbird")]))
    assert "Computer desk-07" in ready.text and f"type {password} and tick Use Password Manager" in ready.text
    assert "Set up already: msmtp." in ready.text
    terminal = page(person(phones=(), computers=[computer("linux", "ready", "msmtp", "neomutt")]))
    assert "Set up already: msmtp, neomutt." in terminal.text and "Thunderbird" not in terminal.text
    later = page(person(phones=(), computers=[computer("linux")]))
    assert TEXTS["computer"]["waits"] in later.text and "set up already" not in later.text.lower()
    for standing, words in (
        ("", "You are sent the file"),
        ("delivered", "is in your home folder"),
        ("ready", "installed on your Mac already"),
    ):
        mac = page(person(phones=(), computers=[computer("macos", standing)]))
        assert [
            text for text in ("You are sent the file", "is in your home folder", "installed on your Mac already") if text in mac.text
        ] == [words]
        assert ("Mail on a Mac" in mac.text) == (standing != "ready")
    # Of two Macs the one that is least far is told of.
    two = page(person(phones=(), computers=[computer("macos", "ready"), computer("macos", "")]))
    assert "You are sent the file" in two.text


def test_windows_is_told_each_program_once_with_its_screens() -> None:
    both = page(person(phones=(), computers=[computer("windows", "", "outlook", "thunderbird"), computer("windows", "", "outlook")]))
    parts = [section["id"] for section in both.all("section") if section.get("class") == "device"]
    assert parts == ["outlook", "outlook_new", "thunderbird"]
    for words in ("Let me set up my account manually", "Choose IMAP", "Microsoft Cloud", "Configure Manually", "Type jane.doe@example.org"):
        assert words in both.text
    pop = page(person(account(protocol="pop"), phones=(), computers=[computer("windows", "", "thunderbird")]))
    assert "Outlook" not in pop.text and "Thunderbird" in pop.text
    several = page(person(*THREE, phones=(), computers=[computer("windows", "", "outlook")]))
    assert "Type the whole address, open" in several.text and TEXTS["windows"]["several"] in several.text


def test_with_several_mailboxes_it_is_said_whose_password_is_meant() -> None:
    one, several = page(), page(person(*THREE))
    assert "You have 3 mailboxes" in several.text and "You have" not in one.text
    assert "an app password for each of your mailboxes" in several.text
    assert "type the app password of the mailbox that is named" in several.text
    assert "the mailbox that is named" not in one.text


def test_who_has_neither_phone_nor_computer_gets_the_settings() -> None:
    shown = page(person(phones=()))
    assert TEXTS["manual"]["settings"] in shown.text and "imap.charter.net" in shown.text
    assert not [section for section in shown.all("section") if section.get("class") == "device"]
    assert "device in your hand" not in shown.text and "Gmail" not in shown.text


def test_an_iphone_gets_the_link_where_there_is_one_and_the_file_otherwise() -> None:
    served = page(person(phones=("ios",)))
    assert LINK in served.values("href")
    assert len(served.all("img")) == 1
    handed = page(person(phones=("ios",), profile_url=None, qr={"ios": None, "android": []}))
    assert not handed.all("img")
    assert LINK not in handed.values("href")
    assert "jane-iphone.mobileconfig: by AirDrop" in handed.text


def test_android_without_a_code_gets_the_file_and_with_neither_the_settings() -> None:
    bare = {"phones": ("android",), "qr": {"ios": None, "android": []}}
    assert "jane-android.k9s. Tap Import K-9 settings, Select file" in page(person(**bare)).text
    nothing = page(person(**bare, files={}))
    assert TEXTS["page"]["by_hand"] in nothing.text
    assert not nothing.all("ol")


def test_each_code_is_labelled_and_is_the_one_given() -> None:
    whom = person(*THREE)
    images = page(whom).all("img")
    for image, code in zip(images[1:], whom["qr"]["android"], strict=True):
        assert code["address"] in image["alt"]
        kind, _, data = image["src"].partition(",")
        assert (kind, base64.b64decode(data).decode()) == ("data:image/svg+xml;base64", code["svg"])
    assert "iPhone" in images[0]["alt"]
    assert len({image["src"] for image in images}) == 4


def test_a_code_that_could_not_grow_is_refused() -> None:
    with pytest.raises(ValueError, match="viewBox"):
        page(person(qr={"ios": "<svg width='3'/>", "android": []}))


@pytest.mark.parametrize("two_factor", page_input.TWO_FACTOR)
def test_the_password_is_spoken_of_as_the_office_signs_in(two_factor: str) -> None:
    shown = page(whose=office(two_factor=two_factor)).text
    other = next(name for name in page_input.TWO_FACTOR if name != two_factor)
    assert TEXTS["password"]["which"][two_factor].replace("**", "") in shown
    assert TEXTS["password"]["which"][other].replace("**", "") not in shown
    assert f"Have {TEXTS['password']['one']['have'][two_factor]} ready" in shown


def test_the_signature_is_spoken_of_as_it_is() -> None:
    assert "must say Verified" in page(whose=office(signed=True)).text
    assert "says Not Signed" in page(whose=office(signed=False)).text


def test_the_helper_is_named_with_links_that_call_and_write() -> None:
    shown = page()
    assert {"tel:+15550100", "mailto:help@example.com"} <= set(shown.values("href"))
    for text in office()["contact"].values():
        assert text in shown.text
    bare = page(whose=office(contact={"name": "", "phone": "555 0100", "email": "", "hours": ""}))
    assert not [link for link in bare.values("href") if link.startswith("mailto:")]


@every_language
def test_no_password_gets_onto_a_page(catalogue: Path) -> None:
    for html in every_page(load(catalogue)):
        assert "hunter22" not in html
        assert not re.search(r"<(input|form)\b", html)


# --- people who cannot see it, and people who write from right to left


@every_language
def test_landmarks_headings_and_labels(catalogue: Path) -> None:
    texts = load(catalogue)
    for html in every_page(texts):
        shown = Page(html)
        ids = shown.values("id")
        assert len(ids) == len(set(ids))
        assert set(shown.values("aria-labelledby")) <= set(ids)
        assert [len(shown.all(tag)) for tag in ("header", "main", "footer", "h1", "title")] == [1] * 5
        assert all(image["alt"] for image in shown.all("img"))
        assert all(cell["scope"] in ("row", "col") for cell in shown.all("th"))
        assert len(shown.all("caption")) == len(shown.all("table"))
        assert {section["aria-labelledby"] for section in shown.all("section")} <= set(ids)
        levels = [tag for tag, _ in shown.tags if re.fullmatch("h[1-6]", tag)]
        assert levels == ["h1"] + ["h2"] * (len(levels) - 1)
        assert (shown.all("html")[0]["lang"], shown.all("html")[0]["dir"]) == (texts["lang"], texts["dir"])


def test_a_language_from_right_to_left() -> None:
    shown = page(texts={**TEXTS, "lang": "he", "dir": "rtl"})
    assert shown.all("html")[0] == {"lang": "he", "dir": "rtl"}
    assert {element["dir"] for element in shown.all("bdi")} == {"ltr"}


def test_names_are_set_apart_in_their_own_direction() -> None:
    html = pages.handout(person(full_name=NAMES[5]), office(name="1 משרד (ABC)"), TEXTS)
    assert f'<bdi dir="rtl">{NAMES[5]}</bdi>' in html
    assert '<bdi dir="rtl">1 משרד (ABC)</bdi>' in html
    assert '<bdi dir="ltr">+1 555 0100</bdi>' in html


def contrast(one: str, other: str) -> float:
    """WCAG 2.2, relative luminance and contrast ratio, written down anew."""

    def luminance(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@given(st.integers(0, 0xFFFFFF))
def test_text_on_any_accent_can_be_read(number: int) -> None:
    colour = f"#{number:06x}"
    assert contrast(colour, pages._on(colour)) >= 4.5


def test_the_page_s_own_colours_can_be_read() -> None:
    inks = set(re.findall(r"(?<![-\w])color: (#[0-9a-f]{6})", CSS)) - {"#ffffff"}
    papers = set(re.findall(r"background: (#[0-9a-f]{6})", CSS)) - {"#0b4f9c"} | {"#ffffff"}
    assert len(inks) >= 3
    assert len(papers) >= 2
    assert all(contrast(ink, paper) >= 4.5 for ink in inks for paper in papers)
    assert contrast("#0b4f9c", "#ffffff") >= 4.5


# --- nothing else gets onto it


@every_language
def test_nothing_is_fetched_from_anywhere(catalogue: Path) -> None:
    assert not re.search(r"url\(|@import|expression", CSS)
    for html in every_page(load(catalogue)):
        shown = Page(html)
        assert {meta["content"] for meta in shown.all("meta") if "http-equiv" in meta} == {CSP}
        assert not {name for name, _ in shown.tags} & {
            "script",
            "link",
            "iframe",
            "object",
            "embed",
            "svg",
            "base",
            "form",
            "video",
            "audio",
        }
        assert all(source.startswith("data:image/") for source in shown.values("src"))
        assert not [name for _, attributes in shown.tags for name in attributes if name.startswith("on") or name == "style"]
        for link in shown.values("href"):
            assert link in (LINK, "tel:+15550100", "mailto:help@example.com") or ":" not in link


@pytest.mark.parametrize("name", NAMES)
def test_an_awkward_name_is_text_and_nothing_but_text(name: str) -> None:
    usual, awkward = page(), page(person(full_name=name), office(name=name, contact={**office()["contact"], "name": name, "hours": name}))
    assert awkward.text.count(name) == 4
    assert [tag for tag, _ in awkward.tags] == [tag for tag, _ in usual.tags]


@settings(max_examples=50)
@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=40).filter(str.strip))
def test_any_name_comes_back_from_the_page(name: str) -> None:
    assert name in page(person(full_name=name, phones=("ios",))).text


def test_a_file_s_name_and_an_address_are_text_too() -> None:
    files = {"ios": "<i>a&b.mobileconfig", "macos": "<i>m.mobileconfig", "k9s": "<i>{x}**k**.k9s"}
    shown = page(person(account("o'b&c@example.org"), files=files, mac=True))
    assert not shown.all("i")
    for text in (files["macos"], files["k9s"], "o'b&c@example.org"):
        assert text in shown.text


def test_a_text_of_the_catalogue_is_text_but_for_its_stars() -> None:
    assert pages.say("<i> & **{a} <u>**, {b}", a="**<b>**{b}", b="&") == (
        '&lt;i&gt; &amp; <b><bdi dir="ltr">**&lt;b&gt;**{b}</bdi> &lt;u&gt;</b>, <bdi dir="ltr">&amp;</bdi>'
    )
    assert pages.plain("A **b** {c}", c="**{d}**") == "A b \u2068**{d}**\u2069"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "http://mail.example.org/x", "https:///x", "file:///etc/passwd"])
def test_a_link_that_is_not_https_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not an https address"):
        page(person(profile_url=url))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": " "}, "name: is empty"),
        ({"contact": {"name": "Sam", "phone": "", "email": "", "hours": ""}}, "contact: has neither phone nor email"),
        ({"two_factor": "sms"}, 'two_factor: "sms" is not none or app_password'),
        ({"accent": "red;} body{display:none"}, 'accent: "red;} body{display:none" is not a colour like #1f4e79'),
        ({"accent": "#1f4e79;} body{display:none"}, 'accent: "#1f4e79;} body{display:none" is not a colour'),
        ({"logo": "https://example.org/logo.png"}, "logo: is not an image"),
        ({"logo": "data:text/html;base64,PGI+"}, "logo: is not an image"),
    ],
)
def test_what_is_wrong_with_an_office_is_told_in_one_line(changes: dict[str, Any], message: str) -> None:
    (problem,) = page_input.check_office(office(**changes))
    assert str(problem).startswith(f"group_vars/all.yml: {message}")
    with pytest.raises(ValueError, match=re.escape(message)):
        page(whose=office(**changes))


def test_a_sound_office_has_no_problem() -> None:
    assert page_input.check_office(office(logo=LOGO, accent="#FFD54F")) == []
    assert ":root { --accent: #ffd54f; --on-accent: #000000; }" in pages.handout(person(), office(accent="#FFD54F"), TEXTS)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n\0", "png"),
        (b"\xff\xd8\xff\xe0\0", "jpeg"),
        (b"GIF89a\0", "gif"),
        (b"RIFF\x01\n\0\0WEBPVP8 ", "webp"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- made by hand -->\n<!DOCTYPE svg>\n<svg width="1">', "svg+xml"),
    ],
)
def test_a_logo_is_known_by_what_it_begins_with(data: bytes, kind: str) -> None:
    uri = page_input.logo_uri(data)
    assert uri.startswith(f"data:image/{kind};base64,")
    assert page_input.check_office(office(logo=uri)) == []


@pytest.mark.parametrize("data", [b"", b"<html><svg></html>", b"%PDF-1.7", b"BM\0\0", b"RIFF\0\0\0\0WAVE"])
def test_what_is_no_image_is_no_logo(data: bytes) -> None:
    with pytest.raises(ValueError, match="is not an image"):
        page_input.logo_uri(data)


# --- the catalogue of texts


def leaves(tree: Any, path: str = "") -> dict[str, str]:
    if isinstance(tree, Mapping):
        return {name: text for key, value in tree.items() for name, text in leaves(value, f"{path}.{key}").items()}
    return {path[1:]: str(tree)}


class Seen(dict[str, Any]):
    """Texts that remember which of them were asked for."""

    def __init__(self, tree: Mapping[str, Any], seen: set[str], path: str = "") -> None:
        super().__init__({key: Seen(value, seen, f"{path}{key}.") if isinstance(value, dict) else value for key, value in tree.items()})
        self._seen, self._path = seen, path

    def __getitem__(self, key: str) -> Any:
        self._seen.add(self._path + key)
        return super().__getitem__(key)


@every_language
def test_every_text_is_used_and_every_used_one_is_there(catalogue: Path) -> None:
    texts, seen = load(catalogue), set[str]()
    for html in every_page(Seen(texts, seen)):
        Page(html)
    assert set(leaves(texts)) - seen == set()


@pytest.mark.parametrize("key", sorted(leaves(TEXTS)))
def test_a_text_that_is_missing_stops_the_page(key: str) -> None:
    texts = json.loads(json.dumps(TEXTS))
    *path, last = key.split(".")
    branch = texts
    for step in path:
        branch = branch[step]
    del branch[last]
    with pytest.raises((KeyError, jinja2.UndefinedError)):
        list(every_page(texts))


@every_language
def test_every_language_says_the_same_things(catalogue: Path) -> None:
    texts = load(catalogue)
    ours, english = leaves(texts), leaves(TEXTS)
    assert ours.keys() == english.keys()
    assert (texts["lang"], texts["dir"] in ("ltr", "rtl")) == (catalogue.stem, True)
    for key, text in ours.items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", english[key])), key
        assert text.count("**") % 2 == 0, key
        assert text == text.strip() != "", key


@every_language
def test_menu_names_are_dated_and_sourced(catalogue: Path) -> None:
    text = catalogue.read_text(encoding="utf-8")
    for block in ("ios", "android", "mac", "apps", "computer", "windows"):
        comment = re.search(rf"((?:^#.*\n)+){block}:$", text, re.MULTILINE)
        assert comment, block
        assert re.search(r"Checked \d{4}-\d\d-\d\d", comment[1]), block


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_templates_hold_no_words(template: Path) -> None:
    source = template.read_text(encoding="utf-8")
    tokens = jinja2.Environment().lex(source)
    bare = "".join(value if kind == "data" else " " for _, kind, value in tokens)
    markup = re.sub(r"<style>.*?</style>", "", bare, flags=re.DOTALL)
    assert not re.findall(r"[A-Za-z]{2,}", re.sub(r"<[^>]*>", "", markup))
    for attribute in ("alt", "aria-label", "title"):
        assert not re.findall(rf'\b{attribute}="[^"]*\w', markup)


# --- the same bytes, on one sheet


def test_a_page_has_the_same_bytes_in_another_process() -> None:
    script = (
        "import sys; sys.path[:0] = sys.argv[1:3]; import test_handout as t, hashlib\n"
        "html = list(t.every_page()); data = t.pdf.to_pdf(html[0])\n"
        "print(hashlib.sha256(''.join(html).encode() + data).hexdigest())"
    )
    command = [sys.executable, "-c", script, str(ROOT / "collections"), str(Path(__file__).parent)]
    outputs = {
        subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed}).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def read(data: bytes) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(data))


LONG = account("a" * 64 + "@" + "b" * 60 + ".example.org")
SHEETS: dict[str, tuple[Any, Any, int]] = {
    "one mailbox, two phones": (person(), office(logo=LOGO), 1),
    "as files": (person(profile_url=None), office(two_factor="none", signed=False), 1),
    "a Mac": (person(phones=(), mac=True), office(), 1),
    "pop": (person(account(protocol="pop")), office(), 1),
    "right to left": (person(full_name=NAMES[5]), office(name=NAMES[5]), 1),
    "Windows": (person(phones=(), computers=[computer("windows", "", "outlook", "thunderbird")]), office(), 1),
    "set up already": (person(phones=(), computers=[computer("linux", "ready", "thunderbird")]), office(), 1),
    "two phones and a Mac": (person(mac=True), office(), 2),
    "three mailboxes": (person(*THREE, mac=True), office(), 2),
    "everything long": (person(LONG, full_name=NAMES[7], mac=True), office(name=NAMES[7]), 2),
}


@pytest.mark.parametrize("paper", pdf.PAPERS)
@pytest.mark.parametrize("language", [path.stem for path in CATALOGUES])
@pytest.mark.parametrize("case", SHEETS)
def test_it_prints_on_one_sheet(case: str, language: str, paper: pdf.Paper) -> None:
    """One page for one mailbox, though other languages may need both sides for phones; never more than the two sides of one sheet."""
    whom, whose, most = SHEETS[case]
    most = 2 if language != "en" and whom["phones"] else most
    document = read(pdf.to_pdf(pages.handout(whom, whose, load(UTILS / f"texts/{language}.yml")), paper))
    assert len(document.pages) <= most
    size = {"a4": (595, 842), "letter": (612, 792)}[paper]
    assert [(round(float(one.mediabox.width)), round(float(one.mediabox.height))) for one in document.pages] == [size] * len(document.pages)


def sizes(data: bytes) -> set[float]:
    """Sizes of type in which something is written, in points."""
    found: set[float] = set()

    def visit(text: str, matrix: Any, inner: Any, _font: Any, size: float) -> None:
        if text.strip():
            found.add(round(abs(size * inner[3] * matrix[3]), 1))

    for one in read(data).pages:
        one.extract_text(visitor_text=visit)
    return found


def test_a_short_page_has_larger_type_than_a_full_one() -> None:
    """The usual text is of the size that is written most; what matters here is that all of it grows."""
    short, full = (sizes(pdf.to_pdf(pages.handout(*SHEETS[case][:2], TEXTS))) for case in ("set up already", "one mailbox, two phones"))
    assert 14 in short and 9 in full
    assert min(short) > min(full) >= 7


def test_the_pdf_says_what_the_page_says_and_is_tagged() -> None:
    whom = person()
    data = pdf.to_pdf(pages.handout(whom, office(), TEXTS))
    document = read(data)
    text = "".join(one.extract_text() for one in document.pages)
    for word in ("Jane Doe", "jane.doe@example.org", "imap.charter.net", "993", "STARTTLS", "+1 555 0100", "Profile Downloaded"):
        assert word in text
    root: Any = document.trailer["/Root"]
    assert root["/Lang"] == "en"
    assert root["/MarkInfo"]["/Marked"]
    assert "/StructTreeRoot" in root
    assert "jane.doe@example.org" in str(document.metadata and document.metadata.title)
    assert LINK in [link.get_object()["/A"]["/URI"] for link in document.pages[0]["/Annots"] if "/A" in link.get_object()]  # type: ignore[attr-defined]
    figures = list(alternatives(root["/StructTreeRoot"]))
    assert len(figures) == 2
    assert all(figures)
    for mark in (b"CreationDate", b"ModDate", b"hunter22"):
        assert mark not in data


def alternatives(element: Any) -> Iterator[str]:
    element = element.get_object() if hasattr(element, "get_object") else element
    if isinstance(element, list):
        for child in element:
            yield from alternatives(child)
    elif isinstance(element, dict):
        if element.get("/S") == "/Figure":
            yield str(element.get("/Alt", ""))
        yield from alternatives(element.get("/K", []))


def test_a_pdf_fetches_nothing(tmp_path: Path) -> None:
    image = segno.make_qr("x")
    image.save(str(tmp_path / "x.png"))

    def images(source: str) -> int:
        document = read(pdf.to_pdf(f'<html lang="en"><title>x</title><img alt="x" src="{source}">'))
        return len(document.pages[0].images)

    assert images(image.png_data_uri()) == 1
    assert images((tmp_path / "x.png").as_uri()) == 0


@pytest.mark.parametrize(("error", "what"), [(ImportError, "pip install weasyprint"), (OSError, "apt-get install libpango-1.0-0")])
def test_without_weasyprint_the_reason_is_one_sentence(monkeypatch: pytest.MonkeyPatch, error: type[Exception], what: str) -> None:
    assert pdf.missing() == ""

    def fail(name: str) -> Any:
        raise error(name)

    monkeypatch.setattr(importlib, "import_module", fail)
    assert pdf.missing().startswith("PDFs were left out: WeasyPrint")
    assert what in pdf.missing()
    assert pages.handout(person(), office(), TEXTS)
