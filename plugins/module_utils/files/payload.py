# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The parcel of all files of a task: JSON, gzip, base64, so that it fits one argument of one module run.

Used on both sides. Python 3.8, standard library only.
"""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any, Dict


def pack(data: Dict[str, Any]) -> str:
    """The parcel as ASCII text; equal data give equal text."""
    raw = json.dumps(data, sort_keys=True, ensure_ascii=False).encode("utf-8")
    return base64.b64encode(gzip.compress(raw, mtime=0)).decode("ascii")


def unpack(text: str) -> Dict[str, Any]:
    """The data of a parcel. Raises ValueError for anything else."""
    try:
        data = json.loads(gzip.decompress(base64.b64decode(text, validate=True)).decode("utf-8"))
    except (OSError, EOFError) as error:
        raise ValueError("not a parcel of files") from error
    if not isinstance(data, dict):
        raise ValueError("not a parcel of files")
    return data


def home_below(platform: str, login: str) -> str:
    """The home of a login below a prefix, by the platform's convention (drive ``C:`` is the directory ``C``)."""
    if platform == "macos":
        return "/Users/" + login
    if platform == "windows":
        return "/C/Users/" + login
    return "/root" if login == "root" else "/home/" + login
