# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Controller half of mail_files: render every file of a task and hand all of them to one module run."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

from ..module_utils.files.payload import pack
from ..plugin_utils.files import evidence
from ..plugin_utils.files.file_table import HEADER, Entry, expand, wanted
from ..plugin_utils.files.table_check import TableError, evidence_rows
from ..plugin_utils.office.plain import plain
from ..plugin_utils.report.results import FAILED

_OPTIONS = frozenset(
    ("people", "root", "platform", "take_over", "backups", "remember", "secrets", "files", "evidence", "installs"),
)
_PLATFORMS = ("linux", "macos", "windows")


class Renderer:
    """Render templates of one task. Each source is parsed once, not once for every person.

    A template is pulled in by a one-line ``include``: Jinja then keeps the parsed source, while the variables (and
    variables that are made of them) are those of the file at hand. A source that an include would read differently
    from the ``template`` module (one with a ``#jinja2:`` line, or in a vault) is handed over as text instead.
    """

    def __init__(self, action: ActionModule, task_vars: Mapping[str, Any]) -> None:
        self._action = action
        self._vars = {**task_vars, "mail_managed_header": HEADER}
        self._sources: dict[str, tuple[Any, Any, int]] = {}

    def render(self, template: str, variables: Mapping[str, Any]) -> str:
        """The text of one file. Raises AnsibleError."""
        if template not in self._sources:
            self._sources[template] = self._prepare(template)
        templar, source, newlines = self._sources[template]
        templar.available_variables = {**self._vars, **variables}
        overrides = {"trim_blocks": True, "lstrip_blocks": False}
        result = templar.template(source, escape_backslashes=False, overrides=overrides)
        if not isinstance(result, str):  # a template that is one expression keeps the type of its value
            return "" if result is None else str(plain(result))
        text = str(plain(result))
        # Jinja drops a newline at the end of a source; `template` puts it back by this rule.
        return text + "\n" * (newlines - (len(text) - len(text.rstrip("\n"))))

    def _prepare(self, template: str) -> tuple[Any, Any, int]:
        action = self._action
        path = action._find_needle("templates", template)
        text = action._loader.get_text_file_contents(path)
        roots = [*self._vars.get("ansible_search_path", []), action._loader.get_basedir(), str(Path(path).parent)]
        search = [place for root in roots for place in (f"{root}/templates", root)]
        self._vars.update(template_path=template, template_fullpath=path)
        templar = action._templar.copy_with_new_env(searchpath=search, available_variables=self._vars)
        if not self._can_include(template, path, text, search):
            return templar, trust_as_template(text), 0
        return templar, trust_as_template("{% include " + repr(template) + " %}"), len(text) - len(text.rstrip("\n"))

    @staticmethod
    def _can_include(template: str, path: str, text: str, search: list[str]) -> bool:
        if text.startswith("#jinja2:") or "\\" in template or "'" in template or ".." in template.split("/"):
            return False
        found = next((full for root in search if (full := Path(root, template)).is_file()), None)
        if found is None or not found.samefile(path):
            return False
        return found.read_bytes() == text.encode("utf-8")  # else it was in a vault


class ActionModule(ActionBase):
    """See the documentation in the module file of the same name."""

    TRANSFERS_FILES = False
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Render, pack, run the module once."""
        task_vars = task_vars or {}
        super().run(tmp, task_vars)
        options = self._options()
        try:
            entries = expand(options["files"], options["people"], options["platform"])
            proofs = evidence_rows(options["evidence"])
        except TableError as error:
            raise AnsibleActionFail("\n".join(error.problems)) from error
        unwritten = self._render([entry for entry in entries if not entry.src], task_vars)
        self._read([entry for entry in entries if entry.src])
        # Of a program that could not be rendered nothing is touched: one file less would be one to remove.
        programs = [name for name in dict.fromkeys(row["program"] for row in options["files"]) if name not in unwritten]
        proofs = [row for row in proofs if row["program"] not in unwritten]
        data = {
            **{key: options[key] for key in ("root", "platform", "take_over", "backups", "remember")},
            "programs": programs,
            "people": wanted(options["people"], [*({"program": name} for name in programs), *proofs]),
            "files": [entry.data for entry in entries if entry.data["program"] in programs],
            "evidence": [row["program"] for row in proofs],
        }
        result: dict[str, Any] = self._execute_module(
            module_name="msp.charter_mail._mail_files",
            module_args={"payload": pack(data), "secrets": options["secrets"]},
            task_vars=task_vars,
        )
        result.pop("invocation", None)
        if "files" in result:
            stored = result.pop("stored", {})
            found = evidence.judge(options["people"], proofs, stored, result["files"], self._task.check_mode)
            failed = [evidence.outcome(name, name, _addresses(entries, name), "failed", problem) for name, problem in unwritten.items()]
            more = [
                *failed,
                *evidence.not_there(options["people"], programs, options["installs"], stored.get("sandboxed", [])),
                *found.outcomes,
            ]
            result["files"] += more
            result["evidence"] = found.verified
            if wrong := [entry for entry in more if entry["state"] in FAILED]:
                said = "; ".join(dict.fromkeys(f"{entry['dest']} ({entry['state']}): {entry['message']}" for entry in wrong))
                result.update(failed=True, msg="; ".join(filter(None, [str(result["msg"]) if result.get("failed") else "", said])))
        return result

    def _render(self, entries: list[Entry], task_vars: Mapping[str, Any]) -> dict[str, str]:
        """Fill in what the templates make. Programs of which one could not: why. One program holds up no other."""
        renderer = Renderer(self, task_vars)
        problems: dict[str, list[str]] = {}
        for entry in entries:
            try:
                entry.data["content"] = renderer.render(entry.template, entry.variables)
            except AnsibleError as error:
                problems.setdefault(entry.data["program"], []).append(f"{entry.template} for {entry.about}: {error}")
        return {program: "; ".join(found[:20]) for program, found in problems.items()}

    def _read(self, entries: list[Entry]) -> None:
        """Take over the bytes of files of the controller."""
        problems: list[str] = []
        for entry in entries:
            content = b""
            try:
                content = Path(entry.src).read_bytes()
            except FileNotFoundError as error:
                # What makes the file may have been told to write nothing, too.
                if not self._task.check_mode:
                    problems.append(f"{entry.src} for {entry.about}: {error.strerror}")
            except OSError as error:
                problems.append(f"{entry.src} for {entry.about}: {error.strerror}")
            entry.data["base64"] = base64.b64encode(content).decode("ascii")
        if problems:
            raise AnsibleActionFail("\n".join(problems[:20]))

    def _options(self) -> dict[str, Any]:
        args = {key: plain(value) for key, value in self._task.args.items()}
        problems = [f"mail_files has no option {key}" for key in sorted(set(args) - _OPTIONS)]
        if args.get("people") is None:
            # Nobody known is not the same as nobody there: the second removes every file.
            problems.append("people is not defined; an empty list says that nobody is left on this machine")
        if args.get("files") is None:
            problems.append("files is missing")
        root = args.get("root") or ""
        if not isinstance(root, str) or (root and not root.startswith("/")):
            problems.append(f"root {root!r} must be an absolute path")
            root = ""
        platform = args.get("platform") or "linux"
        if platform not in _PLATFORMS:
            problems.append(f"platform {platform!r} is none of {', '.join(_PLATFORMS)}")
        elif platform == "windows" and not root.strip("/"):
            problems.append("files for windows can only be written below a root")
        backups = args.get("backups", 3)
        try:
            backups = int(backups)
        except (TypeError, ValueError):
            problems.append(f"backups {backups!r} must be a number")
        take_over = args.get("take_over", False)
        try:
            take_over = boolean(take_over, strict=True)
        except TypeError:
            problems.append(f"take_over {take_over!r} must be true or false")
        secrets = args.get("secrets") or []
        if not isinstance(secrets, list) or not all(isinstance(word, str) for word in secrets):
            problems.append("secrets must be a list of texts")
        if problems:
            raise AnsibleActionFail("\n".join(problems))
        return {
            "people": args["people"],
            "files": args["files"],
            "root": os.path.normpath(root) if root.strip("/") else "",
            "platform": platform,
            "take_over": take_over,
            "backups": backups,
            "secrets": secrets,
            "remember": args.get("remember") or {},
            "evidence": args.get("evidence") or [],
            "installs": args.get("installs") or {},
        }


def _addresses(entries: list[Entry], program: str) -> list[str]:
    return sorted({address for entry in entries if entry.data["program"] == program for address in entry.data["people"]})
