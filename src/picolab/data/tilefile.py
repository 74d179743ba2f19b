"""A set of tiles on disk: raw pixels that all processes map, and a table of what they are.

`tiles.u8` is uint8 `[N, 512, 512, 3]`, RGB, in C order, nothing before or behind; `tiles.csv` has
one row a tile in the same order.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

SIDE = 512
PIXELS, TABLE = "tiles.u8", "tiles.csv"
ONE_IN = 32  # originals are held out for validation


@dataclass
class Tile:
    """A row of the table; `original` is what tiles of the same photo share."""

    index: int
    name: str
    original: str
    category: str
    draw: str
    held_out: int
    source: str
    source_path: str
    licence: str
    source_width: int
    source_height: int
    source_format: str
    reduced_by: float
    detail: float


COLUMNS = [column.name for column in fields(Tile)]


class TileWriter:
    """Tiles to a folder, one at a time. Unless all goes well, what was there stays as it was."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.stream: BinaryIO | None = None

    def __enter__(self) -> TileWriter:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.stream = open(self._part(PIXELS), "wb")
        return self

    def add(self, pixels: NDArray[np.uint8]) -> int:
        """The index of a tile, uint8 `[H, W, 3]` up to 512x512, continued by reflection to it."""
        assert self.stream is not None
        self.stream.write(reflected(pixels).tobytes())
        self.count += 1
        return self.count - 1

    def finish(self, tiles: list[Tile]) -> None:
        """Put the table beside the pixels, and both in their place."""
        assert self.stream is not None and len(tiles) == self.count
        self.stream.close()
        with open(self._part(TABLE), "w", newline="") as f:
            table = csv.DictWriter(f, COLUMNS, lineterminator="\n")
            table.writeheader()
            table.writerows(asdict(tile) for tile in tiles)
        for name in (PIXELS, TABLE):
            self._part(name).replace(self.folder / name)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self.stream is not None
        self.stream.close()
        for name in (PIXELS, TABLE):
            self._part(name).unlink(missing_ok=True)

    def _part(self, name: str) -> Path:
        return self.folder / f"{name}.part"


def reflected(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 `[512, 512, 3]`: the picture in its upper left corner, continued by reflection."""
    height, width, channels = pixels.shape
    if max(height, width) > SIDE or channels != 3 or pixels.dtype != np.uint8:
        raise ValueError(f"a tile is RGB of up to {SIDE}x{SIDE} pixels, not {width}x{height}")
    return np.pad(pixels, ((0, SIDE - height), (0, SIDE - width), (0, 0)), mode="reflect")


def read_table(folder: Path) -> list[dict[str, str]]:
    """The rows of `tiles.csv`, as text."""
    with open(folder / TABLE, newline="") as f:
        return list(csv.DictReader(f))


def hold_out(originals: Iterable[str]) -> set[str]:
    """One original in 32, by the hash of its name: at least one, and never all.

    Empty where there is but one original, which cannot be on both sides.
    """
    hashes = {name: hashlib.sha256(name.encode()).digest() for name in originals}
    if len(hashes) < 2:
        return set()
    order = sorted(hashes, key=lambda name: hashes[name])
    chosen = {name for name in order if hashes[name][0] % ONE_IN == 0}
    if not chosen:
        chosen = {order[0]}
    return chosen - {order[-1]} if len(chosen) == len(order) else chosen


def mark_held_out(tiles: list[Tile]) -> None:
    """Set `held_out` of all tiles, by original; of a single original its last tile is held out."""
    chosen = hold_out(tile.original for tile in tiles)
    for tile in tiles:
        tile.held_out = int(tile.original in chosen)
    if not chosen:
        if len(tiles) < 2:
            raise ValueError(
                "one tile in all is too little: part of the data has to be held out from training"
            )
        tiles[-1].held_out = 1
