# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is to be done about one file: look at it, compare it with what is wanted and with what is remembered, find the word for it.

Nothing is written here. Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import base64
import json
from typing import AbstractSet, Any, Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.files import backups, keyfile, paths, store

Item = Dict[str, Any]
Record = Dict[str, Any]


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


def make(data: Dict[str, Any], job: Job, wanted: bool) -> Plan:
    """The plan for a file that is wanted (``data`` is an item) or that has to go (``data`` is its record)."""
    plan = Plan(data, job)
    try:
        plan.place = paths.locate(job.anchor, plan.relative)
        if not job.check:
            paths.sweep(plan.place)
        try:
            plan.found = paths.read(plan.place)
        except paths.Unreadable as error:
            if plan.old is None or plan.old["strategy"] != "replace":
                raise
            plan.found, plan.keep = error.found, "itself"
        plan.old = plan.record = store.settle(plan.old, lambda record: _is_as(plan, record))
        (_plan_write if wanted else _plan_removal)(plan, data, job)
    except paths.Refused as error:
        plan.stop("refused", str(error))
    except PermissionError as error:
        plan.stop("refused", paths.reason(error))
    except OSError as error:
        plan.stop("failed", paths.reason(error))
    busy = sorted(name for name in data.get("running") or [] if name[:15] in job.running)
    if plan.act and busy:
        plan.stop("blocked", "%s is running; close it and run again" % busy[0])
    return plan


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


def _is_as(plan: Plan, record: Record) -> bool:
    if plan.found is None or plan.keep == "itself":
        return False
    content = plan.found.content
    if record["strategy"] == "keys":
        try:
            content = keys_digest(keyfile.present(content.decode("utf-8"), record["keys"]))
        except (keyfile.NotUnderstood, UnicodeDecodeError):
            return False
    return bool(store.digest(content, record.get("salt")) == record["written"])


def _plan_write(plan: Plan, item: Item, job: Job) -> None:
    plan.mode = int(item["mode"], 8)
    plan.dir_mode = int(item["dir_mode"], 8)
    if job.owner is not None and job.owner[1] != -1:
        plan.owner = job.owner
    if _is_passed_over(plan, item, job):
        return
    kept = {key: plan.old[key] for key in ("dirs", "salt") if plan.old and plan.old.get(key)}
    record = {**store.begin(item), **kept, **({"inode": job.inode} if job.inode else {})}
    if plan.sensitive:
        record.setdefault("salt", (plan.meant or {}).get("salt") or store.new_salt())
    strategy = {"once": _plan_once, "keys": _plan_keys}.get(item["strategy"], _plan_replace)
    strategy(plan, record, item, job)


def _is_passed_over(plan: Plan, item: Item, job: Job) -> bool:
    """Would the program read another file of the person's instead of this one, or this one instead of another?"""
    first = _there(job, item.get("shadowed_by") or [])
    if first is not None:
        path, content = first
        if item.get("mention") and item["mention"].encode("utf-8") in content:
            plan.record = plan.old
            plan.notes.append("%s takes it up" % _tilde(path))
            return True
        how = "; put into it: %s" % item["hint"] if item.get("hint") else ""
        plan.stop("foreign", "%s is there, which the program reads instead%s" % (_tilde(path), how))
        return True
    second = _there(job, item.get("shadows") or [])
    if second is not None and plan.old is None and plan.found is None and not job.take_over:
        plan.stop(
            "foreign",
            "the program would not read %s any more, which is the person's; mail_take_over does it all the same" % _tilde(second[0]),
        )
        return True
    if second is not None:
        plan.notes.append("the program does not read %s while this file is there" % _tilde(second[0]))
    return False


def _there(job: Job, names: List[str]) -> Optional[Tuple[str, bytes]]:
    """The first of these files that is there, with its content (none where it cannot be read)."""
    for path in names:
        try:
            place = paths.locate(job.anchor, path)
            try:
                found = paths.read(place)
            finally:
                paths.close(place)
        except paths.Refused:
            return path, b""
        if found is not None:
            return path, found.content
    return None


def _tilde(path: str) -> str:
    return "~/" + path


def _plan_once(plan: Plan, record: Record, item: Item, job: Job) -> None:
    content = content_of(item)
    if plan.old is not None:  # once written, it is the user's: also when they removed it
        record.update(desired=plan.old["desired"], written=plan.old["written"], mode=plan.old["mode"])
        plan.record = record
    elif plan.found is None:
        record["desired"] = record["written"] = store.digest(content, record.get("salt"))
        plan.state, plan.act, plan.target, plan.record = "created", True, content, record
    elif item.get("mention") and item["mention"].encode("utf-8") in plan.found.content:
        plan.notes.append("it is the person's own and takes the settings up")
    elif plan.found.content != content:
        how = "; put into it: %s" % item["hint"] if item.get("hint") else ""
        plan.stop("foreign", "it was there before and stays its user's%s" % how)


def _owner_differs(plan: Plan, job: Job) -> bool:
    if plan.found is None or job.owner is None:
        return False
    uid, gid = job.owner
    return plan.found.uid != uid or gid not in (-1, plan.found.gid)


def _plan_replace(plan: Plan, record: Record, item: Item, job: Job) -> None:
    old, found, salt, content = plan.old, plan.found, record.get("salt"), content_of(item)
    record["desired"] = record["written"] = store.digest(content, salt)
    plan.target, plan.record = content, record
    stranger = _owner_differs(plan, job)
    unreadable = plan.keep == "itself"
    if found is not None and not unreadable and found.content == content and found.mode == plan.mode and not stranger:
        return
    desired_changed = old is None or any(old.get(k) != record.get(k) for k in ("desired", "mode", "strategy", "salt"))
    # What a keys record calls written are our keys alone: that says nothing about the whole file.
    known_bytes = old is not None and old["strategy"] != "keys" and _is_as(plan, old)
    actual_changed = (
        old is not None
        and found is not None
        and old["strategy"] != "keys"
        and (not known_bytes or "%04o" % found.mode != old["mode"] or stranger)
    )
    plan.state = store.classify(found is not None, old is not None, desired_changed, actual_changed)
    if plan.state == "foreign":
        if not job.take_over:
            plan.stop("foreign", "it was there before and differs; mail_take_over replaces it and keeps what was there")
            return
        plan.state = "created"
        plan.notes.append("replaced a file that was there before")
    plan.act = True
    if plan.state == "pending" and old is not None:
        plan.each = _by_person(old.get("parts", {}), record.get("parts", {}))
    if unreadable or known_bytes:
        return
    if old is not None and plan.place is not None and plan.place.links:
        _plan_link(plan, job)
    elif found is not None and found.content != content:
        plan.keep = "original" if old is None else "newest"


def _by_person(before: Dict[str, str], after: Dict[str, str]) -> Dict[str, str]:
    """Of a file that many share: who came, who left, and whose part is another one. Empty where it is another one for everybody."""
    if not before or before == after:
        return {}
    states = {address: "unchanged" if before.get(address) == part else "pending" for address, part in after.items()}
    states.update({address: "created" for address in after if address not in before})
    states.update({address: "removed" for address in before if address not in after})
    return states


def _plan_link(plan: Plan, job: Job) -> None:
    """Somebody put a link in place of our file, to something else. We take the place back; what the link leads to is not ours."""
    if plan.place is not None:
        paths.close(plan.place)
        plan.place = None
    plan.place = paths.locate(job.anchor, plan.relative, follow=False)
    plan.found = paths.read_link(plan.place)
    plan.notes.append("replaced a link; what it leads to (%s) stays as it is" % plan.found.link)


def _plan_keys(plan: Plan, record: Record, item: Item, job: Job) -> None:
    old, found = plan.old if (plan.old or {}).get("strategy") == "keys" else None, plan.found
    try:
        ours = keyfile.read_keys(item["content"])
        equals = keyfile.equals_sign(item["content"])
    except keyfile.NotUnderstood as error:
        plan.stop("failed", "the template does not give sections and keys: %s" % error)
        return
    before: Dict[str, List[str]] = (old or {}).get("keys", {})
    try:
        text = found.content.decode("utf-8") if found is not None else ""
        # A file that is there for the accounts alone has a name that nobody else gives: what is in it was put there by us.
        first = [] if item.get("whole") else [name for name in _first_theirs(ours, text) if name not in before]
        theirs = [] if job.take_over else first
        ours = {name: keys for name, keys in ours.items() if name not in theirs}
        merged = keyfile.merge(text, ours, before, equals)
        there = store.digest(keys_digest(keyfile.present(text, before)), (old or {}).get("salt"))
    except (keyfile.NotUnderstood, UnicodeDecodeError) as error:
        reason = str(error) if isinstance(error, keyfile.NotUnderstood) else "it is not UTF-8 text"
        plan.stop("conflict", "not touched, because it cannot be understood: %s" % reason)
        return
    if theirs:
        names = ", ".join("[%s]" % name for name in theirs)
        plan.notes.append("%s was there before and stays its user's; mail_take_over replaces it and keeps what was there" % names)
        plan.state = "foreign"
        if not ours and old is None:
            plan.stop("foreign", plan.notes[0])
            return
    record["keys"] = keyfile.names(ours)
    record["desired"] = record["written"] = store.digest(keys_digest(listed(ours)), record.get("salt"))
    record["created"] = found is None or bool(item.get("whole")) or bool(old is not None and old.get("created", True))
    taken = sorted(set((old or {}).get("taken", [])) | set(first)) if job.take_over else (old or {}).get("taken", [])
    if taken:
        record["taken"] = taken
    plan.ours, plan.record, plan.target = ours, record, merged.text.encode("utf-8")
    if plan.target == (found.content if found is not None else b""):
        return
    plan.act = True
    if found is None:
        plan.state = "created" if plan.old is None else "missing"
        return
    # The program that shares this file also decides who may read it.
    plan.mode = found.mode
    if plan.owner is not None:
        plan.owner = (found.uid, found.gid)
    plan.keep = "original" if old is None else "newest"
    if not theirs:
        desired_changed = old is None or old["desired"] != record["desired"]
        plan.state = store.classify(True, True, desired_changed, old is not None and old["written"] != there)


def _first_theirs(ours: keyfile.Keys, text: str) -> List[str]:
    """Names of our sections that are in the text and are not as we want them.

    One that already is as we want it is taken for ours, as a whole file would be. Lines before the first head belong to nobody.
    """
    there, wanted = keyfile.present(text, keyfile.names(ours)), listed(ours)
    return [name for name in keyfile.sections(text) if name in ours and there[name] != wanted[name]]


def _plan_removal(plan: Plan, record: Record, job: Job) -> None:
    found, old = plan.found, plan.old
    if old is None:  # a run that was killed meant to write it, and did not
        plan.record = None
        return
    plan.state, plan.record = "removed", None
    if found is None:
        if job.inode and old.get("inode") and old["inode"] != job.inode:
            plan.stop(
                "waiting", "the home is another directory than the one it was written to (is it not mounted?); it goes when that is back"
            )
        return
    plan.mode = found.mode
    if job.owner is not None and job.owner[1] != -1:
        plan.owner = (found.uid, found.gid)
    if old["strategy"] == "keys":
        _plan_keys_removal(plan, old, found, job)
        return
    ours = _is_as(plan, old)
    links = list(plan.place.links) if plan.place is not None else []
    if old["strategy"] == "once" and not ours:
        plan.state = "unchanged"
        plan.notes.append("left to its user, who changed it")
        return
    if links and not ours:
        plan.state = "unchanged"
        plan.notes.append("left to its user, who put a link in its place")
        return
    plan.act = True
    if not plan.keep and not ours:
        plan.keep = "newest"
    before = job.attic.original(plan.relative) if old["strategy"] == "replace" else None
    if before is not None:
        plan.put_back, plan.target, plan.mode = before[0], before[1].content, before[1].mode
        plan.notes.append("what was there before is back")
    else:
        plan.links = links


def _plan_keys_removal(plan: Plan, old: Record, found: paths.Found, job: Job) -> None:
    try:
        text = found.content.decode("utf-8")
        result = keyfile.merge(text, {}, old.get("keys", {})).text
        before = job.attic.original(plan.relative) if old.get("taken") else None
        if before is not None:
            result = keyfile.restore(result, before[1].content.decode("utf-8"), old["taken"])
            plan.notes.append("what was there before is back")
    except (keyfile.NotUnderstood, UnicodeDecodeError):
        plan.stop("conflict", "our keys stay in it, because it can no longer be understood")
        return
    empty = bool(old.get("whole")) or not result.strip("\ufeff \t\r\n") and bool(old.get("created", True))
    plan.act = result != text or empty
    plan.target = None if empty else result.encode("utf-8")
    plan.keep = "newest" if plan.act else ""
    if empty and plan.place is not None:
        plan.links = list(plan.place.links)
