"""mail_files through a real ansible-playbook: one play below a prefix, one as root with people of this machine."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.playing import Play, Unsafe, account, states

EVIL = "{{ lookup('pipe', 'id') }} {% raw %} ünï €"
FILES: list[dict[str, Any]] = [
    {"program": "msmtp", "dest": ".msmtprc", "template": "rc.j2", "vars": {"word": "{{ word | default('one') }}"}},
    {"program": "aerc", "dest": ".config/aerc/a.conf", "template": "keys.j2", "strategy": "keys"},
    {"program": "msmtp", "dest": "/etc/mail/people", "template": "people.j2", "scope": "machine", "mode": "0644"},
    {"program": "msmtp", "dest": "/etc/mail/{domain}", "template": "domain.j2", "scope": "domain"},
]
PEOPLE = [
    {
        "login": "jane",
        "full_name": EVIL,
        "accounts": [
            account("jane@example.org", "msmtp", "aerc", full_name=EVIL),
            account("jane@example.com", "aerc", full_name="Jane"),
        ],
    },
    {"login": "bob", "full_name": "Bob", "accounts": [account("bob@example.org", "msmtp", full_name="Bob")]},
]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    play = Play(tmp_path / "project")
    play.template(
        "rc.j2",
        "# {{ mail_managed_header }}\n{% for account in accounts %}\nname {{ account.full_name }}\n{% endfor %}\n{% include 'part.j2' %}\n",
    )
    play.template("part.j2", "{{ word }} {{ lazy }} {{ 'a\\\\b' }} {{ platform }}\n")
    play.template(
        "keys.j2",
        "{% for account in accounts %}\n[{{ account.address }}]\nfrom = {{ account.full_name }}\n{% endfor %}\n",
    )
    play.template("people.j2", "{% for person in people %}\n{{ person.login }} {{ person.accounts | length }}\n{% endfor %}\n")
    play.template("domain.j2", "{{ domain }} {{ accounts | length }} {{ account.local_part }}\n")
    return play


def task(root: Path | str, **more: Any) -> dict[str, Any]:
    arguments = {"people": "{{ people }}", "root": str(root), "files": FILES, **more}
    return {"msp.charter_mail.mail_files": arguments}


def test_from_the_table_to_the_files_and_back(play: Play, tmp_path: Path) -> None:
    root = tmp_path / "machine"
    home = root / "home/jane"
    steps = [
        {**task(root), "check_mode": True, "register": "check"},
        {"step": {"sh": f"test ! -e {root}"}},
        {**task(root), "register": "first"},
        {**task(root), "register": "second"},
        {**task(root), "vars": {"word": "two"}, "register": "pending"},
        {"step": {"sh": f"cp -a {root} {root}.kept; echo theirs > {home}/.msmtprc; rm {home}/.config/aerc/a.conf"}},
        {**task(root), "check_mode": True, "vars": {"word": "two"}, "register": "drift_check"},
        {**task(root), "vars": {"word": "two"}, "register": "drift"},
        {**task(root, people=[PEOPLE[1]]), "register": "left"},
        {**task(root, people=[]), "register": "undone"},
        {**task(root, people=None), "register": "nobody_known"},
        {**task(root, people="{{ not_defined_anywhere }}"), "register": "undefined"},
        {**task(root, files=[{**FILES[0], "mode": 600}, {"dest": "x"}], take_over="perhaps"), "register": "wrong"},
        {**task(root, files=[{**FILES[0], "template": "broken.j2"}]), "register": "broken"},
        {**task("relative"), "register": "relative"},
        {**task("", platform="windows"), "register": "windows"},
    ]
    play.template("broken.j2", "{{ person.nothing }}")
    result = play.run(steps, "--diff", variables={"people": unsafe(PEOPLE), "lazy": "{{ person.login }}"})

    assert set(states(result["first"]).values()) == {"created"}
    assert result["check"]["files"] == result["first"]["files"]
    assert result["check"]["diff"] == result["first"]["diff"]
    assert result["check"]["changed"] and result["first"]["changed"]
    assert "invocation" not in result["first"]
    assert not result["second"]["changed"]
    assert set(states(result["second"]).values()) == {"unchanged"}
    assert result["second"]["diff"] == []
    assert [f["dest"] for f in result["pending"]["files"] if f["state"] == "pending"] == [
        "/home/jane/.msmtprc",
        "/home/bob/.msmtprc",
    ]

    kept = root.with_name("machine.kept")
    assert (kept / "home/jane/.msmtprc").read_text() == (
        f"# Managed by charter-mail: changes are put back by the next run.\nname {EVIL}\ntwo jane a\\b linux\n"
    )
    assert (kept / "home/jane/.config/aerc/a.conf").read_text() == (
        f"[jane@example.org]\nfrom = {EVIL}\n\n[jane@example.com]\nfrom = Jane\n"
    )
    assert (kept / "etc/mail/people").read_text() == "jane 1\nbob 1\n"
    assert (kept / "etc/mail/example.org").read_text() == "example.org 2 jane\n"
    assert not (kept / "etc/mail/example.com").exists()
    assert stat.S_IMODE((kept / "etc/mail/people").stat().st_mode) == 0o644

    assert result["drift_check"]["files"] == result["drift"]["files"]
    changed = {f["dest"]: f["state"] for f in result["drift"]["files"] if f["changed"]}
    assert changed == {"/home/jane/.msmtprc": "drift", "/home/jane/.config/aerc/a.conf": "missing"}
    assert states(result["left"]) == {
        "/home/bob/.msmtprc": "pending",
        "/etc/mail/people": "pending",
        "/etc/mail/example.org": "pending",
        "/home/jane/.config/aerc/a.conf": "removed",
        "/home/jane/.msmtprc": "removed",
    }
    assert set(states(result["undone"]).values()) == {"removed"}
    left = sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and "backups" not in p.parts)
    assert left == ["var/lib/charter-mail/state.json"]
    assert not (root / "etc").exists()

    for name in ("nobody_known", "undefined", "wrong", "broken", "relative", "windows"):
        assert result[name]["failed"], name
    assert "empty list" in result["nobody_known"]["msg"]
    assert "not_defined_anywhere" in result["undefined"]["msg"]
    assert "take_over" in result["wrong"]["msg"]
    assert result["broken"]["msg"].count("broken.j2 for") == 2
    assert "bob" in result["broken"]["msg"]


def unsafe(value: Any) -> Any:
    """As an inventory plugin hands it over: text that is never a template. PyYAML writes the tag as it is."""
    if isinstance(value, dict):
        return {key: unsafe(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [unsafe(inner) for inner in value]
    return Unsafe(value) if isinstance(value, str) and "{" in value else value


def test_a_file_of_the_controller_arrives_byte_by_byte(play: Play, tmp_path: Path) -> None:
    root, source = tmp_path / "machine", tmp_path / "jane.bin"
    content = bytes(range(256)) * 40
    source.write_bytes(content)
    people = [{"login": "jane", "full_name": "Jane", "accounts": [account("jane@example.org", "msmtp")], "profile": str(source)}]
    files = [{"program": "msmtp", "dest": "{file}", "src": "profile"}]
    given = {"files": files, "people": people, "platform": "macos"}
    gone = [{**people[0], "profile": str(source) + ".none"}]
    other = "000102030405060708090a0b0c0d0e0f"
    result = play.run(
        [
            {**task(root, **{**given, "people": gone}), "check_mode": True, "register": "not_made_yet"},
            {**task(root, **given), "register": "first"},
            {**task(root, **given), "register": "second"},
            {"step": {"sh": f"cp {root}/Users/jane/jane.bin {tmp_path}/copy; printf theirs > {root}/Users/jane/jane.bin"}},
            {**task(root, **given), "register": "drift"},
            {"step": {"sh": f"printf '\\377\\000{other}' > {source}"}},
            {**task(root, **given), "register": "pending"},
            {"step": {"sh": f"cmp {source} {root}/Users/jane/jane.bin"}, "register": "same"},
            {**task(root, **{**given, "people": gone}), "register": "missing"},
            {**task(root, **{**given, "people": []}), "register": "left"},
        ],
        "--diff",
    )
    assert (tmp_path / "copy").read_bytes() == content
    told = {name: list(states(result[name]).items()) for name in ("not_made_yet", "first", "second", "drift", "pending", "left")}
    dest = "/Users/jane/jane.bin"
    assert told == {
        "not_made_yet": [(dest + ".none", "created")],
        "first": [(dest, "created")],
        "second": [(dest, "unchanged")],
        "drift": [(dest, "drift")],
        "pending": [(dest, "pending")],
        "left": [(dest, "removed")],
    }
    assert not result["same"]["failed"]
    assert result["missing"]["failed"] and "jane.bin.none for jane: No such file or directory" in result["missing"]["msg"]
    assert not (root / dest.lstrip("/")).exists()


def test_secrets_show_nowhere(play: Play, tmp_path: Path) -> None:
    """Not in the most talkative output, not in the state, not in a backup."""
    root = tmp_path / "machine"
    play.template("secret.j2", "password {{ mail_secret }}\n")
    play.template("named.j2", "user x\npassword {{ mail_secret }}\n")
    files = [
        {"program": "msmtp", "dest": ".secret", "template": "secret.j2", "sensitive": True},
        {"program": "msmtp", "dest": ".named", "template": "named.j2"},
    ]
    old, new = "s3cr3t-old-word", "s3cr3t-new-word"
    with_secret = task(root, files=files, secrets=[old, new])
    steps = [
        {**with_secret, "vars": {"mail_secret": old}, "register": "first"},
        {**with_secret, "vars": {"mail_secret": new}, "check_mode": True, "register": "check"},
        {"step": {"sh": f"sed -i s/x/y/ {root}/home/jane/.named; sed -i s/password/Password/ {root}/home/jane/.secret"}},
        {**with_secret, "vars": {"mail_secret": new}, "register": "second"},
    ]
    (play.where / "secret.yml").write_text("")
    people = [{"login": "jane", "accounts": [account("jane@example.org", "msmtp")]}]
    result = play.run(steps, "--diff", "-vvv", variables={"people": people})
    assert set(states(result["second"]).values()) == {"conflict"}
    assert (root / "home/jane/.named").read_text() == f"user x\npassword {new}\n"
    assert "+++ after: /home/jane/.named" in play.output
    assert "s3cr3t" not in play.output
    assert "invocation" not in play.output, "the parcel is nothing to print"
    assert "s3cr3t" not in json.dumps(result)
    memory = root / "var/lib/charter-mail"
    assert "s3cr3t" not in (memory / "state.json").read_text()
    assert [p.name for p in memory.iterdir()] == ["state.json"], "nothing of a person's lies anywhere but with the person"
    copies = root / "home/jane/.local/state/charter-mail/backups"
    assert [p.name for p in copies.iterdir()] == [".named.1"], "a sensitive file has no backup"


# --- as root, with people of this machine

NOT_ROOT = "needs root: makes throw-away logins"


class Crowd:
    """Throw-away logins, and a wrapper that gives a play a state directory of its own."""

    def __init__(self, logins: list[str], wrap: list[str], state: Path) -> None:
        self.logins = logins
        self.wrap = wrap
        self.state = state

    def home(self, number: int) -> Path:
        return Path(pwd.getpwnam(self.logins[number]).pw_dir)


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    if os.geteuid():
        pytest.skip(NOT_ROOT)
    if not shutil.which("useradd"):
        pytest.skip("needs useradd")
    lib = tmp_path / "lib"
    lib.mkdir(mode=0o755)
    wrap = ["unshare", "--mount", "sh", "-ec", f'mount --bind {lib} /var/lib; exec "$@"', "sh"]
    logins = [f"cmt{os.getpid()}{letter}" for letter in "abc"]
    try:
        if subprocess.run([*wrap, "true"], capture_output=True, check=False).returncode:
            pytest.skip("needs a mount namespace of its own, to leave the state of this machine alone")
        for login in logins:
            subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", login], check=True)
        yield Crowd(logins, wrap, lib / "charter-mail")
    finally:
        for login in logins:
            subprocess.run(["userdel", "--remove", "--force", login], capture_output=True, check=False)


def as_login(login: str, script: str) -> dict[str, Any]:
    return {"step": {"sh": f"setpriv --reuid {login} --regid {login} --init-groups --reset-env sh -ec '{script}'"}}


def test_files_belong_to_their_people_and_nothing_leads_root_astray(play: Play, crowd: Crowd, tmp_path: Path) -> None:
    ann, bob, cy = crowd.logins
    homes = [crowd.home(0), crowd.home(1), crowd.home(2)]
    people = [
        {"login": login, "accounts": [account(f"{login}@example.org", "msmtp", "aerc", "mbsync", "neomutt", "thunderbird")]}
        for login in crowd.logins
    ]
    play.template("plain.j2", "user {{ account.address }}\n")
    target = tmp_path / "target"
    target.mkdir(mode=0o755)
    (target / "victim").write_text("untouched\n")
    tmp_path.chmod(0o755)
    trap = tmp_path / "open"
    trap.mkdir()
    trap.chmod(0o777)
    files = [
        {"program": "msmtp", "dest": ".msmtprc", "template": "plain.j2", "running": ["sleep"]},
        {"program": "aerc", "dest": ".config/aerc/a", "template": "plain.j2"},
        {"program": "mbsync", "dest": ".mbsyncrc", "template": "plain.j2"},
    ]
    machine_files = [
        {"program": "thunderbird", "dest": f"{target}/etc/ok", "template": "people.j2", "scope": "machine", "mode": "0644"},
        {"program": "neomutt", "dest": f"{trap}/x", "template": "people.j2", "scope": "machine"},
    ]
    here = task("", files=files)
    machine = task("", files=machine_files)
    steps = [
        # ann lays traps: a directory link and a file link out of her home, and a pipe.
        as_login(ann, f"cd; ln -s {target} .config; ln -s {target}/victim .msmtprc; mkfifo .mbsyncrc"),
        {"step": {"sh": f"echo roots > {homes[1]}/.mbsyncrc; chmod 600 {homes[1]}/.mbsyncrc"}},
        {**here, "check_mode": True, "register": "attack_check"},
        {**here, "register": "attack"},
        as_login(ann, "cd; rm .config .msmtprc .mbsyncrc; mkdir real; ln -s real .config"),
        {"step": {"sh": f"rm {homes[1]}/.mbsyncrc"}},
        {**here, "register": "second"},
        {**machine, "register": "machine"},
        # bob runs the program
        as_login(bob, "sleep 60 >/dev/null 2>&1 & echo $! > ~/pid"),
        {"step": {"sh": f"sed -i s/user/USER/ {homes[1]}/.msmtprc"}},
        {"step": {"sh": f"chown root {homes[2]}/.mbsyncrc; chmod 644 {homes[2]}/.mbsyncrc"}},
        {**here, "check_mode": True, "register": "blocked_check"},
        {**here, "register": "blocked"},
        {"step": {"sh": f"kill $(cat {homes[1]}/pid)"}},
        {**here, "register": "freed"},
        {
            "step": {
                "sh": f"stat -c %U:%G:%a:%n {' '.join(f'{h}/.msmtprc' for h in homes)} {homes[2]}/.mbsyncrc "
                f"{homes[0]}/.config/aerc {target}/etc/ok {target}/etc"
            },
            "register": "owners",
        },
        {
            "msp.charter_mail.mail_facts": {"logins": [ann, "nobody-of-that-name"], "packages": ["aerc"]},
            "register": "facts",
        },
        {"step": {"sh": f"userdel --remove {cy}"}},
        {**here, "register": "userless"},
        {**task("", files=files, people=[people[0]]), "register": "forgotten"},
        {**task("", files=files, people=[]), "register": "undone"},
    ]
    result = play.run(steps, variables={"people": people}, wrap=crowd.wrap)

    attack = states(result["attack"])
    assert result["attack_check"]["files"] == result["attack"]["files"]
    assert result["attack"]["failed"]
    assert [attack[f"{homes[0]}/{name}"] for name in (".msmtprc", ".config/aerc/a", ".mbsyncrc")] == ["refused"] * 3
    assert attack[f"{homes[1]}/.mbsyncrc"] == "refused", "a file of root in a home cannot be read by its person"
    assert [attack[f"{homes[2]}/{name}"] for name in (".msmtprc", ".config/aerc/a", ".mbsyncrc")] == ["created"] * 3
    assert sorted(p.name for p in target.iterdir()) == ["etc", "victim"]
    assert (target / "victim").read_text() == "untouched\n"
    assert "leads out of" in result["attack"]["msg"]

    assert [s for s in states(result["second"]).values() if s != "unchanged"] == ["created"] * 4
    assert states(result["machine"]) == {f"{target}/etc/ok": "created", f"{trap}/x": "refused"}
    assert list(trap.iterdir()) == []

    assert result["blocked_check"]["files"] == result["blocked"]["files"]
    changed = {dest: state for dest, state in states(result["blocked"]).items() if state != "unchanged"}
    assert changed[f"{homes[1]}/.msmtprc"] == "blocked"
    assert states(result["freed"])[f"{homes[1]}/.msmtprc"] == "drift"
    assert changed[f"{homes[2]}/.mbsyncrc"] == "drift", "a file that changed hands is drift"

    owners = result["owners"]["out"].split()
    assert owners == [
        *(f"{login}:{login}:600:{home}/.msmtprc" for login, home in zip(crowd.logins, homes, strict=True)),
        f"{cy}:{cy}:600:{homes[2]}/.mbsyncrc",
        f"{ann}:{ann}:700:{homes[0]}/.config/aerc",
        f"root:root:644:{target}/etc/ok",
        f"root:root:755:{target}/etc",
    ]
    assert result["facts"]["logins"][ann] == {
        "exists": True,
        "uid": pwd.getpwnam(ann).pw_uid,
        "gid": pwd.getpwnam(ann).pw_gid,
        "home": str(homes[0]),
    }
    assert result["facts"]["logins"]["nobody-of-that-name"]["exists"] is False
    assert result["facts"]["people"] == sorted(f"{login}@example.org" for login in crowd.logins)

    assert result["userless"]["failed"]
    assert states(result["userless"])[f"~{cy}/.msmtprc"] == "no_login"
    assert not result["forgotten"]["failed"]
    assert states(result["forgotten"])[f"{homes[1]}/.msmtprc"] == "removed"
    assert set(states(result["undone"]).values()) == {"removed"}
    assert list((homes[0] / "real").iterdir()) == []
    state = json.loads((crowd.state / "state.json").read_text())
    assert list(state["sets"]) == ["thunderbird"]
