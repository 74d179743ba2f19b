"""The space of shapes as data: a TOML file with the choices for each field of a shape.

A space has two sides, `decoder` and `encoder`. A search is of one side: each configuration takes
one choice for each field of that side, and all else from the base shape. Configurations have
numbers from 0 on; the last field changes fastest.
"""

from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picolab.networks.shape import Shape, read_shape

SIDES = ("decoder", "encoder")
KEYS = ("base", "recipe", "window", *SIDES)

# A field of many configurations at once, or of one: numbers or names.
Column = NDArray[Any] | int | str
Choice = int | str


@dataclass(frozen=True)
class Window:
    """kMAC/pixel that a configuration may take, from and up to."""

    decoding: tuple[float, float] = (0, math.inf)
    encoding: tuple[float, float] = (0, math.inf)

    def __post_init__(self) -> None:
        for name in ("decoding", "encoding"):
            ends = getattr(self, name)
            if len(ends) != 2 or not 0 <= ends[0] < ends[1]:
                raise ValueError(f"window: {name} = {list(ends)} must be two numbers that rise")


@dataclass(frozen=True)
class Side:
    """The configurations of one side: `choices` for fields of `base`."""

    name: str
    base: Shape
    choices: Mapping[str, tuple[Choice, ...]]

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        return tuple(len(values) for values in self.choices.values())

    @property
    def count(self) -> int:
        """How many configurations there are, exactly."""
        return math.prod(self.sizes)

    def columns(self, numbers: NDArray[np.int64]) -> dict[str, Column]:
        """All fields of the configurations `numbers` `[N]`: arrays `[N]` of those that are
        searched, the base's values of the others."""
        places = np.unravel_index(numbers, self.sizes)
        searched = {
            name: np.array(values)[place]
            for (name, values), place in zip(self.choices.items(), places, strict=True)
        }
        return self.base.to_dict() | searched

    def shape(self, number: int) -> Shape:
        """One configuration. Raises `IndexError` for a number that there is not."""
        if not 0 <= number < self.count:
            raise IndexError(f"{self.name} has no configuration {number}")
        places = np.unravel_index(number, self.sizes)
        chosen = {
            name: values[int(place)]
            for (name, values), place in zip(self.choices.items(), places, strict=True)
        }
        return replace(self.base, name=f"{self.base.name}-{number}", **chosen)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Space:
    """What a space file says; `recipe` is the lineage that shapes are trained by."""

    base: Shape
    sides: Mapping[str, Side]
    window: Window
    recipe: Path | None

    def side(self, name: str) -> Side:
        try:
            return self.sides[name]
        except KeyError:
            raise ValueError(f"the space has no choices for the {name}") from None


def read_space(path: Path) -> Space:
    """Read a space; `base` and `recipe` are relative to its file. Raises `ValueError` that names
    the file for keys, fields and choices that make no sense, alone or in pairs."""
    with open(path, "rb") as f:
        values: dict[str, Any] = tomllib.load(f)
    unknown = sorted(set(values) - set(KEYS))
    if unknown:
        raise ValueError(f"{path}: unknown key {unknown[0]!r}; known: {', '.join(KEYS)}")
    if "base" not in values:
        raise ValueError(f"{path}: base, the file of a shape, is missing")
    base = _pinned(read_shape(path.parent / values["base"]))
    try:
        window = Window(**{key: tuple(ends) for key, ends in values.get("window", {}).items()})
        sides = {
            name: Side(name, base, _choices(base, values[name])) for name in SIDES if name in values
        }
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
    recipe = path.parent / values["recipe"] if "recipe" in values else None
    return Space(base, sides, window, recipe)


def _pinned(base: Shape) -> Shape:
    """The same shape, whose decoder does not change with the encoder's fields."""
    own = base.of_decoder
    return replace(
        base,
        decoder_expand_8=own.expand_8,
        decoder_expand_16=own.expand_16,
        decoder_block=own.block,
    )


def _choices(base: Shape, values: Mapping[str, Any]) -> dict[str, tuple[Choice, ...]]:
    """The choices of a side. A shape's rules are about one field or two, so that all pairs of
    choices being shapes means that all configurations are."""
    types = {f.name: f.type for f in fields(Shape) if f.name != "name"}
    for name, given in values.items():
        if name not in types:
            raise ValueError(f"unknown field {name!r}; known: {', '.join(types)}")
        if not isinstance(given, list) or not given:
            raise ValueError(f"{name} needs a list of choices")
        if len(set(given)) < len(given):
            raise ValueError(f"{name} = {given} names a choice twice")
        wrong = [value for value in given if type(value).__name__ != types[name]]
        if wrong:
            raise ValueError(f"{name}: {wrong[0]!r} should be of type {types[name]}")
    for one, two in itertools.combinations_with_replacement(values, 2):
        for first, second in itertools.product(values[one], values[two]):
            replace(base, **{one: first, two: second})
    return {name: tuple(given) for name, given in values.items()}
