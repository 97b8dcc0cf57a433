# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: a text as a value of aerc's accounts.conf."""

from __future__ import annotations

DOCUMENTATION = r"""
name: aerc_value
short_description: A text as a value of aerc's accounts.conf
version_added: 0.1.0
author: charter-mail contributors
description:
  - Puts the text between backticks, so that aerc takes quotes, comment signs and backslashes in it literally.
  - Fails for a percent sign, a name in parentheses and an C(s), which aerc replaces by the setting of that name in any kind of quotes.
  - Fails for control characters.
options:
  _input:
    description: The text.
    type: str
    required: true
"""

EXAMPLES = r"""
# In a template
# source-cred-cmd = {{ account.password_command | msp.charter_mail.aerc_value }}
value: "{{ 'any text' | msp.charter_mail.aerc_value }}"
"""

RETURN = r"""
_value:
  description: The value with its backticks.
  type: str
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError

from ..plugin_utils.formats import escape


def aerc_value(text: str) -> str:
    try:
        return escape.aerc_value(text)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[[str], str]]:
        return {"aerc_value": aerc_value}
