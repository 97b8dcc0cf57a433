# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Look at mail servers from this machine, all at once and within a time: name, connection, TLS, certificate, what is offered, log-in.

What was found of an endpoint is collected in a dictionary of facts while the look goes on, so that a look that is cut short still tells how
far it came. :mod:`verdicts` makes one verdict of it.

Nothing is changed, no mail is sent, no certificate is taken on trust for anything but reading it.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import json
import os
import threading
import time
import traceback
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.files import payload
from ansible_collections.msp.charter_mail.plugins.module_utils.servers import trust, verdicts
from ansible_collections.msp.charter_mail.plugins.module_utils.servers.facts import Facts, words
from ansible_collections.msp.charter_mail.plugins.module_utils.servers.look import ENDS, Look


class Login(NamedTuple):
    """A user name and password to try once. ``endpoints``: indexes, in the order to try; the first rejection is the last try."""

    username: str
    password: str
    endpoints: List[int]


def probe(endpoints: List[Facts], known: List[Facts], seconds: float, logins: Optional[List[Login]] = None) -> List[Facts]:
    """One result per endpoint ({service, host, port, security, ...}), in their order, within ``seconds`` and a moment.

    known: who is known to sit in the way, see :func:`certificate.interceptor`.
    """
    whom = trust.Trust()
    # A server that was told a password may repeat it to whoever comes next.
    secrets = [login.password for login in logins or []]
    looks = [Look(endpoint, seconds, whom, secrets) for endpoint in endpoints]
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


SPEC: Dict[str, Any] = {
    "endpoints": {"type": "list", "elements": "dict", "required": True},
    "interceptors": {"type": "list", "elements": "dict", "required": True},
    "timeout": {"type": "float", "required": True},
    # A parcel, so that a password that happens to be a common word is not cut out of everything that is returned.
    "logins": {"type": "str", "no_log": True},
}
"""What a module that looks at servers takes, see arguments()."""


def arguments(params: Facts) -> Tuple[Any, ...]:
    """Those of probe() from what a module was given: endpoints, interceptors, timeout, and logins as a parcel or none."""
    parcel = params.get("logins")
    logins = [Login(**each) for each in payload.unpack(parcel)["logins"]] if parcel else []
    return params["endpoints"], params["interceptors"], params["timeout"], logins


def beside(*given: Any) -> Callable[[], List[Facts]]:
    """Begin a probe() in a child, so that this process can do something else meanwhile. What is returned waits for the results.

    A child and not a thread: who starts programs as somebody else must have no threads.
    """
    source, sink = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(source)
            with os.fdopen(sink, "w", encoding="ascii") as stream:
                json.dump(probe(*given), stream)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(sink)

    def results() -> List[Facts]:
        with os.fdopen(source, encoding="ascii") as stream:
            text = stream.read()
        if os.waitpid(child, 0)[1]:
            raise RuntimeError("the look at the servers broke off")
        found: List[Facts] = json.loads(text)
        return found

    return results


def _try(look: Look, result: Facts, login: Login) -> bool:
    """Sign in once; whether the next server of the same mailbox may be tried."""
    attempts = result.setdefault("logins", [])
    if result["verdict"] != "ok":
        attempts.append({"username": login.username, "ok": None, "text": "not tried, because the server is not as it should be"})
        return True
    look.end = time.monotonic() + look.step * 2  # servers answer a wrong password slowly, on purpose
    try:
        reply = look.login(login.username, login.password)
    except ENDS as error:
        attempts.append({"username": login.username, "ok": None, "text": "broke off: %s" % words(error)})
        return False
    attempts.append({"username": login.username, "ok": reply.good is True, "busy": reply.busy, "text": reply.text})
    return reply.good is True
