# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the facts of a look at a mail server to one verdict, one sentence of advice, and notes. Pure.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import re
import time
from typing import Any, Dict, List, Optional, Set, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils import certificate

Facts = Dict[str, Any]

VERDICTS = (
    "ok",
    "dns",
    "blocked",
    "refused",
    "wrong_tls_mode",
    "starttls_stripped",
    "untrusted",
    "name_mismatch",
    "expired",
    "intercepted",
    "no_auth",
    "login_rejected",
    "rate_limited",
)
"""All there are. The first fault on the way decides."""

PASSWORD_MECHANISMS = ("PLAIN", "LOGIN")
"""What the mail programs of this project sign in with, inside TLS."""

_SERVICES = {"imap": "IMAP", "pop": "POP", "smtp": "SMTP"}
_NOT_YET, _EXPIRED = 9, 10  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED

STEPS = ("name", "connection", "greeting", "starttls", "tls", "certificate", "auth", "login")
"""What a mail program does; with TLS from the first byte the greeting comes after the certificate."""

# fault -> verdict, the step at which it shows, advice. `place` is host:port.
_ADVICE: Dict[str, Tuple[str, str, str]] = {
    "fault": (
        "refused",
        "connection",
        "The check itself failed: %(fault)s. Please report it.",
    ),
    "no such name": (
        "dns",
        "name",
        "No name server knows %(host)s: is it typed right, and does no web filter hide it?",
    ),
    "name server silent": (
        "dns",
        "name",
        "The name server of this machine does not answer for %(host)s: check its network and DNS settings.",
    ),
    "name server failed": (
        "dns",
        "name",
        "The name server of this machine cannot tell where %(host)s is (%(message)s): check its DNS settings.",
    ),
    "connection refused": (
        "refused",
        "connection",
        "The connection to %(place)s is refused: a firewall on the way rejects port %(port)s, or the server is down or does not use it.",
    ),
    "no network": (
        "blocked",
        "connection",
        "This machine has no network that leads to %(place)s: check its connection.",
    ),
    "unreachable": (
        "blocked",
        "connection",
        "A firewall or router turns the way to %(place)s down (%(error)s): open port %(port)s outwards.",
    ),
    "no answer": (
        "blocked",
        "connection",
        "No answer from %(place)s: port %(port)s is blocked between this machine and the server; open it outwards in the firewall.",
    ),
    "busy": (
        "rate_limited",
        "greeting",
        'The server is turning people away for now ("%(said)s"): wait a quarter of an hour, do not try again and again.',
    ),
    "turned away": (
        "refused",
        "greeting",
        'The server turns this machine away: "%(said)s". Ask the provider whether its address is on a block list.',
    ),
    "TLS from the first byte": (
        "wrong_tls_mode",
        "greeting",
        "%(place)s speaks TLS from the first byte, but STARTTLS is set: %(hint)s.",
    ),
    "STARTTLS": (
        "wrong_tls_mode",
        "tls",
        "%(place)s wants STARTTLS, but TLS from the first byte is set: %(hint)s.",
    ),
    "no TLS": (
        "wrong_tls_mode",
        "tls",
        "%(place)s speaks plain text and offers no TLS: something on the way took it out, or this is not the provider's server.",
    ),
    "held up": (
        "blocked",
        "greeting",
        "%(place)s takes the connection but says nothing useful in time (%(error)s): a firewall or mail scanner on the way holds it up.",
    ),
    "not mail": (
        "refused",
        "greeting",
        "What answers at %(place)s is no working %(service)s server (%(error)s): a web filter, a network's log-in page, or a wrong server.",
    ),
    "cut": (
        "refused",
        "greeting",
        "%(place)s ends the connection at once (%(error)s): a firewall or mail scanner cuts it, or the server does not want this machine.",
    ),
    "STARTTLS refused": (
        "starttls_stripped",
        "starttls",
        '%(place)s offers %(starttls)s but refuses it ("%(said)s"): a firewall or mail scanner on the way takes it '
        "out. Nothing is sent without it.",
    ),
    "STARTTLS missing": (
        "starttls_stripped",
        "starttls",
        "%(place)s offers no %(starttls)s here: a firewall (SMTP inspection) or mail scanner on the way takes it out. "
        "Nothing is sent without it.",
    ),
    "TLS held up": (
        "blocked",
        "tls",
        "%(place)s takes the connection but does not answer TLS in time: a firewall or mail scanner on the way holds it up.",
    ),
    "TLS cut": (
        "refused",
        "tls",
        "%(place)s cuts the connection when TLS begins (%(error)s): a firewall lets no TLS through, or the server is not for this machine.",
    ),
    "TLS not in common": (
        "refused",
        "tls",
        "%(place)s and this machine have no TLS in common (%(error)s); TLS 1.2 or later is needed: the server or a scanner is too old.",
    ),
    "intercepted": (
        "intercepted",
        "certificate",
        '%(product)s reads the connection to %(place)s: the certificate is from "%(issuer)s", which this machine %(trusts)s. %(remedy)s',
    ),
    "untrusted": (
        "untrusted",
        "certificate",
        'The certificate of %(place)s is not trusted here (%(error)s; issuer "%(issuer)s"): something on the way shows '
        "its own, or this machine's list of authorities is old.",
    ),
    "not yet": (
        "expired",
        "certificate",
        "The certificate of %(place)s is not valid yet: the clock of this machine is wrong, it says %(today)s.",
    ),
    "expired": (
        "expired",
        "certificate",
        "The certificate of %(place)s expired on %(ended)s: the provider must renew it, unless the clock of this "
        "machine is wrong (it says %(today)s).",
    ),
    "other name": (
        "name_mismatch",
        "certificate",
        "The certificate of %(place)s is for %(names)s: the server name is wrong, or another server answers.",
    ),
    "silent in TLS": (
        "refused",
        "auth",
        "%(place)s says nothing more once TLS stands: the server or a mail scanner on the way is in trouble.",
    ),
    "no password": (
        "no_auth",
        "auth",
        "%(place)s offers no sign-in by password (it offers %(offered)s): is it the server for people, and not one between mail servers?",
    ),
    "app password": (
        "login_rejected",
        "login",
        'The server does not let %(username)s in ("%(said)s"): two-factor sign-in is on, so an app password from its web page is needed.',
    ),
    "short name": (
        "login_rejected",
        "login",
        'The server does not let %(username)s in ("%(said)s"): the user name is not the full address.',
    ),
    "rejected": (
        "login_rejected",
        "login",
        'The server does not let %(username)s in ("%(said)s"): the password was changed or mistyped, or two-factor '
        "sign-in is on and wants an app password; the user name must be the full address.",
    ),
}


def judge(facts: Facts, known: List[Facts]) -> Facts:
    """verdict, step (of STEPS; "" when all is well), advice and notes. Facts may end anywhere: what comes later was not reached then.

    known: who is known to sit in the way, see certificate.interceptor.
    """
    endpoint = facts["endpoint"]
    fault = _fault(facts, known)
    if fault is None:
        return {"verdict": "ok", "step": "", "advice": "Works.", "notes": _notes(facts)}
    verdict, step, advice = _ADVICE[fault[0]]
    about = {
        **endpoint,
        "place": "%s:%s" % (endpoint["host"], endpoint["port"]),
        "service": _SERVICES[endpoint["service"]],
        "starttls": "STLS" if endpoint["service"] == "pop" else "STARTTLS",
        **fault[1],
    }
    return {"verdict": verdict, "step": step, "advice": advice % about, "notes": _notes(facts)}


def _fault(facts: Facts, known: List[Facts]) -> Optional[Tuple[str, Facts]]:
    """The first fault on the way, in the order a mail program meets them, with what its sentence needs."""
    if facts.get("fault"):
        return "fault", {"fault": facts["fault"]}
    for step in (_dns, _tcp, _turned_away, _tls_mode, _conversation, _starttls, _handshake):
        found = step(facts)
        if found:
            return found
    # Who shows an own certificate is named whatever is wrong with it, and whatever comes after it.
    return _intercepted(facts, known) or _certificate(facts) or _auth(facts)


def add_logins(result: Facts) -> None:
    """Let the attempts to sign in, if there were any, have a say in the verdict."""
    rejected = [attempt for attempt in result.get("logins", []) if attempt["ok"] is False]
    if not rejected or result["verdict"] != "ok":
        return
    username, said = rejected[0]["username"], rejected[0]["text"]
    fault = "rejected"
    if rejected[0].get("busy"):
        fault = "busy"
    elif re.search(r"app(lication)?[- ]?(specific)?[- ]?password|2fa|two.?factor|5\.7\.9", said, re.I):
        fault = "app password"
    elif "@" not in username:
        fault = "short name"
    verdict, _step, advice = _ADVICE[fault]
    result.update(verdict=verdict, step="login", advice=advice % {"username": username, "said": said})


def _dns(facts: Facts) -> Optional[Tuple[str, Facts]]:
    dns = facts.get("dns")
    if dns and (dns["a"] or dns["aaaa"]):
        return None
    error = dns["error"] if dns else "timeout"
    if error == "nxdomain":
        return "no such name", {}
    if error == "timeout":
        return "name server silent", {}
    assert dns is not None
    return "name server failed", {"message": dns["message"]}


def _tcp(facts: Facts) -> Optional[Tuple[str, Facts]]:
    tries = facts.get("tcp") or []
    if any(each["ok"] for each in tries):
        return None
    kinds = {each["kind"] for each in tries}
    if "refused" in kinds:
        return "connection refused", {}
    if tries and kinds <= {"no network"}:
        return "no network", {}
    if "unreachable" in kinds:
        return "unreachable", {"error": ", ".join(sorted({str(each["error"]) for each in tries if each["kind"] == "unreachable"}))}
    return "no answer", {}


def _turned_away(facts: Facts) -> Optional[Tuple[str, Facts]]:
    greeting = facts.get("greeting")
    if not greeting or greeting["good"]:
        return None
    return "busy" if greeting["busy"] else "turned away", {"said": greeting["text"]}


def _tls_mode(facts: Facts) -> Optional[Tuple[str, Facts]]:
    speaks = facts.get("speaks")
    if not speaks:
        return None
    if speaks == "plain" and not (facts.get("starttls") or {}).get("offered"):
        return "no TLS", {}
    fits = "tls" if speaks == "tls" else "starttls"
    variants = ["%(provider)s (%(title)s)" % each for each in facts["endpoint"].get("variants", []) if each["security"] == fits]
    hint = "the provider entry that fits is %s" % " or ".join(variants) if variants else "correct its security in mail_providers"
    return "TLS from the first byte" if speaks == "tls" else "STARTTLS", {"hint": hint}


def _conversation(facts: Facts) -> Optional[Tuple[str, Facts]]:
    broke = facts.get("broke")
    if not broke:
        return None
    return {"timeout": "held up", "garbage": "not mail"}.get(broke["kind"], "cut"), {"error": broke["text"]}


def _starttls(facts: Facts) -> Optional[Tuple[str, Facts]]:
    starttls = facts.get("starttls")
    if facts["endpoint"]["security"] != "starttls" or not starttls or starttls["accepted"]:
        return None
    if not starttls["offered"]:
        return "STARTTLS missing", {}
    temporary = starttls["text"].startswith("4")  # RFC 3207: 454, TLS not available for now
    return "busy" if temporary else "STARTTLS refused", {"said": starttls["text"]}


def _handshake(facts: Facts) -> Optional[Tuple[str, Facts]]:
    tls = facts.get("tls")
    if tls and tls["ok"]:
        return None
    if facts.get("verify") and not (facts["verify"]["chain_ok"] and facts["verify"]["host_ok"]):
        return None  # the certificate was refused and could not be read after that: the first is the finding
    if not tls:
        return "TLS held up", {}
    fault = {"timeout": "TLS held up", "closed": "TLS cut", "plain": "not mail"}.get(tls["kind"], "TLS not in common")
    return fault, {"error": tls["error"]}


def _intercepted(facts: Facts, known: List[Facts]) -> Optional[Tuple[str, Facts]]:
    issuer = (facts.get("certificate") or {}).get("issuer") or ""
    product = certificate.interceptor(issuer, known)
    if product is None:
        return None
    trusts = "trusts" if (facts.get("verify") or {}).get("chain_ok") else "does not trust"
    return "intercepted", {"product": product["product"], "remedy": product["remedy"], "issuer": issuer, "trusts": trusts}


def _certificate(facts: Facts) -> Optional[Tuple[str, Facts]]:
    verify, found = facts.get("verify"), facts.get("certificate") or {}
    if not verify:
        return None
    today = {"today": _day(time.time())}
    if verify["code"] == _NOT_YET:
        return "not yet", today
    if verify["code"] == _EXPIRED:
        return "expired", {**today, "ended": _day(found.get("not_after"))}
    if not verify["chain_ok"]:
        return "untrusted", {"error": verify["message"], "issuer": found.get("issuer") or "unknown"}
    if verify["host_ok"] is False:
        return "other name", {"names": ", ".join(found.get("names") or []) or "another name"}
    return None


def _auth(facts: Facts) -> Optional[Tuple[str, Facts]]:
    auth = facts.get("auth")
    if not auth:
        return "silent in TLS", {}
    if set(auth["after"]) & set(PASSWORD_MECHANISMS):
        return None
    return "no password", {"offered": ", ".join(auth["after"]) or "nothing"}


def _notes(facts: Facts) -> List[str]:
    """What is not as it should be although it does not decide."""
    notes = []
    tries = facts.get("tcp") or []
    answered = {each["family"] for each in tries if each["ok"]}
    silent = {each["family"] for each in tries if each["kind"] in ("timeout", "refused", "unreachable")} - answered
    if answered and silent:
        notes.append("%s does not work here, %s does: programs that try it first are slow." % (_and(silent), _and(answered)))
    dns = facts.get("dns")
    if dns and dns["ms"] >= 2000:
        notes.append("The name server took %.1f s." % (dns["ms"] / 1000.0))
    auth = facts.get("auth")
    if auth and auth["refused_before"] is False:
        notes.append("The server takes passwords before TLS; the programs set up here do not send them so.")
    elif auth and facts["endpoint"]["security"] == "starttls" and set(auth["before"]) & set(PASSWORD_MECHANISMS):
        notes.append("The server offers sign-in before TLS; the programs set up here do not use it so.")
    if facts.get("injected"):
        notes.append("Something was said between STARTTLS and TLS; somebody on the way may have put it in.")
    verify = facts.get("verify")
    if verify and verify["chain_ok"] and not verify["strict_ok"]:
        notes.append("The certificate passes here, but not the strict checks of newer programs.")
    days = (facts.get("certificate") or {}).get("days_left")
    if days is not None and 0 <= days < 14:
        notes.append("The certificate ends in %d days." % days)
    return notes


def _and(words: Set[str]) -> str:
    return " and ".join(sorted(words))


def _day(seconds: Optional[float]) -> str:
    try:
        return "an unknown day" if seconds is None else time.strftime("%Y-%m-%d", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "an unknown day"
