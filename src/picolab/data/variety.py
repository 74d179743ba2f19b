"""Crops as cameras deliver photos at full size: softer and noisier than reduced ones, of which a
training set is mostly made."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

LEFT_ALONE = 0.5  # the share of crops that each of the two changes passes over
COLOUR_SHARE = 0.3  # of the deviation of the grain in brightness, that of each colour by itself


def vary(
    crops: Tensor, masks: Tensor, zoom: float, grain: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Half of the crops `[B, C, S, S]` in [0, 1] with grain, half, chosen by themselves, enlarged.

    Grain is normal, of a deviation up to `grain` steps of 255; enlarged (bicubic) is the middle, by
    up to `zoom`, grain and all, and the masks with it. All randomness comes from `generator` (on
    the CPU), and none if both changes are off (1 and 0).
    """
    count, side = len(crops), crops.shape[2]
    if grain > 0:
        deviations = _amounts(count, generator) * grain / 255
        noise = torch.randn(count, 1, side, side, generator=generator)
        colours = torch.randn(crops.shape, generator=generator)
        noise = (noise + COLOUR_SHARE * colours) * deviations[:, None, None, None]
        crops = (crops + noise.to(crops.device)).clamp(0, 1)
    if zoom > 1:
        factors = torch.exp(math.log(zoom) * _amounts(count, generator)).tolist()
        crops = torch.cat([_enlarged(x, f, "bicubic") for x, f in zip(crops, factors, strict=True)])
        masks = torch.cat([_enlarged(m, f, "nearest") for m, f in zip(masks, factors, strict=True)])
    return crops.contiguous(memory_format=torch.channels_last), masks


def _amounts(count: int, generator: torch.Generator) -> Tensor:
    """How much of a change each crop gets, `[count]` in [0, 1]: 0, or evenly spread."""
    drawn = torch.rand(count, generator=generator)
    return ((drawn - LEFT_ALONE) / (1 - LEFT_ALONE)).clamp_min(0)


def _enlarged(x: Tensor, factor: float, mode: str) -> Tensor:
    """The middle of x `[C, S, S]` in [0, 1], enlarged to `[1, C, S, S]`."""
    side = x.shape[1]
    part = round(side / factor)
    start = (side - part) // 2
    middle = x[None, :, start : start + part, start : start + part]
    if part == side:
        return middle
    return F.interpolate(middle, size=(side, side), mode=mode).clamp(0, 1)
