# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Libraries that may be missing where the collection was installed without its requirements.txt. What needs one passes over the import
that fails, so that everything else works; what starts the work asks here first.
"""

from __future__ import annotations

from importlib.util import find_spec

from .problem import Problem


def missing(*names: str) -> list[Problem]:
    """The libraries of these that are not there, with what to do."""
    return [
        Problem("this computer", what=f"has no Python library {name}; install it where ansible-playbook is: python -m pip install {name}")
        for name in names
        if find_spec(name) is None
    ]
