"""How good the weights are: rounded symbols on held-out tiles at five levels, in bits, PSNR and
LPIPS; and the PSNR at fixed bits, one number that compares any two runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from picolab.data.crops import Crops, TileFile
from picolab.losses.lpips import LPIPS
from picolab.networks.blocks import from_patches
from picolab.networks.model import Codec, quantise, squared_error

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
FIXED_BITS = (0.1, 0.2, 0.4, 0.8)  # per pixel, at which PSNR is compared


@dataclass(frozen=True)
class Point:
    """The means over tiles at one level; `lpips` is NaN where it was not asked for."""

    level: float
    bpp: float
    psnr: float
    lpips: float


@torch.no_grad()
def validate(
    codec: Codec,
    tiles: TileFile,
    dtype: torch.dtype,
    device: torch.device,
    count: int = 40,
    lpips: LPIPS | None = None,
    lpips_count: int = 12,
) -> list[Point]:
    """Points of the held-out photos, at realism 0. The codec is as it is; no random state moves."""
    photos = tiles.natural.nonzero().flatten().tolist()
    chosen = [photos[i * len(photos) // count] for i in range(min(count, len(photos)))]
    compiled, codec.context_model.quantise = codec.context_model.quantise, quantise
    figures: dict[float, list[tuple[float, float, float]]] = {level: [] for level in LEVELS}
    for at, number in enumerate(chosen):
        patches = tiles.whole(number).to(device)
        x = Crops(patches, torch.ones(1)).centred(dtype)
        picture = from_patches(patches).float() / 255
        for value in LEVELS:
            coded = codec(x, torch.full((1,), value, device=device), hard=True)
            decoded = (coded.centred.float() + 0.5).clamp(0, 1)
            mse = squared_error(decoded, patches.float() / 255)
            bpp = (coded.bits_y + coded.bits_z) / picture[0, 0].numel()
            seen = math.nan
            if lpips is not None and at < lpips_count:
                seen = lpips(picture, from_patches(decoded)).item()
            figures[value].append((bpp.item(), psnr(mse).item(), seen))
    codec.context_model.quantise = compiled
    return [Point(level, *_means(values)) for level, values in figures.items()]


def _means(values: list[tuple[float, float, float]]) -> list[float]:
    table = np.array(values)
    seen = table[:, 2][~np.isnan(table[:, 2])]
    return [*table[:, :2].mean(0).tolist(), float(seen.mean()) if len(seen) else math.nan]


def psnr(mse: Tensor) -> Tensor:
    return -10 * torch.log10(mse.clamp_min(1e-10))


def at_fixed_bits(points: list[Point]) -> list[float]:
    """The PSNR at each of `FIXED_BITS`, by straight lines over the logarithm of bits; beyond the
    ends the first and last line go on."""
    bits = np.log([point.bpp for point in points])
    quality = np.array([point.psnr for point in points])
    found = []
    for wanted in np.log(FIXED_BITS):
        i = int(np.clip(np.searchsorted(bits, wanted) - 1, 0, len(bits) - 2))
        share = (wanted - bits[i]) / (bits[i + 1] - bits[i])
        found.append(float(quality[i] + share * (quality[i + 1] - quality[i])))
    return found


def score(points: list[Point]) -> float:
    """The mean PSNR at `FIXED_BITS`, in dB: higher is better."""
    return float(np.mean(at_fixed_bits(points)))
