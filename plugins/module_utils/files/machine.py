# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring the files of programs to what is wanted on this machine, each with the right rights, and remember it.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import functools
import itertools
import os
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.files import backups, keyfile, paths, persons, plan, store, units
from ansible_collections.msp.charter_mail.plugins.module_utils.files import payload as parcel

Result = Dict[str, Any]


class Options(NamedTuple):
    """How to work. ``programs``: whose files this run is about. ``root``: the prefix, "" for the machine itself."""

    programs: List[str]
    root: str
    platform: str
    take_over: bool
    backups: int
    check: bool
    diff: bool
    secrets: List[str]
    remember: Dict[str, Any] = {}
    people: List[Dict[str, Any]] = []  # {login, programs: {program: addresses}}: who is to have what, whatever files that takes


class _Home(NamedTuple):
    """A person's home: where it is, what the machine calls it, and whose its files have to be (None: not looked at)."""

    anchor: paths.Anchor
    shown: str
    owner: Optional[Tuple[int, int]]


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
    """One run on one machine."""

    def __init__(self, options: Options, files: Optional[List[Result]] = None):
        """files: where outcomes go, for who wants them also of a run that could not be brought to its end."""
        self.options = options
        self.store = open_store(options.root, options.platform)
        self.files: List[Result] = [] if files is None else files
        self.diff: List[Dict[str, str]] = []
        self._before: Dict[str, plan.Record] = {}  # what earlier runs remembered, by dest
        self._records: Dict[str, Optional[plan.Record]] = {}  # what is remembered of each file, None: no longer
        self._order: List[str] = []  # dest of all of them, in the order of writing
        self._silent: Set[str] = set()  # logins whose home does not answer

    def apply(self, files: List[plan.Item]) -> None:
        """Write, remove, remember. Outcomes are in ``files``, diffs in ``diff`` afterwards. Raises store.StoreError."""
        options = self.options
        if options.root and not options.check and files:
            os.makedirs(options.root, mode=0o755, exist_ok=True)
        if files or self._known() or {**self.store.remembered, **options.remember} != self.store.remembered:
            self.store.check() if options.check else self.store.prepare()
        try:
            records = self._known()
            known = {record["dest"] for record in records}
            # A file that is only kept up when we wrote it before (`when_empty: keep`).
            files = [item for item in files if not item.get("only_known") or item["dest"] in known]
            units_of = order(files, records)
            taken = {id(unit): self._taken(unit) for unit in units_of}
            self._remember([item for unit in units_of if not taken[id(unit)] for item in unit.wanted])
            for personal, stretch in itertools.groupby(units_of, key=lambda unit: unit.login is not None):
                mine: List[units.Unit] = []
                for unit in stretch:
                    if taken[id(unit)]:
                        self._take(units.not_done(unit._replace(gone=[]), taken[id(unit)], "refused", ""))
                    if not taken[id(unit)] or unit.gone:
                        mine.append(unit._replace(wanted=[]) if taken[id(unit)] else unit)
                for result in self._for_people(mine) if personal else self._for_machine(mine):
                    self._take(result)
            self._say_who_is_unknown()
            self.store.remembered.update(options.remember)
            self._save()
        finally:
            self.store.release()

    def _say_who_is_unknown(self) -> None:
        """A login that the machine does not have is said for every program of that person, also where all files are the machine's."""
        for person in [] if self.options.root else self.options.people:
            login = person["login"]
            if persons.find(login) is not None:
                continue
            message = str(persons.absence(login))
            told = {
                outcome["program"]
                for outcome in self.files
                if outcome["state"] == "no_login" and outcome["dest"].startswith("~%s/" % login)
            }
            for program, addresses in person["programs"].items():
                if program in told:
                    continue
                data = {"dest": "~" + login, "program": program, "people": addresses, "login": login}
                unit = units.Unit(login, program, [data], [])
                self._take(units.not_done(unit, message, "no_login", ""))

    def _take(self, result: Result) -> None:
        self.files.extend(result["files"])
        self.diff.extend(result["diff"])

    def _remember(self, wanted: List[plan.Item]) -> None:
        """Before the first file is touched: what is meant to be written."""
        old = self._before = {record["dest"]: record for record in self._known()}
        self._records.update(old)
        for item in wanted:
            record = old.get(item["dest"])
            if item["strategy"] == "once" and record is not None:
                continue
            keys: Optional[Dict[str, List[str]]] = None
            content = plan.content_of(item)
            if item["strategy"] == "keys":
                try:
                    ours = keyfile.read_keys(item["content"])
                except keyfile.NotUnderstood:
                    continue  # said where the file is planned
                content, keys = plan.keys_digest(plan.listed(ours)), keyfile.names(ours)
            self._records[item["dest"]] = store.intend(record or store.begin(item), content, keys)
        # What could not be removed stays behind what is written, where it will again be removed first.
        self._order = list(dict.fromkeys([item["dest"] for item in wanted] + list(old)))
        self._save()

    def _learn(self, records: Dict[str, Optional[plan.Record]]) -> None:
        """After the files of somebody: what became of them."""
        self._records.update(records)
        self._save()

    def _save(self) -> None:
        if not self.options.check:
            records = [record for dest in self._order for record in [self._records.get(dest)] if record]
            for program in self.options.programs:
                self.store.sets[program] = [record for record in records if record["program"] == program]
            self.store.save()

    def _known(self) -> List[plan.Record]:
        """What earlier runs remembered of the files of these programs."""
        return [record for program in self.options.programs for record in self.store.sets.get(program, [])]

    def _taken(self, unit: units.Unit) -> str:
        for item in unit.wanted:
            other = self.store.owner_of(item["dest"], unit.program)
            if other is not None and item["strategy"] != "keys":
                return "%s is a file of %s" % (item["dest"], other)
        return ""

    def _job(self, anchor: paths.Anchor, home: str, owner: Optional[Tuple[int, int]]) -> plan.Job:
        options = self.options
        where = backups.HOME if home else self.store.relative
        attic = backups.Attic(anchor, where + "/backups", options.backups)
        meant = {dest: record for dest, record in self._records.items() if record}
        how = (options.check, options.diff, options.take_over, options.secrets)
        return plan.Job(anchor, home, owner, *how, frozenset(), self._before, meant, attic)

    def _for_machine(self, block: List[units.Unit]) -> List[Result]:
        root = self.options.root
        if not root and os.geteuid():
            return [units.not_done(unit, "files of the machine need root rights", "refused", "refused") for unit in block]
        job = self._job(paths.Anchor(root or "/", "machine"), "", None if root else (0, 0))
        results = [units.run(unit, job) for unit in block]
        for result in results:
            self._learn(result["records"])
        return results

    def _for_people(self, block: List[units.Unit]) -> List[Result]:
        """The units of people, who may be many: each person's in one go, what came of it in the order of the units."""
        theirs: Dict[str, List[int]] = {}
        for number, unit in enumerate(block):
            theirs.setdefault(str(unit.login), []).append(number)
        results: Dict[int, Result] = {}
        for login, answer in self._each(list(theirs), lambda login, home: self._work([block[n] for n in theirs[login]], home)):
            for position, number in enumerate(theirs[login]):
                if isinstance(answer, persons.Deleted):
                    results[number] = units.not_done(block[number], str(answer), answer.word, "removed")
                    results[number]["records"] = {record["dest"]: None for record in block[number].gone}
                elif isinstance(answer, persons.Away):
                    results[number] = units.not_done(block[number], str(answer), answer.word, "waiting")
                elif isinstance(answer, persons.NotDone):
                    results[number] = units.not_done(block[number], str(answer), "failed", "failed")
                else:
                    results[number] = answer[position]
                self._records.update(results[number]["records"])
            self._save()
        return [results[number] for number in range(len(block))]

    def _work(self, block: List[units.Unit], home: _Home) -> List[Result]:
        """Runs with the rights of the person."""
        job = self._job(home.anchor, home.shown, home.owner)
        if home.owner is not None:
            job = job._replace(inode=os.stat(home.anchor.path).st_ino)
            if any(data.get("running") for unit in block for data in unit.wanted + unit.gone):
                job = job._replace(running=frozenset(persons.running(home.owner[0])))
        return [units.run(unit, job) for unit in block]

    def _each(self, logins: List[str], work: Callable[[str, _Home], Any]) -> Iterator[Tuple[str, Any]]:
        """Do work in the homes of people: who, and what came of it or persons.NotDone, in the order in which they are ready."""
        tasks: List[Tuple[persons.Person, persons.Work]] = []
        for login in logins:
            person = None if self.options.root else persons.find(login)
            if self.options.root:
                yield login, work(login, self._prefixed_home(login))
            elif person is None:
                yield login, persons.absence(login)
            elif os.geteuid() not in (0, person.uid):
                yield login, persons.Away("without root rights only the own home can be written")
            elif login in self._silent:
                yield login, persons.NotDone("the home %s did not answer before" % person.home)
            else:
                home = _Home(paths.Anchor(person.home, "home"), person.home, (person.uid, -1))
                tasks.append((person, functools.partial(work, login, home)))
        for number, answer in persons.each(tasks):
            login = tasks[number][0].login
            if isinstance(answer, persons.Silent):
                self._silent.add(login)
            yield login, answer

    def _prefixed_home(self, login: str) -> _Home:
        """The home below the prefix; made when missing, as a real machine would have it."""
        home = parcel.home_below(self.options.platform, login)
        machine = paths.Anchor(self.options.root, "machine")
        path = self.options.root.rstrip("/") + home
        if not self.options.check and not os.path.isdir(path):
            paths.close(paths.locate(machine, home.rpartition("/")[0] + "/x", 0o755))
            paths.close(paths.locate(machine, home + "/x", 0o700))
        return _Home(paths.Anchor(path, "home"), "C:" + home[2:] if home.startswith("/C/") else home, None)

    def answering(self, programs: List[str]) -> List[str]:
        """Logins of people who are to have one of the programs, and whose home answers."""
        having = [person["login"] for person in self.options.people if set(programs) & set(person["programs"])]
        return [login for login in having if login not in self._silent]
