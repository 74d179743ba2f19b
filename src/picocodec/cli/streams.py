"""What a name on the command line stands for: a file, standard input or standard output."""

from __future__ import annotations

import errno
import io
import mmap
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, cast

STREAM = "-"  # the name of standard input and standard output
_SPOOL_BYTES = 1 << 25  # of output for a stream, before it waits on the disk
_ANYONE_WRITES = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def read_all(name: str) -> bytes:
    """All bytes of a file, or of standard input; raises `OSError`."""
    if name == STREAM:
        if sys.stdin is None:
            raise OSError(errno.EBADF, "standard input is closed")
        return sys.stdin.buffer.read()
    with _opened(name) as file:
        return file.read()


def _opened(name: str) -> BinaryIO:
    """A file or pipe; raises `OSError`, also for devices, some of which never end."""
    if os.path.exists(name):
        mode = os.stat(name).st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            raise OSError(errno.EINVAL, "it is a device, not a file", name)
    return open(name, "rb")


def readable(name: str) -> str | BinaryIO:
    """What a picture can be read from: the name of a file, or the bytes of what cannot be read
    twice, a pipe or standard input, in memory."""
    if name == STREAM or not (os.path.isfile(name) or os.path.isdir(name)):
        return io.BytesIO(read_all(name))
    return name


def mapped(name: str) -> bytes | mmap.mmap:
    """A file's bytes, of which only those that are used are read."""
    if name == STREAM:
        return read_all(name)
    with _opened(name) as file:
        try:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # a pipe, an empty file
            return file.read()


@contextmanager
def output(target: str) -> Iterator[BinaryIO]:
    """A stream whose bytes come to be under the name `target` only when the block succeeds, and
    they are on the disk: whatever stops the program, what was there before stays, or nothing.

    A file that is replaced keeps its mode and, where that is allowed, its owner; one that nobody
    may write is not replaced. Raises `OSError` with no other name than `target`.
    """
    try:
        with _output(target) as stream:
            yield stream
    except OSError as error:
        if error.errno not in _OF_WRITING or error.filename is not None:
            raise
        name = "standard output" if target == STREAM else target
        raise OSError(error.errno, error.strerror, name) from None


# What only writing ends in, and says without a name: a full disk, a quota, a limit of size.
_OF_WRITING = {getattr(errno, name, None) for name in ("ENOSPC", "EDQUOT", "EFBIG")}


@contextmanager
def _output(target: str) -> Iterator[BinaryIO]:
    path = os.path.realpath(target)
    if target == STREAM or (os.path.exists(path) and not os.path.isfile(path)):
        with _device(target, path) as spool:
            yield spool
        return
    mode = _mode_of(path, target)
    temporary = os.path.join(os.path.dirname(path), f".pico-{os.urandom(8).hex()}.tmp")
    is_ours = False
    try:
        # Within the block, so that nothing can come between the file and its end.
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, mode or 0o666)
        is_ours = True
        with open(descriptor, "w+b") as file:
            if mode is not None:
                _keep_owner_and_mode(file.fileno(), path, mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        if is_ours or not isinstance(error, FileExistsError):
            with suppress(OSError):
                os.remove(temporary)
        if isinstance(error, OSError) and temporary in (error.filename, error.filename2):
            raise OSError(error.errno, error.strerror, target) from None
        raise


_BINARY = getattr(os, "O_BINARY", 0)  # of Windows


def _mode_of(path: str, target: str) -> int | None:
    """The mode of a file that is to be replaced, None if there is none; raises `PermissionError`
    where it is read-only, which asks for more than the folder's leave to replace it."""
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
    except OSError:
        return None
    if not mode & _ANYONE_WRITES or not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, "it is read-only, and so not replaced", target)
    return mode


def _keep_owner_and_mode(descriptor: int, path: str, mode: int) -> None:
    if not hasattr(os, "fchown"):
        return
    old, new = os.stat(path), os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        with suppress(OSError):  # root may; others may give files to their groups
            os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, mode)


@contextmanager
def _device(target: str, path: str) -> Iterator[BinaryIO]:
    """A stream whose bytes go to standard output, a pipe or a device when the block succeeds:
    neither can be replaced by a file."""
    import shutil  # slow to load, as is the next
    import tempfile

    if target == STREAM and sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
    with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as spool:
        yield cast(BinaryIO, spool)
        spool.seek(0)
        with open(1 if target == STREAM else path, "wb", closefd=target != STREAM) as out:
            shutil.copyfileobj(spool, out)
