# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where an office is remembered on the technician's computer: office.json, and the page that is drawn from it."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path
from typing import Any

from .office_document import SCHEMA, record_done
from .office_page import MARK, page

_NAMES = ("office.json", "index.html")
# Where offices are remembered, and the variable of the environment that says another place.
DIR = "build/office/{office}"
DIR_SAID = "CHARTER_MAIL_OFFICE_DIR"


class StoreError(Exception):
    """What is remembered cannot be used. The message is one sentence for people."""


class Store:
    """The folder of one office's document and page."""

    def __init__(self, folder: Path) -> None:
        self.dir = folder
        self.document = folder / _NAMES[0]
        self.page = folder / _NAMES[1]

    @classmethod
    def of(cls, office: str, folder: str) -> Store:
        """The store of an office. folder: a path with {office} in it, as DIR."""
        return cls(Path(folder.replace("{office}", office)))

    def load(self) -> dict[str, Any] | None:
        """The document of the last run, None when there was none. Raises StoreError."""
        try:
            found = json.loads(self.document.read_bytes())
            schema = found["schema"]
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{self.document} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{self.document} is damaged; move it away, and run again") from error
        if schema != SCHEMA:
            raise StoreError(f"{self.document} was written by another version of this project; move it away, and run again")
        return dict(found)

    def save(self, document: dict[str, Any]) -> None:
        """Write document and page, each whole or not at all. Raises OSError, also when something else lies in their place."""
        if self.page.exists() and MARK not in self.page.read_bytes()[:2000]:
            raise FileExistsError(0, "it is no page of this project; move it away", str(self.page))
        self.dir.mkdir(parents=True, exist_ok=True)
        for path, text in ((self.document, json.dumps(document, indent=1, ensure_ascii=False) + "\n"), (self.page, page(document))):
            part = path.with_name(f".{path.name}.part")
            try:
                handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with os.fdopen(handle, "w", encoding="utf-8") as stream:
                    stream.write(text)
                part.replace(path)
            except OSError as error:
                part.unlink(missing_ok=True)
                # Of a disk that is full the system does not say where.
                raise OSError(error.errno, error.strerror, str(path)) from error

    def done(self, who: str, device: str, undo: bool, when: datetime.datetime) -> str:
        """Remember that a phone is done, or not; says what was recorded. Raises StoreError."""
        document = self.load()
        if document is None:
            raise StoreError(f"{self.document} is not there: run provision-mail.yml first")
        try:
            said = record_done(document, who, device, "" if undo else when.astimezone(datetime.UTC).isoformat(timespec="seconds"))
        except ValueError as error:
            raise StoreError(str(error)) from error
        self.save(document)
        return said
