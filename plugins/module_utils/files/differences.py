# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What ``--diff`` shows of a file: our settings and what becomes of them. Other people's lines are counted, not shown.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import itertools
import os
from typing import AbstractSet, Dict, List, Optional

from ansible_collections.msp.charter_mail.plugins.module_utils import masking
from ansible_collections.msp.charter_mail.plugins.module_utils.files import keyfile
from ansible_collections.msp.charter_mail.plugins.module_utils.files.plan import Job, Plan

MAX_SHOWN = 100 * 1024  # characters on each side, about what ansible's own copy shows


def show(plan: Plan, job: Job, dest: str) -> Dict[str, str]:
    """The two sides of the difference, as Ansible prints it. Passwords are masked wherever they stand."""
    found = plan.found.content if plan.found is not None else None
    if plan.sensitive:
        sides = ["" if side is None else "(secret content)\n" for side in (found, plan.target)]
        if sides[0] == sides[1]:
            sides[1] = "(other secret content)\n"
    elif plan.found is not None and plan.found.link is not None:
        sides = ["(a link)\n", _text(plan.target)]
    elif plan.keep == "itself":
        sides = ["(cannot be read)\n", _text(plan.target)]
    elif plan.found is not None and plan.found.content == plan.target:
        sides = ["mode: %04o\n" % plan.found.mode, "mode: %04o\n" % plan.mode]
    elif not job.home:
        sides = [_text(found), _text(plan.target)]
    elif (plan.old or plan.record or {}).get("strategy") == "keys":
        sides = _keys(plan, found)
    elif plan.put_back or plan.target is None:
        sides = [_counted(found), _counted(plan.target)]
    elif plan.old is None:  # what was there before is not ours at all
        sides = [_counted(found), _text(plan.target)]
    else:
        sides = [_beside(_text(found), _text(plan.target)), _text(plan.target)]
    before, after = (masking.mask(side, job.secrets) for side in sides)
    if before == after and before:  # what differs is masked
        after = before + "(and something that is not shown)\n"
    return {"before": before, "after": after, "before_header": dest, "after_header": dest}


def _text(content: Optional[bytes]) -> str:
    if content is None:
        return ""
    if b"\0" in content:
        return "(not text)\n"
    if len(content) > MAX_SHOWN:
        return "(too long to show)\n"
    return content.decode("utf-8", "replace")


def _counted(content: Optional[bytes]) -> str:
    """A file as a whole, when its lines are not to be shown."""
    return "" if content is None else _hidden(len(content.splitlines()))


def _hidden(count: int) -> str:
    return "(%d %s not shown)\n" % (count, "line" if count == 1 else "lines") if count else ""


def _beside(theirs: str, ours: str) -> str:
    """A file of ours that somebody has changed: lines that are ours, and those that took the place of one of ours."""
    before, after = theirs.splitlines(), ours.splitlines()
    first = len(os.path.commonprefix([before, after]))
    last = len(os.path.commonprefix([before[first:][::-1], after[first:][::-1]]))
    end = len(before) - last
    middle, wanted = before[first:end], after[first : len(after) - last]
    if list(map(_key, middle)) != list(map(_key, wanted)):
        middle = _without(middle, set(after))
    return "".join(line + "\n" for line in before[:first] + middle + before[end:])


def _key(line: str) -> str:
    return line.replace("=", " ").strip().partition(" ")[0]


def _without(lines: List[str], known: AbstractSet[str]) -> List[str]:
    shown: List[str] = []
    for ours, group in itertools.groupby(lines, key=lambda line: line in known):
        block = list(group)
        shown += block if ours else [_hidden(len(block)).rstrip("\n")]
    return shown


def _keys(plan: Plan, found: Optional[bytes]) -> List[str]:
    """Our sections of a file that belongs to somebody else."""
    names: Dict[str, List[str]] = {}
    for source in (keyfile.names(plan.ours), (plan.old or {}).get("keys", {})):
        for section, keys in source.items():
            names[section] = sorted(set(names.get(section, [])) | set(keys))
    sides = []
    for content in (found, plan.target):
        text = "" if content is None else content.decode("utf-8", "replace")
        there = keyfile.present(text, names)
        lines = []
        for section, wanted in names.items():
            pairs = ["%s = %s" % (key, value) for key in wanted for value in there[section][key]]
            if pairs:
                lines += (["[%s]" % section] if section else []) + pairs
        sides.append("".join(line + "\n" for line in lines))
    return sides
