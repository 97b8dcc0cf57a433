# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: accounts of a mail domain as clientConfig XML."""

from __future__ import annotations

DOCUMENTATION = r"""
name: to_client_config
short_description: accounts of a mail domain as clientConfig XML
version_added: 0.1.0
author: charter-mail contributors
description:
  - Mail programs read it when a person adds an account by hand.
  - IMAP comes before POP; of several servers the one that most accounts use comes first. Mail stays on a POP server.
positional: domain
options:
  _input:
    description: Accounts of the domain as role P(msp.charter_mail.mail#role) resolves them.
    type: list
    elements: dict
    required: true
  domain:
    description: The mail domain, lower-case.
    type: str
    required: true
"""

EXAMPLES = r"""
# In a template
value: "{{ accounts | msp.charter_mail.to_client_config('example.org') }}"
"""

RETURN = r"""
_value:
  description: The element C(clientConfig), version 1.1, without XML declaration.
  type: str
"""

from collections.abc import Callable

from ..plugin_utils.formats import thunderbird


class FilterModule:
    def filters(self) -> dict[str, Callable[..., str]]:
        return {"to_client_config": thunderbird.client_config}
