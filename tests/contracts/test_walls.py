"""The wings of the house keep to themselves: who may import whom."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
PREFIX = "ansible_collections.msp.charter_mail.plugins."
SIDES = ("module_utils", "plugin_utils")
MODULES = sorted(path for side in SIDES for path in (PLUGINS / side).rglob("*.py"))

# What a wing may import besides itself. masking is everybody's: what must not be shown.
MACHINE = {
    "files": set(),
    "stored": {"files"},
    "servers": {"files", "stored"},
    "firewall": {"files"},
    "mac": {"files"},
    "nginx": set(),
    "masking.py": set(),
}
CONTROLLER = {
    # One leaf of the formats, which says whether a text can be written for a program: what cannot is told with the rest of the list.
    "office": {"formats/escape"},
    "formats": {"office"},
    "files": {"office"},
    "handout": {"office", "formats", "files"},
    "report": {"office", "files"},
}


def name_of(path: Path) -> str:
    """As in plugin_utils/office/problem."""
    return str(path.relative_to(PLUGINS).with_suffix(""))


def imports(path: Path) -> Iterator[str]:
    """Modules of this collection that a file imports, called as by name_of()."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                folder = path.parents[node.level - 1].relative_to(PLUGINS)
                base = "/".join([*folder.parts, *(node.module or "").split(".")]).rstrip("/")
            elif (node.module or "").startswith(PREFIX):
                base = (node.module or "").removeprefix(PREFIX).replace(".", "/")
            else:
                continue
            for alias in node.names:
                whole = f"{base}/{alias.name}"
                yield whole if (PLUGINS / f"{whole}.py").is_file() else base


def wing(name: str) -> tuple[str, str]:
    side, _, rest = name.partition("/")
    return side, rest.partition("/")[0] if "/" in rest else f"{rest}.py"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_wing_imports_what_it_may(path: Path) -> None:
    side, mine = wing(name_of(path))
    allowed = (MACHINE if side == "module_utils" else CONTROLLER)[mine]
    for other in imports(path):
        other_side, theirs = wing(other)
        if other_side == "module_utils" and side == "plugin_utils":
            # What both sides must say alike: names of links, passwords in a text.
            assert other in ("module_utils/masking", "module_utils/nginx/site"), other
            continue
        assert other_side == side, f"{other} is the controller's"
        short = other.partition("/")[2]
        assert theirs in (mine, "masking.py") or theirs in allowed or short in allowed, other


def test_only_adapters_import_the_report() -> None:
    for path in MODULES:
        if wing(name_of(path))[1] != "report":
            assert not [other for other in imports(path) if wing(other) == ("plugin_utils", "report")], path


def test_nothing_imports_itself_in_a_circle() -> None:
    graph = {name_of(path): {*imports(path)} for path in MODULES}

    def walk(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join([*way, name])
        for other in graph.get(name, ()):
            if other not in done:
                walk(other, (*way, name))
        done.add(name)

    done: set[str] = set()
    for start in graph:
        walk(start, ())
