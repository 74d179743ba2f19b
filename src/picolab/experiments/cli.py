"""`picolab compare`, `picolab judge` and `picolab index`."""

from __future__ import annotations

import argparse
from pathlib import Path

from picolab.arguments import numbers


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Register the commands; `args.run(args)` returns the exit code."""
    _add_compare(commands)
    _add_judge(commands)
    _add_index(commands)


def _add_judge(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "judge",
        help="fit what the encoder chooses by, to LPIPS, DISTS and squared errors",
        description="Prints how far the encoder's choices are from the best ones.",
    )
    parser.add_argument("tiles", type=Path, help="a folder of `picolab data build`")
    parser.add_argument("trials", type=Path, help="a JSON file that keeps what was measured")
    parser.add_argument("-o", "--output", type=Path, help="the module to write")
    parser.add_argument("--natural", type=int, default=24, help="crops (%(default)s)")
    parser.add_argument("--text", type=int, default=30, help="crops (%(default)s)")
    parser.add_argument("--graphics", type=int, default=30, help="crops (%(default)s)")
    parser.set_defaults(run=_judge)


def _judge(args: argparse.Namespace) -> int:
    from picolab.experiments.fitting import fit

    counts = {name: getattr(args, name) for name in ("natural", "text", "graphics")}
    module = fit(args.tiles, args.trials, counts)
    if args.output:
        args.output.write_text(module)
    else:
        print(module)
    return 0


def _add_compare(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "compare",
        help="checkpoints on held-out tiles at the same bits, by metrics that training sees or not",
    )
    parser.add_argument("tiles", type=Path, help="a folder of `picolab data build`")
    parser.add_argument("checkpoints", nargs="+", type=Path, help="folders")
    parser.add_argument("--levels", type=numbers, default=[0.3, 0.55, 0.8], help="(0.3,0.55,0.8)")
    parser.add_argument("--bits", type=numbers, default=[0.12, 0.3], help="a pixel (0.12,0.3)")
    parser.add_argument("--realism", type=float, default=1.0, help="(%(default)s)")
    parser.add_argument("--photos", type=int, default=24, help="how many tiles (%(default)s)")
    parser.add_argument("--text", type=int, default=6, help="how many tiles (%(default)s)")
    parser.add_argument("--sheet", type=Path, help="a PNG to write: tiles as they are decoded")
    parser.add_argument("--threads", type=int, default=0, help="0: PyTorch's choice (default)")
    parser.set_defaults(run=_compare)


def _add_index(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "index",
        help="write the index of experiments",
        description="FOLDER has NNNN-NAME.md, each with a title '# NNNN: what' and a first "
        "paragraph; its README.md becomes a table of them.",
    )
    parser.add_argument("folder", type=Path, help="docs/experiments")
    parser.set_defaults(run=_index)


def _compare(args: argparse.Namespace) -> int:
    import torch

    from picolab.data.crops import TileFile
    from picolab.evaluation.metrics import Missing
    from picolab.evaluation.metrics.distribution import Lite0
    from picolab.experiments.compare import choose_tiles, contact_sheet, measure, table
    from picolab.release.release import read_trained
    from picolab.training.machine import training_type

    if args.threads:
        torch.set_num_threads(args.threads)
    tiles = choose_tiles(TileFile(args.tiles, held_out=True), args.photos, args.text)
    dtype = training_type(torch.device("cpu"))
    codecs = {str(path): read_trained(path).codec.eval() for path in args.checkpoints}
    if args.sheet:
        middle = args.levels[len(args.levels) // 2]
        contact_sheet(codecs, tiles.photos[::3], middle, args.realism, dtype, args.sheet)
    try:
        features = Lite0()
        curves = [
            measure(codec, tiles, args.levels, args.realism, dtype, features)
            for codec in codecs.values()
        ]
    except Missing as reason:
        raise ValueError(f"compare needs all its metrics: {reason}") from reason
    print(f"{len(tiles.photos)} photos, {len(tiles.text)} with text, realism {args.realism:g}")
    print(table(list(codecs), curves, args.bits))
    return 0


def _index(args: argparse.Namespace) -> int:
    from picolab.experiments.index import write_index

    print(write_index(args.folder))
    return 0
