"""Building blocks of the networks: scaled convolutions, Haar resampling, gains by level.

Every convolution here is linear in its input and keeps its learned scales, and the Haar
transform next to it, in its *weights*: `effective()` returns the one plain kernel that the
layer amounts to, training and inference both run that kernel, and `fold()` freezes it into an
ordinary `nn.Conv2d`. Tensors are [B, C, H, W] throughout.
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


class ConvScale(nn.Module):
    """A convolution with learned scales on its input and output channels (PICO's ConvScale).

    `W' = scale_in * scale_out * W` and `b' = scale_out * b`, "same" padding with zeros.
    Weight `[out, in / groups, kernel, kernel]`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        groups: int = 1,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.kernel, self.groups = kernel, groups
        fan_in = in_channels // groups * kernel * kernel
        weight = torch.randn(out_channels, in_channels // groups, kernel, kernel)
        self.weight = nn.Parameter(weight * gain / fan_in**0.5)
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.scale_in = nn.Parameter(torch.ones(1, in_channels // groups, 1, 1))
        self.scale_out = nn.Parameter(torch.ones(out_channels, 1, 1, 1))

    def effective(self) -> tuple[Tensor, Tensor]:
        """Weight and bias of the equivalent plain convolution."""
        return (
            self.scale_in * self.scale_out * self.weight,
            self.scale_out.flatten() * self.bias,
        )

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.effective()
        return F.conv2d(x, weight, bias, padding=self.kernel // 2, groups=self.groups)

    def fold(self) -> nn.Module:
        weight, bias = self.effective()
        return _plain_conv(weight, bias, self.groups)

    @torch.no_grad()
    def unfold(self, weight: Tensor, bias: Tensor) -> None:
        """Become what folds to these values: `fold` backwards, with scales of one."""
        self.weight.copy_(weight)
        self.bias.copy_(bias)
        self.scale_in.fill_(1.0)
        self.scale_out.fill_(1.0)


class HaarDown(ConvScale):
    """Haar downsampling by `2**levels`, then a ConvScale, as one strided linear map."""

    matrix = staticmethod(haar_matrix)

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 1, levels: int = 1):
        super().__init__(in_channels * 4**levels, out_channels, kernel)
        self.factor = 2**levels
        self.register_buffer("haar", self.matrix(levels), persistent=False)

    def effective(self) -> tuple[Tensor, Tensor]:
        weight, bias = super().effective()
        bands = weight.unflatten(1, (-1, self.factor**2))
        weight = torch.einsum("kcbyx,bp->kcpyx", bands, self.haar).flatten(1, 2)
        return weight, bias

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pixel_unshuffle(x, self.factor))

    def fold(self) -> nn.Module:
        # As one strided convolution: two to three times as fast as unshuffling pixels first.
        weight, bias = self.effective()
        f = self.factor
        phases = weight.unflatten(1, (-1, f, f))  # [K, C, py, px, ky, kx]
        strided = phases.permute(0, 1, 4, 2, 5, 3).flatten(4, 5).flatten(2, 3)
        return _plain_conv(strided, bias, 1, stride=f, padding=self.kernel // 2 * f)

    def unfold(self, weight: Tensor, bias: Tensor) -> None:
        f = self.factor
        phases = weight.unflatten(3, (-1, f)).unflatten(2, (-1, f)).permute(0, 1, 3, 5, 2, 4)
        # The matrix is orthonormal.
        bands = torch.einsum("kcpyx,bp->kcbyx", phases.flatten(2, 3), self.haar).flatten(1, 2)
        super().unfold(bands, bias)


class HaarUp(ConvScale):
    """A ConvScale, then Haar upsampling by `2**levels`, as one linear map."""

    matrix = staticmethod(haar_matrix)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        levels: int = 1,
        gain: float = 1.0,
    ) -> None:
        super().__init__(in_channels, out_channels * 4**levels, kernel, gain=gain)
        self.factor = 2**levels
        self.register_buffer("haar", self.matrix(levels), persistent=False)

    def effective(self) -> tuple[Tensor, Tensor]:
        weight, bias = super().effective()
        bands = weight.unflatten(0, (-1, self.factor**2))
        weight = torch.einsum("kbcyx,bp->kpcyx", bands, self.haar).flatten(0, 1)
        bias = (bias.unflatten(0, (-1, self.factor**2)) @ self.haar).flatten()
        return weight, bias

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(super().forward(x), self.factor)

    def fold(self) -> nn.Module:
        return nn.Sequential(super().fold(), nn.PixelShuffle(self.factor))

    def unfold(self, weight: Tensor, bias: Tensor) -> None:
        phases = weight.unflatten(0, (-1, self.factor**2))
        bands = torch.einsum("kpcyx,bp->kbcyx", phases, self.haar).flatten(0, 1)
        bias = torch.einsum("kp,bp->kb", bias.unflatten(0, (-1, self.factor**2)), self.haar)
        super().unfold(bands, bias.flatten())


def _identity(levels: int) -> Tensor:
    return torch.eye(4**levels)


class ShuffleDown(HaarDown):
    """Pixel unshuffling, then a ConvScale: HaarDown without its transform."""

    matrix = staticmethod(_identity)


class ShuffleUp(HaarUp):
    """A ConvScale, then pixel shuffling: HaarUp without its transform."""

    matrix = staticmethod(_identity)


class StridedDown(ConvScale):
    """A ConvScale of stride `2**levels`, whose windows reach one pixel beyond those of HaarDown
    (without that it would be ShuffleDown)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 1, levels: int = 1):
        super().__init__(in_channels, out_channels, kernel * 2**levels + 2)
        self.factor = 2**levels
        self.padding = (self.kernel - self.factor) // 2

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, *self.effective(), stride=self.factor, padding=self.padding)

    def fold(self) -> nn.Module:
        return _plain_conv(*self.effective(), stride=self.factor, padding=self.padding)


class StridedUp(ConvScale):
    """A deconvolution of stride `2**levels` with learned scales, StridedDown's counterpart."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        levels: int = 1,
        gain: float = 1.0,
    ) -> None:
        # A pixel meets the kernel in one place out of factor^2.
        super().__init__(in_channels, out_channels, kernel * 2**levels + 2, gain=gain * 2**levels)
        self.factor = 2**levels
        self.padding = (self.kernel - self.factor) // 2

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.effective()
        return F.conv_transpose2d(x, weight.transpose(0, 1), bias, self.factor, self.padding)

    def fold(self) -> nn.Module:
        weight, bias = self.effective()
        out_channels, in_channels, kernel, _ = weight.shape
        conv = nn.ConvTranspose2d(in_channels, out_channels, kernel, self.factor, self.padding)
        with torch.no_grad():
            conv.weight.copy_(weight.transpose(0, 1))
            conv.bias.copy_(bias)  # type: ignore[union-attr]
        return conv

    def unfold(self, weight: Tensor, bias: Tensor) -> None:
        super().unfold(weight.transpose(0, 1), bias)


RESAMPLING = {
    "haar": (HaarDown, HaarUp),
    "shuffle": (ShuffleDown, ShuffleUp),
    "strided": (StridedDown, StridedUp),
}


class ConvScale311(nn.Module):
    """An inverted residual of a 3x3, a 1x1 and a 1x1 ConvScale (PICO's ConvScale311(C, E, F)).

    The 3x3 is depthwise with expansion `e`, because that is what a CPU runs fast; the first
    1x1 widens to `f * channels`, followed by the block's one non-linearity.
    """

    def __init__(self, channels: int, e: int, f: int, slope: float = 0.1) -> None:
        super().__init__()
        self.spatial = ConvScale(channels, e * channels, 3, groups=channels)
        with torch.no_grad():
            self.spatial.weight[:, :, 1, 1] += 1.0
        self.widen = ConvScale(e * channels, f * channels, gain=2**0.5 / e**0.5)
        self.narrow = ConvScale(f * channels, channels, gain=0.25)
        self.act = nn.LeakyReLU(slope)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(self.act(self.widen(self.spatial(x))))


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


class Chain(nn.Module):
    """PICO's CS-Chain: `repeats` ConvScale311 blocks, ended by the learned scale of this
    resolution, here one gain for each channel and level."""

    def __init__(self, channels: int, repeats: int, e: int, f: int, knots: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(ConvScale311(channels, e, f) for _ in range(repeats)))
        self.scale = Gains(channels, knots)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        return self.blocks(x) * self.scale(level)[:, :, None, None]


class PatchConv(nn.Conv2d):
    """A linear map of each square of `side` pixels: a 1x1 convolution of unshuffled pixels."""

    def __init__(self, in_channels: int, out_channels: int, side: int) -> None:
        super().__init__(in_channels * side**2, out_channels, 1)
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pixel_unshuffle(x, self.side))

    def fold(self) -> nn.Module:
        # As one strided convolution: more than twice as fast.
        assert self.bias is not None
        squares = self.weight.unflatten(1, (-1, self.side, self.side)).flatten(3)
        return _plain_conv(squares, self.bias, stride=self.side, padding=0)

    @torch.no_grad()
    def unfold(self, weight: Tensor, bias: Tensor) -> None:
        assert self.bias is not None
        self.weight.copy_(weight.flatten(1)[:, :, None, None])
        self.bias.copy_(bias)


class Surrounded(nn.Module):
    """`x` `[B, C, H, W]`, and behind its channels what lies around each position of the first `n`
    of them, zero beyond the edges: `[B, C + 8 n, H, W]`."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n
        others = torch.eye(9)[AROUND].unflatten(1, (1, 3, 3)).repeat(n, 1, 1, 1)
        self.shifts = _plain_conv(others, torch.zeros(8 * n), groups=n)

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
    return nn.Sequential(Surrounded(n), _plain_conv(torch.cat([weight, around], 1), own.bias))


def without_overlap(weight: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The weights of `own` and `overlap` that `with_overlap` gives this one of, the centres of the
    windows being all in `own`."""
    channels = weight.shape[1] - 8 * n
    taps = weight.new_zeros(len(weight), n, 9)
    taps[:, :, AROUND] = weight[:, channels:, 0, 0].unflatten(1, (n, 8))
    return weight[:, :channels], taps.unflatten(2, (3, 3))


def hold_scales(module: nn.Module, learned: str) -> None:
    """Keep at one, where they start, the scales that `learned` (CodecConfig.scales) leaves out."""
    for part in module.modules():
        if isinstance(part, ConvScale) and learned in ("resolution", "none"):
            part.scale_in.requires_grad_(False)
            part.scale_out.requires_grad_(False)
        if isinstance(part, Chain) and learned in ("conv", "none"):
            part.scale.requires_grad_(False)


def _plain_conv(
    weight: Tensor, bias: Tensor, groups: int = 1, stride: int = 1, padding: int | None = None
) -> nn.Conv2d:
    """An `nn.Conv2d` with these values; the padding keeps the size unless it is given."""
    out_channels, in_group, kernel, _ = weight.shape
    padding = kernel // 2 if padding is None else padding
    conv = nn.Conv2d(in_group * groups, out_channels, kernel, stride, padding, groups=groups)
    with torch.no_grad():
        conv.weight.copy_(weight)
        conv.bias.copy_(bias)  # type: ignore[union-attr]
    return conv


def fold(module: nn.Module) -> nn.Module:
    """Replace what has a plainer or faster form, below `module` and in place; returns `module`.

    The result computes the same function without scales or Haar matrices, in eval mode only:
    it can no longer be trained as the codec is.
    """
    for name, child in module.named_children():
        setattr(module, name, fold(child))
    own = getattr(module, "fold", None)
    return own() if own else module
