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
from ansible_collections.msp.charter_mail.plugins.plugin_utils.formats import thunderbird
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.account import account_id

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "roles/programs/templates/thunderbird"
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


def script(people: list[Any], adopt: bool = False) -> str:
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=False)  # it is JavaScript
    environment.filters["msp.charter_mail.to_thunderbird"] = thunderbird.people_json
    return environment.get_template("charter-mail.cfg.j2").render(people=people, mail_managed_header="Header", adopt=str(adopt).lower())


def start(prefs: dict[str, Any], people: list[Any], adopt: bool = False, **env: str) -> dict[str, Any]:
    """The preferences after a start of Thunderbird by jane."""
    if NODE is None:
        pytest.skip("node, which runs the script, is not installed; the fleet runs it in Thunderbird")
    data = json.dumps({"script": script(people, adopt), "prefs": prefs, "env": env or {"USER": "jane"}})
    done = subprocess.run([NODE, "-e", HOST], input=data, capture_output=True, text=True, check=True, encoding="utf-8")
    after: dict[str, Any] = json.loads(done.stdout)
    assert "charter_mail.error" not in after
    return after


def prefs_js(prefs: dict[str, Any]) -> str:
    return "".join(f'user_pref("{name}", {json.dumps(prefs[name])});\n' for name in sorted(prefs))


JANE, SECOND = account(), account("info@example.org")
KEY = f"charter_{JANE['key']}"
LISTS = ("mail.accountmanager.accounts", "mail.smtpservers")
OUR_DEFAULTS = {"mail.accountmanager.defaultaccount": f"account_{KEY}", "mail.smtp.defaultserver": f"smtp_{KEY}"}
IDENTITIES = f"mail.account.account_{KEY}.identities"
SERVER, SMTP, IDENTITY = f"mail.server.server_{KEY}.", f"mail.smtpserver.smtp_{KEY}.", f"mail.identity.id_{KEY}."


def not_ours(prefs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in prefs.items() if KEY not in name + str(value) and name not in (*LISTS, "charter_mail.login")}


def folder(host: str, path: str, user: str = "jane%40example.org") -> str:
    return f"imap://{user}@{host}/{path}"


def on(host: str) -> Any:
    """Jane's account when the provider's host is this one."""
    return account(incoming={**JANE["incoming"], "host": host})


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


def test_own_accounts_stay_and_ours_leave_the_lists() -> None:
    prefs = start(OWN, [person("jane", JANE)])
    assert prefs["mail.accountmanager.accounts"] == f"account2,account1,account_{KEY}"
    assert not_ours(prefs) == {name: value for name, value in OWN.items() if name not in LISTS}
    prefs |= OUR_DEFAULTS
    left = start(prefs, [])
    assert {name: left.get(name) for name in (*LISTS, *OUR_DEFAULTS)} == {
        **{name: OWN[name] for name in LISTS},
        **dict.fromkeys(OUR_DEFAULTS),
    }
    assert not_ours(left) == {name: value for name, value in OWN.items() if name not in (*LISTS, *OUR_DEFAULTS)}


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
        IDENTITY + "fcc_folder": folder("evil.test", "Sent"),
    }
    prefs |= {IDENTITY + "fullName": "Janey", IDENTITY + "htmlSigText": "--", SERVER + "check_time": 99}
    del prefs[SERVER + "login_at_startup"]
    after = start(prefs, [person("jane", account(full_name="Jane Roe"))])
    assert (after[SERVER + "hostname"], after[SERVER + "port"], after[SMTP + "try_ssl"]) == ("imap.example.net", 993, 2)
    assert (after[IDENTITY + "fullName"], after[IDENTITY + "htmlSigText"], after[SERVER + "check_time"]) == ("Janey", "--", 99)
    assert SERVER + "login_at_startup" not in after
    assert after[IDENTITY + "fcc_folder"] == folder("imap.example.net", "Sent")


def test_a_name_nobody_changed_follows_the_sheet() -> None:
    prefs = start({}, [person("jane", account(organization="Example"))])
    for before in (prefs, start(prefs, [])):  # at once, and after a time away
        after = start(before, [person("jane", account(full_name="Jane Roe"))])
        assert after[IDENTITY + "fullName"] == "Jane Roe"
        assert IDENTITY + "organization" not in after


# What a person may have chosen in our account: names, a second identity, a signature, folders here and elsewhere, a default.
CHOSEN = {
    IDENTITY + "fullName": "Janey",
    IDENTITY + "htmlSigText": AWKWARD,
    IDENTITY + "fcc_folder": "mailbox://nobody@Local%20Folders/Sent",
    IDENTITY + "draft_folder": "imap://me@imap.own.test/Drafts",
    IDENTITY + "archive_folder": folder("imap.example.net", "Old%20mail/2020"),
    IDENTITY + "fcc_folder_picker_mode": "1",
    SERVER + "name": "Work",
    SERVER + "spamActionTargetFolder": folder("imap.example.net", "Spam"),
    SMTP + "description": "Work's",
    IDENTITIES: f"id_{KEY},id7",
    "mail.identity.id7.useremail": "alias@example.org",
    "mail.identity.id7.fullName": "Alias",
    "mail.identity.id7.htmlSigFormat": True,
    "mail.identity.id7.reply_on_top": 1,
    "mail.identity.id7.stationery_folder": folder("imap.example.net", "Templates"),
    # Another account of the person's has its sent mail in ours.
    "mail.identity.id1.fcc_folder": folder("imap.example.net", "Sent"),
    **OUR_DEFAULTS,
}


def working() -> dict[str, Any]:
    """Jane's profile after a while: own accounts, ours, what she chose in it, and what she switched off."""
    prefs = start(OWN, [person("jane", JANE)]) | CHOSEN
    del prefs[SERVER + "login_at_startup"]
    return start(prefs, [person("jane", JANE)])


def seen(prefs: dict[str, Any]) -> dict[str, Any]:
    """What a profile comes to, whatever keys the further identities of our account have."""
    ids = [word for word in prefs[IDENTITIES].split(",") if word != f"id_{KEY}"]
    named: dict[str, Any] = {IDENTITIES: len(ids)}
    for name, value in prefs.items():
        found = next((number for number, key in enumerate(ids) if name.startswith(f"mail.identity.{key}.")), None)
        key = name if found is None else f"further {found} {name.rpartition('.')[2]}"
        named |= {} if name in (IDENTITIES, f"charter_mail.{KEY}") else {key: value}
    return named


def test_leaving_and_returning_gives_everything_back() -> None:
    before = working()
    assert {name: before[name] for name in CHOSEN} == CHOSEN
    left = start(before, [])
    assert KEY not in left["mail.accountmanager.accounts"] + left["mail.smtpservers"]
    assert start(left, []) == left
    for prefs in (left, left | {"mail.accountmanager.defaultaccount": "account2", "mail.smtp.defaultserver": "smtp1"}):
        assert seen(start(prefs, [person("jane", JANE)])) == seen(before)


def test_leaving_twice_loses_no_identity() -> None:
    once = start(start(working(), []), [person("jane", JANE)])
    once |= {IDENTITIES: once[IDENTITIES] + ",id7", "mail.identity.id7.useremail": "more@example.org"}
    twice = seen(start(start(once, []), [person("jane", JANE)]))
    assert twice == seen(once)
    assert (twice["further 0 useremail"], twice["further 1 useremail"]) == ("alias@example.org", "more@example.org")


def test_an_identity_made_in_the_meantime_is_another() -> None:
    """Thunderbird gives it the first number that no loaded account has."""
    left = start(working(), [])
    assert not [name for name in left if name.startswith("mail.identity.id7.")]
    left |= {"mail.account.account2.identities": "id1,id7", "mail.identity.id7.useremail": "me@own.test"}
    back = start(left, [person("jane", JANE)])
    assert (back["mail.account.account2.identities"], back["mail.identity.id7.useremail"]) == ("id1,id7", "me@own.test")
    assert seen(back)["further 0 useremail"] == "alias@example.org"


def test_an_identity_that_another_account_has_too_stays_where_it_is() -> None:
    before = working() | {"mail.account.account2.identities": "id1,id7"}
    left = start(before, [])
    assert left["mail.identity.id7.useremail"] == "alias@example.org"
    assert seen(start(left, [person("jane", JANE)])) == seen(before)


@pytest.mark.parametrize("away", [False, True])
def test_folders_follow_the_provider_s_host_and_others_stay(away: bool) -> None:
    before = working()
    after = start(start(before, []) if away else before, [person("jane", on("imap.new.test"))])
    for name, value in seen(before).items():
        moved = isinstance(value, str) and value.startswith("imap://jane")
        assert seen(after)[name] == (value.replace("imap.example.net", "imap.new.test") if moved or name == SERVER + "hostname" else value)
    assert sum("@imap.new.test/" in str(value) for value in after.values()) == 4


@pytest.mark.parametrize("away", [False, True])
def test_folders_of_one_account_in_another_follow_it(away: bool) -> None:
    boxes, name = [SECOND, JANE], f"mail.identity.id_charter_{SECOND['key']}.fcc_folder"
    before = start({}, [person("jane", *boxes)]) | {name: folder("imap.example.net", "Sent")}
    moved = [{**box, "incoming": {**box["incoming"], "host": "imap.new.test"}} for box in boxes]
    assert start(start(before, []) if away else before, [person("jane", *moved)])[name] == folder("imap.new.test", "Sent")


# Letters, digits and *-._ stand for themselves in an address of IMAP (netwerk's ESCAPE_XALPHA), in one of POP also !~'().
@pytest.mark.parametrize(("protocol", "scheme", "themselves"), [("imap", "imap", "*._-"), ("pop", "mailbox", "*._!~'()-")])
@pytest.mark.parametrize("user", ["o'brien@example.org", "a!b~c*d+e(f)@example.org", "x#%&=?^{|}$/`@example.org"])
def test_an_address_is_known_as_thunderbird_writes_it(user: str, protocol: str, scheme: str, themselves: str) -> None:
    escaped = re.sub(rf"[^A-Za-z0-9{themselves}]", lambda sign: f"%{ord(sign.group()):02X}", user)
    box = account(user, protocol)
    name = f"mail.identity.id_charter_{box['key']}.fcc_folder"
    prefs = start({}, [person("jane", box)]) | {name: f"{scheme}://{escaped}@{protocol}.example.net/Sent"}
    after = start(prefs, [person("jane", {**box, "incoming": {**box["incoming"], "host": "mail.new.test"}})])
    assert after[name] == f"{scheme}://{escaped}@mail.new.test/Sent"


@pytest.mark.parametrize(
    "other",
    [
        folder("imap.example.net.own.test", "Sent"),
        folder("imap.example.net", "Sent", "jane%"),
        "Sent",
        7,
        "mailbox://jane%40example.org@imap.example.net",
    ],
)
def test_what_is_no_folder_of_ours_does_not_follow(other: str | int) -> None:
    name = IDENTITY + "fcc_folder"
    assert start(start({}, [person("jane", JANE)]) | {name: other}, [person("jane", on("imap.new.test"))])[name] == other


def test_what_the_person_removed_in_thunderbird_is_made_anew() -> None:
    first = start({}, [person("jane", JANE)])
    for branch in (SERVER, SMTP, IDENTITY):
        prefs = {name: value for name, value in first.items() if not name.startswith(branch)}
        assert start(prefs, [person("jane", JANE)]) == first


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
        {"USER": "jane", "LOGNAME": "jane", "HOME": "/home/acme.local/jdoe/"},
        {"OS": "Windows_NT", "USERNAME": "JANE", "USER": "other"},
    ],
)
def test_the_person_is_known_by_the_login(env: dict[str, str]) -> None:
    assert "mail.accountmanager.accounts" in start({}, [person("jane", JANE)], **env)


JOHN = account("john@example.org")


@pytest.mark.parametrize(
    "env",
    [
        {"USER": "root", "LOGNAME": "jane", "HOME": "/home/jane"},
        {"USER": "root", "LOGNAME": "root", "HOME": "/home/jane"},
        {"USER": "john", "LOGNAME": "john", "HOME": "/home/jane/"},
        {"USER": "john", "LOGNAME": "john", "HOME": "/home/jdoe"},
        {"USER": "ACME\\jane", "HOME": "/home/jane"},
        {"USER": "jane@acme.local", "LOGNAME": "jane@acme.local", "HOME": "/home/jane@acme.local"},
        {"OS": "Windows_NT", "USERNAME": "Administrator", "USERPROFILE": "C:\\Users\\jane\\"},
    ],
)
def test_nothing_changes_where_it_is_not_certain_who_it_is(env: dict[str, str]) -> None:
    before = working()
    moved = [person("jane", on("imap.new.test")), person("john", JOHN)]
    assert start(before, moved, **env) == before


@pytest.mark.parametrize(
    "env", [{"HOME": "/home/jdoe"}, {"HOME": "/home/john"}, {"PATH": "/bin"}, {"OS": "Windows_NT", "USERPROFILE": "C:\\Users\\john"}]
)
def test_where_nothing_says_who_it_is_the_profile_is_whose_it_was(env: dict[str, str]) -> None:
    before, people = working(), [person("jane", JANE), person("john", JOHN)]
    assert start(before, people, **env) == before
    assert start(before, [person("jane", on("imap.new.test"))], **env)[SERVER + "hostname"] == "imap.new.test"
    assert start(before, [person("john", JOHN)], **env) == before  # nor do accounts go before it is known who it is


@pytest.mark.parametrize("login", ["jane", "jane@acme.local"])
def test_the_login_of_a_domain_is_not_that_of_the_machine(login: str) -> None:
    other = {"jane": "jane@acme.local", "jane@acme.local": "jane"}[login]
    prefs = start({}, [person(login, JANE)], USER=login)
    assert start(prefs, [person(other, JOHN)], USER=login) == prefs


@pytest.mark.parametrize("env", [{"USER": "jane", "LOGNAME": "jane", "HOME": "/home/jdoe"}, {"USER": "eve", "HOME": "/home/eve"}])
def test_accounts_of_somebody_who_is_known_and_left_go(env: dict[str, str]) -> None:
    assert KEY not in start(working(), [person("john", JOHN)], **env)["mail.accountmanager.accounts"]


@pytest.mark.parametrize("home", ["/home/jroe", "/home/jane"])
def test_a_new_login_of_the_same_person_is_taken(home: str) -> None:
    after = start(working(), [person("jroe", on("imap.new.test"))], USER="jroe", LOGNAME="jroe", HOME=home)
    assert after[SERVER + "hostname"] == "imap.new.test"
    assert start(after, [], USER="jroe", HOME="/home/elsewhere")["mail.accountmanager.accounts"] == "account2,account1"


def test_a_profile_that_came_to_another_person_has_that_person_s_accounts() -> None:
    prefs = start(working(), [person("jane", JANE), person("john", JOHN)], USER="john", LOGNAME="john", HOME="/home/john")
    assert prefs["mail.accountmanager.accounts"] == f"account2,account1,account_charter_{JOHN['key']}"


def by_hand(
    port: int = 143, socket: int = 0, user: str = "jane@example.org", email: str = "jane@example.org", **more: Any
) -> dict[str, Any]:
    """A profile in which Jane has made the account for her mailbox herself, beside another one, with choices of her own."""
    return {
        **OWN,
        "mail.accountmanager.accounts": "account2,account3,account1",
        "mail.account.account3.server": "server3",
        "mail.account.account3.identities": "id4,id3",
        "mail.server.server3.type": "imap",
        "mail.server.server3.hostname": "IMAP.example.net",
        "mail.server.server3.userName": user,
        "mail.server.server3.port": port,
        "mail.server.server3.socketType": socket,
        "mail.server.server3.name": "My mail",
        "mail.server.server3.directory-rel": "[ProfD]ImapMail/imap.example.net",
        "mail.identity.id3.useremail": email,
        "mail.identity.id3.fullName": "Jenny",
        "mail.identity.id3.htmlSigText": "Yours",
        "mail.identity.id3.fcc_folder": folder("imap.example.net", "Sent", user.replace("@", "%40")),
        "mail.identity.id4.useremail": "alias@elsewhere.test",
        "mail.identity.id4.smtpServer": "smtp1",
        "mail.identity.id3.smtpServer": "smtp3",
        "mail.smtpservers": "smtp1,smtp3",
        "mail.smtpserver.smtp3.hostname": "smtp.example.net",
        "mail.smtpserver.smtp3.port": 25,
        "mail.smtpserver.smtp3.try_ssl": 0,
        **more,
    }


SECURITIES = [(143, 0), (143, 2), (993, 2), (993, 3)]


@pytest.mark.parametrize(("port", "socket"), SECURITIES)
def test_an_own_account_for_the_mailbox_stays_as_it_is(port: int, socket: int) -> None:
    before = by_hand(port, socket)
    after = start(before, [person("jane", JANE)])
    assert after == before, "Thunderbird would drop ours, so it is not put in"


@pytest.mark.parametrize(("port", "socket"), SECURITIES)
def test_an_own_account_is_taken_over_in_its_place_when_the_office_says_so(port: int, socket: int) -> None:
    before = by_hand(port, socket)
    after = start(before, [person("jane", JANE)], adopt=True)
    assert after == before | {
        "mail.server.server3.port": 993,
        "mail.server.server3.socketType": 3,
        "mail.server.server3.authMethod": 3,
        "mail.server.server3.hostname": "imap.example.net",
        "mail.smtpserver.smtp3.type": "smtp",
        "mail.smtpserver.smtp3.port": 587,
        "mail.smtpserver.smtp3.try_ssl": 2,
        "mail.smtpserver.smtp3.authMethod": 3,
        "mail.smtpserver.smtp3.username": "jane@example.org",
        "mail.smtpserver.smtp3.incomingAccount": "server3",
    }
    assert start(after, [person("jane", JANE)], adopt=True) == after
    # It is the person's: it stays when the person leaves, and when the office says otherwise.
    assert start(after, [], adopt=True) == after
    assert start(after, [person("jane", JANE)]) == after


def test_a_short_login_becomes_the_whole_address_and_folders_follow() -> None:
    before = by_hand(user="jane")
    after = start(before, [person("jane", JANE)], adopt=True)
    assert after["mail.server.server3.userName"] == "jane@example.org"
    assert after["mail.identity.id3.fcc_folder"] == folder("imap.example.net", "Sent")
    assert after["mail.accountmanager.accounts"] == before["mail.accountmanager.accounts"]
    # Ours, which Thunderbird has beside it until then, makes way; not one that has fetched mail by POP.
    both = start(before, [person("jane", JANE)])
    assert f"account_{KEY}" in both["mail.accountmanager.accounts"]
    assert start(both, [person("jane", JANE)], adopt=True)["mail.accountmanager.accounts"] == before["mail.accountmanager.accounts"]
    pop = account(protocol="pop", incoming={**JANE["incoming"], "protocol": "pop", "host": "imap.example.net", "port": 995})
    fetched = start(before | {"mail.server.server3.type": "pop3"}, [person("jane", pop)])
    assert start(fetched, [person("jane", pop)], adopt=True) == fetched


@pytest.mark.parametrize(
    "shared",
    [
        {"mail.account.account2.identities": "id1", "mail.identity.id1.smtpServer": "smtp3"},
        {"mail.smtpserver.smtp3.hostname": "relay.isp.test"},
    ],
)
def test_an_outgoing_server_that_is_used_otherwise_stays(shared: dict[str, Any]) -> None:
    before = by_hand(**shared)
    after = start(before, [person("jane", JANE)], adopt=True)
    mine = f"smtp_adopted_{KEY}"
    assert {name: value for name, value in after.items() if ".smtp3." in name} == {
        name: value for name, value in before.items() if ".smtp3." in name
    }
    assert (after["mail.identity.id3.smtpServer"], after["mail.smtpservers"]) == (mine, f"smtp1,smtp3,{mine}")
    assert (after[f"mail.smtpserver.{mine}.port"], after[f"mail.smtpserver.{mine}.try_ssl"]) == (587, 2)
    assert after["mail.identity.id4.smtpServer"] == "smtp1"
    assert start(after, [person("jane", JANE)], adopt=True) == after
    assert start(after, [], adopt=True) == after


@pytest.mark.parametrize(
    "other",
    [
        {"mail.server.server3.hostname": "imap.elsewhere.test"},
        {"mail.server.server3.type": "pop3"},
        {"mail.server.server3.userName": "info@example.org"},
        {"mail.server.server3.userName": "jane", "mail.identity.id3.useremail": "jane@elsewhere.test"},
    ],
)
def test_an_account_for_another_mailbox_or_server_is_never_taken_over(other: dict[str, Any]) -> None:
    before = by_hand(**other)
    after = start(before, [person("jane", JANE)], adopt=True)
    assert not_ours(after) == {name: value for name, value in before.items() if name not in LISTS}
    assert f"account_{KEY}" in after["mail.accountmanager.accounts"]
