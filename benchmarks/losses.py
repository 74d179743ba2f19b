"""What each loss of a stage adds to the gradient, and how much of that is noise.

    PICOLAB_TILES=folder python benchmarks/losses.py recipes/photo.toml runs/photo --stage looks
    ... --only decoder.chain8       # of the parameters whose names begin so

An optimiser's steps are about as large whatever the gradient is. So a loss is learned by its
signal's share of all that is in the gradient, the noise of the other losses included.

The last column is the simple noise scale of McCandlish and others (arXiv 1812.06162): the crops at
which noise and signal are alike. Batches far below it waste few crops; far above it most. It rises
as training goes on. Few batches do not tell it: a signal of 0 is one that they do not show.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from picolab.losses.objective import LossWeights
from picolab.training.lineage import read_lineage
from picolab.training.machine import keep_pages
from picolab.training.run import Options, Run
from picolab.training.step import Sample, draw_sample, rate_and_distortion

NAMES = (
    *("lpips_alex", "alex_wasserstein", "dists", "wasserstein", "adversary"),
    *("tiling", "repeats", "borders", "text"),
)
HARDLY = 1e-9  # a weight that adds nothing, and leaves the networks on that a loss needs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("folder", type=Path, help="of the lineage, with the stage's checkpoint")
    parser.add_argument("--stage", default="looks")
    parser.add_argument("--batches", type=int, default=8, help="how many (%(default)s)")
    parser.add_argument("--only", default="", help="parameters whose names begin so (all)")
    args = parser.parse_args()
    keep_pages()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    lineage = read_lineage(args.recipe)
    options = Options(args.folder, torch.device("cpu"), compile=False, lpips=False)
    run = Run(lineage, lineage.stage(args.stage), options)
    chosen = [p for n, p in run.codec.named_parameters() if n.startswith(args.only)]
    if not chosen:
        parser.error(f"--only {args.only}: no parameter's name begins so")
    names = [name for name in NAMES if run.objective and getattr(run.stage.losses, name)]
    seen: dict[str, list[Tensor]] = {name: [] for name in ("rate and error", *names)}
    for _ in range(args.batches):
        for name, gradient in by_loss(run, names, chosen).items():
            seen[name].append(gradient)
    crops = run.stage.batch_at(run.progress.pixels).crops
    head = "loss", "weight", "norm of the gradient", "signal", "noise", "alike at, crops"
    print(f"| {' | '.join(head)} |\n" + "| --- " * len(head) + "|")
    for name, gradients in seen.items():
        weight, (norm, signal, noise) = getattr(run.stage.losses, name, 1), parts(gradients)
        alike = f"{crops * (noise / signal) ** 2:.0f}" if signal else ""
        print(f"| {name} | {weight:g} | {norm:.3f} | {signal:.3f} | {noise:.3f} | {alike} |")


def by_loss(run: Run, names: list[str], chosen: list[torch.nn.Parameter]) -> dict[str, Tensor]:
    """The gradients of the chosen parameters, flat, of one batch, by what they come from."""
    batch, losses = run.stage.batch_at(run.progress.pixels), run.stage.losses
    crops = run.tiles.draw(batch.crops, batch.side, run.generator)
    channels = run.lineage.shape.noise_channels
    sample = draw_sample(crops, run.dtype, losses, channels, run.generator)
    none = losses
    for name in names:
        none = with_weight(none, name, HARDLY)
    base = gradient(run, sample, none, chosen)
    each = {n: with_weight(none, n, getattr(losses, n)) for n in names}
    alone = {n: gradient(run, sample, weights, chosen) - base for n, weights in each.items()}
    return {"rate and error": base} | alone


def with_weight(losses: LossWeights, name: str, weight: float) -> LossWeights:
    more: dict[str, Any] = {name: weight}
    return replace(losses, **more)


def gradient(
    run: Run, sample: Sample, losses: LossWeights, chosen: list[torch.nn.Parameter]
) -> Tensor:
    if run.objective is not None:
        run.objective.weights = losses
    outcome = rate_and_distortion(
        run.network, run.stage, run.controller, run.objective, sample, run.kernels
    )
    parts = torch.autograd.grad(outcome.loss, chosen, allow_unused=True)
    none = (torch.zeros_like(p) if g is None else g for g, p in zip(parts, chosen, strict=True))
    return torch.cat([part.flatten() for part in none])


def parts(gradients: list[Tensor]) -> tuple[float, float, float]:
    """The root mean square norm, and of that what batches have in common, and what they do not."""
    each = torch.stack(gradients)
    products, many = each @ each.T, len(gradients)
    whole = float(products.diagonal().mean())
    common = float(products.sum() - products.diagonal().sum()) / (many * (many - 1))
    return whole**0.5, max(common, 0) ** 0.5, max(whole - common, 0) ** 0.5


if __name__ == "__main__":
    main()
