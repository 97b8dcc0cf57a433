"""What an office says of the look at its servers: products known to read mail connections, and the time. Pure, no Ansible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .names import is_number
from .problem import Problem, did_you_mean, quoted

# Longer than anybody waits.
_LONGEST = 3600
_KEYS = ("product", "issuer", "remedy", "ours")


def check_timeout(seconds: Any, where: str) -> list[Problem]:
    """What is wrong with the seconds a look may take."""
    if isinstance(seconds, bool) or not is_number(str(seconds), 2, _LONGEST):
        return [Problem(where, field="reachability_timeout", what=f"{quoted(str(seconds))} is not a number of seconds, 2 or more")]
    return []


def check(entries: Any, where: str) -> list[Problem]:
    """Everything that is wrong with a list of {product, issuer: [texts], remedy}, or with ours: true for an authority of the office's own.

    where: the file it is in.
    """
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        return [Problem(where, field="reachability_interceptors", what="must be a list of {product, issuer, remedy}")]
    found: list[Problem] = []
    for number, entry in enumerate(entries):
        name = f"reachability_interceptors[{number}]"
        if not isinstance(entry, Mapping):
            found.append(Problem(where, field=name, what="must be {product, issuer, remedy}"))
            continue
        ours = entry.get("ours", False)
        if not isinstance(ours, bool):
            found.append(Problem(where, field=f"{name}.ours", what="must be true or false"))
        for key in ("product",) if ours else ("product", "remedy"):
            if not isinstance(entry.get(key), str) or not entry[key].strip():
                found.append(Problem(where, field=f"{name}.{key}", what="is missing or empty"))
        texts = entry.get("issuer")
        if not isinstance(texts, Sequence) or isinstance(texts, str) or not texts:
            found.append(Problem(where, field=f"{name}.issuer", what="must be a list of texts that stand in the name of the issuer"))
        else:
            # A shorter text would be in the name of half the world's authorities.
            found += [
                Problem(where, field=f"{name}.issuer", what=f"{quoted(str(text))} is too short to tell a product by (4 characters)")
                for text in texts
                if len(str(text).strip()) < 4
            ]
        found += [
            Problem(where, field=f"{name}.{key}", what=f"is not known{did_you_mean(str(key), _KEYS)}; known are: {', '.join(_KEYS)}")
            for key in entry
            if key not in _KEYS
        ]
    return found
