# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: accounts as what Thunderbird reads."""

from __future__ import annotations

DOCUMENTATION = r"""
name: to_thunderbird
short_description: Accounts as what Thunderbird reads
version_added: 0.1.0
author: charter-mail contributors (!UNKNOWN)
description:
  - Without a domain, people's accounts as the JSON block of the AutoConfig script, a valid JavaScript expression, pure ASCII, one person
    a line.
  - With a domain, its accounts as the element C(clientConfig), version 1.1, without XML declaration. Mail programs read it when a person
    adds an account by hand. IMAP comes before POP; of several servers the one that most accounts use comes first. Mail
    stays on a POP server.
  - Holds no password.
positional: _input, domain
options:
  _input:
    description: People as role P(msp.charter_mail.mail#role) resolves them, each with C(login) and C(accounts); with O(domain), accounts.
    type: list
    elements: dict
    required: true
  domain:
    description: The mail domain, lower-case.
    type: str
    default: ""
"""

EXAMPLES = r"""
# In a template
# var PEOPLE = {{ people | msp.charter_mail.to_thunderbird }};
value: "{{ accounts | msp.charter_mail.to_thunderbird('example.org') }}"
"""

RETURN = r"""
_value:
  description: The text.
  type: str
"""

from collections.abc import Callable
from typing import Any

from ..plugin_utils.formats import thunderbird


def to_thunderbird(people_or_accounts: list[Any], domain: str = "") -> str:
    return thunderbird.client_config(people_or_accounts, domain) if domain else thunderbird.people_json(people_or_accounts)


class FilterModule:
    def filters(self) -> dict[str, Callable[..., str]]:
        return {"to_thunderbird": to_thunderbird}
