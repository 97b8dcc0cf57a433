# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Write the hand-outs of an office's people, on the controller (documentation: the module of the same name)."""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..plugin_utils.formats import pdf
from ..plugin_utils.formats.signing import Signer, Source, expiry_warning, load
from ..plugin_utils.handout import mobile, pages
from ..plugin_utils.handout.links import ending_warning, link_of
from ..plugin_utils.office.check import Machine, check_office
from ..plugin_utils.office.identity import file_name, who
from ..plugin_utils.office.loaded import Office, find_machines, find_office, policy_of
from ..plugin_utils.office.model import DeviceOwner, device_owners
from ..plugin_utils.office.plain import plain
from ..plugin_utils.office.problem import Problem, counted, merged, printable, quoted
from ..plugin_utils.office.survey import Key, mailbox
from ..plugin_utils.report.results import Results
from ..plugin_utils.report.store import DIR, DIR_SAID, StoreError
from ..plugin_utils.report.store import Store as Memory

display = Display()

PLUGIN_UTILS = Path(mobile.__file__).parents[1]
# Seconds between two lines about progress.
PROGRESS = 15
# What roles of the same run have left with the machines: the module, and the name of its result.
_RESULTS = (
    ("mail_files", "programs_result"),
    ("mail_files", "__apple_mail_written"),
    ("apple_profiles", "apple_mail_result"),
)
CONTACT = ("name", "phone", "email", "hours")

_TEXT = {"type": "str", "default": ""}
ARGUMENTS: dict[str, Any] = {
    "dest": {"type": "path", "required": True},
    "providers": {"type": "list", "elements": "dict", "required": True},
    "profile_url": _TEXT,
    "link_secret": {**_TEXT, "no_log": True},
    "link_until": _TEXT,
    "description": _TEXT,
    "consent": _TEXT,
    "removal_date": _TEXT,
    "signer": {
        "type": "dict",
        "default": {},
        "options": {
            "certificate": _TEXT,
            "key": {**_TEXT, "no_log": True},
            "chain": _TEXT,
            "password": {**_TEXT, "no_log": True},
        },
    },
    "contact": {"type": "dict", "default": {}, "options": dict.fromkeys(CONTACT, _TEXT)},
    "two_factor": {"type": "str", "default": "none"},
    "logo": _TEXT,
    "accent": _TEXT,
    "language": {"type": "str", "default": "en"},
    "paper": {"type": "str", "default": "letter", "choices": [*pdf.PAPERS, "none"]},
}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        _, arguments = self.validate_argument_spec(ARGUMENTS)
        hostvars = variables["hostvars"]
        owns = {name: hostvars[name] for name in variables["groups"]["all"]}
        now = datetime.datetime.now(datetime.UTC)
        ready = prepare(arguments, variables, owns, lambda path: read_file(self._loader, path), now)
        refuse([*ready.problems, *ready.handout_problems], "no hand-out was written")
        office, owners = ready.office, ready.owners
        store = Store(ready.dest, self._task.check_mode, self._task.diff)
        if office.signer and owners and (warning := expiry_warning(office.signer, now)):
            display.warning(warning)
        if office.link and owners and (warning := ending_warning(office.link, now.date())):
            display.warning(warning)
        if ready.no_pdfs:
            display.display(ready.no_pdfs)
        for owner in owners:
            for folder in store.left_by(owner):
                display.warning(
                    f'{printable(owner["full_name"])} has a new profile, of {owner["identity"]}: the one before, "E-mail {folder}", is of '
                    "a mailbox that is this person's no more. Have it removed from the iPhone, or the other mailboxes are there twice."
                )
        result = self._write(store, owners, office, arguments["paper"], _states(variables, ready.loaded.name, owners))
        return {**result, "signed": office.signer is not None, "office": ready.loaded.name, "dest": str(store.dest)}

    def _write(
        self, store: Store, owners: Sequence[DeviceOwner], office: mobile.Office, paper: str, states: Mapping[Key, str]
    ) -> dict[str, Any]:
        """Bring the folder up to date, person by person."""
        fingerprint = office.signer and office.signer.fingerprint
        tools = [*_tool(), paper, version("weasyprint")] if office.to_pdf else _tool()
        alike = _digest([*office.settings, fingerprint, office.profile_url, office.link, office.page, office.texts["lang"], tools])
        people = []
        try:
            try:
                for owner in owners:
                    store.expect(
                        mobile.folder(owner), mobile.names(owner, office), who(owner["full_name"], owner["login"]), owner["full_name"]
                    )
                for_mdm = mobile.mdm(owners, office)
                if for_mdm:
                    store.expect(mobile.MDM, for_mdm)
                store.save()
                for owner in self._with_progress(owners, store):
                    folder, computers = mobile.folder(owner), mobile.standing(owner, states)
                    inputs, state = _digest([alike, owner, computers]), "unchanged"
                    if not store.is_current(folder, inputs):
                        state = store.put(folder, inputs, mobile.files(owner, office, computers, functools.partial(store.read, folder)))
                    people.append({**_described(owner), "folder": folder, "devices": owner["devices"], "state": state})
                if for_mdm:
                    store.put(mobile.MDM, "", for_mdm)
                gone = store.clear({mobile.folder(owner) for owner in owners} | ({mobile.MDM} if for_mdm else set()))
            finally:
                store.save()
        except OSError as error:
            why = f"{error.filename}: {error.strerror}"
            raise AnsibleActionFail(f"{why}. Every file is either as it was or complete; run again when this is put right.") from error
        nobody = {"full_name": "", "login": "", "devices": [], "state": "removed"}
        people += [{**nobody, "address": folder, "folder": folder} for folder in gone]
        return {"changed": store.changed, "people": people, "diff": store.diff}

    @staticmethod
    def _with_progress(owners: Sequence[DeviceOwner], store: Store) -> Iterator[DeviceOwner]:
        """`owners`, with a line now and then when it takes long; what is done by then is remembered whatever comes."""
        last = time.monotonic()
        for number, owner in enumerate(owners):
            if time.monotonic() - last > PROGRESS:
                last = time.monotonic()
                display.display(f"Hand-outs: {number} of {len(owners)} people")
                store.save()
            yield owner


def refuse(problems: Sequence[object], state: str) -> None:
    """Stop when there is a problem. state: half a sentence that says what was not done, and holds."""
    if problems:
        # Displayed here, line by line and whatever the output format, and not a second time in the result.
        display.display("\n".join([f"{counted(problems)} with this office:", *map(str, problems)]), color=C.COLOR_ERROR)
        raise AnsibleActionFail(f"{counted(problems)} with this office, listed above; {state}")


def read_file(loader: DataLoader, path: Path) -> bytes:
    """The content of a file, also of one that is in a vault. Raises OSError."""
    with path.open("rb"):
        pass
    return Path(loader.get_real_file(str(path))).read_bytes()


class Ready(NamedTuple):
    """What is known before anything is written.

    problems: everything that is wrong with the office and its people. handout_problems: and with what its phones and Macs get; with any of
    them, nothing may be written. machines: every machine of the office. dest: where the files go. no_pdfs: why there will be none.
    """

    loaded: Office
    machines: Mapping[str, Machine]
    problems: list[str]
    handout_problems: list[str]
    office: mobile.Office
    owners: Sequence[DeviceOwner]
    dest: Path
    no_pdfs: str


# The content of a file. Raises OSError.
Read = Callable[[Path], bytes]


def prepare(
    arguments: Mapping[str, Any],
    variables: Mapping[str, Any],
    owns: Mapping[str, Mapping[str, Any]],
    read: Read,
    now: datetime.datetime,
) -> Ready:
    """Check the office, its people, and what its phones and Macs get; write nothing.

    arguments: those of mobile_files. variables: the task's. owns: the variables of every machine.
    """
    arguments = {name: ARGUMENTS[name].get("default") if value is None else value for name, value in arguments.items()}
    loaded = find_office(variables, owns)
    machines = find_machines(variables, owns, arguments["providers"])
    # Not what the first machine of the run has, which depends on --limit: people without a machine have the office's.
    policy = policy_of(variables["hostvars"]["localhost"], arguments["providers"])
    problems = loaded.problems or merged(check_office(loaded.rows, machines, policy))
    store = Store(Path(arguments["dest"].replace("{office}", loaded.name)).absolute(), check=True, want_diff=False)
    owners = [] if problems else device_owners(loaded.rows, machines, policy, store.whose())
    wrong: list[str] = []
    if not problems and not loaded.rows and not owners and store.known:
        wrong.append(f"the staff sheet names nobody, but {store.dest} has the files of an earlier run; who left gets state absent")
    office, found = _office(arguments, policy.organization, loaded.folder or Path.cwd(), read, now)
    paper, no_pdfs = arguments["paper"], ""
    if owners and paper != "none" and not (no_pdfs := pdf.missing()):
        office = office._replace(to_pdf=functools.partial(pdf.to_pdf, paper=paper))
    # An office without phones and Macs need not say anything; without somebody who helps, nobody gets a page then.
    if not any(owner["devices"] for owner in owners) and not pages.has_contact(office.page["contact"]):
        owners = []
    if owners or store.known or any(row["phones"] for row in loaded.rows):
        expected = {mobile.folder(owner): mobile.names(owner, office) for owner in owners}
        expected |= {"": [mobile.MANIFEST], mobile.MDM: mobile.mdm_names(owners, office)}
        wrong += map(str, [*found, *mobile.check_owners(owners), *store.problems(expected)])
        if not arguments["dest"].strip():
            wrong.append(str(_wrong("dir", "is empty; write the folder for the files, as in build/mobile/{office}")))
    if not problems and not wrong:
        wrong += map(str, _strangers(store, owners, office))
    return Ready(loaded, machines, problems, wrong, office, owners, store.dest, no_pdfs)


def _office(
    arguments: Mapping[str, Any], name: str, folder: Path, read: Read, now: datetime.datetime
) -> tuple[mobile.Office, list[Problem]]:
    """What is the same for everybody, and everything that is wrong with it. Files are looked for in the office's folder."""
    signer, found = _signer(arguments["signer"], folder, read, now)
    settings, more = mobile.settings_of(arguments, name, now.date())
    page: Any = {key: arguments[key] for key in ("two_factor", "accent")}
    page |= {"name": name, "signed": signer is not None, "contact": {key: arguments["contact"].get(key) or "" for key in CONTACT}}
    if arguments["logo"]:
        try:
            page["logo"] = pages.logo_uri(read(folder / Path(arguments["logo"]).expanduser()))
        except OSError as error:
            found.append(_wrong("logo", f"{folder / arguments['logo']}: {error.strerror}"))
        except ValueError as error:
            found.append(_wrong("logo", f"{folder / arguments['logo']} {error}"))
    found += more
    for problem in pages.check_office(page):
        found.append(problem._replace(field="mail_office" if problem.field == "name" else f"mobile_{problem.field}"))
    texts, unknown = texts_of(arguments["language"])
    found += unknown
    link, wrong = link_of(arguments["profile_url"], arguments["link_secret"], arguments["link_until"])
    found += wrong
    return mobile.Office(settings, signer, arguments["profile_url"], page, texts, link=link), found


def _signer(given: Mapping[str, str], folder: Path, read: Read, now: datetime.datetime) -> tuple[Signer | None, list[Problem]]:
    names = [name for name in ("certificate", "key", "chain") if given.get(name)]
    if not names:
        return None, []
    if missing := [name for name in ("certificate", "key") if name not in names]:
        return None, [_wrong(f"signer_{name}", f"is empty, but mobile_signer_{names[0]} is not; both are needed") for name in missing]
    found: list[Problem] = []
    sources: dict[str, Source] = {}
    for name in names:
        value = given[name]
        if "-----BEGIN" in value:
            sources[name] = Source(f"mobile_signer_{name}", value.encode())
            continue
        try:
            sources[name] = Source(f"mobile_signer_{name} ({folder / value})", read(folder / Path(value).expanduser()))
        except OSError as error:
            found.append(_wrong(f"signer_{name}", f"{folder / value}: {error.strerror}"))
    if found:
        return None, found
    return load(sources["certificate"], sources["key"], sources.get("chain"), given.get("password") or "", now)


def _strangers(store: Store, owners: Iterable[DeviceOwner], office: mobile.Office) -> list[Problem]:
    """What is where our files should be, and is not ours. A file that is just as it should be may be: what is known can get lost."""
    found: list[Problem] = []
    for owner in owners:
        folder = mobile.folder(owner)
        if store.unknown(folder, mobile.names(owner, office)):
            computers = mobile.standing(owner, {})
            found += store.strangers(folder, mobile.files(owner, office, computers, functools.partial(store.read, folder)))
    return [*found, *store.strangers(mobile.MDM, mobile.mdm(owners, office))]


class Entry(NamedTuple):
    """What was written into a folder: a digest of what it was made from, and of each file by name; whose the folder is, and the full name.

    All of them are empty for what a run had in mind and was kept from.
    """

    inputs: str
    files: dict[str, str]
    who: tuple[str, ...] = ()
    name: str = ""


class Store:
    """The office's folder, one folder in it per person, and what was written there. check: write nothing."""

    def __init__(self, dest: Path, check: bool, want_diff: bool) -> None:
        self.dest, self._check, self._want_diff = dest, check, want_diff
        self.changed = False
        self.diff: list[dict[str, str]] = []
        self._trouble = ""
        try:
            self._saved = self._read(dest / mobile.MANIFEST)
        except OSError as error:
            self._saved, self._trouble = b"", f"cannot be read: {error.strerror}"
        self.known = _entries(self._saved)

    def whose(self) -> dict[str, tuple[str, ...]]:
        """Whose the folders are, by name; nobody's where that is not known."""
        return {folder: entry.who for folder, entry in self.known.items() if folder}

    def left_by(self, owner: DeviceOwner) -> list[str]:
        """Folders with an iPhone's profile that were this person's, under a mailbox that the person has no more."""
        mine = who(owner["full_name"], owner["login"])
        addresses = {file_name(account["address"]) for account in owner["accounts"]}
        return [
            folder
            for folder, entry in sorted(self.known.items())
            # Without a login there is nothing but the mailbox that tells people of one name apart.
            if owner["login"] and entry.who == mine and folder not in addresses and mobile.profile_file(folder, "ios") in entry.files
        ]

    def problems(self, expected: Mapping[str, Iterable[str]]) -> list[Problem]:
        """Why nothing can be written, if so. expected: names of files by folder."""
        place = self.dest
        while not place.exists():
            place = place.parent
        found = [Problem(str(self.dest / mobile.MANIFEST), what=self._trouble)] if self._trouble else []
        for path in dict.fromkeys([place, *(self.dest / folder for folder in expected)]):
            if path.exists() and not path.is_dir():
                found.append(Problem(str(path), what="is a file where a folder is needed"))
            elif path.exists() and not os.access(path, os.W_OK | os.X_OK):
                found.append(Problem(str(path), what="cannot be written to; look at its owner and mode"))
        for path in [self.dest / folder / name for folder, names in expected.items() for name in names]:
            # Of a pipe that somebody made there, reading would not end.
            if path.exists() and not path.is_file():
                found.append(Problem(str(path), what="is a folder, or something else, where a file is needed; move it elsewhere"))
            elif path.exists() and not os.access(path, os.R_OK):
                found.append(Problem(str(path), what="cannot be read; look at its owner and mode"))
        return found

    def unknown(self, folder: str, names: Iterable[str]) -> list[str]:
        """Which of these files are there and were never written by us."""
        known = self.known[folder].files if folder in self.known else {}
        return [name for name in names if name not in known and (self.dest / folder / name).exists()]

    def strangers(self, folder: str, files: Mapping[str, bytes]) -> list[Problem]:
        """What is in the way of these files: others of the same name, which were never written by us."""
        theirs = [name for name in self.unknown(folder, files) if self.read(folder, name) != files[name]]
        if not theirs:
            return []
        what = f"has {' and '.join(theirs)}, in the way and not known to be made by this project; move that elsewhere, and run again"
        return [Problem(str(self.dest / folder), what=what)]

    def expect(self, folder: str, names: Iterable[str], whose: tuple[str, ...] = (), name: str = "") -> None:
        """That these files are ours, whatever comes between writing them and remembering what was written."""
        before = self.known.get(folder, Entry("", {}))
        self.known[folder] = Entry(before.inputs, {**dict.fromkeys(names, ""), **before.files}, whose, name)

    def read(self, folder: str, name: str) -> bytes:
        """What is in a file now, nothing if it is not there."""
        return self._read(self.dest / folder / name)

    def is_current(self, folder: str, inputs: str) -> bool:
        """Whether the folder was made from the same inputs, and its files are still as they were written."""
        entry = self.known.get(folder)
        return (
            entry is not None
            and entry.inputs == inputs
            and all(_sha256(self.read(folder, name)) == entry.files[name] for name in entry.files)
        )

    def put(self, folder: str, inputs: str, files: Mapping[str, bytes]) -> str:
        """Make these the files of the folder, and say what that was: created, updated or unchanged."""
        before = self.known.get(folder)
        old = before.files if before else {}
        changed = [name for name in files if self.read(folder, name) != files[name]]
        for name in changed:
            self._write(folder, name, files[name])
        gone = [name for name in old if name not in files]
        for name in gone:
            self._remove(folder, name, old[name])
        digests = {name: _sha256(content) for name, content in files.items()}
        self.known[folder] = before._replace(inputs=inputs, files=digests) if before else Entry(inputs, digests)
        return ("updated" if before and before.inputs else "created") if changed or gone else "unchanged"

    def clear(self, kept: Set[str]) -> list[str]:
        """Remove what earlier runs wrote for people who are not in `kept`; which folders these were."""
        gone = sorted(self.known.keys() - kept)
        for folder in gone:
            for name, digest in self.known.pop(folder).files.items():
                self._remove(folder, name, digest)
            if folder and not self._check:
                # Something of somebody else's may be in it.
                with contextlib.suppress(OSError):
                    (self.dest / folder).rmdir()
        return [folder for folder in gone if folder not in ("", mobile.MDM)]

    def save(self) -> None:
        """Remember what was written."""
        folders = {folder: entry._asdict() for folder, entry in self.known.items()}
        text = json.dumps({"version": 1, "folders": folders}, indent=1, sort_keys=True).encode()
        if not self._check and text != self._saved and (self.known or self._saved):
            self.dest.mkdir(parents=True, exist_ok=True)
            self._replace(self.dest / mobile.MANIFEST, text)
            self._saved = text

    def _write(self, folder: str, name: str, content: bytes) -> None:
        path = self.dest / folder / name
        self._note(path, content)
        if not self._check:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._replace(path, content)

    def _remove(self, folder: str, name: str, digest: str) -> None:
        path = self.dest / folder / name
        content = self._read(path)
        if content and _sha256(content) != digest:
            display.warning(f"{path} is not needed any more but was changed since it was written; it was left there")
        elif content:
            self._note(path, b"")
            if not self._check:
                path.unlink()

    def _note(self, path: Path, content: bytes) -> None:
        self.changed = True
        if self._want_diff:
            header = str(path)
            self.diff.append(
                {"before_header": header, "after_header": header, "before": _shown(path, self._read(path)), "after": _shown(path, content)},
            )

    @staticmethod
    def _read(path: Path) -> bytes:
        """What is in a file; nothing where there is none, or something that is no file."""
        return path.read_bytes() if path.is_file() else b""

    @staticmethod
    def _replace(path: Path, content: bytes) -> None:
        """Give `path` this content in one step: whoever reads it sees the old file or the new one."""
        # Always the same name: what a run that was killed has left of it is written over by the next one.
        half = path.with_name(f".{path.name}.half")
        try:
            half.write_bytes(content)
            half.replace(path)
        except BaseException as error:
            half.unlink(missing_ok=True)
            if isinstance(error, OSError):
                # Python knows a file's name when it cannot be opened, not when the disk is full.
                raise OSError(error.errno, error.strerror, str(path)) from error
            raise


def texts_of(language: str) -> tuple[Mapping[str, Any], list[Problem]]:
    """The texts of the pages in a language, English with a problem where there are none."""
    catalogues = {path.stem: path for path in sorted((PLUGIN_UTILS / "handout/texts").glob("*.yml"))}
    found = []
    if language not in catalogues:
        found.append(_wrong("language", f"{quoted(language)} is not {' or '.join(catalogues)}"))
    return yaml.safe_load(catalogues.get(language, catalogues["en"]).read_text(encoding="utf-8")), found


def _entries(text: bytes) -> dict[str, Entry]:
    """The folders of a manifest. One that nobody can read counts as none: then nothing is removed, and nothing that differs replaced."""
    try:
        folders = json.loads(text)["folders"] if text else {}
        entries = {
            folder: Entry(entry["inputs"], dict(entry["files"]), tuple(map(str, entry.get("who", ()))), str(entry.get("name", "")))
            for folder, entry in folders.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        display.warning(f"{mobile.MANIFEST} of an earlier run cannot be read; files of people who left are not found by it and stay")
        return {}
    # Files are removed by these names.
    return {folder: entry for folder, entry in entries.items() if not any("/" in name or name == ".." for name in (folder, *entry.files))}


def _states(variables: Mapping[str, Any], office: str, owners: Sequence[DeviceOwner]) -> dict[Key, str]:
    """How every place on a computer stands: as this run found or left it, else as it is remembered of a mailbox that is still the same.

    A preview has been at no machine.
    """
    found: dict[Key, str] = {}
    now = [mailbox(account) for owner in owners for account in owner["accounts"]]
    # What cannot be used is said at the end of the run, by who keeps it.
    with contextlib.suppress(StoreError):
        for person in (Memory.of(office, os.environ.get(DIR_SAID) or DIR).load() or {}).get("people", []):
            same = {each["address"] for each in person["mailboxes"] if each in now}
            places = [place for place in person["places"] if place["address"] in same]
            found |= {(place["address"], place["machine"], place["program"]): place["state"] for place in places}
    run = Results()
    for name in variables["groups"]["all"] if variables.get("mail_purpose") != "preview" else ():
        for module, result in _RESULTS:
            run.take(module, name, plain(variables["hostvars"][name].get(result) or {}))
    return found | {key: place.state for key, place in run.places.items()}


def _described(owner: DeviceOwner) -> dict[str, Any]:
    """Who it is, in the result."""
    return {"address": owner["identity"], "full_name": owner["full_name"], "login": owner["login"]}


def _tool() -> list[str]:
    """Which version of this project and of what it draws with makes the files."""
    sources = sorted(path for path in PLUGIN_UTILS.rglob("*") if path.is_file() and path.suffix != ".pyc")
    code = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    return [code, version("segno"), version("jinja2"), platform.python_version()]


def _digest(value: Any) -> str:
    return _sha256(json.dumps(value, sort_keys=True, default=str).encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _shown(path: Path, content: bytes) -> str:
    """A file in a difference. What is for people's eyes may hold a link to a profile, as text or as a code, which is as good as a key."""
    try:
        text = content.decode()
        return text if path.suffix not in (".html", ".svg") or not text else f"({len(text)} characters, SHA-256 {_sha256(content)})\n"
    except UnicodeDecodeError:
        return f"({len(content)} bytes, SHA-256 {_sha256(content)})\n"


def _wrong(option: str, what: str) -> Problem:
    return Problem(mobile.WHERE, field=f"mobile_{option}", what=what)
