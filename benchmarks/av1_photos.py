"""What AV1 does better than the networks, and whether the encoder can tell, on training tiles.

    python benchmarks/av1_photos.py $PICOLAB_TRAIN --tiles 50 [--untried]

Tiles that the encoder would try as AV1 photos (or those that it would not), screens left out, at
each level: by how much AV1's `picocodec.codec.av1_photos.price` is lower, in decibels, and what
LPIPS (AlexNet) and DISTS say of AV1 at the bytes that it takes, in parts of what the networks would
have there.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picocodec.codec import av1, tiles
from picocodec.codec.av1_photos import has_letters, price, quality_at
from picocodec.codec.encoder import decode_tile, encode_tile
from picocodec.codec.graphics import has_hard_steps, is_flat
from picocodec.codec.networks import DEFAULT_MODEL, load_model
from picocodec.codec.tiles import MARGIN, Tile
from picocodec.format.container import LEVEL_STEPS, TILE
from picolab.data.images import load_tiles
from picolab.evaluation.metrics.perceptual import Perceptual

STEP = 70  # in level, over which the networks' exchange of bytes for distances is measured
BOUNDS = -math.inf, 1, 2, 3, 4, 5, math.inf  # decibels

Bytes = NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tiles", type=int, default=100)
    parser.add_argument("--levels", default="300,500", help="in thousandths")
    parser.add_argument("--untried", action="store_true", help="tiles that it would not try")
    args = parser.parse_args()
    data = load_tiles([args.folder])
    order = np.random.default_rng(0).permutation(len(data.tiles))
    chosen: list[Bytes] = []
    seen = 0
    for i in order:
        height, width = (min(int(side), TILE) for side in data.sizes[i])
        pixels = np.ascontiguousarray(data.tiles[i, :, :height, :width].permute(1, 2, 0).numpy())
        if is_flat(pixels) and has_hard_steps(pixels):
            continue
        seen += 1
        if has_letters(np.asarray(Image.fromarray(pixels).convert("L"))) != args.untried:
            chosen.append(pixels)
        if len(chosen) == args.tiles:
            break
    print(f"{len(chosen)} of {seen} tiles\n")
    distances = [Perceptual("lpips_alex"), Perceptual("dists")]
    print("| level | gain, dB | tiles | AV1 / networks: LPIPS | lower in | DISTS | lower in |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for level in map(int, args.levels.split(",")):
        rows = np.array([compared(pixels, level, distances) for pixels in chosen])
        for low, high in zip(BOUNDS, BOUNDS[1:], strict=False):
            within = rows[(rows[:, 0] >= low) & (rows[:, 0] < high), 1:]
            if len(within):
                medians, shares = np.median(within, 0), 100 * (within < 1).mean(0)
                parts = [f"{m:.2f} | {s:.0f} %" for m, s in zip(medians, shares, strict=True)]
                line = " | ".join([f"{low:g} to {high:g}", str(len(within)), *parts])
                print(f"| {level} | {line} |", flush=True)


def compared(pixels: Bytes, level: int, distances: list[Perceptual]) -> list[float]:
    """By how many decibels AV1's price is lower, and each distance of its in parts of the networks'
    at the same bytes."""
    model, tile = load_model(DEFAULT_MODEL, 1), Tile(0, 0, *pixels.shape[:2])
    stream = av1.encode_av1(tiles.with_margin(pixels, tile), quality_at(level))
    assert stream is not None
    inner = slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN)
    shown = av1.decode_av1(stream, tile.grown(MARGIN))[inner]
    levels = level, level + (STEP if level + STEP <= LEVEL_STEPS else -STEP)
    coded = [encode_tile(model, pixels, tile, at) for at in levels]
    seen = [decode_tile(model, tile, at, data) for at, data in zip(levels, coded, strict=True)]
    more = math.log(len(stream) / len(coded[0])) / math.log(len(coded[1]) / len(coded[0]))
    parts = []
    for distance in distances:
        ours, other = (distance(pixels, picture) for picture in seen)
        parts.append(distance(pixels, shown) / (ours * (other / ours) ** more))
    ratio = price(pixels, shown, stream, level) / price(pixels, seen[0], coded[0], level)
    return [-10 * math.log10(max(ratio, 1e-9)), *parts]


if __name__ == "__main__":
    main()
