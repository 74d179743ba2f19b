"""Checkpoints on held-out tiles, to choose between them: nothing is chosen on evaluation pictures.

Bits are those of rounded symbols as the likelihoods have them, without a file's header.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from picolab.data.images import TileSet
from picolab.evaluation.metrics.distribution import kernel_distance
from picolab.losses.dists import DISTS
from picolab.losses.fidelity import chroma_loss, halo_loss, lattice_loss, smooth_loss
from picolab.losses.lpips import LPIPS
from picolab.networks.codec import Codec
from picolab.networks.config import CodecConfig
from picolab.training.checkpoint import load_checkpoint, without_prefix
from picolab.training.loop import load_weights, psnr, validation_tiles

SKIP_BELOW = 5  # as in all recipes and releases
LEAST_SIDE = 256  # of a tile that DISTS, whose deepest features are 16 pixels apart, tells much of

# From a picture `[h, w, 3]` of bytes to the features of its patches, one row each.
Features = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True)
class Point:
    """Means over tiles: bits a pixel, PSNR in decibels of RGB, LPIPS (AlexNet), DISTS, and the
    error of smooth surfaces, what of it repeats from block to block, that of colours and that of
    plain ground beside edges, in steps of 255; of all patches together KID, if asked for, which
    no training minimises."""

    bpp: float
    psnr: float
    lpips: float
    dists: float
    smooth: float
    lattice: float
    chroma: float
    halo: float
    kid: float | None = None

    def __str__(self) -> str:
        looks = f"{self.lpips:.3f} / {self.dists:.3f} / {self.smooth:.2f} / {self.lattice:.3f}"
        looks += f" / {self.chroma:.2f} / {self.halo:.2f}"
        kid = "" if self.kid is None else f" / {self.kid:.4f}"
        return f"{self.bpp:.3f} / {self.psnr:.2f} / {looks}{kid}"


def choose_tiles(held_out: TileSet, count: int) -> list[Tensor]:
    """Up to `count` of the tiles that training validates on, the large ones."""
    tiles = [
        x for x in validation_tiles(held_out, max(24, count)) if min(x.shape[2:]) >= LEAST_SIDE
    ]
    return tiles[:: max(1, len(tiles) // count)][:count]


@torch.no_grad()
def measure(
    codec: Codec,
    tiles: Sequence[Tensor],
    levels: Sequence[float],
    realism: float,
    bf16: bool,
    features: Features | None = None,
) -> list[Point]:
    """A point for each level; with KID, if there are features for it."""
    codec = codec.eval()
    lpips, dists = LPIPS("alex"), DISTS()
    lpips.trunk.bf16 = dists.trunk.bf16 = bf16
    originals = [features(_bytes(x)) for x in tiles] if features else []
    points = []
    for level in levels:
        rows, decoded = [], []
        for x in tiles:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                at, dial = torch.tensor([level]), torch.tensor([realism])
                coded = codec(x, at, dial, skip_below=SKIP_BELOW, hard=True)
            picture = coded.picture.clamp(0, 1)
            bpp = (coded.bits_y + coded.bits_z) / x[0, 0].numel()
            quality = psnr((picture - x).square().mean())
            losses = smooth_loss, lattice_loss, chroma_loss, halo_loss
            looks = lpips(x, picture), dists(x, picture), *(255 * f(x, picture) for f in losses)
            rows.append([float(v) for v in (bpp, quality, *looks)])
            if features:
                decoded.append(features(_bytes(picture)))
        means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        if features:
            means.append(kernel_distance(np.concatenate(originals), np.concatenate(decoded)))
        points.append(Point(*means))
    return points


def _bytes(picture: Tensor) -> NDArray[np.uint8]:
    return (255 * picture[0].float()).round().byte().permute(1, 2, 0).contiguous().numpy()


def at_bits(points: Sequence[Point], bpp: float) -> Point | None:
    """What a curve has at `bpp`: between two of its points, linear over the logarithm of the
    rate; None beyond its ends."""
    ordered = sorted(points, key=lambda point: point.bpp)
    for low, high in zip(ordered, ordered[1:], strict=False):
        if low.bpp <= bpp <= high.bpp and low.bpp < high.bpp:
            share = math.log(bpp / low.bpp) / math.log(high.bpp / low.bpp)
            pairs = list(zip(astuple(low), astuple(high), strict=True))[1:]
            read = (None if a is None else a + share * (b - a) for a, b in pairs)
            return Point(bpp, *read)  # type: ignore[arg-type]  # only KID may be None
    return None


def comparison(names: Sequence[str], curves: Sequence[list[Point]], levels: Sequence[float]) -> str:
    """Two Markdown tables: by level, and of the others at the bits of the first."""
    head = "| checkpoint | " + " | ".join(f"level {level:g}" for level in levels) + " |"
    rule = "| --- |" + " --- |" * len(levels)
    kid = " / KID" if curves[0][0].kid is not None else ""
    columns = f"bpp / PSNR / LPIPS-Alex / DISTS / smooth / lattice / chroma / halo{kid}"
    lines = [columns, "", head, rule]
    for name, curve in zip(names, curves, strict=True):
        lines.append(f"| {name} | " + " | ".join(map(str, curve)) + " |")
    if len(curves) > 1:
        lines += ["", f"At the bits of {names[0]}", "", head, rule]
    for name, curve in zip(names[1:], curves[1:], strict=True):
        row = [at_bits(curve, point.bpp) for point in curves[0]]
        lines.append(f"| {name} | " + " | ".join(str(p) if p else "-" for p in row) + " |")
    return "\n".join(lines)


def read_codec(checkpoint: Path, config: CodecConfig) -> Codec:
    """The averaged weights of a checkpoint, at the levels that it was trained for; what it does not
    have is as it was built."""
    tensors, _ = load_checkpoint(checkpoint)
    codec = Codec(config)
    load_weights(codec, without_prefix("ema", tensors))
    return codec.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
