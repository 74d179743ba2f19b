"""The shape of a codec as data: a dataclass read from TOML, checked, and nothing else."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

# What a released codec has comes first; the others are for `picolab ablate`.
CHOICES = {
    "context": ("grid", "checkerboard", "channels", "none"),
    "scales": ("both", "conv", "resolution", "none"),
    "resampling": ("haar", "strided", "shuffle"),
}
CHANNEL_GROUPS = 4  # of the context by channels


@dataclass(frozen=True)
class CodecConfig:
    """Widths (`*_channels`) and numbers of blocks (`*_blocks`) at each resolution.

    The suffix 4, 8, 16, 32, 64 is the factor by which the picture is reduced there. A chain of
    zero blocks still has its learned scale. `e` and `f` are the expansions of ConvScale311.

    `scales` are the learned ones: `conv` those in ConvScale, `resolution` those at the ends of
    chains. The gains of y are always there, since the level acts through them.
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
    decoder_channels_4: int
    decoder_blocks_4: int
    e: int = 1
    f: int = 2
    knots: int = 8  # of every gain table over the level
    lambda_min: float = 24.0  # slope of the rate-distortion loss at level 0 ...
    lambda_max: float = 12000.0  # ... and at level 1: bpp + lambda * MSE, pixels in [0, 1]
    shortcut: bool = True
    texture_channels_4: int = 20  # of the texture network, which follows realism ...
    texture_blocks: int = 0  # ... at 1/8, as wide as the decoder there; 0: no dial
    restoration_channels: int = 16  # of the restoration network, ...
    restoration_blocks: int = 0  # ... at 1/2; 0: none
    overlap: int = 0  # channels of y whose part of the shortcut overlaps the blocks around
    context: str = "grid"
    quantisation_width: bool = True  # learned; otherwise 1 everywhere
    scales: str = "both"
    resampling: str = "haar"

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, int) and value < 0:
                raise ValueError(f"model configuration: {f.name} = {value} must not be negative")
        if self.overlap > (self.y_channels if self.shortcut else 0):
            raise ValueError(
                f"model configuration: overlap = {self.overlap} must be at most y_channels, and 0 "
                "without the shortcut"
            )
        for key, choices in CHOICES.items():
            if getattr(self, key) not in choices:
                raise ValueError(
                    f"model configuration: {key} = {getattr(self, key)!r} must be one of "
                    f"{', '.join(choices)}"
                )
        if self.context == "channels" and self.y_channels % CHANNEL_GROUPS:
            raise ValueError(
                f"model configuration: context = 'channels' needs y_channels = {self.y_channels} "
                f"to be a multiple of {CHANNEL_GROUPS}"
            )
        # 3x3 sums of the integer network stay exact in 32-bit floats, see integer.py.
        for key in ("z_channels", "scale_channels"):
            if not 1 <= getattr(self, key) <= 112:
                raise ValueError(f"model configuration: {key} must be in 1..112")


def read_config(path: str | Path) -> CodecConfig:
    """Read a configuration; unknown, missing and mistyped keys raise `ValueError`."""
    with open(path, "rb") as f:
        return config_from_dict(tomllib.load(f), str(path))


def config_from_dict(values: dict[str, object], where: str) -> CodecConfig:
    known = {f.name: f.type for f in fields(CodecConfig)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ValueError(f"{where}: unknown key {unknown[0]!r}; known: {', '.join(known)}")
    types: dict[str, Any] = {"str": str, "int": int, "float": (int, float), "bool": bool}
    for key, value in values.items():
        if not isinstance(value, types[str(known[key])]) or (
            isinstance(value, bool) and known[key] != "bool"
        ):
            raise ValueError(f"{where}: {key} = {value!r} should be of type {known[key]}")
    try:
        return CodecConfig(**values)  # type: ignore[arg-type]
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from None
