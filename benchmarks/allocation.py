"""What it brings to give smooth tiles a higher level than busy ones, at the same bytes in all.

    python benchmarks/allocation.py FOLDER_OF_TRAINING_TILES [--count N] [--qualities Q,Q,...]

Each held-out tile is coded at several levels; between these, the logarithms of bytes and of
distances are interpolated. Then every tile at one level is compared with levels by gradient, as
`picocodec.encoding.allocation` has them for the tiles of one picture, for several factors; a
constant added to all levels keeps the sum of the bytes. PSNR in decibels of RGB, mean over the
tiles like LPIPS and DISTS; and how far tiles lie apart in LPIPS, the standard deviation of its
logarithm to base 2. How well the gradient foretells a tile's bytes comes first: the power of it
that they grow as, and the correlation of logarithms.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from picocodec.coders.learned import LearnedCoder
from picocodec.encoding.allocation import LEAST, MOST
from picocodec.encoding.features import look_at
from picocodec.format import tiles
from picocodec.format.tiles import MARGIN
from picocodec.images.canvas import with_margin
from picocodec.model.model import Model
from picocodec.model.store import DEFAULT_MODEL, load_model
from picolab.data.crops import TileFile
from picolab.losses.dists import DISTS
from picolab.losses.lpips import LPIPS

LEVELS = 50, 100, 200, 300, 400, 500, 600, 700
FACTORS = 0, 30, 50, 70, 90  # thousandths of the level for each halving of the gradient

Floats = NDArray[np.float64]


def to_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


def measure(model: Model, rgb: NDArray[np.uint8], judges: tuple[LPIPS, DISTS]) -> Floats:
    """Bytes, mean squared error, LPIPS and DISTS `[levels, 4]`."""
    tile, x = tiles.layout(rgb.shape[1], rgb.shape[0])[0], to_tensor(rgb)
    rows = []
    for level in LEVELS:
        candidate = LearnedCoder(model).encode(with_margin(rgb, tile), level)
        y = to_tensor(candidate.shown[MARGIN:-MARGIN, MARGIN:-MARGIN])
        distances = [(x - y).square().mean(), *(judge(x, y) for judge in judges)]
        rows.append([len(candidate.payload), *map(float, distances)])
    return np.array(rows)


def at_levels(measured: Floats, levels: Floats) -> Floats:
    """The means over tiles, MSE as PSNR, of `measured` `[tiles, levels, 4]` at levels `[tiles]`,
    and the spread of LPIPS."""
    each = np.array(
        [
            [math.exp(np.interp(level, LEVELS, np.log(column))) for column in rows.T]
            for level, rows in zip(levels, measured, strict=True)
        ]
    )
    each[:, 1] = -10 * np.log10(each[:, 1])
    return np.append(each.mean(0), np.log2(each[:, 2]).std())


def with_same_bytes(measured: Floats, offsets: Floats, size: float) -> Floats:
    """The means where all levels are `offsets` plus what makes tiles take `size` on average."""
    low, high = float(LEVELS[0] - MOST), float(LEVELS[-1] - LEAST)
    for _ in range(40):
        middle = (low + high) / 2
        means = at_levels(measured, middle + offsets)
        low, high = (low, middle) if means[0] > size else (middle, high)
    return means


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tiles", type=Path, help="of `picolab data build`")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--qualities", default="20,30,45", help="of which the bytes are kept")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    model, judges = load_model(DEFAULT_MODEL, 1), (LPIPS("alex"), DISTS())
    tiles = TileFile(args.tiles, held_out=True)
    places = np.linspace(0, len(tiles) - 1, min(args.count, len(tiles))).astype(int)
    chosen = [np.array(tiles.pixels[tiles.index[place]]) for place in places]
    measured = np.stack([measure(model, rgb, judges) for rgb in chosen])
    gradients = np.array([look_at(rgb).gradient for rgb in chosen])
    print(f"{len(chosen)} tiles, {model.identity}\n")
    print("| level | bytes grow as the gradient to the power | correlation |\n|" + " --- |" * 3)
    for level, sizes in zip(LEVELS, np.log2(measured[:, :, 0]).T, strict=True):
        power = np.polyfit(gradients, sizes, 1)[0]
        print(f"| {level} | {power:.2f} | {np.corrcoef(gradients, sizes)[0, 1]:.2f} |")
    columns = ("quality", "factor", "bytes", "PSNR", "LPIPS", "DISTS", "spread")
    print(f"\n| {' | '.join(columns)} |\n|" + " --- |" * len(columns))
    for quality in map(float, args.qualities.split(",")):
        size = at_levels(measured, np.full(len(chosen), 10 * quality))[0]
        for factor in FACTORS:
            offsets = np.clip(factor * (gradients.mean() - gradients), LEAST, MOST)
            n, psnr, lpips, dists, spread = with_same_bytes(measured, offsets, size)
            row = f"{n:.0f} | {psnr:.2f} | {lpips:.4f} | {dists:.4f} | {spread:.2f}"
            print(f"| {quality:g} | {factor} | {row} |")


if __name__ == "__main__":
    main()
