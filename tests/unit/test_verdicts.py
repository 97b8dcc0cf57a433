"""From what was found of a server to one verdict and one piece of advice."""

from __future__ import annotations

import itertools
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.msp.charter_mail.plugins.module_utils.servers import advice, verdicts
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.probe_settings import check
from ansible_collections.msp.charter_mail.plugins.plugin_utils.report import server_steps
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]
KNOWN = yaml.safe_load((ROOT / "roles/reachability/vars/main/interceptors.yml").read_text())["__reachability_interceptors"]
VARIANT = {"provider": "spectrum", "title": "Spectrum e-mail", "host": "mobile.charter.net", "security": "tls"}

OPEN = {"ip": "192.0.2.1", "family": "IPv4", "ok": True, "ms": 1, "error": None, "kind": None}
SHUT = {**OPEN, "ok": False}


def facts(security: str = "starttls", service: str = "smtp", **found: Any) -> dict[str, Any]:
    """A server with which all is well, but for what is given."""
    well = {
        "endpoint": {"service": service, "host": "smtp.example.org", "port": 587, "security": security, "variants": [VARIANT]},
        "dns": {"a": ["192.0.2.1"], "aaaa": [], "ms": 1, "error": None},
        "tcp": [OPEN],
        "greeting": {"good": True, "text": "220 hello", "busy": False},
        "starttls": {"offered": True, "accepted": True, "text": "220 go"} if security == "starttls" else None,
        "tls": {"ok": True, "version": "TLSv1.3", "cipher": "x", "bits": 256, "error": None, "kind": None},
        "certificate": {"issuer": "CN=Some CA", "names": ["smtp.example.org"], "not_before": 0, "not_after": 2**31, "days_left": 300},
        "verify": {"chain_ok": True, "strict_ok": True, "host_ok": True, "code": 0, "message": ""},
        "auth": {"before": [], "refused_before": True, "after": ["LOGIN", "PLAIN"]},
    }
    return {**well, **found}


def tls(kind: str) -> dict[str, Any]:
    return {"ok": False, "version": None, "cipher": None, "bits": None, "error": "some words", "kind": kind}


def verify(**found: Any) -> dict[str, Any]:
    return {"chain_ok": True, "strict_ok": True, "host_ok": True, "code": 0, "message": "some words", **found}


def lists(**found: Any) -> dict[str, Any]:
    """The machine trusts it; other lists as given."""
    return verify(lists=found)


REFUSED = {"chain_ok": False, "strict_ok": False, "host_ok": True, "code": 20, "message": "some words", "lists": {}}
CHAIN = {"sent": 1, "lacks": "CN=Some Intermediate", "depth": 0, "named": True}
NO_NAME = {"a": [], "aaaa": [], "ms": 1, "message": "some words"}
NO_TLS = {"tls": None, "certificate": None, "verify": None}
EARLY = {"greeting": None, "starttls": None, "tls": None, "certificate": None, "verify": None, "auth": None}

TABLE = [
    ("ok", "", {}),
    ("dns", "name", {"dns": {**NO_NAME, "error": "nxdomain"}}),
    ("dns", "name", {"dns": {**NO_NAME, "error": "timeout"}}),
    ("dns", "name", {"dns": {**NO_NAME, "error": "failure"}}),
    ("dns", "name", {"dns": None}),
    ("blocked", "connection", {"tcp": [{**SHUT, "kind": "timeout"}]}),
    ("blocked", "connection", {"tcp": [{**SHUT, "kind": "unreachable", "error": "no route to host"}]}),
    ("blocked", "connection", {"tcp": [{**SHUT, "kind": "no network"}]}),
    ("blocked", "connection", {"tcp": []}),
    ("refused", "connection", {"tcp": [{**SHUT, "kind": "refused"}, {**SHUT, "kind": "timeout"}]}),
    ("rate_limited", "greeting", {"greeting": {"good": False, "text": "421 busy", "busy": True}}),
    ("refused", "greeting", {"greeting": {"good": False, "text": "554 no", "busy": False}}),
    ("wrong_tls_mode", "greeting", {**EARLY, "speaks": "tls"}),
    ("slow", "greeting", {**EARLY, "broke": {"kind": "timeout", "text": "x"}}),
    ("refused", "greeting", {**EARLY, "broke": {"kind": "refused", "text": "501 x"}}),
    ("rate_limited", "greeting", {**EARLY, "broke": {"kind": "busy", "text": "421 x"}}),
    ("refused", "auth", {"broke": {"kind": "garbage", "text": "x"}}),
    ("slow", "auth", {"broke": {"kind": "timeout", "text": "x"}}),
    ("refused", "greeting", {**EARLY, "broke": {"kind": "garbage", "text": "x"}}),
    ("refused", "greeting", {**EARLY, "broke": {"kind": "closed", "text": "x"}}),
    ("starttls_stripped", "starttls", {**NO_TLS, "starttls": {"offered": False, "accepted": None, "text": ""}}),
    ("starttls_stripped", "starttls", {**NO_TLS, "starttls": {"offered": True, "accepted": False, "text": "502 what?"}}),
    ("starttls_stripped", "starttls", {**NO_TLS, "starttls": {"offered": None, "accepted": False, "text": "-ERR what?"}}),
    ("rate_limited", "starttls", {**NO_TLS, "starttls": {"offered": True, "accepted": False, "text": "454 not now"}}),
    ("slow", "starttls", {**NO_TLS, "starttls": {"offered": True, "accepted": None, "text": ""}}),
    ("slow", "tls", {"tls": tls("timeout"), "verify": None}),
    ("refused", "tls", {"tls": tls("closed"), "verify": None}),
    ("refused", "tls", {"tls": tls("tls"), "verify": None}),
    ("refused", "starttls", {"tls": tls("plain"), "verify": None}),
    ("slow", "tls", {"tls": None, "verify": None}),
    ("untrusted", "certificate", {"verify": verify(chain_ok=False, code=20)}),
    ("untrusted", "certificate", {"verify": verify(chain_ok=False, code=20), "tls": tls("closed"), "certificate": None}),
    ("expired", "certificate", {"verify": verify(chain_ok=False, code=10)}),
    ("expired", "certificate", {"verify": verify(chain_ok=False, code=9)}),
    ("name_mismatch", "certificate", {"verify": verify(host_ok=False, code=62)}),
    ("untrusted", "certificate", {"verify": verify(chain_ok=False, host_ok=False, code=20)}),
    ("ok", "", {"verify": verify(strict_ok=False, code=85)}),
    ("intercepted", "certificate", {"certificate": {"issuer": "CN=x, O=Zscaler Inc."}}),
    ("intercepted", "certificate", {"verify": lists(distribution=False, thunderbird=False)}),
    ("intercepted", "certificate", {"verify": lists(distribution=False, thunderbird=None)}),
    ("intercepted", "certificate", {"verify": lists(distribution=False, thunderbird=False, policies=True)}),
    ("incomplete_chain", "certificate", {"verify": lists(distribution=False, thunderbird=False, completed=True)}),
    ("incomplete_chain", "certificate", {"verify": REFUSED, "certificate": {"issuer": "CN=x", "chain": CHAIN}}),
    ("unknown_root", "certificate", {"verify": REFUSED, "certificate": {"issuer": "CN=x", "chain": {**CHAIN, "depth": 1}}}),
    ("untrusted", "certificate", {"verify": REFUSED, "certificate": {"issuer": "CN=x", "chain": {**CHAIN, "named": False}}}),
    ("untrusted", "certificate", {"verify": REFUSED, "certificate": {"issuer": "CN=x", "chain": {**CHAIN, "lacks": ""}}}),
    ("unknown_root", "certificate", {"verify": lists(distribution=True, thunderbird=False)}),
    ("unknown_root", "certificate", {"verify": lists(distribution=None, thunderbird=False)}),
    ("unknown_root", "certificate", {"verify": {**REFUSED, "lists": {"distribution": False, "thunderbird": True}}}),
    ("unknown_root", "certificate", {"verify": {**REFUSED, "lists": {"distribution": True, "thunderbird": None}}}),
    ("ok", "", {"verify": lists(distribution=True, thunderbird=False, policies=True)}),
    ("ok", "", {"verify": lists(distribution=None, thunderbird=None)}),
    # Added here, and public all the same: nobody is in the way, whatever it is called.
    ("ok", "", {"verify": lists(distribution=False, thunderbird=True), "certificate": {"issuer": "O=Zscaler"}}),
    ("expired", "certificate", {"verify": verify(chain_ok=False, code=10), "certificate": {"issuer": "CN=x", "chain": CHAIN}}),
    ("no_auth", "auth", {"auth": {"before": [], "refused_before": True, "after": ["XOAUTH2"]}}),
    ("slow", "auth", {"auth": None}),
    ("slow", "auth", {"auth": {"before": [], "refused_before": True}}),
    ("ok", "", {"auth": {"before": None, "refused_before": True, "after": None}}),
]


@pytest.mark.parametrize(("verdict", "step", "found"), TABLE, ids=[f"{number}-{row[0]}" for number, row in enumerate(TABLE)])
def test_the_first_fault_on_the_way_decides(verdict: str, step: str, found: dict[str, Any]) -> None:
    judged = verdicts.judge(facts(**found), KNOWN)
    assert (judged["verdict"], judged["step"]) == (verdict, step), judged["advice"]
    assert re.fullmatch(r"[A-Zs][^%{}]*[.?]", judged["advice"]), "a sentence, with everything filled in"


def test_every_verdict_is_in_the_table() -> None:
    assert {row[0] for row in TABLE} | {"login_rejected"} == set(advice.VERDICTS)


def test_every_sentence_belongs_to_a_verdict_and_a_step() -> None:
    for verdict, step, _advice in advice.ADVICE.values():
        assert verdict in advice.VERDICTS and step in verdicts.STEPS


def test_the_provider_entry_that_fits_is_named() -> None:
    assert "spectrum (Spectrum e-mail)" in verdicts.judge(facts(**EARLY, speaks="tls"), [])["advice"]
    other = facts("tls", speaks="plain", starttls={"offered": True, "accepted": None, "text": ""}, tls=tls("plain"), verify=None)
    judged = verdicts.judge(other, [])
    assert judged["verdict"] == "wrong_tls_mode" and "mail_providers" in judged["advice"]
    nothing = verdicts.judge({**other, "starttls": {"offered": False, "accepted": None, "text": ""}}, [])
    assert nothing["verdict"] == "wrong_tls_mode" and "offers no TLS" in nothing["advice"]


@pytest.mark.parametrize("entry", KNOWN, ids=lambda entry: entry["product"])
def test_a_known_product_is_named_whether_it_is_trusted_or_not(entry: dict[str, Any]) -> None:
    for issuer, chain_ok in itertools.product(entry["issuer"], (True, False)):
        found = facts(
            certificate={"issuer": f"C=US, O=x, CN={issuer.upper()} 2"}, verify=verify(chain_ok=chain_ok, code=0 if chain_ok else 19)
        )
        judged = verdicts.judge(found, KNOWN)
        assert judged["verdict"] == "intercepted"
        assert entry["product"] in judged["advice"] and entry["remedy"] in judged["advice"]
        assert ("does not trust" in judged["advice"]) is not chain_ok


@pytest.mark.parametrize("name", ["Avast", "AVG", "ESET", "Kaspersky", "Bitdefender", "Zscaler", "Fortinet"])
def test_the_products_people_have_are_in_the_list(name: str) -> None:
    assert any(name in entry["product"] for entry in KNOWN)


def test_the_list_is_sound_and_sourced() -> None:
    assert check(KNOWN, "interceptors.yml") == []
    text = (ROOT / "roles/reachability/vars/main/interceptors.yml").read_text()
    assert len(re.findall(r"^  # Source: ", text, re.MULTILINE)) == len(KNOWN)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ("text", "all.yml: reachability_interceptors: must be a list"),
        (["x"], "all.yml: reachability_interceptors[0]: must be {product, issuer, remedy}"),
        ([{"issuer": ["Some Filter"], "remedy": "x"}], "all.yml: reachability_interceptors[0].product: is missing or empty"),
        ([{"product": "x", "issuer": "Some Filter", "remedy": "x"}], "all.yml: reachability_interceptors[0].issuer: must be a list"),
        ([{"product": "x", "issuer": ["CA"], "remedy": "x"}], 'all.yml: reachability_interceptors[0].issuer: "CA" is too short'),
        (
            [{"product": "x", "issuer": ["Some"], "remedie": "x"}],
            "reachability_interceptors[0].remedie: is not known; did you mean remedy?",
        ),
    ],
)
def test_a_wrong_entry_of_an_office_is_named(entries: Any, said: str) -> None:
    assert any(said in str(problem) for problem in check(entries, "all.yml")), check(entries, "all.yml")


def test_notes() -> None:
    six = {**SHUT, "family": "IPv6", "kind": "timeout"}
    (slow,) = verdicts.judge(facts(tcp=[OPEN, six]), [])["notes"]
    assert slow.startswith("IPv6 does not work here, IPv4 does")
    assert verdicts.judge(facts(tcp=[OPEN, {**six, "kind": "no network"}]), [])["notes"] == []
    assert "before TLS" in verdicts.judge(facts(auth={"before": ["PLAIN"], "refused_before": True, "after": ["PLAIN"]}), [])["notes"][0]
    assert (
        "takes passwords before TLS"
        in verdicts.judge(facts(auth={"before": [], "refused_before": False, "after": ["PLAIN"]}), [])["notes"][0]
    )
    assert "2.5 s" in verdicts.judge(facts(dns={"a": ["192.0.2.1"], "aaaa": [], "ms": 2500, "error": None}), [])["notes"][0]
    slow = {"good": True, "text": "220 hello", "busy": False, "ms": 6200}
    assert "took 6.2 s to greet" in verdicts.judge(facts(greeting=slow), [])["notes"][0]
    assert verdicts.judge(facts(greeting={**slow, "ms": 900}), [])["notes"] == []
    untold = verdicts.judge(facts(auth={"before": None, "refused_before": None, "after": None}), [])
    assert (untold["verdict"], "does not say how to sign in" in untold["notes"][0]) == ("ok", True)
    assert "ends in 3 days" in verdicts.judge(facts(certificate={"issuer": "x", "days_left": 3}), [])["notes"][0]


@pytest.mark.parametrize(
    ("username", "text", "busy", "verdict", "said"),
    [
        ("jane@example.org", "535 5.7.8 no", False, "login_rejected", "changed or mistyped"),
        ("jane", "535 5.7.8 no", False, "login_rejected", "not the full address"),
        ("jane@example.org", "534 5.7.9 Application-specific password required", False, "login_rejected", "app password from its web page"),
        ("jane@example.org", "454 4.7.0 too many", True, "rate_limited", "wait a quarter"),
    ],
)
def test_the_usual_reasons_of_a_rejected_login(username: str, text: str, busy: bool, verdict: str, said: str) -> None:
    result = {**facts(), **verdicts.judge(facts(), []), "logins": [{"username": username, "ok": False, "busy": busy, "text": text}]}
    verdicts.add_logins(result)
    assert (result["verdict"], result["step"]) == (verdict, "login")
    assert said in result["advice"] and text in result["advice"]


def test_a_login_that_was_not_tried_changes_nothing() -> None:
    for ok in (None, True):
        result = {**facts(), **verdicts.judge(facts(), []), "logins": [{"username": "x", "ok": ok, "text": ""}]}
        verdicts.add_logins(result)
        assert result["verdict"] == "ok"


ENDS = ("dns", "tcp", "greeting", "starttls", "tls", "certificate", "verify", "auth")


@given(st.sampled_from(ENDS), st.sampled_from(["tls", "starttls"]), st.sampled_from(["smtp", "imap", "pop"]))
def test_facts_may_end_anywhere(end: str, security: str, service: str) -> None:
    """A look that was cut short is judged by what it saw."""
    whole = facts(security, service)
    cut = {key: value for key, value in whole.items() if key not in ENDS[ENDS.index(end) :]}
    judged = verdicts.judge(cut, KNOWN)
    assert judged["verdict"] in ("dns", "blocked", "slow", "ok")


def test_the_office_s_own_authority_is_nobody_in_the_way() -> None:
    own = {"product": "Acme's own authority", "issuer": ["Acme Root"], "ours": True}
    found = facts(certificate={"issuer": "CN=Acme Root"}, verify=lists(distribution=False, thunderbird=False))
    judged = verdicts.judge(found, [*KNOWN, own])
    assert judged["verdict"] == "ok"
    assert judged["notes"] == ["Thunderbird takes a certificate of Acme's own authority only where it was made to trust it."]
    refused = verdicts.judge({**found, "verify": REFUSED}, [own])
    assert refused["verdict"] == "untrusted", "it is the office's own, but not trusted here"
    assert check([own], "all.yml") == []
    assert "must be true or false" in str(check([{**own, "ours": "yes"}], "all.yml")[0])


@given(
    st.fixed_dictionaries(
        {
            "security": st.sampled_from(["tls", "starttls"]),
            "greeting": st.sampled_from([None, facts()["greeting"], {"good": False, "text": "x", "busy": False}]),
            "starttls": st.sampled_from(
                [None, *({"offered": o, "accepted": a, "text": ""} for o in (None, False, True) for a in (None, False, True))]
            ),
            "tls": st.sampled_from([None, facts()["tls"], *map(tls, ("timeout", "closed", "plain", "tls"))]),
            "verify": st.sampled_from([None, verify(), REFUSED, verify(host_ok=False), lists(distribution=False)]),
            "auth": st.sampled_from([None, {"before": [], "refused_before": None}, facts()["auth"], {**facts()["auth"], "after": None}]),
            "broke": st.sampled_from(
                [None, *({"kind": kind, "text": "x"} for kind in ("timeout", "garbage", "closed", "refused", "busy"))]
            ),
            "speaks": st.sampled_from([None, "tls", "plain"]),
        }
    )
)
def test_no_step_is_well_that_was_not_seen_to_be(found: dict[str, Any]) -> None:
    """Whatever was seen: the tree says ok only of what was, and everything is ok where the verdict is."""
    whole = facts(**found)
    judged = verdicts.judge(whole, KNOWN)
    seen = {
        "greeting": (found["greeting"] or {}).get("good"),
        "starttls": (found["starttls"] or {}).get("accepted"),
        "tls": (found["tls"] or {}).get("ok"),
        "certificate": found["verify"] and found["verify"]["chain_ok"] and found["verify"]["host_ok"],
    }
    node = server_steps.server_node({**whole, **judged, "endpoint": {**whole["endpoint"], "needed": True, "people": []}, "ms": 1})
    for step in node["steps"]:
        name = next((name for name, title in server_steps._TITLES.items() if title == step["title"]), None)
        if step["state"] == "ok" and name in seen:
            assert seen[name], (step, judged)
    if judged["verdict"] != "ok":
        assert [step for step in node["steps"] if step["state"] == "fail"], judged


def test_a_day_that_no_calendar_has_does_not_matter() -> None:
    found = facts(verify=verify(chain_ok=False, code=10), certificate={"issuer": "x", "not_after": 2**80})
    assert "an unknown day" in verdicts.judge(found, [])["advice"]
    assert time.strftime("%Y") in verdicts.judge(found, [])["advice"]
