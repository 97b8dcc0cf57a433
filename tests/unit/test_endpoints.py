"""Which servers a machine needs, and which port `auto` comes to."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.endpoints import choose_port, endpoints, shut_ports, with_users
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.model import resolve_people
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.policy import Policy

from tests.unit.test_model import PROVIDERS, row

TLS_FIRST = {
    "name": "own",
    "imap": {"host": "imap.example.org", "port": 993, "security": "tls"},
    "pop": {"host": "pop.example.org", "port": 995, "security": "tls"},
    "smtp": [
        {"host": "smtp.example.org", "port": 465, "security": "tls"},
        {"host": "smtp.example.org", "port": 587, "security": "starttls"},
    ],
}


def policy(**settings: Any) -> Policy:
    return Policy.of({"providers": PROVIDERS, "platform": "linux", **settings})


def servers(*rows: dict[str, str], **settings: Any) -> dict[str, list[str]]:
    """host:port -> who uses it"""
    chosen = policy(**settings)
    return {f"{end['host']}:{end['port']}": end["people"] for end in endpoints(resolve_people(rows, chosen), chosen)}


def test_a_machine_s_servers_and_their_users() -> None:
    john = row(address="john@example.org", full_name="John", login="john", protocol="pop", smtp_port="465", source="staff.csv:3")
    assert servers(row(), john) == {
        "imap.charter.net:993": ["jane@example.org"],
        "pop.charter.net:995": ["john@example.org"],
        "smtp.charter.net:587": ["jane@example.org"],
        "smtp.charter.net:465": ["john@example.org"],
    }
    assert servers() == {}


def test_a_submission_server_nobody_uses_is_there_and_not_needed() -> None:
    ends = endpoints(resolve_people([row()], policy()), policy())
    assert [(end["port"], end["needed"]) for end in ends] == [(993, True), (587, True), (465, False)]
    assert [end["security"] for end in ends] == ["tls", "starttls", "tls"]


def test_programs_are_those_that_would_use_the_server_here() -> None:
    rows = [row(programs="thunderbird mbsync"), row(address="john@example.org", full_name="John", login="john", programs="msmtp")]
    ends = endpoints(resolve_people(rows, policy()), policy())
    programs = {end["port"]: end["programs"] for end in ends}
    # Nobody uses 465; who would is who sends.
    assert programs == {993: ["mbsync", "thunderbird"], 587: ["msmtp", "thunderbird"], 465: ["msmtp", "thunderbird"]}


def test_variants_are_other_providers_at_the_same_port() -> None:
    smtp = next(end for end in endpoints(resolve_people([row()], policy()), policy()) if end["port"] == 587)
    assert [(each["provider"], each["security"]) for each in smtp["variants"]] == [("spectrum", "tls"), ("roadrunner", "starttls")]


def found(verdicts: dict[int, str], chosen: Policy) -> list[dict[str, Any]]:
    ends = endpoints(resolve_people([row()], chosen), chosen)
    return [{"endpoint": end, "verdict": verdicts.get(end["port"], "ok")} for end in ends]


@pytest.mark.parametrize(
    ("verdicts", "port", "said"),
    [
        ({}, 587, ""),
        ({465: "blocked"}, 587, ""),
        ({587: "blocked"}, 465, "port 587 does not work here (blocked); port 465 does and is used."),
        ({587: "slow"}, 465, "port 587 does not work here (slow); port 465 does and is used."),
        ({587: "refused"}, 465, "port 587 does not work here (refused); port 465 does and is used."),
        ({587: "starttls_stripped"}, 465, "port 587 does not work here (starttls_stripped); port 465 does and is used."),
        ({587: "blocked", 465: "blocked"}, 587, "port 587 does not work here (blocked), and no other does; 587 stays set."),
        ({587: "blocked", 465: "untrusted"}, 587, "port 587 does not work here (blocked), and no other does; 587 stays set."),
        ({587: "intercepted"}, 587, "port 587 does not work here (intercepted), and no other port would mend that; 587 stays set."),
        ({587: "expired"}, 587, "port 587 does not work here (expired), and no other port would mend that; 587 stays set."),
        ({587: "rate_limited"}, 587, "port 587 does not work here (rate_limited), and no other port would mend that; 587 stays set."),
    ],
)
def test_auto_takes_another_port_only_where_something_is_in_the_way(verdicts: dict[int, str], port: int, said: str) -> None:
    chosen = policy(smtp_port="auto")
    assert choose_port(found(verdicts, chosen), chosen) == (port, said)


def test_auto_never_takes_starttls_in_place_of_tls() -> None:
    chosen = policy(smtp_port="auto", provider="own", own_providers=[TLS_FIRST])
    port, said = choose_port(found({465: "blocked"}, chosen), chosen)
    assert (port, "no other does" in said) == (465, True)


def test_a_port_that_is_set_is_not_chosen_otherwise() -> None:
    chosen = policy(smtp_port="587")
    assert choose_port(found({587: "blocked"}, chosen), chosen) == (587, "")
    assert choose_port(found({587: "blocked"}, policy()), policy()) == (None, "")


def test_who_needs_a_server_follows_the_port_that_was_chosen() -> None:
    auto = policy(smtp_port="auto")
    after = policy(smtp_port="465")
    wanted = endpoints(resolve_people([row()], after), after)
    results = with_users(found({587: "blocked"}, auto), wanted)
    assert [(each["endpoint"]["port"], each["endpoint"]["needed"], each["verdict"]) for each in results] == [
        (993, True, "ok"),
        (587, False, "blocked"),
        (465, True, "ok"),
    ]


def test_auto_is_the_provider_s_first_until_the_machine_was_looked_at() -> None:
    (person,) = resolve_people([row()], policy(smtp_port="auto"))
    assert person["accounts"][0]["outgoing"]["port"] == 587
    assert policy(smtp_port="auto").problems() == []
    (pinned,) = resolve_people([row(smtp_port="465")], policy(smtp_port="auto"))
    assert pinned["accounts"][0]["outgoing"]["port"] == 465


def test_what_auto_came_to_stays_while_nothing_can_be_told() -> None:
    """A machine that got 465 does not go back to 587 because the network is down today."""
    last = policy(smtp_port="auto", auto_smtp_port=465)
    (person,) = resolve_people([row()], last)
    assert person["accounts"][0]["outgoing"]["port"] == 465
    down = found({993: "blocked", 587: "blocked", 465: "blocked"}, last)
    assert choose_port(down, last) == (465, "port 587 does not work here (blocked), and no other does; 465 stays set.")
    assert choose_port(found({}, last), last) == (587, "")
    assert policy(smtp_port="auto", auto_smtp_port=465, provider="spectrum").smtp_port is None, "another provider has no such port"


@pytest.mark.parametrize(
    ("tries", "shut"),
    [
        ({}, []),
        ({("imap", 993): []}, []),  # no such name
        ({("imap", 993): [None, False]}, [993]),
        ({("imap", 993): [False, True]}, []),  # by one address family
        ({("imap", 993): [True], ("other", 993): [False]}, []),  # one server is away
        ({("smtp", 587): [False], ("smtp", 465): [True], ("imap", 993): [False]}, [587, 993]),
    ],
)
def test_a_port_is_shut_where_no_server_was_reached_at_it(tries: dict[tuple[str, int], list[bool | None]], shut: list[int]) -> None:
    results = [{"endpoint": {"host": host, "port": port}, "tcp": [{"ok": ok} for ok in oks]} for (host, port), oks in tries.items()]
    assert shut_ports(results) == shut
