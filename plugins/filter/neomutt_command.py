# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: a shell command as the value of a C(set) in neomuttrc."""

from __future__ import annotations

DOCUMENTATION = r"""
name: neomutt_command
short_description: A shell command as the value of a C(set) in neomuttrc
version_added: 0.1.0
author: charter-mail contributors
description:
  - NeoMutt runs the command and takes the first line of what it prints as the value.
  - >-
    The result stands behind C(set name =); where a whole C(set) is the argument of a hook it goes through
    P(msp.charter_mail.neomutt_value#filter) as well.
  - Fails for control characters.
options:
  _input:
    description: The text.
    type: str
    required: true
"""

EXAMPLES = r"""
# In a template
# set imap_pass = {{ account.password_command | msp.charter_mail.neomutt_command }}
value: "{{ 'any text' | msp.charter_mail.neomutt_command }}"
"""

RETURN = r"""
_value:
  description: The command in backticks, those in double quotes.
  type: str
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError

from ..plugin_utils.formats import escape


def neomutt_command(text: str) -> str:
    try:
        return escape.neomutt_command(text)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[[str], str]]:
        return {"neomutt_command": neomutt_command}
