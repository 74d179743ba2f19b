"""DISTS: Ding et al., "Image Quality Assessment: Unifying Structure and Texture Similarity"
(TPAMI 2020)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from picolab.losses.features import VGG16, weights_file
from picolab.losses.moments import Moments

CHANNELS = (3, 64, 128, 256, 512, 512)
HANN = (0.25, 0.5, 0.25)


class Statistics(NamedTuple):
    """Of two maps, `[B, C]`: their means, the sum of their variances, and their covariance."""

    mean_a: Tensor
    mean_b: Tensor
    variances: Tensor
    covariance: Tensor


class DISTS(nn.Module):
    """Distance of pictures `[B, 3, H, W]` in [0, 1]: `[B]`, 0 for equal ones, differentiable.

    `trunk` is the file with the VGG16 convolutions, `weights` the one with alpha and beta; by
    default those that `features.weights_file` finds, which raises `MissingWeights`.
    """

    alpha: Tensor
    beta: Tensor

    def __init__(self, trunk: Path | None = None, weights: Path | None = None) -> None:
        super().__init__()
        self.trunk = VGG16(trunk, pooling=l2_pool)
        values = load_file(weights or weights_file("dists_ab.safetensors"))
        total = values["alpha"].sum() + values["beta"].sum()
        self.register_buffer("alpha", values["alpha"] / total)
        self.register_buffer("beta", values["beta"] / total)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.distance(self.features(x), self.features(y))

    def features(self, x: Tensor) -> list[Tensor]:
        """The picture itself and the maps of the 5 stages."""
        return [x.float(), *self.trunk(x)]

    def distance(self, x: list[Tensor], y: list[Tensor]) -> Tensor:
        """`[B]` from what `features` gave for two batches."""
        parts = []
        for a, b in zip(x, y, strict=True):
            mean_a, mean_b = a.mean((2, 3)), b.mean((2, 3))
            var_a = (a - mean_a[:, :, None, None]).square().mean((2, 3))
            var_b = (b - mean_b[:, :, None, None]).square().mean((2, 3))
            covariance = (a * b).mean((2, 3)) - mean_a * mean_b
            parts.append(Statistics(mean_a, mean_b, var_a + var_b, covariance))
        return self._distance(parts)

    def of_moments(self, stages: list[Moments]) -> Tensor:
        """`[B]` from the moments of the pictures themselves and of the maps of the 5 stages, over
        all of them: for training, where small variances may be wrong in the last digits."""
        return self._distance(
            [
                Statistics(m.a, m.b, m.aa + m.bb - m.a**2 - m.b**2, m.ab - m.a * m.b)
                for m in (stage.overall() for stage in stages)
            ]
        )

    def _distance(self, stages: list[Statistics]) -> Tensor:
        similarity = torch.zeros(len(stages[0].mean_a), device=stages[0].mean_a.device)
        alphas, betas = self.alpha.split(CHANNELS), self.beta.split(CHANNELS)
        for s, alpha, beta in zip(stages, alphas, betas, strict=True):
            texture = (2 * s.mean_a * s.mean_b + 1e-6) / (s.mean_a**2 + s.mean_b**2 + 1e-6)
            structure = (2 * s.covariance + 1e-6) / (s.variances + 1e-6)
            similarity = similarity + (alpha * texture + beta * structure).sum(1)
        return 1 - similarity


def l2_pool(x: Tensor) -> Tensor:
    """Root of the Hann-weighted mean square over 3x3, stride 2: pooling without aliasing.

    Written as sums of slices, which compile to one loop each way; the gradient of a depthwise
    convolution takes a CPU as long as those around it."""
    height, width = ((side + 1) // 2 for side in x.shape[2:])
    squares = F.pad(x.permute(0, 2, 3, 1).float().square(), (0, 0, 1, 1, 1, 1))
    mean = torch.zeros((), device=x.device)
    for i, above in enumerate(HANN):
        for j, beside in enumerate(HANN):
            every_second = squares[:, i : i + 2 * height - 1 : 2, j : j + 2 * width - 1 : 2]
            mean = mean + above * beside * every_second
    return (mean + 1e-12).sqrt().to(x.dtype).permute(0, 3, 1, 2)
