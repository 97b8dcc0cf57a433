"""What every machine of one awkward office gets, byte for byte, and parsed back.

`make golden` writes the expected files anew; read the difference before you commit it.
"""

from __future__ import annotations

import configparser
import json
import os
import shlex
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.playbook import play, tree

HERE = Path(__file__).resolve().parent
EXPECTED = HERE / "expected"
AWKWARD = 'O\'Brien, "Zoë" \\ 名前 100% $HOME `id` {{ 7 * 7 }} # ; </script>'


def preview(office: Path, folder: Path) -> None:
    """The office rendered below a folder, without the state file (its hashes say nothing that the files do not)."""
    run = play("playbooks/preview_mail.yml", "-i", office, "-e", f"mail_preview_dir={folder}", "--skip-tags", "mobile")
    assert run.code == 0, run.out
    for state in [*folder.rglob("charter-mail/state.json")]:
        state.unlink()


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The office rendered once."""
    folder = tmp_path_factory.mktemp("golden")
    preview(HERE / "office", folder)
    if os.environ.get("GOLDEN_UPDATE") == "1":
        shutil.rmtree(EXPECTED, ignore_errors=True)
        shutil.copytree(folder, EXPECTED)
    return folder


def one(folder: Path, machine: str, pattern: str) -> Path:
    (path,) = (folder / machine).glob(pattern)
    return path


def test_every_file_is_as_it_was(rendered: Path) -> None:
    found, expected = tree(rendered), tree(EXPECTED)
    assert sorted(found) == sorted(expected)
    for name, content in expected.items():
        assert found[name].decode() == content.decode(), name


def test_a_sheet_that_is_sorted_the_other_way_gives_the_same(rendered: Path, tmp_path: Path) -> None:
    shutil.copytree(HERE / "office", tmp_path / "office")
    header, *rows = (tmp_path / "office/staff.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "office/staff.csv").write_text("\n".join([header, *reversed(rows)]), encoding="utf-8")
    preview(tmp_path / "office", tmp_path / "out")
    assert tree(tmp_path / "out") == tree(rendered)


def test_text_files_carry_the_header_and_no_date(rendered: Path) -> None:
    # Files that are the person's as well: one is written once, in the other only our keys are kept up.
    shared = {".neomuttrc": b"Written once by charter-mail", "accounts.conf": b"[", "accountrc": b"["}
    for name, content in tree(rendered).items():
        head = b"\n".join(content.splitlines()[:2])
        ours = b"[Data Source]" if name.endswith(".source") else b"Managed by charter-mail"
        assert shared.get(Path(name).name, ours) in head, name
        assert b"20" + b"26" not in content, name
        assert b"\r" not in content and content.endswith(b"\n"), name


def people(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="ascii")
    return json.loads(text.partition("PEOPLE = ")[2].partition(";\n  var ")[0])


def test_thunderbird_s_people_are_json(rendered: Path) -> None:
    by_login = {person["login"]: person["accounts"] for person in people(one(rendered, "desk", "**/*.cfg"))}
    assert sorted(by_login) == ["brien", "jane"]
    assert [account["enforced"]["identity"]["useremail"] for account in by_login["jane"]] == ["jane.doe@example.org", "info@example.com"]
    (brien,) = by_login["brien"]
    assert brien["seeded"]["identity"]["fullName"] == AWKWARD
    assert brien["enforced"]["server"]["leave_on_server"] is True
    (zoe,) = {person["login"]: person["accounts"] for person in people(one(rendered, "turned", "**/*.cfg"))}["zoe"]
    assert {key: zoe["enforced"]["smtp"][key] for key in ("hostname", "port", "try_ssl")} == {
        "hostname": "mobile.charter.net",
        "port": 587,
        "try_ssl": 3,
    }


def test_every_platform_gets_the_same_thunderbird(rendered: Path) -> None:
    """Jane's account has the same ids wherever she sits."""
    accounts = {
        machine: next(person for person in people(one(rendered, machine, "**/*.cfg")) if person["login"] == "jane")["accounts"][0]
        for machine in ("desk", "win", "mac")
    }
    assert accounts["desk"] == accounts["win"] == accounts["mac"]


def test_isp_files_are_what_the_wizard_reads(rendered: Path) -> None:
    root = ElementTree.parse(one(rendered, "desk", "**/isp/example.org.xml")).getroot()
    provider = root.find("emailProvider")
    assert provider is not None
    servers = [
        (
            server.get("type"),
            server.findtext("hostname"),
            server.findtext("port"),
            server.findtext("socketType"),
            server.findtext("username"),
        )
        for tag in ("incomingServer", "outgoingServer")
        for server in provider.findall(tag)
    ]
    assert servers == [
        ("imap", "imap.charter.net", "993", "SSL", "%EMAILADDRESS%"),
        ("pop3", "pop.charter.net", "995", "SSL", "%EMAILADDRESS%"),
        ("smtp", "smtp.charter.net", "587", "STARTTLS", "%EMAILADDRESS%"),
        ("smtp", "smtp.charter.net", "465", "SSL", "%EMAILADDRESS%"),
    ]
    assert root.findtext("emailProvider/domain") == "example.org"
    assert one(rendered, "desk", "**/isp/example.com.xml")


def test_aerc_is_an_ini_file(rendered: Path) -> None:
    parser = configparser.RawConfigParser(strict=True, delimiters=("=",), comment_prefixes=("#", ";"))
    parser.read(one(rendered, "desk", "home/jane/**/accounts.conf"), encoding="utf-8")
    assert parser.sections() == ["jane.doe@example.org", "info@example.com"]
    assert parser["jane.doe@example.org"]["source"].startswith("imaps://jane.doe%40example.org@imap.charter.net:993")
    assert parser["info@example.com"]["outgoing"].startswith("smtps://")


def test_msmtp_has_one_command_a_line(rendered: Path) -> None:
    lines = one(rendered, "desk", "home/jane/**/*msmtp*").read_text(encoding="utf-8").splitlines()
    commands = [line.split(None, 1) for line in lines if line and not line.startswith("#")]
    accounts = [words[1] for words in commands if words[0] == "account"]
    assert len(accounts) == 3
    assert accounts[2].startswith("default : ")
    assert ["tls", "on"] in commands and ["auth", "on"] in commands
    assert {words[1] for words in commands if words[0] == "tls_starttls"} == {"on", "off"}
    assert not [words for words in commands if words[0] == "password"]


def test_mbsync_s_blocks_are_whole(rendered: Path) -> None:
    text = one(rendered, "desk", "home/jane/**/*[mi]*syncrc").read_text(encoding="utf-8")
    blocks = [
        dict(shlex.split(line, posix=False)[:2] for line in block.splitlines() if line and line[0] != "#") for block in text.split("\n\n")
    ]
    assert len([block for block in blocks if "IMAPAccount" in block]) == 2
    assert all(block["Host"].strip('"') == "imap.charter.net" for block in blocks if "IMAPAccount" in block)
    assert not list((rendered / "desk/home/brien").rglob("*syncrc")), "mbsync speaks no POP"


def keyfile(path: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=True, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str
    parser.read(path, encoding="utf-8")
    return parser


def test_evolution_s_sources_lead_to_each_other(rendered: Path) -> None:
    folder = rendered / "desk/home/brien/.config/evolution/sources"
    sources = {path.stem: keyfile(path) for path in folder.iterdir()}
    (uid,) = [name for name, source in sources.items() if source.has_section("Mail Account")]
    account = sources.pop(uid)
    identity = sources.pop(account["Mail Account"]["IdentityUid"])
    transport = sources.pop(identity["Mail Submission"]["TransportUid"])
    assert not sources and {source["Data Source"].get("Parent", uid) for source in (account, identity, transport)} == {uid}
    assert identity["Mail Identity"]["Name"].replace("\\\\", "\\") == AWKWARD
    assert (account["Mail Account"]["BackendName"], transport["Mail Transport"]["BackendName"]) == ("pop", "smtp")
    for source, server in ((account, ("pop.charter.net", "995")), (transport, ("smtp.charter.net", "465"))):
        assert (source["Authentication"]["Host"], source["Authentication"]["Port"]) == server
        assert source["Authentication"]["User"] == identity["Mail Identity"]["Address"] == "o'brien@example.org"
        assert source["Security"]["Method"] == "ssl-on-alternate-port"


def test_claws_mail_keeps_the_number_of_an_account(rendered: Path) -> None:
    accounts = keyfile(rendered / "desk/home/jane/.claws-mail/accountrc")
    numbers = {accounts[name]["address"]: name for name in accounts.sections()}
    assert sorted(numbers) == ["info@example.com", "jane.doe@example.org"]
    assert all(int(name.removeprefix("Account: ")) > 999 for name in numbers.values()), "people's own are counted from 1"
    alone = keyfile(rendered / "desk/home/brien/.claws-mail/accountrc")
    (name,) = alone.sections()
    assert (alone[name]["name"], alone[name]["remove_mail"], alone[name]["protocol"]) == (AWKWARD, "0", "0")
    assert ElementTree.parse(rendered / "desk/home/brien/.claws-mail/folderlist.xml").getroot().tag == "folderlist"


def test_nothing_of_who_left(rendered: Path) -> None:
    assert not [name for name, content in tree(rendered).items() if b"gone@example.org" in content or "/gone/" in name]
