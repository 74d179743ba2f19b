"""How well hard steps tell screens from photos that are flat in part.

    python benchmarks/screens.py FOLDER_OF_TRAINING_TILES

Of the tiles of each category (`picolab data build`), how many there are, how many look flat,
and how many hard steps these have in 10,000 pixels: the median and the most.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from picocodec.encoding.features import HARD_SHARE, hard_share, is_flat
from picolab.data.crops import TileFile, read_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    tiles = TileFile(args.folder, held_out=False)
    rows = read_rows(args.folder)
    shares: dict[str, list[float]] = {}
    counts: dict[str, int] = {}
    for number in tiles.index:
        pixels, category = np.array(tiles.pixels[number]), rows[number]["category"]
        counts[category] = counts.get(category, 0) + 1
        if is_flat(pixels):
            shares.setdefault(category, []).append(1e4 * hard_share(pixels))
    print(f"a screen has {1e4 * HARD_SHARE:g} in 10,000 pixels")
    for category, count in counts.items():
        found = shares.get(category, [0.0])
        print(
            f"{category}: {count} tiles, {len(shares.get(category, []))} flat: median "
            f"{np.median(found):.2f}, most {max(found):.2f}"
        )


if __name__ == "__main__":
    main()
