# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The page of an office, from its document alone. Pure, no Ansible."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

# Near the beginning of every page that was made here.
MARK = b"<title>Mail of "


def page(document: Mapping[str, Any]) -> str:
    """The page as one HTML text."""
    return f"<!doctype html>\n<title>Mail of {html.escape(document['office'])}</title>\n"
