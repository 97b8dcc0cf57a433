"""What an office's people get, opened with programs that are not ours, and tried on the servers."""

from __future__ import annotations

import csv
import json
import os
import plistlib
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import fleet
import pytest
from office import Mailbox

sys.path.insert(0, str(fleet.PROJECT))

from tests.unit import thunderbird_android as app  # noqa: E402  the path is made above

STATE = fleet.SSH_CONFIG.parent
OUT = STATE / "out"


def devices() -> dict[str, set[str]]:
    """First address of everybody, in the words of the sheet -> the phones and the Mac that they have."""
    with (fleet.SCENARIO / "inventory/staff.csv").open(encoding="utf-8", newline="") as sheet:
        rows = [row for row in csv.DictReader(sheet) if row["state"] != "absent"]
    found: dict[tuple[str, str], tuple[str, set[str]]] = {}
    for row in rows:
        _, has = found.setdefault((row["full_name"], row["login"]), (row["address"], set()))
        has |= set(row["phones"].split()) | ({"macos"} if "mac" in row["machines"] else set())
    return dict(found.values())


def place(address: str, ending: str = "") -> Path:
    """A file of the person's: what file systems or shells stumble over in an address is written as in URLs."""
    name = quote(address, safe="@+")
    return OUT / name / (f"{name.rpartition('@')[0]}{ending}" if ending else "index.html")


SPOKEN = {"ios": "iphone", "macos": "mac"}


def profile(address: str, kind: str) -> Path:
    return place(address, f"-{SPOKEN[kind]}.mobileconfig")


def unsigned(address: str, kind: str) -> Path:
    """The twin for an MDM."""
    return OUT / "mdm" / f"{quote(address, safe='@+')}-{SPOKEN[kind]}.unsigned.mobileconfig"


DEVICES = devices()
PROFILES = [(address, kind) for address, has in DEVICES.items() for kind in sorted(has & {"ios", "macos"})]
ANDROIDS = [address for address, has in DEVICES.items() if "android" in has]


def boxes(address: str) -> list[Mailbox]:
    """The mailboxes of the person with this first address, each once."""
    first = next(box for box in fleet.MAILBOXES if box.address == address)
    mine = [box for box in fleet.MAILBOXES if (box.full_name, box.login) == (first.full_name, first.login)]
    return list({box.address: box for box in mine}.values())


def run(*command: str | Path) -> bytes:
    return subprocess.run(command, capture_output=True, check=True).stdout


def decode(picture: Path) -> str:
    """The text of a QR code, by an independent reader."""
    return run("zbarimg", "--quiet", "--raw", picture).decode().removesuffix("\n")


class Text(HTMLParser):
    """What a person reads on a page."""

    words = ""

    def handle_data(self, data: str) -> None:
        self.words += data


def text_of(page: Path) -> str:
    reader = Text()
    reader.feed(page.read_text(encoding="utf-8"))
    # Names are wrapped in marks of direction by the markup, never by characters.
    return " ".join(reader.words.split())


SIGN_IN = """
import imaplib, json, poplib, smtplib, sys
wanted = json.load(sys.stdin)
for kind, host, port, tls, user in wanted["servers"]:
    if kind == "imap":
        client = imaplib.IMAP4_SSL(host, port)
        client.login(user, wanted["password"])
    elif kind == "pop":
        client = poplib.POP3_SSL(host, port)
        client.user(user)
        client.pass_(wanted["password"])
    elif tls == "tls":
        client = smtplib.SMTP_SSL(host, port)
        client.login(user, wanted["password"])
    else:
        client = smtplib.SMTP(host, port)
        client.starttls()
        client.login(user, wanted["password"])
    print(kind, host, port)
"""


def sign_in(box: Mailbox, servers: list[tuple[str, str, int, str, str]]) -> None:
    """Sign in to the stand-in as a device with these servers would: (imap, pop or smtp; host; port; tls or starttls; user)."""
    assert [server[:4] for server in servers] == [(box.protocol, *box.incoming), ("smtp", *box.outgoing)]
    request = json.dumps({"servers": servers, "password": box.password})
    said = fleet.run_as("desk-12", boxes(box.address)[0].login, f"python3 -c '{SIGN_IN}'", request)
    assert said.split("\n")[:2] == [f"{kind} {host} {port}" for kind, host, port, *_ in servers]


def mail_of(plist: bytes) -> list[dict[str, Any]]:
    return [content for content in plistlib.loads(plist)["PayloadContent"] if content["PayloadType"] == "com.apple.mail.managed"]


@pytest.mark.parametrize(("address", "kind"), PROFILES)
def test_a_profile_is_what_openssl_finds_signed(address: str, kind: str) -> None:
    command = ["openssl", "cms", "-verify", "-inform", "DER", "-purpose", "any", "-CAfile", STATE / "root.pem"]
    assert run(*command, "-in", profile(address, kind)) == unsigned(address, kind).read_bytes()


@pytest.mark.parametrize(("address", "kind"), PROFILES)
def test_a_profile_opens_the_mailboxes(address: str, kind: str, tmp_path: Path) -> None:
    # A second parser, there and back.
    run("plistutil", "-i", unsigned(address, kind), "-f", "bin", "-o", tmp_path / "binary.plist")
    plist = (tmp_path / "binary.plist").read_bytes()
    assert [mail["EmailAddress"] for mail in mail_of(plist)] == [box.address for box in boxes(address)]
    for box, mail in zip(boxes(address), mail_of(plist), strict=True):
        assert (mail["EmailAccountName"], mail["IncomingMailServerUseSSL"], mail["OutgoingMailServerUseSSL"]) == (box.full_name, True, True)
        outgoing = mail["OutgoingMailServerPortNumber"]
        sign_in(
            box,
            [
                (
                    {"EmailTypeIMAP": "imap", "EmailTypePOP": "pop"}[mail["EmailAccountType"]],
                    mail["IncomingMailServerHostName"],
                    mail["IncomingMailServerPortNumber"],
                    "tls",
                    mail["IncomingMailServerUsername"],
                ),
                # The format has no word for it: on 587, devices take "SSL" for STARTTLS.
                (
                    "smtp",
                    mail["OutgoingMailServerHostName"],
                    outgoing,
                    "starttls" if outgoing == 587 else "tls",
                    mail["OutgoingMailServerUsername"],
                ),
            ],
        )


def test_profiles_are_as_apple_describes_them() -> None:
    judge = Path(os.environ.get("CHARTER_MAIL_ORACLES", fleet.PROJECT.parent / "shared/oracles")) / "check_mobileconfig.py"
    if not judge.exists():
        pytest.skip("Apple's schemas are not at hand (CHARTER_MAIL_ORACLES names their folder)")
    run(sys.executable, judge, *sorted(OUT.glob("mdm/*.unsigned.mobileconfig")))


@pytest.mark.parametrize("address", ANDROIDS)
def test_codes_and_settings_file_open_the_mailboxes(address: str) -> None:
    codes = [decode(place(address).with_name(f"{quote(box.address.rpartition('@')[0], safe='+')}-android.png")) for box in boxes(address)]
    scanned = [account for code in codes for account in app.scan(code)]
    read = app.import_file(place(address, "-android.k9s").read_bytes())
    for box, code, account in zip(boxes(address), scanned, read, strict=True):
        assert code["identities"] == account["identities"] == [{"name": box.full_name, "email": box.address}]
        assert not code["password"] and not account["password"]
        for found in (code, account):
            servers = [found["incoming"], found["outgoing"]]
            sign_in(box, [tuple(server[key] for key in ("protocol", "host", "port", "security", "username")) for server in servers])


@pytest.mark.parametrize("address", [address for address, kind in PROFILES if kind == "ios"])
def test_an_iphone_s_code_is_the_link_to_its_profile(address: str) -> None:
    link = urlsplit(decode(place(address, "-iphone.png")))
    assert (link.scheme, link.netloc) == ("https", "profiles.example.org")
    before, _, path = unquote(link.path).removeprefix("/office/").partition("/")
    assert before.startswith("2130019200-") and OUT / path == profile(address, "ios")


@pytest.mark.parametrize("address", DEVICES)
def test_the_page_names_the_person_and_the_helper_and_no_password(address: str) -> None:
    page = text_of(place(address))
    for word in [box.full_name for box in boxes(address)] + [box.address for box in boxes(address)] + ["+1 555 0100"]:
        assert " ".join(word.split()) in page
    passwords = [box.password.encode() for box in fleet.MAILBOXES]
    assert not [path for path in place(address).parent.iterdir() for word in passwords if word in path.read_bytes()]


def test_everybody_has_a_page_and_nobody_else() -> None:
    assert {path.name for path in OUT.iterdir() if path.is_dir()} == {"mdm", *(place(address).parent.name for address in DEVICES)}


@pytest.mark.parametrize("address", DEVICES)
def test_a_computer_is_called_set_up_where_the_run_did_it(address: str) -> None:
    page = text_of(place(address))
    assert "Computer desk-12" in page and "Thunderbird is set up already" in page
    # No Mac has the profile yet, but its file is there.
    assert ("is in your home folder" in page) == ("macos" in DEVICES[address])
