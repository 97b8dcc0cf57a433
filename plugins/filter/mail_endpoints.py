# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: people with complete accounts -> the mail servers they need."""

from __future__ import annotations

DOCUMENTATION = r"""
name: mail_endpoints
short_description: The mail servers that people need
version_added: 0.1.0
author: charter-mail contributors (!UNKNOWN)
description:
  - The servers that fetch mail for these people, and every submission server of their provider.
positional: _input, policy
options:
  _input:
    description: People as P(msp.charter_mail.resolve_people#filter) gives them.
    type: list
    elements: dict
    required: true
  policy:
    description: The office's decisions, as P(msp.charter_mail.resolve_people#filter) takes them.
    type: dict
    required: true
"""

EXAMPLES = r"""
mail_ports: "{{ mail_people | msp.charter_mail.mail_endpoints(mail_policy) | map(attribute='port') | unique | sort }}"
"""

RETURN = r"""
_value:
  description: One entry per server, with service (imap, pop, smtp), host, port, security (tls, starttls), people, needed, variants.
  type: list
  elements: dict
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..plugin_utils.office.account import Person
from ..plugin_utils.office.endpoints import Endpoint, endpoints
from ..plugin_utils.office.policy import Policy


def mail_endpoints(people: Iterable[Person], policy: Mapping[str, Any]) -> list[Endpoint]:
    return endpoints(list(people), Policy.of(policy))


class FilterModule:
    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"mail_endpoints": mail_endpoints}
