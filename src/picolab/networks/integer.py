"""The scale decoder: z symbols to scale indices in integers, trained as it will run.

Every layer computes, on integers alone,

    acc = sum(w * x) + b          w in -64..64, x in 0..255, acc in 32 bits
    out = clamp((acc + half) >> shift, 0, top)

Weights have 7 bits so that no 8-bit multiply-add instruction can saturate, and every sum stays
below 2**24, so that float32 carries the integers exactly during training. Rounding and clamping
pass gradients straight through. `export()` hands the integers to `picocodec`, whose
implementations are the reference for what a file means; this one only has to agree with them.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from picocodec.format.tables import SCALE_COUNT
from picocodec.model.scale_decoder import LEVEL_BINS, Z_LIMIT, IntegerLayer
from picolab.networks.layers import interpolate_knots

WEIGHT_LIMIT = 64
INDEX_UNIT = 10.0  # scale indices are learned in units of ten, or they would take ages to move
ACTIVATION_BITS = 4  # an activation of 1.0 is the integer 16


def round_ste(x: Tensor) -> Tensor:
    """Rounding to nearest even whose gradient is that of the identity."""
    return x + (x.round() - x).detach()


def clamp_ste(x: Tensor, low: float, high: float) -> Tensor:
    """Clamping whose gradient is that of the identity."""
    return x + (x.clamp(low, high) - x).detach()


class IntegerConv(nn.Module):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        bits_in: int,
        bits_out: int,
        top: int,
        knots: int = 0,
        upsample: bool = False,
        gain: float = 2**0.5,
        bias_unit: float = 1.0,
    ) -> None:
        super().__init__()
        self.bias_unit = bias_unit  # what a bias of 1 is worth, to set its speed of learning
        fan_in = in_channels * kernel * kernel
        self.weight = nn.Parameter(
            torch.randn(out_channels, in_channels, kernel, kernel) * gain / math.sqrt(fan_in)
        )
        self.bias = nn.Parameter(torch.zeros(max(knots, 1), out_channels))
        self.weight_bits = 8 if kernel == 3 else 7
        self.bits_in, self.shift = bits_in, self.weight_bits + bits_in - bits_out
        self.top, self.upsample, self.leveled = top, upsample, knots > 0

    def integer_weight(self) -> Tensor:
        scaled = round_ste(self.weight * 2**self.weight_bits)
        return clamp_ste(scaled, -WEIGHT_LIMIT, WEIGHT_LIMIT)

    def integer_bias(self, level: Tensor) -> Tensor:
        """`[B, out]` for levels `[B]`, rounded to the bins that files can name."""
        binned = (level * (LEVEL_BINS - 1)).round() / (LEVEL_BINS - 1)
        return round_ste(interpolate_knots(self.bias, binned) * self.bias_steps)

    @property
    def bias_steps(self) -> float:
        """How many integers a bias of 1 is."""
        return self.bias_unit * 2 ** (self.weight_bits + self.bits_in)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        weight = self.integer_weight()
        acc = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
        acc = acc + self.integer_bias(level)[:, :, None, None]
        scaled = acc / 2**self.shift
        scaled = scaled + (torch.floor(scaled + 0.5) - scaled).detach()
        if self.top == 255:  # a hidden layer: the clamp at zero is its non-linearity
            out = scaled.clamp(0, self.top)
        else:
            out = clamp_ste(scaled, 0, self.top)
        return F.pixel_shuffle(out, 2) if self.upsample else out

    @torch.no_grad()
    def export(self) -> IntegerLayer:
        levels = torch.arange(LEVEL_BINS, dtype=torch.float32) / (LEVEL_BINS - 1)
        bias = self.integer_bias(levels if self.leveled else levels[:1])
        return IntegerLayer(
            weight=self.integer_weight().round().to(torch.int8).numpy(),
            bias=bias.round().to(torch.int32).numpy(),
            shift=self.shift,
            top=self.top,
            upsample=self.upsample,
        )


class ScaleDecoder(nn.Module):
    """z symbols `[B, Nz, h, w]` and levels `[B]` to scale indices `[B, M, 4h, 4w]`."""

    def __init__(self, z_channels: int, channels: int, y_channels: int, knots: int) -> None:
        super().__init__()
        a = ACTIVATION_BITS
        layers = [
            IntegerConv(z_channels, channels, 1, 0, a, 255, knots=knots),
            IntegerConv(channels, channels, 3, a, a, 255),
            IntegerConv(channels, channels * 4, 1, a, a, 255, upsample=True),
            IntegerConv(channels, channels, 3, a, a, 255),
            IntegerConv(channels, channels * 4, 1, a, a, 255, upsample=True),
            IntegerConv(
                channels, y_channels, 1, a, 0, SCALE_COUNT - 1, knots, False, 0.0, INDEX_UNIT
            ),
        ]
        nn.init.constant_(layers[0].bias, 1.0)
        self.layers = nn.ModuleList(layers)

    def forward(self, z: Tensor, level: Tensor) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):
            x = z.float().clamp(-Z_LIMIT, Z_LIMIT)
            for layer in self.layers:
                x = layer(x, level)
            return x

    def export(self) -> list[IntegerLayer]:
        return [layer.export() for layer in self.layers if isinstance(layer, IntegerConv)]
