"""`picolab release`, and `export` and `import` of generation 1: checkpoints and models."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Register the commands; `args.run(args)` returns the exit code."""
    _add_release(commands)
    _add_export(commands)
    _add_import(commands)


def _add_release(commands: argparse._SubParsersAction) -> None:
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


def _add_export(commands: argparse._SubParsersAction) -> None:
    export = commands.add_parser("export", help="checkpoint to a model for picocodec")
    export.add_argument("checkpoint", type=Path, help="folder of a checkpoint")
    export.add_argument("config", type=Path, help="TOML configuration it was trained with")
    export.add_argument("-o", "--output", type=Path, required=True, help="folder of models")
    export.add_argument("--version", type=int, required=True, help="the N of name.vN")
    export.add_argument("--name", help="default: that of the configuration")
    export.add_argument(
        "--realism", type=float, default=0.0, help="what its decoder does unless told (default: 0)"
    )
    export.add_argument(
        "--texture", type=float, default=1.0, help="factor of all that realism adds (default: 1)"
    )
    export.add_argument(
        "--preview",
        type=Path,
        metavar="FOLDER",
        help="fit a preview, which makes reduced pictures faster, to the pictures in here",
    )
    export.set_defaults(run=_export)


def _add_import(commands: argparse._SubParsersAction) -> None:
    take_up = commands.add_parser(
        "import",
        help="released model to a checkpoint, to train it further",
        description="A recipe whose init is this checkpoint begins with the model's weights.",
    )
    take_up.add_argument("model", type=Path, help="folder of the model, name.vN")
    take_up.add_argument("config", type=Path, help="TOML configuration it was trained with")
    take_up.add_argument("-o", "--output", type=Path, required=True, help="folder of checkpoint")
    take_up.set_defaults(run=_import)


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


def _export(args: argparse.Namespace) -> int:
    from picolab.data.images import load_tiles
    from picolab.export import export_model
    from picolab.networks.codec import Codec
    from picolab.networks.config import read_config
    from picolab.training.checkpoint import load_checkpoint, without_prefix

    config = read_config(args.config)
    tensors, values = load_checkpoint(args.checkpoint)
    codec = Codec(config)
    codec.load_state_dict(without_prefix("ema", tensors))
    if codec.synthesis.texture is not None:
        codec.synthesis.texture.amplify(args.texture)
    if values["slopes"] != codec.slopes:
        raise ValueError(
            f"{args.checkpoint} was trained between the lambdas {values['slopes']}, not those of "
            f"{args.config}, {codec.slopes}: give the configuration that it was trained with"
        )
    notes = {"recipe": values["recipe"], "step": str(values["step"]), "licence": "Apache-2.0"}
    name = args.name or config.name
    tiles = load_tiles([args.preview]) if args.preview else None
    print(export_model(codec, args.output, name, args.version, notes, args.realism, tiles))
    return 0


def _import(args: argparse.Namespace) -> int:
    from picolab.networks.codec import Codec
    from picolab.networks.config import read_config
    from picolab.released import read_released
    from picolab.training.checkpoint import save_checkpoint, with_prefix

    codec = Codec(read_config(args.config))
    values = read_released(args.model, codec)
    if args.output.exists():
        raise ValueError(f"{args.output} is there already; choose another folder")
    save_checkpoint(args.output, with_prefix("ema", codec.state_dict()), values)
    print(args.output)
    return 0
