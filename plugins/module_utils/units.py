# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring the files of one unit (a person's program, or a machine's program) to what is wanted: all of them or none.

A unit is planned first (read, compare, find the word for it), then, unless this is a check, done: stage every file,
back up what is lost, then rename and remove in order. Whatever goes wrong, what was already renamed is put back.

Everything that goes in and out is plain data, because the work for a person happens in a process of its own.
Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import base64
import json
from typing import AbstractSet, Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils import keyfile, paths, store

MAX_DIFF = 100 * 1024  # characters on each side, about what ansible's own copy shows

Item = Dict[str, Any]
Record = Dict[str, Any]


class Unit(NamedTuple):
    """``wanted``: files in the order of writing. ``gone``: records of files to remove, in the order of removal."""

    login: Optional[str]
    program: str
    wanted: List[Item]
    gone: List[Record]


class Job(NamedTuple):
    """What the units of one person (or of the machine) have in common."""

    anchor: paths.Anchor
    home: str  # as the person knows it, "" for files of the machine
    owner: Optional[Tuple[int, int]]  # uid and gid every file must have; gid -1: any. None: do not care
    check: bool
    diff: bool
    take_over: bool
    secrets: List[str]
    running: AbstractSet[str]  # names of the person's processes
    records: Dict[str, Record]
    backup: Callable[[str, bytes], None]


class Plan:
    """One file: what is, what shall be, and the word for the difference."""

    def __init__(self, dest: str, relative: str, program: str, people: List[str]):
        self.dest = dest
        self.relative = relative
        self.program = program
        self.people = people
        self.state = "unchanged"
        self.message = ""
        self.act = False  # something is to be done
        self.changed = False
        self.keep_backup = False
        self.sensitive = False
        self.dir_mode = 0o700
        self.mode = 0o600
        self.owner: Optional[Tuple[int, int]] = None
        self.target: Optional[bytes] = None  # None: no file
        self.place: Optional[paths.Place] = None
        self.found: Optional[paths.Found] = None
        self.temporary = ""
        self.made: List[str] = []
        self.old: Optional[Record] = None
        self.record: Optional[Record] = None  # what to remember; None: nothing
        self.renamed = False

    def stop(self, state: str, message: str) -> None:
        """This file is not touched, and what is remembered of it stays as it was."""
        self.state, self.message, self.act, self.record = state, message, False, self.old


def run(unit: Unit, job: Job) -> Dict[str, Any]:
    """Return ``files`` (outcomes), ``diff``, ``records`` (dest -> record, None: forget)."""
    plans = [_guard(_plan_write, item, job) for item in unit.wanted]
    plans += [_guard(_plan_removal, record, job) for record in unit.gone]
    try:
        _hold_back(plans)
        diff = [_diff(plan, job) for plan in plans if plan.act] if job.diff else []
        if job.check:
            for plan in plans:
                plan.changed = plan.act
        else:
            _do(plans, job)
            if any(plan.state == "failed" for plan in plans):
                diff = []
        return {
            "files": [_outcome(plan, job) for plan in plans],
            "diff": diff,
            "records": {plan.dest: plan.record for plan in plans},
        }
    finally:
        for plan in plans:
            if plan.place is not None:
                paths.close(plan.place)


def _outcome(plan: Plan, job: Job) -> Dict[str, Any]:
    outcome = {
        "dest": shown(job.home, plan),
        "program": plan.program,
        "people": plan.people,
        "state": plan.state,
        "changed": plan.changed,
    }
    if plan.message:
        outcome["message"] = store.redact(plan.message, job.secrets)
    return outcome


def shown(home: str, plan: Plan) -> str:
    """The path as people on that machine know it (a prefix is not part of it)."""
    return home.rstrip("/") + "/" + plan.relative if home else plan.dest


def refuse(unit: Unit, message: str) -> Dict[str, Any]:
    """The result of a unit whose person is not there: nothing to write to, and what was written went with the home."""
    files = [
        {"dest": item["dest"], "program": item["program"], "people": item["people"], "changed": False, **outcome}
        for items, outcome in (
            (unit.wanted, {"state": "refused", "message": message}),
            (unit.gone, {"state": "removed", "message": message}),
        )
        for item in items
    ]
    return {"files": files, "diff": [], "records": {record["dest"]: None for record in unit.gone}}


def lost(unit: Unit, job: Job, message: str) -> Dict[str, Any]:
    """The result of a unit whose process did not report back: how far it came is unknown, what is remembered stays."""
    files = [
        {
            "dest": item["dest"],
            "program": item["program"],
            "people": item["people"],
            "state": "failed",
            "changed": False,
            "message": store.redact(message, job.secrets),
        }
        for item in unit.wanted + unit.gone
    ]
    return {"files": files, "diff": [], "records": {}}


def _guard(make: Callable[[Plan, Dict[str, Any], Job], None], data: Dict[str, Any], job: Job) -> Plan:
    plan = Plan(data["dest"], data["path"], data["program"], data["people"])
    plan.sensitive = bool(data.get("sensitive"))
    plan.old = plan.record = job.records.get(plan.dest)
    try:
        plan.place = paths.locate(job.anchor, plan.relative)
        plan.found = paths.read(plan.place)
        make(plan, data, job)
    except paths.Refused as error:
        plan.stop("refused", str(error))
    except PermissionError as error:
        plan.stop("refused", "no right to it: %s" % error.strerror)
    except OSError as error:
        plan.stop("failed", str(error))
    busy = sorted(name for name in data.get("running") or [] if name[:15] in job.running)
    if plan.act and busy:
        plan.stop("blocked", "%s is running; close it and run again" % busy[0])
    return plan


def _owner_differs(plan: Plan, job: Job) -> bool:
    if plan.found is None or job.owner is None:
        return False
    uid, gid = job.owner
    return plan.found.uid != uid or gid not in (-1, plan.found.gid)


def _plan_write(plan: Plan, item: Item, job: Job) -> None:
    plan.mode = int(item["mode"], 8)
    plan.dir_mode = int(item["dir_mode"], 8)
    if job.owner is not None and job.owner[1] != -1:
        plan.owner = job.owner
    record: Record = {
        "dest": plan.dest,
        "path": plan.relative,
        "login": item["login"],
        "program": plan.program,
        "people": plan.people,
        "strategy": item["strategy"],
        "mode": item["mode"],
    }
    if item["running"]:
        record["running"] = item["running"]
    if plan.sensitive:
        record["sensitive"] = True
        record["salt"] = (plan.old or {}).get("salt") or store.new_salt()
    if (plan.old or {}).get("dirs"):
        record["dirs"] = (plan.old or {})["dirs"]
    content = base64.b64decode(item["base64"]) if "base64" in item else item["content"].encode("utf-8")
    if item["strategy"] == "once":
        _plan_once(plan, record, content)
    elif item["strategy"] == "keys":
        _plan_keys(plan, record, item["content"])
    else:
        _plan_replace(plan, record, content, job)


def _plan_once(plan: Plan, record: Record, content: bytes) -> None:
    if plan.old is not None:  # once written, it is the user's: also when they removed it
        record.update(desired=plan.old["desired"], written=plan.old["written"], mode=plan.old["mode"])
        plan.record = record
    elif plan.found is None:
        record["desired"] = record["written"] = store.digest(content, record.get("salt"))
        plan.state, plan.act, plan.target, plan.record = "created", True, content, record
    elif plan.found.content != content:
        plan.stop("foreign", "it was there before and stays its user's")


def _plan_replace(plan: Plan, record: Record, content: bytes, job: Job) -> None:
    old, found, salt = plan.old, plan.found, record.get("salt")
    record["desired"] = record["written"] = store.digest(content, salt)
    plan.target, plan.record = content, record
    stranger = _owner_differs(plan, job)
    if found is not None and found.content == content and found.mode == plan.mode and not stranger:
        return
    desired_changed = old is None or any(old.get(k) != record.get(k) for k in ("desired", "mode", "strategy", "salt"))
    # What a keys record calls written are our keys alone: that says nothing about the whole file.
    known_bytes = old is not None and found is not None and store.digest(found.content, old.get("salt")) == old["written"]
    actual_changed = (
        old is not None
        and found is not None
        and old["strategy"] != "keys"
        and (not known_bytes or "%04o" % found.mode != old["mode"] or stranger)
    )
    plan.state = store.classify(found is not None, old is not None, desired_changed, actual_changed)
    if plan.state == "foreign":
        if not job.take_over:
            plan.stop("foreign", "it was there before and differs; mail_take_over replaces it and keeps a backup")
            return
        plan.state = "created"
        plan.message = "replaced a file that was there before"
    plan.act = True
    plan.keep_backup = found is not None and not known_bytes and found.content != content


def _plan_keys(plan: Plan, record: Record, wanted: str) -> None:
    old, found = plan.old if (plan.old or {}).get("strategy") == "keys" else None, plan.found
    try:
        ours = keyfile.read_keys(wanted)
    except keyfile.NotUnderstood as error:
        plan.stop("failed", "the template does not give sections and keys: %s" % error)
        return
    record["keys"] = keyfile.names(ours)
    record["desired"] = record["written"] = _keys_digest(
        {section: {key: [value] for key, value in keys.items()} for section, keys in ours.items()}, record.get("salt")
    )
    text = ""
    before: Dict[str, List[str]] = (old or {}).get("keys", {})
    try:
        if found is not None:
            text = found.content.decode("utf-8")
        merged = keyfile.merge(text, ours, before, (old or {}).get("sections", []), keyfile.equals_sign(wanted))
        there = _keys_digest(keyfile.present(text, before), (old or {}).get("salt"))
    except (keyfile.NotUnderstood, UnicodeDecodeError) as error:
        reason = str(error) if isinstance(error, keyfile.NotUnderstood) else "it is not UTF-8 text"
        plan.stop("conflict", "not touched, because it cannot be understood: %s" % reason)
        return
    record["created"] = found is None or bool((old or {}).get("created"))
    sections = set((old or {}).get("sections", [])) & set(record["keys"]) if found is not None else set()
    record["sections"] = sorted(sections | set(merged.sections))
    plan.record, plan.target = record, merged.text.encode("utf-8")
    if plan.target == (found.content if found is not None else b""):
        return
    if found is None:
        plan.state = "created" if plan.old is None else "missing"
    else:
        # The program that shares this file also decides who may read it.
        plan.mode = found.mode
        if plan.owner is not None:
            plan.owner = (found.uid, found.gid)
        desired_changed = old is None or old["desired"] != record["desired"]
        plan.state = store.classify(True, True, desired_changed, old is not None and old["written"] != there)
        plan.keep_backup = True
    plan.act = True


def _keys_digest(keys: Dict[str, Dict[str, List[str]]], salt: Optional[str]) -> str:
    flat = {s: {k: sorted(set(values)) for k, values in inner.items()} for s, inner in keys.items() if inner}
    return str(store.digest(json.dumps(flat, sort_keys=True).encode("utf-8"), salt))


def _plan_removal(plan: Plan, record: Record, job: Job) -> None:
    found = plan.found
    plan.state, plan.record = "removed", None
    if found is None:
        return
    plan.mode = found.mode
    if job.owner is not None and job.owner[1] != -1:
        plan.owner = (found.uid, found.gid)
    if record["strategy"] == "keys":
        try:
            text = found.content.decode("utf-8")
            merged = keyfile.merge(text, {}, record.get("keys", {}), record.get("sections", []))
        except (keyfile.NotUnderstood, UnicodeDecodeError):
            plan.stop("conflict", "our keys stay in it, because it can no longer be understood")
            return
        plan.act = merged.text != text or (merged.empty and bool(record.get("created")))
        plan.target = None if merged.empty and record.get("created") else merged.text.encode("utf-8")
        plan.keep_backup = plan.act
        return
    ours = store.digest(found.content, record.get("salt")) == record["written"]
    if record["strategy"] == "once" and not ours:
        plan.state, plan.message = "unchanged", "left to its user, who changed it"
        return
    plan.act, plan.keep_backup = True, not ours


def _hold_back(plans: List[Plan]) -> None:
    """One file that may not be written holds back the rest of its unit: half a set of settings is worse than none."""
    for state, then in (("refused", "failed"), ("failed", "failed"), ("blocked", "blocked")):
        first = next((plan for plan in plans if plan.state == state), None)
        if first is None:
            continue
        for plan in plans:
            if plan.act:
                plan.stop(then, "left alone, because %s is %s" % (first.relative, state))
        return


def _do(plans: List[Plan], job: Job) -> None:
    acting = [plan for plan in plans if plan.act]
    current: Optional[Plan] = None
    try:
        for current in acting:
            _stage(current, job)
        for current in acting:
            if current.keep_backup and not current.sensitive and current.found is not None:
                job.backup(current.dest, current.found.content)
        for current in acting:
            _replace(current)
    except (OSError, paths.Refused, store.StoreError) as error:
        _undo(acting, job, current, str(error))
        return
    for plan in acting:
        plan.changed = True
        if plan.made and plan.record is not None:
            plan.record["dirs"] = sorted(set(plan.record.get("dirs", [])) | set(plan.made))
    for plan in plans:
        if plan.state == "removed" and plan.old is not None:
            paths.remove_directories(job.anchor, plan.old.get("dirs", []))


def _stage(plan: Plan, job: Job) -> None:
    if plan.target is None:
        return
    if plan.place is None or plan.place.handle is None:
        plan.place = paths.locate(job.anchor, plan.relative, plan.dir_mode)
        plan.made = plan.place.made
    if plan.place.handle is None:  # never fall back to the working directory
        raise paths.Refused("the directory %s is not there" % job.anchor.path)
    plan.temporary = paths.stage(plan.place, plan.target, plan.mode, plan.owner)


def _replace(plan: Plan) -> None:
    if plan.place is None or plan.place.handle is None:
        raise paths.Refused("its directory went away")
    if not paths.same(plan.place, plan.found):
        raise paths.Refused("it was changed while this run was about to write it; run again")
    if plan.target is None:
        paths.discard(plan.place, plan.place.name)
    else:
        paths.put(plan.place, plan.temporary)
    plan.renamed = True


def _undo(acting: List[Plan], job: Job, culprit: Optional[Plan], reason: str) -> None:
    for plan in reversed(acting):
        note = "put back, because %s: %s" % (culprit.relative if culprit else "", reason)
        if not plan.renamed:
            note = "not written, because %s: %s" % (culprit.relative if culprit else "", reason)
        if plan is culprit:
            note = reason
        try:
            if plan.renamed:
                _put_back(plan)
            elif plan.temporary and plan.place is not None:
                paths.discard(plan.place, plan.temporary)
        except (OSError, paths.Refused) as error:
            note = "%s; and what was there could not be put back: %s" % (reason, error)
        plan.stop("failed", note)
        paths.remove_directories(job.anchor, plan.made)


def _put_back(plan: Plan) -> None:
    assert plan.place is not None
    if plan.found is None:
        paths.discard(plan.place, plan.place.name)
        return
    owner = (plan.found.uid, plan.found.gid) if plan.owner is not None else None
    paths.put(plan.place, paths.stage(plan.place, plan.found.content, plan.found.mode, owner))


def _diff(plan: Plan, job: Job) -> Dict[str, str]:
    dest = shown(job.home, plan)
    before = plan.found.content if plan.found is not None else None
    sides = [_side(before, job.secrets), _side(plan.target, job.secrets)]
    if plan.sensitive:
        sides = ["" if side is None else "(secret content)\n" for side in (before, plan.target)]
        if sides[0] == sides[1]:
            sides[1] = "(other secret content)\n"
    if plan.found is not None and plan.found.content == plan.target:
        sides = ["mode: %04o\n" % plan.found.mode, "mode: %04o\n" % plan.mode]
    return {"before": sides[0], "after": sides[1], "before_header": dest, "after_header": dest}


def _side(content: Optional[bytes], hidden: List[str]) -> str:
    if content is None:
        return ""
    if b"\0" in content:
        return "(not text)\n"
    if len(content) > MAX_DIFF:
        return "(too long to show)\n"
    return str(store.redact(content.decode("utf-8", "replace"), hidden))
