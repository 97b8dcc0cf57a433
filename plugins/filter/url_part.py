# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: a text percent-encoded as a part of a URL."""

from __future__ import annotations

DOCUMENTATION = r"""
name: url_part
short_description: A text percent-encoded as a part of a URL
version_added: 0.1.0
author: charter-mail contributors
description:
  - Encodes everything but letters, digits and C(-._~). Unlike the filter P(ansible.builtin.urlencode#filter) it encodes the slash as well.
  - Fails for control characters.
options:
  _input:
    description: The text.
    type: str
    required: true
"""

EXAMPLES = r"""
# In a template
# source = imaps://{{ account.incoming.username | msp.charter_mail.url_part }}@{{ account.incoming.host }}
value: "{{ 'any text' | msp.charter_mail.url_part }}"
"""

RETURN = r"""
_value:
  description: The encoded text.
  type: str
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError

from ..plugin_utils.formats import escape


def url_part(text: str) -> str:
    try:
        return escape.url_part(text)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[[str], str]]:
        return {"url_part": url_part}
