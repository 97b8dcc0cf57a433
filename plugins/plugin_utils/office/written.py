# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What programs' templates write of an account, tried on the office's computer before any machine is asked. Pure, no Ansible.

The functions that judge are those that write (escape.py); which of them a template uses for what is repeated in the
table here, and held against the templates by tests/unit/test_written.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..formats.escape import aerc_value, display_name, mbsync_value, msmtp_value

# RFC 5321 4.5.3.1: 64 before the @; a domain has 253 (RFC 1035 2.3.4).
_LONGEST_ADDRESS = 64 + 1 + 253


class Value(NamedTuple):
    """A text that a template writes: through which function, and what it is made of. field: what people can change about it."""

    field: str
    write: Callable[[str], str]
    text: Callable[[Mapping[str, Any]], str]


def _command(account: Mapping[str, Any]) -> str:
    return str(account["password_command"])


# Only what can be refused: what is left out takes every text that the model lets through.
VALUES: Mapping[str, Sequence[Value]] = {
    "msmtp": [
        Value("address", msmtp_value, lambda account: account["address"]),
        Value("password_command", msmtp_value, _command),
    ],
    "mbsync": [
        Value("address", mbsync_value, lambda account: f":{account['address']}-server:"),
        Value("password_command", mbsync_value, _command),
    ],
    "aerc": [
        Value("full_name", aerc_value, lambda account: f"{display_name(account['full_name'])} <{account['address']}>"),
        Value("password_command", aerc_value, _command),
    ],
}


def unwritable(account: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the programs of this account could not be told: field and why, as half a sentence."""
    for program in account["programs"]:
        for field, write, text in VALUES.get(program, ()):
            try:
                write(text(account))
            except ValueError as error:
                yield field, f"cannot be written for {program}: {error}"


def setting_problems(name: str, value: Any) -> Iterator[str]:
    """What a setting of the role `programs` could not be written as, as half sentences."""
    texts: list[tuple[Callable[[str], str], str]] = []
    if name == "terminal_maildir":
        texts = [(mbsync_value, f"~/{value}/{'x' * _LONGEST_ADDRESS}")]
    elif name == "terminal_folders":
        texts = [(aerc_value, str(folder)) for folder in value.values()]
    for write, text in texts:
        try:
            write(text)
        except ValueError as error:
            yield f"cannot be written: {error}"
    if name in ("terminal_maildir", "terminal_folders") and not all(value.values() if isinstance(value, Mapping) else [value]):
        yield "is empty, or a part of it is"
