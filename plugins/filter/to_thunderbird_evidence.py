# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: regular expressions that tell from a prefs.js whether Thunderbird has an account."""

from __future__ import annotations

DOCUMENTATION = r"""
name: to_thunderbird_evidence
short_description: regular expressions that tell from a prefs.js whether Thunderbird has an account
version_added: 0.1.0
author: charter-mail contributors
description:
  - All expressions match in one file when it lists the account and its outgoing server, with the right settings.
options:
  _input:
    description: An account as role P(msp.charter_mail.mail#role) resolves it.
    type: dict
    required: true
"""

EXAMPLES = r"""
# In a template of the option evidence of msp.charter_mail.mail_files
value: "{{ account | msp.charter_mail.to_thunderbird_evidence }}"
"""

RETURN = r"""
_value:
  description: Regular expressions, one a line.
  type: str
"""

from collections.abc import Callable

from ..plugin_utils import thunderbird


class FilterModule:
    def filters(self) -> dict[str, Callable[..., str]]:
        return {"to_thunderbird_evidence": thunderbird.evidence}
