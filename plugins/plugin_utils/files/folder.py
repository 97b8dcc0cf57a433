# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A folder of files on the controller, and what is remembered of it: each file is written in one step, and nobody else's is touched.

On people's machines, module_utils/files/store.py remembers the same: intent, digest, owner. It is another file because it writes as another
person into homes that nobody trusts, by directory descriptors, with Python 3.8 and nothing of the controller; all they could share is a
dictionary. What a web server serves is releases, whole folders with a name of their own: which one is served is a link, and nothing else is
remembered.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from typing import NamedTuple

from ..office.problem import Problem

# What is remembered of the last run.
MANIFEST = ".charter-mail.json"


class Entry(NamedTuple):
    """What was written into a folder: a digest of what it was made from, and of each file by name; whose the folder is, and the full name.

    All of them are empty for what a run had in mind and was kept from.
    """

    inputs: str
    files: dict[str, str]
    who: tuple[str, ...] = ()
    name: str = ""


class Folder:
    """A folder with folders in it, and what was written there. check: write nothing. warnings: what somebody has to be told."""

    def __init__(self, dest: Path, check: bool, want_diff: bool) -> None:
        self.dest, self._check, self._want_diff = dest, check, want_diff
        self.changed = False
        self.warnings: list[str] = []
        self.diff: list[dict[str, str]] = []
        self._trouble = ""
        try:
            self._saved = self._read(dest / MANIFEST)
        except OSError as error:
            self._saved, self._trouble = b"", f"cannot be read: {error.strerror}"
        self.known, unreadable = _entries(self._saved)
        if unreadable:
            self.warnings.append(f"{MANIFEST} of an earlier run cannot be read; files of people who left are not found by it and stay")

    def whose(self) -> dict[str, tuple[str, ...]]:
        """Whose the folders are, by name; nobody's where that is not known."""
        return {folder: entry.who for folder, entry in self.known.items() if folder}

    def problems(self, expected: Mapping[str, Iterable[str]]) -> list[Problem]:
        """Why nothing can be written, if so. expected: names of files by folder."""
        place = self.dest
        while not place.exists():
            place = place.parent
        found = [Problem(str(self.dest / MANIFEST), what=self._trouble)] if self._trouble else []
        for path in dict.fromkeys([place, *(self.dest / folder for folder in expected)]):
            if path.exists() and not path.is_dir():
                found.append(Problem(str(path), what="is a file where a folder is needed"))
            elif path.exists() and not os.access(path, os.W_OK | os.X_OK):
                found.append(Problem(str(path), what="cannot be written to; look at its owner and mode"))
        for path in [self.dest / folder / name for folder, names in expected.items() for name in names]:
            # Of a pipe that somebody made there, reading would not end.
            if path.exists() and not path.is_file():
                found.append(Problem(str(path), what="is a folder, or something else, where a file is needed; move it elsewhere"))
            elif path.exists() and not os.access(path, os.R_OK):
                found.append(Problem(str(path), what="cannot be read; look at its owner and mode"))
        return found

    def unknown(self, folder: str, names: Iterable[str]) -> list[str]:
        """Which of these files are there and were never written by us."""
        known = self.known[folder].files if folder in self.known else {}
        return [name for name in names if name not in known and (self.dest / folder / name).exists()]

    def strangers(self, folder: str, files: Mapping[str, bytes]) -> list[Problem]:
        """What is in the way of these files: others of the same name, which were never written by us."""
        theirs = [name for name in self.unknown(folder, files) if self.read(folder, name) != files[name]]
        if not theirs:
            return []
        what = f"has {' and '.join(theirs)}, in the way and not known to be made by this project; move that elsewhere, and run again"
        return [Problem(str(self.dest / folder), what=what)]

    def expect(self, folder: str, names: Iterable[str], whose: tuple[str, ...] = (), name: str = "") -> None:
        """That these files are ours, whatever comes between writing them and remembering what was written."""
        before = self.known.get(folder, Entry("", {}))
        self.known[folder] = Entry(before.inputs, {**dict.fromkeys(names, ""), **before.files}, whose, name)

    def read(self, folder: str, name: str) -> bytes:
        """What is in a file now, nothing if it is not there."""
        return self._read(self.dest / folder / name)

    def is_current(self, folder: str, inputs: str) -> bool:
        """Whether the folder was made from the same inputs, and its files are still as they were written."""
        entry = self.known.get(folder)
        return (
            entry is not None
            and entry.inputs == inputs
            and all(_sha256(self.read(folder, name)) == entry.files[name] for name in entry.files)
        )

    def put(self, folder: str, inputs: str, files: Mapping[str, bytes]) -> str:
        """Make these the files of the folder, and say what that was: created, updated or unchanged."""
        before = self.known.get(folder)
        old = before.files if before else {}
        changed = [name for name in files if self.read(folder, name) != files[name]]
        for name in changed:
            self._write(folder, name, files[name])
        gone = [name for name in old if name not in files]
        for name in gone:
            self._remove(folder, name, old[name])
        digests = {name: _sha256(content) for name, content in files.items()}
        self.known[folder] = before._replace(inputs=inputs, files=digests) if before else Entry(inputs, digests)
        return ("updated" if before and before.inputs else "created") if changed or gone else "unchanged"

    def clear(self, kept: Set[str]) -> list[str]:
        """Remove what earlier runs wrote into folders that are not in `kept`; which these were."""
        gone = sorted(self.known.keys() - kept)
        for folder in gone:
            for name, digest in self.known.pop(folder).files.items():
                self._remove(folder, name, digest)
            if folder and not self._check:
                # Something of somebody else's may be in it.
                with contextlib.suppress(OSError):
                    (self.dest / folder).rmdir()
        return gone

    def save(self) -> None:
        """Remember what was written."""
        folders = {folder: entry._asdict() for folder, entry in self.known.items()}
        text = json.dumps({"version": 1, "folders": folders}, indent=1, sort_keys=True).encode()
        if not self._check and text != self._saved and (self.known or self._saved):
            self.dest.mkdir(parents=True, exist_ok=True)
            self._replace(self.dest / MANIFEST, text)
            self._saved = text

    def _write(self, folder: str, name: str, content: bytes) -> None:
        path = self.dest / folder / name
        self._note(path, content)
        if not self._check:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._replace(path, content)

    def _remove(self, folder: str, name: str, digest: str) -> None:
        path = self.dest / folder / name
        content = self._read(path)
        if content and _sha256(content) != digest:
            self.warnings.append(f"{path} is not needed any more but was changed since it was written; it was left there")
        elif content:
            self._note(path, b"")
            if not self._check:
                path.unlink()

    def _note(self, path: Path, content: bytes) -> None:
        self.changed = True
        if self._want_diff:
            header = str(path)
            self.diff.append(
                {"before_header": header, "after_header": header, "before": _shown(path, self._read(path)), "after": _shown(path, content)},
            )

    @staticmethod
    def _read(path: Path) -> bytes:
        """What is in a file; nothing where there is none, or something that is no file."""
        return path.read_bytes() if path.is_file() else b""

    @staticmethod
    def _replace(path: Path, content: bytes) -> None:
        """Give `path` this content in one step: whoever reads it sees the old file or the new one."""
        # Always the same name: what a run that was killed has left of it is written over by the next one.
        half = path.with_name(f".{path.name}.half")
        try:
            half.write_bytes(content)
            half.replace(path)
        except BaseException as error:
            half.unlink(missing_ok=True)
            if isinstance(error, OSError):
                # Python knows a file's name when it cannot be opened, not when the disk is full.
                raise OSError(error.errno, error.strerror, str(path)) from error
            raise


def _entries(text: bytes) -> tuple[dict[str, Entry], bool]:
    """The folders of a manifest, and whether nobody can read it: then nothing is removed, and nothing that differs replaced."""
    try:
        folders = json.loads(text)["folders"] if text else {}
        entries = {
            folder: Entry(entry["inputs"], dict(entry["files"]), tuple(map(str, entry.get("who", ()))), str(entry.get("name", "")))
            for folder, entry in folders.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}, True
    # Files are removed by these names.
    return {
        folder: entry for folder, entry in entries.items() if not any("/" in name or name == ".." for name in (folder, *entry.files))
    }, False


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _shown(path: Path, content: bytes) -> str:
    """A file in a difference. What is for people's eyes may hold a link to a profile, as text or as a code, which is as good as a key."""
    try:
        text = content.decode()
        return text if path.suffix not in (".html", ".svg") or not text else f"({len(text)} characters, SHA-256 {_sha256(content)})\n"
    except UnicodeDecodeError:
        return f"({len(content)} bytes, SHA-256 {_sha256(content)})\n"
