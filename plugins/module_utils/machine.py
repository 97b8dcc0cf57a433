# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring the files of one set to what is wanted on this machine, each with the right rights, and remember it.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import itertools
import os
from typing import AbstractSet, Any, Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils import paths, persons, store, units
from ansible_collections.msp.charter_mail.plugins.module_utils import payload as parcel


class Options(NamedTuple):
    """How to work. ``root``: the prefix, "" for the machine itself."""

    name: str
    root: str
    platform: str
    take_over: bool
    backups: int
    check: bool
    diff: bool
    secrets: List[str]
    remember: Dict[str, Any] = {}


def open_store(root: str, platform: str) -> store.Store:
    """The state of this machine (or of what stands below the prefix). Raises store.StoreError."""
    own_home = None
    if not root and os.geteuid():
        own_home = os.path.expanduser("~")
    return store.Store(paths.Anchor(root or "/", "machine"), store.directory(platform, own_home))


def order(files: List[Dict[str, Any]], records: List[Dict[str, Any]]) -> List[units.Unit]:
    """Units in the order they are worked on.

    Those with files to write come first, in the order of their first file. What is only to be removed follows, the last
    written first, so that nothing is left that points to something already gone: files of the machine that were written
    before and after those of the people are two units then.
    """
    writing: Dict[Tuple[Optional[str], str], units.Unit] = {}
    for item in files:
        writing.setdefault((item["login"], item["program"]), _unit(item)).wanted.append(item)
    wanted = {item["dest"] for item in files}
    gone = [record for record in reversed(records) if record["dest"] not in wanted]
    removing: List[units.Unit] = []
    for _login, group in itertools.groupby(gone, key=lambda record: record["login"]):
        block: Dict[str, units.Unit] = {}
        for record in group:
            unit = writing.get((record["login"], record["program"]))
            if unit is None:
                unit = block.setdefault(record["program"], _unit(record))
            unit.gone.append(record)
        removing += block.values()
    return list(writing.values()) + removing


def _unit(data: Dict[str, Any]) -> units.Unit:
    return units.Unit(data["login"], data["program"], [], [])


class Machine:
    """One run of one set on one machine."""

    def __init__(self, options: Options):
        self.options = options
        self.hidden = store.variants(options.secrets)
        self.store = open_store(options.root, options.platform)
        self.files: List[Dict[str, Any]] = []
        self.diff: List[Dict[str, str]] = []
        self.fresh: Dict[str, Optional[Dict[str, Any]]] = {}

    def apply(self, files: List[Dict[str, Any]]) -> None:
        """Write, remove, remember. Outcomes are in ``files``, diffs in ``diff`` afterwards. Raises store.StoreError."""
        name = self.options.name
        if self.options.root and not self.options.check and files:
            os.makedirs(self.options.root, mode=0o755, exist_ok=True)
        if not self.options.check and (files or self.store.sets.get(name)):
            self.store.prepare()
        records = self.store.sets.get(name, [])
        known = {record["dest"] for record in records}
        # A file that is only kept up when we wrote it before (`when_empty: keep`).
        files = [item for item in files if not item.get("only_known") or item["dest"] in known]
        try:
            for login, block in itertools.groupby(order(files, records), key=lambda unit: unit.login):
                for result in self._block(login, list(block)):
                    self.files.extend(result["files"])
                    self.diff.extend(result["diff"])
                    self.fresh.update(result["records"])
        finally:
            if not self.options.check:
                self._remember(files, records)
                self.store.release()

    def _remember(self, files: List[Dict[str, Any]], records: List[Dict[str, Any]]) -> None:
        old = {record["dest"]: record for record in records}
        now = {**old, **self.fresh}
        first = [item["dest"] for item in files]
        rest = [dest for dest in old if dest not in set(first)]
        # What could not be removed stays behind what is written, where it will again be removed first.
        self.store.sets[self.options.name] = [record for dest in first + rest for record in [now.get(dest)] if record]
        self.store.remembered.update(self.options.remember)
        self.store.save()

    def _block(self, login: Optional[str], block: List[units.Unit]) -> List[Dict[str, Any]]:
        mine: List[units.Unit] = []
        results: List[Dict[str, Any]] = []
        for unit in block:
            message = self._taken(unit)
            if message:
                results.append(units.refuse(unit._replace(gone=[]), message))
            else:
                mine.append(unit)
        if login is None:
            return results + self._for_machine(mine)
        return results + self._for_person(login, mine)

    def _taken(self, unit: units.Unit) -> str:
        for item in unit.wanted:
            other = self.store.owner_of(item["dest"], self.options.name)
            if other is not None and item["strategy"] != "keys":
                return "%s belongs to the set %s" % (item["dest"], other)
        return ""

    def _job(self, anchor: paths.Anchor, home: str, owner: Optional[Tuple[int, int]], busy: AbstractSet[str]) -> units.Job:
        options = self.options
        records = {record["dest"]: record for record in self.store.sets.get(options.name, [])}
        return units.Job(
            anchor,
            home,
            owner,
            options.check,
            options.diff,
            options.take_over,
            self.hidden,
            busy,
            records,
            self._backup,
        )

    def _backup(self, dest: str, content: bytes) -> None:
        self.store.backup(dest, content, self.options.backups)

    def _for_machine(self, block: List[units.Unit]) -> List[Dict[str, Any]]:
        root = self.options.root
        if not root and os.geteuid():
            return [units.refuse(unit, "files of the machine need root rights") for unit in block]
        job = self._job(paths.Anchor(root or "/", "machine"), "", None if root else (0, 0), frozenset())
        return [units.run(unit, job) for unit in block]

    def _for_person(self, login: str, block: List[units.Unit]) -> List[Dict[str, Any]]:
        if self.options.root:
            home = parcel.home_below(self.options.platform, login)
            anchor = self._prefixed_home(home)
            job = self._job(anchor, "C:" + home[2:] if home.startswith("/C/") else home, None, frozenset())
            return [units.run(unit, job) for unit in block]
        person = persons.find(login)
        if person is None:
            return [units.refuse(unit, "this machine has no login %s" % login) for unit in block]
        problem = persons.home_problem(person)
        if problem is None and os.geteuid() not in (0, person.uid):
            problem = "without root rights only the own home can be written"
        if problem is not None:
            return [units.refuse(unit, problem) for unit in block]
        busy: AbstractSet[str] = frozenset()
        if any(item.get("running") for unit in block for item in unit.wanted + unit.gone):
            busy = frozenset(persons.running(person.uid))
        job = self._job(paths.Anchor(person.home, "home"), person.home, (person.uid, -1), busy)

        def work(backup: persons.Backup) -> List[Dict[str, Any]]:
            return [units.run(unit, job._replace(backup=backup)) for unit in block]

        if os.geteuid():
            return work(self._backup)
        try:
            results: List[Dict[str, Any]] = persons.as_person(person, work, self._backup)
        except persons.NotDone as error:
            return [units.lost(unit, job, str(error)) for unit in block]
        return results

    def _prefixed_home(self, home: str) -> paths.Anchor:
        """The home below the prefix; made when missing, as a real machine would have it."""
        machine = paths.Anchor(self.options.root, "machine")
        path = self.options.root.rstrip("/") + home
        if not self.options.check and not os.path.isdir(path):
            paths.close(paths.locate(machine, home.rpartition("/")[0] + "/x", 0o755))
            paths.close(paths.locate(machine, home + "/x", 0o700))
        return paths.Anchor(path, "home")

    def evidence(self, checks: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
        """Look for the proof that the programs took the accounts up. One answer per address and program."""
        answers: List[Dict[str, Any]] = []
        for login, group in itertools.groupby(checks, key=lambda check: check["login"]):
            mine = list(group)
            verified = self._proven(login, mine)
            for index, check in enumerate(mine):
                answers.append({"address": check["address"], "program": check["program"], "verified": verified[index]})
        return answers

    def _proven(self, login: str, checks: List[Dict[str, Any]]) -> List[bool]:
        nothing = [False] * len(checks)
        if self.options.root:
            below: List[bool] = persons.proven(self.options.root.rstrip("/") + parcel.home_below(self.options.platform, login), checks)
            return below
        person = persons.find(login)
        if person is None or persons.home_problem(person) is not None:
            return nothing
        if os.geteuid() == person.uid:
            own: List[bool] = persons.proven(person.home, checks)
            return own
        if os.geteuid():
            return nothing
        home = person.home

        def look(_backup: persons.Backup) -> List[bool]:
            seen: List[bool] = persons.proven(home, checks)
            return seen

        try:
            found: List[bool] = persons.as_person(person, look, self._backup)
        except persons.NotDone:
            return nothing
        return found
