# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reach a file below a directory without being led out of it, and replace it in one step.

Every path is walked one component at a time with directory handles and O_NOFOLLOW. Links are read and followed here,
by the rules of the :class:`Anchor`, so that nobody can swap a directory for a link between a check and the write.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from typing import List, NamedTuple, Optional, Tuple

MAX_LINKS = 40  # like the Linux kernel
_DIR_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Refused(Exception):
    """The path is not safe to use. The message is one sentence for people."""


class Unreadable(Refused):
    """A regular file that is there and may not be read. ``found`` is what can be told from outside; it has no content."""

    def __init__(self, found: Found):
        super().__init__("it cannot be read by the one it should belong to")
        self.found = found


class Anchor(NamedTuple):
    """The directory a path may not leave.

    kind ``home``: somebody's home; a link may point anywhere inside, nowhere else.
    kind ``machine``: the file system (or the directory that stands for it); every directory on the way must be ours
    alone, because in a directory that others can write to, they could put a link in our way.
    """

    path: str
    kind: str

    def open(self) -> Optional[int]:
        """A handle on the directory, None where it does not exist (yet)."""
        try:
            handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            self.check(handle, self.path)
        except Refused:
            os.close(handle)
            raise
        return handle

    def check(self, handle: int, shown: str) -> None:
        """Raise Refused unless the directory behind the handle can be trusted."""
        if self.kind != "machine":
            return
        info = os.fstat(handle)
        if info.st_uid not in (0, os.geteuid()):
            raise Refused("%s belongs to uid %d, so what is in it cannot be trusted" % (shown, info.st_uid))
        if info.st_mode & stat.S_ISVTX:
            return  # like /tmp: others can add names, but not take ours away; what is there is looked at by its owner
        open_to_group = info.st_mode & stat.S_IWGRP and info.st_gid not in _trusted_groups()
        if info.st_mode & stat.S_IWOTH or open_to_group:
            raise Refused("others than its owner can write to %s, so what is in it cannot be trusted" % shown)

    def inside(self, target: str) -> Optional[List[str]]:
        """The components of an absolute link target below this anchor; None when it points out of it."""
        if self.kind == "machine":
            return _split(target)
        for base in (self.path, os.path.realpath(self.path)):
            if target == base or target.startswith(base.rstrip("/") + "/"):
                return _split(target[len(base) :])
        return None


class Place(NamedTuple):
    """A file's directory (an open handle; None: there is none) and name, links resolved. Ends with :func:`close`."""

    handle: Optional[int]
    name: str
    made: List[str]  # directories made on the way, relative to the anchor, outermost first
    inner: str  # the resolved path relative to the anchor
    links: Tuple[str, ...] = ()  # the links that stood for the file itself, the first one first, relative to the anchor


class Found(NamedTuple):
    """A regular file as it was read, or a link that is looked at as a file of its own."""

    content: bytes
    mode: int
    uid: int
    gid: int
    mark: Tuple[int, int, int, int]  # inode, size, mtime, ctime: tells whether it changed since
    link: Optional[str] = None  # where it leads, for a link


def _trusted_groups() -> Tuple[int, ...]:
    groups = [0]
    if os.geteuid():
        groups.append(os.getegid())
    elif sys.platform == "darwin":
        groups.append(80)  # admin: owns /Applications and the like, its members are administrators
    return tuple(groups)


def _split(path: str) -> List[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def locate(anchor: Anchor, relative: str, dir_mode: Optional[int] = None, follow: bool = True) -> Place:
    """Find the directory that holds the file ``relative``; make the missing directories when ``dir_mode`` is given.

    A link in the file's place is followed, unless ``follow`` is false: then the link itself is what was asked for.

    Raises Refused for a path that leaves the anchor or cannot be trusted, OSError for what the system says.
    """
    handle = anchor.open()
    if handle is None:
        return Place(None, "", [], relative)
    walk = _Walk(anchor, relative, dir_mode, handle, follow)
    try:
        while walk.queue:
            place = walk.step()
            if place is not None:
                return place
        raise Refused("%s is a directory" % os.path.join(anchor.path, relative))
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EEXIST):
            raise Refused("%s changed while it was looked at" % os.path.join(anchor.path, relative)) from None
        raise
    finally:
        for left in walk.handles:
            os.close(left)


class _Walk:
    """Where we are on the way to a file: one open handle for each directory entered."""

    def __init__(self, anchor: Anchor, relative: str, dir_mode: Optional[int], handle: int, follow: bool):
        self.anchor = anchor
        self.relative = relative
        self.dir_mode = dir_mode
        self.handles = [handle]
        self.trail: List[str] = []
        self.made: List[str] = []
        self.follow = follow
        self.links = 0
        self.stood_for_it: List[str] = []
        self.queue = _split(relative)

    def step(self) -> Optional[Place]:
        """Take one component; the Place when it was the last one, or when the way ends."""
        part = self.queue.pop(0)
        if part == "..":
            self._up()
            return None
        try:
            info = os.stat(part, dir_fd=self.handles[-1], follow_symlinks=False)
        except FileNotFoundError:
            return self._missing(part)
        if stat.S_ISLNK(info.st_mode) and (self.queue or self.follow):
            if not self.queue:
                self.stood_for_it.append("/".join(self.trail + [part]))
            self._link(part, info)
            return None
        if not self.queue:
            return self._arrived(part)
        if not stat.S_ISDIR(info.st_mode):
            raise Refused("%s is not a directory" % self._shown(part))
        self._enter(part)
        return None

    def _shown(self, part: str) -> str:
        return os.path.join(self.anchor.path, *self.trail, part)

    def _arrived(self, part: str) -> Place:
        return Place(self.handles.pop(), part, self.made, "/".join(self.trail + [part]), tuple(self.stood_for_it))

    def _enter(self, part: str) -> None:
        self.handles.append(os.open(part, _DIR_FLAGS, dir_fd=self.handles[-1]))
        self.trail.append(part)
        self.anchor.check(self.handles[-1], os.path.join(self.anchor.path, *self.trail))

    def _up(self) -> None:
        if len(self.handles) > 1:
            os.close(self.handles.pop())
            self.trail.pop()
        elif self.anchor.kind == "home":
            raise Refused("%s leads out of %s" % (self.relative, self.anchor.path))

    def _missing(self, part: str) -> Optional[Place]:
        if not self.queue:
            return self._arrived(part)
        if self.dir_mode is None:
            return Place(None, "", self.made, self.relative)
        os.mkdir(part, self.dir_mode, dir_fd=self.handles[-1])
        self._enter(part)
        self.made.append("/".join(self.trail))
        os.fchmod(self.handles[-1], self.dir_mode)  # whatever the umask is
        return None

    def _link(self, part: str, info: os.stat_result) -> None:
        self.links += 1
        if self.links > MAX_LINKS:
            raise Refused("%s is a link that leads in circles" % self._shown(part))
        if self.anchor.kind == "machine" and info.st_uid not in (0, os.geteuid()):
            raise Refused("%s is a link made by uid %d" % (self._shown(part), info.st_uid))
        target = os.readlink(part, dir_fd=self.handles[-1])
        way: Optional[List[str]] = _split(target)
        if target.startswith("/"):
            way = self.anchor.inside(target)
            if way is None:
                raise Refused("%s is a link that leads out of %s" % (self._shown(part), self.anchor.path))
            while len(self.handles) > 1:
                os.close(self.handles.pop())
            self.trail = []
        self.queue = (way or []) + self.queue


def reason(error: Exception) -> str:
    """Why it did not work, in words: what the system says without its number, or our own sentence."""
    if isinstance(error, PermissionError):
        return "no right to it: %s" % error.strerror
    return str((error.strerror if isinstance(error, OSError) else None) or error)


def close(place: Place) -> None:
    """Give the directory handle back."""
    if place.handle is not None:
        os.close(place.handle)
