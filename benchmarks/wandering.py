"""How far a run's weights wander about their average: what each costs on held-out photos.

    python benchmarks/wandering.py runs/photo/trunk/checkpoint tiles --parts shortcut,bias

Steps of a constant rate never come to rest. The average forgives that; what the other parameters
learn beside weights that wander, it does not. `--parts` are words in parameters' names: with each
those alone are averaged.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from picolab.data.crops import TileFile
from picolab.networks.model import Codec
from picolab.networks.shape import Shape
from picolab.training.checkpoint import load_checkpoint, without_prefix
from picolab.training.machine import training_type
from picolab.training.validate import score, validate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path, help="runs/NAME/STAGE/checkpoint")
    parser.add_argument("tiles", type=Path, help="a folder of `picolab data build`")
    parser.add_argument("--parts", default="shortcut", help="with commas (%(default)s)")
    args = parser.parse_args()
    tensors, values = load_checkpoint(args.checkpoint)
    own, averages = (without_prefix(part, tensors) for part in ("model", "ema"))
    states = {"none": own}
    for word in args.parts.split(","):
        states[word] = own | {name: x for name, x in averages.items() if word in name}
    states["all"] = own | averages
    held_out = TileFile(args.tiles, held_out=True)
    print("| averaged | score, dB |\n| --- | --- |")
    for name, state in states.items():
        print(f"| {name} | {score_of(state, Shape(**values['shape']), held_out):.3f} |")


def score_of(state: dict[str, Tensor], shape: Shape, held_out: TileFile) -> float:
    codec = Codec(shape)
    codec.load_state_dict(state)
    device = torch.device("cpu")
    return score(validate(codec, held_out, training_type(device), device, lpips=None))


if __name__ == "__main__":
    main()
