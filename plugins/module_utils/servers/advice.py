# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is said to a technician about each verdict of a server. Data; runs on machines: Python 3.8."""

from __future__ import annotations

from typing import Dict, Tuple

VERDICTS = (
    "ok",
    "dns",
    "blocked",
    "slow",
    "refused",
    "wrong_tls_mode",
    "starttls_stripped",
    "untrusted",
    "incomplete_chain",
    "unknown_root",
    "name_mismatch",
    "expired",
    "intercepted",
    "no_auth",
    "login_rejected",
    "rate_limited",
)

"""All there are. The first fault on the way decides."""

# fault -> verdict, the step at which it shows, advice. `place` is host:port.
ADVICE: Dict[str, Tuple[str, str, str]] = {
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
    "plain text": (
        "wrong_tls_mode",
        "tls",
        "%(place)s speaks plain text, where TLS from the first byte is set, and does not say whether it has STARTTLS: %(hint)s.",
    ),
    "held up": (
        "slow",
        "greeting",
        "%(place)s takes the connection but says nothing useful in the time of this look (%(error)s): the server is slow, or a firewall or "
        "mail scanner on the way holds it up. A mail program waits a minute or more.",
    ),
    "hello refused": (
        "refused",
        "greeting",
        'The server at %(place)s does not let this machine say who it is ("%(error)s"): ask the provider what it wants to be greeted with.',
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
        '%(place)s refuses %(starttls)s ("%(said)s"): a firewall or mail scanner on the way takes it out, or the server is not set up '
        "for it. Nothing is sent without it.",
    ),
    "STARTTLS missing": (
        "starttls_stripped",
        "starttls",
        "%(place)s offers no %(starttls)s here: a firewall (SMTP inspection) or mail scanner on the way takes it out. "
        "Nothing is sent without it.",
    ),
    "TLS held up": (
        "slow",
        "tls",
        "%(place)s takes the connection but does not answer TLS in the time of this look: the server is slow, or a firewall or mail "
        "scanner on the way holds it up. A mail program waits a minute or more.",
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
    "local authority": (
        "intercepted",
        "certificate",
        'The connection to %(place)s is intercepted by "%(issuer)s": that authority is not public, somebody added it to this machine'
        "%(own)s. Find the antivirus, web filter or firewall of that name and have it leave this server alone; if the authority is the "
        "office's own, name it in reachability_interceptors.",
    ),
    "issuer left out": (
        "incomplete_chain",
        "certificate",
        'The server at %(place)s leaves out a certificate, that of "%(lacks)s", which signed its own: %(refuse)s; programs that fetch it '
        "themselves (Outlook, Apple Mail) do not notice. The provider must send it.",
    ),
    "unknown to Thunderbird": (
        "unknown_root",
        "certificate",
        "Thunderbird will not take the certificate of %(place)s: its authority, %(public)s, is not in Thunderbird's own list (issuer "
        '"%(issuer)s")%(others)s. Bring Thunderbird up to date; if that does not help, the provider must change its authority.',
    ),
    "unknown to the machine": (
        "unknown_root",
        "certificate",
        'The authority of the certificate of %(place)s is public, but not in this machine\'s list (issuer "%(issuer)s"): %(others)s will '
        "not take it%(own)s. Bring the machine's list up to date (package ca-certificates).",
    ),
    "unknown to all": (
        "unknown_root",
        "certificate",
        'The certificate of %(place)s leads to "%(lacks)s", which the server does not send and no list here has (%(refuse)s): '
        "if it is the same from another network, the provider's authority is newer than the lists here, or a certificate is left out.",
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
        "slow",
        "auth",
        "%(place)s says nothing more once TLS stands, in the time of this look: the server or a mail scanner on the way is slow.",
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
