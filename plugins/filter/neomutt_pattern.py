# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: a text as a regular expression for NeoMutt's mailbox addresses."""

from __future__ import annotations

DOCUMENTATION = r"""
name: neomutt_pattern
short_description: A text as a regular expression for NeoMutt's mailbox addresses
version_added: 0.1.0
author: charter-mail contributors
description:
  - For the pattern of C(account-hook) and C(folder-hook), which are regular expressions.
  - Matches the text as it is and percent-encoded, since NeoMutt uses both spellings.
  - Fails for control characters.
options:
  _input:
    description: The text.
    type: str
    required: true
"""

EXAMPLES = r"""
# In a template
# account-hook '://{{ account.incoming.username | msp.charter_mail.neomutt_pattern }}' 'unset imap_pass'
value: "{{ 'any text' | msp.charter_mail.neomutt_pattern }}"
"""

RETURN = r"""
_value:
  description: A POSIX extended regular expression, not anchored, without quotes.
  type: str
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError

from ..plugin_utils.formats import escape


def neomutt_pattern(text: str) -> str:
    try:
        return escape.neomutt_pattern(text)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[[str], str]]:
        return {"neomutt_pattern": neomutt_pattern}
