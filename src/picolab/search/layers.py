"""The layers of a shape, or of many at once, by formula: what costs and times are made of.

Fields are numbers, or arrays `[N]` for N configurations (`space.Side.columns`), and so are the
results. `tests/picolab/search/test_cost.py` compares with the networks themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

PATCH_CHANNELS, SQUARE_CHANNELS = 3 * 8**2, 3 * 16**2

# What each side runs for a tile, in the names of the codec's parts, ...
ENTROPY = ("scale_decoder", "context_decoder", "context_model")
CODING = {"decoder": (*ENTROPY, "decoder"), "encoder": ("encoder", *ENTROPY)}
# ... and what of it is in the graph that is timed; the scale decoder is one of its own.
TIMED = {side: tuple(p for p in parts if p != "scale_decoder") for side, parts in CODING.items()}


@dataclass(frozen=True)
class Layer:
    """`count` convolutions of `kernel` by `kernel`, of a part of the codec, whose outputs lie at
    1 / `at` of the picture's sides; infinity for what is done once for all pixels.

    `biases` is how many there are for an output; `scaled` says whether it is a ConvScale.
    """

    part: str
    kernel: int
    at: float
    inputs: Any
    outputs: Any
    count: Any = 1
    scaled: bool = True
    biases: Any = 1

    @property
    def macs(self) -> Any:
        """Multiply-accumulates per pixel of the picture."""
        return self.count * self.inputs * self.outputs * (self.kernel**2 / self.at**2)

    @property
    def parameters(self) -> Any:
        each = self.inputs * self.outputs * self.kernel**2 + self.biases * self.outputs
        return self.count * (each + (self.inputs + self.outputs if self.scaled else 0))


def layers_of(s: Mapping[str, Any]) -> list[Layer]:
    """All layers of shapes with the fields `s`, in the order of the codec's parts."""
    found: list[Layer] = []
    for part in (_encoder, _scale_decoder, _context_decoder, _context_model, _decoder):
        found.extend(part(s))
    return [*found, _gains("z_index", s, s["z_channels"])]


def _gains(part: str, s: Mapping[str, Any], channels: Any, count: Any = 1) -> Layer:
    """A value for each channel and knot of the level."""
    return Layer(part, 1, math.inf, s["knots"], channels, count, scaled=False, biases=0)


def _chain(
    part: str, at: int, channels: Any, blocks: Any, expand: Any = 1, kind: Any = "31"
) -> Iterator[Layer]:
    """The convolutions of a chain's blocks."""
    inside = expand * channels
    yield Layer(part, 3, at, channels, inside, blocks)
    yield Layer(part, 1, at, inside, inside, blocks * (np.asarray(kind) == "311"))
    yield Layer(part, 1, at, inside, channels, blocks)


def _encoder(s: Mapping[str, Any]) -> Iterator[Layer]:
    part, c8, c16 = "encoder", s["encoder_channels_8"], s["encoder_channels_16"]
    y, ch = s["y_channels"], s["hyper_channels"]
    yield Layer(part, 3, 8, PATCH_CHANNELS, c8)
    yield from _chain(part, 8, c8, s["encoder_blocks_8"], s["expand_8"], s["block"])
    yield Layer(part, 1, 16, 4 * c8, c16)
    yield from _chain(part, 16, c16, s["encoder_blocks_16"], s["expand_16"], s["block"])
    yield Layer(part, 1, 16, c16, y)
    yield Layer(part, 1, 16, SQUARE_CHANNELS, y, scaled=False)
    yield Layer(part, 1, 32, 4 * y, ch)
    yield from _chain(part, 32, ch, s["hyper_blocks"])
    yield Layer(part, 1, 64, 4 * ch, ch)
    yield from _chain(part, 64, ch, s["hyper_blocks"])
    yield Layer(part, 1, 64, ch, s["z_channels"])
    for channels in (c8, c16, y, ch, ch):
        yield _gains(part, s, channels)


def _scale_decoder(s: Mapping[str, Any]) -> Iterator[Layer]:
    c, knots = s["scale_channels"], s["knots"]
    each = (
        (1, 64, s["z_channels"], c, knots),
        (3, 64, c, c, 1),
        (1, 64, c, 4 * c, 1),
        (3, 32, c, c, 1),
        (1, 32, c, 4 * c, 1),
        (1, 16, c, s["y_channels"], knots),
    )
    for kernel, at, inputs, outputs, biases in each:
        yield Layer("scale_decoder", kernel, at, inputs, outputs, scaled=False, biases=biases)


def _context_decoder(s: Mapping[str, Any]) -> Iterator[Layer]:
    part, ch = "context_decoder", s["hyper_channels"]
    yield Layer(part, 1, 64, s["z_channels"], ch)
    yield from _chain(part, 64, ch, s["hyper_blocks"])
    yield Layer(part, 1, 64, ch, 4 * ch)
    yield from _chain(part, 32, ch, s["hyper_blocks"])
    yield Layer(part, 1, 32, ch, 4 * s["context_channels"])
    yield _gains(part, s, ch, 2)


def _context_model(s: Mapping[str, Any]) -> Iterator[Layer]:
    part, c, y = "context_model", s["context_channels"], s["y_channels"]
    for cell in range(4):
        yield Layer(part, 1, 32, c + cell * y, c)
    yield from _chain(part, 32, c, 4 * s["context_blocks"])
    yield Layer(part, 1, 32, c, 2 * y, 4)
    yield _gains(part, s, c, 4)


def _decoder(s: Mapping[str, Any]) -> Iterator[Layer]:
    part, c8, c16 = "decoder", s["decoder_channels_8"], s["decoder_channels_16"]
    y, dial = s["y_channels"], s["dial_blocks"]
    expand8, expand16 = (_own(s, f"expand_{at}") for at in (8, 16))
    yield Layer(part, 1, 16, y, c16)
    yield from _chain(part, 16, c16, s["decoder_blocks_16"], expand16, _own(s, "block"))
    yield Layer(part, 1, 16, c16, 4 * c8)
    yield from _chain(part, 8, c8, s["decoder_blocks_8"], expand8, _own(s, "block"))
    yield Layer(part, 3, 8, c8, PATCH_CHANNELS)
    yield Layer(part, 1, 16, y, SQUARE_CHANNELS, scaled=False)
    yield Layer(part, 3, 16, s["overlap"], SQUARE_CHANNELS, scaled=False, biases=0)
    yield _gains(part, s, y)
    yield _gains(part, s, c16)
    yield _gains(part, s, c8, 1 + 2 * dial)
    # The dial's noise, which is nothing where realism is 0.
    noise = s["noise_channels"]
    yield Layer(part, 1, math.inf, noise, c8, dial * (np.asarray(noise) > 0))


def _own(s: Mapping[str, Any], field: str) -> Any:
    """The decoder's own value, or the encoder's where it is 0 or empty."""
    own, common = np.asarray(s[f"decoder_{field}"]), s[field]
    given = own != type(own.flat[0].item())()
    return np.where(given, own, common)
