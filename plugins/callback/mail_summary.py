# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Callback: the end of a run in one table, person x machine x program."""

from __future__ import annotations

DOCUMENTATION = r"""
name: mail_summary
type: aggregate
short_description: What a run did, for every person, machine and program
version_added: 0.1.0
author: charter-mail contributors
description:
  - Prints one table at the end of a run that used this collection, and nothing at the end of others.
  - Machines that could not be reached, failed, or are of a platform that is not provisioned are named with their people.
  - C(prepared) means that the settings are on the machine; C(verified) that the program itself has taken the account up.
requirements:
  - C(callbacks_enabled = msp.charter_mail.mail_summary) in ansible.cfg
"""

from typing import Any

from ansible import context
from ansible.plugins.callback import CallbackBase

from ..plugin_utils.summary import Summary


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "msp.charter_mail.mail_summary"
    CALLBACK_NEEDS_ENABLED = True
    # Results of this collection's modules carry no secrets.
    ANSIBLE_SUPPORTS_MASKING = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._summary = Summary()

    def v2_runner_on_ok(self, result: Any) -> None:
        self._take(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._take(result)
        if not ignore_errors:
            self._summary.stopped(result.host.get_name(), "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._summary.stopped(result.host.get_name(), "unreachable")

    def _take(self, result: Any) -> None:
        action, data = result.task.resolved_action, result.result
        if action == "msp.charter_mail.mail_check" and "machines" in data:
            self._summary.office(data["office"], data["machines"])
        elif action == "msp.charter_mail.mail_probe":
            self._summary.probe(result.host.get_name(), data)
        elif action == "msp.charter_mail.mail_files":
            self._summary.files(result.host.get_name(), data)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        for line in self._summary.lines(check=bool(context.CLIARGS.get("check"))):
            self._display.display(line)
