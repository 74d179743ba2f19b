"""picolab: the workbench's commands."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from picolab.evaluation.cli import add_parser as add_evaluation


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="picolab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    prepare = commands.add_parser("prepare", help="find the text in training pictures, once")
    prepare.add_argument("data", nargs="+", type=Path, help="folders of images or of tars of them")
    prepare.add_argument("-o", "--output", type=Path, required=True, help="a tar of masks")
    prepare.set_defaults(run=_prepare)

    train = commands.add_parser("train", help="run or resume a training recipe")
    train.add_argument("recipe", type=Path)
    train.add_argument("-o", "--output", type=Path, help="folder of the run (runs/NAME)")
    train.add_argument("--device", help="cpu, cuda (default: cuda where there is one)")
    train.add_argument("--threads", type=int, help="CPU threads")
    train.add_argument("--bf16", action="store_true", help="convolutions in bfloat16")
    train.add_argument("--compile", action="store_true", help="torch.compile the codec")
    train.add_argument("--max-minutes", type=float, default=float("inf"))
    train.add_argument("--dry-run", action="store_true", help="a few steps of each phase")
    train.set_defaults(run=_train)

    export = commands.add_parser("export", help="checkpoint to a model for picocodec")
    export.add_argument("checkpoint", type=Path, help="folder of a checkpoint")
    export.add_argument("config", type=Path, help="TOML configuration it was trained with")
    export.add_argument("-o", "--output", type=Path, required=True, help="folder of models")
    export.add_argument("--version", type=int, required=True, help="the N of name.vN")
    export.set_defaults(run=_export)

    model = commands.add_parser("model", help="about model configurations")
    model_commands = model.add_subparsers(dest="subcommand", required=True)
    info = model_commands.add_parser("info", help="parameters and MACs per pixel")
    info.add_argument("config", type=Path)
    info.set_defaults(run=_model_info)

    add_evaluation(commands)

    args = parser.parse_args(argv)
    try:
        return args.run(args)
    except (ValueError, OSError) as error:
        print(f"picolab: {error}", file=sys.stderr)
        return 1


def _prepare(args: argparse.Namespace) -> int:
    from picolab.data.images import write_masks
    from picolab.data.text import TextDetector

    found = write_masks(args.data, args.output, TextDetector())
    print(f"{args.output}: text in {found} pictures")
    return 0


def _train(args: argparse.Namespace) -> int:
    from picolab.training.loop import Options, run_recipe
    from picolab.training.recipe import read_recipe

    # Processors multiply denormal numbers a hundred times slower, and optimisers are full of them.
    # Threads inherit this setting when they are made, so it comes before any.
    torch.set_flush_denormal(True)
    recipe = read_recipe(args.recipe)
    device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if args.threads:
        torch.set_num_threads(args.threads)
    options = Options(
        folder=args.output or Path("runs") / recipe.name,
        device=device,
        bf16=args.bf16 or device.type == "cuda",
        compile=args.compile,
        dry_run=args.dry_run,
        max_minutes=args.max_minutes,
    )
    run_recipe(recipe, options)
    return 0


def _export(args: argparse.Namespace) -> int:
    from picolab.export import export_model
    from picolab.networks.codec import Codec
    from picolab.networks.config import read_config
    from picolab.training.checkpoint import load_checkpoint, without_prefix

    config = read_config(args.config)
    tensors, values = load_checkpoint(args.checkpoint)
    codec = Codec(config)
    codec.load_state_dict(without_prefix("ema", tensors))
    notes = {"recipe": values["recipe"], "step": str(values["step"]), "licence": "Apache-2.0"}
    print(export_model(codec, args.output, config.name, args.version, notes))
    return 0


def _model_info(args: argparse.Namespace) -> int:
    from picolab.networks.config import read_config
    from picolab.networks.cost import cost_table

    print(cost_table(read_config(args.config)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
