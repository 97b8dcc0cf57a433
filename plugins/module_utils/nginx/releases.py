# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The profiles of an office on a web server: a folder for each release, and a link to the one that is served.

Nothing else is remembered of them: the folder has the digest of its content as its name, so that what is served is known by looking.
Runs on machines: Python 3.8, standard library only.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import Dict, List

from ansible_collections.msp.charter_mail.plugins.module_utils.nginx import site

DATA = Path("/var/lib/charter-mail-profiles")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Releases:
    """The releases of one office."""

    def __init__(self, office: str) -> None:
        self.home = DATA / office
        # A link to the folder that is served.
        self.current = self.home / "current"

    def served(self) -> str:
        """The digest of the profiles that are in the folder, or nothing."""
        if self.current.is_dir():
            return site.digest({str(path.relative_to(self.current)): path.read_bytes() for path in self.current.glob("*/*")})
        return ""

    def linked(self) -> str:
        """The name of the folder that is served, or nothing."""
        return self.current.resolve().name if self.current.is_symlink() else ""

    def names(self) -> List[str]:
        """The profiles that are served."""
        return sorted(path.name for path in self.current.glob("*/*"))

    def unpack(self, digest: str, files: Dict[str, str], group: int) -> None:
        """A folder with all profiles, which nginx's workers can read and nobody else. files: base64 by name. group: the workers'."""
        DATA.mkdir(exist_ok=True)
        DATA.chmod(0o755)
        new = self.home / digest
        if new.exists():
            shutil.rmtree(str(new))
        new.mkdir(parents=True)
        for name in sorted(files):
            path = new / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(base64.b64decode(files[name]))
        for path in [self.home, new, *new.rglob("*")]:
            os.chown(str(path), 0, group)
            path.chmod(0o750 if path.is_dir() else 0o640)

    def point(self, folder: str) -> None:
        """Let a folder be the one that is served, in one step."""
        half = self.home / ".next"
        with contextlib.suppress(FileNotFoundError):
            half.unlink()
        half.symlink_to(folder)
        half.replace(self.current)

    def leave(self, folder: str) -> None:
        """Remove all profiles but these."""
        for path in self.home.iterdir():
            if _DIGEST.fullmatch(path.name) and path.name != folder:
                shutil.rmtree(str(path))

    def remove(self) -> None:
        """Take all of them away."""
        if self.home.is_dir():
            shutil.rmtree(str(self.home))
        # Other offices' profiles may be in it.
        with contextlib.suppress(OSError):
            DATA.rmdir()
