"""Means of feature maps in windows, from which losses of textures are made.

Feature maps are large, and each operation on them costs as much as a convolution of them. So both
losses of VGG16's maps start from the same few sums, and their gradient is written by hand.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Moments(NamedTuple):
    """Of two maps, each `[B, C, H / side, W / side]` in float32: means over windows of `side`."""

    a: Tensor
    b: Tensor
    aa: Tensor
    bb: Tensor
    ab: Tensor

    def over(self, side: int) -> Moments:
        """The same over windows that are `side` times as large, or all there is."""
        side = min(side, *self.a.shape[2:])
        return Moments(*(F.avg_pool2d(m, side) for m in self))

    def overall(self) -> Moments:
        """The same over all, `[B, C]`."""
        return Moments(*(m.mean((2, 3)) for m in self))


def moments(a: Tensor, b: Tensor, side: int) -> Moments:
    """Of maps `[B, C, H, W]` of any float type; `b` alone gets a gradient. What is left of the
    sides by `side` is left out."""
    return Moments(*_Means.apply(a, b, side))


class _Means(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, side: int) -> tuple[Tensor, ...]:
        ctx.save_for_backward(a, b)
        ctx.side = side
        one, other = a.float(), b.float()
        each = (one, other, one.square(), other.square(), one * other)
        return tuple(F.avg_pool2d(x, side) for x in each)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, None]:
        a, b = (_in_windows(x, ctx.side) for x in ctx.saved_tensors)
        _, mean, _, square, product = (
            (g / ctx.side**2).to(b.dtype)[:, :, :, None, :, None] for g in gradients
        )
        result = torch.addcmul(torch.addcmul(mean, b, 2 * square), a, product)
        result = result.flatten(4, 5).flatten(2, 3)
        height, width = ctx.saved_tensors[1].shape[2:]
        left_out = (0, width - result.shape[3], 0, height - result.shape[2])
        return None, F.pad(result, left_out) if any(left_out) else result, None


def _in_windows(x: Tensor, side: int) -> Tensor:
    """`[B, C, H / side, side, W / side, side]`, without what is left of the sides."""
    height, width = (s // side * side for s in x.shape[2:])
    return x[:, :, :height, :width].unflatten(3, (-1, side)).unflatten(2, (-1, side))
