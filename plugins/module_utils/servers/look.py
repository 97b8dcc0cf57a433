# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One look at one server, step by step: what was found is facts. Runs on machines: Python 3.8, standard library only."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.masking import mask
from ansible_collections.msp.charter_mail.plugins.module_utils.servers import authority, certificate, dialogs, race, trust, verdicts, wire
from ansible_collections.msp.charter_mail.plugins.module_utils.servers.facts import Facts, broken, describe, no_handshake, tls
from ansible_collections.msp.charter_mail.plugins.module_utils.servers.race import FAMILIES, Race

PER_FAMILY = 2

"""How many addresses of each family are tried; providers have many that are alike."""

# The name is not there, as opposed to: nobody could tell. EAI_NODATA is missing on some systems.
_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


_HOST_MISMATCH = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH


class Look:
    """One look at one endpoint. Facts that are there so far are in ``facts``."""

    def __init__(self, endpoint: Facts, seconds: float, whom: trust.Trust, secrets: Sequence[str] = ()) -> None:
        self.endpoint = endpoint
        self._secrets = secrets
        self._trust = whom
        self.begin = time.monotonic()
        self.end = self.begin + seconds
        self.step = max(0.5, seconds / 4)
        self.facts: Facts = {"endpoint": endpoint, "dns": None, "tcp": [], "greeting": None, "tls": None, "certificate": None}
        self._place: Optional[Tuple[int, str]] = None  # family and address that answered
        self._mechanisms: List[str] = []
        self._spare = self.step
        self._lock = threading.Lock()

    # Until when a name or a connection is waited for.
    def _until(self) -> float:
        return min(self.end, time.monotonic() + self.step)

    # Until when the answers of somebody who took the connection are waited for, which a mail program does for a minute or more:
    # all the time there is, but for what the first conversation must spare for a second.
    def _answered(self) -> float:
        return self.end - self._spare

    def run(self) -> None:
        """Go as far as it goes. Never raises."""
        try:
            self._run()
        except Exception as error:  # a fault here must be seen, and must not hide what was found
            self._note(fault="%s: %s" % (type(error).__name__, error))
        self._note(ms=race.ms(self.begin))

    def result(self, known: List[Facts]) -> Facts:
        """The facts with verdict, advice and notes."""
        with self._lock:
            facts = dict(self.facts)
        facts.setdefault("ms", race.ms(self.begin))
        return {**facts, **verdicts.judge(facts, known)}

    def _note(self, **found: Any) -> None:
        with self._lock:
            self.facts.update(found)

    def _masked(self, words: Optional[List[str]]) -> Optional[List[str]]:
        return None if words is None else [word if word in verdicts.PASSWORD_MECHANISMS else mask(word, self._secrets) for word in words]

    def _run(self) -> None:
        addresses = self._resolve()
        if not addresses:
            return
        racing = Race(addresses, int(self.endpoint["port"]), self._until())
        try:
            connection = racing.first()
            self._note(tcp=racing.results())
            if connection is None:
                return
            self._place = racing.winner
            self._talk(connection)
        finally:
            racing.finish()
            self._note(tcp=racing.results())

    # 1. The name

    def _resolve(self) -> List[Tuple[int, str]]:
        """Addresses of both families. A resolver that hangs is left hanging: a look-up cannot be called off."""
        start = time.monotonic()
        found: Dict[int, Any] = {}

        def ask(family: int) -> None:
            try:
                infos = socket.getaddrinfo(self.endpoint["host"], int(self.endpoint["port"]), family, socket.SOCK_STREAM)
                found[family] = list(dict.fromkeys(str(info[4][0]) for info in infos))
            except (OSError, UnicodeError) as error:
                found[family] = error

        threads = [threading.Thread(target=ask, args=(family,), daemon=True) for family in FAMILIES]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, self.begin + self.step - time.monotonic()))
        for thread in threads:
            # Without any address there is nothing else to do: a first name server that is dead costs five seconds and more.
            if not any(isinstance(answer, list) for answer in list(found.values())):
                thread.join(max(0.0, self._answered() - time.monotonic()))
        lists = {family: answer for family, answer in list(found.items()) if isinstance(answer, list)}
        errors = [answer for answer in list(found.values()) if not isinstance(answer, list)]
        dns: Facts = {"a": lists.get(socket.AF_INET, []), "aaaa": lists.get(socket.AF_INET6, []), "ms": race.ms(start), "error": None}
        if not lists:
            codes = {getattr(error, "errno", None) for error in errors}
            if len(errors) < len(FAMILIES):
                dns["error"] = "timeout"
            elif codes <= _NO_SUCH_NAME:
                dns["error"] = "nxdomain"
            else:
                dns["error"] = "failure"
                dns["message"] = wire.shown("; ".join(sorted({str(getattr(e, "strerror", None) or e) for e in errors})))
        self._note(dns=dns)
        return [(family, address) for family in FAMILIES for address in lists.get(family, [])[:PER_FAMILY]]

    # 2. and on: the conversation

    def _talk(self, first: socket.socket) -> None:
        with self._session(self._trust.context(strict=True), first) as session:
            if session.failure is None:
                self._note(verify={"chain_ok": True, "strict_ok": True, "host_ok": True, "code": 0, "message": "", "lists": {}})
                self._inside(session)
        self._spare = 0.0
        if session.failure is None:
            self._compare(session)
        elif isinstance(session.failure, ssl.SSLCertVerificationError):
            self._untrusted(session.failure)
        elif self.endpoint["security"] == "tls":
            self._no_tls(session.failure)
        else:
            self._no_starttls(session.failure)

    def _no_tls(self, failure: BaseException) -> None:
        failed = no_handshake(failure)
        self._note(tls=failed)
        if failed["kind"] in ("plain", "closed"):
            self._in_plain_text()

    def _no_starttls(self, failure: BaseException) -> None:
        if (self.facts.get("starttls") or {}).get("accepted"):
            self._note(tls=no_handshake(failure))
        elif not isinstance(failure, Stopped):
            self._note(broke=broken(failure))
            if self.facts["greeting"] is None:
                # It waits for us to speak first, or says what is no mail.
                self._from_the_first_byte()

    def _in_plain_text(self) -> None:
        """TLS from the first byte went wrong: is it a mail server that begins in plain text?"""
        with contextlib.ExitStack() as stack:
            try:
                self._before(self._dialog(self._connect(stack)))
            except ENDS as error:
                if not isinstance(error, Stopped):
                    self._note(broke=broken(error))
        if self.facts["greeting"]:
            self._note(speaks="plain")

    def _from_the_first_byte(self) -> None:
        """A greeting in plain text did not come: does it speak TLS from the first byte?"""
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError, ValueError):
            secure = self._handshake(self._trust.context(None), self._connect(stack))
            stack.callback(secure.close)
            self._note(speaks="tls", tls=tls(secure), certificate=describe(secure))

    def _untrusted(self, error: ssl.SSLCertVerificationError) -> None:
        """The certificate did not pass every check: see which, by trying again with fewer, the last time with none to read it."""
        verify: Facts = {"chain_ok": False, "strict_ok": False, "host_ok": None, "code": error.verify_code, "message": error.verify_message}
        verify["lists"] = {}
        self._note(verify=verify)
        with self._session(self._trust.context(None)) as session:
            if session.failure is None:
                self._inside(session)
            else:
                self._note(tls=no_handshake(session.failure))
        names = (self.facts["certificate"] or {}).get("names")
        if names:
            verify["host_ok"] = certificate.covers(str(self.endpoint["host"]), names)
        elif error.verify_code in _HOST_MISMATCH:
            verify["host_ok"] = False
        chain = None
        if error.verify_code not in authority.NO_ISSUER:
            with self._session(self._trust.context(host=False)) as session:
                chain = session
            verify["chain_ok"] = chain.failure is None
            if isinstance(chain.failure, ssl.SSLCertVerificationError):
                verify.update(code=chain.failure.verify_code, message=chain.failure.verify_message)
        if verify["chain_ok"]:
            with self._session(self._trust.context(strict=True, host=False)) as session:
                verify["strict_ok"] = session.failure is None
            if verify["strict_ok"] and verify["host_ok"] is None:
                verify["host_ok"] = False  # chain and dates passed, so it was the name
        self._note(verify=dict(verify))
        if verify["chain_ok"] or verify["code"] in authority.NO_ISSUER:
            self._compare(chain)

    def _compare(self, trusted: Optional[Session]) -> None:
        """Which other lists lead to an authority of theirs. trusted: the session in which one of the machine's did, if any.

        What that session shows to be in a list needs no second look; else the server is asked once more, with that list.
        """
        lists: Dict[str, Optional[bool]] = {}
        for name in trust.LISTS:
            # Policies add to what Thunderbird has; what was completed here matters where the public authorities alone do not do.
            asked = {
                "policies": lists.get("thunderbird") is False,
                "completed": trusted is not None and lists.get("distribution") is False and not lists.get("thunderbird"),
            }
            lists[name] = self._leads_to(name, trusted) if asked.get(name, True) else None
            self._note(verify={**self.facts["verify"], "lists": dict(lists)})

    def _leads_to(self, name: str, trusted: Optional[Session]) -> Optional[bool]:
        authorities = self._trust.authorities(name)
        if authorities is None:
            return None
        if trusted and trusted.verified and trusted.sent:
            *between, last = trusted.verified[1:] or trusted.verified
            if last in authorities and {*between} <= {*trusted.sent, *authorities}:
                return True
        with self._session(self._trust.context(name)) as session:
            if session.failure is None:
                return True
        return False if isinstance(session.failure, ssl.SSLCertVerificationError) else None

    @contextlib.contextmanager
    def _session(self, context: ssl.SSLContext, first: Optional[socket.socket] = None) -> Iterator[Session]:
        """A connection in which TLS has been started with ``context``, the way the endpoint is declared; or the failure."""
        with contextlib.ExitStack() as stack:
            session = Session()
            try:
                connection = self._connect(stack, first)
                if self.endpoint["security"] == "starttls":
                    self._upgrade(connection)
                secure = self._handshake(context, connection)
                stack.callback(secure.close)
                self._note(tls=tls(secure), certificate=describe(secure))
                session.dialog = self._dialog(secure)
                session.verified, session.sent = trust.verified(secure), getattr(secure, "sent", None)
            except (ValueError, *ENDS) as error:
                session.failure = error
            yield session

    def _handshake(self, context: ssl.SSLContext, connection: socket.socket) -> ssl.SSLSocket:
        connection.settimeout(max(0.01, self._answered() - time.monotonic()))
        return context.wrap_socket(connection, server_hostname=str(self.endpoint["host"]))

    def _connect(self, stack: contextlib.ExitStack, first: Optional[socket.socket] = None) -> socket.socket:
        """``first``, or another connection to the address that answered; closed with the stack. Raises OSError, Stopped."""
        if first is not None:
            stack.callback(first.close)
            return first
        if self._place is None:
            raise Stopped("no address answered")
        family, address = self._place
        connection = socket.socket(family, socket.SOCK_STREAM)
        stack.callback(connection.close)
        connection.settimeout(max(0.01, self._until() - time.monotonic()))
        connection.connect((address, int(self.endpoint["port"])))
        return connection

    def _dialog(self, connection: socket.socket) -> wire.Dialog:
        return dialogs.DIALOGS[self.endpoint["service"]](wire.Wire(connection, self._answered(), self._secrets))

    def _upgrade(self, connection: socket.socket) -> None:
        """Greeting, what is offered, STARTTLS. Raises Stopped where the server has no more to say to us."""
        dialog = self._dialog(connection)
        self._before(dialog)
        before = self.facts["starttls"]
        if before["offered"] is False:
            raise Stopped("no STARTTLS")
        reply = dialog.ask(dialog.STARTTLS)
        if not before["accepted"]:  # a server that has it has it, even if it had enough of us
            self._note(starttls={"offered": before["offered"], "accepted": bool(reply.good), "text": reply.text, "busy": reply.busy})
        if not reply.good:
            raise Stopped("no STARTTLS")
        if dialog.wire.unread:
            # Said before the handshake, it would be taken for something said inside TLS (CVE-2011-0411 and its kin).
            self._note(injected=True)

    def _before(self, dialog: wire.Dialog) -> None:
        """What a server says and offers before TLS. Asked once; a second connection only greets."""
        known = self.facts["greeting"] is not None
        greeting = self._greeting(dialog)
        if not greeting.good:
            raise Stopped("turned away")
        before = self._offered(dialog)
        if known and self.facts.get("starttls"):
            return
        offered = None if before is None else any(word.split(" ")[0] == dialog.STARTTLS for word in before)
        self._note(
            capabilities={"before": self._masked(before), "after": []},
            starttls={"offered": offered, "accepted": None, "text": ""},
            auth={"before": None if before is None else self._masked(dialog.mechanisms(before)), "refused_before": None},
        )
        refused = dialog.open_auth()
        auth = dict(self.facts["auth"])
        auth["refused_before"] = refused.good is False
        self._note(auth=auth)

    def _inside(self, session: Session) -> None:
        """What the server says and offers inside TLS."""
        dialog = session.dialog
        if dialog is None:
            raise AssertionError("without a failure there is a dialog")
        try:
            if self.endpoint["security"] == "tls" and not self._greeting(dialog).good:
                return
            after = self._offered(dialog)
            mechanisms = None if after is None else dialog.mechanisms(after)
            self._mechanisms = mechanisms or []
            before = (self.facts.get("capabilities") or {}).get("before", [])
            auth = self.facts.get("auth") or {"before": [], "refused_before": None}
            self._note(capabilities={"before": before, "after": self._masked(after)}, auth={**auth, "after": self._masked(mechanisms)})
            with contextlib.suppress(OSError, wire.Late):
                dialog.wire.send("a9 LOGOUT" if self.endpoint["service"] == "imap" else "QUIT")
        except ENDS as error:
            self._note(broke=broken(error))

    def _greeting(self, dialog: wire.Dialog) -> wire.Reply:
        start = time.monotonic()
        said = dialog.greeting()
        if self.facts["greeting"] is None:
            self._note(greeting={"good": said.good, "text": said.text, "busy": said.busy, "ms": race.ms(start)})
        return said

    def _offered(self, dialog: wire.Dialog) -> Optional[List[str]]:
        offered = dialog.capabilities()
        if dialog.remark:
            self._note(remark=dialog.remark)
        return offered

    def login(self, username: str, password: str) -> wire.Reply:
        """Sign in once, over a connection whose certificate passed every check. Raises what a Dialog raises, OSError, Stopped."""
        with self._session(self._trust.context()) as session:
            if session.failure is not None:
                raise session.failure
            dialog = session.dialog
            if dialog is None:
                raise AssertionError("without a failure there is a dialog")
            if self.endpoint["security"] == "tls":
                greeting = dialog.greeting()
                if not greeting.good:
                    return greeting
            if self.endpoint["service"] == "smtp":
                dialog.capabilities()  # EHLO comes first
            return dialog.login(username, password, self._mechanisms)


class Session:
    """An attempt to start TLS: either the dialog inside it, or what went wrong."""

    def __init__(self) -> None:
        self.dialog: Optional[wire.Dialog] = None
        self.failure: Optional[BaseException] = None
        self.verified: Optional[List[bytes]] = None
        self.sent: Optional[List[bytes]] = None


class Stopped(Exception):
    """There is nothing to go on with; the facts say why."""


ENDS = (OSError, Stopped, wire.Closed, wire.Late, wire.NotMail, wire.Refused)

"""How a conversation ends before it should."""
