"""Golden files of the role `terminal`: rendered by Ansible's own templating, from the role's own table.

`UPDATE_GOLDEN=1 pytest tests/golden/test_terminal.py` writes them anew.
"""

from __future__ import annotations

import configparser
import email.headerregistry
import email.parser
import email.policy
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles/terminal"
EXPECTED = Path(__file__).parent / "terminal/expected"
PEOPLE = json.loads((Path(__file__).parent / "people.json").read_text(encoding="utf-8"))
HEADER = "Managed by charter-mail: changes are put back by the next run."
# What Debian 12 and Debian 13 have. Null, the version is not known, must give what the newest gives.
VERSIONS = {
    "old": {"mbsync": "1.4.4", "aerc": "0.14.0"},
    "new": {"mbsync": "1.5.1", "aerc": "0.20.0"},
    "unknown": {"mbsync": None, "aerc": None},
}


def _trusted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _trusted(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_trusted(each) for each in value]
    return trust_as_template(value) if isinstance(value, str) else value


def _load(path: str) -> dict[str, Any]:
    return dict(_trusted(yaml.safe_load((ROLE / path).read_text(encoding="utf-8"))))


def render(dialect: str, people: list[dict[str, Any]] = PEOPLE, **variables: Any) -> dict[str, str]:
    """Every file of the role's table for every person: "login/path" -> text. People's data is untrusted text."""
    facts = {"programs": {name: {"installed": True, "version": version} for name, version in VERSIONS[dialect].items()}}
    common = {**_load("defaults/main.yml"), **_load("vars/main.yml"), "mail_facts": facts, "mail_managed_header": HEADER, **variables}
    rows = Templar(DataLoader(), common).template(trust_as_template("{{ __terminal_files }}"))
    files = {}
    for row in rows:
        text = trust_as_template((ROLE / "templates" / row["template"]).read_text(encoding="utf-8"))
        for person in people:
            accounts = [account for account in person["accounts"] if row["program"] in account["programs"]]
            if accounts:
                own = {**common, **row.get("vars", {}), "person": person, "accounts": accounts, "account": accounts[0]}
                rendered = Templar(DataLoader(), own).template(text, escape_backslashes=False)
                files[f"{person['login']}/{row['dest']}"] = str(rendered)
    return files
