"""How noisy gradients are at a checkpoint: the batch at which noise and gradient are alike.

    PICOLAB_TILES=folder python benchmarks/gradient_noise.py recipes/photo.toml runs/photo

The simple noise scale of McCandlish and others (arXiv 1812.06162): from the squared norms of the
gradients of small batches and of their means. Batches far below it waste few crops; far above it
most. It rises as training goes on, and the batches of a recipe should follow it.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import torch

from picolab.training.lineage import Batch, read_lineage
from picolab.training.machine import keep_pages
from picolab.training.run import Options, Run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("folder", type=Path, help="of the lineage, with the stage's checkpoint")
    parser.add_argument("--stage", default="trunk")
    parser.add_argument("--crops", type=int, default=4, help="of a small batch (%(default)s)")
    parser.add_argument("--side", type=int, default=256, help="of a crop (%(default)s)")
    parser.add_argument("--many", type=int, default=16, help="small batches to a large one")
    parser.add_argument("--rounds", type=int, default=4, help="large batches (%(default)s)")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    keep_pages()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    lineage = read_lineage(args.recipe)
    options = Options(folder=args.folder, device=torch.device(args.device), lpips=False)
    run = Run(lineage, lineage.stage(args.stage), options)
    batch = Batch(args.crops, args.side)
    rounds = [squared_norms(run, batch, args.many) for _ in range(args.rounds)]
    small, large = (statistics.fmean(column) for column in zip(*rounds, strict=True))
    few, many = args.crops, args.crops * args.many
    gradient = (many * large - few * small) / (many - few)
    noise = (small - large) / (1 / few - 1 / many)
    print(f"at {run.progress.pixels:.3g} pixels, crops of {args.side}:")
    print(
        f"norm of the gradient {max(gradient, 0) ** 0.5:.3g}, of one crop's noise {noise**0.5:.3g}"
    )
    if gradient <= 0:
        print(f"noise alone in {args.rounds} batches of {many}: more rounds would tell")
    else:
        print(f"noise and gradient are alike at {noise / gradient:.0f} crops")


def squared_norms(run: Run, batch: Batch, many: int) -> tuple[float, float]:
    """The mean squared norm of the gradients of small batches, and that of their mean."""
    total: list[torch.Tensor] | None = None
    small = []
    for _ in range(many):
        run.backward(batch)
        parts = [p.grad.clone() for p in run.learning if p.grad is not None]
        small.append(squared_norm(parts))
        total = parts if total is None else [a + b for a, b in zip(total, parts, strict=True)]
    assert total is not None
    return statistics.fmean(small), squared_norm(total) / many**2


def squared_norm(parts: list[torch.Tensor]) -> float:
    return sum(float(part.double().square().sum()) for part in parts)


if __name__ == "__main__":
    main()
