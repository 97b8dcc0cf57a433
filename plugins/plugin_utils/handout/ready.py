# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Everything that has to be so before hand-outs are made: the office, its people, what their phones and Macs get. Writes nothing."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ..files.folder import MANIFEST, Folder
from ..formats import pdf
from ..formats.signing import Signer, Source, load
from ..office.check import Machine, check_office
from ..office.loaded import Office, find_machines, find_office, policy_of
from ..office.model import DeviceOwner, device_owners
from ..office.problem import Problem, merged, quoted
from . import mobile, page_input
from .links import link_of

# The pages' texts, a file for each language.
TEXTS = Path(__file__).with_name("texts")

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
    store = Folder(Path(arguments["dest"].replace("{office}", loaded.name)).absolute(), check=True, want_diff=False)
    owners = [] if problems else device_owners(loaded.rows, machines, policy, store.whose())
    wrong: list[str] = []
    if not problems and not loaded.rows and not owners and store.known:
        wrong.append(f"the staff sheet names nobody, but {store.dest} has the files of an earlier run; who left gets state absent")
    office, found = _office(arguments, policy.organization, loaded.folder or Path.cwd(), read, now)
    # An office without phones and Macs need not say anything; without somebody who helps, nobody gets a page then.
    if not any(owner["devices"] for owner in owners) and not page_input.has_contact(office.page["contact"]):
        owners = []
    paper, no_pdfs = arguments["paper"], ""
    if owners and paper != "none" and not (no_pdfs := pdf.missing()):
        office = office._replace(to_pdf=functools.partial(pdf.to_pdf, paper=paper))
    if owners or store.known or any(row["phones"] for row in loaded.rows):
        expected = {mobile.folder(owner): mobile.names(owner, office) for owner in owners}
        expected |= {"": [MANIFEST], mobile.MDM: mobile.mdm_names(owners, office)}
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
            page["logo"] = page_input.logo_uri(read(folder / Path(arguments["logo"]).expanduser()))
        except OSError as error:
            found.append(_wrong("logo", f"{folder / arguments['logo']}: {error.strerror}"))
        except ValueError as error:
            found.append(_wrong("logo", f"{folder / arguments['logo']} {error}"))
    found += more
    for problem in page_input.check_office(page):
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


def _strangers(store: Folder, owners: Iterable[DeviceOwner], office: mobile.Office) -> list[Problem]:
    """What is where our files should be, and is not ours. A file that is just as it should be may be: what is known can get lost."""
    found: list[Problem] = []
    for owner in owners:
        folder = mobile.folder(owner)
        if store.unknown(folder, mobile.names(owner, office)):
            computers = mobile.standing(owner, {})
            found += store.strangers(folder, mobile.files(owner, office, computers, functools.partial(store.read, folder)))
    return [*found, *store.strangers(mobile.MDM, mobile.mdm(owners, office))]


def texts_of(language: str) -> tuple[Mapping[str, Any], list[Problem]]:
    """The texts of the pages in a language, English with a problem where there are none."""
    catalogues = {path.stem: path for path in sorted(TEXTS.glob("*.yml"))}
    found = []
    if language not in catalogues:
        found.append(_wrong("language", f"{quoted(language)} is not {' or '.join(catalogues)}"))
    return yaml.safe_load(catalogues.get(language, catalogues["en"]).read_text(encoding="utf-8")), found


def _wrong(option: str, what: str) -> Problem:
    return Problem(mobile.WHERE, field=f"mobile_{option}", what=what)
