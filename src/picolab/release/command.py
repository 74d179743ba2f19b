"""`picolab release`: the weights of a run to a model; `picolab closest`: one more decoder to it."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Register the commands; `args.run(args)` returns the exit code."""
    _add_release(commands)
    _add_closest(commands)


def _add_release(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "release",
        help="the weights of a run to a model for picocodec",
        description="Writes FOLDER/NAME.vN and checks it against PyTorch. To try it: "
        "PICOCODEC_MODELS=FOLDER picoenc --model NAME.vN photo.jpg",
    )
    _add_ends(parser)
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


def _add_closest(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "closest",
        help="a released model and another decoder of the same bits, for realism 0",
        description="Writes FOLDER/NAME.vN: the model's own files, and beside them the decoder of "
        "weights whose encoder was at rest (recipes/photo.closest.toml).",
    )
    parser.add_argument("model", type=Path, help="its name or its folder")
    _add_ends(parser)
    parser.set_defaults(run=_closest)


def _add_ends(parser: argparse.ArgumentParser) -> None:
    """What is released, and as what."""
    parser.add_argument(
        "trained", type=Path, help="a checkpoint's folder, or a file of `picolab keep`"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of models")
    parser.add_argument("--version", type=int, required=True, help="the N of NAME.vN")


def _closest(args: argparse.Namespace) -> int:
    from picolab.release.release import read_trained, with_closest
    from picolab.training.keep import model_folder

    folder = model_folder(args.model)
    if folder is None:
        raise ValueError(f"{args.model}: neither a model's name nor its folder")
    print(with_closest(folder, read_trained(args.trained), args.output, args.version))
    return 0


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
