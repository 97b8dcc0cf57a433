#!/usr/bin/python
# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation. The half on the controller is plugins/action/mail_probe.py, the one on machines _mail_probe.py beside this."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mail_probe
short_description: Look from a machine whether its people's mail servers can be used, and say why not
version_added: 0.1.0
author: charter-mail contributors (!UNKNOWN)
description:
  - Looks at all mail servers of the machine's people at once, in one round trip and within a time. For each server the name (A and AAAA),
    the connection for each address family, TLS in the mode that is set, the certificate, the greeting and what the server offers before and
    after TLS; the first fault makes the verdict.
  - Changes nothing on the machine and sends no mail.
  - Signs in only when O(login) is set, to a server that passed everything else, once for each mailbox; where its server for fetching mail
    rejects it, the one for sending is not tried. The passwords are asked for at the terminal, so it is never done in a scheduled run;
    they reach the machine through the standard input of the module and are kept nowhere.
options:
  rows:
    description: Rows of the machine's people, as P(msp.charter_mail.resolve_people#filter) takes them.
    type: list
    elements: dict
    required: true
  policy:
    description: >-
      The office's decisions, as P(msp.charter_mail.resolve_people#filter) takes them. With C(smtp_port=auto) the result says
      which port can be used here.
    type: dict
    required: true
  interceptors:
    description: Who is known to read mail connections, each as C(product), C(issuer) (texts in the name of the certificate's
      issuer) and C(remedy) (a sentence); or, with C(ours), an authority of the office's own, for which nobody is in the way. They give
      a better name than the issuer's; that somebody is in the way is seen from the lists of authorities where these can be had.
    type: list
    elements: dict
    required: true
  timeout:
    description: >-
      Seconds for all servers of the machine together. A connection is waited for a quarter of it, the answers on one that stands
      three quarters.
    type: int
    default: 20
  login:
    description: Also sign in, with passwords that are asked for.
    type: bool
    default: false
attributes:
  check_mode:
    description: Does the same.
    support: full
  diff_mode:
    description: Nothing changes.
    support: none
notes:
  - The certificate is checked against the trust store that Python uses on the machine. On Linux and Windows that is the system's, on macOS
    it is not the keychain. On Linux it is compared with what the distribution's package brings, without additions, and with what is built
    into the Thunderbird that is installed; elsewhere nothing is compared.
  - Where a server leaves a certificate out, the place to fetch it is read from the certificate and never visited.
"""

EXAMPLES = r"""
- name: See what works from here
  msp.charter_mail.mail_probe:
    rows: "{{ mail_rows }}"
    policy: "{{ mail_policy }}"
    interceptors: "{{ reachability_interceptors }}"
  register: reachability_result
"""

RETURN = r"""
endpoints:
  description: One entry for each server, in the order of the model.
  returned: always
  type: list
  elements: dict
  contains:
    endpoint:
      description: >-
        service (imap, pop, smtp), host, port, security; people, who uses it; needed, whether anybody does; programs, what would use it.
      type: dict
    verdict:
      description: >-
        V(ok), V(dns), V(blocked) (no answer), V(slow) (no answer in time from somebody who takes the connection), V(refused),
        V(wrong_tls_mode), V(starttls_stripped), V(untrusted), V(incomplete_chain), V(unknown_root), V(name_mismatch), V(expired),
        V(intercepted), V(no_auth), V(login_rejected), V(rate_limited).
      type: str
      sample: blocked
    step:
      description: Where the fault shows, name, connection, greeting, starttls, tls, certificate, auth or login; empty when all is well.
      type: str
    advice:
      description: What is wrong and what to do, in one or two sentences.
      type: str
    notes:
      description: What is not as it should be although mail works.
      type: list
      elements: str
    steps:
      description: For each step whether it went well; none where it was not reached or nobody can tell.
      type: dict
    dns:
      description: Addresses (a, aaaa), ms, error (nxdomain, timeout, failure) or none.
      type: dict
    tcp:
      description: For each address tried ip, family, ok, ms, error, kind.
      type: list
      elements: dict
    greeting:
      description: The server's first words and how long they took (ms); none when there were none.
      type: dict
    tls:
      description: ok, version, cipher, bits, error, kind.
      type: dict
    certificate:
      description: >-
        subject, issuer, names, not_before, not_after, days_left, sha256; also of a certificate that is not trusted. chain, none where
        Python cannot tell: sent, how many certificates; lacks, whose is left out; depth, how many steps above the server's own; named,
        whether the place to fetch it from is.
      type: dict
    verify:
      description: >-
        chain_ok (against the machine's trust store), strict_ok (with the checks of newer programs), host_ok, and OpenSSL's code and
        message (X509_V_ERR) of the first that failed. lists, the same chain against other lists, none where it was not compared:
        distribution (what its package has), thunderbird (what is built in), policies (what its policies add), completed (the first two,
        with certificates between authority and server that somebody added to the machine).
      type: dict
    starttls:
      description: offered, accepted, text.
      type: dict
    capabilities:
      description: What the server offers before and after TLS; none where it does not tell.
      type: dict
    auth:
      description: >-
        Ways to sign in before and after TLS, none where the server does not tell; whether a server that is asked before TLS refuses.
      type: dict
    logins:
      description: For each mailbox that was tried, username, ok (none where it was not tried or broke off), text.
      type: list
      elements: dict
    ms:
      description: How long the look took.
      type: int
smtp_port:
  description: The port that C(smtp_port=auto) comes to here, else the one that is set; none for the provider's first.
  returned: always
  type: int
smtp_choice:
  description: One sentence when it is not the provider's first, or none could be proven; else empty.
  returned: always
  type: str
shut:
  description: >-
    Ports at which none of the servers took a connection. Something stops them, on this machine or further on, or the servers are down.
  returned: always
  type: list
  elements: int
  sample: [587]
remember:
  description: >-
    For O(msp.charter_mail.mail_files#module:remember), so that the next look knows it: C(primaries), the address of each login's first
    mailbox, and C(smtp_port), what C(smtp_port=auto) came to.
  returned: always
  type: dict
  sample: {primaries: {jane: jane.doe@example.org}, smtp_port: 465}
"""
