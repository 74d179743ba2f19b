"""`picolab curve`: quality against pixels seen, of one run or several, as a plot."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("curve", help="plot quality against pixels seen in training")
    parser.add_argument("curves", nargs="+", type=Path, help="curve.csv of runs; cooldowns, too")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a .svg or .png file")
    parser.set_defaults(run=run, extra="eval")


def read_curve(path: Path) -> list[dict[str, float]]:
    """The lines of a run's curve; `ValueError` names a file that is none."""
    with open(path, newline="") as f:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(f)]
    if not rows or "score" not in rows[0]:
        raise ValueError(f"{path}: no curve; training writes one beside its checkpoint")
    return rows


def run(args: argparse.Namespace) -> int:
    import matplotlib
    from matplotlib.figure import Figure

    from picolab.training.validate import FIXED_BITS

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for number, path in enumerate(args.curves):
        rows = read_curve(path)
        pixels = [row["pixels"] for row in rows]
        for shade, bits in enumerate(FIXED_BITS):
            axes.plot(
                pixels,
                [row[f"psnr_at_{bits}"] for row in rows],
                color=f"C{shade}",
                marker="os^D"[number % 4],
                label=f"{path.parent.name or path.stem}, {bits} bits per pixel",
            )
    axes.set_xscale("log")
    axes.set_xlabel("pixels seen in training")
    axes.set_ylabel("PSNR of held-out photos, dB")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)
    # Without these two the same numbers would give another file each time.
    with matplotlib.rc_context({"svg.hashsalt": "curve", "svg.fonttype": "none"}):
        svg = args.output.suffix == ".svg"
        figure.savefig(args.output, metadata={"Date": None} if svg else None)
    print(args.output)
    return 0
