"""Losses for what perceptual networks overlook: low frequencies, text, structure.

Each takes pictures `[B, 3, H, W]` in [0, 1] and returns `[B]`, 0 for equal ones.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

TILING_SCALES = (4, 8, 16, 32, 64)  # pixels
SMOOTH_SCALES = (8, 16, 32, 64)
BLOCK = 16  # side of the codec's blocks of pixels, with which a network's patterns repeat
SMOOTH_DEVIATION = 3 / 255  # of a square of pixels in which half of an error is seen
# Brightness, and its difference from blue and red (BT.601), where eyes are keener on slow changes.
OPPONENT = (
    (0.299, 0.587, 0.114),
    (-0.338, -0.662, 1.0),
    (1.0, -0.837, -0.163),
)


def tiling_artifact_loss(x: Tensor, y: Tensor) -> Tensor:
    """PICO's TilingArtifactLoss: the mean over a pyramid of resolutions of the L1 distance.

    A colour that is off by a little over a whole tile costs as much at every scale; an error
    that averages out, hardly anything at the coarse ones. Scales larger than the picture are left
    out.
    """
    difference = x - y
    scales = [side for side in TILING_SCALES if side <= min(x.shape[2:])]
    parts = [F.avg_pool2d(difference, side).abs().mean((1, 2, 3)) for side in scales]
    return torch.stack(parts).mean(0)


def smooth_loss(x: Tensor, y: Tensor) -> Tensor:
    """L1 of means of squares, in opponent colours, where x is smooth and nothing hides an error.

    A square of 8x8 pixels counts by how little varies in it and in those around it, larger ones by
    the mean of theirs: blotches on paper, skin or sky, which average away in the losses of whole
    pictures. Sides must be at least 8 pixels; scales larger than the picture are left out.
    """
    first, *larger = [side for side in SMOOTH_SCALES if side <= min(x.shape[2:])]
    weight = smoothness(x, first)
    colours = torch.tensor(OPPONENT, device=x.device, dtype=x.dtype)[:, :, None, None]
    error = F.conv2d(F.avg_pool2d(x - y, first), colours)
    parts = [(weight * error.abs()).mean((1, 2, 3))]
    for side in larger:
        part = F.avg_pool2d(weight, side // first) * F.avg_pool2d(error, side // first).abs()
        parts.append(part.mean((1, 2, 3)))
    return torch.stack(parts).mean(0)


def repeats_loss(x: Tensor, y: Tensor) -> Tensor:
    """L1 of the error's mean over all blocks of 16x16 pixels, by the place in the block.

    Grain averages away in it. What is left is a pattern that repeats from block to block: the
    lattice that LPIPS takes for texture. Sides must be at least 16 pixels; what is left of them by
    16 is left out.
    """
    height, width = (side // BLOCK * BLOCK for side in x.shape[2:])
    error = (y - x)[:, :, :height, :width].unflatten(3, (-1, BLOCK)).unflatten(2, (-1, BLOCK))
    return error.mean((2, 4)).abs().mean((1, 2, 3))


def smoothness(x: Tensor, side: int) -> Tensor:
    """How much an error would show in each square of `side` pixels, in [0, 1]: by the variance in
    it and in the eight around it, the largest. `[B, 1, H / side, W / side]`."""
    return -F.max_pool2d(-plainness(x, side), 3, stride=1, padding=1)


def plainness(x: Tensor, side: int) -> Tensor:
    """The same, by the variance in the square alone."""
    mean = F.avg_pool2d(x, side)
    variance = (F.avg_pool2d(x * x, side) - mean**2).clamp_min(0).mean(1, keepdim=True)
    return SMOOTH_DEVIATION**2 / (SMOOTH_DEVIATION**2 + variance)


def text_fidelity_loss(x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    """PICO's TextFidelityLoss: L1 within text, as a mean over the whole picture.

    `mask` `[B, 1, H, W]` in [0, 1] is the presence of text.
    """
    return ((x - y).abs() * mask).mean((1, 2, 3))
