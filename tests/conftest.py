"""Let tests import the collection by its full name from a plain clone."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "collections"))

# A folder of its own for each run of pytest: one that begins shuts the folder that all share to everybody but its user, and with it the
# homes of the throw-away logins of a run that is under way.
if "PYTEST_XDIST_WORKER" not in os.environ and "PYTEST_DEBUG_TEMPROOT" not in os.environ:
    os.environ["PYTEST_DEBUG_TEMPROOT"] = tempfile.mkdtemp(prefix="charter-mail-tests-")
    atexit.register(shutil.rmtree, os.environ["PYTEST_DEBUG_TEMPROOT"], ignore_errors=True)

# The machine may be busy: how long a test takes says nothing.
settings.register_profile("charter-mail", deadline=None)
settings.load_profile("charter-mail")


@pytest.fixture(autouse=True)
def _in_an_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands write below the folder they are started in: never into the clone, where people have their own offices' files."""
    monkeypatch.chdir(tmp_path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first, so that no worker is left alone with one at the end: those that run things, then by their tests."""
    files = Counter(item.path for item in items)
    items.sort(key=lambda item: ("integration" not in item.path.parts, -files[item.path], str(item.path)))
