"""What each part of the codec is worth: variants of a configuration, trained alike and compared.

A folder holds one ablation: `settings.json`, a run of training for each variant and seed, and
`results.csv` and `ablation.md`, written anew after each run. What is there is not done again.
"""

from __future__ import annotations

import csv
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from picolab.evaluation.bjontegaard import Curve, Refused, bd_rate
from picolab.networks.codec import Codec
from picolab.networks.config import CodecConfig
from picolab.networks.cost import multiply_accumulates
from picolab.training.checkpoint import load_checkpoint
from picolab.training.loop import VALIDATION_LEVELS, Options, read_pictures, train
from picolab.training.recipe import Phase, Recipe

LEARNING_RATES = (1e-3, 1e-4)


@dataclass(frozen=True)
class Variant:
    """`changes` to a configuration; `paper` is the BD-rate in percent that PICO's paper gives."""

    title: str
    changes: dict[str, Any] = field(default_factory=dict)
    paper: float | None = None


FULL = "full"
ALL_OFF = {
    "context": "none",
    "quantisation_width": False,
    "scales": "none",
    "resampling": "strided",
}
VARIANTS = {
    FULL: Variant("full model"),
    "no-context": Variant("no context model", {"context": "none"}, 10.28),
    "channels": Variant("channel groups (4) instead of a 2x2 grid", {"context": "channels"}, 3.10),
    "checkerboard": Variant(
        "checkerboard instead of a 2x2 grid", {"context": "checkerboard"}, 14.67
    ),
    "no-width": Variant("no learned quantisation width", {"quantisation_width": False}, 8.16),
    "no-scales": Variant("no learned scales", {"scales": "none"}, 9.58),
    "conv-scales": Variant("scales of ConvScale only", {"scales": "conv"}, 3.76),
    "resolution-scales": Variant("scales per resolution only", {"scales": "resolution"}, 1.21),
    "shuffle": Variant("pixel (un)shuffle instead of Haar", {"resampling": "shuffle"}, 19.51),
    "strided": Variant(
        "strided convolution and deconvolution instead of Haar", {"resampling": "strided"}, 8.90
    ),
    "all-off": Variant("all of these off, strided", ALL_OFF, 31.69),
    "no-shortcut": Variant("no linear shortcut (not in PICO)", {"shortcut": False, "overlap": 0}),
}


@dataclass(frozen=True)
class Plan:
    """What all runs of an ablation have in common."""

    config: CodecConfig
    data: tuple[str, ...]
    steps: int
    batch: int
    crop: int

    def recipe(self, variant: str, seed: int) -> Recipe:
        return Recipe(
            name=f"{variant}-{seed}",
            config=replace(self.config, **VARIANTS[variant].changes),
            data=self.data,
            phases=(Phase(self.steps, self.crop, self.batch, *LEARNING_RATES),),
            seed=seed,
            warmup=self.steps // 10,
            validate_every=self.steps,
        )


def ablate(
    plan: Plan,
    variants: Sequence[str],
    options: Options,
    command: str,
    seeds: int = 1,
    full_seeds: int = 2,
) -> str | None:
    """Train the full model and each of `variants` in `options.folder`, as far as that has not been
    done; returns the table as Markdown, or None if a signal ended it before all were trained.

    The full model is trained from `full_seeds` seeds, which tells how much is chance, variants
    from `seeds`. Raises `ValueError` for unknown variants, and for a folder whose runs were
    trained in another way. With `dry_run`, runs exercise every part and nothing is kept.
    """
    unknown = [name for name in variants if name not in VARIANTS]
    if unknown:
        raise ValueError(f"no variant is called {unknown[0]!r}; there are {', '.join(VARIANTS)}")
    others = [name for name in VARIANTS if name in variants and name != FULL]
    runs = [(FULL, seed) for seed in range(max(seeds, full_seeds))]
    runs += [(name, seed) for name in others for seed in range(seeds)]
    if not options.dry_run:
        _claim(plan, options)
    rows = _read(options.folder)
    done = {(row["variant"], int(row["seed"])) for row in rows}
    runs = [run for run in runs if run not in done]
    pictures = read_pictures(plan.data) if runs else None
    for name, seed in runs:
        print(f"{VARIANTS[name].title}, seed {seed}")
        run = replace(options, folder=options.folder / f"{name}-{seed}")
        recipe = plan.recipe(name, seed)
        figures = train(recipe, run, pictures)
        if options.dry_run:
            continue
        values = load_checkpoint(run.folder / "checkpoint")[1]
        if values["step"] < plan.steps:
            return None
        facts = {"cpu_seconds": round(values["cpu_seconds"]), "machine": _machine(options)}
        rows.append({"variant": name, "seed": str(seed)} | _size(recipe.config) | facts | figures)
        _write(options.folder, rows)
        (options.folder / "ablation.md").write_text(markdown(plan, _read(options.folder), command))
    return "" if options.dry_run else markdown(plan, _read(options.folder), command)


def markdown(plan: Plan, rows: Sequence[dict[str, str]], command: str) -> str:
    """The report of the finished runs `rows`, of which at least one is of the full model."""
    by_variant = {
        name: [row for row in rows if row["variant"] == name]
        for name in VARIANTS
        if any(row["variant"] == name for row in rows)
    }
    anchor = curve(by_variant[FULL])
    head = ["", "BD-rate", "in the paper", "loss", "parameters (M)", "kMAC/pixel", "CPU seconds"]
    table = [head, ["---"] * len(head)]
    for name, own in by_variant.items():
        variant = VARIANTS[name]
        table.append(
            [
                variant.title,
                "anchor" if name == FULL else _delta(anchor, own),
                "" if variant.paper is None else f"{variant.paper:+.2f} %",
                f"{_mean(own, 'validation'):.4f}",
                f"{_mean(own, 'parameters') / 1e6:.2f}",
                f"{_mean(own, 'macs_per_pixel') / 1e3:.2f}",
                f"{_mean(own, 'cpu_seconds'):.0f}",
            ]
        )
    sections = [
        "# What mattered",
        f"Generated, never typed: `{command}` writes this file into its folder.",
        _conditions(plan, rows),
        "\n".join("| " + " | ".join(line) + " |" for line in table),
        _noise(by_variant[FULL]),
        NOTES,
    ]
    return "\n\n".join(sections)


NOTES = """\
- BD-rate: bits more (+) or fewer (-) than the full model takes for the same PSNR; PCHIP over the
  means of the held-out tiles at each level, nothing extrapolated. Rates are estimated (bits of the
  model's own distributions), not those of files. "loss": mean over levels of bpp + lambda MSE.
- The paper's figures are BD-rates over CMMD on CLIC 2020 test, of models trained to the end. Those
  here are over PSNR and tell what a part is worth after so few steps.
- "scales per resolution" are the gains at the ends of chains, which here also carry the level into
  the networks; the gains of y, which control the rate, stay in every variant.
- Strided layers reach one pixel beyond the blocks of those they replace, at the cost to be seen;
  without that they would be pixel (un)shuffling. Channel groups and the checkerboard work at the
  resolution of y with the grid's widths, hence their cost.
- CPU seconds are of a whole run: principal components, training, validation.
"""


def curve(rows: Sequence[dict[str, str]]) -> Curve:
    """Estimated bits per pixel and PSNR by level, means over runs."""
    return Curve(
        [_mean(rows, f"bpp@{level}") for level in VALIDATION_LEVELS],
        [_mean(rows, f"psnr@{level}") for level in VALIDATION_LEVELS],
    )


def _conditions(plan: Plan, rows: Sequence[dict[str, str]]) -> str:
    first, last = LEARNING_RATES
    return (
        f"Each row is `{plan.config.name}` with one change, trained like the full model: "
        f"{plan.steps} steps of {plan.batch} crops of {plan.crop}x{plan.crop}, rate + MSE at all "
        f"levels, SOAP, learning rate {first:g} to {last:g}, from principal components on. "
        f"All runs: {sum(float(row['cpu_seconds']) for row in rows) / 60:.0f} CPU minutes on "
        f"{'; '.join(sorted({row['machine'] for row in rows}))}."
    )


def _noise(full: Sequence[dict[str, str]]) -> str:
    if len(full) < 2:
        return "The full model was trained from one seed: nothing tells how much is chance."
    deltas = ", ".join(_delta(curve(full[:1]), [row]) for row in full[1:])
    return (
        f"**Chance**: the full model was trained from {len(full)} seeds, and their mean is the "
        f"anchor. The BD-rate of the others against the first is {deltas}; a variant that differs "
        "by no more than about that has not been told apart from the full model."
    )


def _delta(anchor: Curve, rows: Sequence[dict[str, str]]) -> str:
    try:
        return f"{bd_rate(anchor, curve(rows)).percent:+.2f} %"
    except Refused as reason:
        return f"refused: {reason}"


def _claim(plan: Plan, options: Options) -> None:
    """Write down how the runs of this folder are trained, or check that it was the same."""
    settings = {"steps": plan.steps, "batch": plan.batch, "crop": plan.crop, "bf16": options.bf16}
    settings |= asdict(plan.config)
    path = options.folder / "settings.json"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings, indent=1))
        return
    before = json.loads(path.read_text())
    for key in settings | before:
        if settings.get(key) != before.get(key):
            raise ValueError(
                f"{options.folder} holds an ablation with {key} = {before.get(key)}, not "
                f"{settings.get(key)}; choose another folder with -o"
            )


def _size(config: CodecConfig) -> dict[str, int]:
    codec = Codec(config).eval()
    return {
        "parameters": sum(p.numel() for p in codec.parameters() if p.requires_grad),
        "macs_per_pixel": round(sum(multiply_accumulates(codec).values())),
    }


def _machine(options: Options) -> str:
    if options.device.type == "cuda":
        return torch.cuda.get_device_name(options.device)
    return (
        f"{platform.machine()} with {torch.backends.cpu.get_cpu_capability()}, "
        f"{torch.get_num_threads()} thread(s), {'bfloat16' if options.bf16 else 'float32'}"
    )


def _mean(rows: Sequence[dict[str, str]], column: str) -> float:
    return sum(float(row[column]) for row in rows) / len(rows)


def _read(folder: Path) -> list[dict[str, Any]]:
    path = folder / "results.csv"
    if not path.is_file():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def _write(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    fresh = folder / "results.csv.new"
    with open(fresh, "w", newline="") as file:
        table = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    os.replace(fresh, folder / "results.csv")
