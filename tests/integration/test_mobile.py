"""mobile_profiles.yml as a technician runs it: files on disk, second runs, people who leave, and bad input."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import plistlib
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.msp.charter_mail.plugins.plugin_utils.formats import pdf

from tests.playbook import Run, play, tree
from tests.unit.mobile_samples import DAY, NAMES, Chain, chain

NOW = datetime.datetime.now(datetime.UTC)
SHEET = "address,full_name,machines,login,protocol,smtp_port,phones,state\n"
SETTINGS = {
    "mail_office": "Example & Office",
    "mail_domains": ["example.org"],
    "mobile_contact": {"name": "IT", "phone": "+1 555 0100"},
    "mobile_paper": "none",
}
# Nobody answers there: a run that tried to reach a machine would fail.
HOSTS = "linux:\n  hosts: {desk: {ansible_host: 192.0.2.1}}\nmacos:\n  hosts: {mac: {ansible_host: 192.0.2.2}}\n"


class Office:
    """An office below `folder` and what is written for it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out = folder / "acme", folder / "build/mobile/acme"
        (self.folder / "group_vars").mkdir(parents=True)
        (self.folder / "hosts.yml").write_text(HOSTS)
        self.settings: dict[str, Any] = dict(SETTINGS)

    def write(self, *rows: str, **settings: Any) -> Office:
        self.settings |= settings
        (self.folder / "staff.csv").write_text(SHEET + "".join(f"{row}\n" for row in rows), encoding="utf-8")
        (self.folder / "group_vars/all.yml").write_text(yaml.safe_dump(self.settings, allow_unicode=True), encoding="utf-8")
        return self

    def sign_with(self, made: Chain, certificate: bytes | None = None, key: bytes | None = None) -> None:
        (self.folder / "signer.pem").write_bytes(certificate or made.full)
        (self.folder / "signer.key").write_bytes(key or made.leaf.key_pem())
        self.settings |= {"mobile_signer_certificate": "signer.pem", "mobile_signer_key": "signer.key"}

    def run(self, *arguments: str, **env: str) -> Run:
        return play("playbooks/mobile_profiles.yml", "-i", self.folder, *arguments, cwd=self.folder.parent, env=env)

    def good(self, *arguments: str, changed: bool = True, **env: str) -> Run:
        run = self.run(*arguments, **env)
        assert run.code == 0 and f"changed={int(changed)}" in run.out, run.out
        return run

    def bad(self, *arguments: str) -> list[str]:
        """The lines of problems of a run that stops."""
        run = self.run(*arguments)
        assert run.code == 2, run.out
        lines = run.out.splitlines()
        first = next(number for number, line in enumerate(lines) if "with this office:" in line)
        return lines[first + 1 : lines.index("", first)]

    def read(self, name: str) -> bytes:
        return (self.out / name).read_bytes()


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def current(**times: Any) -> Chain:
    return chain(**{"start": NOW - DAY, "end": NOW + 365 * DAY, **times})


JANE, ZOE = "jane@example.org,Jane Hall,,,,,ios,", "zoe@example.org,Zoë Maier,,,pop,465,android,"


def names(office: Office) -> list[str]:
    return sorted(name for name in tree(office.out) if not name.startswith("."))


def test_a_whole_office(office: Office, tmp_path: Path) -> None:
    made = current()
    office.sign_with(made)
    awkward = [f'{kind}@example.org,"{name.replace(chr(34), chr(34) * 2)}",,,,,ios android,' for kind, name in NAMES.items()]
    rows = [
        JANE,
        ZOE,
        "mia@example.org,Mia,desk mac,mia,,,,",
        "info@example.org,Mia,desk,mia,,,,",
        "bob@example.org,Bob,desk,bob,,,,",
        *awkward,
    ]
    office.write(*rows, mail_profile_url="https://mail.example.org/{address}/{file}")
    run = office.good()
    assert f"Hand-outs: {4 + len(NAMES)} created. build/mobile/acme" in run.out
    ios = [f"-iphone.{ending}" for ending in ("mobileconfig", "png", "svg")]
    android = ["-android.png", "-android.svg", "-android.k9s"]
    expected = {"jane": ios, "zoe": android, "mia": ["-mac.mobileconfig"], "bob": []}
    expected |= {kind: [*ios, *android] for kind in NAMES}
    files = [f"{who}@example.org/{who}{ending}" for who, endings in expected.items() for ending in endings]
    twins = [f"mdm/{who}@example.org-iphone.unsigned.mobileconfig" for who, endings in expected.items() if ios[0] in endings]
    twins.append("mdm/mia@example.org-mac.unsigned.mobileconfig")
    assert names(office) == sorted([*files, *twins, *(f"{who}@example.org/index.html" for who in expected)])
    mac = plistlib.loads(office.read("mdm/mia@example.org-mac.unsigned.mobileconfig"))
    assert [mail["EmailAddress"] for mail in mac["PayloadContent"]] == ["mia@example.org", "info@example.org"]
    assert mac["PayloadOrganization"] == "Example & Office"
    (tmp_path / "root.pem").write_bytes(made.root.pem)
    for kind, name in NAMES.items():
        signed = office.out / f"{kind}@example.org/{kind}-iphone.mobileconfig"
        command = ["openssl", "cms", "-verify", "-inform", "DER", "-purpose", "any", "-CAfile", tmp_path / "root.pem", "-in"]
        out = subprocess.run([*command, signed], capture_output=True, check=True).stdout
        assert out == office.read(f"mdm/{kind}@example.org-iphone.unsigned.mobileconfig")
        assert plistlib.loads(out)["PayloadContent"][0]["EmailAccountName"] == name

    # Nothing is written again, not even a signature, whoever the run is for.
    before = {path: path.stat() for path in office.out.rglob("*")}
    for arguments in ([], ["--limit", "desk"], ["--check"]):
        assert "unchanged. " in office.good(*arguments, changed=False).out
    assert {path: path.stat() for path in office.out.rglob("*")} == before

    # Without the memory of the last run, signatures are still known to be good.
    content = tree(office.out)
    (office.out / ".charter-mail.json").unlink()
    office.good(changed=False)
    assert tree(office.out) == content


def test_links_that_cannot_be_guessed(office: Office) -> None:
    url, page = "https://mail.example.org/{token}/{address}/{file}", "jane@example.org/index.html"
    office.write(JANE, ZOE, mail_profile_url=url, mobile_link_secret="short", mobile_link_until="soon")
    assert [line.partition(": ")[2].partition(":")[0] for line in office.bad()] == ["mobile_link_secret", "mobile_link_until"]
    secret, other = "s" * 40, "o" * 40
    day = (NOW + 10 * DAY).date().isoformat()
    run = office.write(JANE, ZOE, mobile_link_secret=secret, mobile_link_until=day).good("--diff", "-vvv")
    assert f"the links to profiles end on {day}" in " ".join(run.out.split()) and secret not in run.out
    # A link is as good as a key, and a code is a link.
    assert "<svg" not in run.out and not re.search(r"\d-[A-Za-z0-9_-]{22}/", run.out)
    before = tree(office.out)
    office.good(changed=False)
    assert "1 updated, 1 unchanged" in office.write(JANE, ZOE, mobile_link_secret=other).good().out
    assert office.read(page) != before[page]
    assert not [path for path in office.out.rglob("*") for word in (secret, other) if path.is_file() and word.encode() in path.read_bytes()]


def test_only_what_changes_is_written(office: Office) -> None:
    office.sign_with(current())
    office.write(JANE, ZOE).good()
    before = tree(office.out)
    office.write(JANE.replace("Jane Hall", "Jane Roe"), ZOE)
    run = office.good("--check", "--diff")
    assert tree(office.out) == before
    assert "-\t\t\t<string>Jane Hall</string>" in run.out and "+\t\t\t<string>Jane Roe</string>" in run.out and "SHA-256" in run.out
    office.good()
    after = tree(office.out)
    assert {name for name in after if after[name] != before.get(name)} == {
        ".charter-mail.json",
        "jane@example.org/index.html",
        "jane@example.org/jane-iphone.mobileconfig",
        "mdm/jane@example.org-iphone.unsigned.mobileconfig",
    }
    # Another certificate: signatures alone.
    office.sign_with(current())
    office.write(JANE.replace("Jane Hall", "Jane Roe"), ZOE).good()
    final = tree(office.out)
    assert {name for name in final if final[name] != after[name]} == {
        ".charter-mail.json",
        "jane@example.org/jane-iphone.mobileconfig",
    }


def test_what_was_changed_or_deleted_by_hand_is_put_back(office: Office) -> None:
    office.sign_with(current())
    office.write(JANE, ZOE).good()
    before = tree(office.out)
    signed = office.out / "jane@example.org/jane-iphone.mobileconfig"
    signed.write_bytes(signed.read_bytes().replace(b"imap.charter.net", b"imap.evil.exampl"))
    (office.out / "zoe@example.org/zoe-android.k9s").unlink()
    office.good()
    after = tree(office.out)
    signature = "jane@example.org/jane-iphone.mobileconfig"
    assert {name for name in after if after[name] != before[name]} == {".charter-mail.json", signature}
    assert b"imap.evil.exampl" not in signed.read_bytes()


def test_who_leaves_takes_the_files_along_but_nobody_else_s(office: Office) -> None:
    bob = "bob@example.org,Bob,,,,,ios android,"
    office.write(JANE, ZOE, bob).good()
    (office.out / "jane@example.org/note.txt").write_text("mine")
    (office.out / "zoe@example.org/index.html").write_text("changed")
    (office.out / "stranger").mkdir()
    office.write(f"{JANE}absent", bob.replace("ios android", "android"))
    preview = tree(office.out)
    office.good("--check")
    assert tree(office.out) == preview
    run = office.good()
    assert "Hand-outs: 1 updated, 2 removed." in run.out
    assert "zoe@example.org/index.html is not needed any more but was changed" in " ".join(run.out.split())
    assert names(office) == sorted(
        ["jane@example.org/note.txt", "zoe@example.org/index.html"]
        + [f"bob@example.org/{name}" for name in ("index.html", "bob-android.k9s", "bob-android.png", "bob-android.svg")]
    )
    assert (office.out / "stranger").is_dir()
    office.good(changed=False)
    # The last phone goes, the person stays, and so does the page.
    office.write(bob.replace("ios android", "")).good()
    assert names(office) == ["bob@example.org/index.html", "jane@example.org/note.txt", "zoe@example.org/index.html"]


def test_profiles_that_are_signed_no_more_have_no_twins(office: Office) -> None:
    office.sign_with(current())
    office.write(JANE).good()
    assert "mdm/jane@example.org-iphone.unsigned.mobileconfig" in names(office)
    office.write(JANE, mobile_signer_certificate="", mobile_signer_key="").good()
    assert names(office) == ["jane@example.org/index.html", "jane@example.org/jane-iphone.mobileconfig"]
    assert not (office.out / "mdm").exists()


def test_everything_that_is_wrong_is_said_at_once_and_nothing_is_written(office: Office) -> None:
    office.write(JANE, ZOE).good()
    before = tree(office.out)
    made = current()
    office.sign_with(made, key=current().leaf.key_pem())
    (office.folder / "logo.png").write_text("no picture")
    rows = [JANE.replace("Jane", "Ja\x07ne"), ZOE.replace("android", "andriod")]
    office.write(*rows, mobile_logo="logo.png", mobile_removal_date="soon", mobile_contact={}, mail_profile_url="http://x.test/{file}")
    lines = office.bad("-e", "mobile_language=xx")
    for line in (
        r'staff.csv:2 (jane@example.org): column full_name: "Ja\x07ne Hall" has a control character (a line break or worse); type it again',
        'staff.csv:3 (zoe@example.org): column phones: "andriod" is not ios or android; did you mean android?',
        f"mobile_signer_key ({office.folder}/signer.key): does not belong to the certificate of CN=profiles.example.org in "
        f"mobile_signer_certificate ({office.folder}/signer.pem); a key and its certificate are made together",
        f"group_vars/all.yml: mobile_logo: {office.folder}/logo.png is not an image; PNG, JPEG, GIF, WebP and SVG can be used",
        'group_vars/all.yml: mobile_language: "xx" is not en or es',
        'group_vars/all.yml: mobile_removal_date: "soon" is not a date like 2027-06-30',
        'group_vars/all.yml: mail_profile_url: "http://x.test/{file}" is not an https address',
        "group_vars/all.yml: mobile_contact: has neither phone nor email; the page must say who helps",
    ):
        assert line in lines, lines
    assert len(lines) == 8
    assert tree(office.out) == before


def test_missing_files_and_halves_of_a_signer(office: Office) -> None:
    office.write(JANE, mobile_signer_certificate="signing/none.pem", mobile_logo="none.png")
    assert office.bad() == [
        "group_vars/all.yml: mobile_signer_key: is empty, but mobile_signer_certificate is not; both are needed",
        f"group_vars/all.yml: mobile_logo: {office.folder}/none.png: No such file or directory",
    ]
    office.write(JANE, mobile_signer_key="none.key", mobile_logo="")
    assert office.bad() == [
        f"group_vars/all.yml: mobile_signer_certificate: {office.folder}/signing/none.pem: No such file or directory",
        f"group_vars/all.yml: mobile_signer_key: {office.folder}/none.key: No such file or directory",
    ]


def test_a_folder_that_cannot_be_written_to(office: Office) -> None:
    (office.folder / "file.txt").write_text("x")
    office.write(JANE)
    assert office.bad("-e", f"mobile_dir={office.folder}/file.txt/below") == [
        f"{office.folder}/file.txt: is a file where a folder is needed"
    ]
    office.out.mkdir(parents=True)
    (office.out / "jane@example.org").write_text("x")
    assert office.bad() == [f"{office.out}/jane@example.org: is a file where a folder is needed"]
    if os.geteuid() != 0:
        (office.out / "jane@example.org").unlink()
        office.out.chmod(0o500)
        assert office.bad() == [f"{office.out}: cannot be written to; look at its owner and mode"]


# The disk is full when the first of Zoë's files takes its place.
FULL = """
import errno, os, pathlib
replace = pathlib.Path.replace
def full(self, target):
    if str(target).endswith("zoe-android.k9s"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
    return replace(self, target)
pathlib.Path.replace = full
"""
# The run is ended there, as by a power cut.
KILLED = FULL.replace(
    "raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))", "replace(self, target); os.kill(os.getpid(), 9)"
)


def test_an_error_on_the_way_leaves_whole_files(office: Office, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(FULL)
    run = office.write(JANE, ZOE).run(PYTHONPATH=str(tmp_path))
    assert run.code == 2
    assert "zoe-android.k9s: No space left on device. Every file is either as it was or complete" in " ".join(run.out.split())
    assert "jane@example.org/index.html" in names(office)
    assert not list(office.out.rglob("*.half"))
    assert "Hand-outs: 1 created, 1 unchanged." in office.good().out


def test_what_was_written_before_the_run_was_ended_is_still_ours(office: Office, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(KILLED)
    assert office.write(JANE, ZOE).run(PYTHONPATH=str(tmp_path)).code != 0
    assert "zoe@example.org/zoe-android.k9s" in names(office)
    # By now it would be another file.
    office.write(JANE, ZOE.replace("Maier", "Huber"))
    assert "Hand-outs: 1 created, 1 unchanged." in office.good().out
    office.write(JANE).good()
    assert not [name for name in names(office) if name.startswith("zoe")]


def test_what_is_somebody_else_s_is_said_and_stays(office: Office) -> None:
    mine = {
        "jane@example.org/index.html": "my own page",
        "zoe@example.org/zoe-android.k9s": "my own settings",
        "zoe@example.org/zoe-android.png": "my own picture",
        "zoe@example.org/note.txt": "my own note",
    }
    for name, text in mine.items():
        (office.out / name).parent.mkdir(parents=True, exist_ok=True)
        (office.out / name).write_text(text)
    before = tree(office.out)
    office.write(JANE, ZOE)
    for arguments in ([], ["--check"]):
        assert office.bad(*arguments) == [
            f"{office.out / folder}: has {names_}, in the way and not known to be made by this project; move that elsewhere, and run again"
            for folder, names_ in (
                ("jane@example.org", "index.html"),
                ("zoe@example.org", "zoe-android.k9s and zoe-android.png"),
            )
        ]
        assert tree(office.out) == before
    # A folder, or a pipe that nobody writes to, is in the way too.
    for name in mine:
        (office.out / name).unlink()
    os.mkfifo(office.out / "jane@example.org/index.html")
    (office.out / "zoe@example.org/zoe-android.k9s").mkdir()
    assert [line.partition(":")[0] for line in office.bad()] == [
        f"{office.out}/jane@example.org/index.html",
        f"{office.out}/zoe@example.org/zoe-android.k9s",
    ]
    (office.out / "jane@example.org/index.html").unlink()
    (office.out / "zoe@example.org/zoe-android.k9s").rmdir()
    office.good()
    # Another device needs another file; who leaves takes nothing along that came since.
    (office.out / "jane@example.org/jane-android.k9s").write_text("my own settings")
    office.write(JANE.replace("ios", "ios android"), ZOE)
    assert len(office.bad()) == 1
    office.write(ZOE).good()
    assert [name for name in names(office) if name.startswith("jane")] == ["jane@example.org/jane-android.k9s"]


LOGINS = "jane.doe@example.org,Jane Doe,,jane,,,ios,", "info@example.org,Jane Doe,,jane,,,ios,"


def test_a_sheet_that_is_sorted_is_the_same_sheet(office: Office) -> None:
    office.write(*LOGINS, JANE, ZOE, mail_profile_url="https://mail.example.org/{address}/{file}").good()
    before = tree(office.out)
    office.write(*reversed((*LOGINS, JANE, ZOE))).good(changed=False)
    assert tree(office.out) == before


def test_a_person_keeps_folder_link_and_profile(office: Office) -> None:
    jane, info = LOGINS
    url = "https://mail.example.org/{address}/{file}"
    profile, code = "info@example.org/info-iphone.mobileconfig", "info@example.org/info-iphone.svg"
    office.write(info, mail_profile_url=url).good()
    before = {name: office.read(name) for name in (profile, code)}
    identifiers = [plistlib.loads(before[profile])[key] for key in ("PayloadIdentifier", "PayloadUUID")]
    # A mailbox that would have been the first comes; the name changes; the office says which one is first.
    for sheet in ([jane, info], [info.replace("Jane Doe", "Jane Roe"), jane.replace("Jane Doe", "Jane Roe")]):
        assert "1 updated" in office.write(*sheet).good().out
        now = plistlib.loads(office.read(profile))
        assert [now[key] for key in ("PayloadIdentifier", "PayloadUUID")] == identifiers
        assert [mail["EmailAddress"] for mail in now["PayloadContent"]] == ["info@example.org", "jane.doe@example.org"]
        assert office.read(code) == before[code]
    sheet = (office.folder / "staff.csv").read_text().replace("state\n", "state,primary\n").replace("jane,,,ios,", "jane,,,ios,,", 1)
    (office.folder / "staff.csv").write_text(sheet.replace("jane,,,ios,\n", "jane,,,ios,,yes\n"))
    office.good()
    now = plistlib.loads(office.read(profile))
    assert now["PayloadIdentifier"] == identifiers[0]
    assert [mail["EmailAddress"] for mail in now["PayloadContent"]] == ["jane.doe@example.org", "info@example.org"]
    # It leaves. What that means for the phone is said, in a check too.
    office.write(jane.replace("Jane Doe", "Jane Roe"), f"{info}absent")
    for arguments in (["--check"], []):
        run = office.good(*arguments)
        assert 'Jane Roe has a new profile, of jane.doe@example.org: the one before, "E-mail info@example.org"' in " ".join(run.out.split())
    assert not [name for name in names(office) if "info" in name]
    assert "has a new profile" not in office.good(changed=False).out


def test_two_people_of_one_name_get_a_folder_each(office: Office) -> None:
    office.write("john1@example.org,John Smith,,,,,ios,", "john2@example.org,John Smith,,,,,ios,").good()
    for mine, other in (("john1", "john2"), ("john2", "john1")):
        folder = tree(office.out / f"{mine}@example.org")
        assert folder and not [name for name, content in folder.items() if other.encode() in content]


def test_an_empty_sheet_is_not_an_office_without_people(office: Office) -> None:
    office.write(JANE).good()
    before = tree(office.out)
    (line,) = office.write().bad()
    assert "the staff sheet names nobody" in line
    assert tree(office.out) == before


def test_an_office_without_phones_and_macs_needs_to_say_nothing(office: Office) -> None:
    office.settings = {}
    office.write("bob@example.org,Bob,desk,bob,,,,").good(changed=False)
    assert not office.out.exists()


def test_a_memory_that_was_meddled_with_removes_nothing_else(office: Office) -> None:
    office.write(JANE, ZOE).good()
    office.write(JANE)
    digest = hashlib.sha256((office.folder / "staff.csv").read_bytes()).hexdigest()
    evil = {
        "../../../acme": {"inputs": "", "files": {"staff.csv": digest}},
        "zoe@example.org": {"inputs": "", "files": {"../../../../acme/staff.csv": digest}},
    }
    for text in ("{", "[]", json.dumps({"version": 1, "folders": evil})):
        (office.out / ".charter-mail.json").write_text(text)
        office.good(changed=False)
        assert "zoe@example.org/index.html" in names(office)
        assert (office.folder / "staff.csv").exists()


def test_the_end_of_a_certificate_is_announced(office: Office) -> None:
    office.sign_with(current(end=NOW + 20 * DAY))
    office.write(JANE)
    assert "CN=profiles.example.org, with which the profiles are signed, expires on" in " ".join(office.good().out.split())


def test_a_key_in_a_vault_and_a_certificate_as_text(office: Office, tmp_path: Path) -> None:
    made = current()
    office.sign_with(made)
    (tmp_path / "word").write_text("secret")
    vault = ["ansible-vault", "encrypt", "--vault-password-file", str(tmp_path / "word"), str(office.folder / "signer.key")]
    assert subprocess.run([str(Path(os.sys.executable).parent / vault[0]), *vault[1:]], capture_output=True, check=False).returncode == 0  # type: ignore[attr-defined]
    office.write(JANE, mobile_signer_certificate=made.full.decode())
    run = office.good("--vault-password-file", str(tmp_path / "word"), "-vvv")
    assert "PRIVATE KEY" not in run.out
    assert made.leaf.key_pem().splitlines()[1].decode() not in run.out
    assert office.read("jane@example.org/jane-iphone.mobileconfig")[:1] == b"\x30"


def test_people_of_machines_in_yaml_and_the_whole_office_whatever_the_limit(office: Office) -> None:
    office.write(JANE)
    (office.folder / "host_vars").mkdir()
    ann = {"address": "ann@example.org", "full_name": "Ann", "login": "ann"}
    settings = {"mail_accounts": [ann], "mail_provider": "roadrunner"}
    (office.folder / "host_vars/mac.yml").write_text(yaml.safe_dump(settings))
    office.good("--limit", "mac")
    plists = [office.read(f"{who}@example.org/{who}-{kind}.mobileconfig") for who, kind in (("ann", "mac"), ("jane", "iphone"))]
    assert [plistlib.loads(plist)["PayloadContent"][0]["IncomingMailServerHostName"] for plist in plists] == [
        "mail.twc.com",
        "imap.charter.net",
    ]
    office.good(changed=False)


def test_pdfs_where_they_can_be_made(office: Office, tmp_path: Path) -> None:
    (tmp_path / "without").mkdir()
    (tmp_path / "without/weasyprint.py").write_text("raise ImportError")
    office.write(JANE, mobile_paper="a4")
    assert "PDFs were left out: WeasyPrint is not installed" in office.good(PYTHONPATH=str(tmp_path / "without")).out
    assert "jane@example.org/jane.pdf" not in names(office)
    if reason := pdf.missing():
        pytest.skip(reason)
    office.good()
    assert office.read("jane@example.org/jane.pdf").startswith(b"%PDF-")
    office.good(changed=False)
    office.write(JANE, mobile_paper="none").good()
    assert "jane@example.org/jane.pdf" not in names(office)
