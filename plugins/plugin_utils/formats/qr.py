# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""QR codes as pictures. Pure: text in, bytes out; the same bytes for the same text and version of segno."""

from __future__ import annotations

import contextlib
import io
from typing import Any, NamedTuple

with contextlib.suppress(ImportError):  # office/libraries.py says it
    import segno

# Version 40, level M, holds 2,331 bytes (ISO/IEC 18004, table 7), less the mark for UTF-8.
MAX_BYTES = 2329


class Pictures(NamedTuple):
    """One code as two files. svg has a viewBox and no size of its own; png has 6 pixels a module."""

    svg: bytes
    png: bytes


def pictures(text: str) -> Pictures:
    """`text` (MAX_BYTES of UTF-8 at most) as a QR code of ISO/IEC 18004, dark on light, with the quiet zone of 4 modules it needs.

    Error correction is M, and better where that does not make the code larger. Raises ValueError for more text.
    """
    # segno on its own would choose Latin-1 where that fits, and a micro code, which phones do not read. The mark that says
    # UTF-8 (ECI) keeps readers from guessing; plain ASCII needs none.
    code = segno.make(text, error="m", encoding="utf-8", eci=not text.isascii(), micro=False)
    return Pictures(
        _save(code, "svg", scale=6, light="#fff", omitsize=True, svgclass=None, lineclass=None),
        _save(code, "png", scale=6),
    )


def _save(code: segno.QRCode, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    code.save(out, kind=kind, border=4, **options)
    return out.getvalue()
