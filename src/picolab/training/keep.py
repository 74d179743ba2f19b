"""The weights of a run, or of a released model, as one small file to go on from.

Of a run, its averaged weights in half precision and no optimiser's state: a run that starts from it
is not the same bit for bit, but loses nothing that it learned. Of a model, its weights in single
precision, so that what is released of them is the same model.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from picolab.arguments import share

LIKE = Path("recipes") / "photo.trunk.safetensors"
KEYS = ("lineage", "stage", "shape", "progress")  # of a checkpoint's values


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "keep",
        help="the weights of a run or a model as one file, which a recipe may name as `kept`",
        description="A run's averaged weights, or those of a released model, as one file, which a "
        "recipe of the same lineage and stage may name as `kept`.",
    )
    parser.add_argument(
        "trained", type=Path, help="runs/NAME/STAGE/checkpoint, or a model: its name or its folder"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="a .safetensors file")
    parser.add_argument(
        "--like",
        type=Path,
        metavar="FILE",
        default=LIKE,
        help="what a model does not tell: another file of `picolab keep` of its shape, for its "
        "scales, or only the shape, configs/NAME.toml (default: %(default)s)",
    )
    parser.add_argument(
        "--closest",
        action="store_true",
        help="of a model: with its decoder of the closest pixels, realism 0",
    )
    parser.add_argument(
        "--with",
        dest="other",
        type=Path,
        metavar="FILE",
        help="of `picolab keep`, the same shape: the weights are mixed with those of this file",
    )
    parser.add_argument(
        "--share", type=share, default=0.5, help="of --with, between 0 and 1 (%(default)s)"
    )
    parser.set_defaults(run=_keep)


def _keep(args: argparse.Namespace) -> int:
    folder = model_folder(args.trained)
    if folder:
        from picolab.release.recover import kept_of_model, read_reference

        tensors, values = kept_of_model(folder, read_reference(args.like), args.closest)
    elif args.closest:
        raise ValueError(f"{args.trained}: --closest is of a model, which has two decoders")
    else:
        from picolab.training.checkpoint import load_checkpoint

        tensors, values = load_checkpoint(args.trained)
    kept = weights_of(tensors)
    if args.other:
        kept = mixed(kept, values, args.other, args.share)
    save_kept(args.output, kept, values)
    pixels = values["progress"]["pixels"]
    print(f"{args.output}: {pixels:.4g} pixels, {args.output.stat().st_size / 1e6:.1f} MB")
    return 0


def model_folder(named: Path) -> Path | None:
    """Of a released model, by its folder or its name; None where it is neither."""
    from picocodec.model.files import DESCRIPTION
    from picocodec.model.store import model_folders

    if named.exists():
        return named if (named / DESCRIPTION).is_file() else None
    return model_folders().get(str(named))


def weights_of(tensors: dict[str, Any]) -> dict[str, Any]:
    """The averaged weights in float16, and the lambdas, of what `load_checkpoint` gives; weights
    without an average as they are."""
    kept = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        if part == "model":
            average = tensors.get(f"ema.{rest}")
            kept[name] = tensor if average is None else average.half()
        elif part == "control":
            kept[name] = tensor
    return kept


def mixed(
    kept: dict[str, Any], values: dict[str, Any], other: Path, share: float
) -> dict[str, Any]:
    """Weights between two of one run: where one went on from the other they have much of what both
    are better in. `share` is that of `other`; raises `ValueError` where it has another shape."""
    theirs, told = load_kept(other)
    if told["shape"] != values["shape"]:
        raise ValueError(f"{other}: its shape is not that of what it is mixed with")
    return {
        name: ((1 - share) * tensor.float() + share * theirs[name]).to(tensor.dtype)
        if name.startswith("model.") and tensor.is_floating_point()
        else tensor
        for name, tensor in kept.items()
    }


def save_kept(path: Path, kept: dict[str, Any], values: dict[str, Any]) -> None:
    """Write what `weights_of` gave."""
    from safetensors.torch import save_file

    told = {key: json.dumps(values[key]) for key in KEYS}
    save_file({name: tensor.contiguous() for name, tensor in kept.items()}, path, told)


def load_kept(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tensors, `model.*` and `control.*` in float32, and the values that `save_kept` wrote.
    Raises `ValueError` for a file of another kind."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            told = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path}: it is no file of `picolab keep`: {error}") from error
    if not set(KEYS) <= set(told):
        raise ValueError(f"{path}: it is no file of `picolab keep`")
    as_floats = {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}
    return as_floats, {key: json.loads(told[key]) for key in KEYS}
