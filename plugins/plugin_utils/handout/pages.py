# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hand-out: one self-contained HTML page that tells a person how the office's mail gets onto phones and computers. Pure, no Ansible;
the same input gives the same bytes.

Templates are beside this file in templates/ and read once, as code is. Texts come from the caller: a catalogue of texts/.
Nothing here knows a password, and there is no place to put one.
"""

from __future__ import annotations

import base64
import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import quote, urlsplit

import jinja2
from markupsafe import Markup, escape

from ..office.account import Account, Incoming, Outgoing
from ..office.problem import quoted
from .page_input import ACCENT, Computer, Device, Office, Recipient, Texts, Way, refuse

DEVICES: tuple[Device, ...] = ("ios", "android", "mac")
WAYS: tuple[Way, ...] = ("incoming", "outgoing")
# What is told of a program that a person sets up by hand on Windows: blocks of the catalogue.
GUIDES: Mapping[str, Sequence[str]] = {"outlook": ("outlook", "outlook_new"), "thunderbird": ("thunderbird",)}

_PLACE = re.compile(r"\{(\w+)\}")


class Step(NamedTuple):
    """One numbered step, and what is said below it in smaller letters."""

    text: Markup
    hints: list[Markup]


def handout(person: Recipient, office: Office, texts: Texts) -> str:
    """The person's page. Raises ValueError for an office that check_office() finds fault with and for a profile_url that is not https."""
    refuse(office)
    url = person["profile_url"]
    if url and (urlsplit(url).scheme != "https" or not urlsplit(url).netloc):
        raise ValueError(f"profile_url {quoted(url)} is not an https address")
    accounts = person["accounts"]
    devices = [*_computers(person, office, texts), *(_DEVICES[device](person, office, texts) for device in _devices_of(person))]
    return _render(
        "page.html.j2",
        office,
        texts,
        person=person,
        password=_password(person, office, texts, "have"),
        before=texts["page"][_before(person)],
        number=str(len(accounts)),
        addresses=[account["address"] for account in accounts],
        devices=devices,
        tables=_tables(person, office, texts),
        apps=_apps(person, texts),
    )


def say(text: str, **values: str) -> Markup:
    """A text of the catalogue as HTML: **this** becomes bold, {name} the value in isolation, whatever its direction of writing."""
    parts = [_PLACE.sub(lambda place: isolated(values[place[1]]), str(escape(part))) for part in text.split("**")]
    return Markup("".join(f"<b>{part}</b>" if number % 2 else part for number, part in enumerate(parts)))


def isolated(text: str) -> Markup:
    """The text in an element of its own, in the direction of its first letter. Browsers find that out themselves, makers of PDF do not."""
    directions = (unicodedata.bidirectional(character) for character in text)
    first = next((direction for direction in directions if direction in ("L", "R", "AL")), "L")
    return Markup('<bdi dir="{}">{}</bdi>').format("ltr" if first == "L" else "rtl", text)


def plain(text: str, **values: str) -> str:
    """A text of the catalogue without any mark-up, for titles and labels. Values are isolated by characters (UAX 9, FSI and PDI)."""
    return _PLACE.sub(lambda place: f"\u2068{values[place[1]]}\u2069", text.replace("**", ""))


def _password(person: Recipient, office: Office, texts: Texts, use: Literal["have", "type"] = "type") -> str:
    password: str = texts["password"]["several" if len(person["accounts"]) > 1 else "one"][use][office["two_factor"]]
    return password


def _before(person: Recipient) -> str:
    """Which text stands before all parts."""
    if _devices_of(person):
        return "before"
    return "before_programs" if any(computer["platform"] == "windows" for computer in person["computers"]) else "before_settings"


def _devices_of(person: Recipient) -> list[Device]:
    return [device for device in DEVICES if (_macs(person) if device == "mac" else device in person["phones"])]


def _macs(person: Recipient) -> list[Computer]:
    return [computer for computer in person["computers"] if computer["platform"] == "macos"]


def _card(device: str, texts: Texts, steps: Sequence[Step], **more: Any) -> dict[str, Any]:
    """What the template shows of a device. Without steps nothing was made for it, and the page says so."""
    heading = texts[device]["heading"] if device in texts else ""
    usual: dict[str, Any] = {"id": device, "heading": heading, "codes": [], "caption": "", "link": None, "lead": ""}
    note = more.pop("note", "") or ("" if steps else say(texts["page"]["by_hand"]))
    return {**usual, "steps": steps, "note": note, **more}


def _computers(person: Recipient, office: Office, texts: Texts) -> Iterator[dict[str, Any]]:
    """The computers that are no Macs: those that are set up, those that are not yet, and on Windows each program once."""
    words, windows = texts["computer"], texts["windows"]
    by_hand: list[str] = []
    for number, computer in enumerate(person["computers"], start=1):
        if computer["platform"] == "windows":
            by_hand += [guide for program in computer["programs"] for guide in GUIDES.get(program, ())]
        elif computer["platform"] == "linux":
            others = [program for program in computer["programs"] if program != "thunderbird"]
            steps = [_step(words["others"], programs=", ".join(others))] if others else []
            if "thunderbird" in computer["programs"]:
                steps = [_step(words["thunderbird"]), _step(words["password"], password=_password(person, office, texts)), *steps]
            heading = say(words["heading"], machine=computer["machine"])
            more = {} if steps else {"note": say(words["waits"])}
            yield _card(f"computer-{number}", texts, steps, heading=heading, **more)
    protocol = " / ".join(dict.fromkeys(texts["protocol"][account["incoming"]["protocol"]] for account in person["accounts"]))
    given = {
        "address": person["accounts"][0]["address"] if len(person["accounts"]) == 1 else texts["manual"]["address_itself"],
        "protocol": protocol,
        "password": _password(person, office, texts),
    }
    for guide in dict.fromkeys(by_hand):
        told = windows[guide]
        steps = [_step(step, **given) for step in told["steps"]]
        note = say(windows["several"]) if len(person["accounts"]) > 1 else ""
        yield _card(guide, texts, steps, heading=told["heading"], lead=say(told["which"]), note=note)


def _ios(person: Recipient, office: Office, texts: Texts) -> dict[str, Any]:
    words, url, code, file = texts["ios"], person["profile_url"], person["qr"]["ios"], person["files"].get("ios")
    install = [
        _step(words["open"], words["open_else"]),
        _step(words["install"], words["signed" if office["signed"] else "unsigned"]),
        _step(words["finish"], password=_password(person, office, texts)),
    ]
    if url and code:
        codes = [{"src": _svg(code), "label": plain(words["qr_label"]), "address": ""}]
        link = {"url": url, "text": words["link"]}
        steps = [_step(words["by_link"], words["by_link_else"]), *install]
        return _card("ios", texts, steps, codes=codes, caption=say(words["qr_caption"]), link=link)
    return _card("ios", texts, [_step(words["by_file"], words["by_file_else"], file=file), *install] if file else [])


def _android(person: Recipient, office: Office, texts: Texts) -> dict[str, Any]:
    words, file = texts["android"], person["files"].get("k9s")
    several = len(person["qr"]["android"]) > 1
    codes = [
        {
            "src": _svg(code["svg"]),
            "label": plain(words["qr_label"], address=code["address"]),
            "address": code["address"] if several else "",
        }
        for code in person["qr"]["android"]
    ]
    if codes:
        middle = [_step(words["scan"], words["scan_older"], words["scan_in_use"]), _step(words["many" if several else "one"])]
    else:
        middle = [_step(words["pick"], words["pick_in_use"], file=file)] if file else []
    steps = (
        [_step(words["get"]), *middle, _step(words["finish"], words["once"], password=_password(person, office, texts))] if middle else []
    )
    note = say(words["by_file"], file=file) if codes and file else ""
    return _card("android", texts, steps, codes=codes, caption=say(words["qr_caption"]), note=note)


def _mac(person: Recipient, office: Office, texts: Texts) -> dict[str, Any]:
    """Of several Macs the one that is least far counts."""
    words, file, password = texts["mac"], person["files"].get("macos"), _password(person, office, texts)
    standings = [computer["standing"] for computer in _macs(person)]
    if all(standing == "ready" for standing in standings):
        return _card("mac", texts, [_step(words["done"], password=password)])
    if not file:
        return _card("mac", texts, [])
    steps = [
        _step(words["get" if all(standings) else "get_sent"], file=file),
        _step(words["open"], words["open_older"]),
        _step(words["install"], words["signed" if office["signed"] else "unsigned"]),
        _step(words["finish"], password=password),
    ]
    return _card("mac", texts, steps)


def _step(text: str, *hints: str, **values: str | None) -> Step:
    given = {name: value or "" for name, value in values.items()}
    return Step(say(text, **given), [say(hint, **given) for hint in hints])


_DEVICES = {"ios": _ios, "android": _android, "mac": _mac}


def _tables(person: Recipient, office: Office, texts: Texts) -> list[dict[str, Any]]:
    """One pair of tables for all mailboxes with the same servers."""
    accounts, password = person["accounts"], _password(person, office, texts)
    groups: dict[tuple[tuple[Any, ...], ...], list[Account]] = {}
    for account in accounts:
        both = (account["incoming"], account["outgoing"])
        key = tuple((server["protocol"], server["host"], server["port"], server["security"]) for server in both)
        groups.setdefault(key, []).append(account)
    return [
        {
            "addresses": [account["address"] for account in group],
            "servers": [
                _table(group[0]["incoming"], len(group) == 1, password, texts["manual"]["incoming"], texts),
                _table(group[0]["outgoing"], len(group) == 1, texts["manual"]["same_password"], texts["manual"]["outgoing"], texts),
            ],
        }
        for group in groups.values()
    ]


def _table(server: Incoming | Outgoing, one: bool, password: str, caption: str, texts: Texts) -> dict[str, Any]:
    words = texts["manual"]
    rows = [
        (words["server"], server["host"], True),
        (words["port"], str(server["port"]), True),
        (words["security"], texts["security"][server["security"]], True),
        (words["user"], server["username"] if one else words["address_itself"], one),
        (words["password"], password, False),
    ]
    return {
        "caption": say(caption, protocol=texts["protocol"][server["protocol"]]),
        "rows": [{"name": name, "value": value, "literal": literal} for name, value, literal in rows],
    }


def _apps(person: Recipient, texts: Texts) -> list[dict[str, Any]]:
    """The apps whose manual set-up is told: those of the person's devices."""
    accounts, phones = person["accounts"], person["phones"]
    protocols = dict.fromkeys(account["incoming"]["protocol"] for account in accounts)
    securities = dict.fromkeys(account[way]["security"] for way in WAYS for account in accounts)
    shown = {
        "ios": "ios" in phones,
        "gmail": "android" in phones,
        "samsung": "android" in phones,
        "outlook": bool(phones) and "imap" in protocols,
        "mac": any(computer["standing"] != "ready" for computer in _macs(person)),
    }
    apps = [texts["apps"][name] for name in shown if shown[name]]
    protocol = " / ".join(texts["protocol"][name] for name in protocols)
    return [
        {
            "name": app["name"],
            "start": say(app["start"], protocol=protocol),
            "words": _security_words(app, securities, texts),
        }
        for app in apps
    ]


def _security_words(app: Mapping[str, str], securities: Iterable[str], texts: Texts) -> Markup:
    """What the app calls the words of the tables, where it does not call them the same."""
    words, own = texts["manual"], {texts["security"][one]: app[one] for one in securities}
    if len(own) > 1 and len(set(own.values())) == 1:
        return say(words["one_word"], word=next(iter(own.values())))
    other = [(usual, word) for usual, word in own.items() if word.casefold() != usual.casefold()]
    return Markup(" · ").join(say(words["word"], security=usual, word=word) for usual, word in other)


def _svg(svg: str) -> str:
    # As an image it can neither run nor fetch anything, nor break out into the page. Without a viewBox it would keep its size.
    if "viewBox=" not in svg:
        raise ValueError("the SVG of a QR code has no viewBox")
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode("ascii")


def _on(colour: str) -> str:
    """Black or white, whichever stands out more from the colour. One of them always has a contrast above 4.5 (WCAG 2.2, 1.4.3)."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#ffffff" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "#000000"


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {"say": say, "plain": plain, "isolated": isolated}
    environment.filters["url"] = functools.partial(quote, safe="/.-_~@+")
    return environment


def _render(template: str, office: Office, texts: Texts, **variables: Any) -> str:
    accent = (office.get("accent") or ACCENT).lower()
    variables |= {
        "kind": template.partition(".")[0],
        "office": office,
        "t": texts,
        "accent": accent,
        "on_accent": _on(accent),
        "logo": office.get("logo"),
    }
    return _environment().get_template(template).render(variables)
