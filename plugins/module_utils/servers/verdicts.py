# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From the facts of a look at a mail server to one verdict, one sentence of advice, and notes. Pure.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import re
import time
from typing import Any, Dict, List, Optional, Set, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.servers import authority
from ansible_collections.msp.charter_mail.plugins.module_utils.servers.advice import ADVICE

Facts = Dict[str, Any]


PASSWORD_MECHANISMS = ("PLAIN", "LOGIN")
"""What the mail programs of this project sign in with, inside TLS."""

_SERVICES = {"imap": "IMAP", "pop": "POP", "smtp": "SMTP"}
_NOT_YET, _EXPIRED = 9, 10  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
_SLOW = 2000  # milliseconds from which an answer is worth a word

STEPS = ("name", "connection", "greeting", "starttls", "tls", "certificate", "auth", "login")
"""What a mail program does; with TLS from the first byte the greeting comes after the certificate."""


def judge(facts: Facts, known: List[Facts]) -> Facts:
    """verdict, step (of STEPS; "" when all is well), advice, notes, and what is known of each of the steps.

    Facts may end anywhere: what comes later was not reached then.

    known: who is known to sit in the way, see certificate.interceptor.
    """
    endpoint = facts["endpoint"]
    fault = _fault(facts, known)
    if fault is None:
        return {"verdict": "ok", "step": "", "advice": "Works.", "notes": _notes(facts, known), "steps": _steps(facts)}
    verdict, step, advice = ADVICE[fault[0]]
    about = {
        **endpoint,
        "place": "%s:%s" % (endpoint["host"], endpoint["port"]),
        "service": _SERVICES[endpoint["service"]],
        "starttls": "STLS" if endpoint["service"] == "pop" else "STARTTLS",
        **fault[1],
    }
    if step == "greeting":
        step = _said_at(facts)
    return {"verdict": verdict, "step": step, "advice": advice % about, "notes": _notes(facts, known), "steps": _steps(facts)}


def _said_at(facts: Facts) -> str:
    """The step at which the server said last what it had to say."""
    if not _in_tls(facts):
        return "tls" if facts["endpoint"]["security"] == "tls" else "starttls" if facts.get("starttls") else "greeting"
    return "auth" if (facts.get("greeting") or {}).get("good") else "greeting"


def _in_tls(facts: Facts) -> bool:
    return bool((facts.get("tls") or {}).get("ok"))


def _steps(facts: Facts) -> Dict[str, Optional[bool]]:
    """What is known of each of STEPS but the log-in: whether it went well, None where it was not reached or nobody can tell."""
    dns, tries, verify = facts.get("dns"), facts.get("tcp") or [], facts.get("verify")
    after = (facts.get("auth") or {}).get("after")
    return {
        "name": None if not dns else bool(dns["a"] or dns["aaaa"]),
        "connection": any(each["ok"] for each in tries) if tries else None,
        "greeting": (facts.get("greeting") or {}).get("good"),
        "starttls": (facts.get("starttls") or {}).get("accepted"),
        "tls": (facts.get("tls") or {}).get("ok"),
        "certificate": bool(verify["chain_ok"] and verify["host_ok"] is not False) if verify else None,
        "auth": None if after is None else bool(set(after) & set(PASSWORD_MECHANISMS)),
    }


def _fault(facts: Facts, known: List[Facts]) -> Optional[Tuple[str, Facts]]:
    """The first fault on the way, in the order a mail program meets them, with what its sentence needs."""
    if facts.get("fault"):
        return "fault", {"fault": facts["fault"]}
    # What is said inside TLS comes after the certificate. Who shows an own one is named whatever else is wrong with it.
    in_tls = _in_tls(facts)
    before = (_dns, _tcp, _tls_mode) if in_tls else (_dns, _tcp, _turned_away, _tls_mode, _conversation)
    for step in (*before, _starttls, _handshake):
        found = step(facts)
        if found:
            return found
    return authority.fault(facts, known) or _certificate(facts) or _turned_away(facts) or _conversation(facts) or _auth(facts)


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
    verdict, _step, advice = ADVICE[fault]
    result.update(verdict=verdict, step="login", advice=advice % {"username": username, "said": said})


def _dns(facts: Facts) -> Optional[Tuple[str, Facts]]:
    dns = facts.get("dns")
    if dns and (dns["a"] or dns["aaaa"]):
        return None
    if dns is None or dns["error"] == "timeout":
        return "name server silent", {}
    if dns["error"] == "nxdomain":
        return "no such name", {}
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
    offered = (facts.get("starttls") or {"offered": False})["offered"]
    if speaks == "plain" and offered is False:
        return "no TLS", {}
    fits = "tls" if speaks == "tls" else "starttls"
    variants = ["%(provider)s (%(title)s)" % each for each in facts["endpoint"].get("variants", []) if each["security"] == fits]
    hint = "the provider entry that fits is %s" % " or ".join(variants) if variants else "correct its security in mail_providers"
    fault = "TLS from the first byte" if speaks == "tls" else "plain text" if offered is None else "STARTTLS"
    return fault, {"hint": hint}


def _conversation(facts: Facts) -> Optional[Tuple[str, Facts]]:
    broke = facts.get("broke")
    if not broke:
        return None
    faults = {"timeout": "held up", "garbage": "not mail", "refused": "hello refused", "busy": "busy"}
    return faults.get(broke["kind"], "cut"), {"error": broke["text"], "said": broke["text"]}


def _starttls(facts: Facts) -> Optional[Tuple[str, Facts]]:
    starttls = facts.get("starttls")
    if facts["endpoint"]["security"] != "starttls" or not starttls or starttls["accepted"]:
        return None
    if starttls["offered"] is False:
        return "STARTTLS missing", {}
    if starttls["accepted"] is None:
        return "held up", {"error": "no answer in time"}
    # RFC 3207: 454, TLS not available for now
    return "busy" if starttls.get("busy") or starttls["text"].startswith("4") else "STARTTLS refused", {"said": starttls["text"]}


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
    if not auth or "after" not in auth:
        return "silent in TLS", {}
    # None: the server does not tell. Then there is what every server has: RFC 1939 section 7, RFC 9051 section 6.2.3.
    if auth["after"] is None or set(auth["after"]) & set(PASSWORD_MECHANISMS):
        return None
    return "no password", {"offered": ", ".join(auth["after"]) or "nothing"}


def _notes(facts: Facts, known: List[Facts]) -> List[str]:
    """What is not as it should be although it does not decide."""
    notes = []
    tries = facts.get("tcp") or []
    answered = {each["family"] for each in tries if each["ok"]}
    silent = {each["family"] for each in tries if each["kind"] in ("timeout", "refused", "unreachable")} - answered
    if answered and silent:
        notes.append("%s does not work here, %s does: programs that try it first are slow." % (_and(silent), _and(answered)))
    dns, greeting = facts.get("dns"), facts.get("greeting") or {}
    if dns and dns["ms"] >= _SLOW:
        notes.append("The name server took %.1f s." % (dns["ms"] / 1000.0))
    if greeting.get("ms", 0) >= _SLOW:
        notes.append("The server took %.1f s to greet; mail programs wait, but people notice." % (greeting["ms"] / 1000.0))
    if facts.get("remark"):
        notes.append(facts["remark"])
    auth = facts.get("auth")
    if auth and auth.get("after", "") is None:
        notes.append("The server does not say how to sign in; that it takes a user name and password is likely, and was not tried.")
    if auth and auth["refused_before"] is False:
        notes.append("The server takes passwords before TLS; the programs set up here do not send them so.")
    elif auth and facts["endpoint"]["security"] == "starttls" and set(auth["before"] or ()) & set(PASSWORD_MECHANISMS):
        notes.append("The server offers sign-in before TLS; the programs set up here do not use it so.")
    if facts.get("injected"):
        notes.append("Something was said between STARTTLS and TLS; somebody on the way may have put it in.")
    notes += authority.notes(facts, known)
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
