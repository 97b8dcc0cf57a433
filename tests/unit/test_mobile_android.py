"""Thunderbird for Android: what it makes of our settings file and QR codes, and an independent reader of the pictures."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from ansible_collections.msp.charter_mail.plugins.plugin_utils.formats.android import k9s, qr_text
from ansible_collections.msp.charter_mail.plugins.plugin_utils.formats.qr import pictures
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.mobile_samples import NAMES, account
from tests.unit.thunderbird_android import Refused, import_file, scan

JANE, INFO, POP = account(), account("info@example.org"), account("pop@example.org", protocol="pop", smtp_port="465")
ODD = account("o'b+tag/x{y}|z@sub.example.org")
NAME = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=200)

USER, ALIAS = '["user@domain.example","Firstname Lastname"]', '["alias@domain.example","Nickname Lastname"]'
SECOND = (
    ',[0,"imap.company.example",143,2,1,"user@company.example","","company-password"],'
    '[[[0,"smtp.company.example",465,3,1,"user@company.example","company-password"],["user@company.example","Firstname Lastname"]]]'
)


def payload(incoming: str = "", outgoing: str = "", identities: str = USER, sequence: str = "[1,1]", rest: str = "") -> str:
    """The payload of the published tests, with more fields at the ends of its arrays."""
    first = f'[0,"imap.domain.example",993,3,2,"username"{incoming}],[[[0,"smtp.domain.example",587,2,1,"username"{outgoing}]'
    return f"[1,{sequence},{first},{identities}]]{rest}]"


# The published test vectors of the format, as facts: payloads that the reader's own tests take, with fields that a newer
# version may bring, and those that it refuses.
READ = {
    "no name, no passwords": payload(),
    "account name": payload(',"Personal"'),
    "passwords": payload(',"","p"', ',"q"'),
    "name and passwords": payload(',"Personal","p"', ',"q"'),
    "two identities": payload(identities=f"{USER},{ALIAS}"),
    "two accounts": payload(identities=f"{USER},{ALIAS}", sequence="[2,3]", rest=SECOND),
}
EXTRA = {
    "in the incoming server": payload(',"","p","extra"'),
    "in the outgoing server": payload("", ',"q","extra"'),
    "in an identity": payload(identities=USER.replace("]", ',"extra"]')),
    "in the sequence": payload(sequence='[1,1,"extra"]'),
}
GOOD = READ["name and passwords"]
REFUSED = {
    "a link": "https://domain.example/path",
    "cut off": "[1,[",
    "version": GOOD.replace("[1,[1,1]", "[2,[1,1]"),
    "no accounts": "[1,[1,1]]",
    "no outgoing servers": payload().partition(",[[[")[0] + ",[]]",
    "no identities": payload(identities="").replace(",]", "]"),
    "account name of two lines": GOOD.replace("Personal", "contains\\nline break"),
    "incoming protocol": GOOD.replace('[0,"imap', '[2,"imap'),
    "incoming host": GOOD.replace("imap.domain.example", "invalid hostname"),
    "incoming port": GOOD.replace("993", "100000"),
    "incoming security": GOOD.replace("993,3", "993,100"),
    "incoming authentication": GOOD.replace("993,3,2", "993,3,100"),
    "incoming GSSAPI": GOOD.replace("993,3,2", "993,3,3"),
    "incoming NTLM": GOOD.replace("993,3,2", "993,3,4"),
    "incoming user name": GOOD.replace("username", "contains\\nline break", 1),
    "incoming password": GOOD.replace('"p"', '"contains\\nline break"'),
    "outgoing protocol": GOOD.replace('[0,"smtp', '[1,"smtp'),
    "outgoing host": GOOD.replace("smtp.domain.example", "invalid hostname"),
    "outgoing port": GOOD.replace("587", "100000"),
    "outgoing security": GOOD.replace("587,2", "587,100"),
    "outgoing authentication": GOOD.replace("587,2,1", "587,2,100"),
    "outgoing GSSAPI": GOOD.replace("587,2,1", "587,2,3"),
    "outgoing NTLM": GOOD.replace("587,2,1", "587,2,4"),
    "outgoing user name": 'contains\\nline break","q"'.join(GOOD.rsplit('username","q"', 1)),
    "outgoing password": GOOD.replace('"q"', '"contains\\nline break"'),
    "address": GOOD.replace("user@domain.example", "invalid"),
    "display name": GOOD.replace("Firstname Lastname", "contains\\nline break"),
    "null": GOOD.replace('"Personal"', "null"),
}


@pytest.mark.parametrize("text", READ.values(), ids=READ)
def test_the_judge_takes_what_the_app_takes(text: str) -> None:
    first = scan(text)[0]
    assert first["name"] == ("Personal" if "Personal" in text else "user@domain.example")
    assert first["identities"][0] == {"name": "Firstname Lastname", "email": "user@domain.example"}
    assert (first["incoming"]["security"], first["outgoing"]["security"]) == ("tls", "starttls")


@pytest.mark.parametrize("text", EXTRA.values(), ids=EXTRA)
def test_the_judge_lets_nobody_write_what_only_readers_may_meet(text: str) -> None:
    assert scan(text, ours=False)
    with pytest.raises(Refused):
        scan(text)


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_the_judge_refuses_what_the_app_refuses(text: str) -> None:
    assert text != GOOD
    with pytest.raises(Refused):
        scan(text, ours=False)


@pytest.mark.parametrize("word", ['"993"', "993.0", "true"])
def test_the_judge_wants_numbers(word: str) -> None:
    with pytest.raises(Refused):
        scan(GOOD.replace("993", word))


def test_the_payload() -> None:
    assert qr_text(JANE) == (
        '[1,[1,1],[0,"imap.charter.net",993,3,1,"jane@example.org"],'
        '[[[0,"smtp.charter.net",587,2,1,"jane@example.org"],["jane@example.org","Jane Doe"]]]]'
    )
    assert qr_text(POP).startswith('[1,[1,1],[1,"pop.charter.net",995,3,1,"pop@example.org"],[[[0,"smtp.charter.net",465,3,1,')
    # Not as escapes, which would make large codes of some people's names.
    assert NAMES["non-latin"] in qr_text(account("jane@example.org", NAMES["non-latin"]))


def wanted(each: Any) -> dict[str, Any]:
    """What an app should know of an account afterwards."""
    return {
        "name": each["address"],
        "incoming": each["incoming"],
        "outgoing": each["outgoing"],
        "identities": [{"name": each["full_name"], "email": each["address"]}],
        "password": False,
    }


def without(found: dict[str, Any], authentication: str) -> dict[str, Any]:
    """`found` without what every account of ours has alike."""
    assert found["incoming"].pop("authentication") == found["outgoing"].pop("authentication") == authentication
    return {key: value for key, value in found.items() if key not in ("uuid", "settings")}


@pytest.mark.parametrize("each", [JANE, INFO, POP, ODD], ids=lambda each: each["address"])
def test_a_code_makes_the_account(each: Any) -> None:
    (found,) = scan(qr_text(each))
    assert without(found, "password") == wanted(each)


def test_a_file_makes_all_accounts_of_a_person() -> None:
    data = k9s([JANE, INFO, POP, ODD])
    found = import_file(data)
    assert [one["uuid"] for one in found] == [each["id"] for each in (JANE, INFO, POP, ODD)]
    assert [one["settings"] for one in found] == [{"deletePolicy": word} for word in ("DELETE", "DELETE", "NEVER", "DELETE")]
    assert [without(one, "PLAIN") for one in found] == [wanted(each) for each in (JANE, INFO, POP, ODD)]
    assert data == k9s([JANE, INFO, POP, ODD])
    assert data.startswith(b"<?xml version='1.0' encoding='utf-8'?>\n")


def test_the_file_is_the_one_that_the_app_writes_from_a_code() -> None:
    """Elements of the app's own golden file (its XmlSettingWriterTest), but for the passwords."""
    root = ElementTree.fromstring(k9s([JANE]))
    assert root.attrib == {"version": "99", "format": "1"}
    server = ["host", "port", "connection-security", "authentication-type", "username"]
    assert [child.tag for child in root.iter()] == (
        ["k9settings", "accounts", "account", "name", "settings", "value", "incoming-server", *server, "outgoing-server", *server]
        + ["identities", "identity", "name", "email"]
    )
    assert [root.find(f".//{tag}/connection-security").text for tag in ("incoming-server", "outgoing-server")] == [  # type: ignore[union-attr]
        "SSL_TLS_REQUIRED",
        "STARTTLS_REQUIRED",
    ]


@given(NAME)
def test_any_name_comes_back(name: str) -> None:
    each: Any = {**JANE, "full_name": name}
    assert scan(qr_text(each))[0]["identities"][0]["name"] == name
    assert import_file(k9s([each]))[0]["identities"][0]["name"] == name


def zbar(picture: bytes, folder: Path) -> str:
    """What an independent reader, which is not told the encoding, reads in a PNG."""
    tool = shutil.which("zbarimg")
    if tool is None:
        pytest.skip("zbarimg is not installed (package zbar-tools): no code was read back")
    path = folder / "code.png"
    path.write_bytes(picture)
    done = subprocess.run([tool, "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", path], capture_output=True, check=True)
    return done.stdout.decode().removesuffix("\n")


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_an_independent_reader_reads_the_code(name: str, tmp_path: Path) -> None:
    text = qr_text(account("jane@example.org", name))
    assert zbar(pictures(text).png, tmp_path) == text


@settings(max_examples=15)
@given(name=NAME)
def test_an_independent_reader_reads_any_name(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    each: Any = {**JANE, "full_name": name}
    assert zbar(pictures(qr_text(each)).png, tmp_path_factory.mktemp("code")) == qr_text(each)


def test_pictures_are_the_same_again_and_each_other() -> None:
    text = qr_text(account("jane@example.org", NAMES["non-latin"]))
    svg, png = pictures(text)
    assert (svg, png) == pictures(text)
    width, height = struct.unpack(">II", png[16:24])
    root = ElementTree.fromstring(svg)
    assert root.get("viewBox") == f"0 0 {width} {height}" and "width" not in root.attrib
    # Drawn as strokes: "M4 4.5h7m2 0h1..." along the modules, the quiet zone of 4 being the first offset.
    assert root.findall(".//*[@stroke='#000']")[0].get("d", "").startswith("M4 4.5h7m")
    assert root.findall(".//*[@fill='#fff']")


def test_a_short_text_is_no_micro_code_and_a_long_one_is_refused(tmp_path: Path) -> None:
    svg, png = pictures("1")
    assert struct.unpack(">II", png[16:24]) == ((21 + 8) * 6, (21 + 8) * 6)
    assert zbar(png, tmp_path) == "1"
    with pytest.raises(ValueError):
        pictures("x" * 3000)
