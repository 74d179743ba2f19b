"""Grain: texture as fine as pixels, of which nothing repeats.

Networks at 1/8 draw each square of 8x8 pixels from a few patterns, and what they draw where texture
is lost is a lattice. Grain starts from one random number a pixel instead. It is filtered to a few
bands, and the decoder's features say how strong each band is at each pixel.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from picolab.networks.blocks import PATCH, ConvScale, scaled
from picolab.networks.layers import Gains, plain_conv

REACH = 4  # pixels that a band's filter reaches to each side: the margin of tiles
SIDE = 2 * REACH + 1
FINEST, WIDEST = 0.35, 2.0  # deviations, in pixels, of the filters that bands start with


class Grain(nn.Module):
    """`realism * gain * strength(x) * filter(noise)`, summed over bands in their colours.

    State: `kernels` `[K, 81]`, the bands' filters, row major; `colours` `[K, 3]`; `strength`, to
    `[B, 64 K, H/8, W/8]`, pixels before bands; and a gain for each band and level.
    """

    places: Tensor

    def __init__(self, channels: int, bands: int, knots: int) -> None:
        super().__init__()
        self.bands = bands
        self.strength = ConvScale(channels, PATCH**2 * bands, gain=0.0)
        self.gain = Gains(bands, knots)
        self.kernels = nn.Parameter(first_filters(bands))
        self.colours = nn.Parameter(torch.full((bands, 3), 0.1))
        self.register_buffer("places", _places(), persistent=False)

    def forward(self, x: Tensor, level: Tensor, realism: Tensor, noise: Tensor) -> Tensor:
        """Features `[B, C, H/8, W/8]`, noise `[B, 64, H/8, W/8]` (pixels row major) to what is
        added to patches, `[B, 192, H/8, W/8]`."""
        # A filter of pixels is a 3x3 convolution of squares of them, whose weights repeat.
        each = F.pad(self.kernels, (0, 1))[:, self.places]  # [K, pixels out, pixels in, 3, 3]
        weight = each.transpose(0, 1).flatten(0, 1).to(noise.dtype)
        bands = F.conv2d(noise, weight.contiguous(memory_format=torch.channels_last), padding=1)
        gain = (self.gain(level) * realism[:, None]).repeat(1, PATCH**2)
        rows = (scaled(self.strength(x), gain) * bands).permute(0, 2, 3, 1)
        colours = self.colours.to(rows.dtype)
        return (rows.unflatten(3, (-1, self.bands)) @ colours).flatten(3).permute(0, 3, 1, 2)

    def fold(self) -> nn.Module:
        return PixelGrain(self)


class PixelGrain(nn.Module):
    """The same as it is released: of pixels, and to what is added to a picture."""

    def __init__(self, grain: Grain) -> None:
        super().__init__()
        own: nn.Module = grain.strength  # folded before, to a plain convolution
        assert isinstance(own, nn.Conv2d) and own.bias is not None
        order = torch.arange(own.out_channels).unflatten(0, (PATCH**2, -1)).t().flatten()
        self.strength = plain_conv(own.weight[order], own.bias[order])
        self.gain = grain.gain
        self.shuffle = nn.PixelShuffle(PATCH)
        filters = grain.kernels.detach().unflatten(1, (1, SIDE, SIDE))
        self.filters = plain_conv(filters, torch.zeros(len(filters)), padding=REACH)
        colours = grain.colours.detach().t()[:, :, None, None]
        self.colours = plain_conv(colours, torch.zeros(3))

    def forward(self, x: Tensor, level: Tensor, realism: Tensor, noise: Tensor) -> Tensor:
        strength = self.shuffle(self.strength(x))
        bands = scaled(self.filters(self.shuffle(noise)), self.gain(level) * realism[:, None])
        return self.colours(strength * bands)


def first_filters(bands: int) -> Tensor:
    """Gaussian filters of growing width and an energy of 1, `[K, 81]`."""
    at = torch.arange(-REACH, REACH + 1).float()
    widths = torch.logspace(math.log10(FINEST), math.log10(WIDEST), bands)
    lines = torch.exp(-((at / widths[:, None]) ** 2) / 2)
    filters = (lines[:, :, None] * lines[:, None, :]).flatten(1)
    return filters / filters.norm(dim=1, keepdim=True)


def _places() -> Tensor:
    """Where in a filter's 81 numbers, and a 0 behind them, each weight of the convolution of
    squares lies: `[64 out, 64 in, 3, 3]`."""
    pixel = torch.arange(PATCH)
    square = torch.arange(-1, 2)
    # Of one axis: how far from the pixel written the pixel read lies, [out, in, square].
    far = pixel[None, :, None] + PATCH * square - pixel[:, None, None] + REACH
    near = (far >= 0) & (far < SIDE)
    rows, columns = far[:, None, :, None, :, None], far[None, :, None, :, None, :]
    inside = near[:, None, :, None, :, None] & near[None, :, None, :, None, :]
    places = torch.where(inside, rows * SIDE + columns, SIDE**2)
    return places.flatten(2, 3).flatten(0, 1)
