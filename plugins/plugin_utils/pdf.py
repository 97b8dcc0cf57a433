# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A hand-out as PDF, by WeasyPrint: tagged for screen readers (PDF/UA-1), without a date, the same bytes for the same page and fonts.

No Ansible, no file, no network: an address in the page that is not a data: URI is refused. WeasyPrint is an option of the office's control
machine: where missing() says something, there are no PDFs, and nothing else is worse for it.

Chosen before a headless browser on 2026-11-25 (WeasyPrint 70.0, Chromium 156; two phones, one page, one loaded core): 0.3 s a page against
1 s by a process of its own and 0.2 s by a browser that is kept running; but no browser to install and to drive, and no date in the file.
"""

from __future__ import annotations

import importlib
from typing import Any, Literal

Paper = Literal["letter", "a4"]

PAPERS: dict[Paper, str] = {"letter": "Letter", "a4": "A4"}


def missing() -> str:
    """Why there can be no PDF, with what to install, in one sentence; empty when there can."""
    try:
        _weasyprint()
    except ImportError:
        return "PDFs were left out: WeasyPrint is not installed (pip install weasyprint)"
    except OSError:
        libraries = "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"
        return f"PDFs were left out: WeasyPrint does not find the library Pango (Debian: apt-get install {libraries})"
    return ""


def to_pdf(html: str, paper: Paper = "letter") -> bytes:
    """The page as PDF on the paper. Raises ImportError or OSError where missing() says something."""
    weasyprint = _weasyprint()
    fetcher = weasyprint.urls.URLFetcher(allowed_protocols=("data",))
    size = weasyprint.CSS(string=f"@page {{ size: {PAPERS[paper]} }}")
    document: bytes = weasyprint.HTML(string=html, url_fetcher=fetcher).write_pdf(stylesheets=[size], pdf_variant="pdf/ua-1")
    return document


def _weasyprint() -> Any:
    # Not at the top: it takes half a second, and need not be there.
    return importlib.import_module("weasyprint")
