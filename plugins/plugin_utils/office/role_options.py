# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the options of roles can be, in words for people. Pure, no Ansible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import names
from .problem import did_you_mean, quoted

_KINDS = {
    "bool": "true or false",
    "int": "a whole number",
    "list": "a list",
    "str": "a text",
    "path": "a path",
}


def expected(spec: Mapping[str, Any], value: Any) -> str:
    """What a value that does not fit an option should have been, as half a sentence. spec: the option in an argument spec."""
    shown = "what is there" if spec.get("no_log") else quoted(str(value))
    if choices := spec.get("choices"):
        odd = next((str(each) for each in (value if isinstance(value, list) else [value]) if each not in choices), "")
        return f"{quoted(odd)} is not {' or '.join(choices)}{did_you_mean(odd, choices)}"
    if keys := spec.get("options"):
        return f"{shown} is not {{{', '.join(keys)}}}"
    if spec["type"] == "list" and isinstance(value, list):
        return f"{shown} is not a list with nothing but {_KINDS.get(spec.get('elements', 'str'), 'such things')} in it"
    return f"{shown} is not {_KINDS.get(spec['type'], spec['type'])}"


def has_control(value: Any) -> bool:
    """Whether a text, or one in a list or a dictionary, has a control character."""
    if isinstance(value, Mapping):
        return any(map(has_control, value.values()))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return any(map(has_control, value))
    return isinstance(value, str) and names.has_control(value)
