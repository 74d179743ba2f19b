"""Plots of studies, PNG and SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from picolab.evaluation.plots import MARKERS
from picolab.study.ratings import Rating


def draw_elo(found: Sequence[Rating], folder: Path) -> None:
    """`elo.png` and `elo.svg`: Elo against bits per pixel, with intervals; where rates are not
    known, against the codec's own number."""
    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.add_subplot()
    known = all(rating.bpp > 0 for rating in found)
    for number, codec in enumerate(dict.fromkeys(r.condition.codec for r in found)):
        own = sorted(
            (r for r in found if r.condition.codec == codec),
            key=lambda r: r.bpp if known else r.condition.rate,
        )
        axes.errorbar(
            [r.bpp if known else r.condition.rate for r in own],
            [r.elo for r in own],
            yerr=np.abs([[r.elo - r.interval[0], r.interval[1] - r.elo] for r in own]).T,
            label=codec,
            color=f"C{number % 10}",
            marker=MARKERS[number % len(MARKERS)],
            markersize=4,
            linewidth=1.4,
            elinewidth=0.9,
            capsize=3,
        )
    if known:
        _logarithmic(axes)
    axes.set_xlabel("bits per pixel (whole files, mean)" if known else "the codec's own rate")
    axes.set_ylabel("Elo, with 95 % intervals (higher is better)")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)
    save(figure, folder, "elo")


def save(figure: Figure, folder: Path, name: str) -> None:
    """The same numbers give the same files."""
    figure.savefig(folder / f"{name}.png", dpi=120)
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


def _logarithmic(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
