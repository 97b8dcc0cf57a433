#!/usr/bin/env python3
"""What is remembered of an office, without contacting anybody: how it stands, and a tick for a phone that is done.

    office.py FOLDER status [-v]
    office.py FOLDER done WHO DEVICE [--undo]

FOLDER is the office's, as build/office/acme. WHO is a login, a name or an address; DEVICE is ios or android.
Ends with 0 when all is in order, 2 when something is wrong, 1 when nothing is remembered or WHO is nobody.
"""

from __future__ import annotations

import argparse
import datetime
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "collections"))

from ansible_collections.msp.charter_mail.plugins.module_utils.masking import inert  # noqa: E402
from ansible_collections.msp.charter_mail.plugins.plugin_utils.report import screen  # noqa: E402
from ansible_collections.msp.charter_mail.plugins.plugin_utils.report.store import Store, StoreError  # noqa: E402

COLOURS = {"problem": "\x1b[31m", "waits": "\x1b[33m", "ready": "\x1b[32m"}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    commands = parser.add_subparsers(dest="command", required=True)
    status = commands.add_parser("status")
    status.add_argument("-v", "--verbose", action="store_true", help="also who is ready")
    done = commands.add_parser("done")
    done.add_argument("who")
    done.add_argument("device")
    done.add_argument("--undo", action="store_true")
    options = parser.parse_args()
    store = Store(options.folder)
    try:
        if options.command == "done":
            print(inert(store.done(options.who, options.device, options.undo, datetime.datetime.now(datetime.UTC))))
            return 0
        document = store.load()
    except StoreError as error:
        print(inert(str(error)), file=sys.stderr)
        return 1
    if document is None:
        print(f"{store.document} is not there: run provision-mail.yml first", file=sys.stderr)
        return 1
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size((80, 24)).columns if terminal else 80
    print(f"As of {document['time']}")
    for kind, line in screen.lines({**document, "changes": []}, width=width, verbose=options.verbose):
        start = COLOURS.get(kind, "") if terminal else ""
        print(f"{start}{inert(line)}{chr(27) + '[0m' if start else ''}")
    print(f"Page: {store.page}")
    return 2 if document["counts"]["problem"] else 0


if __name__ == "__main__":
    sys.exit(main())
