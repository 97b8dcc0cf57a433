# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: a text as a word of neomuttrc."""

from __future__ import annotations

DOCUMENTATION = r"""
name: neomutt_value
short_description: A text as a word of neomuttrc
version_added: 0.1.0
author: charter-mail contributors
description:
  - Puts the text between single quotes, so that NeoMutt expands nothing in it.
  - Fails for control characters.
options:
  _input:
    description: The text.
    type: str
    required: true
"""

EXAMPLES = r"""
# In a template
# set real_name = {{ account.full_name | msp.charter_mail.neomutt_value }}
value: "{{ 'any text' | msp.charter_mail.neomutt_value }}"
"""

RETURN = r"""
_value:
  description: The word with its quotes.
  type: str
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError

from ..plugin_utils.formats import escape


def neomutt_value(text: str) -> str:
    try:
        return escape.neomutt_value(text)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[[str], str]]:
        return {"neomutt_value": neomutt_value}
