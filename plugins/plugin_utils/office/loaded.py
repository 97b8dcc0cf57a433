# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The office that Ansible has loaded, out of its variables. Pure: they are mappings here, no ansible is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...module_utils.masking import inert
from .check import Machine
from .folder import SHEETS, is_office, second_sheets
from .folder import sheets as lists
from .lists import recall
from .policy import Policy
from .programs import PLATFORMS

# The variables that make a policy.
_SETTINGS = {
    "mail_provider": "provider",
    "mail_providers": "own_providers",
    "mail_smtp_port": "smtp_port",
    "mail_domains": "domains",
    "mail_programs": "programs",
    "mail_office": "organization",
    "mail_password_command": "password_command",
}


class Office(NamedTuple):
    """The office that is loaded. rows, problems, notes: of its list. folder: where its hosts.yml is, None when it has no folder."""

    name: str
    folder: Path | None
    rows: Sequence[Mapping[str, Any]]
    problems: list[str]
    notes: list[str] = []  # noqa: RUF012  # never changed


def find_office(variables: Mapping[str, Any], owns: Mapping[str, Mapping[str, Any]]) -> Office:
    """The one office that is loaded; an office whose people are in YAML alone has no rows here.

    variables: a task's. owns: the variables of every machine. More than one office, or none with people, is a problem, too.
    """
    sheets = variables.get("mail_staff_sheets", [])
    sources = [Path(source) for source in variables.get("ansible_inventory_sources") or []]
    paths = [*(Path(sheet) for sheet in sheets), *sources]
    folders = sorted({folder for path in paths if is_office(folder := (path if path.is_dir() else path.parent).resolve())})
    if len(folders) > 1:
        what = f"more than one office is loaded: {', '.join(map(str, folders))}. Run them one after the other, each with its own -i."
        return Office("", None, [], [inert(what)])
    if sheets:
        folder = Path(sheets[0]).resolve().parent
        return Office(folder.name, folder, *recall(str(sheets[0]), owns))
    folder = folders[0] if folders else Path("<office>")
    office = Office(folder.name, folder, [], []) if folders else Office("office", None, [], [])
    if folders and (there := lists(folder)):
        first = "in ansible.cfg, [inventory] enable_plugins must begin with msp.charter_mail.staff"
        what = f"{folder / there[0]} was not read as a staff sheet: {first}"
    elif any("mail_accounts" in own for own in owns.values()):
        return office
    else:
        what = f"no people: neither {folder / SHEETS[0]} (or {', '.join(SHEETS[1:])}) nor mail_accounts in the inventory is there."
        if alike := second_sheets(folder):
            what += f" The list has to have one of these names; there is {' and '.join(alike)}."
    return office._replace(problems=[inert(what)])


def find_machines(variables: Mapping[str, Any], owns: Mapping[str, Mapping[str, Any]], providers: Any) -> dict[str, Machine]:
    """Every machine of the inventory with its own policy. variables, owns: as for find_office(). providers: the shipped facts."""
    groups = variables["groups"]
    platforms = {name: platform for platform in reversed(PLATFORMS) for name in groups.get(platform, [])}
    return {
        name: Machine.of(name, policy_of(own, providers, platforms.get(name, "")), own.get("mail_accounts", []))
        for name, own in owns.items()
    }


def policy_of(own: Mapping[str, Any], providers: Any, platform: str = "") -> Policy:
    """The policy that a host's variables give; what nobody set is the model's default."""
    return Policy.of({"providers": providers, "platform": platform, **{field: own[key] for key, field in _SETTINGS.items() if key in own}})
