# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Copies of what was there before a file is replaced or removed, beside the one it belongs to.

Copies of a person's file lie in that person's home and are made with that person's rights: there may be passwords in them.
``NAME.1`` is the newest of a few. ``NAME.DIGEST.original`` is what was there before this project came; it is never rotated out.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import hashlib
import os
from typing import NamedTuple, Optional, Tuple
from urllib.parse import quote

from ansible_collections.msp.charter_mail.plugins.module_utils.files import contents, paths

HOME = ".local/state/charter-mail"
"""Where a person's copies are, below the home. Source: XDG Base Directory Specification 0.8, XDG_STATE_HOME."""


class Attic(NamedTuple):
    """Where copies go: ``relative`` to the anchor. ``keep``: how many newest ones of a file, without the original."""

    anchor: paths.Anchor
    relative: str
    keep: int

    def keep_newest(self, path: str, content: bytes) -> None:
        """Keep ``content`` as the newest copy of ``path``, unless it already is. Raises OSError, paths.Refused: nothing is lost then."""
        if self.keep < 1:
            return
        place = self._place(_name(path) + ".1", make=True)
        try:
            found = contents.read(place)
            if found is not None and found.content == content:
                return
            temporary = contents.stage(place, content, 0o600, None)  # a full disk shows here, before anything older is moved
            self._make_room(place)
            contents.put(place, temporary)
        finally:
            paths.close(place)

    def keep_original(self, path: str, found: paths.Found) -> None:
        """Keep what was there before this project, with its mode. Raises OSError, paths.Refused."""
        place = self._place(_name(path) + ".%s.original" % hashlib.sha256(found.content).hexdigest()[:16], make=True)
        try:
            if contents.read(place) is None:
                contents.put(place, contents.stage(place, found.content, found.mode, None))
        finally:
            paths.close(place)

    def original(self, path: str) -> Optional[Tuple[str, paths.Found]]:
        """Name and content of the latest that :meth:`keep_original` kept; None when there is none. Raises OSError, paths.Refused."""
        place = self._place(_name(path), make=False)
        if place.handle is None:
            return None
        try:
            names = [name for name in os.listdir(place.handle) if name.startswith(place.name + ".") and name.endswith(".original")]
            names.sort(key=lambda name: os.stat(name, dir_fd=place.handle, follow_symlinks=False).st_mtime_ns)
            found = contents.read(place._replace(name=names[-1])) if names else None
            return None if found is None else (names[-1], found)
        finally:
            paths.close(place)

    def forget_original(self, name: str) -> None:
        """It is back in its place. Raises OSError, paths.Refused."""
        place = self._place(name, make=False)
        try:
            if place.handle is not None:
                contents.discard(place, place.name)
        finally:
            paths.close(place)

    def move_in(self, source: paths.Place, path: str) -> None:
        """Take a file that cannot be read as the newest copy, by its name alone. Raises OSError, paths.Refused."""
        place = self._place(_name(path) + ".1", make=True)
        try:
            self._make_room(place)
            os.rename(source.name, place.name, src_dir_fd=source.handle, dst_dir_fd=place.handle)
        finally:
            paths.close(place)

    def move_out(self, target: paths.Place, path: str) -> None:
        """Undo :meth:`move_in`. Raises OSError, paths.Refused."""
        place = self._place(_name(path) + ".1", make=False)
        try:
            os.rename(place.name, target.name, src_dir_fd=place.handle, dst_dir_fd=target.handle)
        finally:
            paths.close(place)

    def _place(self, name: str, make: bool) -> paths.Place:
        place = paths.locate(self.anchor, "%s/%s" % (self.relative, name), 0o700 if make else None)
        if make:
            contents.sweep(place)
        return place

    def _make_room(self, place: paths.Place) -> None:
        stem = place.name[: -len(".1")]
        for number in range(max(self.keep, 1), 1, -1):
            contents.move(place, "%s.%d" % (stem, number - 1), "%s.%d" % (stem, number))
        number = max(self.keep, 1) + 1
        while contents.discard(place, "%s.%d" % (stem, number)):  # a lower limit than last time
            number += 1


def _name(path: str) -> str:
    name = quote(path, safe="~ ")
    if len(name) > 200:
        name = name[:150] + "-" + hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return name
