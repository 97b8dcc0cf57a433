# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: the people of a Mac -> the same with the profiles that were made for them."""

from __future__ import annotations

DOCUMENTATION = r"""
name: mac_people
short_description: The people of a Mac with their profiles
version_added: 0.1.0
author: charter-mail contributors (!UNKNOWN)
description:
  - Finds each person's configuration profile among those that M(msp.charter_mail.mobile_files) made.
  - Fails with the names of people for whom none was made.
positional: _input, made
options:
  _input:
    description: People with complete accounts, as P(msp.charter_mail.resolve_people#filter) gives them.
    type: list
    elements: dict
    required: true
  made:
    description: What M(msp.charter_mail.mobile_files) returned.
    type: dict
    required: true
"""

EXAMPLES = r"""
people: "{{ mail_people | msp.charter_mail.mac_people(mobile_result) }}"
"""

RETURN = r"""
_value:
  description: >-
    One entry per login: login, full_name, accounts (all of the program apple_mail), addresses, and two paths on the controller, signed (the
    profile to hand out) and profile (the same without a signature).
  type: list
  elements: dict
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..plugin_utils.handout import macs
from ..plugin_utils.office.account import Person


def mac_people(people: Iterable[Person], made: Mapping[str, Any]) -> list[dict[str, Any]]:
    try:
        return macs.mac_people(list(people), made)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"mac_people": mac_people}
