"""The model: rows + provider + policy -> complete accounts."""

from __future__ import annotations

import re
import shlex
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office import check, names
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.account import account_id
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.check import Machine, check_office, check_row
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.model import resolve_people
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.policy import Policy
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
PROVIDERS = yaml.safe_load((ROOT / "roles/mail/vars/main/providers.yml").read_text())["__mail_providers"]


def policy(**settings: Any) -> Policy:
    return Policy.of({"providers": PROVIDERS, "platform": "linux", **settings})


def row(**cells: str) -> dict[str, str]:
    return {"source": "staff.csv:2", "address": "jane@example.org", "full_name": "Jane Doe", "machines": "desk-01", "login": "jane"} | cells


def office(*rows: dict[str, str], machines: dict[str, Machine] | None = None, **settings: Any) -> list[str]:
    chosen = policy(**settings)
    numbered = [{**each, "source": f"staff.csv:{number}"} for number, each in enumerate(rows, start=2)]
    there = {"desk-01": Machine(chosen), "desk-02": Machine(chosen)} if machines is None else machines
    return [str(problem) for problem in check_office(numbered, there, chosen)]


def test_an_account_is_complete() -> None:
    (person,) = resolve_people([row()], policy(organization="Example Office"))
    (account,) = person["accounts"]
    assert person == {"login": "jane", "full_name": "Jane Doe", "accounts": [account]}
    assert account == {
        "id": account["id"],
        "key": account["id"].replace("-", "")[:12],
        "address": "jane@example.org",
        "local_part": "jane",
        "domain": "example.org",
        "full_name": "Jane Doe",
        "organization": "Example Office",
        "login": "jane",
        "provider": "charter",
        "incoming": {"protocol": "imap", "host": "imap.charter.net", "port": 993, "security": "tls", "username": "jane@example.org"},
        "outgoing": {"protocol": "smtp", "host": "smtp.charter.net", "port": 587, "security": "starttls", "username": "jane@example.org"},
        "password_command": "secret-tool lookup service charter-mail user jane@example.org",
        "programs": ["thunderbird"],
        "phones": [],
        "primary": True,
    }


@pytest.mark.parametrize(
    ("cells", "settings", "incoming", "outgoing"),
    [
        ({}, {}, ("imap.charter.net", 993, "tls"), ("smtp.charter.net", 587, "starttls")),
        ({"protocol": "POP"}, {}, ("pop.charter.net", 995, "tls"), ("smtp.charter.net", 587, "starttls")),
        ({"smtp_port": "465"}, {}, ("imap.charter.net", 993, "tls"), ("smtp.charter.net", 465, "tls")),
        ({}, {"smtp_port": "465"}, ("imap.charter.net", 993, "tls"), ("smtp.charter.net", 465, "tls")),
        ({"smtp_port": "587"}, {"smtp_port": 465}, ("imap.charter.net", 993, "tls"), ("smtp.charter.net", 587, "starttls")),
        ({}, {"provider": "spectrum"}, ("mobile.charter.net", 993, "tls"), ("mobile.charter.net", 587, "tls")),
        ({"protocol": "pop"}, {"provider": "roadrunner"}, ("mail.twc.com", 995, "tls"), ("mail.twc.com", 587, "starttls")),
    ],
)
def test_servers(cells: dict[str, str], settings: dict[str, Any], incoming: tuple[Any, ...], outgoing: tuple[Any, ...]) -> None:
    (person,) = resolve_people([row(**cells)], policy(**settings))
    account = person["accounts"][0]
    assert (account["incoming"]["host"], account["incoming"]["port"], account["incoming"]["security"]) == incoming
    assert (account["outgoing"]["host"], account["outgoing"]["port"], account["outgoing"]["security"]) == outgoing


def test_an_office_corrects_a_shipped_provider_and_adds_one() -> None:
    own = [
        {"name": "charter", "imap": {"host": "imap.example.net", "port": 1993, "security": "starttls"}},
        {"name": "mine", **{kind: {"host": "m.example.net", "port": 1, "security": "tls"} for kind in ("imap", "pop")}, "smtp": []},
    ]
    assert any("mail_providers (mine): smtp:" in str(problem) for problem in policy(own_providers=own).problems())
    account = resolve_people([row()], policy(own_providers=own[:1]))[0]["accounts"][0]
    assert account["incoming"]["host"] == "imap.example.net"
    assert account["incoming"]["security"] == "starttls"
    assert account["outgoing"]["host"] == "smtp.charter.net"


def test_ids_never_change() -> None:
    """People's folders and stored passwords hang on these: a change here is a change on every machine."""
    assert account_id("imap", "jane.doe@example.org") == "41aa8c61-2789-5f79-9544-b63108f5a5f4"
    assert account_id("imap", "Jane.Doe@Example.org") == account_id("imap", "jane.doe@example.org")
    assert account_id("pop", "jane.doe@example.org") != account_id("imap", "jane.doe@example.org")
    assert uuid.UUID(account_id("imap", "jane.doe@example.org")).version == 5


def test_ids_do_not_depend_on_the_order_or_on_the_servers() -> None:
    one, two = row(), row(address="john@example.org", login="john", full_name="John")
    ids = {a["address"]: a["id"] for p in resolve_people([one, two], policy()) for a in p["accounts"]}
    other = {a["address"]: a["id"] for p in resolve_people([two, one], policy(provider="spectrum")) for a in p["accounts"]}
    assert ids == other


def test_people_are_sorted_and_several_mailboxes_of_one_person_stay_together() -> None:
    rows = [row(), row(address="b@example.org", login="bob", full_name="Bob"), row(address="info@example.org")]
    people = resolve_people(rows, policy())
    assert [(p["login"], [(a["address"], a["primary"]) for a in p["accounts"]]) for p in people] == [
        ("bob", [("b@example.org", True)]),
        ("jane", [("jane@example.org", True), ("info@example.org", False)]),
    ]


def test_who_left_is_left_out_even_with_a_row_that_is_wrong() -> None:
    assert resolve_people([row(state="Absent", protocol="imap4")], policy()) == []


def test_programs_are_those_of_the_platform() -> None:
    def programs(platform: str, cell: str) -> list[str]:
        return resolve_people([row(programs=cell)], policy(platform=platform))[0]["accounts"][0]["programs"]

    assert programs("linux", "neomutt Thunderbird") == ["thunderbird", "neomutt"]
    assert programs("windows", "neomutt thunderbird") == ["thunderbird"]
    assert programs("macos", "") == ["thunderbird"]


def test_an_office_s_choice_of_programs_leaves_out_those_that_cannot_fetch() -> None:
    (person,) = resolve_people([row(protocol="pop")], policy(programs=["mbsync", "neomutt"]))
    assert person["accounts"][0]["programs"] == ["neomutt"]


def test_the_office_s_password_command_gets_a_quoted_address() -> None:
    hostile = "a'$b`c@example.org"
    account = resolve_people([row(address=hostile)], policy(password_command="vault get mail/{address} --raw"))[0]["accounts"][0]
    assert shlex.split(account["password_command"]) == ["vault", "get", f"mail/{hostile}", "--raw"]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"protocol": "imap4"}, 'column protocol: "imap4" is not imap or pop; did you mean imap?'),
        ({"smtp_port": "25"}, 'column smtp_port: "25" is not 587 or 465'),
        ({"address": "jane"}, 'column address: "jane" has no @; the full address is needed, as in jane@example.org'),
        ({"address": ""}, "column address: is empty"),
        ({"address": "jane..doe@example.org"}, "is not a plain ASCII mailbox name"),
        ({"address": "zoë@example.org"}, "is not a plain ASCII mailbox name"),
        ({"address": "a b@example.org"}, "is not a plain ASCII mailbox name"),
        ({"address": "jane@localhost"}, '"localhost" is not a mail domain'),
        ({"address": "jane@-x.org"}, '"-x.org" is not a mail domain'),
        ({"address": "a" * 65 + "@example.org"}, "is not a plain ASCII mailbox name"),
        ({"full_name": ""}, "column full_name: is empty; it is the sender name that people see"),
        ({"full_name": "x" * 201}, "column full_name: has 201 characters; 200 are the most"),
        ({"full_name": "Jane\nBcc: all"}, 'column full_name: "Jane\\nBcc: all" has a control character'),
        ({"full_name": "Jane\u2028Doe"}, "has a control character"),
        ({"full_name": "Jane\uffffDoe"}, "has a control character"),
        ({"login": ""}, "column login: is empty; on a machine the account name of the person is needed"),
        ({"login": "../root"}, 'column login: "../root" is not an account name'),
        ({"login": "CORP\\jane"}, "is not an account name; write it without domain and path"),
        ({"login": "~root"}, "is not an account name"),
        ({"login": "jane doe"}, "is not an account name; write it without domain and path, and without blanks"),
        ({"login": ".jane"}, "is not an account name"),
        ({"login": "j" * 65}, "has 65 characters; 64 are the most in an account name"),
        ({"login": "jane\u202e"}, r'column login: "jane\u202e" has the invisible character U+202E; type it again'),
        ({"address": "jane\u202a@example.org"}, r'column address: "jane\u202a@example.org" has the invisible character U+202A'),
        ({"machines": "desk-01\u202c"}, r'column machines: "desk-01\u202c" has the invisible character U+202C; type it again'),
        ({"address": "\u017fam@example.org"}, "is not a plain ASCII mailbox name"),
        ({"address": "\u0131van@example.org"}, "is not a plain ASCII mailbox name"),
        ({"address": "jane@e\u017fample.org"}, "is not a mail domain"),
        ({"smtp_port": "\u0665\u0668\u0667"}, "is not 587 or 465"),
        (
            {"programs": "aerc", "full_name": "Jane %(source)s"},
            'column full_name: "Jane %(source)s" cannot be written for aerc: aerc would',
        ),
        ({"programs": "thunderbrid"}, 'column programs: "thunderbrid" is not a program known here; did you mean thunderbird?'),
        ({"programs": "word"}, "known are: thunderbird, evolution, claws, msmtp, mbsync, neomutt, aerc"),
        ({"programs": "mbsync", "protocol": "pop"}, "column programs: mbsync cannot fetch mail by pop; leave it out"),
        ({"phones": "iOs windows"}, 'column phones: "windows" is not ios or android'),
        ({"state": "gone"}, 'column state: "gone" is not present or absent'),
    ],
)
def test_a_wrong_cell_is_named_with_what_to_write_instead(cells: dict[str, str], expected: str) -> None:
    found = [str(problem) for problem in check_row(row(**cells), policy())]
    assert any(expected in problem for problem in found), found
    assert all(problem.startswith("staff.csv:2") and "\n" not in problem for problem in found)


@pytest.mark.parametrize("column", ["address", "machines", "login", "protocol", "smtp_port", "programs", "phones", "state"])
@pytest.mark.parametrize("password", ["Tr0ub4dor&3", "Winter2024", "xk7/2pq:zz", "imaps://me:open-sesame@imap.example.org"])
def test_a_password_in_a_wrong_column_is_not_shown(column: str, password: str) -> None:
    found = office(row(**{column: password}))
    assert found or column == "login", "it is no problem"  # people's logins are of many kinds
    for line in found:
        assert password not in line and "sesame" not in line, line
        assert "\u2022\u2022\u2022\u2022" in line, line


@pytest.mark.parametrize("name", ["Front-PC12", "desk-1", "PC_7a", "Frontdesk01"])
def test_a_name_of_a_machine_is_shown(name: str) -> None:
    (line,) = office(row(machines=name), machines={"frontdesk02": Machine(policy())})
    assert f'"{name}" is not in hosts.yml' in line


@pytest.mark.parametrize(
    "name", ["O'Brien", '"quoted"', "Zoë", "名前", "back\\slash", "100 %", "$HOME", "{{ lookup('pipe', 'id') }}", "`id`"]
)
def test_awkward_names_are_names(name: str) -> None:
    assert check_row(row(full_name=name), policy()) == []
    assert resolve_people([row(full_name=name)], policy())[0]["full_name"] == name


def test_rows_are_held_against_each_other() -> None:
    assert office(
        row(),
        row(address="JANE@example.org", machines="desk-02"),
        row(address="john@example.org", full_name="John Roe"),
        row(address="zoe@example.com", full_name="Zoë", login="zoe", machines="desk-2"),
        domains=["example.org"],
    ) == [
        "staff.csv:3 (JANE@example.org): column address: is there already, in staff.csv:2; one row per mailbox and login",
        'staff.csv:4 (john@example.org): column login: "jane" on desk-01 is also the login of Jane Doe (staff.csv:2);'
        " a second mailbox of one person carries the same full_name, and a name of its own in sender_name",
        'staff.csv:5 (zoe@example.com): column address: "example.com" is not a domain of this office (example.org);'
        " did you mean example.org?",
        'staff.csv:5 (zoe@example.com): column machines: "desk-2" is not in hosts.yml; did you mean desk-02?',
    ]


def test_a_person_on_two_machines_is_wrong_once() -> None:
    assert office(row(machines="desk-01 desk-02", protocol="x")) == [
        'staff.csv:2 (jane@example.org): column protocol: "x" is not imap or pop'
    ]


def test_people_in_yaml_are_judged_by_the_same_rules() -> None:
    chosen = policy()
    source = "desk-01: mail_accounts[0]"
    given_there = {"address": "jane@example.org", "full_name": "Other", "login": "jane", "smtp_port": 26, "source": source}
    found = office(row(), machines={"desk-01": Machine(chosen, [given_there])})
    assert found == [
        f'{source} (jane@example.org): key smtp_port: "26" is not 587 or 465',
        f'{source} (jane@example.org): key login: "jane" on desk-01 is also the login of Jane Doe (staff.csv:2);'
        " a second mailbox of one person carries the same full_name, and a name of its own in sender_name",
        f"{source} (jane@example.org): key address: is on desk-01 already, by staff.csv:2",
    ]


def test_a_machine_s_own_provider_counts() -> None:
    machines = {"desk-01": Machine(policy(provider="spectrum"))}
    assert office(row(smtp_port="465"), machines=machines) == [
        'staff.csv:2 (jane@example.org): column smtp_port: 465 is not offered by provider "spectrum"; it takes mail on 587'
    ]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"provider": "chartre"}, 'mail_provider: "chartre" is not a provider; did you mean charter?'),
        ({"provider": "zzz"}, 'mail_provider: "zzz" is not a provider; known are: charter, roadrunner, spectrum'),
        ({"smtp_port": "25"}, "mail_smtp_port: is not 587, 465 or auto"),
        ({"smtp_port": "automatic"}, "mail_smtp_port: is not 587, 465 or auto"),
        ({"smtp_port": 465, "provider": "roadrunner"}, '465 is not offered by provider "roadrunner"; it takes mail on 587'),
        ({"programs": ["thunderbrid"]}, 'mail_programs: "thunderbrid" is not a program known here; did you mean thunderbird?'),
        ({"domains": ["exa mple.org"]}, 'mail_domains: "exa mple.org" is not a domain'),
        ({"organization": "a\nb"}, 'mail_office: "a\\nb" has a control character'),
        ({"password_command": "a\nb"}, "mail_password_command: is empty or has a control character"),
        ({"smtp_port": "\u0665\u0668\u0667"}, "mail_smtp_port: is not 587, 465 or auto"),
        ({"domains": ["e\u017fample.org"]}, "mail_domains"),
        ({"own_providers": [5, "x"]}, "mail_providers[0]: must be {name, title, imap, pop, smtp}"),
        ({"own_providers": 5}, "mail_providers[0]: must be {name, title, imap, pop, smtp}"),
        ({"own_providers": [{"name": "charter", "smtp": [5]}], "smtp_port": 465}, "smtp[0]: must be {host, port, security}"),
        ({"own_providers": [{"name": "charter", "smtp": 5}], "smtp_port": 465}, "smtp: must be a list of {host, port, security}"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], expected: str) -> None:
    found = [str(problem) for problem in policy(**settings).problems()]
    assert any(expected in problem for problem in found), found


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ({"host": "a b", "port": 993, "security": "tls"}, 'imap.host: "a b" is not a host name'),
        ({"host": "a.example", "port": 70000, "security": "tls"}, 'imap.port: "70000" is not a port (1 to 65535)'),
        ({"host": "a.example", "port": "x", "security": "tls"}, 'imap.port: "x" is not a port'),
        ({"host": "a.example", "port": "0", "security": "tls"}, 'imap.port: "0" is not a port'),
        ({"host": "a.example", "port": "\u0669\u0669\u0663", "security": "tls"}, "is not a port"),
        ({"host": "\u017fa.example", "port": 993, "security": "tls"}, "is not a host name"),
        ({"host": "a.example", "port": 143, "security": "none"}, 'imap.security: "none" is not tls or starttls'),
        ({"host": "a.example", "port": 143, "security": "startls"}, "did you mean starttls?; plain text cannot be had"),
        ({"host": "a.example", "port": 143, "security": "tls", "verify": False}, "imap.verify: is not known"),
        ("imap.example", "imap: must be {host, port, security}"),
    ],
)
def test_a_provider_without_transport_security_cannot_be_written(server: Any, expected: str) -> None:
    found = [str(problem) for problem in policy(own_providers=[{"name": "charter", "imap": server}]).problems()]
    assert any(expected in problem for problem in found), found


def test_what_a_program_cannot_be_told_is_said_once_and_before_a_machine_is_asked() -> None:
    """A line of msmtp's and mbsync's files ends somewhere, and aerc replaces %(...)s: the functions that write are asked."""
    command = "x" * 2000 + " {address}"
    everybody = [row(programs="msmtp neomutt"), row(address="zoe@example.org", full_name="Zoe", login="zoe", programs="mbsync msmtp")]
    where, limit = "group_vars/all.yml: mail_password_command: cannot be written for", "reads lines of limited length"
    assert office(*everybody, password_command=command) == [
        f"{where} msmtp: msmtp {limit}, 467 bytes are the most; make it shorter",
        f"{where} mbsync: mbsync {limit}, 990 bytes are the most; make it shorter",
    ]
    assert office(row(programs="thunderbird neomutt"), password_command=command) == [], "these two can be told"
    assert office(row(programs="msmtp", state="absent"), password_command=command) == []
    said = office(row(programs="aerc"), password_command="show %(source)s {address}")
    assert [line.partition(": cannot")[0] for line in said] == ["group_vars/all.yml: mail_password_command"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (5, ["desk-01: mail_accounts: must be a list of people, each {address, full_name, "]),
        ("jane@example.org", ["desk-01: mail_accounts: must be a list of people"]),
        (None, ["desk-01: mail_accounts: must be a list of people"]),
        ({"address": "x"}, ["desk-01: mail_accounts: must be a list of people"]),
        (
            [5, row(source="")],
            ["desk-01: mail_accounts[0]: must be {address, full_name", "desk-01: mail_accounts[1] (jane@example.org): key machines"],
        ),
        (
            [{"adress": "jane@example.org"}],
            ["key adress: is not known; did you mean address?", "key address: is empty", "full_name", "login"],
        ),
    ],
)
def test_people_in_yaml_that_are_none(given: Any, expected: list[str]) -> None:
    found = office(machines={"desk-01": Machine.of("desk-01", policy(), given)})
    assert len(found) == len(expected), found
    assert all(part in line for part, line in zip(expected, found, strict=True)), found


def test_a_sign_that_unicode_calls_a_letter_is_that_letter() -> None:
    """U+212A, the sign of the unit kelvin, is a K by Unicode's own rule (NFC); a long s is none by it."""
    (problem,) = office(row(address="kim@example.org"), row(address="\u212aim@example.org", machines="desk-02"))
    assert "is there already, in staff.csv:2" in problem


def test_two_spellings_of_an_accent_are_one_person() -> None:
    composed, apart = "Zo\u00eb", "Zoe\u0308"
    mailboxes = row(full_name=composed, login="zo\u00eb"), row(full_name=apart, login="zoe\u0308", address="info@example.org")
    assert office(*mailboxes) == []
    (person,) = resolve_people(mailboxes, policy())
    assert (person["login"], person["full_name"], len(person["accounts"])) == ("zo\u00eb", composed, 2)


def test_names_of_a_hundred_thousand_unknown_machines_are_not_all_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    monkeypatch.setattr(check, "did_you_mean", lambda word, known: looked.append(word) or "")
    assert (
        len(office(*(row(address=f"p{number}@example.org", login=f"p{number}", machines=f"x{number}") for number in range(1000)))) == 1000
    )
    assert len(looked) == 100


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("jane.doe@example.org", "person_jane_doe_example_org"),
        ("Jane-Doe@example.org", "person_janeDASHdoe_example_org"),
        ("jane_doe+x@my-office.org", "person_janeUNDERdoePLUSx_myDASHoffice_org"),
        ("jane@firm.co.uk", "person_jane__firm_co_uk"),
        ("o'hara@example.org", "person_oX27hara_example_org"),
    ],
)
def test_the_group_of_a_person(address: str, group: str) -> None:
    assert names.group_of(address) == group


LOCAL = st.from_regex(r"[a-z0-9_+'-]{1,3}(\.[a-z0-9_+'-]{1,3}){0,2}", fullmatch=True)
DOMAIN = st.from_regex(r"[a-z0-9]([a-z0-9-]?[a-z0-9])?(\.[a-z0-9]([a-z0-9-]?[a-z0-9])?){1,3}", fullmatch=True)


@given(st.tuples(LOCAL, DOMAIN), st.tuples(LOCAL, DOMAIN))
def test_no_two_people_share_a_group(one: tuple[str, str], other: tuple[str, str]) -> None:
    groups = {names.group_of("@".join(each)) for each in (one, other)}
    assert len(groups) == len({one, other})
    assert all(re.fullmatch(r"[A-Za-z0-9_]+", group) for group in groups), "what Ansible takes for a group"


def test_the_closest_pairs_do_not_share_a_group() -> None:
    near = [
        "a.b@c.org",
        "a-b@c.org",
        "a_b@c.org",
        "a+b@c.org",
        "a@b.c.org",
        "a.b.c@d.org",
        "a@b-c.org",
        "ab@c.org",
        "aDASHb@c.org",
        "a.dash.b@c.org",
    ]
    assert len({names.group_of(address) for address in near}) == len(near)


def test_the_model_refuses_what_the_check_refuses() -> None:
    with pytest.raises(ValueError, match='column protocol: "imap4"'):
        resolve_people([row(protocol="imap4")], policy())


@given(st.dictionaries(st.sampled_from(["address", "full_name", "login", "protocol", "smtp_port", "programs", "phones"]), st.text()))
def test_no_cells_make_it_raise_anything_else(cells: dict[str, str]) -> None:
    try:
        resolve_people([row(**cells)], policy())
    except ValueError as error:
        assert str(error)
