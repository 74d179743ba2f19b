"""The averaged weights of a run as one small file, to go on from where its checkpoint is lost.

Half precision and no optimiser's state: a run that starts from it is not the same bit for bit, but
loses nothing that it learned.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

KEYS = ("lineage", "stage", "shape", "progress")  # of a checkpoint's values


def add_parser(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "keep",
        help="a run's averaged weights as one small file, which its recipe may name as `kept`",
    )
    parser.add_argument("checkpoint", type=Path, help="runs/NAME/STAGE/checkpoint")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a .safetensors file")
    parser.set_defaults(run=_keep)


def _keep(args: argparse.Namespace) -> int:
    from picolab.training.checkpoint import load_checkpoint

    tensors, values = load_checkpoint(args.checkpoint)
    save_kept(args.output, tensors, values)
    pixels = values["progress"]["pixels"]
    print(f"{args.output}: {pixels:.4g} pixels, {args.output.stat().st_size / 1e6:.1f} MB")
    return 0


def save_kept(path: Path, tensors: dict[str, Any], values: dict[str, Any]) -> None:
    """Write the averaged weights in float16, and the lambdas, of what `load_checkpoint` gives."""
    from safetensors.torch import save_file

    kept = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        if part == "model":
            average = tensors.get(f"ema.{rest}")
            kept[name] = tensor if average is None else average.half()
        elif part == "control":
            kept[name] = tensor
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
