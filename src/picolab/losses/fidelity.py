"""Losses for what perceptual networks overlook: low frequencies, text, structure.

Each takes pictures `[B, 3, H, W]` in [0, 1] and returns `[B]`, 0 for equal ones.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

TILING_SCALES = (4, 8, 16, 32, 64)  # pixels
BLOCK = 16  # side of the codec's blocks of pixels, with which a network's patterns repeat
SQUARE = 8  # side of the squares of pixels that networks see as one, and that are clean or not
CLEAN = 2 / 255  # how far a square's pixels deviate from their neighbours' mean if it is half clean


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


def repeats_loss(x: Tensor, y: Tensor) -> Tensor:
    """L1 of the error's mean over all blocks of 16x16 pixels, by the place in the block.

    Grain averages away in it. What is left is a pattern that repeats from block to block: the
    lattice that LPIPS takes for texture. Sides must be at least 16 pixels; what is left of them by
    16 is left out.
    """
    height, width = (side // BLOCK * BLOCK for side in x.shape[2:])
    error = (y - x)[:, :, :height, :width].unflatten(3, (-1, BLOCK)).unflatten(2, (-1, BLOCK))
    return error.mean((2, 4)).abs().mean((1, 2, 3))


def borders_loss(x: Tensor, y: Tensor) -> Tensor:
    """L1 of the error's step across each border between squares of 8x8 pixels, its mean along it.

    Networks that are no finer than such squares leave lines between them. Texture that is drawn
    otherwise than it was averages away in the mean. Sides must be multiples of 8 pixels.
    """
    error = y - x
    across = error[:, :, :, SQUARE::SQUARE] - error[:, :, :, SQUARE - 1 : -1 : SQUARE]
    down = error[:, :, SQUARE::SQUARE] - error[:, :, SQUARE - 1 : -1 : SQUARE]
    steps = F.avg_pool2d(across, (SQUARE, 1)), F.avg_pool2d(down, (1, SQUARE))
    return torch.stack([step.abs().mean((1, 2, 3)) for step in steps]).mean(0)


def clean_error(x: Tensor, y: Tensor) -> Tensor:
    """The squared error of y where x is clean: without grain or texture, be it flat or a slope. As
    a mean over the whole picture; sides must be multiples of 8 pixels.

    Networks of perception forgive grain there, and eyes see nothing else. Where x has texture of
    its own, it hides errors, and this is nothing.
    """
    fine = x - F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    texture = F.avg_pool2d(fine.square(), SQUARE).mean(1)
    clean = 1 / (1 + (texture / CLEAN**2).square())
    error = F.avg_pool2d((x - y).square(), SQUARE).mean(1)
    return (clean * error).mean((1, 2))


def text_fidelity_loss(x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    """PICO's TextFidelityLoss: L1 within text, as a mean over the whole picture.

    `mask` `[B, 1, H, W]` in [0, 1] is the presence of text.
    """
    return ((x - y).abs() * mask).mean((1, 2, 3))
