"""Folders of tiles for tests: smooth pictures with some edges, each of its own original."""

from __future__ import annotations

import csv
import functools
from pathlib import Path

import numpy as np

COLUMNS = "index,name,original,category,draw,held_out".split(",")


@functools.cache
def pixels(count: int, seed: int) -> bytes:
    """Of `count` tiles. Kept, since it takes a while and most tests want the same."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:512, 0:512] / 512
    tiles = []
    for _ in range(count):
        waves = rng.normal(size=(6, 3, 4)) * [40, 40, 40, 3]
        tile = np.full((512, 512, 3), 128.0)
        for wave in waves:
            for c in range(3):
                phase = wave[c, 0] * x + wave[c, 1] * y + wave[c, 3]
                tile[..., c] += 12 * np.sin(phase) + 30 * (np.sin(phase / 4) > 0.7)
        tiles.append(tile.clip(0, 255).astype(np.uint8).tobytes())
    return b"".join(tiles)


def make_tiles(folder: Path, count: int = 6, held_out: int = 1, seed: int = 0) -> Path:
    """`count` photos, the last `held_out` of them held out."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiles.u8").write_bytes(pixels(count, seed))
    with open(folder / "tiles.csv", "w", newline="") as f:
        writer = csv.DictWriter(f, COLUMNS)
        writer.writeheader()
        for i in range(count):
            row = [i, f"{i}.png", str(i), "natural", "natural", int(i >= count - held_out)]
            writer.writerow(dict(zip(COLUMNS, row, strict=True)))
    return folder
