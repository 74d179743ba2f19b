"""What Pillow and its plug-ins convert without a word, found in the bytes of a file: more than 8
bits a channel, and colours that code points describe instead of a profile."""

from __future__ import annotations

import io
import mmap
import os
from typing import IO

from picocodec.images.containers import Data, survey


def bits_per_channel(data: Data) -> int:
    """The most that any channel of a picture has; 8 for fewer, and for what cannot be told."""
    return survey(data).depth


def code_points(data: Data) -> tuple[int, int]:
    """Colour primaries and transfer characteristics as ITU-T H.273 numbers them; (2, 2),
    "unspecified", where there are none."""
    found = survey(data).code_points
    return (found.primaries, found.transfer) if found else (2, 2)


def contents(file: IO[bytes]) -> Data:
    """All bytes of a seekable file, of one on the disk without reading them; its place stays."""
    try:
        if not _is_on_disk(file):
            raise OSError
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):  # in memory, or empty
        place = file.tell()
        file.seek(0)
        data = file.read()
        file.seek(place)
        return data


def path_of(file: IO[bytes]) -> str | None:
    """Where on the disk the bytes of a file lie, as they are; None for any others."""
    name = getattr(file, "name", None)
    if not _is_on_disk(file) or not isinstance(name, str | bytes | os.PathLike):
        return None
    try:
        is_there = os.path.samestat(os.stat(name), os.fstat(file.fileno()))
    except OSError:  # the name is of another folder, or gone
        return None
    return os.fsdecode(name) if is_there else None


def _is_on_disk(file: IO[bytes]) -> bool:
    """Whether a file's bytes are those on the disk. Archives' members and decompressed files have
    names and numbers, too, but of the file that they come from."""
    return isinstance(getattr(file, "raw", file), io.FileIO)
