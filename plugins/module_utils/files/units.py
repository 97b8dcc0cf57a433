# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring the files of one unit (a person's program, or a machine's program) to what is wanted: all of them or none.

A unit is planned first (see ``planning``), then, unless this is a check, done: stage every file, keep what is lost, then rename and
remove in order. Whatever goes wrong, what was already renamed is put back.

Everything that goes in and out is plain data, because the work for a person happens in a process of its own.
Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

from typing import Any, Dict, List, NamedTuple, Optional

from ansible_collections.msp.charter_mail.plugins.module_utils import masking
from ansible_collections.msp.charter_mail.plugins.module_utils.files import contents, differences, paths, planning
from ansible_collections.msp.charter_mail.plugins.module_utils.files.plan import Item, Job, Plan, Record


class Unit(NamedTuple):
    """``wanted``: files in the order of writing. ``gone``: records of files to remove, in the order of removal."""

    login: Optional[str]
    program: str
    wanted: List[Item]
    gone: List[Record]


def run(unit: Unit, job: Job) -> Dict[str, Any]:
    """Return ``files`` (outcomes), ``diff``, ``records`` (dest -> record, None: forget)."""
    made = [planning.make(item, job, wanted=True) for item in unit.wanted]
    made += [planning.make(record, job, wanted=False) for record in unit.gone]
    try:
        _hold_back(made)
        diff = [differences.show(plan, job, shown(job.home, plan)) for plan in made if plan.act] if job.diff else []
        if job.check:
            for plan in made:
                plan.changed = plan.act
        else:
            _do(made, job)
            if any(plan.state == "failed" for plan in made):
                diff = []
        return {
            "files": [_outcome(_data(plan, job), job.secrets, plan.notes) for plan in made],
            "diff": diff,
            "records": {plan.dest: plan.record for plan in made},
        }
    finally:
        for plan in made:
            if plan.place is not None:
                paths.close(plan.place)


def _outcome(data: Dict[str, Any], secrets: List[str], notes: List[str]) -> Dict[str, Any]:
    """What is said of a file: dest, program, people, state, changed, and a message where there are notes."""
    outcome = {**data, "dest": masking.inert(data["dest"])}
    if notes:
        outcome["message"] = masking.mask(masking.inert("; ".join(notes)), secrets)
    return outcome


def _data(plan: Plan, job: Job) -> Dict[str, Any]:
    dest = shown(job.home, plan)
    outcome = {"dest": dest, "program": plan.program, "people": plan.people, "state": plan.state, "changed": plan.changed}
    return {**outcome, "each": plan.each} if plan.each and plan.state == "pending" else outcome


def shown(home: str, plan: Plan) -> str:
    """The path as people on that machine know it (a prefix is not part of it)."""
    return home.rstrip("/") + "/" + plan.relative if home else plan.dest


def not_done(unit: Unit, message: str, wanted: str, gone: str) -> Dict[str, Any]:
    """The result of a unit that nothing could be done for: the words for its files. What is remembered of them stays."""
    files = [
        _outcome({**{key: data[key] for key in ("dest", "program", "people")}, "state": state, "changed": False}, [], [message])
        for items, state in ((unit.wanted, wanted), (unit.gone, gone))
        for data in items
    ]
    return {"files": files, "diff": [], "records": {}}


def _hold_back(made: List[Plan]) -> None:
    """One file that may not be written holds back the rest of its unit: half a set of settings is worse than none."""
    for state, then in (("refused", "failed"), ("failed", "failed"), ("blocked", "blocked")):
        first = next((plan for plan in made if plan.state == state), None)
        if first is None:
            continue
        for plan in made:
            if plan.act:
                plan.stop(then, "left alone, because %s is %s" % (first.relative, state))
        return


def _do(made: List[Plan], job: Job) -> None:
    acting = [plan for plan in made if plan.act]
    current: Optional[Plan] = None
    try:
        for current in acting:
            _stage(current, job)
        for current in acting:
            _keep(current, job)
        for current in acting:
            _replace(current, job)
    except (OSError, paths.Refused) as error:
        _undo(acting, job, current, paths.reason(error))
        return
    for plan in acting:
        plan.changed = True
        if plan.made and plan.record is not None:
            plan.record["dirs"] = sorted(set(plan.record.get("dirs", [])) | set(plan.made))
        _tidy(plan, job)
    for plan in made:
        if plan.state == "removed" and plan.old is not None:
            contents.remove_directories(job.anchor, plan.old.get("dirs", []))


def _stage(plan: Plan, job: Job) -> None:
    if plan.target is None:
        return
    if plan.place is None or plan.place.handle is None:
        plan.place = paths.locate(job.anchor, plan.relative, plan.dir_mode)
        plan.made = plan.place.made
    plan.temporary = contents.stage(plan.place, plan.target, plan.mode, plan.owner)


def _keep(plan: Plan, job: Job) -> None:
    """Keep a copy of what is about to be lost."""
    if plan.sensitive or plan.found is None or not plan.keep:
        return
    if plan.keep == "original":
        job.attic.keep_original(plan.relative, plan.found)
    elif plan.keep == "newest":
        job.attic.keep_newest(plan.relative, plan.found.content)


def _replace(plan: Plan, job: Job) -> None:
    if plan.place is None or plan.place.handle is None:
        raise paths.Refused("its directory went away")
    if not contents.same(plan.place, plan.found):
        raise paths.Refused("it was changed while this run was about to write it; run again")
    if plan.keep == "itself":
        job.attic.move_in(plan.place, plan.relative)
        plan.renamed = True
    if plan.target is not None:
        contents.put(plan.place, plan.temporary)
    else:
        contents.discard(plan.place, plan.place.name)
    plan.renamed = True


def _undo(acting: List[Plan], job: Job, culprit: Optional[Plan], why: str) -> None:
    for plan in reversed(acting):
        note = "put back, because %s: %s" % (culprit.relative if culprit else "", why)
        if not plan.renamed:
            note = "not written, because %s: %s" % (culprit.relative if culprit else "", why)
        if plan is culprit:
            note = why
        lost = False
        try:
            if plan.renamed:
                _put_back(plan, job)
            elif plan.temporary and plan.place is not None:
                contents.discard(plan.place, plan.temporary)
        except (OSError, paths.Refused) as error:
            lost, note = True, "%s; and what was there could not be put back: %s" % (why, paths.reason(error))
        plan.stop("failed", note)
        if lost:
            plan.record = plan.meant  # the next run looks which of the two it is
        contents.remove_directories(job.anchor, plan.made)


def _put_back(plan: Plan, job: Job) -> None:
    if plan.place is None:
        raise AssertionError("a plan without a place is not carried out")
    if plan.keep == "itself":
        job.attic.move_out(plan.place, plan.relative)
    elif plan.found is None:
        contents.discard(plan.place, plan.place.name)
    elif plan.found.link is not None:
        contents.put_link(plan.place, plan.found.link)
    else:
        owner = (plan.found.uid, plan.found.gid) if plan.owner is not None else None
        contents.put(plan.place, contents.stage(plan.place, plan.found.content, plan.found.mode, owner))


def _tidy(plan: Plan, job: Job) -> None:
    """What is left of a file that went: links that led to it, and the copy of what is back in its place."""
    try:
        for link in plan.links:
            place = paths.locate(job.anchor, link, follow=False)
            try:
                contents.discard(place, place.name)
            finally:
                paths.close(place)
        if plan.put_back:
            job.attic.forget_original(plan.put_back)
    except (OSError, paths.Refused) as error:
        plan.notes.append("something of it could not be tidied up: %s" % paths.reason(error))
