# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is true of settings that were written: is the program there, has it taken the accounts up, is another account of the person's in
the way? Pure: what was read on the machine in, outcomes out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .comparison import NAMES, Finding, compare

# Rows of the option `evidence` of mail_files.
ROW = {"program": "", "takes_up": False, "adopts": False, "receive": "", "send": ""}
# How programs call transport security.
_WORDS = {"tls": "SSL/TLS", "starttls": "STARTTLS"}
# Outcomes of files after which it is not known whether what is stored is ours.
_TO_BE_WRITTEN = ("created", "pending", "drift", "conflict", "missing", "blocked")


class Evidence(NamedTuple):
    """verified: {address, program, verified} for every account of a program that takes accounts up itself. outcomes: as those of files."""

    verified: list[dict[str, Any]]
    outcomes: list[dict[str, Any]]


def judge(
    people: Sequence[Any], rows: Sequence[Mapping[str, Any]], stored: Mapping[str, Any], files: Sequence[Mapping[str, Any]], check: bool
) -> Evidence:
    """Hold what programs have stored against the accounts.

    rows: {program; takes_up, it makes the account itself when it starts; adopts, it then takes over what is adoptable of the person's own;
    receive and send, what a person does about an account of theirs with other servers, with {port} and {security} in it}. stored: what
    settings.look() found. files: outcomes of this run. check: nothing was written.
    """
    findings = compare(people, stored.get("accounts", []), stored.get("problems", [])) if rows else []
    found = Evidence([], [])
    for row in rows:
        for person in people:
            for account in person["accounts"]:
                if row["program"] in account["programs"]:
                    key = (account["address"], person["login"], row["program"])
                    mine = [finding for finding in findings if (finding.address, finding.login, finding.program) == key]
                    if row["takes_up"]:
                        verified = bool(mine) and all(finding.ok for finding in mine)
                        found.verified.append({"address": account["address"], "program": row["program"], "verified": verified})
                    if not (check and _to_be_written(row, account, files)):
                        found.outcomes.extend(_own(row, account, mine))
    return found


def not_there(
    people: Sequence[Any], programs: Sequence[str], installs: Mapping[str, Mapping[str, Any]], sandboxed: Sequence[Mapping[str, Any]] = ()
) -> Iterator[dict[str, Any]]:
    """Outcomes for programs that the machine does not have, or that cannot be reached there.

    programs: those that this task is about. installs: what mail_facts returned of them; where it does not know, nothing is said.
    sandboxed: of settings.look(): who has which program as what, beside what the machine has.
    """
    for program in programs:
        install = installs.get(program) or {}
        machines = tuple(install.get("sandboxed") or ())
        waiting: dict[tuple[str, ...], list[str]] = {}  # who waits for it, by the kinds of it that they have
        for person in people:
            own = [entry["kind"] for entry in sandboxed if (entry["login"], entry["program"]) == (person["login"], program)]
            kinds = tuple(dict.fromkeys([*machines, *own]))
            if addresses := [each["address"] for each in person["accounts"] if program in each["programs"]]:
                waiting.setdefault(kinds, []).extend(addresses)
        if install.get("installed") is False:
            for kinds, addresses in waiting.items():
                state, message = _nowhere(program, kinds, str(install.get("named") or ""))
                whose = sorted(set(addresses))
                # Where people of one machine have it in different ways, each sentence says of whom it is.
                message += f" ({', '.join(whose)})" if len(waiting) > 1 else ""
                yield outcome(NAMES.get(program, program), program, whose, state, message)
        elif waiting and install.get("installed"):
            yield from _elsewhere(program, install, waiting)


def _nowhere(program: str, kinds: Sequence[str], named: str) -> tuple[str, str]:
    """State and sentence for a program that is not there; named: the one directory that was looked in."""
    name = NAMES.get(program, program)
    if named:
        return "not_installed", f"{name} is not in {named}, which {program}_install_dir names; correct that, or install it there"
    if not kinds:
        return "not_installed", f"{name} is not installed; install it, then run again"
    only = f"{name} is here as a {' and a '.join(kinds)} only, which this cannot reach into"
    return "out_of_reach", f"{only}; install the distribution's package, or the maker's archive in /opt"


def _elsewhere(program: str, install: Mapping[str, Any], having: Mapping[tuple[str, ...], Sequence[str]]) -> Iterator[dict[str, Any]]:
    """What of a program that was set up is there once more, where nothing was."""
    if others := " and ".join(install.get("others") or ()):
        message = f"there is another one in {others}, which is left alone; name the one that people start with {program}_install_dir"
        yield outcome(install["path"], program, [], "unchanged", message)
    for kinds, addresses in having.items():
        if kinds:
            what = f"{NAMES.get(program, program)} is here as a {' and a '.join(kinds)}, too, which this cannot reach into"
            message = f"{what}; who starts that one ({', '.join(sorted(set(addresses)))}) does not get the accounts"
            yield outcome(install["path"], program, [], "unchanged", message)


def _own(row: Mapping[str, Any], account: Mapping[str, Any], findings: Sequence[Finding]) -> Iterator[dict[str, Any]]:
    """Accounts that the person made for the mailbox, and that are not as they should be: they stay, so they are told."""
    for finding in findings:
        if finding.state == "differs" and not finding.managed and not (row["adopts"] and finding.adoptable):
            server = account["incoming" if finding.direction == "receive" else "outgoing"]
            advice = row[finding.direction].format(port=server["port"], security=_WORDS[server["security"]])
            message = f"{finding.what}. {advice}"
            yield outcome(finding.file, row["program"], [account["address"]], "own_account", message)


def _to_be_written(row: Mapping[str, Any], account: Mapping[str, Any], files: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the program's file is only about to be ours; of a program that takes accounts up the mark on the account says it."""
    return not row["takes_up"] and any(
        entry["state"] in _TO_BE_WRITTEN for entry in files if entry["program"] == row["program"] and account["address"] in entry["people"]
    )


def outcome(dest: str, program: str, people: list[str], state: str, message: str) -> dict[str, Any]:
    return {"dest": dest, "program": program, "people": people, "state": state, "changed": False, "message": message}
