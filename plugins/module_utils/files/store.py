# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a machine remembers of earlier runs: one state file, for root alone.

The state holds hashes, never content: a later run can tell what we changed from what someone else changed.

    {"version": 1, "remembered": {"smtp_port": 465}, "sets": {"msmtp": [{"dest": "~jane/.msmtprc", "login": "jane", ...}]}}

A set has the files of one program, in the order of writing, so that removal can go backwards. What is remembered is for the next run
to fall back on. Nothing in it is dated: the file changes when, and only when, what we know changes.

A run may be killed at any moment. Before the first file is written the records say what each will be (``intent``); what really
came of it takes the place of that, person by person. A record goes when its file was seen to be gone, not before.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import hmac
import json
import os
import secrets
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.files import contents, paths

Record = Dict[str, Any]

VERSION = 1
LOCK_SECONDS = 60
MIN_FREE = 64 * 1024  # bytes; a disk that has less is full, whatever it says


class StoreError(Exception):
    """The state cannot be used. The message is one sentence for people."""


def digest(content: bytes, salt: Optional[str] = None) -> str:
    """SHA-256 in hex; keyed with ``salt`` (hex) for secrets, so that equal secrets do not show as equal."""
    if salt is None:
        return hashlib.sha256(content).hexdigest()
    return hmac.new(bytes.fromhex(salt), content, hashlib.sha256).hexdigest()


def new_salt() -> str:
    """16 random bytes in hex. Kept as long as the file's record, or every run would change the state."""
    return secrets.token_hex(16)


def directory(platform: str, own_home: Optional[str] = None) -> str:
    """Where state and backups live on this platform, relative to the root of the machine.

    ``own_home`` is given for a run without root rights, which has no other place it may write to.
    """
    if own_home is not None:
        return own_home.rstrip("/") + "/.local/state/charter-mail"
    return {
        "macos": "/Library/Application Support/charter-mail",
        "windows": "/C/ProgramData/charter-mail",
    }.get(platform, "/var/lib/charter-mail")


class Store:
    """State and backups below ``anchor``/``relative``. Read on creation; nothing is written before :meth:`prepare`.

    Raises StoreError when the state is there but cannot be understood: taken for empty, it would orphan every file
    we wrote.
    """

    def __init__(self, anchor: paths.Anchor, relative: str):
        self.anchor = anchor
        self.relative = relative.strip("/")
        self.shown = os.path.join(anchor.path, self.relative, "state.json")
        self.sets: Dict[str, List[Record]] = {}
        self.remembered: Dict[str, Any] = {}
        self._old = b""
        self._lock: Optional[int] = None
        self._load()

    def check(self) -> None:
        """What can be told, without writing, of whether :meth:`prepare` and :meth:`save` would work. Raises StoreError."""
        path = os.path.dirname(self.shown)
        while not os.path.isdir(path) and path != "/":
            path = os.path.dirname(path)
        try:
            room = os.statvfs(path)
            if room.f_bavail * room.f_frsize < MIN_FREE:
                raise StoreError("The state file %s cannot be written: %s" % (self.shown, os.strerror(errno.ENOSPC)))
            if not os.access(path, os.W_OK | os.X_OK):
                raise StoreError("The state file %s cannot be written: no right to write to %s" % (self.shown, path))
        except OSError as error:
            raise StoreError("%s cannot be used: %s" % (path, paths.reason(error))) from error

    def prepare(self) -> None:
        """Make the directory, keep other runs out until :meth:`release`, and read again what they left."""
        if self._lock is not None:
            return
        base, _unused, name = self.relative.rpartition("/")
        try:
            if base:  # /var/lib is there on every machine, but not below a prefix
                paths.close(paths.locate(self.anchor, base + "/x", 0o755))
            place = paths.locate(self.anchor, self.relative + "/x", 0o700)
            if place.handle is None:
                raise paths.Refused("%s is not there" % self.anchor.path)
        except (paths.Refused, OSError) as error:
            raise StoreError("%s cannot be used: %s" % (os.path.dirname(self.shown), paths.reason(error))) from error
        os.fchmod(place.handle, 0o700)
        self._lock = place.handle
        end = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise StoreError("another run has been writing on this machine for %d s" % LOCK_SECONDS) from None
                time.sleep(0.1)
        contents.sweep(place._replace(name="state.json"))
        self._load()

    def release(self) -> None:
        """Let other runs in."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _load(self) -> None:
        try:
            place = paths.locate(self.anchor, self.relative + "/state.json")
            try:
                found = contents.read(place)
            finally:
                paths.close(place)
        except (paths.Refused, OSError) as error:
            raise StoreError("The state file %s cannot be read: %s" % (self.shown, paths.reason(error))) from error
        self._old = b"" if found is None else found.content
        self.sets, self.remembered = ({}, {}) if found is None else _parse(found.content, self.shown)

    def save(self) -> None:
        """Write the state if it changed. Raises StoreError: then it is as it was."""
        sets = {name: records for name, records in self.sets.items() if records}
        content = _text(sets, self.remembered).encode("utf-8")
        if content == self._old or (not sets and not self.remembered and not self._old):
            return
        try:
            place = paths.locate(self.anchor, self.relative + "/state.json")
            try:
                contents.put(place, contents.stage(place, content, 0o600, None))
            finally:
                paths.close(place)
        except (paths.Refused, OSError) as error:
            raise StoreError("The state file %s cannot be written: %s" % (self.shown, paths.reason(error))) from error
        self._old = content

    def owner_of(self, dest: str, program: str) -> Optional[str]:
        """Another program that ``dest`` was written for, if any."""
        for other, records in self.sets.items():
            if other != program and any(record["dest"] == dest for record in records):
                return other
        return None


def _text(sets: Dict[str, List[Record]], remembered: Dict[str, Any]) -> str:
    """One record a line, and by the part of json that is written in C: it is written once for every person of a run."""

    def one(data: Any) -> str:
        return json.dumps(data, sort_keys=True, ensure_ascii=False)

    lists = ["%s: [\n%s\n]" % (one(name), ",\n".join(map(one, sets[name]))) for name in sorted(sets)]
    more = '"remembered": %s,\n' % one(remembered) if remembered else ""
    return '{%s"sets": {%s},\n"version": %d}\n' % (more, ",\n".join(lists), VERSION)


def _parse(content: bytes, shown: str) -> Tuple[Dict[str, List[Record]], Dict[str, Any]]:
    advice = "put it back from a copy, or remove it if every file may be taken for one that was there before"
    try:
        data = json.loads(content.decode("utf-8"))
        version = data["version"]
        if isinstance(version, int) and version > VERSION:  # its layout may be any
            raise StoreError("The state file %s was written by a newer version of this project; use that one." % shown)
        if version != VERSION:
            raise ValueError
        # By program whatever they are called: a set was once what one role had written.
        sets: Dict[str, List[Record]] = {}
        for record in [record for records in data["sets"].values() for record in records]:
            if not all(isinstance(record[key], str) for key in ("dest", "path", "program", "strategy", "mode")):
                raise TypeError
            if "login" not in record or not isinstance(record["people"], list) or not _is_told(record, record.get("intent")):
                raise TypeError
            sets.setdefault(record["program"], []).append(record)
        return sets, dict(data.get("remembered", {}))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise StoreError("The state file %s is damaged: %s." % (shown, advice)) from None


def _is_told(record: Record, intent: Optional[Record]) -> bool:
    """Does it say what was written, or was about to be?"""
    if intent is None:
        return isinstance(record["written"], str) and isinstance(record["desired"], str)
    return isinstance(intent["written"], str)


def begin(item: Dict[str, Any]) -> Record:
    """What is remembered of any file that is wanted."""
    record: Record = {key: item[key] for key in ("dest", "path", "login", "program", "people", "strategy", "mode")}
    record.update({key: item[key] for key in ("running", "whole", "sensitive", "parts") if item.get(key)})
    return record


def intend(record: Record, content: bytes, keys: Optional[Dict[str, List[str]]] = None) -> Record:
    """The record with what is about to be written; the same record where it says so already. keys: those of strategy ``keys``."""
    salt = record.get("salt") or (new_salt() if record.get("sensitive") else None)
    wanted = digest(content, salt)
    if record.get("written") == wanted:
        return record
    intent: Record = {"written": wanted}
    if keys is not None:
        intent["keys"] = keys
    return {**record, **({"salt": salt} if salt else {}), "intent": intent}


def settle(record: Optional[Record], is_there: Callable[[Record], bool]) -> Optional[Record]:
    """What the record comes to once the file is looked at: a run that was killed may or may not have written what it meant to.

    is_there: whether the file is what the record (with ``written``, and ``keys``) says. None: we never wrote it.
    """
    if record is None or "intent" not in record:
        return record
    before = {key: value for key, value in record.items() if key != "intent"}
    after = {**before, **record["intent"], "desired": record["intent"]["written"]}
    if is_there(after):
        return after
    return before if "written" in before else None


def classify(existed: bool, known: bool, desired_changed: bool, actual_changed: bool) -> str:
    """The word for a file that is not as desired.

    existed: there is a file now; known: an earlier run wrote it; desired_changed: we want something else than then;
    actual_changed: it is not what was written then.
    """
    if not known:
        return "foreign" if existed else "created"
    if not existed:
        return "missing"
    if desired_changed and actual_changed:
        return "conflict"
    return "pending" if desired_changed else "drift"
