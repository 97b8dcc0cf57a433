"""Have the Claws Mail of the person who runs this fetch and send, on a screen that nobody sees.

    python3 claws.py

Reads {"passwords": {address: password}, "subject": text} from standard input. Works on a copy of the person's settings, where the passwords
are as Claws Mail would have them after it asked; one message to oneself with the subject lies in the queue for each account. Prints
{address: the account's settings as Claws Mail wrote them when it ended}, of every account it has.
"""

from __future__ import annotations

import configparser
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ENDS_WITHIN = 60  # seconds
FETCHES_FOR = 6

# Source: compose_queue_sub() in src/compose.c; MAID is the number of the account.
QUEUED = """\
AF:
NF:0
PS:10
SRH:1
SFN:
DSR:
MID:
CFG:
PT:0
S:{address}
RQ:
SSV:{server}
NSV:
SSH:
R:<{address}>
MAID:{number}
X-Claws-End-Special-Headers: 1
From: {address}
To: {address}
Subject: {subject}
Date: Thu, 01 Jan 2026 00:00:00 +0000
MIME-Version: 1.0
Content-Type: text/plain; charset=US-ASCII

Body
"""


def accounts(folder: Path) -> dict[str, configparser.SectionProxy]:
    parser = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#",), strict=True)
    parser.read(folder / "accountrc", encoding="utf-8")
    return {parser[name]["address"]: parser[name] for name in parser.sections()}


def claws(home: Path, display: str, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "HOME": str(home), "DISPLAY": display}
    command = ["dbus-run-session", "--", "claws-mail", "--alternate-config-dir", str(home / ".claws-mail"), *arguments]
    return subprocess.Popen(command, env=environment, stdout=sys.stderr, stderr=sys.stderr)


def main() -> None:
    request = json.load(sys.stdin)
    # The passwords go with the copy.
    with tempfile.TemporaryDirectory() as name:
        json.dump(work(Path(name), request["passwords"], request["subject"]), sys.stdout)


def work(home: Path, passwords: dict[str, str], subject: str) -> dict[str, dict[str, str]]:
    folder = home / ".claws-mail"
    shutil.copytree(Path.home() / ".claws-mail", folder)
    queue = home / "Mail/queue"
    for name in ("inbox", "sent", "draft", "queue", "trash"):
        (home / "Mail" / name).mkdir(parents=True)
    text = (folder / "accountrc").read_text(encoding="utf-8")
    for place, (address, account) in enumerate(accounts(folder).items(), 1):
        head = f"[{account.name}]\n"
        text = text.replace(head, f"{head}password={passwords[address]}\n")
        number = account.name.removeprefix("Account: ")
        queued = QUEUED.format(address=address, server=account["smtp_server"], number=number, subject=subject)
        (queue / str(place)).write_text(queued, encoding="utf-8")
    (folder / "accountrc").write_text(text, encoding="utf-8")
    screen = subprocess.Popen(["Xvfb", "-displayfd", "1", "-nolisten", "tcp"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert screen.stdout is not None
        display = f":{screen.stdout.readline().strip()}"
        running = claws(home, display, "--receive-all")
        time.sleep(FETCHES_FOR)
        for what in ("--send", "--exit"):
            claws(home, display, what).wait(timeout=ENDS_WITHIN)
            time.sleep(FETCHES_FOR)
        running.wait(timeout=ENDS_WITHIN)
    finally:
        screen.terminate()
        screen.wait()
    return {address: dict(account) for address, account in accounts(folder).items()}


if __name__ == "__main__":
    main()
