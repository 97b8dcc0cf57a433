# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: a text as a value of a program's format."""

from __future__ import annotations

DOCUMENTATION = r"""
name: as_value
short_description: A text as a value of a program's format
version_added: 0.1.0
author: charter-mail contributors (!UNKNOWN)
description:
  - Writes any text so that the program reads it back unchanged, with its quotes where the format has some.
  - Fails for control characters, and for what the format cannot hold. What is refused, and by which source, is in
    C(plugins/plugin_utils/formats/escape.py).
positional: _input, format
options:
  _input:
    description: The text.
    type: str
    required: true
  format:
    description:
      - V(msmtprc), V(mbsyncrc), V(aerc) are values of those files, V(neomuttrc) is a word, V(neomuttrc_command) a shell command whose
        output is the value of a C(set), V(neomuttrc_pattern) a regular expression that finds the text in mailbox addresses.
      - V(url) is a part of a URL, V(display_name) the name part of a From header.
    type: str
    required: true
    choices: [msmtprc, mbsyncrc, neomuttrc, neomuttrc_command, neomuttrc_pattern, aerc, url, display_name]
"""

EXAMPLES = r"""
# In a template
# passwordeval {{ account.password_command | msp.charter_mail.as_value('msmtprc') }}
value: "{{ 'any text' | msp.charter_mail.as_value('msmtprc') }}"
"""

RETURN = r"""
_value:
  description: The value as it stands in the file.
  type: str
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError

from ..plugin_utils.formats.escape import FORMATS


def as_value(text: str, format: str) -> str:  # noqa: A002  the word that templates use
    if format not in FORMATS:
        raise AnsibleFilterError(f"as_value knows no format {format!r}; it knows {', '.join(FORMATS)}")
    try:
        return FORMATS[format](text)
    except ValueError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, Callable[[str, str], str]]:
        return {"as_value": as_value}
