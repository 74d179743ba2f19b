"""What Pillow and its plug-ins convert without a word, found in the bytes of a file: more than 8
bits a channel, and colours that code points describe instead of a profile."""

from __future__ import annotations

import mmap
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
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError, AttributeError):  # in memory, or empty
        place = file.tell()
        file.seek(0)
        data = file.read()
        file.seek(place)
        return data
