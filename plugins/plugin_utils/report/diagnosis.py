"""From what was found on a machine to a tree of steps in a technician's words, and from all machines to one document. Pure, no Ansible.

A node of the tree is {title, state, text}, and where it applies verdict, column (it is a cell of the matrix machine x column), facts
(name -> text) and steps (nodes). state: ok, fail, warn (not as it should be, but nobody's mail hangs on it), skip (not reached).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...module_utils.masking import mask
from ..files.comparison import NAMES, Finding
from ..office.problem import printable
from .results import DOES, FAILED
from .server_steps import Node, node_of, sentence, server_node

SETTINGS = "settings"
RUN = "run provision-mail.yml"
# What mail_files says of a file when it only looks -> state and words.
_FILES = {
    "unchanged": ("ok", "as it should be"),
    "created": ("fail", f"is not there yet: {RUN}"),
    "missing": ("fail", f"was deleted: {RUN}"),
    "drift": ("fail", f"was changed by hand: {RUN}, which puts it back"),
    "conflict": ("fail", f"was changed by hand and is out of date: {RUN}"),
    "pending": ("fail", f"is out of date: {RUN}"),
    "removed": ("fail", f"is not wanted there any more: {RUN}, which removes it"),
    "foreign": ("warn", "is the person's own and is left alone"),
    "blocked": ("warn", "waits for the program to be closed"),
    "waiting": ("warn", "cannot be removed while the home is not there"),
    "no_login": ("fail", "is nobody's: correct the login in the list"),
    "not_installed": ("fail", "is not there"),
    "out_of_reach": ("fail", "cannot be reached"),
    "own_account": ("fail", "has an account of the person's own in the way"),
    "refused": ("fail", "cannot be written"),
    "failed": ("fail", "cannot be written"),
}
# Those of them that a run makes good.
_WRITTEN = frozenset(state for state, (_unused, said) in _FILES.items() if RUN in said)
# Programs that make accounts themselves, and put them right, from what a run has prepared.
_TAKES_UP = ("thunderbird",)
_WORST = ("fail", "warn", "ok", "skip")
MARKS = {"ok": "ok  ", "fail": "FAIL", "warn": "note", "skip": "-   "}


def machine(
    name: str,
    addresses: Sequence[str],
    *,
    probe: Mapping[str, Any],
    findings: Sequence[Finding],
    written: Mapping[str, Any] | None,
    unread: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """One machine: {machine, state (ok, settings_ok or problems), summary, people, steps}.

    probe: what mail_probe returned, empty when it was left out; findings: of comparison.compare; written: what mail_files
    returned in check mode, None where it was not asked; unread: problems of mail_settings.
    """
    servers = [server_node(result) for result in probe.get("endpoints", [])]
    if not servers:
        servers = [node_of("Servers", "skip", "Not looked at: mail_probe is false, or nobody here has mail.")]
    if probe.get("smtp_choice"):
        servers.append(node_of("Port to send at", "warn", sentence(probe["smtp_choice"])))
    settings = _settings(findings, written, unread)
    summary = _summary(probe.get("endpoints", []), settings)
    well = "nothing is wrong, see the notes" if settings["state"] == "warn" else "all is well"
    state = "ok"
    if not addresses:
        well = _NOBODY
    elif not probe.get("endpoints"):
        state, well = "settings_ok", f"{well}; the servers were not looked at"
    return {
        "machine": name,
        "state": "problems" if summary else state,
        "summary": summary or well,
        "people": sorted(addresses),
        "steps": [*servers, settings],
    }


_NOBODY = "nobody of this office has mail here"


def left_out(name: str, platform: str, addresses: Sequence[str]) -> dict[str, Any]:
    """A machine of a platform that no diagnosis looks at; platform: "" for a machine in none of the groups."""
    if not addresses:
        return not_seen(name, "ok", _NOBODY, ())
    why = f"{platform} machines are not looked at by this version" if platform else "it is in none of the groups linux, windows and macos"
    return not_seen(name, "not_diagnosed", why, addresses)


def not_seen(name: str, state: str, why: str, addresses: Iterable[str]) -> dict[str, Any]:
    """A machine nothing is known of; state: not_diagnosed, unreachable or failed, or ok where there is nothing to know."""
    return {"machine": name, "state": state, "summary": why, "people": sorted(addresses), "steps": []}


def document(office: str, when: datetime.datetime, machines: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The whole report, for tools: schema is raised when a key changes its meaning."""
    # Whatever a server or a settings file said: no output shows a password.
    ordered = sorted(map(_masked, machines), key=lambda each: each["machine"])
    counts = {state: sum(each["state"] == state for each in ordered) for state in _COUNTED}
    return {
        "schema": 1,
        "office": office,
        "time": when.astimezone(datetime.UTC).isoformat(timespec="seconds"),
        "ok": counts["ok"] + counts["settings_ok"] == len(ordered),
        "counts": counts,
        "machines": ordered,
    }


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _masked(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked(each) for each in value]
    return mask(value) if isinstance(value, str) else value


def lines(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The report for a terminal, as (state, line): what failed is open, what is well is one line."""
    counts = report["counts"]
    yield "", f"Mail of office {report['office']}, seen from {len(report['machines'])} machine{'s' * (len(report['machines']) != 1)}"
    for each in report["machines"]:
        yield "", ""
        state = "ok" if each["state"] in ("ok", "settings_ok") else "fail"
        people = f" ({', '.join(each['people'])})" if each["people"] else ""
        yield state, f"{each['machine']}: {printable(each['summary'], 500)}{people}"
        for node in each["steps"]:
            yield from _branch(node, 1)
    yield "", ""
    yield "", ", ".join(f"{counts[state]} {words}" for state, words in _COUNTED.items() if counts[state]) or "no machine was looked at"


_COUNTED = {
    "ok": "well",
    "settings_ok": "with settings that are well, servers not looked at",
    "problems": "with problems",
    "not_diagnosed": "not diagnosed",
    "unreachable": "not reached",
    "failed": "could not be diagnosed",
}


def _branch(node: Mapping[str, Any], depth: int) -> Iterator[tuple[str, str]]:
    verdict = f": {node['verdict'].replace('_', ' ')}" if node.get("verdict", "ok") != "ok" else ""
    opened = node["state"] in ("fail", "warn")
    inline = f": {printable(node['text'], 500)}" if node["text"] and not verdict and not (opened and node.get("steps")) else ""
    yield node["state"], f"{'       ' * depth}{MARKS[node['state']]} {node['title']}{verdict}{inline}"
    if opened:
        if node["text"] and not inline:
            yield node["state"], f"{'       ' * depth}     {printable(node['text'], 500)}"
        for step in node.get("steps", []):
            # Of the way to a server all is shown, of a list only what is not well.
            if step["state"] in ("fail", "warn") or (node["state"] == "fail" and node.get("column") != SETTINGS):
                yield from _branch(step, depth + 1)


def _settings(findings: Sequence[Finding], written: Mapping[str, Any] | None, unread: Sequence[Mapping[str, Any]]) -> Node:
    """What is configured, against what should be."""
    steps = []
    files = (written or {}).get("files", [])
    own = {(entry["dest"], address) for entry in files if entry["state"] == "own_account" for address in entry["people"]}
    for found in findings:
        if found.state == "differs" and (found.file, found.address) in own:
            continue  # said below, with what to do about it
        more = _remedy(found, files) if found.state in ("differs", "missing") else ""
        state = {"ok": "ok", "differs": "fail", "unreadable": "fail"}.get(found.state, "warn")
        step = node_of(f"{found.address} ({found.login})", state, f"{found.what}{more}.")
        # A mailbox that is not there at all is missing for receiving and for sending.
        steps += [step] if step not in steps else []
    if why := _not_looked_at(written):
        steps.append(node_of("Files of the programs", "fail", why))
    for entry in files:
        state, said = _FILES[entry["state"]]
        more = f" ({entry['message'].rstrip('.')})" if entry.get("message") and state != "ok" else ""
        steps.append(node_of(entry["dest"], state, f"{said}{more}."))
    told = {(found.login, found.program) for found in findings if found.state == "unreadable"}
    for entry in unread:
        if entry["file"] and (entry["login"], entry["program"]) not in told:
            steps.append(node_of(entry["file"], "warn", f"{entry['message']}."))
    worst = next((state for state in _WORST if any(step["state"] == state for step in steps)), "skip")
    wrong = sum(step["state"] == "fail" for step in steps)
    text = {"fail": f"{wrong} of {len(steps)} are not as they should be, or not known.", "skip": "There are none to look at."}.get(
        worst, ""
    )
    return node_of("Settings", worst, text, column=SETTINGS, verdict="wrong" if worst == "fail" else "ok" if steps else "", steps=steps)


def _remedy(found: Finding, files: Sequence[Mapping[str, Any]]) -> str:
    """What puts it right: what this project does next, or the program itself where all is prepared."""
    mine = {entry["state"] for entry in files if entry["program"] == found.program and found.address in entry["people"]}
    if not mine or mine & _WRITTEN:
        return f": {RUN}"
    if mine != {"unchanged"}:
        return ""  # what is in the way of it is said below, with what to do about that
    if found.program not in _TAKES_UP:
        return f"; its file is up to date, so another run changes nothing: look which file {NAMES.get(found.program, found.program)} reads"
    does = "puts that right" if found.state == "differs" else "takes the account up"
    return f"; it {does} when the person starts it next"


def _not_looked_at(result: Mapping[str, Any] | None) -> str:
    """Why a result of mail_files says nothing of the files, or not all; "" when it does."""
    if result is None or result.get("skipped"):
        return "They were not looked at."
    if result.get("failed") and not any(entry["state"] in FAILED for entry in result.get("files", [])):
        return f"They could not be looked at: {sentence(str(result.get('msg') or 'no reason was given'))}"
    return "" if "files" in result else "What was found of them is not known."


def _summary(results: Iterable[Mapping[str, Any]], settings: Node) -> str:
    faults: dict[str, list[str]] = {}
    for result in results:
        end = result["endpoint"]
        if end["needed"] and result["verdict"] != "ok":
            faults.setdefault(DOES[end["service"]], []).append(f"{end['host']}:{end['port']} {result['verdict'].replace('_', ' ')}")
    parts = [f"unable to {does}: {', '.join(said)}" for does, said in faults.items()]
    if settings["state"] == "fail":
        parts.append("settings are not as they should be, or not known")
    return "; ".join(parts)
