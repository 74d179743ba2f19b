"""`picolab release`: the weights of a run to a model."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Register the command; `args.run(args)` returns the exit code."""
    parser = commands.add_parser(
        "release",
        help="the weights of a run to a model for picocodec",
        description="Writes FOLDER/NAME.vN and checks it against PyTorch. To try it: "
        "PICOCODEC_MODELS=FOLDER picoenc --model NAME.vN photo.jpg",
    )
    parser.add_argument(
        "trained", type=Path, help="a checkpoint's folder, or a file of `picolab keep`"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of models")
    parser.add_argument("--version", type=int, required=True, help="the N of NAME.vN")
    parser.add_argument("--name", help="default: that of the lineage")
    parser.add_argument(
        "--realism",
        type=float,
        metavar="R",
        help="with the dial; R, 0 to 1, is what its decoder does unless told "
        "(without: the closest pixels alone)",
    )
    parser.add_argument(
        "--preview",
        type=Path,
        metavar="TILES",
        help="fit a preview, which makes reduced pictures faster, to the training tiles of this "
        "folder (`picolab data build`)",
    )
    parser.set_defaults(run=_release)


def _release(args: argparse.Namespace) -> int:
    from picocodec.api import checked_realism
    from picolab.data.crops import TileFile
    from picolab.release.release import read_trained, release

    realism = None if args.realism is None else checked_realism(args.realism)
    trained = read_trained(args.trained)
    name = args.name or trained.notes["lineage"]
    tiles = TileFile(args.preview, held_out=False) if args.preview else None
    print(release(trained, args.output, name, args.version, realism, tiles))
    return 0
