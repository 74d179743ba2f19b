"""The whole codec as PyTorch modules.

Shapes, for pictures `[B, 3, H, W]` in [0, 1] with H and W multiples of 64, levels `[B]`:

    y, symbols, scale indices   [B, M, H/16, W/16]
    z                           [B, Nz, H/64, W/64]
    prior p                     [B, 4 C, H/32, W/32]   C channels for each cell of the 2x2 grid

The order of work follows PICO: scales come from z in one shot, so that all symbols are known to
the entropy coder before the context model runs; the context model then gives, for one cell of
the 2x2 grid after the other, the mean `mu` and the bin width `q`:

    symbol = round((y - mu) / q)        y_hat = q * symbol + mu

Other orders, resampling and scales can be had (`CodecConfig`) to measure what these are worth.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from picocodec.format.tables import SCALE_COUNT, scale_of_index
from picocodec.model.scale_decoder import LEVEL_BINS
from picolab.networks.config import CHANNEL_GROUPS, CodecConfig
from picolab.networks.integer import INDEX_UNIT, IntegerConv, ScaleDecoder, clamp_ste, round_ste
from picolab.networks.layers import (
    RESAMPLING,
    Chain,
    ConvScale,
    Gains,
    PatchConv,
    hold_scales,
    interpolate_knots,
    with_overlap,
)

PATCH = 16  # side of the block of pixels behind one position of y
GRID_ORDER = (0, 3, 1, 2)  # cells of the 2x2 grid (row major): diagonal first
# For a uniform quantiser with entropy coding, the step that is optimal at slope lambda.
STEP_SQUARED_TIMES_LAMBDA = 26.0


class Analysis(nn.Module):
    """PICO's encoder: picture to y and, by the hyper-encoder inside, z; neither is rounded."""

    def __init__(self, cfg: CodecConfig) -> None:
        super().__init__()
        c8, c16, ch, e, f, k = (
            cfg.encoder_channels_8,
            cfg.encoder_channels_16,
            cfg.hyper_channels,
            cfg.e,
            cfg.f,
            cfg.knots,
        )
        down, _ = RESAMPLING[cfg.resampling]
        self.stem = down(3, c8, levels=3)
        self.chain8 = Chain(c8, cfg.encoder_blocks_8, e, f, k)
        self.down = down(c8, c16)
        self.chain16 = Chain(c16, cfg.encoder_blocks_16, e, f, k)
        self.head = ConvScale(c16, cfg.y_channels, gain=0.0 if cfg.shortcut else 1.0)
        self.shortcut = PatchConv(3, cfg.y_channels, PATCH) if cfg.shortcut else None
        self.gain = Gains(cfg.y_channels, k)
        self.hyper_in = down(cfg.y_channels, ch)
        self.hyper_chain32 = Chain(ch, cfg.hyper_blocks, e, f, k)
        self.hyper_down = down(ch, ch)
        self.hyper_chain64 = Chain(ch, cfg.hyper_blocks, e, f, k)
        self.hyper_head = ConvScale(ch, cfg.z_channels)

    def forward(self, x: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        x = x - 0.5
        h = self.chain8(self.stem(x), level)
        y = self.head(self.chain16(self.down(h), level))
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        y = y * self.gain(level)[:, :, None, None]
        h = self.hyper_chain32(self.hyper_in(y), level)
        z = self.hyper_head(self.hyper_chain64(self.hyper_down(h), level))
        return y, z


class ContextDecoder(nn.Module):
    """z to the prior p, which the context model starts from."""

    def __init__(self, cfg: CodecConfig) -> None:
        super().__init__()
        ch, e, f, k = cfg.hyper_channels, cfg.e, cfg.f, cfg.knots
        self.stem = ConvScale(cfg.z_channels, ch)
        self.chain64 = Chain(ch, cfg.hyper_blocks, e, f, k)
        _, up = RESAMPLING[cfg.resampling]
        self.up = up(ch, ch)
        self.chain32 = Chain(ch, cfg.hyper_blocks, e, f, k)
        self.head = ConvScale(ch, 4 * cfg.context_channels)

    def forward(self, z: Tensor, level: Tensor) -> Tensor:
        h = self.chain64(self.stem(z), level)
        return self.head(self.chain32(self.up(h), level))


class ContextStep(nn.Module):
    """One part of y: its part of p, and the `known` channels decoded before it, to mu and q."""

    def __init__(self, cfg: CodecConfig, known: int, channels: int) -> None:
        super().__init__()
        c = cfg.context_channels
        self.learned_width = cfg.quantisation_width
        self.stem = ConvScale(c + known, c)
        self.chain = Chain(c, cfg.context_blocks, cfg.e, cfg.f, cfg.knots)
        self.head = ConvScale(c, (2 if self.learned_width else 1) * channels, gain=0.0)

    def forward(self, known: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        out = self.head(self.chain(self.stem(known), level)).float()
        if not self.learned_width:
            return out, torch.ones_like(out)
        mu, width = out.chunk(2, dim=1)
        return mu, torch.exp(math.log(4.0) * torch.tanh(width))  # a power takes far longer


class ContextModel(nn.Module):
    """PICO's one-shot context model: one part of y after the other, over a 2x2 grid in four."""

    def __init__(self, cfg: CodecConfig) -> None:
        super().__init__()
        self.order = ORDERS[cfg.context]
        channels = cfg.y_channels // self.order.channel_groups
        self.steps = nn.ModuleList(
            ContextStep(cfg, step * channels, channels) for step in range(self.order.steps)
        )

    def forward(self, prior: Tensor, y: Tensor, coded: Tensor, level: Tensor, encode: bool):
        """Give `(t, symbols, y_hat)`; `t` is `(y - mu) / q` before rounding.

        With `encode` True, elements where `coded` `[B, M, H/16, W/16]` is 0 have the symbol 0; with
        False, `y` holds symbols already, which `t` equals, too, and `coded` does not count.
        """
        order = self.order
        parts: list[tuple[Tensor, Tensor, Tensor]] = []
        for step, own_prior, own, mask in zip(
            self.steps, order.priors(prior), order.split(y), order.split(coded), strict=True
        ):
            known = torch.cat([own_prior, *(part[2] for part in parts)], dim=1)
            mu, q = step(known, level)
            t = (own - mu) / q if encode else own
            symbols = round_ste(t) * mask if encode else own
            parts.append((t, symbols, symbols * q + mu))
        return tuple(order.join(list(kind)) for kind in zip(*parts, strict=True))


class Grid:
    """Cells of a 2x2 grid, diagonal first, each at half the resolution with its own prior."""

    steps, channel_groups = 4, 1

    def split(self, x: Tensor) -> list[Tensor]:
        cells = grid_cells(x)
        return [cells[cell] for cell in GRID_ORDER]

    def priors(self, prior: Tensor) -> list[Tensor]:
        priors = prior.chunk(4, dim=1)
        return [priors[cell] for cell in GRID_ORDER]

    def join(self, parts: list[Tensor]) -> Tensor:
        cells = [parts[GRID_ORDER.index(cell)] for cell in range(4)]
        return F.pixel_shuffle(torch.stack(cells, 2).flatten(1, 2), 2)


class Whole:
    """All of y at once: no context but z."""

    steps, channel_groups = 1, 1

    def split(self, x: Tensor) -> list[Tensor]:
        return [x]

    def priors(self, prior: Tensor) -> list[Tensor]:
        return [F.pixel_shuffle(prior, 2)] * self.steps

    def join(self, parts: list[Tensor]) -> Tensor:
        return parts[0]


class Checkerboard(Whole):
    """Every other position, then those between them; each step sees y's whole plane, in the
    second with the first one's means where nothing is known yet."""

    steps = 2

    def split(self, x: Tensor) -> list[Tensor]:
        first = checkerboard(x)
        return [x * first, x * ~first]

    def join(self, parts: list[Tensor]) -> Tensor:
        return torch.where(checkerboard(parts[0]), parts[0], parts[1])


class ChannelGroups(Whole):
    """Equal groups of channels, in their order."""

    steps = channel_groups = CHANNEL_GROUPS

    def split(self, x: Tensor) -> list[Tensor]:
        return list(x.chunk(self.steps, dim=1))

    def join(self, parts: list[Tensor]) -> Tensor:
        return torch.cat(parts, dim=1)


ORDERS: dict[str, Grid | Whole] = {
    "grid": Grid(),
    "checkerboard": Checkerboard(),
    "channels": ChannelGroups(),
    "none": Whole(),
}


def checkerboard(x: Tensor) -> Tensor:
    """Where `[1, 1, H, W]` the fields of x `[B, C, H, W]` are even."""
    rows, columns = (torch.arange(side, device=x.device) for side in x.shape[2:])
    return ((rows[:, None] + columns) % 2 == 0)[None, None]


def grid_cells(x: Tensor) -> list[Tensor]:
    """The four cells of the 2x2 grid, row major, each at half the resolution."""
    return [x[:, :, dy::2, dx::2] for dy in range(2) for dx in range(2)]


class Texture(nn.Module):
    """What a decoded picture lacks to convince: a residual from the picture and the features
    behind it, `[B, c8, H/8, W/8]`.

    Its strength begins as the quantisation step of the level, which what is missing scales with;
    without that, the noise of learning for low levels spoils high ones.
    """

    def __init__(self, cfg: CodecConfig) -> None:
        super().__init__()
        c8, c4 = cfg.decoder_channels_8, cfg.texture_channels_4
        down, up = RESAMPLING[cfg.resampling]
        self.stem = down(3, c8, levels=3)
        self.mix = ConvScale(c8, c8)
        self.chain8 = Chain(c8, cfg.texture_blocks, cfg.e, cfg.f, cfg.knots)
        self.up4 = up(c8, c4)
        self.head = up(c4, 3, kernel=3, levels=2, gain=0.0)
        self.strength = Gains(1, cfg.knots)

    @torch.no_grad()
    def amplify(self, factor: float) -> None:
        """Multiply all that the network adds: training is careful, and more may look better."""
        self.strength.log_gain.add_(math.log(factor))

    def forward(self, picture: Tensor, features: Tensor, level: Tensor, realism: Tensor) -> Tensor:
        h = self.chain8(self.stem(picture) + self.mix(features), level)
        strength = realism[:, None] * self.strength(level)
        return self.head(self.up4(h)) * strength[:, :, None, None]


class Restoration(nn.Module):
    """What takes noise around edges and the borders of blocks off a decoded picture: a residual,
    worked out at half its size, since that is what the networks behind y are too coarse for.

    Its strength follows the level as the texture network's does. What is noise to those who want
    the closest pixels is texture to others: what comes on top with realism is its own.
    """

    def __init__(self, cfg: CodecConfig) -> None:
        super().__init__()
        c = cfg.restoration_channels
        down, up = RESAMPLING[cfg.resampling]
        self.stem = down(3, c)
        self.chain = Chain(c, cfg.restoration_blocks, cfg.e, cfg.f, cfg.knots)
        self.head = up(2 * c, 3, gain=0.0)
        self.strength = Gains(1, cfg.knots)

    def forward(self, picture: Tensor, level: Tensor, realism: Tensor) -> Tensor:
        h = self.chain(self.stem(picture), level)
        h = torch.cat([h, h * realism[:, None, None, None]], dim=1)
        return self.head(h) * self.strength(level)[:, :, None, None]


class Synthesis(nn.Module):
    """y_hat to the picture, not clamped.

    `realism` `[B]` in [0, 1] moves from the closest pixels to the most convincing texture: so much
    of the texture network's residual is added. The bits do not change.

    The linear shortcut gives each position of y its own 16x16 block; its first `overlap` channels,
    the lowest frequencies, reach into the blocks around instead, so that blocks do not show where
    little else is coded.
    """

    def __init__(self, cfg: CodecConfig) -> None:
        super().__init__()
        c16, c8, c4, e, f, k = (
            cfg.decoder_channels_16,
            cfg.decoder_channels_8,
            cfg.decoder_channels_4,
            cfg.e,
            cfg.f,
            cfg.knots,
        )
        _, up = RESAMPLING[cfg.resampling]
        self.gain = Gains(cfg.y_channels, k)
        self.stem = ConvScale(cfg.y_channels, c16)
        self.chain16 = Chain(c16, cfg.decoder_blocks_16, e, f, k)
        self.up8 = up(c16, c8)
        self.chain8 = Chain(c8, cfg.decoder_blocks_8, e, f, k)
        self.up4 = up(c8, c4)
        self.chain4 = Chain(c4, cfg.decoder_blocks_4, e, f, k)
        self.head = up(c4, 3, kernel=3, levels=2, gain=0.0 if cfg.shortcut else 1.0)
        self.shortcut = nn.Conv2d(cfg.y_channels, 3 * PATCH**2, 1) if cfg.shortcut else None
        self.overlap = None
        if cfg.overlap:
            self.overlap = nn.Conv2d(cfg.overlap, 3 * PATCH**2, 3, padding=1, bias=False)
            nn.init.zeros_(self.overlap.weight)
        self.texture = Texture(cfg) if cfg.texture_blocks else None
        self.restoration = Restoration(cfg) if cfg.restoration_blocks else None

    def forward(self, y_hat: Tensor, level: Tensor, realism: Tensor) -> Tensor:
        y_hat = y_hat * self.gain(level)[:, :, None, None]
        h = self.chain16(self.stem(y_hat), level)
        features = self.chain8(self.up8(h), level)
        x = self.head(self.chain4(self.up4(features), level))
        if self.shortcut is not None:
            blocks = self.shortcut(y_hat)
            if self.overlap is not None:
                blocks = blocks + self.overlap(y_hat[:, : self.overlap.in_channels])
            x = x + F.pixel_shuffle(blocks, PATCH)
        if self.texture is not None:
            x = x + self.texture(x, features, level, realism)
        if self.restoration is not None:
            x = x + self.restoration(x, level, realism)
        return x + 0.5

    def fold(self) -> nn.Module:
        if self.shortcut is not None and self.overlap is not None:
            self.shortcut = with_overlap(self.shortcut, self.overlap)  # type: ignore[assignment]
            self.overlap = None
        return self


class Coded(NamedTuple):
    """What a training step needs: the picture, its latent, the bits of each sample `[B]`."""

    picture: Tensor
    latent: Tensor
    bits_y: Tensor
    bits_z: Tensor
    scale_index: Tensor


class Codec(nn.Module):
    def __init__(self, cfg: CodecConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.analysis = Analysis(cfg)
        self.scale_decoder = ScaleDecoder(
            cfg.z_channels, cfg.scale_channels, cfg.y_channels, cfg.knots
        )
        self.context_decoder = ContextDecoder(cfg)
        self.context_model = ContextModel(cfg)
        self.synthesis = Synthesis(cfg)
        hold_scales(self, cfg.scales)
        # Scale index of each z channel, by level; 24 is a scale of about 0.9.
        self.z_index = nn.Parameter(torch.full((cfg.knots, cfg.z_channels), 24.0 / INDEX_UNIT))
        gains = [(self.analysis.gain, 1.0), (self.synthesis.gain, -1.0)]
        if self.synthesis.texture is not None:
            gains.append((self.synthesis.texture.strength, -1.0))
        if self.synthesis.restoration is not None:
            gains.append((self.synthesis.restoration.strength, -1.0))
        for gain, sign in gains:
            lambdas = self.slope(torch.linspace(0, 1, cfg.knots))
            log_gain = 0.5 * torch.log(lambdas / STEP_SQUARED_TIMES_LAMBDA)
            gain.log_gain.data.copy_((sign * log_gain)[:, None].expand_as(gain.log_gain))

    @property
    def slopes(self) -> list[float]:
        """The lambdas of levels 0 and 1."""
        return [self.cfg.lambda_min, self.cfg.lambda_max]

    def slope(self, level: Tensor) -> Tensor:
        """The lambda of `bpp + lambda * MSE` at a level: log-linear between the two ends."""
        low, high = (math.log(end) for end in self.slopes)
        return torch.exp(low + (high - low) * level)

    @torch.no_grad()
    def move_levels(self, lambda_min: float, lambda_max: float) -> None:
        """Make weights learned between two other slopes do at each slope what they did there:
        tables over the level are read again at this configuration's slopes, and go straight on
        beyond their ends."""
        cfg = self.cfg
        slopes = self.slope(torch.linspace(0, 1, cfg.knots, dtype=torch.float64))
        at = torch.log(slopes / lambda_min) / math.log(lambda_max / lambda_min) * (cfg.knots - 1)
        left = at.floor().clamp(0, cfg.knots - 2).long()
        for table in self.level_tables():
            rows = table.double().cpu()
            moved = torch.lerp(rows[left], rows[left + 1], (at - left)[:, None])
            table.copy_(moved)

    def level_tables(self) -> list[nn.Parameter]:
        """All parameters `[knots, channels]` that are interpolated over the level."""
        modules = list(self.modules())
        return [
            self.z_index,
            *(m.log_gain for m in modules if isinstance(m, Gains)),
            *(m.bias for m in modules if isinstance(m, IntegerConv) and m.leveled),
        ]

    def z_scale_index(self, level: Tensor) -> Tensor:
        """Scale indices of z `[B, Nz]`, rounded to the bins of levels that files can name."""
        binned = (level * (LEVEL_BINS - 1)).round() / (LEVEL_BINS - 1)
        index = interpolate_knots(self.z_index, binned) * INDEX_UNIT
        return clamp_ste(round_ste(index), 0, SCALE_COUNT - 1)

    def forward(
        self,
        x: Tensor,
        level: Tensor,
        realism: Tensor | None = None,
        skip_below: int = 0,
        hard: bool = False,
    ) -> Coded:
        """One training pass: additive noise for the rate, rounding for the reconstruction.

        `level` and `realism` `[B]` (None: 0, the closest pixels) are in [0, 1]. Elements
        whose scale index is below `skip_below` cost nothing and are not coded. With `hard` the rate
        is that of the rounded symbols too, as in files; what rounds to zero then learns
        nothing from it.
        """
        y, z = self.analysis(x, level)
        y, z = y.float(), z.float()
        z_hat = round_ste(z)
        bits_z = symbol_bits(
            z_hat if hard else noisy(z), self.z_scale_index(level)[:, :, None, None]
        )
        scale_index = self.scale_decoder(z_hat, level)
        coded = (scale_index >= skip_below).to(y.dtype)
        prior = self.context_decoder(z_hat, level)
        t, symbols, y_hat = self.context_model(prior, y, coded, level, encode=True)
        bits_y = symbol_bits(symbols if hard else noisy(t), scale_index) * coded
        realism = torch.zeros_like(level) if realism is None else realism
        picture = self.synthesis(y_hat, level, realism).float()
        return Coded(picture, y_hat, bits_y.sum((1, 2, 3)), bits_z.sum((1, 2, 3)), scale_index)

    @torch.no_grad()
    def initialise_from_components(self, components: Tensor, energies: Tensor) -> None:
        """Start as a transform codec: principal components in the shortcut, zero networks.

        `components` `[M, 768]` orthonormal rows over 16x16 blocks in `pixel_unshuffle` order,
        `energies` `[M]` the mean square of each coefficient.
        """
        if self.analysis.shortcut is not None and self.synthesis.shortcut is not None:
            self.analysis.shortcut.weight.copy_(components[:, :, None, None])
            self.synthesis.shortcut.weight.copy_(components.t()[:, :, None, None])
            nn.init.zeros_(self.analysis.shortcut.bias)  # type: ignore[arg-type]
            nn.init.zeros_(self.synthesis.shortcut.bias)  # type: ignore[arg-type]
        knots = torch.linspace(0, 1, self.cfg.knots)
        step = (STEP_SQUARED_TIMES_LAMBDA / self.slope(knots)).sqrt()
        # A Laplace distribution's standard deviation is the square root of 2 times its scale.
        deviation = (energies / 2).sqrt()[None, :] / step[:, None]
        table = torch.tensor([scale_of_index(i) for i in range(SCALE_COUNT)]).log()
        index = (deviation.log() - table[0]) / (table[1] - table[0])
        last = self.scale_decoder.layers[-1]
        last.bias.copy_(index.clamp(0, SCALE_COUNT - 1) / INDEX_UNIT)  # type: ignore[operator]


def noisy(x: Tensor) -> Tensor:
    return x + torch.rand_like(x) - 0.5


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


def draw_levels(batch: int, generator: torch.Generator) -> Tensor:
    """One level for each sample, spread evenly over [0, 1] within the batch."""
    offsets = torch.rand(batch, generator=generator)
    order = torch.randperm(batch, generator=generator)
    return ((order + offsets) / batch).float()
