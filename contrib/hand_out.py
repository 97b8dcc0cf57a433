#!/usr/bin/env python3
"""Hand iPhones their profiles in the room: a code for each person on this computer's screen, for a while.

    hand_out.py FOLDER [--minutes 60] [--bind ADDRESS] [--port 8743] [--name HOST]
                [--certificate PEM --key PEM] [--unsigned-over-http]

FOLDER is where the office's hand-outs are, as build/mobile/acme. ADDRESS is this computer's in the network that the phones are in, HOST is
what phones call it. Over https with a certificate, else over http, where only signed profiles go. Ends with 0; with 1 when it could not
begin.
"""

from __future__ import annotations

import argparse
import datetime
import ipaddress
import platform
import signal
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "collections"))

from ansible_collections.msp.charter_mail.plugins.module_utils.masking import inert  # noqa: E402  the path is made above
from ansible_collections.msp.charter_mail.plugins.plugin_utils.handout.room import Room, RoomError, guests  # noqa: E402  the path is made above
from ansible_collections.msp.charter_mail.plugins.plugin_utils.handout.room_server import (  # noqa: E402  the path is made above
    Server,
    base,
    is_address,
    own_address,
    transport,
)
from ansible_collections.msp.charter_mail.plugins.plugin_utils.office.libraries import missing  # noqa: E402  the path is made above

UNSIGNED = """\
The iPhones' profiles are not signed, so they are not handed out over the air:
somebody in the network could hand people another server, and get their
passwords. Three ways: sign them (mobile_signer_certificate in
group_vars/all.yml); serve them over https (--certificate and --key); or, in a
network that is yours alone, --unsigned-over-http. With make handouts these go
into ROOM, as in ROOM=--unsigned-over-http"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--bind", default="")
    parser.add_argument("--port", type=int, default=8743)
    parser.add_argument("--name", default="")
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--unsigned-over-http", action="store_true")
    options = parser.parse_args()
    if problems := missing("cryptography", "segno"):
        print(*problems, sep="\n", file=sys.stderr)
        return 1
    try:
        return hand_out(options)
    except RoomError as error:
        print(inert(str(error)), file=sys.stderr)
        return 1


def hand_out(options: argparse.Namespace) -> int:
    # A day is as long as the time of day on the screen means one moment.
    if not 0 < options.minutes <= 24 * 60:
        raise RoomError("--minutes takes more than 0, and a day (1440) at most")
    office = options.folder.resolve().name
    people = guests(options.folder)
    if not people:
        print(f"Nobody of {inert(office)} has an iPhone in the list: there is no profile to hand out.")
        return 0
    if bool(options.certificate) != bool(options.key):
        raise RoomError("a certificate and its key are needed both, --certificate and --key")
    signed = all(guest.signed for guest in people)
    if not (signed or options.certificate or options.unsigned_over_http):
        print(UNSIGNED)
        return 0

    address = options.bind or own_address()
    if not address:
        raise RoomError("this computer has no address that phones could reach; say with --bind which one it is")
    if not is_address(address):
        raise RoomError(f"{address} is not an address of this computer, as 192.168.1.20")
    anywhere = ipaddress.ip_address(address).is_unspecified
    host = options.name or (own_address() if anywhere else address)
    if not host:
        raise RoomError("this computer has no address that phones could reach; say with --name what they call it")
    context = None
    if options.certificate:
        context, host = transport(options.certificate, options.key, options.name)

    with Server(address, options.port, lambda line: print(inert(line), flush=True), context) as server:
        until = datetime.datetime.now().astimezone() + datetime.timedelta(minutes=options.minutes)
        server.room = room = Room(office, people, base(host, server.server_port, bool(context)), until)
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        say(room, server.server_port, signed, bool(context))
        for line in hints(host, own_address() if anywhere else address, platform.release()):
            print(textwrap.fill(inert(line), 80), flush=True)
        print("Ctrl-C ends it.", flush=True)
        server.serve(options.minutes * 60, ended)
    waiting = [guest.short for guest in room.waiting()]
    said = [f"Ended. {len(people) - len(waiting)} of {len(people)} fetched their profile."]
    said += [f"Not yet: {', '.join(waiting)}"] if waiting else []
    said += [f"Refused, for they asked for something else: {room.refused}"] if room.refused else []
    print("\n".join(textwrap.fill(inert(line), 80, break_on_hyphens=False) for line in said))
    return 0


def hints(host: str, address: str, release: str) -> Iterator[str]:
    """What else has to be so for phones to reach this computer. address: empty where it is not known; release: the system's."""
    if not is_address(host):
        yield f"The phones' network has to know {host} as {address or 'this computer'}."
    # WSL 1 has Windows' own network. Source: learn.microsoft.com/windows/wsl/networking
    if "microsoft-standard" in release:
        yield "This is WSL: its network is not the one of the phones, unless networkingMode in .wslconfig is mirrored."


def say(room: Room, port: int, signed: bool, secure: bool) -> None:
    """What the technician has to know."""
    trust = "each is signed" if signed else "they are not signed" if secure else "they are NOT signed: only in a network of yours alone"
    count = "1 iPhone profile" if len(room.people) == 1 else f"{len(room.people)} iPhone profiles"
    lines = [
        f"{count} of {room.office} over {'https' if secure else 'http'} until {room.until:%H:%M}; {trust}.",
        f"The page with the codes, for this screen: {room.page_url}",
        f"Phones must be in the same network as {room.base.rpartition('/')[2]}, and this computer's firewall has to let TCP {port} in.",
    ]
    print("\n".join(textwrap.fill(inert(line), 80, break_on_hyphens=False, break_long_words=False) for line in lines), flush=True)


if __name__ == "__main__":
    sys.exit(main())
