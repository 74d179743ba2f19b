"""`picolab release`: a checkpoint to a model for picocodec."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "release",
        help="a checkpoint of a lineage to a model for picocodec",
        description="Writes FOLDER/NAME.vN and checks it against PyTorch. To try it: "
        "PICOCODEC_MODELS=FOLDER picoenc --model NAME.vN photo.jpg",
    )
    parser.add_argument("checkpoint", type=Path, help="folder of a checkpoint")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of models")
    parser.add_argument("--version", type=int, required=True, help="the N of NAME.vN")
    parser.add_argument("--name", help="default: that of the lineage")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from picolab.release.release import read_trained, release

    trained = read_trained(args.checkpoint)
    name = args.name or trained.notes["lineage"]
    print(release(trained, args.output, name, args.version))
    return 0
