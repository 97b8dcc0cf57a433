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
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..plugin_utils.files.folder import Folder
from ..plugin_utils.formats.signing import expiry_warning
from ..plugin_utils.handout import mobile
from ..plugin_utils.handout.links import ending_warning
from ..plugin_utils.handout.ready import ARGUMENTS, prepare
from ..plugin_utils.office.identity import who
from ..plugin_utils.office.libraries import missing
from ..plugin_utils.office.model import DeviceOwner
from ..plugin_utils.office.plain import plain
from ..plugin_utils.office.problem import counted, printable
from ..plugin_utils.office.survey import Key, mailbox
from ..plugin_utils.report.results import Results
from ..plugin_utils.report.store import DIR, DIR_SAID, Store, StoreError

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


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        refuse(missing("cryptography", "segno"), "no hand-out was written")
        _unused, arguments = self.validate_argument_spec(ARGUMENTS)
        hostvars = variables["hostvars"]
        owns = {name: hostvars[name] for name in variables["groups"]["all"]}
        now = datetime.datetime.now(datetime.UTC)
        ready = prepare(arguments, variables, owns, lambda path: read_file(self._loader, path), now)
        refuse([*ready.problems, *ready.handout_problems], "no hand-out was written")
        office, owners = ready.office, ready.owners
        store = Folder(ready.dest, self._task.check_mode, self._task.diff)
        if office.signer and owners and (warning := expiry_warning(office.signer, now)):
            display.warning(warning)
        if office.link and owners and (warning := ending_warning(office.link, now.date())):
            display.warning(warning)
        if ready.no_pdfs:
            display.display(ready.no_pdfs)
        for owner in owners:
            for folder in mobile.left_by(owner, store.known):
                display.warning(
                    f'{printable(owner["full_name"])} has a new profile, of {owner["identity"]}: the one before, "E-mail {folder}", is of '
                    "a mailbox that is this person's no more. Have it removed from the iPhone, or the other mailboxes are there twice."
                )
        result = self._write(store, owners, office, arguments["paper"], _states(variables, ready.loaded.name, owners))
        return {**result, "signed": office.signer is not None, "office": ready.loaded.name, "dest": str(store.dest)}

    def _write(
        self, store: Folder, owners: Sequence[DeviceOwner], office: mobile.Office, paper: str, states: Mapping[Key, str]
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
        for warning in store.warnings:
            display.warning(warning)
        nobody = {"full_name": "", "login": "", "devices": [], "state": "removed"}
        people += [{**nobody, "address": folder, "folder": folder} for folder in gone if folder not in ("", mobile.MDM)]
        return {"changed": store.changed, "people": people, "diff": store.diff}

    @staticmethod
    def _with_progress(owners: Sequence[DeviceOwner], store: Folder) -> Iterator[DeviceOwner]:
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


def _states(variables: Mapping[str, Any], office: str, owners: Sequence[DeviceOwner]) -> dict[Key, str]:
    """How every place on a computer stands: as this run found or left it, else as it is remembered of a mailbox that is still the same.

    A preview has been at no machine.
    """
    found: dict[Key, str] = {}
    now = [mailbox(account) for owner in owners for account in owner["accounts"]]
    # What cannot be used is said at the end of the run, by who keeps it.
    with contextlib.suppress(StoreError):
        for person in (Store.of(office, os.environ.get(DIR_SAID) or DIR).load() or {}).get("people", []):
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
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
