# Copyright: charter-mail contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read a file at a place, stage a new one beside it, and put it there in one step. Runs on targets: Python 3.8, standard library only."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from typing import List, Optional, Tuple

from ansible_collections.msp.charter_mail.plugins.module_utils.files.paths import Anchor, Found, Place, Refused, Unreadable, close, locate

MAX_FILE = 16 * 1024 * 1024

"""Bytes. A settings file is never larger; this bounds what a person can make us read."""


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
