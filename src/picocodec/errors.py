"""Everything that can go wrong with a file, as one tree of exceptions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class PicoError(Exception):
    """Base of all errors that picocodec raises about files, models and limits."""

    tile: int | None = None  # the number of the tile that it concerns, row by row from 0


class NotAPicoFile(PicoError):
    """The data does not begin with the signature of a .pico file."""


class UnsupportedVersion(PicoError):
    """The file needs a newer version of the format than this software reads."""


class Truncated(PicoError):
    """The data ends before the file does."""


class CorruptHeader(PicoError):
    """The header contradicts its checksum or the rules of the format."""


class CorruptTile(PicoError):
    """The data of one tile contradicts its checksum or cannot have been written by an encoder."""


class CorruptChunk(PicoError):
    """An optional chunk (metadata, alpha) contradicts its checksum or its own format."""


class UnknownModel(PicoError):
    """The model that is asked for is not installed, has other weights, or is damaged itself."""


class NetworkFailed(PicoError):
    """A network of the model could not be run: for want of memory, most likely."""


class LimitExceeded(PicoError):
    """The picture is larger than the limit in force."""


class UnsupportedImage(PicoError):
    """A picture that cannot be read, or whose kind cannot be coded without loss of meaning."""


class TargetTooSmall(PicoError):
    """The picture needs more bytes than its target even at the lowest quality."""


class DamagedPicture(UserWarning):
    """A damaged file was decoded all the same, since the caller allowed it.

    `errors` are what was found, `tiles` the numbers of the tiles that were concealed.
    """

    def __init__(self, errors: list[PicoError]) -> None:
        self.errors = tuple(errors)
        self.tiles = tuple(sorted({e.tile for e in errors if e.tile is not None}))
        super().__init__(self.errors, self.tiles)

    def __str__(self) -> str:
        parts = [str(error) for error in self.errors if error.tile is None]
        if self.tiles:
            parts.append(f"concealed from what lies around: tile {_ranges(self.tiles)}")
        return "damaged: " + "; ".join(parts)


@contextmanager
def tolerate(damage: list[PicoError] | None, tile: int | None = None) -> Iterator[None]:
    """Note damage that the block finds in `damage` and go on; where that is None, raise it."""
    try:
        yield
    except (Truncated, CorruptHeader, CorruptTile, CorruptChunk, UnsupportedVersion) as error:
        error.tile = tile
        if damage is None:
            raise
        damage.append(error)


def _ranges(numbers: tuple[int, ...]) -> str:
    """Ascending numbers in short: 1, 4 to 6."""
    known = set(numbers)
    starts = [n for n in numbers if n - 1 not in known]
    ends = [n for n in numbers if n + 1 not in known]
    spans = zip(starts, ends, strict=True)
    return ", ".join(f"{a} to {b}" if b > a else str(a) for a, b in spans)
