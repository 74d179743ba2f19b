"""Losses for what perceptual networks overlook: low frequencies, text, structure.

Each takes pictures `[B, 3, H, W]` in [0, 1] and returns `[B]`, 0 for equal ones.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

TILING_SCALES = (4, 8, 16, 32, 64)  # pixels
SMOOTH_SCALES = (8, 16, 32, 64)
CHROMA_SCALES = (4, 8, 16, 32)
BLOCK = 16  # side of the codec's blocks of pixels, with which a network's patterns repeat
HALO = 8, 2  # side of the squares that have an edge, and how many squares around one it reaches
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


def chroma_loss(x: Tensor, y: Tensor) -> Tensor:
    """L1 of means of squares in the differences of brightness from blue and red, which perceptual
    networks hardly weigh; at scales at which eyes still see colour. Scales larger than the picture
    are left out."""
    colours = torch.tensor(OPPONENT[1:], device=x.device, dtype=x.dtype)[:, :, None, None]
    error = F.conv2d(x - y, colours)
    scales = [side for side in CHROMA_SCALES if side <= min(x.shape[2:])]
    return torch.stack([F.avg_pool2d(error, s).abs().mean((1, 2, 3)) for s in scales]).mean(0)


def lattice_loss(x: Tensor, y: Tensor) -> Tensor:
    """L1 of the error's mean over all blocks of 16x16 pixels, by the place in the block, where x is
    smooth.

    Grain averages away in it. What is left is a pattern that repeats from block to block: what a
    network without a source of chance puts where it wants grain. Sides must be at least 16 pixels;
    what is left of them by 16 is left out.
    """
    height, width = (side // BLOCK * BLOCK for side in x.shape[2:])
    error = (y - x)[:, :, :height, :width].unflatten(3, (-1, BLOCK)).unflatten(2, (-1, BLOCK))
    weight = F.avg_pool2d(smoothness(x[:, :, :height, :width], BLOCK // 2), 2)
    pattern = (weight[:, :, :, None, :, None] * error).mean((2, 4))
    return pattern.abs().mean((1, 2, 3))


def repeats_loss(x: Tensor, y: Tensor) -> Tensor:
    """The same everywhere, smooth or not: a lattice that LPIPS takes for texture hides in feathers
    and grass."""
    height, width = (side // BLOCK * BLOCK for side in x.shape[2:])
    error = (y - x)[:, :, :height, :width].unflatten(3, (-1, BLOCK)).unflatten(2, (-1, BLOCK))
    return error.mean((2, 4)).abs().mean((1, 2, 3))


def halo_loss(x: Tensor, y: Tensor) -> Tensor:
    """L1 where x is plain but not far from an edge: the noise that transforms spread from edges to
    paper, sky and walls, which eyes see there and perceptual networks forgive.

    A square of 4x4 pixels counts by how little varies in it and how much in the squares of 8x8
    within 16 pixels. Sides must be at least 8 pixels; what is left of them by 8 is left out.
    """
    side, reach = HALO
    height, width = (size // side * side for size in x.shape[2:])
    x, y = x[:, :, :height, :width], y[:, :, :height, :width]
    edges = F.max_pool2d(1 - plainness(x, side), 2 * reach + 1, stride=1, padding=reach)
    weight = plainness(x, side // 2) * F.interpolate(edges, scale_factor=2)
    error = F.avg_pool2d((x - y).abs().mean(1, keepdim=True), side // 2)
    return (weight * error).mean((1, 2, 3))


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


def ms_ssim_loss(x: Tensor, y: Tensor) -> Tensor:
    """1 - MS-SSIM: Wang et al. 2003, an 11x11 Gaussian window of deviation 1.5, five scales.

    Pictures of less than 176 pixels have fewer scales, with the weights of these made to sum to 1.
    Raises `ValueError` below 11 pixels.
    """
    all_weights = torch.tensor([0.0448, 0.2856, 0.3001, 0.2363, 0.1333], device=x.device)
    scales = sum(min(x.shape[2:]) >> n >= 11 for n in range(5))
    if scales == 0:
        raise ValueError(f"MS-SSIM: {x.shape[3]}x{x.shape[2]} pixels are less than its window, 11")
    weights = all_weights[:scales] / all_weights[:scales].sum()
    line = torch.exp(-0.5 * (torch.arange(11, device=x.device) - 5.0).square() / 1.5**2)
    line = (line / line.sum()).view(1, 1, 1, 11).repeat(x.shape[1], 1, 1, 1)
    value = torch.ones(len(x), device=x.device)
    for n, weight in enumerate(weights):
        luminance, contrast = _ssim_parts(x, y, line)
        last = n == scales - 1
        part = (luminance * contrast if last else contrast).mean((2, 3)).clamp_min(1e-6)
        value = value * (part**weight).mean(1)
        if not last:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
    return 1 - value


def _ssim_parts(x: Tensor, y: Tensor, line: Tensor) -> tuple[Tensor, Tensor]:
    def blur(a: Tensor) -> Tensor:
        channels = a.shape[1]
        return F.conv2d(F.conv2d(a, line, groups=channels), line.transpose(2, 3), groups=channels)

    mean_x, mean_y = blur(x), blur(y)
    variances = blur(x * x) - mean_x**2 + blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + 1e-4) / (mean_x**2 + mean_y**2 + 1e-4)
    return luminance, (2 * covariance + 9e-4) / (variances + 9e-4)
