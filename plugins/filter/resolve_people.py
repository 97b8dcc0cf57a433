# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: the raw rows of a machine's people -> people with complete mail accounts."""

from __future__ import annotations

DOCUMENTATION = r"""
name: resolve_people
short_description: The people of a machine with complete mail accounts
version_added: 0.1.0
author: charter-mail contributors (!UNKNOWN)
description:
  - Turns rows of the staff sheet, or of C(mail_accounts), into people with accounts in which every default is filled in.
  - Ids are UUIDv5 (RFC 9562) of protocol and address, the same on every run.
  - Rows with C(state=absent) are left out.
  - The order of the rows means nothing. Which of a person's mailboxes is the first is said by C(primary), else by who was first before
    (C(primaries)), else it is one that is named after the person, else the first in the alphabet.
  - Fails with every problem of the rows, one per line.
positional: _input, policy
options:
  _input:
    description: Rows as the inventory plugin P(msp.charter_mail.staff#inventory) gives them.
    type: list
    elements: dict
    required: true
  policy:
    description: >-
      The office's decisions: providers (shipped facts), own_providers, provider, platform, smtp_port, domains, programs, organization,
      password_command, primaries (by login, the address that was first on this machine before).
    type: dict
    required: true
"""

EXAMPLES = r"""
mail_people: "{{ mail_staff | msp.charter_mail.resolve_people(mail_policy) }}"
"""

RETURN = r"""
_value:
  description: >-
    One entry per login, sorted: login, full_name, accounts, the primary one first. An account has id, key, address, local_part, domain,
    full_name, organization, login, provider, incoming and outgoing (protocol, host, port, security, username), password_command, programs,
    phones, primary.
  type: list
  elements: dict
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..plugin_utils.office.account import Person
from ..plugin_utils.office.model import resolve_people as resolve
from ..plugin_utils.office.policy import Policy


def resolve_people(rows: Iterable[Mapping[str, Any]], policy: Mapping[str, Any]) -> list[Person]:
    try:
        return resolve(list(rows), Policy.of(policy))
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"resolve_people": resolve_people}
