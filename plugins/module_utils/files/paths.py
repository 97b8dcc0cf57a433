# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reach a file below a directory without being led out of it, and replace it in one step.

Every path is walked one component at a time with directory handles and O_NOFOLLOW. Links are read and followed here,
by the rules of the :class:`Anchor`, so that nobody can swap a directory for a link between a check and the write.

Runs on targets: Python 3.8, standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import sys
from typing import List, NamedTuple, Optional, Tuple

MAX_FILE = 16 * 1024 * 1024
"""Bytes. A settings file is never larger; this bounds what a person can make us read."""

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


def read(place: Place) -> Optional[Found]:
    """The file as it is now, None when there is none. Raises Refused for anything but a regular file of a sane size."""
    if place.handle is None:
        return None
    try:
        # NONBLOCK: a pipe somebody left here must not hold us up.
        handle = os.open(place.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place.handle)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise Refused("it is not a regular file") from None
        if error.errno in (errno.EACCES, errno.EPERM):
            info = os.stat(place.name, dir_fd=place.handle, follow_symlinks=False)
            if stat.S_ISREG(info.st_mode):
                raise Unreadable(Found(b"", stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, _mark(info))) from None
            raise Refused("it is not a regular file") from None
        raise
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            raise Refused("it is not a regular file")
        if info.st_size > MAX_FILE:
            raise Refused("it is larger than %d MiB, which no settings file is" % (MAX_FILE // 1024 // 1024))
        with os.fdopen(os.dup(handle), "rb") as stream:
            content = stream.read(MAX_FILE + 1)
        return Found(content, stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, _mark(info))
    finally:
        os.close(handle)


def read_link(place: Place) -> Found:
    """A link as a thing of its own, for a place that was located without following it. Raises OSError."""
    info = os.stat(place.name, dir_fd=place.handle, follow_symlinks=False)
    target = os.readlink(place.name, dir_fd=place.handle)
    return Found(b"", stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, _mark(info), target)


def same(place: Place, found: Optional[Found]) -> bool:
    """Is the file still the one that was read? Asked just before it is replaced or removed."""
    try:
        info = os.stat(place.name, dir_fd=place.handle, follow_symlinks=False)
    except FileNotFoundError:
        return found is None
    return found is not None and _mark(info) == found.mark


def _mark(info: os.stat_result) -> Tuple[int, int, int, int]:
    return info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def stage(place: Place, content: bytes, mode: int, owner: Optional[Tuple[int, int]]) -> str:
    """Write a finished temporary file beside the real one and return its name.

    Owner, mode and the extended attributes of the file it will replace (its SELinux context is one of them, its
    ACL another) are set before the name exists, so nobody ever sees a half-made file. A new file gets the context
    that its directory hands down.
    """
    if place.handle is None:  # never fall back to the working directory
        raise Refused("its directory is not there")
    name = _temporary(place) + secrets.token_hex(6)
    handle = os.open(
        name,
        os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC,
        0o600,
        dir_fd=place.handle,
    )
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            _copy_attributes(place, handle)
            if owner is not None:
                os.fchown(handle, *owner)
            os.fchmod(handle, mode)
            os.fsync(handle)
    except BaseException:
        discard(place, name)
        raise
    return name


def _temporary(place: Place) -> str:
    return ".%s.charter-mail-" % place.name[:200]


def sweep(place: Place) -> None:
    """Remove what runs that were killed have left of :func:`stage` for this file. The caller keeps other runs out."""
    if place.handle is None:
        return
    begin = _temporary(place)
    for name in os.listdir(place.handle):
        rest = name[len(begin) :]
        if not name.startswith(begin) or len(rest) != 12 or rest.strip("0123456789abcdef"):
            continue
        with contextlib.suppress(OSError):
            info = os.stat(name, dir_fd=place.handle, follow_symlinks=False)
            if info.st_uid == os.geteuid() and (stat.S_ISREG(info.st_mode) or stat.S_ISLNK(info.st_mode)):
                os.unlink(name, dir_fd=place.handle)


def _copy_attributes(place: Place, target: int) -> None:
    if not hasattr(os, "listxattr"):
        return  # not on macOS
    try:
        source = os.open(place.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place.handle)
    except OSError:
        return
    try:
        for attribute in os.listxattr(source):
            try:
                os.setxattr(target, attribute, os.getxattr(source, attribute))
            except OSError:
                continue  # like copystat: what may not be copied is left out
    except OSError:
        return
    finally:
        os.close(source)


def put(place: Place, temporary: str) -> None:
    """Let the staged file take the place of the real one, in one step that survives a power cut."""
    os.rename(temporary, place.name, src_dir_fd=place.handle, dst_dir_fd=place.handle)
    if place.handle is not None:
        os.fsync(place.handle)


def put_link(place: Place, target: str) -> None:
    """Let a link to ``target`` take the place of the file, in one step."""
    name = _temporary(place) + secrets.token_hex(6)
    os.symlink(target, name, dir_fd=place.handle)
    put(place, name)


def move(place: Place, name: str, other: str) -> None:
    """Rename a file of the same directory if it is there; what had the other name is gone then."""
    with contextlib.suppress(FileNotFoundError):
        os.rename(name, other, src_dir_fd=place.handle, dst_dir_fd=place.handle)


def discard(place: Place, name: str) -> bool:
    """Remove a file; False when it is not there."""
    try:
        os.unlink(name, dir_fd=place.handle)
    except FileNotFoundError:
        return False
    return True


def remove_directories(anchor: Anchor, made: List[str]) -> None:
    """Remove directories we made, innermost first, as long as they are empty."""
    for relative in reversed(made):
        try:
            place = locate(anchor, relative)
        except (OSError, Refused):
            return
        try:
            if place.handle is not None:
                os.rmdir(place.name, dir_fd=place.handle)
        except OSError:
            return
        finally:
            close(place)
