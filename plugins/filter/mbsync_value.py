# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: a text as a value of mbsyncrc."""

from __future__ import annotations

DOCUMENTATION = r"""
name: mbsync_value
short_description: A text as a value of mbsyncrc
version_added: 0.1.0
author: charter-mail contributors
description:
  - Puts the text between double quotes, with a backslash before backslashes and double quotes.
  - Fails when the line would be longer than mbsync reads.
  - Fails for control characters.
options:
  _input:
    description: The text.
    type: str
    required: true
"""

EXAMPLES = r"""
# In a template
# PassCmd {{ account.password_command | msp.charter_mail.mbsync_value }}
value: "{{ 'any text' | msp.charter_mail.mbsync_value }}"
"""

RETURN = r"""
_value:
  description: The value with its quotes.
  type: str
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError

from ..plugin_utils.formats import escape


def mbsync_value(text: str) -> str:
    try:
        return escape.mbsync_value(text)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[[str], str]]:
        return {"mbsync_value": mbsync_value}
