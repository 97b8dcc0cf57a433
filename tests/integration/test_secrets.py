"""No password in any output: planted wherever one may lie or come from, and looked for in everything that a run leaves behind."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
import yaml

from tests.mail_servers import Authority, repeating, serve, tls
from tests.playbook import ROOT, Run, play, tree, write_office

# One for each place, so that what is found says where it came from.
TYPED = "Typed-Xk29 wq:zv/jrmh"
IN_COMMAND = "Command-Vq83-zulu"
IN_MSMTP = "Msmtp-Hw51-kilo"
IN_EVAL = "Passeval-Jr46-oscar"
IN_MBSYNC = "Mbsync-Tb72-hotel"
IN_URL = "Url-Ny94-quebec"
IN_PREFS = "Prefs-Lf68-victor"
SECRETS = [TYPED, IN_COMMAND, IN_MSMTP, IN_EVAL, IN_MBSYNC, IN_URL, IN_PREFS]

HEADER = "address,full_name,machines,login,programs\n"
JANE = "jane@example.org,Jane Doe,desk-01,jane,thunderbird msmtp mbsync\n"
MSMTP = f"""\
account work
host smtps://jane:{IN_URL}@smtp.example.org
user jane@example.org
auth on
from jane@example.org
password {IN_MSMTP}
account other
host smtp.example.org
user smtps://jane:{IN_URL}@example.org
auth on
passwordeval echo {IN_EVAL}
"""
MBSYNC = f"""\
IMAPAccount work
Host imap.example.org
User jane@example.org
Pass {IN_MBSYNC}
PassCmd "echo {IN_EVAL}"
"""
PREFS = {
    "mail.accountmanager.accounts": "account1",
    "mail.account.account1.server": "server1",
    "mail.account.account1.identities": "id1",
    "mail.identity.id1.useremail": "jane@example.org",
    "mail.server.server1.type": "imap",
    "mail.server.server1.hostname": f"imaps://jane:{IN_PREFS}@imap.example.org",
    "mail.server.server1.userName": f"imaps://jane@example.org:{IN_PREFS}@imap.example.org",
    "mail.server.server1.password": IN_PREFS,
}


def found(text: str) -> list[str]:
    """The secrets that the text has in some form: five of a secret's letters and digits in a row, or eight of its base64."""

    def bare(some: str) -> str:
        return re.sub(r"[^a-z0-9]", "", some.lower())

    here = bare(text)
    hits = []
    for secret in SECRETS:
        coded = [base64.b64encode(b"\0" * shift + secret.encode()).decode()[4:-4] for shift in range(3)]
        # The word that names the place is in other texts too.
        forms = [(secret.partition("-")[2], 5), *((form, 8) for form in [*coded, secret.encode().hex()])]
        if any(bare(form)[at : at + size] in here for form, size in forms for at in range(len(bare(form)) - size + 1)):
            hits.append(secret)
    return hits


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Path]:
    """An office with secrets in every corner, and servers that repeat what they hear."""
    context = Authority(tmp_path, "Test CA").context()

    def repeat(heard: list[str]) -> str:
        return f"{{no}} no: {' '.join(heard)} {base64.b64decode(heard[-1]).decode()}".replace("\0", " ")

    with contextlib.ExitStack() as stack:
        ports = {kind: stack.enter_context(serve(tls(context, repeating(kind, "PLAIN", repeat)))) for kind in ("imap", "pop", "smtp")}
        servers = {kind: {"host": "localhost", "port": port, "security": "tls"} for kind, port in ports.items()}
        settings = {
            "mail_probe": True,
            "mail_provider": "own",
            "mail_providers": [{"name": "own", **servers, "smtp": [servers["smtp"]]}],
            "reachability_interceptors": [{"product": "Test CA", "issuer": ["Test CA"], "ours": True}],
            "mail_password_command": f"printf %s {IN_COMMAND} {{address}}",
        }
        folder = write_office(tmp_path / "acme", HEADER + JANE, "desk-01", yaml.safe_dump(settings))
        home = tmp_path / "acme.machines/desk-01/home/jane"
        profile = home / ".thunderbird/x.default"
        profile.mkdir(parents=True)
        (home / ".msmtprc").write_text(MSMTP, encoding="utf-8")
        (home / ".mbsyncrc").write_text(MBSYNC, encoding="utf-8")
        lines = "".join(f'user_pref("{name}", "{value}");\n' for name, value in PREFS.items())
        (profile / "prefs.js").write_text(lines, encoding="utf-8")
        yield folder


def diagnose(office: Path, *options: str) -> Run:
    """At a terminal, for it asks for the password."""
    folder = office.parent
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PWD": str(folder),
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_LOG_PATH": str(folder / "ansible.log"),
        "SSL_CERT_FILE": str(folder / "Test CA.pem"),
        "ANSIBLE_PIPELINING": "true",
        "ANSIBLE_NOCOLOR": "1",
    }
    arguments = ["-i", str(office), str(ROOT / "playbooks/diagnose_mail.yml"), "-e", "mail_login_test=true", *options]
    terminal = {"cwd": str(folder), "env": environment, "encoding": "utf-8", "timeout": 300, "dimensions": (50, 300)}
    with pexpect.spawn("ansible-playbook", arguments, **terminal) as child:
        child.expect("Password of jane@example.org, for a try from desk-01")
        before = str(child.before)
        child.sendline(TYPED)
        child.expect(pexpect.EOF)
        shown = before + str(child.before)
        child.close()
    return Run(child.exitstatus or 0, shown, Path.cwd())


def test_a_diagnosis_with_log_in_test_shows_no_password(office: Path) -> None:
    run = diagnose(office, "-vvv")
    assert run.code == 2, run.out
    folder = office.parent
    report = {name: (folder / "build/diagnosis/acme" / name).read_text(encoding="utf-8") for name in ("diagnosis.json", "diagnosis.html")}
    log = (folder / "ansible.log").read_text(encoding="utf-8")
    for name, text in {"screen": run.out, "log": log, **report}.items():
        assert "login rejected" in text.replace("_", " "), (name, text)
        assert "\u2022\u2022\u2022\u2022" in text, name
        assert found(text) == [], (name, text)
    assert (
        "imaps://jane:\u2022\u2022\u2022\u2022@imap.example.org" in log and "smtps://jane:\u2022\u2022\u2022\u2022@smtp.example.org" in log
    )
    planted = ("/home/jane/.msmtprc", "/home/jane/.mbsyncrc", "/prefs.js", "group_vars/all.yml")
    left = {name: content.decode("utf-8", "replace") for name, content in tree(folder).items() if not name.endswith(planted)}
    assert {name for name, text in left.items() if found(text)} == set()


@pytest.mark.parametrize("playbook", ["provision-mail.yml", "playbooks/mobile_profiles.yml"])
def test_nor_does_another_run(office: Path, playbook: str) -> None:
    log = office.parent / "ansible.log"
    env = {"ANSIBLE_LOG_PATH": str(log), "SSL_CERT_FILE": str(office.parent / "Test CA.pem")}
    run = play(playbook, "-i", office, "-vvv", "--check", cwd=office.parent, env=env)
    # Jane's own account, with another server, is told.
    assert run.code == (2 if playbook == "provision-mail.yml" else 0), run.out
    assert found(run.out) == found(log.read_text(encoding="utf-8")) == []


def test_a_preview_is_for_its_technician_alone(office: Path) -> None:
    """It has the office's own command line in it."""
    run = play("playbooks/preview_mail.yml", "-i", office, "-vvv", cwd=office.parent)
    assert run.code == 0, run.out
    assert found(run.out) == []
    preview = office.parent / "build/preview/acme"
    having = [path for path in preview.rglob("*") if path.is_file() and IN_COMMAND in path.read_text(encoding="utf-8")]
    assert having
    for path in having:
        assert path.stat().st_mode & 0o077 == 0, path
        assert path.parent.stat().st_mode & 0o077 == 0, path
