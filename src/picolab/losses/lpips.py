"""LPIPS v0.1: Zhang et al., "The Unreasonable Effectiveness of Deep Features" (CVPR 2018)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from picolab.losses.features import VGG16, AlexNet, weights_file


class LPIPS(nn.Module):
    """Distance of pictures `[B, 3, H, W]` in [0, 1]: `[B]`, 0 for equal ones, differentiable.

    `trunk` is "alex" (what papers report) or "vgg" (the better training loss). `weights` is a
    safetensors file; by default the one that `features.weights_file` finds, which raises
    `MissingWeights` if there is none.
    """

    def __init__(self, trunk: Literal["alex", "vgg"] = "alex", weights: Path | None = None) -> None:
        super().__init__()
        weights = weights or weights_file(f"lpips_{trunk}_fp16.safetensors")
        self.trunk = AlexNet(weights) if trunk == "alex" else VGG16(weights)
        values = load_file(weights)
        for number in range(5):
            head = values[f"lin.{number}"].float().view(1, -1, 1, 1)
            self.register_buffer(f"head{number}", head)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.distance(self.features(x), self.features(y))

    def features(self, x: Tensor) -> list[Tensor]:
        """The maps of the 5 stages, each vector of channels scaled to length 1."""
        return self.normalised(self.trunk(x))

    def normalised(self, maps: list[Tensor]) -> list[Tensor]:
        # The small number is inside the root, where it keeps the gradient of a zero vector finite.
        maps = [m.float() for m in maps]
        return [m * torch.rsqrt(m.square().sum(1, keepdim=True) + 1e-20) for m in maps]

    def distance(self, x: list[Tensor], y: list[Tensor]) -> Tensor:
        """`[B]` from what `features` gave for two batches."""
        parts = [
            ((a - b).square() * self.get_buffer(f"head{number}")).sum(1).mean((1, 2))
            for number, (a, b) in enumerate(zip(x, y, strict=True))
        ]
        return torch.stack(parts).sum(0)
