# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Callback: a run on an office as people read it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: office
type: stdout
short_description: A run on an office, in words that a technician reads
version_added: 0.1.0
author: charter-mail contributors (!UNKNOWN)
description:
  - For playbooks with roles of this collection. While they run, a terminal has one line that moves, a pipe or a file one line per machine
    that is done; an error is one line, at once.
  - At the end the verdict comes first, then who has to do what, then what changed for whom, then one line per platform.
  - The same is kept as C(office.json) and drawn as C(index.html) in O(dir). A check and a preview write neither.
  - With C(-v) people are named who are ready, and differences are shown whole. From C(-vv) on it is Ansible's own output, and so it is for
    playbooks without a role of this collection.
  - After M(msp.charter_mail.mail_diagnosis) it prints the steps of every machine instead, and writes them as C(diagnosis.json) and
    C(diagnosis.html) into the directory that was given there.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
options:
  ansible_output:
    description: Whether the output is Ansible's own, with the end of this callback after it.
    type: bool
    default: false
    env:
      - name: CHARTER_MAIL_ANSIBLE_OUTPUT
    ini:
      - section: charter_mail
        key: ansible_output
  dir:
    description: Directory for what is remembered of an office and its page. C({office}) is the name of the office.
    type: str
    default: build/office/{office}
    env:
      - name: CHARTER_MAIL_OFFICE_DIR
    ini:
      - section: charter_mail
        key: office_dir
  verdict_file:
    description: >-
      File for one word about the run, for who wants an exit code of it. C(refused), the office itself is wrong; C(problem), something
      failed on a machine; C(would_change), a check found something to correct; C(done) otherwise.
    type: str
    default: ""
    env:
      - name: CHARTER_MAIL_VERDICT_FILE
requirements:
  - C(stdout_callback = msp.charter_mail.office) in ansible.cfg
"""

import datetime
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible import context
from ansible.plugins.callback.default import CallbackModule as Default
from ansible.utils.display import Display

from ..module_utils.masking import inert, mask
from ..plugin_utils.files.differences import told
from ..plugin_utils.report import diagnosis, office_document, screen
from ..plugin_utils.report.diagnosis_page import page as diagnosis_page
from ..plugin_utils.report.results import Results
from ..plugin_utils.report.run import Run
from ..plugin_utils.report.store import DIR_SAID, Store, StoreError

# The files of a report, each with what stands near the beginning of every one that was made here.
_REPORT = {"diagnosis.json": b'{\n  "schema": ', "diagnosis.html": b"<title>Mail diagnosis of "}
COLLECTION = "msp.charter_mail."
_COLORS = {
    "problem": C.COLOR_ERROR,
    "waits": C.COLOR_WARN,
    "ready": C.COLOR_OK,
    "not_provisioned": None,
    "fail": C.COLOR_ERROR,
    "warn": C.COLOR_WARN,
    "ok": C.COLOR_OK,
    "skip": C.COLOR_SKIP,
    "": None,
}
# The last task of a run on a machine; where it fails, the end tells what and for whom.
_LAST = ("msp.charter_mail.programs : ", "msp.charter_mail.diagnosis : Let the exit code say ")


class _Quiet:
    """The screen for Ansible's own words: warnings pass, the rest goes nowhere; of an error one line is said in its place."""

    def __init__(self, display: Any) -> None:
        self._shown = display

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shown, name)

    def display(self, *_args: Any, **_more: Any) -> None:
        pass

    def banner(self, *_args: Any, **_more: Any) -> None:
        pass

    def _error(self, *_args: Any, **_more: Any) -> None:
        pass


class CallbackModule(Default):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "msp.charter_mail.office"
    # Results of this collection's modules carry no secrets.
    ANSIBLE_SUPPORTS_MASKING = True

    def __init__(self) -> None:
        super().__init__()
        self._screen = Display()
        self._results = Results()
        self._purpose = ""
        self._diagnosed: dict[str, Any] = {}
        self._report_dir = ""
        self._quiet = False
        self._all: dict[str, bool] = {}  # machine -> whether it is done
        self._moving = 0.0  # when the line that moves was written last
        self._refused = False
        self._nobody = False
        self._preview_dir = ""
        self._differences: list[str] = []

    def v2_playbook_on_start(self, playbook: Any) -> None:
        ours = any(
            role.get_name(include_role_fqcn=True).startswith(COLLECTION) for play in playbook.get_plays() for role in play.get_roles()
        )
        # A task on this computer may want to know what is remembered, and cannot ask a callback.
        os.environ[DIR_SAID] = str(self.get_option("dir"))
        self._quiet = ours and self._screen.verbosity < 2 and not self.get_option("ansible_output")
        if self._quiet:
            self._display = _Quiet(self._screen)
        super().v2_playbook_on_start(playbook)

    def v2_playbook_on_no_hosts_matched(self) -> None:
        super().v2_playbook_on_no_hosts_matched()
        self._nobody = True

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        super().v2_runner_on_start(host, task)
        self._all.setdefault(host.get_name(), False)
        if self._quiet and self._is_terminal() and time.monotonic() - self._moving > 0.1:
            self._moving = time.monotonic()
            done = f"{sum(self._all.values())} of {len(self._all)} machines"
            what = task.get_name().rpartition(" : ")[2]
            self._move(f"{self._results.office}  {done}  {host.get_name()}: {what}".strip())

    def v2_runner_on_ok(self, result: Any) -> None:
        super().v2_runner_on_ok(result)
        self._take(result)
        if self._quiet and result.task.resolved_action == "ansible.builtin.debug":
            said = result.result.get("msg", "")
            for line in said if isinstance(said, list) else [said]:
                self._say(inert(mask(str(line))))

    def v2_runner_on_skipped(self, result: Any) -> None:
        super().v2_runner_on_skipped(result)
        self._done(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        super().v2_runner_on_failed(result, ignore_errors)
        self._take(result, "done" if ignore_errors else "failed")
        action, name, words = result.task.resolved_action, result.host.get_name(), _reason(result)
        if ignore_errors:
            return
        self._results.stop(name, "failed", words)
        if not self._quiet:
            return
        # What stops a run for everybody before anything is changed.
        if (
            result.task.get_name().startswith("msp.charter_mail.mail : Stop when ")
            or action == COLLECTION + "mail_check"
            or (action == COLLECTION + "mobile_files" and "listed above" in words)
        ):
            self._refused = True
            self._say(inert(words), C.COLOR_ERROR)
        elif not result.task.get_name().startswith(_LAST):
            self._say(f"{name}: {inert(mask(words))}", C.COLOR_ERROR)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        super().v2_runner_on_unreachable(result)
        words = _reason(result)
        self._results.stop(result.host.get_name(), "unreachable", words)
        if self._quiet:
            self._say(f"{result.host.get_name()}: not reached: {inert(mask(words))}", C.COLOR_UNREACHABLE)

    def v2_on_file_diff(self, result: Any) -> None:
        super().v2_on_file_diff(result)
        if self._quiet and result.result.get("diff"):
            found = result.result["diff"]
            entries = found if isinstance(found, list) else [found]
            if self._screen.verbosity:
                self._say(self._get_diff(entries).rstrip("\n"))
            else:
                self._differences += told(result.host.get_name(), entries)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        super().v2_playbook_on_stats(stats)
        self._move("")
        # A file that is made and looked at again in one run is told once.
        for line in dict.fromkeys(self._differences):
            self._say(inert(mask(line)))
        if self._report_dir:
            self._report()
        if self._results.handouts and not self._results.office:
            made = [person["state"] for person in self._results.handouts["people"]]
            counts = ", ".join(f"{made.count(state)} {state}" for state in ("created", "updated", "removed", "unchanged") if state in made)
            self._say(
                f"Hand-outs: {counts}. {_from(Path(self._results.handouts['dest']), Path.cwd())}"
                if counts
                else "No hand-outs: group_vars/all.yml names nobody who helps (mobile_contact)."
            )
        word = "refused" if self._refused else "done"
        if self._nobody and not self._refused and not self._results.office and not self._results.handouts.get("people"):
            office = next((Path(str(source)).name for source in context.CLIARGS.get("inventory") or ()), "the office")
            self._say(
                f"{office}: there is no machine to work on. Fill in hosts.yml (the machines) and staff.xlsx (the people).", C.COLOR_ERROR
            )
            word = "empty"
        if self._results.office and not self._refused:
            document = self._end(bool(context.CLIARGS.get("check")))
            waits = context.CLIARGS.get("check") and document and document["counts"]["would_change"]
            word = "would_change" if waits else word
            word = "problem" if any(why == "failed" for why, _unused in self._results.stopped.values()) else word
        if place := self.get_option("verdict_file"):
            Path(str(place)).write_text(word, encoding="utf-8")

    def _take(self, result: Any, state: str = "done") -> None:
        action, data, name = result.task.resolved_action, result.result, result.host.get_name()
        if action == COLLECTION + "mail_diagnosis" and "machine" in data:
            self._diagnosed[name] = data["machine"]
            self._report_dir = data["dir"]
        elif action.startswith(COLLECTION):
            self._results.take(action.removeprefix(COLLECTION), name, data)
            self._purpose = self._purpose or data.get("purpose", "")
            self._preview_dir = self._preview_dir or data.get("preview_dir", "")
        self._done(result, state)

    def _done(self, result: Any, state: str = "done") -> None:
        """Whether a machine has come to its last task."""
        name = result.host.get_name()
        if result.task.get_name().startswith(_LAST) and not self._all.get(name):
            self._all[name] = True
            if self._quiet and not self._is_terminal():
                self._say(f"{name}: {'looked at' if self._purpose == 'diagnose' else state}")

    def _end(self, check: bool) -> dict[str, Any] | None:
        """The office in words; and in its files, where something was done. The document, None where what is remembered cannot be used."""
        diagnosed, here = self._purpose == "diagnose", Path.cwd()
        store = Store.of(self._results.office, str(self.get_option("dir")))
        try:
            before = store.load()
        except StoreError as error:
            self._say(inert(str(error)), C.COLOR_ERROR)
            return None
        # A machine of a run that only looks has what it had.
        run = Run(
            places={} if diagnosed else self._results.places,
            only=("linux",) if self._purpose == "preview" else (),
            machines=self._results.machines(),
            probes=self._results.probes,
            handouts={who: os.path.relpath(page, store.dir) for who, page in self._results.pages()},
            # What a preview has made says nothing of what there was.
            handed={} if self._purpose == "preview" else self._results.handed(),
            when=datetime.datetime.now(datetime.UTC),
            check=check or self._purpose == "preview",
            diagnosis=os.path.relpath(Path(self._report_dir, "diagnosis.html"), store.dir) if diagnosed else "",
        )
        document = office_document.build(self._results.office, self._results.people, run, before)
        if not diagnosed:
            limited = sorted(run.machines) if context.CLIARGS.get("subset") else None
            self._say("")
            told = screen.lines(
                document,
                width=shutil.get_terminal_size((80, 24)).columns if self._is_terminal() else 80,
                check="Preview only: no machine was contacted."
                if self._purpose == "preview"
                else "Check only: nothing was changed."
                if check
                else "",
                only=limited,
                notes=self._results.notes,
                verbose=bool(self._screen.verbosity),
            )
            for kind, line in told:
                self._say(inert(mask(line)), _COLORS[kind])
        if self._preview_dir:
            self._say(f"Preview: {_from(Path(self._preview_dir), here)}")
        if not check and self._purpose != "preview":
            try:
                store.save(document)
                self._say(f"Page: {_from(store.page.resolve(), here)}")
            except OSError as error:
                self._say(f"The page of the office could not be written: {error.filename}: {error.strerror}", C.COLOR_ERROR)
        return document

    def _report(self) -> None:
        """The diagnosis of all machines: on the terminal, for tools, and as a page."""
        missing = [diagnosis.not_seen(*row) for row in self._unseen() if row[0] not in self._diagnosed]
        report = diagnosis.document(self._results.office, datetime.datetime.now(datetime.UTC), [*self._diagnosed.values(), *missing])
        self._say("")
        for state, line in diagnosis.lines(report):
            self._say(inert(line), _COLORS[state])
        place = Path(self._report_dir)
        try:
            place.mkdir(parents=True, exist_ok=True)
            if theirs := [name for name, mark in _REPORT.items() if not _may_replace(place / name, mark)]:
                where = f"{place} has {' and '.join(theirs)}, no report of this project"
                self._screen.error(f"The report was not written: {where}; move that elsewhere, and run again")
                return
            for name, text in zip(_REPORT, (json.dumps(report, indent=2, ensure_ascii=False) + "\n", diagnosis_page(report)), strict=True):
                part = place / f".{name}.part"
                part.write_text(text, encoding="utf-8")
                part.replace(place / name)
        except OSError as error:
            self._screen.error(f"The report could not be written to {place}: {error.strerror}")
            return
        self._say(f"Report: {place / 'diagnosis.html'}")

    def _unseen(self) -> Iterator[tuple[str, str, str, list[str]]]:
        """Machines that stopped: name, "unreachable" or "failed", the reason, addresses of their people."""
        words = {"unreachable": "could not be reached", "failed": "the run failed there, see above"}
        for name, (why, _unused) in sorted(self._results.stopped.items()):
            addresses = {place["address"] for person in self._results.people for place in person["places"] if place["machine"] == name}
            yield name, why, words[why], sorted(addresses)

    def _is_terminal(self) -> bool:
        return sys.stdout.isatty()

    def _move(self, text: str) -> None:
        """The one line that is written over, only on a terminal."""
        if self._is_terminal() and (text or self._moving):
            width = shutil.get_terminal_size((80, 24)).columns - 1
            sys.stdout.write(f"\r\x1b[K{inert(text)[:width]}")
            sys.stdout.flush()

    def _say(self, text: str, color: str | None = None) -> None:
        self._move("")
        self._screen.display(text, color=color)


def _from(path: Path, here: Path) -> Path:
    return path.relative_to(here) if path.is_relative_to(here) else path


def _reason(result: Any) -> str:
    """Why a task failed, in one line."""
    lines = [line.strip() for line in str(result.result.get("msg") or "no reason was given").splitlines() if line.strip()]
    text = "; ".join(lines)
    for start in ("Task failed: ", "Action failed: ", "Failed to connect to the host via ssh: "):
        text = text.removeprefix(start)
    return text


def _may_replace(path: Path, mark: bytes) -> bool:
    """Whether there is no such file, or an earlier report. Raises OSError."""
    if not path.is_file():
        return not path.exists()
    with path.open("rb") as stream:
        return mark in stream.read(1000)
