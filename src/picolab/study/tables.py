"""The document about simulated raters, made of the CSV files that `experiments` wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from picolab.evaluation.plots import MARKERS
from picolab.study.experiments import CROWDS, HOWS, Coverage, Width, read_rows
from picolab.study.plots import save

INTRODUCTION = """\
Raters have discriminations (a standard deviation of 0.3 in the logarithm), widths of ties, and
lapses of 3 % on average, each their own; qualities rise with the logarithm of the rate, and
pictures deviate by 0.4 logits (70 Elo). Studies of the first table have 3 codecs at 4 rates, 8
pictures, 30 raters of 40 votes on random pairs, and 5 traps for each; "with cheats" a tenth of
the raters presses anything. What is asked of an interval is the true Elo of a codec at a rate, of
the study's own pictures or of all pictures like these, or the true BD-rate. The studies of the
last tables have 4 codecs at 5 rates and 10 pictures; a fifth of the chosen pairs is random, too."""
TARGETS = (100, 70, 50, 35)  # half widths in Elo
NAMES = {
    "random": "random pairs",
    "spread": "chosen, `spread`",
    "information": "chosen, `information`",
}


def write(folder: Path, output: Path) -> None:
    """Write the Markdown document of `coverage.csv`, `width.csv` and, where there is one,
    `nuts.csv` of a folder, and the plot `width.svg` beside them."""
    coverage = read_rows(folder / "coverage.csv", Coverage)
    width = read_rows(folder / "width.csv", Width)
    nuts = folder / "nuts.csv"
    parts = [
        "# Simulated raters",
        f"Made by `picolab study simulate tables {folder.as_posix()} -o {output.as_posix()}`, of "
        "what `picolab study simulate coverage` and `width` wrote there.",
        INTRODUCTION,
        "## Do 95 % intervals hold the truth in 95 % of studies?",
        _coverage_table(coverage),
    ]
    if nuts.is_file():
        parts += ["## Is the quick approximation good enough?"]
        parts += [_methods_table(read_rows(nuts, Coverage), coverage)]
    plot(width, folder)
    parts += [
        "## How wide are intervals after so many comparisons, and what does choosing save?",
        f"![Half width of the intervals against comparisons]({folder.name}/width.svg)",
        _width_table(width),
        _needed_table(width),
    ]
    output.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def plot(rows: Sequence[Width], folder: Path) -> None:
    """`width.png` and `width.svg`: mean half width and error against comparisons."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    for number, (name, title) in enumerate(
        (("half_width", "half width of the 95 % intervals"), ("error", "root mean squared error"))
    ):
        axes = figure.add_subplot(1, 2, number + 1)
        for place, how in enumerate(HOWS):
            sizes, means = _curve(rows, how, name)
            label = NAMES[how].replace("`", "")
            axes.plot(sizes, means, label=label, marker=MARKERS[place], markersize=4, linewidth=1.4)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks([400, 800, 1600, 3200, 6400], labels=["400", "800", "1600", "3200", "6400"])
        axes.set_yticks([20, 30, 50, 70, 100, 150], labels=["20", "30", "50", "70", "100", "150"])
        axes.minorticks_off()
        axes.set_xlabel("comparisons")
        axes.set_ylabel(f"{title}, Elo")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    save(figure, folder, "width")


def _coverage_table(rows: Sequence[Coverage]) -> str:
    lines = [
        "| raters | studies | these pictures | pictures like these | BD-rates | half width, Elo | "
        "error, Elo | cheats left out | honest left out |",
        "| --- | ---: | --- | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for crowd in CROWDS:
        own = [row for row in rows if row.crowd == crowd]
        shares = [_share([getattr(r, name) for r in own]) for name in ("covered", "covered_alike")]
        rated = [r.rates_covered / r.rates for r in own if r.rates]
        cheats, out = sum(r.cheats for r in own), sum(r.cheats_left_out for r in own)
        honest = 30 * len(own) - cheats
        lines.append(
            f"| {crowd} | {len(own)} | {shares[0]} | {shares[1]} | {_share(rated)} | "
            f"{np.mean([r.half_width for r in own]):.0f} | {np.mean([r.error for r in own]):.0f} | "
            + (f"{out} of {cheats}" if cheats else "none there")
            + f" | {sum(r.honest_left_out for r in own)} of {honest} |"
        )
    return "\n".join(lines) + "\n\nMeans over studies with their standard errors."


def _methods_table(nuts: Sequence[Coverage], quick: Sequence[Coverage]) -> str:
    same = {(r.seed, r.crowd): r for r in quick}
    pairs = [(r, same[r.seed, r.crowd]) for r in nuts if (r.seed, r.crowd) in same]
    lines = [
        f"The same {len(pairs)} studies by full sampling (NUTS) and by Laplace's approximation.",
        "",
        "| | NUTS | Laplace |",
        "| --- | ---: | ---: |",
    ]
    for name, title, digits in (
        ("half_width", "half width, these pictures, Elo", 1),
        ("half_width_alike", "half width, pictures like these, Elo", 1),
        ("error", "root mean squared error, Elo", 1),
        ("covered", "intervals that hold the truth", 3),
    ):
        means = [np.mean([getattr(pair[side], name) for pair in pairs]) for side in (0, 1)]
        lines.append(f"| {title} | {means[0]:.{digits}f} | {means[1]:.{digits}f} |")
    worst = max(r.rhat for r in nuts)
    least = min(r.effective for r in nuts)
    lines += ["", f"Worst R-hat {worst:.3f}, least effective sample size {least:.0f}."]
    return "\n".join(lines)


def _width_table(rows: Sequence[Width]) -> str:
    sizes = sorted({row.votes for row in rows})
    lines = [
        "| comparisons | " + " | ".join(NAMES[how] for how in HOWS) + " |",
        "| ---: |" + " --- |" * len(HOWS),
    ]
    for size in sizes:
        cells = []
        for how in HOWS:
            own = [r for r in rows if r.votes == size and r.how == how]
            cells.append(
                f"±{np.mean([r.half_width for r in own]):.0f}, off by "
                f"{np.mean([r.error for r in own]):.0f}, {np.mean([r.covered for r in own]):.1%}"
                if own
                else ""
            )
        lines.append(f"| {size} | " + " | ".join(cells) + " |")
    studies = len({row.seed for row in rows})
    return "\n".join(lines) + (
        f"\n\nMeans over {studies} studies of 20 conditions and 10 pictures: half width of the "
        "95 % intervals and root mean squared error in Elo, and how many intervals hold the truth."
    )


def _needed_table(rows: Sequence[Width]) -> str:
    lines = [
        "| comparisons for | " + " | ".join(NAMES[how] for how in HOWS) + " |",
        "| --- |" + " ---: |" * len(HOWS),
    ]
    for name, sign in (("half_width", "±"), ("error", "error ")):
        for target in TARGETS:
            counts = [needed(*_curve(rows, how, name), target) for how in HOWS]
            cells = [f"{count:.0f}" if np.isfinite(count) else "-" for count in counts]
            lines.append(f"| {sign}{target} Elo | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n\nOn straight lines between the points of the plot, none beyond."


def needed(sizes: Sequence[float], values: Sequence[float], target: float) -> float:
    """At how many comparisons a falling curve reaches `target`, linear in the logarithms; nan where
    it lies outside."""
    logs = np.log(np.array(values))[::-1]
    if not logs[0] <= np.log(target) <= logs[-1]:
        return float("nan")
    return float(np.exp(np.interp(np.log(target), logs, np.log(np.array(sizes))[::-1])))


def _curve(rows: Sequence[Width], how: str, name: str) -> tuple[list[int], list[float]]:
    sizes = sorted({row.votes for row in rows if row.how == how})
    means = [
        float(np.mean([getattr(r, name) for r in rows if r.how == how and r.votes == size]))
        for size in sizes
    ]
    return sizes, means


def _share(values: Sequence[float]) -> str:
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.1%} ± {error:.1%}"
