"""Wasserstein distortion: Qiu et al., "Wasserstein Distortion: Unifying Fidelity and Realism"
(arXiv 2310.03629), on features of VGG16.

Where the eye pools, textures with the same local statistics look the same. In each window of a
feature map only the mean and the standard deviation are compared, which is the 2-Wasserstein
distance between normal distributions. The window is constant over the picture, as in C3-WD
(arXiv 2412.00505). Ours divides each stage by the mean square of the reference's features, so
that stages count alike and the value is a ratio: compare it with itself only.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from picolab.losses.features import VGG16
from picolab.losses.moments import Moments, moments

WINDOW = 16  # pixels
# By how much the maps of each stage are smaller than the picture.
OF_VGG, OF_ALEX = (1, 2, 4, 8, 16), (4, 8, 16, 16, 16)


class WassersteinDistortion(nn.Module):
    """Distance of pictures `[B, 3, H, W]` in [0, 1]: `[B]`, 0 for equal ones, differentiable.

    `window` is the side of the pooling window in pixels, a power of two; 1 compares the features
    point by point. `trunk` is a VGG16, by default one with the weights that
    `features.weights_file` finds, which raises `MissingWeights`.
    """

    def __init__(self, trunk: VGG16 | None = None, window: int = WINDOW) -> None:
        super().__init__()
        self.trunk = trunk or VGG16()
        self.window = window

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return distance(self.trunk(x), self.trunk(y), self.window)


def distance(reference: list[Tensor], maps: list[Tensor], window: int = WINDOW) -> Tensor:
    """`[B]` from the maps of the reference and of the other picture."""
    return of_moments(moments_of_stages(reference, maps, window))


def moments_of_stages(
    reference: list[Tensor], maps: list[Tensor], window: int, strides: Sequence[int] = OF_VGG
) -> list[Moments]:
    """Of each stage, in windows of so many pixels of the picture, or of one place at least."""
    each = zip(reference, maps, strides[: len(maps)], strict=True)
    return [moments(a, b, min(max(window // n, 1), *a.shape[2:])) for a, b, n in each]


def of_moments(stages: list[Moments]) -> Tensor:
    """`[B]` from what `moments_of_stages` gave."""
    total = torch.zeros(len(stages[0].a), device=stages[0].a.device)
    for m in stages:
        deviations = deviation(m.a, m.aa) - deviation(m.b, m.bb)
        apart = (m.a - m.b).square() + deviations.square()
        total = total + apart.mean((1, 2, 3)) / (m.aa.mean((1, 2, 3)) + 1e-6)
    return total / len(stages)


def deviation(mean: Tensor, square: Tensor) -> Tensor:
    """Standard deviation; the root's gradient is infinite at zero, and rounding may give less."""
    least = 1e-4 * square.detach().mean() + 1e-12
    return ((square - mean.square()).clamp_min(0) + least).sqrt()
