"""Building blocks of the networks: scaled convolutions, Haar resampling, residual blocks.

Tensors are `[B, C, H, W]`, channels-last in memory, so that a 1x1 convolution is a matrix product
of rows of pixels. Every layer keeps its learned scales, and the Haar transform beside it, in its
*weights*: `effective()` gives the one plain kernel that the layer amounts to, in float32; training
runs that kernel in the type of its input, and `fold()` freezes it into ordinary modules whose
channels lie as `nn.PixelShuffle` has them.

Pictures enter and leave as patches, `[B, 192, H/8, W/8]`: the pixels of each square of 8x8 in the
order row, column, colour. No layer ever sees, or copies, single pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from picolab.networks.layers import Gains, conv_values, haar_matrix, plain_conv

PATCH = 8  # side of the square of pixels that is one position at 1/8
SLOPE = 0.1  # of LeakyReLU below zero


class _Scaled(torch.autograd.Function):
    """`scale_out * scale_in * weight`, of `[K, kernel**2, C]`, in another type."""

    @staticmethod
    def forward(ctx, weight: Tensor, scale_in: Tensor, scale_out: Tensor, dtype: torch.dtype):
        ctx.save_for_backward(weight, scale_in, scale_out)
        return (weight * torch.outer(scale_out, scale_in)[:, None]).to(dtype)

    @staticmethod
    def backward(ctx, grad: Tensor):
        weight, scale_in, scale_out = ctx.saved_tensors
        grad = grad.float()
        products = (grad * weight).sum(1)
        scales = torch.outer(scale_out, scale_in)[:, None]
        return grad.mul_(scales), scale_out @ products, products @ scale_in, None


class ConvScale(nn.Module):
    """PICO's ConvScale: a convolution with learned scales on its input and output channels.

    `W' = scale_in * scale_out * W` and `b' = scale_out * b`; "same" padding with zeros. The weight
    is kept as `[K, kernel**2, C]`, as channels-last convolutions read it.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 1, gain: float = 1.0):
        super().__init__()
        self.kernel = kernel
        fan_in = in_channels * kernel**2
        weight = torch.randn(out_channels, kernel**2, in_channels) * (gain / fan_in**0.5)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.scale_in = nn.Parameter(torch.ones(in_channels))
        self.scale_out = nn.Parameter(torch.ones(out_channels))

    def effective(self, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Weight `[K, kernel**2, C]` and bias `[K]` of the plain convolution."""
        weight = _Scaled.apply(self.weight, self.scale_in, self.scale_out, dtype)
        return weight, (self.scale_out * self.bias).to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.effective(x.dtype)
        if self.kernel == 1:
            return linear(x, weight.flatten(1), bias)
        return F.conv2d(x, as_kernel(weight, self.kernel), bias, padding=self.kernel // 2)

    def fold(self) -> nn.Module:
        weight, bias = self.effective()
        return plain_conv(as_kernel(weight, self.kernel), bias, padding=self.kernel // 2)

    @torch.no_grad()
    def take(self, weight: Tensor, bias: Tensor) -> None:
        """`effective` backwards, for the scales as they are, none of which may be 0."""
        self.weight.copy_(weight / torch.outer(self.scale_out, self.scale_in)[:, None])
        self.bias.copy_(bias / self.scale_out)

    def unfold(self, folded: nn.Module) -> None:
        weight, bias = conv_values(folded)
        self.take(weight.flatten(2).transpose(1, 2), bias)


class Down(ConvScale):
    """Haar downsampling by 2, then a 1x1 ConvScale, as one map of 2x2 squares."""

    haar: Tensor

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(4 * in_channels, out_channels)
        self.register_buffer("haar", haar_matrix(1), persistent=False)

    def effective(self, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        weight, bias = super().effective()
        bands = weight.flatten(1).unflatten(1, (4, -1))
        weight = torch.einsum("kbc,bp->kpc", bands, self.haar).flatten(1)[:, None]
        return weight.to(dtype), bias.to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(to_squares(x))

    def fold(self) -> nn.Module:
        weight, bias = self.effective()
        squares = weight.flatten(1).unflatten(1, (2, 2, -1)).permute(0, 3, 1, 2)
        return plain_conv(squares, bias, stride=2)

    def take(self, weight: Tensor, bias: Tensor) -> None:
        squares = weight.flatten(1).unflatten(1, (4, -1))
        super().take(torch.einsum("kpc,bp->kbc", squares, self.haar).flatten(1)[:, None], bias)

    def unfold(self, folded: nn.Module) -> None:
        weight, bias = conv_values(folded)
        self.take(weight.permute(0, 2, 3, 1).flatten(1)[:, None], bias)


class Up(ConvScale):
    """A 1x1 ConvScale, then Haar upsampling by 2, as one map to 2x2 squares."""

    haar: Tensor

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, 4 * out_channels)
        self.register_buffer("haar", haar_matrix(1), persistent=False)

    def effective(self, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        weight, bias = super().effective()
        weight = torch.einsum("bkc,bp->pkc", weight.flatten(1).unflatten(0, (4, -1)), self.haar)
        bias = torch.einsum("bk,bp->pk", bias.unflatten(0, (4, -1)), self.haar)
        return weight.flatten(0, 1)[:, None].to(dtype), bias.flatten().to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        return from_squares(super().forward(x))

    def fold(self) -> nn.Module:
        weight, bias = self.effective()
        weight = weight.unflatten(0, (4, -1)).transpose(0, 1).flatten(0, 1)
        bias = bias.unflatten(0, (4, -1)).t().flatten()
        return nn.Sequential(plain_conv(as_kernel(weight, 1), bias), nn.PixelShuffle(2))

    def take(self, weight: Tensor, bias: Tensor) -> None:
        weight = torch.einsum("pkc,bp->bkc", weight.flatten(1).unflatten(0, (4, -1)), self.haar)
        bias = torch.einsum("pk,bp->bk", bias.unflatten(0, (4, -1)), self.haar)
        super().take(weight.flatten(0, 1)[:, None], bias.flatten())

    def unfold(self, folded: nn.Module) -> None:
        weight, bias = conv_values(folded)
        weight = weight.flatten(1).unflatten(0, (-1, 4)).transpose(0, 1).flatten(0, 1)
        self.take(weight[:, None], bias.unflatten(0, (-1, 4)).t().flatten())


class FromPatches(ConvScale):
    """Patches to features at 1/8: a ConvScale, 3x3, of the patches' Haar bands."""

    haar: Tensor

    def __init__(self, out_channels: int):
        super().__init__(3 * PATCH**2, out_channels, 3)
        self.register_buffer("haar", haar_matrix(3), persistent=False)

    def effective(self, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        weight, bias = super().effective()
        bands = weight.unflatten(2, (PATCH**2, 3))
        weight = torch.einsum("ktbc,bp->ktpc", bands, self.haar).flatten(2)
        return weight.to(dtype), bias.to(dtype)

    def fold(self) -> nn.Module:
        # As one strided convolution of the picture's pixels.
        weight, bias = self.effective()
        pixels = weight.unflatten(2, (PATCH, PATCH, 3)).unflatten(1, (3, 3))
        pixels = pixels.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)
        return plain_conv(pixels, bias, PATCH, padding=PATCH)

    def take(self, weight: Tensor, bias: Tensor) -> None:
        pixels = weight.unflatten(2, (PATCH**2, 3))
        super().take(torch.einsum("ktpc,bp->ktbc", pixels, self.haar).flatten(2), bias)

    def unfold(self, folded: nn.Module) -> None:
        weight, bias = conv_values(folded)
        pixels = weight.unflatten(3, (3, PATCH)).unflatten(2, (3, PATCH))
        self.take(pixels.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2), bias)


class ToPatches(ConvScale):
    """Features at 1/8 to patches: a ConvScale, 3x3, to the patches' Haar bands."""

    haar: Tensor

    def __init__(self, in_channels: int):
        super().__init__(in_channels, 3 * PATCH**2, 3, gain=0.0)
        self.register_buffer("haar", haar_matrix(3), persistent=False)

    def effective(self, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        weight, bias = super().effective()
        bands = weight.unflatten(0, (PATCH**2, 3))
        weight = torch.einsum("bktc,bp->pktc", bands, self.haar).flatten(0, 1)
        bias = torch.einsum("bk,bp->pk", bias.unflatten(0, (PATCH**2, 3)), self.haar)
        return weight.to(dtype), bias.flatten().to(dtype)

    def fold(self) -> nn.Module:
        weight, bias = self.effective()
        weight = weight.unflatten(0, (PATCH**2, 3)).transpose(0, 1).flatten(0, 1)
        bias = bias.unflatten(0, (PATCH**2, 3)).t().flatten()
        conv = plain_conv(as_kernel(weight, self.kernel), bias, padding=self.kernel // 2)
        return nn.Sequential(conv, nn.PixelShuffle(PATCH))

    def take(self, weight: Tensor, bias: Tensor) -> None:
        weight = torch.einsum("pktc,bp->bktc", weight.unflatten(0, (PATCH**2, 3)), self.haar)
        bias = torch.einsum("pk,bp->bk", bias.unflatten(0, (PATCH**2, 3)), self.haar)
        super().take(weight.flatten(0, 1), bias.flatten())

    def unfold(self, folded: nn.Module) -> None:
        weight, bias = conv_values(folded)
        weight = weight.flatten(2).transpose(1, 2).unflatten(0, (3, PATCH**2))
        self.take(
            weight.transpose(0, 1).flatten(0, 1), bias.unflatten(0, (3, PATCH**2)).t().flatten()
        )


class Block(nn.Module):
    """`x + 1x1(LeakyReLU(3x3(x)))`, both of them ConvScale, the 3x3 dense.

    Of kind "311" it is PICO's ConvScale311: a further 1x1, with its LeakyReLU, between the two.
    """

    def __init__(self, channels: int, expand: int = 1, kind: str = "31") -> None:
        super().__init__()
        self.wide = ConvScale(channels, expand * channels, 3, gain=2**0.5)
        self.between = between(expand * channels, kind)
        self.narrow = ConvScale(expand * channels, channels, gain=0.25)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(self.inside(x))

    def inside(self, x: Tensor) -> Tensor:
        """What the last convolution sees of `x`."""
        inner = F.leaky_relu(self.wide(x), SLOPE, inplace=True)
        if self.between is not None:
            inner = F.leaky_relu(self.between(inner), SLOPE, inplace=True)
        return inner


class Chain(nn.Module):
    """PICO's CS-Chain: blocks, then this resolution's learned scale, a gain for each channel and
    level."""

    def __init__(
        self, channels: int, repeats: int, knots: int, expand: int = 1, kind: str = "31"
    ) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(Block(channels, expand, kind) for _ in range(repeats)))
        self.scale = Gains(channels, knots)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        return scaled(self.blocks(x), self.scale(level))


class DialBlock(Block):
    """A block that follows level and realism, and is given noise.

    `x + gain * 1x1(LeakyReLU(3x3(x + realism * 1x1(noise))))`, where the gain of each channel is
    that of the level, times as much again as realism asks for.
    """

    def __init__(
        self, channels: int, noise_channels: int, knots: int, expand: int = 1, kind: str = "31"
    ) -> None:
        super().__init__(channels, expand, kind)
        self.gain = Gains(channels, knots)
        self.realistic = Gains(channels, knots)
        self.noise = ConvScale(noise_channels, channels, gain=0.1) if noise_channels else None

    def forward(  # type: ignore[override]
        self, x: Tensor, level: Tensor, realism: Tensor | None = None, noise: Tensor | None = None
    ) -> Tensor:
        """`realism` `[B]`, None where all of it is 0; `noise` `[B, N, H, W]`, as large as x."""
        gain, seen = self.gain(level), x
        if realism is not None:
            gain = gain * self.realistic(level) ** realism[:, None]
            if self.noise is not None and noise is not None:
                seen = x + scaled(self.noise(noise), realism[:, None])
        return x + scaled(self.narrow(self.inside(seen)), gain)


def between(channels: int, kind: str) -> ConvScale | None:
    """The 1x1 in the middle of a block of kind "311"."""
    return ConvScale(channels, channels, gain=2**0.5) if kind == "311" else None


def scaled(x: Tensor, gain: Tensor) -> Tensor:
    """`x` `[B, C, H, W]` times `gain` `[B, C or 1]`, in the type of x."""
    return x * gain.to(x.dtype)[:, :, None, None]


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A 1x1 convolution by `weight` `[K, C]` as a product of matrices: no copy is made."""
    return F.linear(x.permute(0, 2, 3, 1), weight, bias).permute(0, 3, 1, 2)


def to_squares(x: Tensor) -> Tensor:
    """`[B, C, H, W]` to `[B, 4 C, H/2, W/2]`, channels in the order row, column, c."""
    b, c, h, w = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(b, h // 2, 2, w // 2, 2, c)
    return rows.permute(0, 1, 3, 2, 4, 5).reshape(b, h // 2, w // 2, 4 * c).permute(0, 3, 1, 2)


def from_squares(x: Tensor) -> Tensor:
    """`to_squares` backwards: `[B, 4 C, H, W]` to `[B, C, 2 H, 2 W]`."""
    b, c, h, w = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(b, h, w, 2, 2, c // 4)
    return rows.permute(0, 1, 3, 2, 4, 5).reshape(b, 2 * h, 2 * w, c // 4).permute(0, 3, 1, 2)


def to_patches(picture: Tensor) -> Tensor:
    """Pictures `[B, 3, H, W]`, H and W multiples of 8, to patches `[B, 192, H/8, W/8]`."""
    b, c, h, w = picture.shape
    rows = picture.permute(0, 2, 3, 1).reshape(b, h // PATCH, PATCH, w // PATCH, PATCH, c)
    rows = rows.permute(0, 1, 3, 2, 4, 5).reshape(b, h // PATCH, w // PATCH, PATCH**2 * c)
    return rows.permute(0, 3, 1, 2)


def from_patches(patches: Tensor) -> Tensor:
    """`to_patches` backwards; the pictures are channels-last."""
    b, c, h, w = patches.shape
    rows = patches.permute(0, 2, 3, 1).reshape(b, h, w, PATCH, PATCH, c // PATCH**2)
    rows = rows.permute(0, 1, 3, 2, 4, 5).reshape(b, PATCH * h, PATCH * w, c // PATCH**2)
    return rows.permute(0, 3, 1, 2)


def as_kernel(weight: Tensor, kernel: int) -> Tensor:
    """`[K, kernel**2, C]` as `[K, C, kernel, kernel]`, channels-last, without a copy."""
    return weight.unflatten(1, (kernel, kernel)).permute(0, 3, 1, 2)
