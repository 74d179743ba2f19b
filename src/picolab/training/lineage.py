"""The lineage of a model as data: one TOML file with its stages, checked before anything starts.

A stage begins with the weights that the one before it ends with. What a stage trains on grows in
`batches`, each from so many of the stage's pixels on.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from picolab.arguments import expand_source
from picolab.data.crops import DRAWS
from picolab.losses.objective import LossWeights
from picolab.networks.shape import Shape, read_shape
from picolab.training.control import BitTargets

OPTIMISERS = ("adamw", "muon")


@dataclass(frozen=True)
class Batch:
    """From `after` of the stage's pixels on: crops a step over all processes, and their side."""

    crops: int
    side: int
    after: float = 0

    def __post_init__(self) -> None:
        if self.side % 64 or not 64 <= self.side <= 512:
            raise ValueError(f"recipe: side = {self.side} must be a multiple of 64 up to 512")
        if self.crops < 1:
            raise ValueError("recipe: a batch needs crops")


@dataclass(frozen=True)
class Stage:
    """One stage. `pixels` is where it ends, 0 for never."""

    name: str
    batches: tuple[Batch, ...]
    rate: float  # the learning rate, constant after warm-up
    pixels: float = 0
    warmup: int = 200  # steps
    entropy_alone: bool = False  # learn to code the latent of the linear shortcut, nothing else
    learn: tuple[str, ...] = ()  # beginnings of names of the parameters that learn; (): all
    losses: LossWeights = LossWeights()  # beside rate and MSE
    optimiser: str = "adamw"
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float = 1.0  # largest norm of the gradient
    ema: float = 0.9995
    skip_below: int = 0  # scale indices under this are not coded
    hard: bool = False  # the rate of rounded symbols, not of noisy ones
    kept: Path | None = (
        None  # a file of `picolab keep`: where there is no checkpoint, go on from it
    )

    def __post_init__(self) -> None:
        if self.optimiser not in OPTIMISERS:
            raise ValueError(
                f"recipe: optimiser = {self.optimiser!r} is none of {', '.join(OPTIMISERS)}"
            )
        if not self.batches or self.batches[0].after:
            raise ValueError(f"recipe: stage {self.name!r} needs batches from 0 pixels on")
        starts = [batch.after for batch in self.batches]
        if starts != sorted(starts):
            raise ValueError(f"recipe: the batches of {self.name!r} must be in order of `after`")

    def batch_at(self, pixels: float) -> Batch:
        """The batch after so many pixels of this stage."""
        return [batch for batch in self.batches if batch.after <= pixels][-1]


@dataclass(frozen=True)
class Lineage:
    """How a model is made, from nothing to what is released."""

    name: str
    shape: Shape
    tiles: Path
    stages: tuple[Stage, ...]
    bits: BitTargets = BitTargets()
    draws: Mapping[str, float] = field(default_factory=lambda: dict(DRAWS))
    seed: int = 0
    curve_every: float = 1e9  # pixels between two lines of the curve
    save_minutes: float = 5.0

    def stage(self, name: str) -> Stage:
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise ValueError(
            f"recipe: no stage {name!r}; there are {', '.join(s.name for s in self.stages)}"
        )

    def before(self, stage: Stage) -> Stage | None:
        """The stage whose weights this one begins with, None for the first."""
        at = self.stages.index(stage)
        return self.stages[at - 1] if at else None


def read_lineage(path: str | Path, tiles: Path | None = None) -> Lineage:
    """Read a recipe. `shape` is relative to its file, and `$NAME` in `tiles` is taken from the
    environment, unless another folder is given. Raises `ValueError` for keys and values that make
    no sense."""
    path = Path(path)
    with open(path, "rb") as f:
        values: dict[str, Any] = tomllib.load(f)
    try:
        _check_keys(values, Lineage, path)
        values["shape"] = read_shape(path.parent / values["shape"])
        values["tiles"] = tiles or Path(expand_source(values["tiles"], path))
        if "bits" in values:
            values["bits"] = BitTargets(**values["bits"])
        values["stages"] = tuple(_stage(stage, path) for stage in values["stages"])
        return Lineage(**values)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: missing or mistyped: {error}") from None


def _stage(values: dict[str, Any], path: Path) -> Stage:
    _check_keys(values, Stage, path)
    values = dict(values)
    values["batches"] = tuple(Batch(**batch) for batch in values["batches"])
    if "kept" in values:
        values["kept"] = path.parent / values["kept"]
    for key in ("learn", "betas"):
        if key in values:
            values[key] = tuple(values[key])
    if "losses" in values:
        values["losses"] = LossWeights(**values["losses"])
    return Stage(**values)


def _check_keys(values: dict[str, Any], kind: type, path: Path) -> None:
    unknown = sorted(set(values) - {f.name for f in fields(kind)})
    if unknown:
        raise ValueError(f"{path}: unknown key {unknown[0]!r}")
