"""The shape of a codec as data: a dataclass read from TOML, checked, and nothing else."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

ZERO_IS_FINE = ("overlap", "noise_channels", "decoder_expand_8", "decoder_expand_16")
BLOCKS = ("31", "311")  # kernels of a block's convolutions, see blocks.py
INTEGER_LIMIT = 112  # channels of the integer network: its sums stay exact in 32-bit floats


class Chains(NamedTuple):
    """What blocks are made of at 1/8 and 1/16."""

    expand_8: int
    expand_16: int
    block: str


@dataclass(frozen=True)
class Shape:
    """Widths (`*_channels`) and numbers of blocks (`*_blocks`) at each resolution.

    The suffix 8, 16, 32 or 64 is the factor by which the picture is reduced there. `expand_8` and
    `expand_16` are what the inside of a block is wider than its outside, and `block` is its kind,
    in the chains there. The decoder's own are those of the encoder where they are 0 or empty.
    """

    name: str
    y_channels: int
    z_channels: int
    encoder_channels_8: int
    encoder_blocks_8: int
    encoder_channels_16: int
    encoder_blocks_16: int
    hyper_channels: int
    hyper_blocks: int
    scale_channels: int
    context_channels: int
    context_blocks: int
    decoder_channels_16: int
    decoder_blocks_16: int
    decoder_channels_8: int
    decoder_blocks_8: int
    expand_8: int = 1
    expand_16: int = 1
    block: str = "31"
    decoder_expand_8: int = 0
    decoder_expand_16: int = 0
    decoder_block: str = ""
    dial_blocks: int = 2  # the decoder's last blocks, which follow level and realism
    noise_channels: int = 8  # that these blocks are given where realism is not 0
    overlap: int = 32  # channels of y whose part of the shortcut reaches into the blocks around
    knots: int = 8  # of everything that is interpolated over the level

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if f.type == "int" and (value < 0 or (value == 0 and "blocks" not in f.name)):
                if f.name not in ZERO_IS_FINE:
                    raise ValueError(f"model shape: {f.name} = {value} must be positive")
        if self.overlap > self.y_channels:
            raise ValueError(f"model shape: overlap = {self.overlap} must be at most y_channels")
        if self.dial_blocks > self.decoder_blocks_8:
            raise ValueError(
                f"model shape: dial_blocks = {self.dial_blocks} must be at most decoder_blocks_8"
            )
        for kind in (self.block, self.decoder_block or self.block):
            if kind not in BLOCKS:
                raise ValueError(f"model shape: block {kind!r} is none of {', '.join(BLOCKS)}")
        if self.knots < 2:
            raise ValueError(f"model shape: knots = {self.knots} must be at least 2")
        for key in ("z_channels", "scale_channels"):
            if getattr(self, key) > INTEGER_LIMIT:
                raise ValueError(f"model shape: {key} must be at most {INTEGER_LIMIT}")

    @property
    def of_decoder(self) -> Chains:
        """The kind of the decoder's chains."""
        return Chains(
            self.decoder_expand_8 or self.expand_8,
            self.decoder_expand_16 or self.expand_16,
            self.decoder_block or self.block,
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def read_shape(path: str | Path) -> Shape:
    """Read a shape; unknown, missing and mistyped keys raise `ValueError` that names the file."""
    with open(path, "rb") as f:
        return shape_from_dict(tomllib.load(f), str(path))


def shape_from_dict(values: dict[str, Any], where: str) -> Shape:
    known = {f.name: f.type for f in fields(Shape)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"{where}: unknown key {unknown[0]!r}; known: {', '.join(known)}")
    for key, value in values.items():
        if type(value).__name__ != known[key]:
            raise ValueError(f"{where}: {key} = {value!r} should be of type {known[key]}")
    try:
        return Shape(**values)
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from None
