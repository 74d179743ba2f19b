"""What the blocks of the networks rest on: the Haar transform, gains by level, and folding.

`fold` freezes what a layer amounts to into ordinary modules, and `unfold` is the way back. Tensors
are [B, C, H, W] throughout.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

AROUND = [0, 1, 2, 3, 5, 6, 7, 8]  # places of a 3x3 window, row major, without its centre


def haar_matrix(levels: int) -> Tensor:
    """The orthonormal matrix of a 2-D Haar packet transform, `[4**levels, 4**levels]`.

    Column index: pixel of a `2**levels` square block in `pixel_unshuffle` order (row major).
    Row index: sub-band, in the same order (row 0 is the mean times the block side). Each level
    transforms every band of the one before it, so one level is the plain 2-D Haar transform.
    """
    step = torch.tensor([[1.0, 1.0], [1.0, -1.0]]) / 2**0.5
    line = torch.ones(1, 1)
    for _ in range(levels):
        line = torch.kron(line, step)
    return torch.kron(line, line)


class Gains(nn.Module):
    """Positive channel gains as a function of the level in [0, 1].

    The logarithm of each gain is piecewise linear in the level between `knots` learned values.
    Returns `[B, C]` for levels `[B]`.
    """

    def __init__(self, channels: int, knots: int) -> None:
        super().__init__()
        self.log_gain = nn.Parameter(torch.zeros(knots, channels))

    def forward(self, level: Tensor) -> Tensor:
        return torch.exp(interpolate_knots(self.log_gain, level))


def interpolate_knots(table: Tensor, level: Tensor) -> Tensor:
    """Rows of `table` `[K, C]`, spread evenly over [0, 1], interpolated at `level` `[B]`."""
    knots = table.shape[0]
    at = torch.arange(knots, dtype=table.dtype, device=table.device)
    weights = F.relu(1.0 - (level[:, None] * (knots - 1) - at).abs())
    return weights @ table


class Surrounded(nn.Module):
    """`x` `[B, C, H, W]`, and behind its channels what lies around each position of the first `n`
    of them, zero beyond the edges: `[B, C + 8 n, H, W]`."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n
        others = torch.eye(9)[AROUND].unflatten(1, (1, 3, 3)).repeat(n, 1, 1, 1)
        self.shifts = plain_conv(others, torch.zeros(8 * n), padding=1, groups=n)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.shifts(x[:, : self.n])], dim=1)


def with_overlap(own: nn.Conv2d, overlap: nn.Conv2d) -> nn.Module:
    """`own(x) + overlap(x[:, :n])`, a 1x1 and a 3x3 convolution, as one 1x1 of `Surrounded` x,
    since so many output channels take a CPU twice as long with a window."""
    assert own.bias is not None
    n = overlap.in_channels
    taps = overlap.weight.detach().flatten(2)
    weight = own.weight.detach().clone()
    weight[:, :n, 0, 0] += taps[:, :, 4]
    around = taps[:, :, AROUND].flatten(1)[:, :, None, None]
    return nn.Sequential(Surrounded(n), plain_conv(torch.cat([weight, around], 1), own.bias))


def without_overlap(folded: nn.Module, centre: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`with_overlap` backwards, for an overlap whose `centre` is `[K, n]`: weight `[K, C]` and bias
    of `own`, and the overlap's weight `[K, n, 3, 3]`."""
    n = centre.shape[1]
    weight, bias = conv_values(folded.get_submodule("1"))
    own, around = weight.flatten(1).split([weight.shape[1] - 8 * n, 8 * n], 1)
    taps = torch.empty(len(weight), n, 9)
    taps[:, :, AROUND], taps[:, :, 4] = around.unflatten(1, (n, 8)), centre
    own = own.clone()
    own[:, :n] -= centre
    return own, bias, taps.unflatten(2, (3, 3))


def plain_conv(
    weight: Tensor, bias: Tensor, stride: int = 1, padding: int = 0, groups: int = 1
) -> nn.Conv2d:
    """An `nn.Conv2d` with these values."""
    out_channels, in_group, kernel, _ = weight.shape
    conv = nn.Conv2d(in_group * groups, out_channels, kernel, stride, padding, groups=groups)
    with torch.no_grad():
        conv.weight.copy_(weight)
        conv.bias.copy_(bias)  # type: ignore[union-attr]
    return conv


def conv_values(folded: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of an `nn.Conv2d`, or of the one that a sequence begins with."""
    conv = folded[0] if isinstance(folded, nn.Sequential) else folded
    assert isinstance(conv, nn.Conv2d) and conv.bias is not None
    return conv.weight, conv.bias


def fold(module: nn.Module) -> nn.Module:
    """Replace what has a plainer or faster form, below `module` and in place; returns `module`.

    The result computes the same function without scales or Haar matrices, in eval mode only:
    it can no longer be trained as the codec is.
    """
    for name, child in module.named_children():
        setattr(module, name, fold(child))
    own = getattr(module, "fold", None)
    return own() if own else module


@torch.no_grad()
def unfold(module: nn.Module, folded: nn.Module) -> None:
    """`fold` backwards: give `module` the parameters of `folded`, what `fold` made of its like.

    Where several sets of parameters amount to the same, what `module` has of scales, and of the
    overlap's centre, stays, and the rest follows.
    """
    own = getattr(module, "unfold", None)
    if own:
        return own(folded)
    for name, parameter in module.named_parameters(recurse=False):
        parameter.copy_(folded.get_parameter(name))
    for name, child in module.named_children():
        unfold(child, folded.get_submodule(name))
