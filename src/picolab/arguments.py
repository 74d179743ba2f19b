"""Values on command lines that several commands have in common."""

from __future__ import annotations

import argparse


def names(text: str) -> list[str]:
    """`a, b` as it is written on a command line."""
    return [name.strip() for name in text.split(",") if name.strip()]


def numbers(text: str) -> list[float]:
    return [float(number) for number in text.split(",")]


def rates(text: str) -> tuple[str, tuple[float, ...]]:
    """`CODEC=R,R,...`."""
    codec, _, values = text.partition("=")
    try:
        return codec, tuple(float(value) for value in values.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: write it like webp=1,20,60") from None
