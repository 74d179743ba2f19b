"""What a name on the command line stands for: a file, standard input or standard output."""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, cast

STREAM = "-"  # the name of standard input and standard output
_SPOOL_BYTES = 1 << 25  # of output for a stream, before it waits on the disk


def read_all(name: str) -> bytes:
    if name == STREAM:
        return sys.stdin.buffer.read()
    with open(name, "rb") as file:
        return file.read()


def mapped(name: str) -> bytes | mmap.mmap:
    """A file's bytes, of which only those that are used are read."""
    if name == STREAM:
        return read_all(name)
    with open(name, "rb") as file:
        try:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # a pipe, an empty file
            return file.read()


@contextmanager
def output(target: str) -> Iterator[BinaryIO]:
    """A stream whose bytes come to be under the name `target` only when the block succeeds, and
    they are on the disk: whatever stops the program, what was there before stays, or nothing."""
    path = os.path.realpath(target)
    if target == STREAM or (os.path.exists(path) and not os.path.isfile(path)):
        import shutil  # slow to load, as is the next
        import tempfile

        # Neither a stream nor a device can be replaced by a file.
        with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as spool:
            yield cast(BinaryIO, spool)
            spool.seek(0)
            with open(1 if target == STREAM else path, "wb", closefd=target != STREAM) as out:
                shutil.copyfileobj(spool, out)
        return
    temporary = os.path.join(os.path.dirname(path), f".pico-{os.urandom(8).hex()}.tmp")
    try:
        file = open(temporary, "x+b")
    except OSError as error:
        raise OSError(error.errno, error.strerror, target) from None
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.remove(temporary)
        raise
