"""What AV1 does better than the networks, and whether the encoder can tell, on training tiles.

    python benchmarks/av1_photos.py $PICOLAB_TRAIN --tiles 50 [--letters] [--fit]

Tiles without letters (or those that may have some), screens left out, at each level: what
`picocodec.codec.av1_photos.looks` says, and what LPIPS (AlexNet) and DISTS say of AV1 at the bytes
that it takes, in parts of what the networks would have there.
`--fit` prints what the constants of that module are fitted to.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picocodec.codec import av1, tiles
from picocodec.codec.av1_photos import (
    QUICK_SPEED,
    Detail,
    contrast_error,
    detail_of,
    has_letters,
    looks,
    quality_at,
    quality_for,
    told_at,
)
from picocodec.codec.encoder import decode_tile, encode_tile
from picocodec.codec.graphics import has_hard_steps, is_flat
from picocodec.codec.networks import DEFAULT_MODEL, load_model
from picocodec.codec.tiles import MARGIN, Tile
from picocodec.format.container import LEVEL_STEPS, TILE
from picolab.data.images import load_tiles
from picolab.evaluation.metrics.perceptual import Perceptual

STEP = 70  # in level, over which the networks' exchange of bytes for distances is measured
BOUNDS = -math.inf, -0.5, -0.25, 0, 0.25, 0.5, math.inf  # of looks

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Trial:
    """One tile at one level: what the encoder knows of AV1, in times of the networks', the looks of
    a quick try, and distances by LPIPS and DISTS, in parts of the networks' at the same bytes."""

    level: int
    detail: Detail
    times_bytes: float
    times_error: float
    quick: float
    distances: tuple[float, float]

    @property
    def judged(self) -> float:
        return looks(self.times_bytes, self.times_error, self.level)

    @property
    def seen(self) -> float:
        """The logarithm to base 2 of the geometric mean of the distances."""
        return sum(map(math.log2, self.distances)) / len(self.distances)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tiles", type=int, default=100)
    parser.add_argument("--levels", default="300,500", help="in thousandths")
    parser.add_argument("--letters", action="store_true", help="tiles that may have letters")
    parser.add_argument("--fit", action="store_true", help="levels up to 700 are what to fit")
    args = parser.parse_args()
    wanted = "letters" if args.letters else "photos"
    chosen: list[Bytes] = []
    seen = 0
    for pixels in shuffled(args.folder, 1):
        kind = kind_of(pixels)
        seen += kind != "screens"
        if kind == wanted:
            chosen.append(pixels)
        if len(chosen) == args.tiles:
            break
    print(f"{len(chosen)} of {seen} tiles\n")
    judges = [Perceptual("lpips_alex"), Perceptual("dists")]
    print("| level | looks | tiles | AV1 / networks: LPIPS | lower in | DISTS | lower in |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    trials: list[Trial] = []
    for level in map(int, args.levels.split(",")):
        here = [trial_of(pixels, level, args.letters, judges) for pixels in chosen]
        judged = np.array([t.judged for t in here])
        distances = np.array([t.distances for t in here])
        for low, high in zip(BOUNDS, BOUNDS[1:], strict=False):
            within = distances[(judged >= low) & (judged < high)]
            if len(within):
                medians, shares = np.median(within, 0), 100 * (within < 1).mean(0)
                parts = [f"{m:.2f} | {s:.0f} %" for m, s in zip(medians, shares, strict=True)]
                line = " | ".join([f"{low:g} to {high:g}", str(len(within)), *parts])
                print(f"| {level} | {line} |", flush=True)
        trials += here
    if args.fit:
        print_fit(trials)


def trial_of(pixels: Bytes, level: int, letters: bool, judges: list[Perceptual]) -> Trial:
    model, tile = load_model(DEFAULT_MODEL, 1), Tile(0, 0, *pixels.shape[:2])
    grown = tiles.with_margin(pixels, tile)
    inner = slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN)

    def as_av1(quality: int, speed: int, told: Mapping[str, str]) -> tuple[int, Bytes]:
        stream = av1.encode_av1(grown, quality, 1, speed, told)
        assert stream is not None
        return len(stream), av1.decode_av1(stream, tile.grown(MARGIN))[inner]

    levels = level, level + (STEP if level + STEP <= LEVEL_STEPS else -STEP)
    coded = [encode_tile(model, pixels, tile, at) for at in levels]
    seen = [decode_tile(model, tile, at, data) for at, data in zip(levels, coded, strict=True)]
    error, learned = contrast_error(pixels, seen[0]), len(coded[0])
    quick, shown = as_av1(quality_at(level), QUICK_SPEED, av1.USUAL)
    hoped = looks(math.sqrt(quick / learned), contrast_error(pixels, shown) / error, level)
    quality = quality_for(level, letters, quick, learned)
    size, shown = as_av1(quality, av1.SPEED, told_at(level, letters))
    more = math.log(size / learned) / math.log(len(coded[1]) / learned)
    parts = []
    for distance in judges:
        ours, other = (distance(pixels, picture) for picture in seen)
        parts.append(distance(pixels, shown) / (ours * (other / ours) ** more))
    times_error = contrast_error(pixels, shown) / error
    detail = detail_of(brightness_of(pixels))
    return Trial(level, detail, size / learned, times_error, hoped, (parts[0], parts[1]))


def print_fit(trials: list[Trial]) -> None:
    """The constants that what is seen asks for, by least squares."""
    seen = np.array([t.seen for t in trials])
    known = np.array([[1, math.log2(t.times_bytes), math.log2(t.times_error)] for t in trials])
    weights, *_ = np.linalg.lstsq(known, seen, rcond=None)
    numbers = ", ".join(f"{w:.3f}" for w in weights)
    print(f"\nLOOKS, LOOKS_BY_BYTES, LOOKS_BY_CONTRAST = {numbers}")
    judged = known @ weights
    print(f"which tell {np.corrcoef(judged, seen)[0, 1]:.2f} (correlation)")
    late = np.array([t.quick for t in trials])[judged < 0]
    print(f"quick tries of those below 0: median {np.median(late):.2f}, most {late.max():.2f}")
    share = np.array([t.level for t in trials]) / LEVEL_STEPS
    details = np.array([astuple(t.detail) for t in trials])
    columns = [np.ones(len(trials)), share, share**2]
    for column in details.T:
        columns += [column, column * share]
    weights, *_ = np.linalg.lstsq(np.stack(columns, 1), judged, rcond=None)
    print(f"FORESEEN_BY_LEVEL = {', '.join(f'{w:.3f}' for w in weights[:3])}")
    pairs = (f"({a:.3f}, {b:.3f})" for a, b in weights[3:].reshape(-1, 2))
    print(f"FORESEEN_BY_DETAIL = {', '.join(pairs)}")
    foreseen = np.stack(columns, 1) @ weights
    print(f"which tell {np.corrcoef(foreseen, judged)[0, 1]:.2f} of what is judged then")


def shuffled(folder: Path, seed: int) -> Iterator[Bytes]:
    """Training tiles `[h, w, 3]`, in an order that the seed decides."""
    data = load_tiles([folder])
    for i in np.random.default_rng(seed).permutation(len(data.tiles)):
        height, width = (min(int(side), TILE) for side in data.sizes[i])
        yield np.ascontiguousarray(data.tiles[i, :, :height, :width].permute(1, 2, 0).numpy())


def kind_of(pixels: Bytes) -> str:
    """`screens`, and of the rest `letters` for what may have some and `photos`."""
    if is_flat(pixels) and has_hard_steps(pixels):
        return "screens"
    return "letters" if has_letters(brightness_of(pixels)) else "photos"


def brightness_of(pixels: Bytes) -> Bytes:
    return np.asarray(Image.fromarray(pixels).convert("L"))


if __name__ == "__main__":
    main()
