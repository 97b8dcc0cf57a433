# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Check an office's settings and people on the controller (documentation: the module of the same name)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..plugin_utils.model import Machine, Policy, check_office
from ..plugin_utils.probe_settings import check, check_timeout
from ..plugin_utils.programs import PLATFORMS

display = Display()

# A machine's own variables that override the office's policy.
_SETTINGS = {
    "mail_provider": "provider",
    "mail_providers": "own_providers",
    "mail_smtp_port": "smtp_port",
    "mail_domains": "domains",
    "mail_programs": "programs",
    "mail_office": "organization",
    "mail_password_command": "password_command",
}


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        _, arguments = self.validate_argument_spec({"policy": {"type": "dict", "required": True}})
        office = find_office(variables)
        machines = dict(find_machines(variables, arguments["policy"]["providers"]))
        found = check_office(office.rows, machines, Policy.of(arguments["policy"]))
        for own in (variables["hostvars"][name] for name in variables["groups"]["all"]):
            found += check(own.get("reachability_interceptors", []), Policy.where)
            found += check_timeout(own.get("reachability_timeout", 2), Policy.where)
        refuse(office.problems + list(dict.fromkeys(map(str, found))))
        return {"changed": False, "office": office.name, **_survey(office.rows, machines)}


class Office(NamedTuple):
    """The office that is loaded. rows, problems: of its sheet. folder: where its hosts.yml is, None when it has no folder."""

    name: str
    folder: Path | None
    rows: list[Mapping[str, Any]]
    problems: list[str]


def refuse(problems: list[str]) -> None:
    """Stop when there is a problem."""
    if problems:
        count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
        # Displayed here, line by line and whatever the output format, and not a second time in the result.
        display.display("\n".join([f"{count} with this office:", *problems]), color=C.COLOR_ERROR)
        raise AnsibleActionFail(f"{count} with this office, listed above; no machine was contacted, nothing was changed")


def find_office(variables: Mapping[str, Any]) -> Office:
    """The one office that is loaded; an office whose people are in YAML alone has no rows here."""
    sheets = variables.get("mail_staff_sheets", [])
    sources = [Path(source) for source in variables.get("ansible_inventory_sources") or []]
    paths = [*(Path(sheet["path"]) for sheet in sheets), *sources]
    offices = sorted({folder for path in paths if _is_office(folder := (path if path.is_dir() else path.parent).resolve())})
    if len(offices) > 1:
        names = ", ".join(str(folder) for folder in offices)
        raise AnsibleActionFail(f"more than one office is loaded: {names}. Run them one after the other, each with its own -i.")
    if sheets:
        folder = Path(sheets[0]["path"]).resolve().parent
        return Office(folder.name, folder, sheets[0]["rows"], sheets[0]["problems"])
    unread = next((folder / "staff.csv" for folder in offices if (folder / "staff.csv").exists()), None)
    if unread:
        raise AnsibleActionFail(
            f"{unread} was not read as a staff sheet: in ansible.cfg, [inventory] enable_plugins must begin with msp.charter_mail.staff"
        )
    if not any("mail_accounts" in variables["hostvars"][name] for name in variables["groups"]["all"]):
        where = offices[0] / "staff.csv" if offices else "inventories/<office>/staff.csv"
        raise AnsibleActionFail(f"no people: neither {where} nor mail_accounts in the inventory is there. Without one nothing is changed.")
    return Office(offices[0].name, offices[0], [], []) if offices else Office("office", None, [], [])


def _is_office(folder: Path) -> bool:
    return (folder / "staff.csv").exists() or (folder / "hosts.yml").exists()


def find_machines(variables: Mapping[str, Any], providers: Any) -> Iterator[tuple[str, Machine]]:
    """Every machine of the inventory with its own policy. providers: the shipped facts."""
    hostvars, groups = variables["hostvars"], variables["groups"]
    for name in groups["all"]:
        own = hostvars[name]
        platform = next((platform for platform in PLATFORMS if name in groups.get(platform, [])), "")
        rows = [{**row, "source": f"{name}: mail_accounts[{number}]"} for number, row in enumerate(own.get("mail_accounts", []))]
        yield name, Machine(policy_of(own, providers, platform), rows)


def policy_of(own: Mapping[str, Any], providers: Any, platform: str = "") -> Policy:
    """The policy that a host's variables give; what nobody set is the model's default."""
    # Not from a task's `policy`, which carries what the first machine alone was given.
    return Policy.of({"providers": providers, "platform": platform, **{field: own[key] for key, field in _SETTINGS.items() if key in own}})


def _survey(sheet: list[Mapping[str, Any]], machines: Mapping[str, Machine]) -> dict[str, Any]:
    """Who is where, for the summary."""
    present = [row for row in sheet if row["state"].lower() != "absent"]
    people = {row["address"].lower() for row in present}
    found: dict[str, Any] = {}
    for name, machine in machines.items():
        here = [row for row in present if name in row["machines"].split()]
        here += [row for row in machine.rows if str(row.get("state", "")).lower() != "absent"]
        addresses = [str(row["address"]).lower() for row in here]
        people.update(addresses)
        if addresses:
            found[name] = {"platform": machine.policy.platform, "people": sorted(addresses)}
    named = len(sheet) + sum(len(machine.rows) for machine in machines.values())
    return {"people": len(people), "named": named, "machines": found}
