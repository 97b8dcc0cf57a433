"""Ask what Evolution has of the person who runs this, by its own libraries: its registry of sources, and Camel, which fetches and sends.

    dbus-run-session -- python3 evolution.py

Reads {user name: password} from standard input, prints [{account}], each with `login` and `sent`: empty, or what went wrong. Who sends
does it to their own address with `subject`, the only other key.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from typing import Any

import gi

gi.require_version("Camel", "1.2")
gi.require_version("EDataServer", "1.2")
from gi.repository import Camel, EDataServer, Gio, GLib  # noqa: E402  # versions are told above

ANSWERS_WITHIN = 20  # seconds
# Evolution's own, which everybody has.
BUILT_IN = ("local", "vfolder")


class Session(Camel.Session):
    """A session that knows passwords, as the person would type them."""

    passwords: dict[str, str] = {}

    def do_authenticate_sync(self, service: Any, mechanism: str, cancellable: Any) -> bool:
        service.set_password(self.passwords[service.ref_settings().dup_user()])
        if service.authenticate_sync(mechanism, cancellable) != Camel.AuthenticationResult.ACCEPTED:
            raise GLib.Error("the password is not accepted")
        return True


def limited() -> Any:
    """Something that ends what takes too long."""
    cancellable = Gio.Cancellable()
    timer = threading.Timer(ANSWERS_WITHIN, cancellable.cancel)
    timer.daemon = True
    timer.start()
    return cancellable


def server(source: Any) -> dict[str, Any]:
    authentication = source.get_extension(EDataServer.SOURCE_EXTENSION_AUTHENTICATION)
    return {
        "host": authentication.get_host(),
        "port": authentication.get_port(),
        "user": authentication.get_user(),
        "security": source.get_extension(EDataServer.SOURCE_EXTENSION_SECURITY).get_method(),
    }


def connected(session: Any, source: Any, extension: str, kind: Any) -> Any:
    """A service of Camel that is signed in. Raises GLib.Error."""
    backend = source.get_extension(extension).get_backend_name()
    service = session.add_service(source.get_uid(), backend, kind)
    source.camel_configure_service(service)
    if isinstance(service, Camel.OfflineStore):
        service.set_online_sync(True, limited())
    service.connect_sync(limited())
    return service


def message(address: str, subject: str) -> Any:
    made = Camel.MimeMessage()
    made.set_subject(subject)
    sender = Camel.InternetAddress()
    sender.add("", address)
    made.set_from(sender)
    made.set_recipients("To", sender)
    made.set_content(b"Body\n", "text/plain")
    return made, sender


def tried(work: Any, *arguments: Any) -> str:
    try:
        work(*arguments)
    except GLib.Error as error:
        return str(error.message)
    return ""


def main() -> None:
    request = json.load(sys.stdin)
    Session.passwords, subject = request["passwords"], request["subject"]
    with tempfile.TemporaryDirectory() as folder:
        json.dump(accounts(folder, subject), sys.stdout)


def accounts(folder: str, subject: str) -> list[dict[str, Any]]:
    Camel.init(folder, True)
    session = Session(user_data_dir=folder, user_cache_dir=folder)
    session.set_online(True)
    registry = EDataServer.SourceRegistry.new_sync(None)
    found = []
    for source in registry.list_sources(EDataServer.SOURCE_EXTENSION_MAIL_ACCOUNT):
        if source.get_uid() in BUILT_IN:
            continue
        account = source.get_extension(EDataServer.SOURCE_EXTENSION_MAIL_ACCOUNT)
        identity = registry.ref_source(account.get_identity_uid())
        who = identity.get_extension(EDataServer.SOURCE_EXTENSION_MAIL_IDENTITY)
        transport = registry.ref_source(identity.get_extension(EDataServer.SOURCE_EXTENSION_MAIL_SUBMISSION).get_transport_uid())
        address = who.get_address()

        def fetch(source: Any = source) -> None:
            connected(session, source, EDataServer.SOURCE_EXTENSION_MAIL_ACCOUNT, Camel.ProviderType.STORE)

        def send(transport: Any = transport, address: str = address) -> None:
            service = connected(session, transport, EDataServer.SOURCE_EXTENSION_MAIL_TRANSPORT, Camel.ProviderType.TRANSPORT)
            made, sender = message(address, subject)
            service.send_to_sync(made, sender, sender, limited())

        found.append(
            {
                "type": account.get_backend_name(),
                **server(source),
                "email": address,
                "name": who.get_name(),
                "organization": who.get_organization(),
                "outgoing": server(transport),
                "login": tried(fetch),
                "sent": tried(send),
            }
        )
    return found


if __name__ == "__main__":
    main()
