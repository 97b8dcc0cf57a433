# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Callback: the end of a run in one table, person x machine x program."""

from __future__ import annotations

DOCUMENTATION = r"""
name: mail_summary
type: aggregate
short_description: What a run did, for every person, machine and program
version_added: 0.1.0
author: charter-mail contributors
description:
  - Prints one table at the end of a run that used this collection, and nothing at the end of others.
  - Machines that could not be reached, failed, or are of a platform that is not provisioned are named with their people.
  - C(prepared) means that the settings are on the machine; C(verified) that the program itself has taken the account up. A Mac says
    C(installed), C(pending user approval) or C(outdated), see M(msp.charter_mail.apple_profiles).
  - After M(msp.charter_mail.mail_diagnosis) it prints the steps of every machine instead, and writes them as C(diagnosis.json) and
    C(diagnosis.html) into the directory that was given there.
requirements:
  - C(callbacks_enabled = msp.charter_mail.mail_summary) in ansible.cfg
"""

import datetime
import json
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible import context
from ansible.plugins.callback import CallbackBase

from ..module_utils.masking import inert, mask
from ..plugin_utils import diagnosis
from ..plugin_utils.diagnosis_page import page
from ..plugin_utils.summary import Summary

# The files of a report, each with what stands near the beginning of every one that was made here.
_REPORT = {"diagnosis.json": b'{\n  "schema": ', "diagnosis.html": b"<title>Mail diagnosis of "}
_COLORS = {"ok": C.COLOR_OK, "fail": C.COLOR_ERROR, "warn": C.COLOR_WARN, "skip": C.COLOR_SKIP, "": None}


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "msp.charter_mail.mail_summary"
    CALLBACK_NEEDS_ENABLED = True
    # Results of this collection's modules carry no secrets.
    ANSIBLE_SUPPORTS_MASKING = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._summary = Summary()
        self._diagnosed: dict[str, Any] = {}
        self._dir = ""

    def v2_runner_on_ok(self, result: Any) -> None:
        self._take(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._take(result)
        if not ignore_errors:
            self._summary.stopped(result.host.get_name(), "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._summary.stopped(result.host.get_name(), "unreachable")

    def _take(self, result: Any) -> None:
        action, data = result.task.resolved_action, result.result
        if action == "msp.charter_mail.mail_check" and "machines" in data:
            self._summary.office(data["office"], data["machines"])
        elif action == "msp.charter_mail.mail_probe":
            self._summary.probe(result.host.get_name(), data)
        elif action == "msp.charter_mail.mail_firewall":
            self._summary.firewall(result.host.get_name(), data)
        elif action == "msp.charter_mail.mail_files":
            self._summary.files(result.host.get_name(), data)
        elif action == "msp.charter_mail.apple_profiles":
            self._summary.profiles(result.host.get_name(), data)
        elif action == "msp.charter_mail.mobile_files":
            self._summary.handouts(data, Path.cwd())
        elif action == "msp.charter_mail.mail_diagnosis" and "machine" in data:
            self._diagnosed[result.host.get_name()] = data["machine"]
            self._dir = data["dir"]

    def v2_playbook_on_stats(self, stats: Any) -> None:
        if self._dir:
            self._report()
            return
        for line in self._summary.lines(check=bool(context.CLIARGS.get("check"))):
            self._display.display(inert(mask(line)))

    def _report(self) -> None:
        """The diagnosis of all machines: on the terminal, for tools, and as a page."""
        missing = [diagnosis.not_seen(*row) for row in self._summary.unseen() if row[0] not in self._diagnosed]
        report = diagnosis.document(self._summary.name, datetime.datetime.now(datetime.UTC), [*self._diagnosed.values(), *missing])
        self._display.display("")
        for state, line in diagnosis.lines(report):
            self._display.display(inert(line), color=_COLORS[state])
        place = Path(self._dir)
        try:
            place.mkdir(parents=True, exist_ok=True)
            if theirs := [name for name, mark in _REPORT.items() if not _may_replace(place / name, mark)]:
                where = f"{place} has {' and '.join(theirs)}, no report of this project"
                self._display.error(f"The report was not written: {where}; move that elsewhere, and run again")
                return
            for name, text in zip(_REPORT, (json.dumps(report, indent=2, ensure_ascii=False) + "\n", page(report)), strict=True):
                part = place / f".{name}.part"
                part.write_text(text, encoding="utf-8")
                part.replace(place / name)
        except OSError as error:
            self._display.error(f"The report could not be written to {place}: {error.strerror}")
            return
        self._display.display(f"Report: {place / 'diagnosis.html'}")


def _may_replace(path: Path, mark: bytes) -> bool:
    """Whether there is no such file, or an earlier report. Raises OSError."""
    if not path.is_file():
        return not path.exists()
    with path.open("rb") as stream:
        return mark in stream.read(1000)
