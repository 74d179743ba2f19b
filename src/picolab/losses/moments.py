"""Means of feature maps in windows, from which losses of textures are made.

Feature maps are large, and each operation on them costs as much as a convolution of them. So both
losses of VGG16's maps start from the same few sums, which training compiles to one loop each way.
"""

from __future__ import annotations

from typing import NamedTuple

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
    """Of maps `[B, C, H, W]` of any float type. What is left of the sides by `side` is left out."""
    one, other = a.float(), b.float()
    each = (one, other, one.square(), other.square(), one * other)
    return Moments(*(_in_windows(x, side).mean((3, 5)) for x in each))


def _in_windows(x: Tensor, side: int) -> Tensor:
    """`[B, C, H / side, side, W / side, side]`, without what is left of the sides."""
    height, width = (s // side * side for s in x.shape[2:])
    return x[:, :, :height, :width].unflatten(3, (-1, side)).unflatten(2, (-1, side))
