# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is to be done about one file, and what files have in common. Runs on targets: Python 3.8, standard library only."""

from __future__ import annotations

import base64
import json
from typing import AbstractSet, Any, Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.files import backups, keyfile, paths, store
from ansible_collections.msp.charter_mail.plugins.module_utils.files.store import Record

Item = Dict[str, Any]
"""A file that is wanted, as the controller sends it."""


class Job(NamedTuple):
    """What the files of one person (or of the machine) have in common."""

    anchor: paths.Anchor
    home: str  # as the person knows it, "" for files of the machine
    owner: Optional[Tuple[int, int]]  # uid and gid every file must have; gid -1: any. None: do not care
    check: bool
    diff: bool
    take_over: bool
    secrets: List[str]
    running: AbstractSet[str]  # names of the person's processes
    records: Dict[str, Record]  # what earlier runs remembered, by dest
    meant: Dict[str, Record]  # the same with what this run means to do
    attic: backups.Attic
    inode: int = 0  # of the home, by which it is told from another one in its place; 0: not known


class Plan:
    """One file: what is, what shall be, and the word for the difference."""

    def __init__(self, data: Dict[str, Any], job: Job):
        self.dest: str = data["dest"]
        self.relative: str = data["path"]
        self.program: str = data["program"]
        self.people: List[str] = data["people"]
        self.sensitive = bool(data.get("sensitive"))
        self.state = "unchanged"
        self.notes: List[str] = []
        self.act = False  # something is to be done
        self.changed = False
        self.keep = ""  # what is kept of what was there: "", "newest", "original", "itself" (it cannot be read)
        self.dir_mode = 0o700
        self.mode = 0o600
        self.owner: Optional[Tuple[int, int]] = None
        self.target: Optional[bytes] = None  # None: no file
        self.ours: keyfile.Keys = {}  # strategy keys: what we put into it
        self.place: Optional[paths.Place] = None
        self.found: Optional[paths.Found] = None
        self.put_back = ""  # the original that comes back to its place
        self.links: List[str] = []  # links to the file that go with it
        self.each: Dict[str, str] = {}  # by address, where the people of a shared file fare differently
        self.temporary = ""
        self.made: List[str] = []
        self.old = job.records.get(self.dest)  # what is remembered
        self.record = self.old  # what to remember; None: nothing
        self.meant = job.meant.get(self.dest)
        self.renamed = False

    def stop(self, state: str, message: str) -> None:
        """This file is not touched, and what is remembered of it stays as it was."""
        self.state, self.act, self.record = state, False, self.old
        self.notes = [message]


def keys_digest(keys: Dict[str, Dict[str, List[str]]]) -> bytes:
    """What is hashed of the keys of strategy ``keys``: the values a file has for them, whatever their order."""
    flat = {s: {k: sorted(set(values)) for k, values in inner.items()} for s, inner in keys.items() if inner}
    return json.dumps(flat, sort_keys=True).encode("utf-8")


def content_of(item: Item) -> bytes:
    """The content that an item wants."""
    return base64.b64decode(item["base64"]) if "base64" in item else item["content"].encode("utf-8")


def listed(keys: keyfile.Keys) -> Dict[str, Dict[str, List[str]]]:
    """Our keys in the form of :func:`keyfile.present`."""
    return {section: {key: [value] for key, value in inner.items()} for section, inner in keys.items()}


def is_as(plan: Plan, record: Record) -> bool:
    """Whether the file is what the record says was written."""
    if plan.found is None or plan.keep == "itself":
        return False
    content = plan.found.content
    if record["strategy"] == "keys":
        try:
            content = keys_digest(keyfile.present(content.decode("utf-8"), record["keys"]))
        except (keyfile.NotUnderstood, UnicodeDecodeError):
            return False
    return bool(store.digest(content, record.get("salt")) == record["written"])
