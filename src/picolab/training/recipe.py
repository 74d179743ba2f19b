"""A training run as data: a TOML file, checked before anything starts."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from picolab.losses.objective import LossWeights
from picolab.networks.config import CodecConfig, read_config


@dataclass(frozen=True)
class Phase:
    """A stretch of training: the learning rate falls along a cosine from one end to the other."""

    steps: int
    crop: int
    batch: int  # over all processes
    learning_rate: float
    final_learning_rate: float
    hard: bool = False  # the rate of rounded symbols, not of noisy ones

    def __post_init__(self) -> None:
        if self.crop % 64 or not 64 <= self.crop <= 512:
            raise ValueError(f"recipe: crop = {self.crop} must be a multiple of 64 up to 512")
        if self.steps < 1 or self.batch < 1:
            raise ValueError("recipe: steps and batch must be at least 1")


@dataclass(frozen=True)
class Recipe:
    name: str
    config: CodecConfig
    data: tuple[str, ...]
    phases: tuple[Phase, ...]
    losses: LossWeights = LossWeights()  # beside rate and MSE; none in stage 1
    masks: str | None = None  # a tar of text masks, made by `picolab prepare`
    optimiser: str = "soap"  # or "adamw"
    train: tuple[str, ...] = ()  # beginnings of names of the parameters that learn; (): all
    init: str | None = None  # a checkpoint whose weights (EMA) the run starts from
    seed: int = 0
    warmup: int = 200
    clip: float = 1.0  # largest norm of the gradient
    ema: float = 0.999
    zoom: float = 1.0  # crops are enlarged by up to this (`picolab.data.variety`)
    grain: float = 0.0  # noise is added to them of a deviation up to this, in steps of 255
    skip_below: int = 0  # scale indices under this are not coded; 0 while scales still settle
    validate_every: int = 1000
    save_minutes: float = 5.0

    def __post_init__(self) -> None:
        if self.losses.text and not self.masks:
            raise ValueError("recipe: losses.text needs masks, made by `picolab prepare`")
        if self.optimiser not in ("soap", "adamw"):
            raise ValueError(f"recipe: optimiser = {self.optimiser!r} is neither soap nor adamw")
        if not (1 <= self.zoom <= 8 and 0 <= self.grain <= 64):
            raise ValueError(
                f"recipe: zoom = {self.zoom} must be from 1 to 8, grain = {self.grain} from 0 to 64"
            )

    @property
    def steps(self) -> int:
        return sum(phase.steps for phase in self.phases)

    @property
    def pixels(self) -> int:
        """All that it trains on, about in proportion to the time that it takes."""
        return sum(phase.steps * phase.batch * phase.crop**2 for phase in self.phases)

    def lengthened(self, factor: float) -> Recipe:
        """The same with so many times the steps, the adversary's beginning included."""

        def steps(count: int) -> int:
            return round(factor * count)

        phases = tuple(replace(p, steps=max(steps(p.steps), 1)) for p in self.phases)
        gan = steps(self.losses.gan_start), steps(self.losses.gan_ramp)
        losses = replace(self.losses, gan_start=gan[0], gan_ramp=gan[1])
        return replace(self, phases=phases, losses=losses)


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe. `config` and `init` are relative to its file, and `$NAME` in `data` is taken
    from the environment. Raises `ValueError` for keys and values that make no sense."""
    path = Path(path)
    with open(path, "rb") as f:
        values: dict[str, Any] = tomllib.load(f)
    unknown = sorted(set(values) - {f.name for f in fields(Recipe)})
    if unknown:
        raise ValueError(f"{path}: unknown key {unknown[0]!r}")
    try:
        values["config"] = read_config(path.parent / values["config"])
        values["phases"] = tuple(Phase(**phase) for phase in values["phases"])
        values["data"] = tuple(expand_source(source, path) for source in values["data"])
        values["train"] = tuple(values.get("train", ()))
        if "losses" in values:
            values["losses"] = LossWeights(**values["losses"])
        if "masks" in values:
            values["masks"] = expand_source(values["masks"], path)
        if "init" in values:
            values["init"] = str(path.parent / values["init"])
        return Recipe(**values)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: missing or mistyped: {error}") from None


def expand_source(source: str, where: str | Path) -> str:
    """A data source with `$NAME` taken from the environment; `where` it is from, for errors."""
    expanded = os.path.expandvars(source)
    if "$" in expanded:
        raise ValueError(f"{where}: data source {source!r} needs that environment variable set")
    return expanded
