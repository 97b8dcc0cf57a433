# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: a person's name as it stands in a From header."""

from __future__ import annotations

DOCUMENTATION = r"""
name: display_name
short_description: A person's name as it stands in a From header
version_added: 0.1.0
author: charter-mail contributors
description:
  - Puts the name between double quotes, with a backslash before backslashes and double quotes (RFC 5322, 3.2.4).
  - Fails for control characters.
options:
  _input:
    description: The text.
    type: str
    required: true
"""

EXAMPLES = r"""
# In a template
# from = {{ account.full_name | msp.charter_mail.display_name }} <{{ account.address }}>
value: "{{ 'any text' | msp.charter_mail.display_name }}"
"""

RETURN = r"""
_value:
  description: The name with its quotes.
  type: str
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError

from ..plugin_utils.formats import escape


def display_name(text: str) -> str:
    try:
        return escape.display_name(text)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[[str], str]]:
        return {"display_name": display_name}
