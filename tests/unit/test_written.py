"""What the check of an office lets through, the templates can write, and what it refuses, they cannot."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office import written
from jinja2 import Environment, FileSystemLoader

from tests.playbook import ROOT

TEMPLATES = {
    "msmtp": "msmtp/msmtprc.j2",
    "mbsync": "mbsync/mbsyncrc.j2",
    "neomutt": "neomutt/charter-mail.rc.j2",
    "aerc": "aerc/accounts.conf.j2",
    "claws": "claws/accountrc.j2",
}
FOLDERS = {"sent": "Sent", "drafts": "Drafts", "trash": "Trash"}
SCHEMES = {name: {"tls": f"{name}s", "starttls": name} for name in ("imap", "pop", "smtp")}
LONG = "a" * 64 + "@" + ".".join(["b" * 60] * 4) + ".example.org"
TEXTS = ["plain", "%(source)s", "100% (sure)", "back`tick `twice", 'a "quote" and \\ more', "$HOME ~ #", "ä" * 200, "%()s", "a'b;c,d"]
COMMANDS = [*TEXTS, *("c" * length for length in (440, 460, 465, 466, 470, 900, 986, 989, 990, 2000)), '"' * 480, "ü" * 240]


def environment() -> Environment:
    found = Environment(loader=FileSystemLoader(ROOT / "roles/programs/templates"), trim_blocks=True, autoescape=False)
    for path in (ROOT / "plugins/filter").glob("*.py"):
        module = importlib.import_module(f"ansible_collections.msp.charter_mail.plugins.filter.{path.stem}")
        found.filters |= {f"msp.charter_mail.{name}": function for name, function in module.FilterModule().filters().items()}
    return found


ENVIRONMENT = environment()


def account(program: str, **fields: str) -> dict[str, Any]:
    address = fields.get("address", "jane@example.org")
    server = {"host": "mail.example.org", "port": 993, "security": "tls", "username": address}
    return {
        "key": "0123456789ab",
        "address": address,
        "full_name": "Jane Doe",
        "password_command": "pass show mail",
        "programs": [program],
        "incoming": {**server, "protocol": "imap"},
        "outgoing": {**server, "port": 465, "protocol": "smtp"},
        **fields,
    }


def can_write(program: str, given: dict[str, Any], **settings: Any) -> bool:
    words = {"tls": "off", "starttls": "on"}
    try:
        ENVIRONMENT.get_template(TEMPLATES[program]).render(
            accounts=[given],
            **{"mail_managed_header": "ours", "tls_starttls": words, "tls_types": words, "schemes": SCHEMES, "smtp_lines": {"tls": []}},
            **{"protocols": {"imap": 1}, "ssl": {"tls": 1}, "config_version": 5},
            **{"terminal_maildir": "Mail", "terminal_folders": FOLDERS, **settings},
        )
    except AnsibleFilterError:
        return False
    return True


CASES = [
    *(("full_name", text) for text in TEXTS),
    *(("password_command", text) for text in COMMANDS),
    *(("address", text) for text in ("jane@example.org", "o'brien+x%y@example.org", "{a}#$&`|~^@example.org", LONG)),
]


@pytest.mark.parametrize("program", TEMPLATES)
def test_a_person_s_fields(program: str) -> None:
    for field, text in CASES:
        given = account(program, **{field: text})
        assert can_write(program, given) == (not list(written.unwritable(given))), (field, text)


def test_the_settings_of_the_role() -> None:
    for text in ("Mail", *TEXTS, "m" * 600, "m" * 660, "m" * 670, "m" * 900):
        folders = {**FOLDERS, "drafts": text}
        for name, value, programs in (("terminal_maildir", text, ["mbsync"]), ("terminal_folders", folders, ["aerc", "neomutt"])):
            known = all(can_write(program, account(program, address=LONG), **{name: value}) for program in programs)
            assert known == (not list(written.setting_problems(name, value))), (name, text)


def test_all_programs_of_the_role_are_tried() -> None:
    folder = ROOT / "roles/programs/templates"
    known = {*TEMPLATES.values(), "neomutt/neomuttrc.j2", "claws/folderlist.xml.j2"}
    known |= {str(path.relative_to(folder)) for name in ("thunderbird", "evolution") for path in (folder / name).iterdir()}
    assert known == {str(path.relative_to(folder)) for path in folder.rglob("*.j2")}
