"""The whole codec, from pixels to bits and back.

Shapes, for pictures of H x W pixels (multiples of 64) and levels `[B]` in [0, 1]:

    patches, the picture          [B, 192, H/8, W/8]    see blocks.py
    features of encoder, decoder  [B, C, H/8, W/8] and [B, C, H/16, W/16]; nothing is finer
    y, symbols, scale indices     [B, M, H/16, W/16]
    z                             [B, Nz, H/64, W/64]
    prior p                       [B, 4 C, H/32, W/32]  C channels for each cell of the 2x2 grid

The order of work follows PICO: scales come from z in one shot, so that all symbols are known to
the entropy coder before the context model runs; the context model then gives, for one cell of the
2x2 grid after the other, the mean `mu` and the bin width `q`:

    symbol = round((y - mu) / q)        y_hat = q * symbol + mu

Networks run in the type of the patches (bfloat16 or float32); y, z, bits and pixels at their ends
are float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from picocodec.format.tables import SCALE_COUNT, scale_of_index
from picocodec.model.scale_decoder import LEVEL_BINS
from picolab.networks.blocks import (
    PATCH,
    Chain,
    ConvScale,
    DialBlock,
    Down,
    FromPatches,
    ToPatches,
    Up,
    from_squares,
    scaled,
    to_squares,
)
from picolab.networks.integer import INDEX_UNIT, ScaleDecoder, clamp_ste, round_ste
from picolab.networks.layers import (
    Gains,
    conv_values,
    interpolate_knots,
    plain_conv,
    with_overlap,
    without_overlap,
)
from picolab.networks.shape import Shape

GRID_ORDER = (0, 3, 1, 2)  # cells of the 2x2 grid (row major): diagonal first
# For a uniform quantiser with entropy coding, the step that is optimal at slope lambda.
STEP_SQUARED_TIMES_LAMBDA = 26.0
SQUARE = 16  # side of the square of pixels behind one position of y
WIDEST = math.log(4.0)  # q is within a factor of 4 of 1
# Far beyond any symbol that a picture causes, and what an escape can hold with ease.
SYMBOL_LIMIT = 1 << 18
# Where a model starts; the controller of bits then moves them (training/control.py).
FIRST_LAMBDAS = (4.0, 6000.0)


class LatentGains(Gains):
    """Gains of y that follow lambda: those learned, times the inverse of the quantisation step
    that is optimal for a level's lambda, or with `inverse` times that step.

    So bits answer at once where lambda is moved. State: `log_lambda` `[K]`, of each knot.
    """

    log_lambda: Tensor

    def __init__(self, channels: int, knots: int, inverse: bool) -> None:
        super().__init__(channels, knots)
        self.sign = -0.5 if inverse else 0.5
        self.register_buffer("log_lambda", first_lambdas(knots).log())

    def forward(self, level: Tensor) -> Tensor:
        return torch.exp(interpolate_knots(self.log_gain + self.step(), level))

    def step(self) -> Tensor:
        """What is added to each knot's `log_gain`, `[K, 1]`."""
        step = self.sign * (self.log_lambda - math.log(STEP_SQUARED_TIMES_LAMBDA))
        return step[:, None]


class Encoder(nn.Module):
    """Patches less 0.5 to y and, by the hyper-encoder inside, z; neither is rounded."""

    def __init__(self, s: Shape) -> None:
        super().__init__()
        c8, c16, ch, k = s.encoder_channels_8, s.encoder_channels_16, s.hyper_channels, s.knots
        self.stem = FromPatches(c8)
        self.chain8 = Chain(c8, s.encoder_blocks_8, k, s.expand_8, s.block)
        self.down = Down(c8, c16)
        self.chain16 = Chain(c16, s.encoder_blocks_16, k, s.expand_16, s.block)
        self.head = ConvScale(c16, s.y_channels, gain=0.0)
        self.shortcut = SquaresToLatent(s.y_channels)
        self.gain = LatentGains(s.y_channels, k, inverse=False)
        self.hyper_down32 = Down(s.y_channels, ch)
        self.hyper_chain32 = Chain(ch, s.hyper_blocks, k)
        self.hyper_down64 = Down(ch, ch)
        self.hyper_chain64 = Chain(ch, s.hyper_blocks, k)
        self.hyper_head = ConvScale(ch, s.z_channels)

    def forward(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        h = self.chain8(self.stem(x), level)
        h = self.chain16(self.down(h), level)
        y = (self.head(h) + self.shortcut(x)).float() * self.gain(level)[:, :, None, None]
        return y, self.hyper(y.to(h.dtype), level)

    def linear(self, x: Tensor, level: Tensor) -> Tensor:
        """y by the shortcut alone, which is what y is before anything is learned."""
        return self.shortcut(x).float() * self.gain(level)[:, :, None, None]

    def hyper(self, y: Tensor, level: Tensor) -> Tensor:
        h = self.hyper_chain32(self.hyper_down32(y), level)
        h = self.hyper_chain64(self.hyper_down64(h), level)
        return self.hyper_head(h).float()


class ContextDecoder(nn.Module):
    """z to the prior p, which the context model starts from."""

    def __init__(self, s: Shape) -> None:
        super().__init__()
        ch, k = s.hyper_channels, s.knots
        self.stem = ConvScale(s.z_channels, ch)
        self.chain64 = Chain(ch, s.hyper_blocks, k)
        self.up = Up(ch, ch)
        self.chain32 = Chain(ch, s.hyper_blocks, k)
        self.head = ConvScale(ch, 4 * s.context_channels)

    def forward(self, z: Tensor, level: Tensor) -> Tensor:
        h = self.chain64(self.stem(z), level)
        return self.head(self.chain32(self.up(h), level))


class ContextStep(nn.Module):
    """One cell of the grid: its part of p, and the cells decoded before it, to mu and log q."""

    def __init__(self, s: Shape, known: int) -> None:
        super().__init__()
        c = s.context_channels
        self.stem = ConvScale(c + known, c)
        self.chain = Chain(c, s.context_blocks, s.knots)
        self.head = ConvScale(c, 2 * s.y_channels, gain=0.0)

    def forward(self, known: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        mu, width = self.head(self.chain(self.stem(known), level)).float().chunk(2, dim=1)
        return mu, width


class Cell(NamedTuple):
    """A cell of the grid, or all four of them, after quantisation; `bits` `[B]`."""

    symbols: Tensor
    y_hat: Tensor
    bits: Tensor


def quantise(
    y: Tensor, mu: Tensor, width: Tensor, index: Tensor, coded: Tensor, noise: Tensor | None
) -> Cell:
    """Symbols, what they stand for, and their bits, all but `bits` of one shape `[B, M, H, W]`.

    Without `noise`, uniform in [-0.5, 0.5), bits are for evaluation alone; with it `bits_to_learn`
    says what gradients they have. Where `coded` is 0 symbols are 0 and cost nothing.
    """
    q = bin_width(width)
    t = (y - mu) / q
    symbols = round_ste(t) * coded
    if noise is None:
        bits = symbol_bits(symbols, index) * coded
    else:
        bits = bits_to_learn(t, symbols, index, noise) * coded
    return Cell(symbols, q * symbols + mu, bits.sum((1, 2, 3)))


def bits_to_learn(t: Tensor, symbols: Tensor, index: Tensor, noise: Tensor) -> Tensor:
    """What files spend on `symbols`, with gradients that mean something.

    Scales learn from the symbols themselves. Values learn from `t` with noise in place of
    rounding, which feels how near the next symbol is. Noise alone would cost bits that no file
    spends: 0.08 for each symbol that is all but always 0, more than the lowest quality has.
    """
    felt = symbol_bits(t + noise, index.detach())
    return symbol_bits(symbols.detach(), index) + (felt - felt.detach())


def symbol_bits(symbols: Tensor, scale_index: Tensor) -> Tensor:
    """Bits of each (noisy) symbol: the mass of a Laplace distribution within half a unit of it.

    Measured on a trained model, Laplace's tails fit scales that are predicted in one shot 0.5 %
    better than the normal distribution's, mixed with a wider one to its own best.
    """
    low = math.log(scale_of_index(0))
    ratio = math.log(scale_of_index(1)) - low
    scale = torch.exp(low + ratio * scale_index)
    distance = symbols.abs()
    # Beyond half a unit in the logarithm, where the mass itself would underflow.
    beyond = (distance - 0.5) / scale - torch.log(0.5 * -torch.expm1(-1 / scale))
    inside = distance.clamp_max(0.5)
    middle = 1 - 0.5 * (torch.exp((inside - 0.5) / scale) + torch.exp((-inside - 0.5) / scale))
    return torch.where(distance < 0.5, -middle.clamp_min(1e-9).log(), beyond) / math.log(2)


def squared_error(decoded: Tensor, original: Tensor) -> Tensor:
    """The mean squared error of each sample `[B]`, in float32, of patches of any type."""
    return (decoded.float() - original.float()).square().mean((1, 2, 3))


def bin_width(width: Tensor) -> Tensor:
    return torch.exp(WIDEST * torch.tanh(width))


class ContextModel(nn.Module):
    """PICO's one-shot context model: the cells of a 2x2 grid, one after the other."""

    def __init__(self, s: Shape) -> None:
        super().__init__()
        self.steps = nn.ModuleList(ContextStep(s, cell * s.y_channels) for cell in range(4))
        # Replaced by their compiled or exported forms.
        self.quantise: Callable[..., Cell] = quantise
        self.split: Callable[[Tensor], list[Tensor]] = split_cells
        self.join: Callable[[list[Tensor]], Tensor] = join_cells

    def forward(
        self,
        prior: Tensor,
        y: Tensor,
        index: Tensor,
        coded: Tensor,
        level: Tensor,
        noise: Tensor | None,
    ) -> Cell:
        """Training's way: y to symbols, y_hat and bits."""
        known = self.split_prior(prior)
        parts: list[Cell] = []
        each = [self.split(x) for x in (y, index, coded)]
        noises = self.split(noise) if noise is not None else [None] * 4
        for step, own, *given in zip(self.steps, known, *each, noises, strict=True):
            before = [part.y_hat.to(own.dtype) for part in parts]
            mu, width = step(torch.cat([own, *before], 1), level)
            parts.append(self.quantise(given[0], mu, width, *given[1:]))
        symbols, y_hat, bits = zip(*parts, strict=True)
        return Cell(self.join(list(symbols)), self.join(list(y_hat)), torch.stack(bits).sum(0))

    def run(
        self, prior: Tensor, values: Tensor, coded: Tensor, level: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The codec's way: symbols and y_hat. Values where `coded` is 1 are of y, to be quantised,
        and where it is 0 symbols already: for an encoder the skipped ones, for a decoder all."""
        symbols: list[Tensor] = []
        known: list[Tensor] = []
        for step, own, cell, mask in zip(
            self.steps, self.split_prior(prior), self.split(values), self.split(coded), strict=True
        ):
            mu, width = step(torch.cat([own, *known], 1), level)
            q = bin_width(width)
            rounded = ((cell - mu) / q).round().clamp(-SYMBOL_LIMIT, SYMBOL_LIMIT)
            symbols.append(torch.where(mask > 0, rounded, cell))
            known.append(q * symbols[-1] + mu)
        return self.join(symbols), self.join(known)

    def split_prior(self, prior: Tensor) -> list[Tensor]:
        priors = prior.chunk(4, dim=1)
        return [priors[cell] for cell in GRID_ORDER]

    def fold(self) -> nn.Module:
        # Slices and a shuffle are what ONNX has nodes for. A transpose, which ONNX Runtime shares
        # out among threads in small pieces, takes two of them ten times as long as one.
        self.split, self.join = slice_cells, shuffle_cells
        return self


def split_cells(x: Tensor) -> list[Tensor]:
    """The cells of the 2x2 grid in the order of work, each at half the resolution."""
    cells = to_squares(x).chunk(4, dim=1)
    return [cells[cell] for cell in GRID_ORDER]


def join_cells(parts: list[Tensor]) -> Tensor:
    return from_squares(torch.cat([parts[GRID_ORDER.index(cell)] for cell in range(4)], 1))


def slice_cells(x: Tensor) -> list[Tensor]:
    return [x[:, :, cell // 2 :: 2, cell % 2 :: 2] for cell in GRID_ORDER]


def shuffle_cells(parts: list[Tensor]) -> Tensor:
    cells = torch.stack([parts[GRID_ORDER.index(cell)] for cell in range(4)], 2)
    return F.pixel_shuffle(cells.flatten(1, 2), 2)


class SquaresToLatent(nn.Module):
    """The linear shortcut: squares of 16x16 pixels, four patches each, to y."""

    def __init__(self, y_channels: int) -> None:
        super().__init__()
        self.map = nn.Linear(3 * SQUARE**2, y_channels)

    def forward(self, x: Tensor) -> Tensor:
        rows = to_squares(x).permute(0, 2, 3, 1)
        y = F.linear(rows, self.map.weight.to(x.dtype), self.map.bias.to(x.dtype))
        return y.permute(0, 3, 1, 2)

    def fold(self) -> nn.Module:
        weight = self.map.weight.unflatten(1, (2, 2, PATCH, PATCH, 3)).permute(0, 5, 1, 3, 2, 4)
        return plain_conv(weight.flatten(4, 5).flatten(2, 3), self.map.bias, stride=SQUARE)

    def unfold(self, folded: nn.Module) -> None:
        weight, bias = conv_values(folded)
        squares = weight.unflatten(3, (2, PATCH)).unflatten(2, (2, PATCH))
        self.map.weight.copy_(squares.permute(0, 2, 4, 3, 5, 1).flatten(1))
        self.map.bias.copy_(bias)


class LatentToSquares(nn.Module):
    """The linear shortcut back: y to patches, four for each position.

    The first `overlap` channels, the lowest frequencies, reach into the squares around, so that
    squares do not show where little else is coded.
    """

    def __init__(self, y_channels: int, overlap: int) -> None:
        super().__init__()
        self.map = nn.Linear(y_channels, 3 * SQUARE**2)
        self.overlap = nn.Conv2d(overlap, 3 * SQUARE**2, 3, padding=1, bias=False)
        nn.init.zeros_(self.overlap.weight)

    def forward(self, y: Tensor) -> Tensor:
        rows = y.permute(0, 2, 3, 1)
        squares = F.linear(rows, self.map.weight.to(y.dtype), self.map.bias.to(y.dtype))
        around = F.conv2d(
            y[:, : self.overlap.in_channels], self.overlap.weight.to(y.dtype), None, 1, 1
        )
        return from_squares(squares.permute(0, 3, 1, 2) + around)

    def fold(self) -> nn.Module:
        order = shuffled_rows()
        own = plain_conv(self.map.weight[order, :, None, None], self.map.bias[order])
        with torch.no_grad():
            self.overlap.weight.copy_(self.overlap.weight[order])
        return nn.Sequential(with_overlap(own, self.overlap), nn.PixelShuffle(SQUARE))

    def unfold(self, folded: nn.Module) -> None:
        order = shuffled_rows()
        centre = self.overlap.weight[order, :, 1, 1]
        weight, bias, around = without_overlap(folded.get_submodule("0"), centre)
        self.map.weight[order] = weight
        self.map.bias[order] = bias
        self.overlap.weight[order] = around


def shuffled_rows() -> Tensor:
    """The rows of `LatentToSquares`, which lie as half row, half column, row, column, colour, in
    PixelShuffle's order."""
    rows = torch.arange(3 * SQUARE**2).unflatten(0, (2, 2, PATCH, PATCH, 3))
    return rows.permute(4, 0, 2, 1, 3).flatten()


class Decoder(nn.Module):
    """y_hat to patches less 0.5, not clamped.

    `realism` `[B]` in [0, 1], None where it is 0 throughout, moves from the closest pixels to the
    most convincing ones; the bits do not change. `noise` `[B, N, H/8, W/8]` is then what texture
    is made of; the same noise gives the same picture.
    """

    def __init__(self, s: Shape) -> None:
        super().__init__()
        c8, c16, k = s.decoder_channels_8, s.decoder_channels_16, s.knots
        own = s.of_decoder
        self.gain = LatentGains(s.y_channels, k, inverse=True)
        self.stem = ConvScale(s.y_channels, c16)
        self.chain16 = Chain(c16, s.decoder_blocks_16, k, own.expand_16, own.block)
        self.up = Up(c16, c8)
        self.chain8 = Chain(c8, s.decoder_blocks_8 - s.dial_blocks, k, own.expand_8, own.block)
        self.dial = nn.ModuleList(
            DialBlock(c8, s.noise_channels, k, own.expand_8, own.block)
            for _ in range(s.dial_blocks)
        )
        self.head = ToPatches(c8)
        self.shortcut = LatentToSquares(s.y_channels, s.overlap)

    def forward(
        self,
        y_hat: Tensor,
        level: Tensor,
        realism: Tensor | None = None,
        noise: Tensor | None = None,
    ) -> Tensor:
        y_hat = scaled(y_hat, self.gain(level))
        h = self.chain16(self.stem(y_hat), level)
        h = self.chain8(self.up(h), level)
        for block in self.dial:
            h = block(h, level, realism, noise)
        return self.head(h) + self.shortcut(y_hat)


class Coded(NamedTuple):
    """What a training step needs: the picture as patches less 0.5, `[B, 192, H/8, W/8]`, in the
    networks' type; the bits of each sample `[B]`; and `y_hat`."""

    centred: Tensor
    y_hat: Tensor
    bits_y: Tensor
    bits_z: Tensor


class Codec(nn.Module):
    """All networks of a shape."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = Encoder(shape)
        self.scale_decoder = ScaleDecoder(
            shape.z_channels, shape.scale_channels, shape.y_channels, shape.knots
        )
        self.context_decoder = ContextDecoder(shape)
        self.context_model = ContextModel(shape)
        self.decoder = Decoder(shape)
        # Scale index of each z channel, by level; 24 is a scale of about 0.9.
        self.z_index = nn.Parameter(torch.full((shape.knots, shape.z_channels), 24.0 / INDEX_UNIT))

    def forward(
        self,
        centred: Tensor,
        level: Tensor,
        realism: Tensor | None = None,
        noise: Tensor | None = None,
        skip_below: int = 0,
        hard: bool = False,
    ) -> Coded:
        """One pass over `centred`, patches less 0.5. The rate is that of additive noise, with
        `hard` that of rounded symbols; the latent is rounded for the reconstruction either way.
        Elements whose scale index is below `skip_below` are not coded."""
        y, z = self.encoder(centred, level)
        cell, bits_z = self.code(y, z, level, centred.dtype, skip_below, hard)
        picture = self.decoder(cell.y_hat.to(centred.dtype), level, realism, noise)
        return Coded(picture, cell.y_hat, cell.bits, bits_z)

    def code(
        self,
        y: Tensor,
        z: Tensor,
        level: Tensor,
        dtype: torch.dtype,
        skip_below: int = 0,
        hard: bool = False,
    ) -> tuple[Cell, Tensor]:
        """y and z `float32` to symbols, y_hat, and the bits of both."""
        z_hat, z_index = round_ste(z), self.z_scale_index(level)[:, :, None, None]
        if hard:
            bits_z = symbol_bits(z_hat, z_index).sum((1, 2, 3))
        else:
            bits_z = bits_to_learn(z, z_hat, z_index, torch.rand_like(z) - 0.5).sum((1, 2, 3))
        index = self.scale_decoder(z_hat, level)
        coded = (index >= skip_below).to(y.dtype)
        prior = self.context_decoder(z_hat.to(dtype), level)
        noise = None if hard else torch.rand_like(y) - 0.5
        return self.context_model(prior, y, index, coded, level, noise), bits_z

    @property
    def log_lambda(self) -> Tensor:
        """The logarithm of lambda at each knot `[K]`: the loss is bits a pixel + lambda MSE."""
        return self.encoder.gain.log_lambda

    def move_lambdas(self, log_lambda: Tensor) -> None:
        for gain in (self.encoder.gain, self.decoder.gain):
            gain.log_lambda.copy_(log_lambda)

    def z_scale_index(self, level: Tensor) -> Tensor:
        """Scale indices of z `[B, Nz]`, rounded to the bins of levels that files can name."""
        binned = (level * (LEVEL_BINS - 1)).round() / (LEVEL_BINS - 1)
        index = interpolate_knots(self.z_index, binned) * INDEX_UNIT
        return clamp_ste(round_ste(index), 0, SCALE_COUNT - 1)

    @torch.no_grad()
    def start_from_components(self, components: Tensor, energies: Tensor) -> None:
        """Start as a transform codec: principal components in the shortcut, zero networks.

        `components` `[M, 768]` orthonormal rows over squares in the order of `to_squares` of
        patches, `energies` `[M]` the mean square of each coefficient.
        """
        self.encoder.shortcut.map.weight.copy_(components)
        self.decoder.shortcut.map.weight.copy_(components.t())
        nn.init.zeros_(self.encoder.shortcut.map.bias)
        nn.init.zeros_(self.decoder.shortcut.map.bias)
        # A Laplace distribution's standard deviation is the square root of 2 times its scale.
        deviation = (energies / 2).sqrt()[None, :] / first_steps(self.shape.knots)[:, None]
        table = torch.tensor([scale_of_index(i) for i in range(SCALE_COUNT)]).log()
        index = (deviation.log() - table[0]) / (table[1] - table[0])
        last = self.scale_decoder.layers[-1]
        last.bias.copy_(index.clamp(0, SCALE_COUNT - 1) / INDEX_UNIT)  # type: ignore[operator]


def first_lambdas(knots: int) -> Tensor:
    """The lambda of each knot `[K]` that a model starts from."""
    low, high = (math.log(end) for end in FIRST_LAMBDAS)
    return torch.linspace(low, high, knots).exp()


def first_steps(knots: int) -> Tensor:
    """The quantisation step, in pixels' units, that is optimal for each of `first_lambdas`."""
    return (STEP_SQUARED_TIMES_LAMBDA / first_lambdas(knots)).sqrt()


def draw_levels(batch: int, generator: torch.Generator) -> Tensor:
    """One level for each sample, spread evenly over [0, 1] within the batch."""
    offsets = torch.rand(batch, generator=generator)
    order = torch.randperm(batch, generator=generator)
    return ((order + offsets) / batch).float()
