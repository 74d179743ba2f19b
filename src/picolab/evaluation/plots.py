"""Rate-distortion plots of a run, PNG and SVG."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from picolab.evaluation.results import Run

MARKERS = "osD^vP*Xp<>h"


def draw(run: Run) -> list[Path]:
    """One plot a metric into `plots/` of the run's folder; returns the SVG files.

    Points are means over the pictures at one setting of the codec, bars their standard errors.
    """
    folder = run.folder / "plots"
    folder.mkdir(exist_ok=True)
    files = []
    for metric in [*run.metrics, *run.set_metrics]:
        figure = _plot(run, metric)
        if figure is None:
            continue
        figure.savefig(folder / f"{metric}.png", dpi=120)
        files.append(_save_svg(figure, metric, folder / f"{metric}.svg"))
    return files


def write_svg(run: Run, metric: str, file: Path) -> Path:
    """The plot of one metric alone. Raises `ValueError` where the run has no number of it."""
    figure = _plot(run, metric)
    if figure is None:
        raise ValueError(f"{run.folder}: nothing to plot of {metric}")
    return _save_svg(figure, metric, file)


def _save_svg(figure: Figure, metric: str, file: Path) -> Path:
    # Without these two the same numbers would give another file each time.
    with matplotlib.rc_context({"svg.hashsalt": metric, "svg.fonttype": "none"}):
        figure.savefig(file, metadata={"Date": None})
    return file


def _plot(run: Run, metric: str) -> Figure | None:
    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.add_subplot()
    for number, codec in enumerate(run.codecs):
        points = [
            (float(r["bpp"]), float(r[metric]), float(r.get(metric + "_se") or 0))
            for r in run.summary
            if r["codec"] == codec and r[metric] and math.isfinite(float(r[metric]))
        ]
        if not points:
            continue
        bpp, values, errors = zip(*points, strict=True)
        axes.errorbar(
            bpp,
            values,
            yerr=errors if any(errors) else None,
            label=codec,
            color=f"C{number % 10}",
            marker=MARKERS[number % len(MARKERS)],
            markersize=4,
            linewidth=2.4 if codec == run.subject else 1.1,
            linestyle="-" if number < 10 else "--",
            elinewidth=0.6,
            capsize=2,
        )
    if not axes.has_data():
        return None
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("bits per pixel (whole files)")
    better = "higher" if run.higher_is_better(metric) else "lower"
    axes.set_ylabel(f"{run.title(metric)} ({better} is better)")
    if not run.higher_is_better(metric):
        axes.invert_yaxis()
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)
    return figure
