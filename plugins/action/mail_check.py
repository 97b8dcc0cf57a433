# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Check everything that an office says, on the controller (documentation: the module of the same name)."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ..plugin_utils.handout.links import server_of
from ..plugin_utils.handout.ready import ARGUMENTS, prepare
from ..plugin_utils.office import probe_settings, role_options, written
from ..plugin_utils.office.check import Machine
from ..plugin_utils.office.libraries import missing
from ..plugin_utils.office.loaded import policy_of
from ..plugin_utils.office.plain import plain
from ..plugin_utils.office.problem import Problem
from ..plugin_utils.office.survey import survey
from .mobile_files import read_file, refuse

ROLES = Path(__file__).parents[2] / "roles"
WHERE = "group_vars/all.yml"
# Of these roles, whose variables count; of the others, those of every machine.
_WHOSE = {"mobile": "localhost", "profile_server": "profile_server", "apple_mail": "macos"}
# Not for what an inventory says: made by a playbook, or asked for on the command line.
_NOT_OF_OFFICES = ("office", "diagnosis")
# With a check of their own, which says more.
_OWN_CHECK = ("mail_accounts", "mail_providers", "reachability_timeout", "reachability_interceptors")

Variables = Mapping[str, Any]


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        refuse(missing("cryptography", "segno"), _UNTOUCHED)
        _unused, arguments = self.validate_argument_spec(
            {
                "providers": {"type": "list", "elements": "dict", "required": True},
                "preview_dir": {"type": "path", "default": ""},
                "purpose": {"type": "str", "choices": ["provision", "preview", "diagnose"], "default": "provision"},
            }
        )
        # Once: Ansible puts them together anew whenever it is asked.
        owns = {name: variables["hostvars"][name] for name in variables["groups"]["all"]}
        groups = {**variables["groups"], "localhost": ["localhost"]}
        everybody = {**owns, "localhost": variables["hostvars"]["localhost"]}
        specs = _specs()
        found: list[Problem] = []
        for role, options in specs.items():
            for name in groups.get(_WHOSE.get(role, "all"), []):
                found += _settings_problems(everybody[name], options, free_text=role == "mobile")
        # What cannot be read cannot be looked at any further.
        refuse([problem for problem in found if problem.what.startswith(_UNREADABLE)], _UNTOUCHED)
        wrong = {problem.field for problem in found}
        handouts = _handouts(everybody["localhost"], specs, arguments["providers"], wrong)
        ready = prepare(handouts, variables, owns, lambda path: read_file(self._loader, path), datetime.datetime.now(datetime.UTC))
        for own in owns.values():
            found += probe_settings.check(own.get("reachability_interceptors", []), WHERE)
            found += probe_settings.check_timeout(own.get("reachability_timeout", 2), WHERE)
        for name in groups.get("profile_server", []):
            if owns[name].get("profile_server_state", "present") != "absent":
                found += _server_problems(owns[name])
        problems = [*ready.problems, *(ready.handout_problems if arguments["purpose"] != "diagnose" else []), *map(str, found)]
        refuse(list(dict.fromkeys(problems)), _UNTOUCHED)
        mdm = [name for name, own in owns.items() if boolean(plain(own.get("apple_mail_mdm", False)), strict=False)]
        return {
            "changed": False,
            "office": ready.loaded.name,
            "purpose": arguments["purpose"],
            "preview_dir": arguments["preview_dir"],
            "notes": ready.loaded.notes,
            "people": survey(ready.loaded.rows, ready.machines, policy_of(everybody["localhost"], arguments["providers"]), mdm),
            **_who_is_where(ready.loaded.rows, ready.machines),
        }


_UNTOUCHED = "no machine was contacted, nothing was changed"
_UNREADABLE = "cannot be made out: "


def _specs() -> dict[str, dict[str, Any]]:
    """By role of this collection, the options that an office can set."""
    found = {}
    for path in sorted(ROLES.glob("*/meta/argument_specs.yml")):
        role = path.parts[-3]
        if role not in _NOT_OF_OFFICES:
            found[role] = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
    return found


def _settings_problems(own: Variables, options: Mapping[str, Any], free_text: bool) -> Iterator[Problem]:
    """What is wrong with the variables that are options of a role. free_text: they may have several lines."""
    for name, spec in options.items():
        if name not in own:
            continue
        try:
            value = plain(own[name])
        except AnsibleError as error:
            yield Problem(WHERE, field=name, what=f"{_UNREADABLE}{error}")
            continue
        if name in _OWN_CHECK or value is None:
            continue
        if ArgumentSpecValidator({name: spec}).validate({name: value}).error_messages:
            yield Problem(WHERE, field=name, what=role_options.expected(spec, value))
        elif not free_text and role_options.has_control(value):
            yield Problem(WHERE, field=name, what="has a control character (a line break or worse); type it again")
        else:
            yield from (Problem(WHERE, field=name, what=what) for what in written.setting_problems(name, value))


def _handouts(own: Variables, specs: Mapping[str, Any], providers: Any, wrong: set[str]) -> dict[str, Any]:
    """The arguments of mobile_files as the role `mobile` gives them. wrong: variables that are as if they were not set."""

    def value(name: str) -> Any:
        option = {**specs["mobile"], **specs["mail"]}[name]
        return plain(own[name]) if name in own and name not in wrong else option["default"]

    given: dict[str, Any] = {"providers": providers}
    for argument, spec in ARGUMENTS.items():
        if argument == "signer":
            given[argument] = {part: value(f"mobile_signer_{part}") for part in spec["options"]}
        elif argument != "providers":
            given[argument] = value({"dest": "mobile_dir", "profile_url": "mail_profile_url"}.get(argument, f"mobile_{argument}"))
    validated: dict[str, Any] = ArgumentSpecValidator(ARGUMENTS).validate(given).validated_parameters
    return validated


def _server_problems(own: Variables) -> list[Problem]:
    """What keeps the profiles from being served, as far as it can be known here."""
    given = {name: str(own.get(f"profile_server_{name}") or "") for name in ("certificate", "key")}
    given |= {"url": str(own.get("mail_profile_url") or "")}
    given |= {name: str(own.get(f"mobile_{name}") or "") for name in ("link_secret", "link_until")}
    return server_of(given)[1]


def _who_is_where(sheet: Sequence[Variables], machines: Mapping[str, Machine]) -> dict[str, Any]:
    """How many rows there are, and which addresses each machine has."""
    there: dict[str, list[str]] = {name: [] for name in machines}
    rows = [(row, row["machines"].split()) for row in sheet]
    rows += [(row, [name]) for name, machine in machines.items() for row in machine.rows]
    for row, names in rows:
        address = str(row["address"]).lower()
        if str(row.get("state") or "").lower() != "absent":
            for name in dict.fromkeys(names):
                there[name].append(address)
    found = {name: {"platform": machines[name].policy.platform, "people": sorted(mine)} for name, mine in there.items() if mine}
    return {"named": len(rows), "machines": found}
