"""picolab: the workbench's commands."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from picocodec.cli.corpus import DESCRIPTION, add_options, convert_all
from picocodec.errors import PicoError
from picolab.data.cli import add_parser as add_data
from picolab.evaluation.cli import add_parser as add_evaluation
from picolab.release.command import add_parser as add_release
from picolab.study.cli import add_parser as add_study
from picolab.training.command import add_parser as add_training
from picolab.training.curve import add_parser as add_curve

if TYPE_CHECKING:
    from picolab.training.loop import Options


# What to install for a command; for others the workbench, `lab`.
EXTRAS = {"evaluate": "eval", "report": "eval", "encode": "eval", "curve": "eval"}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="picolab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    prepare = commands.add_parser("prepare", help="find the text in training pictures, once")
    prepare.add_argument("data", nargs="+", type=Path, help="folders of images or of tars of them")
    prepare.add_argument("-o", "--output", type=Path, required=True, help="a tar of masks")
    prepare.set_defaults(run=_prepare)

    add_data(commands)

    cut = commands.add_parser("cut", help="training tiles out of photos, at their full size")
    cut.add_argument("photos", nargs="+", type=Path)
    cut.add_argument("-o", "--output", type=Path, required=True, help="folder")
    cut.add_argument("--most", type=int, default=10, help="tiles of each photo (%(default)s)")
    cut.set_defaults(run=_cut)

    add_training(commands)
    add_curve(commands)
    add_release(commands)

    ablate = commands.add_parser(
        "ablate",
        help="train variants of a configuration, and tell what its parts are worth",
        description="Prints a table of BD-rates against the full model, and keeps it with all "
        "figures in the folder of -o. Started again with the same -o, it goes on where it was.",
    )
    ablate.add_argument("config", type=Path, help="TOML configuration of the full model")
    ablate.add_argument("--steps", type=int, required=True, help="of each run")
    ablate.add_argument("--batch", type=int, required=True, help="crops in a step")
    ablate.add_argument("--crop", type=int, required=True, help="side of a crop in pixels")
    ablate.add_argument("--variants", type=_names, help="comma-separated (all)")
    ablate.add_argument("--seeds", type=int, default=1, help="runs of each variant (%(default)s)")
    ablate.add_argument(
        "--full-seeds",
        type=int,
        default=2,
        help="runs of the full model, which tell how much is chance (%(default)s)",
    )
    ablate.add_argument(
        "--data",
        nargs="+",
        default=["$PICOLAB_TRAIN"],
        help="folders of training pictures (%(default)s)",
    )
    ablate.add_argument("-o", "--output", type=Path, default=Path("runs/ablation"), help="folder")
    _add_options(ablate)
    ablate.set_defaults(run=_ablate)

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

    compare = commands.add_parser(
        "compare",
        help="checkpoints on held-out training pictures, by level and at the same bits",
    )
    compare.add_argument("config", type=Path, help="TOML configuration they were trained with")
    compare.add_argument("checkpoints", nargs="+", type=Path, help="folders")
    compare.add_argument(
        "--levels", type=_numbers, default=[0, 0.1, 0.3, 0.5], help="(0,0.1,0.3,0.5)"
    )
    compare.add_argument("--realism", type=float, default=1.0, help="(%(default)s)")
    compare.add_argument("--tiles", type=int, default=12, help="how many (%(default)s)")
    compare.add_argument(
        "--kid", action="store_true", help="KID of patches, too: of all tiles (--tiles 40), not few"
    )
    compare.add_argument("--data", nargs="+", default=["$PICOLAB_TRAIN"], help="(%(default)s)")
    compare.add_argument(
        "--unseen", action="store_true", help="all of the data, since nothing of it is trained on"
    )
    compare.add_argument("--bf16", action="store_true", help="convolutions in bfloat16")
    compare.add_argument("--threads", type=int, default=0, help="0: PyTorch's choice (default)")
    compare.set_defaults(run=_compare)

    take_up = commands.add_parser(
        "import",
        help="released model to a checkpoint, to train it further",
        description="A recipe whose init is this checkpoint begins with the model's weights.",
    )
    take_up.add_argument("model", type=Path, help="folder of the model, name.vN")
    take_up.add_argument("config", type=Path, help="TOML configuration it was trained with")
    take_up.add_argument("-o", "--output", type=Path, required=True, help="folder of checkpoint")
    take_up.set_defaults(run=_import)

    model = commands.add_parser("model", help="about model configurations")
    model_commands = model.add_subparsers(dest="subcommand", required=True)
    info = model_commands.add_parser("info", help="parameters and MACs per pixel")
    info.add_argument("config", type=Path)
    info.set_defaults(run=_model_info)

    add_evaluation(commands)
    add_study(commands)

    encode = commands.add_parser(
        "encode",
        help="the smallest file that is as good as asked for",
        description="Encodes, decodes and measures at up to 8 qualities, and writes the smallest "
        "file found that is as good as asked for or better; none, and an error, where quality 100 "
        "is not.",
    )
    encode.add_argument("input", type=Path, metavar="IN", help="a picture")
    encode.add_argument("output", type=Path, metavar="OUT", help="the .pico file")
    encode.add_argument(
        "--target-metric",
        type=_target,
        required=True,
        metavar="NAME=VALUE",
        help="such as lpips=0.05 or ssimulacra2=80; names are those of picolab evaluate --metrics",
    )
    encode.add_argument("--model", help="an installed one, as name.vN")
    encode.add_argument("--threads", type=int, default=0, help="0: all cores (default)")
    encode.set_defaults(run=_encode)

    corpus = commands.add_parser("corpus", help="as picocorpus", description=DESCRIPTION)
    add_options(corpus)
    corpus.set_defaults(run=convert_all)

    args = parser.parse_args(argv)
    try:
        return args.run(args)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(args.command, "lab")
        print(f"picolab: {error}: pip install 'picocodec[{extra}]'", file=sys.stderr)
        return 1
    except (ValueError, OSError, PicoError) as error:
        print(f"picolab: {error}", file=sys.stderr)
        return 1


def _cut(args: argparse.Namespace) -> int:
    from picolab.data.cut import cut_photos

    print(f"{args.output}: {cut_photos(args.photos, args.output, args.most)} tiles")
    return 0


def _prepare(args: argparse.Namespace) -> int:
    from picolab.data.images import write_masks
    from picolab.data.text import TextDetector

    found = write_masks(args.data, args.output, TextDetector())
    print(f"{args.output}: text in {found} pictures")
    return 0


def _add_options(parser: argparse.ArgumentParser) -> None:
    """How to train on this machine."""
    parser.add_argument("--device", help="cpu, cuda (default: cuda where there is one)")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--bf16", action="store_true", help="convolutions in bfloat16")
    parser.add_argument("--compile", action="store_true", help="torch.compile the codec")
    parser.add_argument("--dry-run", action="store_true", help="a few steps of each phase")


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
    from picolab.ablation import VARIANTS, Plan, ablate
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


def _compare(args: argparse.Namespace) -> int:
    import torch

    from picolab.compare import choose_tiles, comparison, measure, read_codec
    from picolab.data.images import load_tiles
    from picolab.evaluation.metrics import Missing
    from picolab.evaluation.metrics.distribution import Lite0
    from picolab.networks.config import read_config
    from picolab.training.recipe import expand_source

    if args.threads:
        torch.set_num_threads(args.threads)
    config = read_config(args.config)
    folders = [expand_source(source, "--data") for source in args.data]
    tiles = choose_tiles(load_tiles(folders, None if args.unseen else True), args.tiles)
    try:
        features = Lite0() if args.kid else None
    except Missing as reason:
        raise ValueError(f"--kid: {reason}") from reason
    curves = [
        measure(read_codec(path, config), tiles, args.levels, args.realism, args.bf16, features)
        for path in args.checkpoints
    ]
    kind = "unseen" if args.unseen else "held-out"
    print(f"{len(tiles)} {kind} tiles, realism {args.realism:g}, ", end="")
    print(comparison([str(path) for path in args.checkpoints], curves, args.levels))
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


def _model_info(args: argparse.Namespace) -> int:
    from picolab.networks.cost import cost_table

    print(cost_table(args.config))
    return 0


def _encode(args: argparse.Namespace) -> int:
    from picocodec.encoding.rate import quality_of_level
    from picolab.evaluation.metrics import Missing
    from picolab.target import encode_to_metric

    name, target = args.target_metric
    try:
        found, passes = encode_to_metric(args.input, name, target, args.model, args.threads)
    except Missing as reason:
        raise ValueError(f"{name}: {reason}") from reason
    args.output.write_bytes(found.data)
    quality = quality_of_level(found.level)
    print(
        f"{args.input} -> {args.output}  {len(found.data)} bytes  quality {quality:g}  "
        f"{name} {found.value:.4g}  {passes} passes"
    )
    return 0


def _target(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE, as lpips=0.05") from None


def _numbers(text: str) -> list[float]:
    return [float(number) for number in text.split(",")]


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


if __name__ == "__main__":
    sys.exit(main())
