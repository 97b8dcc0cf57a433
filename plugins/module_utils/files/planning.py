# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is to be done about one file: look at it, compare it with what is wanted and with what is remembered, find the word for it.

Nothing is written here. Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.files import contents, keyfile, paths, store
from ansible_collections.msp.charter_mail.plugins.module_utils.files.plan import Item, Job, Plan, content_of, is_as, keys_digest, listed
from ansible_collections.msp.charter_mail.plugins.module_utils.files.removal import plan_removal
from ansible_collections.msp.charter_mail.plugins.module_utils.files.store import Record


def make(data: Dict[str, Any], job: Job, wanted: bool) -> Plan:
    """The plan for a file that is wanted (``data`` is an item) or that has to go (``data`` is its record)."""
    plan = Plan(data, job)
    try:
        plan.place = paths.locate(job.anchor, plan.relative)
        if not job.check:
            contents.sweep(plan.place)
        try:
            plan.found = contents.read(plan.place)
        except paths.Unreadable as error:
            if plan.old is None or plan.old["strategy"] != "replace":
                raise
            plan.found, plan.keep = error.found, "itself"
        plan.old = plan.record = store.settle(plan.old, lambda record: is_as(plan, record))
        (_plan_write if wanted else plan_removal)(plan, data, job)
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
                found = contents.read(place)
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
    known_bytes = old is not None and old["strategy"] != "keys" and is_as(plan, old)
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
    plan.found = contents.read_link(plan.place)
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
        # A file that is there for an account alone has a name that nobody else gives: what is in it was put there by us.
        first = [] if item.get("whole") == "file" else [name for name in _first_theirs(ours, text) if name not in before]
        theirs = [] if job.take_over else first
        ours = {name: keys for name, keys in ours.items() if name not in theirs}
        merged = keyfile.merge(text, ours, before, equals, item.get("whole") == "sections")
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
    record["created"] = found is None or item.get("whole") == "file" or bool(old is not None and old.get("created", True))
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
