# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whose authority stands behind a server's certificate, from the facts of a look at it. Pure.

Four things look alike to a person whose mail program complains: somebody on the way shows a certificate of an authority that was added
here; the server leaves a certificate out; a list lacks an authority that is public; nobody knows the authority. The lists are those of
:mod:`trust`, None where one could not be had: then nothing is claimed from it.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.servers import certificate

Facts = Dict[str, Any]

NO_ISSUER = (2, 18, 19, 20, 21)
"""OpenSSL's codes (x509_vfy.h) for a chain that leads to no authority it trusts, whatever the name, the dates and the strictness."""

_TITLES = {"neomutt": "NeoMutt"}


def fault(facts: Facts, known: List[Facts]) -> Optional[Tuple[str, Facts]]:
    """A fault of :mod:`verdicts`, with what its sentence needs; None where the programs used here take the authority, or nobody knows it.

    known: see certificate.interceptor. It gives a better name, and alone decides where no list could be compared.
    """
    found, verify = facts.get("certificate") or {}, facts.get("verify") or {}
    issuer, trusted = found.get("issuer") or "", verify.get("chain_ok")
    product = None if _public(facts) else certificate.interceptor(issuer, known)
    about = {"issuer": issuer or "unknown", "lacks": (found.get("chain") or {}).get("lacks") or issuer or "its issuer"}
    if product and not product.get("ours"):
        trusts = "trusts" if trusted else "does not trust"
        return "intercepted", {**about, "product": product["product"], "remedy": product["remedy"], "trusts": trusts}
    if trusted:
        return None if product else _trusted(facts, about)
    return _refused(facts, about) if verify.get("code") in NO_ISSUER else None


def _trusted(facts: Facts, about: Facts) -> Optional[Tuple[str, Facts]]:
    """The machine's list leads to an authority: is it public, and does Thunderbird take it too?"""
    lists, others = _lists(facts), _others(facts)
    if lists.get("distribution") is False and not _public(facts):
        if lists.get("completed"):
            said = "Thunderbird refuses it, while programs that go by this machine's list find it there, where somebody added it"
            return "issuer left out", {**about, "refuse": said}
        own = {True: " and to Thunderbird", False: "; Thunderbird, which has a list of its own, refuses it", None: ""}
        return "local authority", {**about, "own": own[_knows(facts)]}
    if _knows(facts) is False and _thunderbird(facts):
        public = "which is public" if _public(facts) else "which somebody may have added to this machine"
        about = {**about, "public": public}
        return "unknown to Thunderbird", {**about, "others": "; %s go by this machine's list and take it" % others if others else ""}
    return None


def _refused(facts: Facts, about: Facts) -> Optional[Tuple[str, Facts]]:
    """The machine's list leads nowhere: is it that list, or the chain?"""
    others = _others(facts)
    if _public(facts):
        own = "; Thunderbird has it in a list of its own" if _knows(facts) else ""
        return "unknown to the machine", {**about, "others": others or "programs that go by this machine's list", "own": own}
    chain = (facts.get("certificate") or {}).get("chain") or {}
    if not chain.get("lacks") or not chain.get("named"):
        return None
    refuse = " and ".join(filter(None, ["Thunderbird" if _thunderbird(facts) else "", others])) or "mail programs"
    return "unknown to all" if chain["depth"] else "issuer left out", {**about, "refuse": "%s will not take it" % refuse}


def notes(facts: Facts, known: List[Facts]) -> List[str]:
    """What somebody should know although it does not decide."""
    product = certificate.interceptor((facts.get("certificate") or {}).get("issuer") or "", known)
    if product and product.get("ours") and _knows(facts) is False and _thunderbird(facts):
        return ["Thunderbird takes a certificate of %s only where it was made to trust it." % product["product"]]
    return []


def _lists(facts: Facts) -> Facts:
    return (facts.get("verify") or {}).get("lists") or {}


def _public(facts: Facts) -> bool:
    """Whether a list that nobody here added to leads to the authority."""
    return True in (_lists(facts).get("distribution"), _lists(facts).get("thunderbird"))


def _knows(facts: Facts) -> Optional[bool]:
    """Whether Thunderbird knows the authority, by what is built in or what its policies add; None where that was not compared.

    What it knows it may still refuse, where it has it marked as no longer trusted; that cannot be read.
    """
    return True if _lists(facts).get("policies") else _lists(facts).get("thunderbird")


def _thunderbird(facts: Facts) -> bool:
    """Whether somebody here would use Thunderbird with this server; so it is where nobody says."""
    return "thunderbird" in facts["endpoint"].get("programs", ["thunderbird"])


def _others(facts: Facts) -> str:
    """Programs that would be used with this server and go by the machine's list; empty where there are none."""
    programs = facts["endpoint"].get("programs", ["other programs"])
    return ", ".join(_TITLES.get(name, name) for name in programs if name != "thunderbird")
