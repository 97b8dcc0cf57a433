"""Let tests import the collection by its full name from a plain clone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "collections"))


@pytest.fixture(autouse=True)
def _in_an_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands write below the folder they are started in: never into the clone, where people have their own offices' files."""
    monkeypatch.chdir(tmp_path)
