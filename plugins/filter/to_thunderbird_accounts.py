# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: people's accounts as the JSON block of Thunderbird's AutoConfig script."""

from __future__ import annotations

DOCUMENTATION = r"""
name: to_thunderbird_accounts
short_description: people's accounts as the JSON block of Thunderbird's AutoConfig script
version_added: 0.1.0
author: charter-mail contributors
description:
  - The text is a JSON array, a valid JavaScript expression, pure ASCII, and holds no password.
options:
  _input:
    description: People as role P(msp.charter_mail.mail#role) resolves them, each with C(login) and C(accounts).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
# In a template
# var PEOPLE = {{ people | msp.charter_mail.to_thunderbird_accounts }};
value: "{{ mail_people | msp.charter_mail.to_thunderbird_accounts }}"
"""

RETURN = r"""
_value:
  description: JSON text, one person a line.
  type: str
"""

from collections.abc import Callable

from ..plugin_utils.formats import thunderbird


class FilterModule:
    def filters(self) -> dict[str, Callable[..., str]]:
        return {"to_thunderbird_accounts": thunderbird.people_json}
