# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Look at mail servers from this machine, all at once and within a time: name, connection, TLS, certificate, what is offered, log-in.

What was found of an endpoint is collected in a dictionary of facts while the look goes on, so that a look that is cut short still tells how
far it came. :mod:`verdicts` makes one verdict of it.

Nothing is changed, no mail is sent, no certificate is taken on trust for anything but reading it.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import ssl
import threading
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils import certificate, verdicts, wire
from ansible_collections.msp.charter_mail.plugins.module_utils.masking import mask

Facts = Dict[str, Any]

FAMILIES: Dict[int, str] = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}
PER_FAMILY = 2
"""How many addresses of each family are tried; providers have many that are alike."""

# The name is not there, as opposed to: nobody could tell. EAI_NODATA is missing on some systems.
_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
# X.509 checks that Python has switched on by default since 3.13 and Python 3.8 to 3.12 can switch on as well.
_STRICT = ssl.VERIFY_X509_STRICT
# OpenSSL's words for an answer that is no TLS at all.
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")
_HOST_MISMATCH = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH


class Login(NamedTuple):
    """A user name and password to try once. ``endpoints``: indexes, in the order to try; the first rejection is the last try."""

    username: str
    password: str
    endpoints: List[int]


def probe(endpoints: List[Facts], known: List[Facts], seconds: float, logins: Optional[List[Login]] = None) -> List[Facts]:
    """One result per endpoint ({service, host, port, security, ...}), in their order, within ``seconds`` and a moment.

    known: who is known to sit in the way, see :func:`certificate.interceptor`.
    """
    trust = Trust()
    # A server that was told a password may repeat it to whoever comes next.
    secrets = [login.password for login in logins or []]
    looks = [Look(endpoint, seconds, trust, secrets) for endpoint in endpoints]
    threads = [threading.Thread(target=look.run, daemon=True) for look in looks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, looks[0].end - time.monotonic()) + 1)
    results = [look.result(known) for look in looks]
    # One after the other: a mailbox is not tried at two servers at once, so that a wrong password counts once.
    for login in logins or []:
        for index in login.endpoints:
            if not _try(looks[index], results[index], login):
                break
    for result in results:
        verdicts.add_logins(result)
    return results


def _try(look: Look, result: Facts, login: Login) -> bool:
    """Sign in once; whether the next server of the same mailbox may be tried."""
    attempts = result.setdefault("logins", [])
    if result["verdict"] != "ok":
        attempts.append({"username": login.username, "ok": None, "text": "not tried, because the server is not as it should be"})
        return True
    look.end = time.monotonic() + look.step * 2
    try:
        reply = look.login(login.username, login.password)
    except (OSError, Stopped, wire.Closed, wire.Late, wire.NotMail) as error:
        attempts.append({"username": login.username, "ok": None, "text": "broke off: %s" % words(error)})
        return False
    attempts.append({"username": login.username, "ok": reply.good is True, "busy": reply.busy, "text": reply.text})
    return reply.good is True


class Look:
    """One look at one endpoint. Facts that are there so far are in ``facts``."""

    def __init__(self, endpoint: Facts, seconds: float, trust: Trust, secrets: Sequence[str] = ()) -> None:
        self.endpoint = endpoint
        self._secrets = secrets
        self._trust = trust
        self.begin = time.monotonic()
        self.end = self.begin + seconds
        self.step = max(0.5, seconds / 4)
        self.facts: Facts = {"endpoint": endpoint, "dns": None, "tcp": [], "greeting": None, "tls": None, "certificate": None}
        self._place: Optional[Tuple[int, str]] = None  # family and address that answered
        self._mechanisms: List[str] = []
        self._lock = threading.Lock()

    # How long something may take from now on.
    def _until(self, seconds: Optional[float] = None) -> float:
        return min(self.end, time.monotonic() + (self.step if seconds is None else seconds))

    def run(self) -> None:
        """Go as far as it goes. Never raises."""
        try:
            self._run()
        except Exception as error:  # a fault here must be seen, and must not hide what was found
            self._note(fault="%s: %s" % (type(error).__name__, error))
        self._note(ms=_ms(self.begin))

    def result(self, known: List[Facts]) -> Facts:
        """The facts with verdict, advice and notes."""
        with self._lock:
            facts = dict(self.facts)
        facts.setdefault("ms", _ms(self.begin))
        return {**facts, **verdicts.judge(facts, known)}

    def _note(self, **found: Any) -> None:
        with self._lock:
            self.facts.update(found)

    def _masked(self, words: List[str]) -> List[str]:
        return [word if word in verdicts.PASSWORD_MECHANISMS else mask(word, self._secrets) for word in words]

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
        end = self._until()
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        lists = {family: answer for family, answer in list(found.items()) if isinstance(answer, list)}
        errors = [answer for answer in list(found.values()) if not isinstance(answer, list)]
        dns: Facts = {"a": lists.get(socket.AF_INET, []), "aaaa": lists.get(socket.AF_INET6, []), "ms": _ms(start), "error": None}
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
                self._trusted()
                self._inside(session)
                return
        if isinstance(session.failure, ssl.SSLCertVerificationError):
            self._untrusted(session.failure)
        elif self.endpoint["security"] == "tls":
            self._no_tls(session.failure)
        else:
            self._no_starttls(session.failure)

    def _no_tls(self, failure: BaseException) -> None:
        failed = _failed(failure)
        self._note(tls=failed)
        if failed["kind"] in ("plain", "closed"):
            self._in_plain_text()

    def _no_starttls(self, failure: BaseException) -> None:
        if (self.facts.get("starttls") or {}).get("accepted"):
            self._note(tls=_failed(failure))
        elif not isinstance(failure, Stopped):
            self._note(broke=_broken(failure))
            if self.facts["greeting"] is None:
                # It waits for us to speak first, or says what is no mail.
                self._from_the_first_byte()

    def _in_plain_text(self) -> None:
        """TLS from the first byte went wrong: is it a mail server that begins in plain text?"""
        with contextlib.ExitStack() as stack:
            try:
                self._before(self._dialog(self._connect(stack)))
            except (OSError, Stopped, wire.Closed, wire.Late, wire.NotMail) as error:
                if not isinstance(error, Stopped):
                    self._note(broke=_broken(error))
        if self.facts["greeting"]:
            self._note(speaks="plain")

    def _from_the_first_byte(self) -> None:
        """A greeting in plain text did not come: does it speak TLS from the first byte?"""
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError, ValueError):
            secure = self._handshake(self._trust.context(verify=False), self._connect(stack))
            stack.callback(secure.close)
            self._note(speaks="tls", tls=_tls(secure), certificate=_describe(secure))

    def _trusted(self) -> None:
        self._note(verify={"chain_ok": True, "strict_ok": True, "host_ok": True, "code": 0, "message": ""})

    def _untrusted(self, error: ssl.SSLCertVerificationError) -> None:
        """The certificate did not pass every check: see which, by trying again with fewer, the last time with none to read it."""
        verify: Facts = {"chain_ok": False, "strict_ok": False, "host_ok": None, "code": error.verify_code, "message": error.verify_message}
        self._note(verify=verify)
        with self._session(self._trust.context(verify=False)) as session:
            if session.failure is None:
                self._inside(session)
            else:
                self._note(tls=_failed(session.failure))
        names = (self.facts["certificate"] or {}).get("names")
        if names:
            verify["host_ok"] = certificate.covers(str(self.endpoint["host"]), names)
        elif error.verify_code in _HOST_MISMATCH:
            verify["host_ok"] = False
        with self._session(self._trust.context(host=False)) as session:
            chain = session.failure
            verify["chain_ok"] = chain is None
            if isinstance(chain, ssl.SSLCertVerificationError):
                verify.update(code=chain.verify_code, message=chain.verify_message)
        if verify["chain_ok"]:
            with self._session(self._trust.context(strict=True, host=False)) as session:
                verify["strict_ok"] = session.failure is None
            if verify["strict_ok"] and verify["host_ok"] is None:
                verify["host_ok"] = False  # chain and dates passed, so it was the name
        self._note(verify=dict(verify))

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
                self._note(tls=_tls(secure), certificate=_describe(secure))
                session.dialog = self._dialog(secure)
            except (OSError, ValueError, Stopped, wire.Closed, wire.Late, wire.NotMail) as error:
                session.failure = error
            yield session

    def _handshake(self, context: ssl.SSLContext, connection: socket.socket) -> ssl.SSLSocket:
        connection.settimeout(max(0.01, self._until() - time.monotonic()))
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
        return wire.DIALOGS[self.endpoint["service"]](wire.Wire(connection, self._until(), self._secrets))

    def _upgrade(self, connection: socket.socket) -> None:
        """Greeting, what is offered, STARTTLS. Raises Stopped where the server has no more to say to us."""
        dialog = self._dialog(connection)
        self._before(dialog)
        dialog.wire.end = self._until()
        offered = bool(self.facts["starttls"]["offered"])
        if not offered:
            raise Stopped("no STARTTLS")
        reply = dialog.ask(dialog.STARTTLS)
        self._note(starttls={"offered": True, "accepted": bool(reply.good), "text": reply.text})
        if not reply.good:
            raise Stopped("no STARTTLS")
        if dialog.wire.unread:
            # Said before the handshake, it would be taken for something said inside TLS (CVE-2011-0411 and its kin).
            self._note(injected=True)

    def _before(self, dialog: wire.Dialog) -> None:
        """What a server says and offers before TLS. Asked once; a second connection only greets."""
        known = self.facts["greeting"] is not None
        greeting = dialog.greeting()
        if not known:
            self._note(greeting={"good": greeting.good, "text": greeting.text, "busy": greeting.busy})
        if not greeting.good:
            raise Stopped("turned away")
        dialog.wire.end = self._until()
        before = dialog.capabilities()
        if known and self.facts.get("starttls"):
            return
        mechanisms = dialog.mechanisms(before)
        # IMAP's command LOGIN is there unless the server says it is not.
        self._note(
            capabilities={"before": self._masked(before), "after": []},
            starttls={"offered": any(word.split(" ")[0] == dialog.STARTTLS for word in before), "accepted": None, "text": ""},
            auth={"before": self._masked(mechanisms), "refused_before": None, "after": []},
        )
        dialog.wire.end = self._until()
        refused = dialog.open_auth()
        auth = dict(self.facts["auth"])
        auth["refused_before"] = refused.good is False
        self._note(auth=auth)

    def _inside(self, session: Session) -> None:
        """What the server says and offers inside TLS."""
        dialog = session.dialog
        assert dialog is not None
        try:
            if self.endpoint["security"] == "tls":
                greeting = dialog.greeting()
                self._note(greeting={"good": greeting.good, "text": greeting.text, "busy": greeting.busy})
                if not greeting.good:
                    return
            dialog.wire.end = self._until()
            after = dialog.capabilities()
            self._mechanisms = dialog.mechanisms(after)
            before = (self.facts.get("capabilities") or {}).get("before", [])
            auth = self.facts.get("auth") or {"before": [], "refused_before": None}
            self._note(capabilities={"before": before, "after": self._masked(after)})
            self._note(auth={**auth, "after": self._masked(self._mechanisms)})
            with contextlib.suppress(OSError, wire.Late):
                dialog.wire.send("a9 LOGOUT" if self.endpoint["service"] == "imap" else "QUIT")
        except (OSError, wire.Closed, wire.Late, wire.NotMail) as error:
            self._note(broke=_broken(error))

    def login(self, username: str, password: str) -> wire.Reply:
        """Sign in once, over a connection whose certificate passed every check. Raises what a Dialog raises, OSError, Stopped."""
        with self._session(self._trust.context()) as session:
            if session.failure is not None:
                raise session.failure
            dialog = session.dialog
            assert dialog is not None
            if self.endpoint["security"] == "tls":
                greeting = dialog.greeting()
                if not greeting.good:
                    return greeting
            if self.endpoint["service"] == "smtp":
                dialog.capabilities()  # EHLO comes first
            dialog.wire.end = self._until(self.step * 2)  # servers answer a wrong password slowly, on purpose
            return dialog.login(username, password, self._mechanisms)


class Trust:
    """TLS contexts, 1.2 or later, against the machine's own trust store; one of a kind for all looks, for it takes some MB and time."""

    def __init__(self) -> None:
        self._contexts: Dict[Tuple[bool, bool, bool], ssl.SSLContext] = {}
        self._lock = threading.Lock()

    def context(self, verify: bool = True, strict: bool = False, host: bool = True) -> ssl.SSLContext:
        """verify: the certificate at all; strict: with the checks newer programs make; host: its name too."""
        with self._lock:
            kind = (verify, strict, host)
            if kind not in self._contexts:
                self._contexts[kind] = self._make(*kind)
            return self._contexts[kind]

    @staticmethod
    def _make(verify: bool, strict: bool, host: bool) -> ssl.SSLContext:
        if not verify:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context = ssl.create_default_context()
            context.verify_flags = context.verify_flags | _STRICT if strict else context.verify_flags & ~_STRICT
            context.check_hostname = host
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


class Session:
    """An attempt to start TLS: either the dialog inside it, or what went wrong."""

    def __init__(self) -> None:
        self.dialog: Optional[wire.Dialog] = None
        self.failure: Optional[BaseException] = None


class Stopped(Exception):
    """There is nothing to go on with; the facts say why."""


class Race:
    """Connect to several addresses at once; the first that answers wins, the others are waited for at the end.

    A mail program does it in some such way (RFC 8305), and a technician wants to know of a family that hangs.
    """

    def __init__(self, addresses: List[Tuple[int, str]], port: int, end: float) -> None:
        self._begin = time.monotonic()
        self._end = end
        self._selector = selectors.DefaultSelector()
        self._results: Dict[Tuple[int, str], Facts] = {}
        self.winner: Optional[Tuple[int, str]] = None
        for place in addresses:
            self._results[place] = {"ip": place[1], "family": FAMILIES[place[0]], "ok": None, "ms": None, "error": None, "kind": None}
            self._start(place, port)

    def _start(self, place: Tuple[int, str], port: int) -> None:
        connection = None
        try:
            connection = socket.socket(place[0], socket.SOCK_STREAM)
            connection.setblocking(False)
            code = connection.connect_ex((place[1], port))
        except OSError as error:
            if connection is not None:
                connection.close()
            self._failed(place, error.errno or 0)
            return
        if code in (0, errno.EINPROGRESS):
            self._selector.register(connection, selectors.EVENT_WRITE, place)
        else:
            connection.close()
            self._failed(place, code)

    def _failed(self, place: Tuple[int, str], code: int) -> None:
        kind = "refused" if code in (errno.ECONNREFUSED, errno.ECONNRESET) else "unreachable"
        # No address of this family here is no news: the machine has no such network.
        if code in (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            kind = "no network"
        self._results[place].update(ok=False, ms=_ms(self._begin), error=os.strerror(code).lower(), kind=kind)

    def first(self) -> Optional[socket.socket]:
        """The first connection that stands, None when there is none in time."""
        while self._selector.get_map():
            for connection, place in self._ready():
                self._won(connection, place)
                if self.winner == place:
                    return connection
            if time.monotonic() >= self._end:
                break
        return None

    def finish(self) -> None:
        """Wait for the rest and close it."""
        while self._selector.get_map() and time.monotonic() < self._end:
            for connection, place in self._ready():
                self._won(connection, place)
                connection.close()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]  # only sockets are registered
            self._results[key.data].update(ok=False, ms=_ms(self._begin), error="no answer", kind="timeout")
        self._selector.close()

    def _won(self, connection: socket.socket, place: Tuple[int, str]) -> None:
        self._results[place].update(ok=True, ms=_ms(self._begin))
        if self.winner is None:
            connection.setblocking(True)
            self.winner = place

    def _ready(self) -> List[Tuple[socket.socket, Tuple[int, str]]]:
        found = []
        for key, _events in self._selector.select(max(0.0, self._end - time.monotonic())):
            connection: socket.socket = key.fileobj  # type: ignore[assignment]  # the same
            self._selector.unregister(connection)
            code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                connection.close()
                self._failed(key.data, code)
            else:
                found.append((connection, key.data))
        return found

    def results(self) -> List[Facts]:
        """One per address: ip, family, ok, ms, error, kind (timeout, refused, unreachable, no network)."""
        return [dict(result) for result in self._results.values()]


def _tls(secure: ssl.SSLSocket) -> Facts:
    cipher = secure.cipher() or ("", "", 0)
    return {"ok": True, "version": secure.version(), "cipher": cipher[0], "bits": cipher[2], "error": None, "kind": None}


def _describe(secure: ssl.SSLSocket) -> Optional[Facts]:
    der = secure.getpeercert(binary_form=True)
    return certificate.describe(der) if der else None


def _failed(error: Optional[BaseException]) -> Facts:
    """A handshake that failed; kind: timeout, closed, plain (the other side does not speak TLS), tls (it does, but not with us)."""
    kind = "closed"
    if isinstance(error, (socket.timeout, wire.Late)):
        kind = "timeout"
    elif isinstance(error, ssl.SSLError) and not isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        kind = "plain" if error.reason in _NO_TLS else "tls"
    return {"ok": False, "version": None, "cipher": None, "bits": None, "error": words(error), "kind": kind}


def _broken(error: Optional[BaseException]) -> Facts:
    """How a conversation ended too early: kind (timeout, closed, garbage) and the words for it."""
    kind = {wire.NotMail: "garbage", wire.Late: "timeout", socket.timeout: "timeout"}.get(type(error), "closed")
    return {"kind": kind, "text": words(error)}


def words(error: Optional[BaseException]) -> str:
    """An error in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return str(error.verify_message)
    if isinstance(error, ssl.SSLError) and error.reason:
        return str(error.reason).lower().replace("_", " ")
    if isinstance(error, (wire.Late, socket.timeout)):
        said = getattr(error, "said", "")
        return "no answer in time" + (', only "%s"' % said if said else "")
    if isinstance(error, wire.Closed):
        return "the connection was closed" + (' after "%s"' % error.said if error.said else "")
    if isinstance(error, OSError) and error.errno and error.strerror:
        return str(error.strerror).lower()
    return wire.shown(str(error)) or type(error).__name__


def _ms(since: float) -> int:
    return int((time.monotonic() - since) * 1000)
