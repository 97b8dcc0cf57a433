# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ask a Mac for its people's configuration profiles, show one to the person at the screen, and remove ours.

macOS 11 and later let nobody but the person at the Mac install a profile. What is remembered, in the state file of the machine under
``apple_mail``: by login, the addresses and the digest of the profile that was shown last. It is for people who leave, and so that a
scheduled run does not open a window again and again.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import os
import subprocess
from typing import Any, Dict, List, NamedTuple, Optional

from ansible_collections.msp.charter_mail.plugins.module_utils.files import machine, persons
from ansible_collections.msp.charter_mail.plugins.module_utils.mac import answer
from ansible_collections.msp.charter_mail.plugins.module_utils.mac.answer import Profile, Verdict

SECONDS = 60  # for one command
MEMORY = "apple_mail"
PANE = "x-apple.systempreferences:com.apple.Profiles-Settings.extension"

REMOVED = "removed"
ABSENT = "absent"
KEPT = "kept"


class Options(NamedTuple):
    """How to work. ``root``: the prefix, "" for the machine itself; the commands are those below it."""

    root: str
    absent: bool
    open: bool
    remove_pop: bool
    check: bool


class Failed(Exception):
    """A command did not do what it should. The message is one sentence for people."""


class Mac:
    """One run on one Mac. Raises store.StoreError for a state that cannot be used."""

    def __init__(self, options: Options):
        self.options = options
        self.store = machine.open_store(options.root, "macos")
        self.people: List[Dict[str, Any]] = []
        self.changed = False

    def work(self, people: List[Dict[str, Any]]) -> None:
        """`people`: login, addresses, wanted (identifier and accounts, None where it is not known), file (path, "" where it is not in
        place). Everybody who was seen by an earlier run and is not among them has left.
        """
        if not self.options.check and (people or self.store.remembered.get(MEMORY)):
            self.store.prepare()
        try:
            memory: Dict[str, Any] = dict(self.store.remembered.get(MEMORY, {}))
            here = {person["login"] for person in people}
            left = [{"login": login, **memory[login]} for login in sorted(memory) if login not in here]
            for person in people:
                self._add(person, self._absent(person, memory) if self.options.absent else self._present(person, memory))
            for person in left:
                outcome = self._absent(person, memory)
                # Who has nothing of ours is not worth a line.
                if outcome["state"] != ABSENT:
                    self._add(person, outcome)
            if memory:
                self.store.remembered[MEMORY] = memory
            else:
                self.store.remembered.pop(MEMORY, None)
            if not self.options.check:
                self.store.save()
        finally:
            self.store.release()

    def _add(self, person: Dict[str, Any], outcome: Dict[str, Any]) -> None:
        self.changed = self.changed or outcome["changed"]
        self.people.append({"login": person["login"], "addresses": person["addresses"], **outcome})

    def _present(self, person: Dict[str, Any], memory: Dict[str, Any]) -> Dict[str, Any]:
        login = person["login"]
        if person["wanted"] is None:
            return _outcome(Verdict(answer.UNKNOWN, "the profile was not made yet"))
        wanted = Profile(*person["wanted"])
        digest = answer.digest(wanted)
        last = memory.setdefault(login, {})
        last["addresses"] = person["addresses"]
        try:
            found = self._show(login)
        except Failed as error:
            return _outcome(Verdict(answer.UNKNOWN, str(error)), digest)
        verdict = answer.judge(wanted, found)
        if verdict.state == answer.INSTALLED:
            last.pop("opened", None)
            messages, changed = self._remove(login, answer.strangers(wanted, found))
            return _outcome(Verdict(verdict.state, "; ".join(messages)), digest, changed)
        if self.options.open and verdict.state in (answer.PENDING, answer.OUTDATED) and person["file"] and last.get("opened") != digest:
            return self._open(person, verdict, digest, last)
        return _outcome(verdict, digest)

    def _open(self, person: Dict[str, Any], verdict: Verdict, digest: str, last: Dict[str, Any]) -> Dict[str, Any]:
        """Show the profile to the person, who must be at the screen."""
        shown = "it would be opened on the person's screen"
        try:
            sitting = answer.console(self._run("/usr/sbin/scutil", feed="show State:/Users/ConsoleUser\n").decode("utf-8", "replace"))
            if sitting is None or sitting[0] != person["login"]:
                return _outcome(verdict, digest)
            if not self.options.check:
                for thing in (person["file"], PANE):
                    as_person = [self._path("/usr/bin/sudo"), "-H", "-u", sitting[0], self._path("/usr/bin/open"), thing]
                    self._run("/bin/launchctl", "asuser", str(sitting[1]), *as_person)
                last["opened"] = digest
                shown = "it was opened on the person's screen"
        except Failed as error:
            return _outcome(_add(verdict, "it could not be shown to the person: %s" % error), digest)
        return _outcome(_add(verdict, shown), digest, True)

    def _absent(self, person: Dict[str, Any], memory: Dict[str, Any]) -> Dict[str, Any]:
        login = person["login"]
        if not self.options.root and persons.find(login) is None:
            memory.pop(login, None)  # the profiles went with the login
            return _outcome(Verdict(ABSENT))
        try:
            found = answer.ours(self._show(login))
        except Failed as error:
            return _outcome(Verdict(answer.UNKNOWN, str(error)))
        messages, changed = self._remove(login, found)
        if messages:
            memory.setdefault(login, {})["addresses"] = person["addresses"]
            return _outcome(Verdict(KEPT, "; ".join(messages)), changed=changed)
        memory.pop(login, None)
        return _outcome(Verdict(REMOVED if changed else ABSENT), changed=changed)

    def _remove(self, login: str, profiles: List[Profile]) -> Any:
        """Remove profiles of ours; why some of them stay, and whether any went."""
        messages: List[str] = []
        gone = False
        for profile in profiles:
            if not (self.options.remove_pop or answer.only_imap(profile)):
                messages.append(
                    "a profile stays, because Mail would delete messages of a POP account that are on this Mac alone: "
                    "have them moved to On My Mac, then run with apple_mail_remove_pop"
                )
            elif self.options.check:
                gone = True
            else:
                try:
                    self._run(
                        *("/usr/bin/profiles", "remove", "-type", "configuration", "-user", login),
                        *("-identifier", profile.identifier, "-forced"),
                    )
                    if profile.identifier in [left.identifier for left in self._show(login)]:
                        raise Failed("macOS still has it")
                    gone = True
                except Failed as error:
                    messages.append("a profile could not be removed: %s" % error)
        return messages, gone

    def _show(self, login: str) -> List[Profile]:
        output = self._run("/usr/bin/profiles", "show", "-type", "configuration", "-user", login, "-output", "stdout-xml")
        try:
            found: List[Profile] = answer.shown(output, login)
        except answer.NotUnderstood as error:
            raise Failed("what profiles show says cannot be understood: %s" % error) from error
        return found

    def _path(self, command: str) -> str:
        return self.options.root + command

    def _run(self, command: str, *arguments: str, feed: Optional[str] = None) -> bytes:
        """What a command prints. Raises Failed."""
        try:
            done = subprocess.run(  # pylint: disable=ansible-bad-function  # run_command has no limit, and here is no module
                [self._path(command), *arguments],
                input=(feed or "").encode("utf-8"),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                timeout=SECONDS,
                check=False,
                env={**os.environ, "LANG": "C", "LC_ALL": "C"},
            )
        except FileNotFoundError:
            raise Failed("there is no %s; is this a Mac?" % command) from None
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Failed("%s: %s" % (command, error)) from error
        if done.returncode:
            lines = (done.stderr + b"\n" + done.stdout).decode("utf-8", "replace").split("\n")
            said = next((line.strip()[:200] for line in lines if line.strip()), "nothing")
            raise Failed("%s ended with code %d and says: %s" % (os.path.basename(command), done.returncode, said))
        return done.stdout


def _add(verdict: Verdict, message: str) -> Verdict:
    return verdict._replace(message="; ".join(filter(None, [verdict.message, message])))


def _outcome(verdict: Verdict, profile: str = "", changed: bool = False) -> Dict[str, Any]:
    outcome: Dict[str, Any] = {"state": verdict.state, "changed": changed, "profile": profile}
    if verdict.message:
        outcome["message"] = verdict.message
    return outcome
