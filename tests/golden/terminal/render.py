"""Render the role's table for the people of people.json with Ansible's own templating; print {"login/path": text} as JSON.

A process of its own, because Ansible's collection loader cannot be set up once tests have imported the collection.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles/terminal"
HEADER = "Managed by charter-mail: changes are put back by the next run."


def trusted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: trusted(each) for key, each in value.items()}
    if isinstance(value, list):
        return [trusted(each) for each in value]
    return trust_as_template(value) if isinstance(value, str) else value


def load(path: str) -> dict[str, Any]:
    return dict(trusted(yaml.safe_load((ROLE / path).read_text(encoding="utf-8"))))


def render(people: list[dict[str, Any]], versions: dict[str, str | None], more: dict[str, Any]) -> dict[str, str]:
    """People's data stays untrusted text, as it is in a run."""
    facts = {"programs": {name: {"installed": True, "version": version} for name, version in versions.items()}}
    common = {**load("defaults/main.yml"), **load("vars/main.yml"), "mail_facts": facts, "mail_managed_header": HEADER, **more}
    files = {}
    for row in Templar(DataLoader(), common).template(trust_as_template("{{ __terminal_files }}")):
        text = trust_as_template((ROLE / "templates" / row["template"]).read_text(encoding="utf-8"))
        for person in people:
            accounts = [account for account in person["accounts"] if row["program"] in account["programs"]]
            if accounts:
                own = {**common, **row.get("vars", {}), "person": person, "accounts": accounts, "account": accounts[0]}
                rendered = Templar(DataLoader(), own).template(text, escape_backslashes=False)
                files[f"{person['login']}/{row['dest']}"] = str(rendered)
    return files


if __name__ == "__main__":
    init_plugin_loader([str(ROOT / "collections")])
    print(json.dumps(render(**json.load(sys.stdin))))
