"""What was found of a server, step by step, in words. Pure: no I/O, no ansible."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from ..office.problem import printable

Node = dict[str, Any]

_SERVICES = {"imap": "Receive (IMAP)", "pop": "Receive (POP)", "smtp": "Send"}

_SECURITY = {"tls": "TLS", "starttls": "STARTTLS"}

# The order of the steps of a server, for each kind of transport security.
_ORDER = {
    "tls": ("name", "connection", "tls", "certificate", "greeting", "auth", "login"),
    "starttls": ("name", "connection", "greeting", "starttls", "tls", "certificate", "auth", "login"),
}

_TITLES = {
    "name": "Name",
    "connection": "Connection",
    "greeting": "Greeting",
    "starttls": "STARTTLS",
    "tls": "TLS",
    "certificate": "Certificate",
    "auth": "Sign-in offered",
    "login": "Signing in",
}


def node_of(title: str, state: str, text: str = "", **more: Any) -> Node:
    return {"title": title, "state": state, "text": text, **{key: value for key, value in more.items() if value}}


def server_node(result: Mapping[str, Any]) -> Node:
    end = result["endpoint"]
    verdict = result["verdict"]
    state = "ok" if verdict == "ok" else "fail" if end["needed"] else "warn"
    text = "" if verdict == "ok" else result["advice"]
    if not end["needed"]:
        text = f"{text} Nobody here uses this server now.".strip()
    title = f"{_SERVICES[end['service']]}: {end['host']}:{end['port']} ({_SECURITY[end['security']]})"
    order = _ORDER[end["security"]]
    failing = order.index(result["step"]) if result["step"] in order else len(order)
    steps = []
    for number, step in enumerate(order):
        said = _SAYS[step](result)
        if step == "login" and not said:
            continue
        if number == failing:
            steps.append(node_of(_TITLES[step], state, said))
        elif number > failing:
            steps.append(node_of(_TITLES[step], "skip", said or "not reached"))
        else:
            # What comes before the fault is well only where that was seen.
            well = {True: "ok", False: "warn", None: "skip"}[result["steps"].get(step, True)]
            steps.append(node_of(_TITLES[step], well, said or ("not known" if well == "skip" else "")))
    steps += [node_of("Note", "warn", note) for note in result["notes"]]
    return node_of(title, state, text, verdict=verdict, column=f"{end['host']}:{end['port']}", facts=_facts(result), steps=steps)


def _name(result: Mapping[str, Any]) -> str:
    dns = result.get("dns") or {}
    addresses = [*dns.get("a", []), *dns.get("aaaa", [])]
    return f"{', '.join(addresses)} in {dns['ms']} ms" if addresses else str(dns.get("error") or "no answer")


def _connection(result: Mapping[str, Any]) -> str:
    return "; ".join(f"{each['ip']} {'open' if each['ok'] else each['error'] or 'no answer'} in {each['ms']} ms" for each in result["tcp"])


def _greeting(result: Mapping[str, Any]) -> str:
    said = [(result.get("greeting") or {}).get("text"), (result.get("broke") or {}).get("text")]
    return printable("; then: ".join(filter(None, said)))


def _starttls(result: Mapping[str, Any]) -> str:
    found = result.get("starttls")
    if not found:
        return ""
    if found["offered"] is False:
        return "not offered"
    offered = "offered" if found["offered"] else "not known whether offered"
    return f"{offered} and taken" if found["accepted"] else printable(f"{offered}, then: {found['text'] or 'no answer'}")


def _tls(result: Mapping[str, Any]) -> str:
    tls = result.get("tls") or {}
    if tls.get("ok"):
        return f"{tls['version']}, {tls['cipher']}"
    return printable(str(tls.get("error") or ""))


def _certificate(result: Mapping[str, Any]) -> str:
    found = result.get("certificate") or {}
    until = f", valid until {_day(found['not_after'])}" if found.get("not_after") else ""
    return f"from {printable(found['issuer'])}{until}" if found.get("issuer") else ""


def _auth(result: Mapping[str, Any]) -> str:
    auth = result.get("auth") or {}
    refused = auth.get("refused_before")
    before = "" if refused is None else "; refused before TLS" if refused else "; taken before TLS"
    return ", ".join(auth["after"]) + before if auth.get("after") else ""


def _login(result: Mapping[str, Any]) -> str:
    words = {True: "let in", False: "rejected", None: "not known"}
    tries = result.get("logins", [])
    return "; ".join(f"{each['username']} {words[each['ok']]}{'' if each['ok'] else ': ' + printable(each['text'])}" for each in tries)


_SAYS = {
    "name": _name,
    "connection": _connection,
    "greeting": _greeting,
    "starttls": _starttls,
    "tls": _tls,
    "certificate": _certificate,
    "auth": _auth,
    "login": _login,
}


def _facts(result: Mapping[str, Any]) -> dict[str, str]:
    """What a technician passes on to the provider or the maker of the firewall."""
    found, verify = result.get("certificate") or {}, result.get("verify") or {}
    offered = result.get("capabilities") or {}
    yes: dict[bool | None, str] = {True: "yes", False: "no"}
    lists, compared = verify.get("lists") or {}, {**yes, None: "not compared"} if verify else {}
    facts = {
        "Certificate of": found.get("subject"),
        "Names in it": ", ".join(found.get("names") or []),
        "Issued by": found.get("issuer"),
        "SHA-256": found.get("sha256"),
        "Trusted by this machine": yes.get(verify.get("chain_ok")),
        "Authority in the distribution's own list": compared.get(lists.get("distribution")),
        "Authority in Thunderbird's own list": compared.get(lists.get("thunderbird")),
        "Authority in Thunderbird's policies": yes.get(lists.get("policies")),
        "Certificates sent": (found.get("chain") or {}).get("sent"),
        "Certificate left out": (found.get("chain") or {}).get("lacks"),
        "Trusted by strict programs": yes.get(verify.get("strict_ok")),
        "Has the server's name": yes.get(verify.get("host_ok")),
        "Offered before TLS": ", ".join(offered.get("before") or []),
        "Offered inside TLS": ", ".join(offered.get("after") or []),
        "Used by": ", ".join(result["endpoint"]["people"]),
        "Took": f"{result['ms']} ms",
    }
    return {name: printable(str(value), 300) for name, value in facts.items() if value}


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _day(seconds: int) -> str:
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).date().isoformat()
    except (OverflowError, ValueError, OSError):
        return "an unknown day"
