"""`picolab ablate`, `picolab compare`, `picolab judge` and `picolab index`."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from picolab.arguments import names, numbers

if TYPE_CHECKING:
    from picolab.training.loop import Options


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Register the commands; `args.run(args)` returns the exit code."""
    _add_ablate(commands)
    _add_compare(commands)
    _add_judge(commands)
    _add_index(commands)


def _add_ablate(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "ablate",
        help="train variants of a configuration, and tell what its parts are worth",
        description="Prints a table of BD-rates against the full model, and keeps it with all "
        "figures in the folder of -o. Started again with the same -o, it goes on where it was.",
    )
    parser.add_argument("config", type=Path, help="TOML configuration of the full model")
    parser.add_argument("--steps", type=int, required=True, help="of each run")
    parser.add_argument("--batch", type=int, required=True, help="crops in a step")
    parser.add_argument("--crop", type=int, required=True, help="side of a crop in pixels")
    parser.add_argument("--variants", type=names, help="comma-separated (all)")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each variant (%(default)s)")
    parser.add_argument(
        "--full-seeds",
        type=int,
        default=2,
        help="runs of the full model, which tell how much is chance (%(default)s)",
    )
    parser.add_argument(
        "--data",
        nargs="+",
        default=["$PICOLAB_TRAIN"],
        help="folders of training pictures (%(default)s)",
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/ablation"), help="folder")
    parser.add_argument("--device", help="cpu, cuda (default: cuda where there is one)")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--bf16", action="store_true", help="convolutions in bfloat16")
    parser.add_argument("--compile", action="store_true", help="torch.compile the codec")
    parser.add_argument("--dry-run", action="store_true", help="a few steps of each phase")
    parser.set_defaults(run=_ablate)


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
    parser.add_argument("--text", type=int, default=18, help="crops (%(default)s)")
    parser.add_argument("--graphics", type=int, default=18, help="crops (%(default)s)")
    parser.set_defaults(run=_judge)


def _judge(args: argparse.Namespace) -> int:
    from picolab.experiments.judge import fit

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


def _options(args: argparse.Namespace, folder: Path) -> Options:
    import torch

    from picolab.training.loop import Options

    # Processors multiply denormal numbers a hundred times slower, and optimisers are full of them.
    # Threads inherit this setting when they are made, so it comes before any.
    torch.set_flush_denormal(True)
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return Options(
        folder=folder,
        device=device,
        bf16=args.bf16 or device.type == "cuda",
        compile=args.compile,
        dry_run=args.dry_run,
    )


def _ablate(args: argparse.Namespace) -> int:
    from picolab.experiments.ablation import VARIANTS, Plan, ablate
    from picolab.networks.config import read_config
    from picolab.training.recipe import expand_source

    data = tuple(expand_source(source, "--data") for source in args.data)
    plan = Plan(read_config(args.config), data, args.steps, args.batch, args.crop)
    table = ablate(
        plan,
        args.variants or list(VARIANTS),
        _options(args, args.output),
        shlex.join(["picolab", *sys.argv[1:]]),
        args.seeds,
        args.full_seeds,
    )
    if table is None:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 1
    print(table)
    return 0


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
