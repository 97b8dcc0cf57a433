# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is to be done about a file that has to go. Runs on targets: Python 3.8, standard library only."""

from __future__ import annotations

from ansible_collections.msp.charter_mail.plugins.module_utils.files import keyfile, paths
from ansible_collections.msp.charter_mail.plugins.module_utils.files.plan import Job, Plan, is_as
from ansible_collections.msp.charter_mail.plugins.module_utils.files.store import Record


def plan_removal(plan: Plan, record: Record, job: Job) -> None:
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
    ours = is_as(plan, old)
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
        result = keyfile.merge(text, {}, old.get("keys", {}), whole=old.get("whole") == "sections").text
        before = job.attic.original(plan.relative) if old.get("taken") else None
        if before is not None:
            result = keyfile.restore(result, before[1].content.decode("utf-8"), old["taken"])
            plan.notes.append("what was there before is back")
    except (keyfile.NotUnderstood, UnicodeDecodeError):
        plan.stop("conflict", "our keys stay in it, because it can no longer be understood")
        return
    empty = old.get("whole") == "file" or not result.strip("\ufeff \t\r\n") and bool(old.get("created", True))
    plan.act = result != text or empty
    plan.target = None if empty else result.encode("utf-8")
    plan.keep = "newest" if plan.act else ""
    if empty and plan.place is not None:
        plan.links = list(plan.place.links)
