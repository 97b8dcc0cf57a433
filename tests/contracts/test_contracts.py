"""What must hold of every role, playbook and template, whoever adds one."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.policy import SECURITY
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.programs import PROGRAMS

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())
PROGRAM_ROWS = sorted((ROOT / "roles/programs/vars/main").glob("*.yml"))
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
TEMPLATES = sorted(ROOT.glob("roles/*/templates/**/*.j2"))


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def options(role: Path) -> dict[str, Any]:
    return load(role / "meta/argument_specs.yml")["argument_specs"]["main"]["options"]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("role", ROLES, ids=name)
def test_defaults_and_argument_specs_are_one_interface(role: Path) -> None:
    paths = [*role.glob("defaults/main.yml"), *role.glob("defaults/main/*.yml")]
    defaults = {name: value for path in paths for name, value in load(path).items()}
    spec = options(role)
    assert {key: option["default"] for key, option in spec.items() if "default" in option} == defaults
    assert all("default" in option or option.get("required") for option in spec.values())
    assert all(option.get("description") and option.get("type") for option in spec.values())


@pytest.mark.parametrize("role", ROLES, ids=name)
def test_variables_carry_the_role_s_name(role: Path) -> None:
    # A program's options are called after the program.
    names = (role.name, "thunderbird", "terminal") if role.name == "programs" else (role.name,)
    for key in options(role):
        assert key == role.name or key.startswith(tuple(f"{name}_" for name in names)), key
    for path in role.glob("vars/**/*.yml"):
        for key in load(path):
            assert key.startswith((f"__{role.name}_", f"{role.name}_")), key


def test_all_programs_are_written_in_one_round_trip() -> None:
    text = (ROOT / "roles/programs/tasks/main.yml").read_text(encoding="utf-8")
    assert "tags:" not in text, "tags are on the role lines of the playbooks"
    assert text.count("- name:") == text.count("msp.charter_mail.mail_files:") == 1


@pytest.mark.parametrize("role", ROLES, ids=name)
def test_a_role_has_a_readme_that_tells_its_variables(role: Path) -> None:
    text = (role / "README.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {role.name}\n")
    table = re.findall(r"^\| `(\w+)` \|", text.partition("## Variables")[2], re.MULTILINE)
    assert sorted(table) == sorted(options(role)) or f"ansible-doc -t role msp.charter_mail.{role.name}" in text


def test_what_runs_on_machines_is_python_3_8() -> None:
    for path in [*(ROOT / "plugins/modules").glob("*.py"), *(ROOT / "plugins/module_utils").glob("*.py")]:
        text = path.read_text(encoding="utf-8")
        ast.parse(text, feature_version=(3, 8))
        for line in re.findall(r"^\s*(?:from|import) (\S+)", text, re.MULTILINE):
            ours = line.startswith(("ansible.module_utils.", "ansible_collections.msp.charter_mail.plugins.module_utils"))
            assert ours or line.split(".")[0] in sys.stdlib_module_names, (path, line)


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=name)
def test_a_playbook_is_a_list_of_roles(playbook: Path) -> None:
    assert len(playbook.read_text(encoding="utf-8").splitlines()) < 40
    assert re.fullmatch(r"[a-z_]+", playbook.stem), "a name with a dash cannot be run from the installed collection"
    for play in load(playbook):
        assert not {"pre_tasks", "post_tasks", "handlers"} & play.keys()
        for task in play.get("tasks", []):
            assert task.keys() <= {"name", "ansible.builtin.import_role", "tags", "ignore_errors"}


def test_the_root_holds_one_entry_playbook() -> None:
    (entry,) = [path for path in ROOT.glob("*.yml") if path.name != "galaxy.yml"]
    playbooks = [play["ansible.builtin.import_playbook"] for play in load(entry)]
    assert playbooks == ["playbooks/provision_mail.yml", "playbooks/deliver_profiles.yml"]


def test_the_list_of_programs_and_the_rows_agree() -> None:
    """A program of the list has rows in a file of its name, and a row's program is in the list."""
    rows = {path.stem: set(re.findall(r"\bprogram: *([a-z0-9_-]+)", path.read_text(encoding="utf-8"))) for path in PROGRAM_ROWS}
    assert rows == {"main": set(), **{program: {program} for program in PROGRAMS}}
    for program in PROGRAMS:
        assert f"__programs_files_{program}" in load(ROOT / f"roles/programs/vars/main/{program}.yml")


@pytest.mark.parametrize("playbook", ["provision_mail", "preview_mail"])
def test_every_program_is_a_tag(playbook: str) -> None:
    play, *_others = load(ROOT / f"playbooks/{playbook}.yml")
    roles = {task["ansible.builtin.import_role"]["name"]: task["tags"] for task in play["tasks"]}
    tags = roles["msp.charter_mail.programs"]
    assert sorted(tags) == sorted(["programs", "terminal", *PROGRAMS])


def test_the_model_s_role_knows_no_program() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "roles/mail").rglob("*.yml"))
    assert not [program for program in PROGRAMS if re.search(rf"\b{program}\b", text, re.IGNORECASE)]


@pytest.mark.parametrize("template", TEMPLATES, ids=name)
def test_a_template_parses_and_decides_nothing(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    jinja2.Environment(extensions=["jinja2.ext.do"], autoescape=False).parse(text)
    account = r"(account|incoming|outgoing|person)[.\w]*"
    assert not re.search(rf"{account} *\| *(ansible\.builtin\.)?d(efault)?\b", text), "the model fills every default in"


def test_plain_text_is_not_expressible() -> None:
    for provider in load(ROOT / "roles/mail/vars/main/providers.yml")["__mail_providers"]:
        for server in (provider["imap"], provider["pop"], *provider["smtp"]):
            assert server["security"] in ("tls", "starttls")
    assert SECURITY == ("tls", "starttls")


@pytest.mark.parametrize("provider", ["charter", "spectrum", "roadrunner"])
def test_provider_facts_are_dated_and_sourced(provider: str) -> None:
    text = (ROOT / "roles/mail/vars/main/providers.yml").read_text(encoding="utf-8")
    before = text.partition(f"- name: {provider}\n")[0].rpartition("\n\n")[2]
    assert re.search(r"Checked \d{4}-\d\d-\d\d\. Source: ", before)


def test_only_public_parts_of_ansible_are_used() -> None:
    for path in (ROOT / "plugins").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "ansible._internal" not in text and "module_utils._internal" not in text, path
