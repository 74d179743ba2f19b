"""How well hard steps tell screens from photos that are flat in part.

    python benchmarks/screens.py FOLDER_OF_TRAINING_TILES

Of the tiles of each category (the training set's manifest), how many there are, how many look flat,
and how many hard steps these have in 10,000 pixels: the median and the most.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from picocodec.encoding.features import HARD_SHARE, hard_share, is_flat
from picolab.data.images import load_tiles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    data = load_tiles([args.folder])
    shares: dict[float, list[float]] = {}
    counts: dict[float, int] = {}
    # Tiles of a category have one weight, which stands for it here.
    for tile, (height, width), weight in zip(
        data.tiles, data.sizes.tolist(), data.weights.tolist(), strict=True
    ):
        pixels = np.ascontiguousarray(tile[:, :height, :width].permute(1, 2, 0).numpy())
        counts[weight] = counts.get(weight, 0) + 1
        if is_flat(pixels):
            shares.setdefault(weight, []).append(1e4 * hard_share(pixels))
    print(f"a screen has {1e4 * HARD_SHARE:g} in 10,000 pixels")
    for weight, count in counts.items():
        found = shares.get(weight, [0.0])
        print(
            f"{count} tiles, {len(shares.get(weight, []))} flat: median {np.median(found):.2f}, "
            f"most {max(found):.2f}"
        )


if __name__ == "__main__":
    main()
