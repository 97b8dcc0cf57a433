"""Filter to_client_config."""

from __future__ import annotations

DOCUMENTATION = r"""
name: to_client_config
short_description: Accounts of a mail domain as clientConfig XML
version_added: "0.1.0"
description:
  - Mail programs read it when a person adds an account by hand.
  - IMAP comes before POP; of several servers the one that most accounts use comes first. Mail stays on a POP server.
options:
  _input:
    description: Accounts of the domain as role C(mail) resolves them.
    type: list
    elements: dict
    required: true
  domain:
    description: The mail domain, lower-case.
    type: string
    required: true
positional: domain
"""

EXAMPLES = r"""
- name: Show what the account wizard would be given
  ansible.builtin.debug:
    msg: "{{ accounts | msp.charter_mail.to_client_config('example.org') }}"
"""

RETURN = r"""
_value:
  description: The element C(clientConfig), version 1.1, without XML declaration.
  type: string
"""

from collections.abc import Callable

from ansible_collections.msp.charter_mail.plugins.plugin_utils.thunderbird import client_config


class FilterModule:
    """Names of the filters in this file."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Filter name to function."""
        return {"to_client_config": client_config}
