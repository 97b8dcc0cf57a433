"""Thunderbird: preferences, evidence, XML, and the AutoConfig script run outside Thunderbird."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jinja2
import pytest
from ansible_collections.msp.charter_mail.plugins.plugin_utils import thunderbird
from ansible_collections.msp.charter_mail.plugins.plugin_utils.model import account_id

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "roles/thunderbird/templates"
NODE = shutil.which("node")
AWKWARD = 'O\'Brien "q" Zoë 名前 \\ % $ {{ 7*7 }} </script> \u2028 end'

# AutoConfig's functions on a plain object, as prefcalls.js has them; getPref says null for what is not set.
HOST = """
const input = JSON.parse(require("fs").readFileSync(0, "utf8"));
const prefs = input.prefs;
const sandbox = {
  getenv: name => input.env[name] || "",
  getPref: name => name in prefs ? prefs[name] : null,
  pref: (name, value) => { prefs[name] = value; },
  clearPref: name => { delete prefs[name]; },
};
require("vm").runInNewContext(input.script.slice(input.script.indexOf("\\n")), sandbox);
process.stdout.write(JSON.stringify(prefs));
"""

OWN = {
    "mail.accountmanager.accounts": "account2,account1",
    "mail.accountmanager.defaultaccount": "account2",
    "mail.accountmanager.localfoldersserver": "server1",
    "mail.account.account1.server": "server1",
    "mail.account.account2.server": "server2",
    "mail.account.account2.identities": "id1",
    "mail.server.server1.type": "none",
    "mail.server.server2.type": "imap",
    "mail.server.server2.hostname": "imap.own.test",
    "mail.server.server2.userName": "me",
    "mail.smtpservers": "smtp1",
    "mail.smtp.defaultserver": "smtp1",
}


def account(address: str = "jane@example.org", protocol: str = "imap", smtp: tuple[int, str] = (587, "starttls"), **changes: Any) -> Any:
    identity = account_id(protocol, address)
    return {
        "id": identity,
        "key": identity.replace("-", "")[:12],
        "address": address,
        "domain": address.rpartition("@")[2],
        "full_name": "Jane Doe",
        "organization": "",
        "incoming": {"protocol": protocol, "host": f"{protocol}.example.net", "port": 993, "security": "tls", "username": address},
        "outgoing": {"protocol": "smtp", "host": "smtp.example.net", "port": smtp[0], "security": smtp[1], "username": address},
        **changes,
    }


def person(login: str, *accounts: Any) -> Any:
    return {"login": login, "full_name": "", "accounts": list(accounts)}


def script(people: list[Any]) -> str:
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=False)  # it is JavaScript
    environment.filters["msp.charter_mail.to_thunderbird_accounts"] = thunderbird.people_json
    return environment.get_template("charter-mail.cfg.j2").render(people=people, mail_managed_header="Header")


def start(prefs: dict[str, Any], people: list[Any], **env: str) -> dict[str, Any]:
    """The preferences after a start of Thunderbird by jane."""
    if NODE is None:
        pytest.skip("node, which runs the script, is not installed; the fleet runs it in Thunderbird")
    data = json.dumps({"script": script(people), "prefs": prefs, "env": env or {"USER": "jane"}})
    done = subprocess.run([NODE, "-e", HOST], input=data, capture_output=True, text=True, check=True, encoding="utf-8")
    after: dict[str, Any] = json.loads(done.stdout)
    assert "charter_mail.error" not in after
    return after


def prefs_js(prefs: dict[str, Any]) -> str:
    return "".join(f'user_pref("{name}", {json.dumps(prefs[name])});\n' for name in sorted(prefs))


JANE, SECOND = account(), account("info@example.org")
KEY = f"charter_{JANE['key']}"
SERVER, SMTP, IDENTITY = f"mail.server.server_{KEY}.", f"mail.smtpserver.smtp_{KEY}.", f"mail.identity.id_{KEY}."


def test_security_is_written_out_and_never_derived_from_the_port() -> None:
    enforced = thunderbird.account_prefs(account(smtp=(587, "tls")))["enforced"]
    assert (enforced["smtp"]["port"], enforced["smtp"]["try_ssl"]) == (587, 3)
    assert enforced["server"]["socketType"] == 3
    assert thunderbird.account_prefs(JANE)["enforced"]["smtp"]["try_ssl"] == 2


def test_pop_leaves_mail_on_the_server() -> None:
    server = thunderbird.account_prefs(account(protocol="pop"))["enforced"]["server"]
    assert (server["type"], server["leave_on_server"], server["delete_by_age_from_server"]) == ("pop3", True, False)


def test_the_json_block_is_ascii_and_comes_back_whole() -> None:
    text = thunderbird.people_json([person("__proto__", account(full_name=AWKWARD))])
    assert text.isascii()
    (row,) = json.loads(text)
    assert row["login"] == "__proto__"
    assert row["accounts"][0]["seeded"]["identity"]["fullName"] == AWKWARD


def test_client_config_puts_imap_and_the_usual_server_first() -> None:
    accounts = [account("a@example.org", "pop", (465, "tls")), account("b@example.org"), account("c@example.org", "pop")]
    root = ElementTree.fromstring(thunderbird.client_config(accounts, "example.org"))
    assert [server.get("type") for server in root.iter("incomingServer")] == ["imap", "pop3"]
    assert [(s.findtext("port"), s.findtext("socketType")) for s in root.iter("outgoingServer")] == [("587", "STARTTLS"), ("465", "SSL")]
    assert root.findtext(".//pop3/leaveMessagesOnServer") == "true"


def test_a_fresh_profile_gets_the_accounts_in_the_sheet_s_order() -> None:
    prefs = start({}, [person("jane", JANE, SECOND), person("john", account("john@example.org"))])
    second = f"charter_{SECOND['key']}"
    assert prefs["mail.accountmanager.accounts"] == f"account_{KEY},account_{second}"
    assert prefs["mail.smtpservers"] == f"smtp_{KEY},smtp_{second}"
    assert "mail.accountmanager.defaultaccount" not in prefs
    assert not [name for name, value in prefs.items() if "john" in name or "john" in str(value)]
    assert start(prefs, [person("jane", JANE, SECOND)]) == prefs


def test_awkward_names_arrive() -> None:
    assert start({}, [person("jane", account(full_name=AWKWARD))])[IDENTITY + "fullName"] == AWKWARD


def test_own_accounts_stay_and_ours_leave_without_a_trace_in_the_lists() -> None:
    prefs = start(OWN, [person("jane", JANE)])
    assert prefs["mail.accountmanager.accounts"] == f"account2,account1,account_{KEY}"
    assert {name: value for name, value in prefs.items() if KEY not in name + str(value)} == {
        name: value for name, value in OWN.items() if name not in ("mail.accountmanager.accounts", "mail.smtpservers")
    }
    prefs |= {"mail.accountmanager.defaultaccount": f"account_{KEY}", "mail.smtp.defaultserver": f"smtp_{KEY}"}
    left = start(prefs, [])
    directory = f"{SERVER}directory-rel"
    defaults = ("mail.accountmanager.defaultaccount", "mail.smtp.defaultserver")
    assert left == {name: value for name, value in OWN.items() if name not in defaults} | {directory: prefs[directory]}


def test_a_stranger_s_login_takes_managed_accounts_out() -> None:
    assert (
        start(start(OWN, [person("jane", JANE)]), [person("jane", JANE)], USER="eve")["mail.accountmanager.accounts"] == "account2,account1"
    )


def test_managed_settings_are_put_back_and_the_person_s_stay() -> None:
    prefs = start({}, [person("jane", JANE)])
    prefs |= {
        SERVER + "hostname": "evil.test",
        SERVER + "port": "993",
        SMTP + "try_ssl": 0,
        IDENTITY + "fcc_folder": "imap://evil.test/Sent",
    }
    prefs |= {IDENTITY + "fullName": "Janey", IDENTITY + "htmlSigText": "--", SERVER + "check_time": 99}
    del prefs[SERVER + "login_at_startup"]
    after = start(prefs, [person("jane", account(full_name="Jane Roe"))])
    assert (after[SERVER + "hostname"], after[SERVER + "port"], after[SMTP + "try_ssl"]) == ("imap.example.net", 993, 2)
    assert (after[IDENTITY + "fullName"], after[IDENTITY + "htmlSigText"], after[SERVER + "check_time"]) == ("Janey", "--", 99)
    assert SERVER + "login_at_startup" not in after
    assert IDENTITY + "fcc_folder" not in after


def test_a_name_nobody_changed_follows_the_sheet() -> None:
    prefs = start({}, [person("jane", JANE)])
    assert start(prefs, [person("jane", account(full_name="Jane Roe"))])[IDENTITY + "fullName"] == "Jane Roe"


@pytest.mark.parametrize("port", [{}, {"mail.server.server2.port": 993}])
def test_the_same_account_made_by_hand_is_used(port: dict[str, Any]) -> None:
    own = OWN | {"mail.server.server2.hostname": "IMAP.example.net", "mail.server.server2.userName": "jane@example.org", **port}
    assert start(own, [person("jane", JANE)]) == own


@pytest.mark.parametrize(
    "env",
    [
        {"USER": "jane"},
        {"LOGNAME": "jane"},
        {"HOME": "/home/jane/"},
        {"OS": "Windows_NT", "USERNAME": "JANE", "USER": "other"},
    ],
)
def test_the_person_is_known_by_the_login(env: dict[str, str]) -> None:
    assert "mail.accountmanager.accounts" in start({}, [person("jane", JANE)], **env)


def test_evidence_holds_for_what_a_start_leaves_and_for_nothing_else() -> None:
    def shown(prefs: dict[str, Any]) -> bool:
        return all(re.search(line, prefs_js(prefs), re.MULTILINE) for line in thunderbird.evidence(JANE).splitlines())

    prefs = start(OWN, [person("jane", SECOND, JANE)])
    assert shown(prefs)
    assert not shown(OWN)
    assert not shown(start(prefs, [person("jane", SECOND)]))
    for name, value in (
        (SERVER + "hostname", "imap.example.netz"),
        (SERVER + "port", 9930),
        (SERVER + "socketType", 0),
        (SERVER + "userName", "xjane@example.org"),
        (SMTP + "port", 465),
        (SMTP + "try_ssl", 0),
        ("mail.accountmanager.accounts", "account2,account1"),
        ("mail.smtpservers", "smtp1"),
    ):
        assert not shown(prefs | {name: value}), name
