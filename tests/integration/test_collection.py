"""The other way to use the project: built, installed elsewhere, run by its full name."""

from __future__ import annotations

import json
import re
import tarfile
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.playbook import ROOT, command, copy_project, tree, write_office

# What the README tells people of an installed collection: commands to build and install it, their own ansible.cfg, commands to use it.
README = (ROOT / "README.md").read_text(encoding="utf-8").partition("## As a collection\n")[2].partition("\n## ")[0]
INSTALL, CONFIG, USE = (textwrap.dedent(block) for block in re.findall(r"(?:^    .*\n(?:\n(?=    ))?)+", README, re.MULTILINE))


# What people keep in or beside their clone.
OFFICE = ("hosts.yml", "staff.csv", "staff.xlsx", "group_vars/all.yml", "group_vars/vault.yml", "logo.png", "signer.key")
OWN = [
    *(
        f"{folder}/{name}"
        for folder in ("inventories/acme", "inventories/example2", "inventories", "offices/acme", "acme", ".")
        for name in OFFICE
    ),
    *("notes.txt", ".env", ".vault-password", "host_vars/desk-01.yml", "acme.tar.gz", "inventories/acme.csv", "inventories/example.csv"),
    *("inventories/example/notes.txt", "inventories/example/staff.csv.bak", "inventories/example/host_vars/desk-01.yml"),
    *("inventories/example/group_vars/vault.yml", "playbooks/acme.yml", "playbooks/group_vars/all.yml", "playbooks/host_vars/desk-01.yml"),
    *("roles/acme.yml", "roles/mail/vars/acme.yml", "roles/mail/files/staff.csv", "plugins/staff.csv", "meta/acme.yml"),
    *(
        "build/mobile/acme/index.html",
        "build/diagnosis/acme/diagnosis.json",
        "build/preview/acme/desk-01/.msmtprc",
        "build/acme/state.json",
    ),
    *(".venv-old/x.yml", ".venv/lib/x.py", ".ansible/x.yml", ".cache/x.yml", "tests/acme.yml"),
]


# What ansible-galaxy alone cannot tell from the project's own.
CODE = {"playbooks/acme.yml", "roles/acme.yml", "roles/mail/vars/acme.yml"}


@pytest.mark.parametrize("by", ["make", "ansible-galaxy"])
def test_the_artefact_has_the_project_s_files_and_nobody_s_office(tmp_path: Path, by: str) -> None:
    project = copy_project(tmp_path / "clone")
    wanted = {
        name
        for name in tree(project)
        if name in ("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md")
        or name.startswith(("docs/", "inventories/example/", "meta/", "playbooks/", "plugins/", "roles/"))
    }
    command("git", "init", "--quiet", cwd=project)
    command("git", "add", "--all", cwd=project)
    for name in OWN:
        path = project / name
        assert not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("somebody's own\n", encoding="utf-8")
    if by == "make":
        # The environment is taken for ready.
        built = command("make", "--assume-old=.venv/dev", "collection", cwd=project)
    else:
        built = command("ansible-galaxy", "collection", "build", "--output-path", "build", cwd=project)
    assert built.code == 0, built.out
    (artefact,) = (project / "build").glob("msp-charter_mail-*.tar.gz")
    with tarfile.open(artefact) as archive:
        packed = {member.name for member in archive if member.isfile()} - {"FILES.json", "MANIFEST.json"}
    assert packed - (CODE if by == "ansible-galaxy" else set()) == wanted


def test_git_takes_no_office_but_the_example(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "clone")
    for name in OFFICE:
        path = project / "inventories/acme" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("somebody's own\n", encoding="utf-8")
    command("git", "init", "--quiet", cwd=project)
    added = command("git", "add", "--all", "--verbose", cwd=project).out
    assert "inventories/example/staff.csv" in added
    assert "acme" not in added


def test_the_readme_s_way_to_install_and_use_it(tmp_path: Path) -> None:
    """As it is written there, with the clone and everything else in folders of their own."""
    clone = copy_project(tmp_path / "charter-mail")
    command("git", "init", "--quiet", cwd=clone)
    command("git", "add", "--all", cwd=clone)
    home, mail = tmp_path / "home", tmp_path / "mail"
    home.mkdir()
    # The environment is taken for ready. An empty ANSIBLE_CONFIG is the ansible.cfg of the folder one is in.
    env = {"HOME": str(home), "ANSIBLE_CONFIG": "", "MAKEFLAGS": "--assume-old=.venv/dev"}
    install = command("sh", "-exc", INSTALL, cwd=clone, env=env)
    assert install.code == 0, install.out
    assert "msp.charter_mail:0.1.0 was installed successfully" in install.out and "Nothing to do" not in install.out
    (mail / "ansible.cfg").write_text(CONFIG, encoding="utf-8")
    new, *runs = USE.splitlines()
    made = command("sh", "-exc", new, cwd=mail, env=env)
    assert made.code == 0, made.out
    assert sorted(tree(mail / "inventories")) == ["acme/group_vars/all.yml", "acme/hosts.yml", "acme/staff.xlsx"]
    (mail / "inventories/acme/staff.xlsx").unlink()
    write_office(mail / "inventories/acme", "address,full_name,machines,login\njane@example.org,Jane,desk-01,jane\n", "desk-01")
    for run in runs:
        done = command("sh", "-exc", run, cwd=mail, env=env)
        assert done.code == 0, done.out
        if run.endswith("provision_mail"):
            assert done.place("jane@example.org", "desk-01", "thunderbird")
    assert [name for name in tree(mail / "inventories/acme.machines") if name.endswith(".cfg")]


def document(output: str) -> dict[str, Any]:
    """What ansible-doc says in JSON; some versions warn of parts of their own besides."""
    found: dict[str, Any] = json.JSONDecoder().raw_decode(output, output.index("{"))[0]
    return found


def test_documentation_renders_for_every_plugin_and_role() -> None:
    kinds = {"modules": "module", "inventory": "inventory", "filter": "filter", "callback": "callback"}
    for folder, kind in kinds.items():
        names = sorted(f"msp.charter_mail.{path.stem}" for path in (ROOT / "plugins" / folder).glob("*.py"))
        shown = command("ansible-doc", "--json", "-t", kind, *names)
        assert shown.code == 0, shown.out
        assert {name: bool(entry["doc"]["short_description"]) for name, entry in document(shown.out).items()} == dict.fromkeys(names, True)
    roles = sorted(f"msp.charter_mail.{path.name}" for path in (ROOT / "roles").iterdir() if path.is_dir())
    shown = command("ansible-doc", "--json", "-t", "role", *roles)
    assert sorted(document(shown.out)) == roles
