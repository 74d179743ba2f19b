"""Variants of the codec without one of its parts, as the paper's ablation has them.

They are for training and comparing alone: none of them can be released.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from picolab.networks.blocks import (
    Chain,
    ConvScale,
    DialBlock,
    Down,
    FromPatches,
    ToPatches,
    Up,
    as_kernel,
    from_squares,
)
from picolab.networks.layers import Gains
from picolab.networks.model import Cell, Codec, ContextModel, ContextStep
from picolab.networks.shape import Shape

FULL = "full"


@dataclass(frozen=True)
class Variant:
    """What becomes of a codec; `paper` is the BD-rate in percent that PICO's paper gives."""

    title: str
    change: Callable[[Codec], None]
    paper: float | None = None


def make_variant(name: str, shape: Shape) -> Codec:
    """The codec of a shape without that part. Raises `ValueError` for a name that there is not."""
    if name not in VARIANTS:
        raise ValueError(f"no variant is called {name!r}; there are {', '.join(VARIANTS)}")
    codec = Codec(shape)
    VARIANTS[name].change(codec)
    return codec


class AloneStep(ContextStep):
    """Sees its part of the prior, and nothing that was decoded before."""

    def __init__(self, s: Shape) -> None:
        super().__init__(s, 0)

    def forward(self, known: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(known[:, : self.head.weight.shape[2]], level)


class OneWidthStep(ContextStep):
    """All bins are 1 wide."""

    def forward(self, known: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        mu, width = super().forward(known, level)
        return mu, torch.zeros_like(width)


class BareStep(AloneStep):
    """Neither sees what was decoded, nor has a width."""

    def forward(self, known: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        mu, width = super().forward(known, level)
        return mu, torch.zeros_like(width)


class ChannelGroups(ContextModel):
    """Four groups of channels, one after the other, in place of the four cells of a grid."""

    def __init__(self, s: Shape) -> None:
        super().__init__(s)
        group = s.y_channels // 4
        part = replace(s, y_channels=group, overlap=0)
        self.steps = nn.ModuleList(ContextStep(part, at * group) for at in range(4))
        self.split, self.join = four_groups, all_channels

    def split_prior(self, prior: Tensor) -> list[Tensor]:
        return [from_squares(prior)] * 4


def four_groups(x: Tensor) -> list[Tensor]:
    return list(x.chunk(4, dim=1))


def all_channels(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts, 1)


class Checkerboard(ContextModel):
    """The fields of a checkerboard of one colour, then those of the other, which see them."""

    def __init__(self, s: Shape) -> None:
        super().__init__(s)
        self.steps = nn.ModuleList(ContextStep(s, at * s.y_channels) for at in range(2))

    def forward(
        self,
        prior: Tensor,
        y: Tensor,
        index: Tensor,
        coded: Tensor,
        level: Tensor,
        noise: Tensor | None,
    ) -> Cell:
        own = from_squares(prior)
        rows, columns = (torch.arange(size, device=y.device) for size in y.shape[2:])
        white = ((rows[:, None] + columns) % 2).to(y.dtype)
        first, second = self.steps
        one = self.quantise(y, *first(own, level), index, coded * (1 - white), noise)
        seen = one.y_hat * (1 - white)
        known = torch.cat([own, seen.to(own.dtype)], 1)
        two = self.quantise(y, *second(known, level), index, coded * white, noise)
        y_hat = seen + two.y_hat * white
        return Cell(one.symbols + two.symbols, y_hat, one.bits + two.bits)


class StridedDown(ConvScale):
    """A 4x4 convolution with a stride of 2."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 4)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.effective(x.dtype)
        return F.conv2d(x, as_kernel(weight, 4), bias, stride=2, padding=1)


class StridedUp(ConvScale):
    """A 4x4 transposed convolution with a stride of 2, in which four taps meet at each pixel."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 4, gain=2.0)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.effective(x.dtype)
        kernel = as_kernel(weight, 4).transpose(0, 1)
        return F.conv_transpose2d(x, kernel, bias, stride=2, padding=1)


def no_context(codec: Codec) -> None:
    codec.context_model.steps = nn.ModuleList(AloneStep(codec.shape) for _ in range(4))


def no_width(codec: Codec) -> None:
    y = codec.shape.y_channels
    steps = (OneWidthStep(codec.shape, cell * y) for cell in range(4))
    codec.context_model.steps = nn.ModuleList(steps)


def channel_groups(codec: Codec) -> None:
    codec.context_model = ChannelGroups(codec.shape)


def checkerboard(codec: Codec) -> None:
    codec.context_model = Checkerboard(codec.shape)


def no_conv_scales(codec: Codec) -> None:
    for module in codec.modules():
        if isinstance(module, ConvScale):
            _freeze(module, "scale_in")
            _freeze(module, "scale_out")


def no_resolution_scales(codec: Codec) -> None:
    for module in codec.modules():
        gains: list[Gains] = []
        if isinstance(module, Chain):
            gains = [module.scale]
        elif isinstance(module, DialBlock):
            gains = [module.gain, module.realistic]
        for each in gains:
            _freeze(each, "log_gain")


def no_scales(codec: Codec) -> None:
    no_conv_scales(codec)
    no_resolution_scales(codec)


def _freeze(module: nn.Module, name: str) -> None:
    """A parameter to a constant, which no stage teaches."""
    value = getattr(module, name).detach()
    delattr(module, name)
    module.register_buffer(name, value)


def shuffled(codec: Codec) -> None:
    """Resampling moves pixels as they are: the identity in place of Haar."""
    for module in codec.modules():
        if isinstance(module, Down | Up | FromPatches | ToPatches):
            module.haar.copy_(torch.eye(len(module.haar)))


def strided(codec: Codec) -> None:
    """Strided convolutions; those between pixels and patches are that without Haar already."""
    shuffled(codec)
    for parent in list(codec.modules()):
        for name, child in list(parent.named_children()):
            inputs = len(child.scale_in) if isinstance(child, Down | Up) else 0
            if isinstance(child, Down):
                setattr(parent, name, StridedDown(inputs // 4, len(child.scale_out)))
            elif isinstance(child, Up):
                setattr(parent, name, StridedUp(inputs, len(child.scale_out) // 4))


def everything_off(codec: Codec) -> None:
    codec.context_model.steps = nn.ModuleList(BareStep(codec.shape) for _ in range(4))
    strided(codec)
    no_scales(codec)


def _unchanged(codec: Codec) -> None:
    """The full model."""


VARIANTS = {
    FULL: Variant("full model", _unchanged),
    "no-context": Variant("no one-shot context model", no_context, 10.28),
    "channels": Variant("channel groups (4) instead of a 2x2 grid", channel_groups, 3.10),
    "checkerboard": Variant("checkerboard instead of a 2x2 grid", checkerboard, 14.67),
    "no-width": Variant("no learned quantisation width", no_width, 8.16),
    "no-scales": Variant("no learned scales", no_scales, 9.58),
    "conv-scales": Variant("scales of ConvScale only", no_resolution_scales, 3.76),
    "resolution-scales": Variant("scales per resolution only", no_conv_scales, 1.21),
    "shuffle": Variant("pixel (un)shuffle instead of Haar", shuffled, 19.51),
    "strided": Variant("strided convolutions instead of Haar", strided, 8.90),
    "all-off": Variant("all of these off, strided", everything_off, 31.69),
}
