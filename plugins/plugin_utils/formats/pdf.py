# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A hand-out as PDF, by WeasyPrint: tagged for screen readers (PDF/UA-1), without a date, the same bytes for the same page and fonts.

No Ansible, no file, no network: an address in the page that is not a data: URI is refused. WeasyPrint is an option of the office's control
machine: where missing() says something, there are no PDFs, and nothing else is worse for it.

Chosen before a headless browser on 2026-11-25 (WeasyPrint 70.0, Chromium 156; two phones, one page, one loaded core): 0.3 s a page against
1 s by a process of its own and 0.2 s by a browser that is kept running; but no browser to install and to drive, and no date in the file.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any, Literal

Paper = Literal["letter", "a4"]

# Points of the usual text; the smallest is what people without glasses still read, with hints at 0.9 of it.
SIZES = (14, 12, 11, 10, 9)
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
    """The page as PDF: on one side of the paper in the largest type with which it fits there, else on two sides. Raises ImportError or
    OSError where missing() says something.
    """
    weasyprint = _weasyprint()
    page = weasyprint.HTML(string=html, url_fetcher=weasyprint.urls.URLFetcher(allowed_protocols=("data",)))

    @functools.cache
    def laid_out(size: float) -> Any:
        # What a user wants goes before what a page says only when it is important.
        rules = f"@page {{ size: {PAPERS[paper]} }} html {{ font-size: {size}pt !important }}"
        return page.render(stylesheets=[weasyprint.CSS(string=rules)], pdf_variant="pdf/ua-1")

    tried = ((sides, laid_out(size)) for sides in (1, 2) for size in SIZES)
    found = next((layout for sides, layout in tried if len(layout.pages) <= sides), laid_out(SIZES[-1]))
    document: bytes = found.write_pdf(pdf_variant="pdf/ua-1")
    return document


def _weasyprint() -> Any:
    # Not at the top: it takes half a second, and need not be there.
    return importlib.import_module("weasyprint")
