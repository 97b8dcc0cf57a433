"""Filter to_thunderbird_accounts."""

from __future__ import annotations

DOCUMENTATION = r"""
name: to_thunderbird_accounts
short_description: People's accounts as the JSON block of Thunderbird's AutoConfig file
version_added: "0.1.0"
description:
  - Turns the people of a machine into a JSON array that is also a valid JavaScript expression.
  - The text is pure ASCII and holds no password.
options:
  _input:
    description: People as role C(mail) resolves them, each with C(login) and C(accounts).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what Thunderbird would be given
  ansible.builtin.debug:
    msg: "{{ mail_people | msp.charter_mail.to_thunderbird_accounts }}"
"""

RETURN = r"""
_value:
  description: JSON text, one person a line.
  type: string
"""

from collections.abc import Callable

from ansible_collections.msp.charter_mail.plugins.plugin_utils.thunderbird import people_json


class FilterModule:
    """Names of the filters in this file."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Filter name to function."""
        return {"to_thunderbird_accounts": people_json}
