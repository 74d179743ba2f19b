"""Values on command lines and in recipes that several commands have in common."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def names(text: str) -> list[str]:
    """`a, b` as it is written on a command line."""
    return [name.strip() for name in text.split(",") if name.strip()]


def numbers(text: str) -> list[float]:
    return [float(number) for number in text.split(",")]


def share(text: str) -> float:
    """A number of 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text}: it must be a number of 0 to 1")
    return number


def rates(text: str) -> tuple[str, tuple[float, ...]]:
    """`CODEC=R,R,...`."""
    codec, _, values = text.partition("=")
    try:
        return codec, tuple(float(value) for value in values.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: write it like webp=1,20,60") from None


def expand_source(source: str, where: str | Path) -> str:
    """A data source with `$NAME` taken from the environment; `where` it is from, for errors."""
    expanded = os.path.expandvars(source)
    if "$" in expanded:
        raise ValueError(f"{where}: data source {source!r} needs that environment variable set")
    return expanded
