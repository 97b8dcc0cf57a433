"""The other way to use the project: built, installed elsewhere, run by its full name."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

from tests.playbook import ROOT, command, tree, write_office

# What the README tells people of an installed collection to put into their own ansible.cfg.
CONFIG = """\
[defaults]
collections_path = {collections}
callbacks_enabled = msp.charter_mail.mail_summary
inject_facts_as_vars = false

[inventory]
enable_plugins = msp.charter_mail.staff, yaml
any_unparsed_is_failed = true
"""


def test_the_artefact_works_without_the_clone(tmp_path: Path) -> None:
    built = command("ansible-galaxy", "collection", "build", "--output-path", tmp_path, ROOT, cwd=tmp_path)
    assert built.code == 0, built.out
    (artefact,) = tmp_path.glob("msp-charter_mail-*.tar.gz")
    with tarfile.open(artefact) as archive:
        names = archive.getnames()
    assert {name.split("/")[0] for name in names} <= {
        *("CHANGELOG.md", "CONTRIBUTING.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md"),
        *("inventories", "meta", "playbooks", "plugins", "roles"),
    }
    installed = tmp_path / "installed"
    config = tmp_path / "ansible.cfg"
    config.write_text(CONFIG.format(collections=installed), encoding="utf-8")
    env = {"ANSIBLE_CONFIG": str(config)}
    install = command("ansible-galaxy", "collection", "install", artefact, "-p", installed, "--offline", cwd=tmp_path, env=env)
    assert install.code == 0, install.out
    office = write_office(tmp_path / "acme", "address,full_name,machines,login\njane@example.org,Jane,desk-01,jane\n", "desk-01")
    run = command("ansible-playbook", "-i", office, "msp.charter_mail.provision_mail", cwd=tmp_path, env=env)
    assert run.code == 0, run.out
    assert run.row("jane@example.org", "desk-01", "thunderbird")
    assert [name for name in tree(tmp_path / "acme.machines") if name.endswith(".cfg")]
    new = command(
        "ansible-playbook",
        "msp.charter_mail.new_office",
        "-e",
        "office=two",
        "-i",
        "localhost,",
        cwd=tmp_path,
        env={**env, "ANSIBLE_INVENTORY_ENABLED": "host_list"},
    )
    assert new.code == 0, new.out
    assert (tmp_path / "inventories/two/staff.csv").exists()


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
