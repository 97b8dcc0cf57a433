"""Bare values of what Ansible hands to plugins. Pure, no Ansible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """Strip what ansible attaches to values (tags, laziness): only JSON types go on, and no text is rendered again."""
    if isinstance(value, str):
        return "".join(value)  # a new, bare string
    if isinstance(value, Mapping):
        return {plain(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return int(value) if isinstance(value, int) else float(value)
    return str(value)
