"""Checkpoints on held-out tiles at fixed bits, by what training does and does not minimise.

Bits are those of rounded symbols as the likelihoods have them, without a file's header.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from picolab.data.crops import Crops, TileFile
from picolab.evaluation.metrics import METRICS
from picolab.evaluation.metrics.distribution import kernel_distance
from picolab.losses.fidelity import repeats_loss
from picolab.networks.blocks import from_patches
from picolab.networks.model import Codec

Picture = NDArray[np.uint8]  # [H, W, 3]
Features = Callable[[Picture], NDArray[np.float32]]  # of the patches of a picture, a row each

COARSE = 32  # pixels: side of the squares of which the mean colour is compared
MEASURED = ("psnr", "lpips_alex", "dists", "ssimulacra2", "butteraugli_3norm")
OWN = ("kid", "repeats", "colour", "text")  # what `measure` adds to them


@dataclass(frozen=True)
class Tiles:
    """Held-out tiles as patches uint8 `[1, 192, 64, 64]`: photos, and what has text in it."""

    photos: list[Tensor]
    text: list[Tensor]


@dataclass(frozen=True)
class Point:
    """Means over tiles at one level: bits per pixel of photos, and figures by name. `repeats` is
    what of the error repeats from block to block, `colour` the error of mean colours, `text` the
    mean absolute error of text, all in steps of 255; `kid` is a thousand times KID."""

    bpp: float
    figures: Mapping[str, float]


def choose_tiles(held_out: TileFile, photos: int, text: int) -> Tiles:
    """Tiles spread evenly over those that nothing is trained on."""

    def spread(numbers: list[int], count: int) -> list[Tensor]:
        count = min(count, len(numbers))
        return [held_out.whole(numbers[i * len(numbers) // count]) for i in range(count)]

    natural = held_out.natural.nonzero().flatten().tolist()
    other = (~held_out.natural).nonzero().flatten().tolist()
    return Tiles(spread(natural, photos), spread(other, text))


@dataclass(frozen=True)
class Decoded:
    bpp: float
    picture: Picture


@torch.no_grad()
def decode(
    codec: Codec, patches: Tensor, level: float, realism: float, dtype: torch.dtype
) -> Decoded:
    """A tile there and back. The noise is the same for all."""
    x = Crops(patches, torch.ones(1)).centred(dtype)
    dial = noise = None
    if realism:
        dial = torch.full((1,), realism)
        shape = (1, codec.shape.noise_channels, *patches.shape[2:])
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    coded = codec(x, torch.full((1,), level), dial, noise, hard=True)
    picture = (from_patches(coded.centred.float()) + 0.5).clamp(0, 1)
    bits = (coded.bits_y + coded.bits_z).item() / picture[0, 0].numel()
    return Decoded(bits, as_bytes(picture))


def as_bytes(x: Tensor) -> Picture:
    """`[1, 3, H, W]` in [0, 1] as a picture."""
    return (x[0].permute(1, 2, 0) * 255).round().byte().numpy()


def measure(
    codec: Codec,
    tiles: Tiles,
    levels: Sequence[float],
    realism: float,
    dtype: torch.dtype,
    features: Features,
) -> list[Point]:
    """A point for each level. Raises `Missing` where this machine lacks a metric."""
    metrics = {name: METRICS[name]() for name in MEASURED}
    photos = [as_bytes(from_patches(p).float() / 255) for p in tiles.photos]
    original_features = np.concatenate([features(p) for p in photos])
    decoded = [[decode(codec, p, level, realism, dtype) for level in levels] for p in tiles.photos]
    # Photo by photo, because metrics keep what they found in the last original.
    rows = [
        [
            {
                name: value
                for name, metric in metrics.items()
                if (value := metric(photo, d.picture)) is not None
            }
            | low_frequencies(photo, d.picture)
            for d in each
        ]
        for photo, each in zip(photos, decoded, strict=True)
    ]
    points = []
    for at, level in enumerate(levels):
        figures = {n: float(np.mean([row[at][n] for row in rows])) for n in rows[0][at]}
        decoded_features = np.concatenate([features(each[at].picture) for each in decoded])
        figures["kid"] = 1000 * kernel_distance(original_features, decoded_features)
        errors = []
        for patches in tiles.text:
            text = decode(codec, patches, level, realism, dtype).picture
            original = as_bytes(from_patches(patches).float() / 255)
            errors.append(float(np.abs(text - original.astype(float)).mean()))
        figures["text"] = float(np.mean(errors))
        points.append(Point(float(np.mean([each[at].bpp for each in decoded])), figures))
    return points


def low_frequencies(photo: Picture, decoded: Picture) -> dict[str, float]:
    """The figures `repeats` and `colour` of a decoded picture."""
    x, y = (torch.from_numpy(p).permute(2, 0, 1)[None].float() / 255 for p in (photo, decoded))
    colour = F.avg_pool2d(x - y, COARSE).abs().mean()
    return {"repeats": 255 * repeats_loss(x, y).item(), "colour": 255 * colour.item()}


def at_bits(points: Sequence[Point], wanted: float) -> dict[str, float]:
    """Figures at so many bits per pixel, by straight lines over the logarithm of bits; none beyond
    the ends, since curves must not be guessed there."""
    ordered = sorted(points, key=lambda point: point.bpp)
    bits = [point.bpp for point in ordered]
    if not bits[0] <= wanted <= bits[-1]:
        return {}
    return {
        name: float(np.interp(np.log(wanted), np.log(bits), [p.figures[name] for p in ordered]))
        for name in ordered[0].figures
    }


def table(names: Sequence[str], curves: Sequence[Sequence[Point]], bits: Sequence[float]) -> str:
    """A Markdown table of all figures at the same bits."""
    titles = [*MEASURED, *OWN]
    lines = [
        "| bits per pixel | checkpoint | " + " | ".join(titles) + " |",
        "| --- " * (len(titles) + 2) + "|",
    ]
    for wanted in bits:
        for name, curve in zip(names, curves, strict=True):
            figures = at_bits(curve, wanted)
            cells = [f"{figures[title]:.4g}" if figures else "" for title in titles]
            lines.append(f"| {wanted:g} | {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def contact_sheet(
    codecs: Mapping[str, Codec],
    tiles: Sequence[Tensor],
    level: float,
    realism: float,
    dtype: torch.dtype,
    path: Path,
) -> None:
    """Write tiles as rows: the original, then each codec's at one level, at full size."""
    rows = []
    for patches in tiles:
        pictures = [as_bytes(from_patches(patches).float() / 255)]
        pictures += [decode(c, patches, level, realism, dtype).picture for c in codecs.values()]
        rows.append(np.concatenate(pictures, 1))
    Image.fromarray(np.concatenate(rows)).save(path)
