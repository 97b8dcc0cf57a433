"""Every value of an account reaches every program that has use for it: change one value, and see whose files change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.account import Account, Incoming, Outgoing
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.programs import PROGRAMS

from tests.playbook import play, tree

SERVER = {"host": "in.example.net", "port": 1001, "security": "tls"}
SUBMISSION = {"host": "out.example.net", "port": 587, "security": "starttls"}

# Which file is whose, by a word in its path.
WORDS = {
    "thunderbird": "thunderbird",
    "msmtp": "msmtp",
    "mbsync": "syncrc",
    "neomutt": "neomutt",
    "aerc": "aerc",
    "evolution": "evolution",
    "claws": "claws",
}

INCOMING = {"incoming.host", "incoming.port", "incoming.security"}
OUTGOING = {"outgoing.host", "outgoing.port", "outgoing.security"}
# What a program's files do not hold, and need not.
UNUSED = {
    "thunderbird": {"password_command"},
    "msmtp": INCOMING | {"full_name", "organization", "protocol"},
    "mbsync": OUTGOING | {"full_name", "organization"},
    "neomutt": {"organization"},
    "aerc": {"organization"},
    "evolution": {"password_command"},
    "claws": {"password_command"},
}


def machine(
    server: Mapping[str, Any] = SERVER, smtp: Mapping[str, Any] = SUBMISSION, row: Mapping[str, Any] | None = None, **settings: Any
) -> Any:
    account = {"address": "jane@example.org", "full_name": "Jane Doe", "login": "jane", **(row or {})}
    provider = {"name": "charter", "imap": dict(server), "pop": dict(server), "smtp": [dict(smtp)]}
    return {"mail_office": "Office", "mail_programs": list(PROGRAMS), "mail_providers": [provider], "mail_accounts": [account], **settings}


VARIANTS = {
    "address": machine(row={"address": "john@example.org"}),
    "full_name": machine(row={"full_name": "Jane Roe"}),
    "login": machine(row={"login": "jroe"}),
    "protocol": machine(row={"protocol": "pop"}),
    "incoming.host": machine(server={**SERVER, "host": "other.example.net"}),
    "incoming.port": machine(server={**SERVER, "port": 1002}),
    "incoming.security": machine(server={**SERVER, "security": "starttls"}),
    "outgoing.host": machine(smtp={**SUBMISSION, "host": "other.example.net"}),
    "outgoing.port": machine(smtp={**SUBMISSION, "port": 465}),
    "outgoing.security": machine(smtp={**SUBMISSION, "security": "tls"}),
    "organization": machine(mail_office="Other"),
    "password_command": machine(mail_password_command="own {address}"),
}
# Said by the others: made of the address and the protocol, or not for files of a machine.
DERIVED = {"id", "key", "local_part", "domain", "programs", "phones", "primary", "provider", "username", "incoming", "outgoing"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, bytes]]:
    """machine -> path -> content; the machine `base`, and one machine per value that differs from it in this value alone."""
    office = tmp_path_factory.mktemp("values")
    hosts = {name.replace(".", "_"): variables for name, variables in {"base": machine(), **VARIANTS}.items()}
    (office / "hosts.yml").write_text(yaml.safe_dump({"linux": {"hosts": hosts}}), encoding="utf-8")
    run = play("playbooks/preview_mail.yml", "-i", office, "-e", f"mail_preview_dir={office}/seen")
    assert run.code == 0, run.out
    return {
        name: {path: content for path, content in tree(office / "seen" / name).items() if not path.endswith("state.json")} for name in hosts
    }


def test_every_value_of_the_model_is_tried() -> None:
    names = {*Account.__annotations__, *Incoming.__annotations__} - DERIVED
    assert set(Incoming.__annotations__) == set(Outgoing.__annotations__)
    assert {part for name in VARIANTS for part in name.split(".")} - {"incoming", "outgoing"} == names


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_value_reaches_the_program(program: str, files: Mapping[str, Mapping[str, bytes]]) -> None:
    def of(name: str) -> dict[str, bytes]:
        return {path: content for path, content in files[name.replace(".", "_")].items() if WORDS[program] in path}

    assert of("base"), sorted(files["base"])
    reached = {value for value in VARIANTS if of(value) != of("base")}
    assert reached == set(VARIANTS) - UNUSED[program]
