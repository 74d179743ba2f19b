"""An error in XYB, JPEG XL's opponent colours after the eye's cones, at several scales.

A squared error of sRGB values counts a step of any colour alike. Here cones answer first: linear
light, mixed to what they absorb, to the power of a third. Coarse scales count more than their
squared errors, which averaging makes small: that is where eyes see blotches and shifts of colour.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

# What the cones of long, medium and short waves absorb of linear red, green and blue, and the
# light that they see in the dark: libjxl's constants.
ABSORBANCE = (
    (0.3, 0.622, 0.078),
    (0.23, 0.692, 0.078),
    (0.24342268924547819, 0.20476744424496821, 0.55180986650955360),
)
DARK = 0.0037930732552754493
SCALES = (1, 2, 4, 8)  # pixels
# Of X, Y and B - Y: about the reciprocals of their ranges in pictures, as SSIMULACRA 2 has them.
WEIGHTS = (14.0, 1.0, 1.0)


def to_xyb(x: Tensor) -> Tensor:
    """sRGB `[B, 3, H, W]` in [0, 1] (what is beyond is cut off) to X, Y and B - Y."""
    x = x.clamp(0, 1)
    linear = torch.where(x <= 0.04045, x / 12.92, ((x.clamp_min(0.04) + 0.055) / 1.055) ** 2.4)
    mix = beside(x, itertools.chain(*ABSORBANCE)).view(3, 3, 1, 1)
    cones = (F.conv2d(linear, mix) + DARK) ** (1 / 3) - DARK ** (1 / 3)
    long, medium, short = cones.unbind(1)
    brightness = (long + medium) / 2
    return torch.stack([(long - medium) / 2, brightness, short - brightness], 1)


def xyb_error(x: Tensor, y: Tensor) -> Tensor:
    """The weighted squared error `[B]` of pictures `[B, 3, H, W]` in [0, 1], the mean over scales
    of `side *` that of the means of squares; 0 for equal ones. Scales larger than the picture are
    left out."""
    weights = beside(x, WEIGHTS)[:, None, None]
    difference = weights * (to_xyb(x) - to_xyb(y))
    scales = [side for side in SCALES if side <= min(x.shape[2:])]
    parts = [side * F.avg_pool2d(difference, side).square().mean((1, 2, 3)) for side in scales]
    return torch.stack(parts).mean(0)


def beside(x: Tensor, values: Iterable[float]) -> Tensor:
    """`[N]` as `x` is. Made on its device, since a copy to a GPU waits for it."""
    return torch.stack([x.new_full((), value) for value in values])
