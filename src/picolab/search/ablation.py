"""What each part of the codec is worth: variants trained alike and compared, as the paper did.

A folder holds one ablation, and the same call goes on where another was ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from picolab.networks.cost import multiply_accumulates
from picolab.networks.shape import Shape
from picolab.search.funnel import Crew
from picolab.search.progress import Progress
from picolab.search.report import table
from picolab.search.rounds import bd
from picolab.search.store import Result, Store
from picolab.search.training import Job
from picolab.search.variants import FULL, VARIANTS, make_variant

SEEDS = 2  # of the full model, which tell how much is chance


@dataclass(frozen=True)
class Ablation:
    """Variants of one shape; `job` is what their trainings have in common."""

    shape: Shape
    variants: Sequence[str]
    job: Job
    folder: Path

    def runs(self) -> Iterator[tuple[str, Job]]:
        """Names of runs and their jobs: the full model's seeds, then each variant."""
        seeds = [(FULL, seed) for seed in range(SEEDS)]
        for name, seed in [*seeds, *((name, 0) for name in self.variants if name != FULL)]:
            run = f"{name}-{seed}"
            yield (
                run,
                replace(
                    self.job,
                    folder=str(self.folder / run),
                    shape=self.shape.to_dict(),
                    seed=seed,
                    variant=name,
                ),
            )


def ablate(ablation: Ablation, crew: Crew, store: Store) -> str:
    """Train what has not been trained yet; gives the table as Markdown. Raises `ValueError` for
    variants that there are not, and for a folder whose runs were trained in another way."""
    for name in ablation.variants:
        make_variant(name, ablation.shape)
    job = ablation.job
    store.claim({"shape": ablation.shape.to_dict(), "pixels": job.pixels})
    known = store.results(0)
    wanted = {name: each for name, each in ablation.runs() if name not in known}
    progress = Progress("trained", len(wanted) + len(known), done=len(known), every=0)
    for name, done in crew.run(wanted):
        store.add_result(Result(name, 0, job.pixels, done.cpu_seconds, done.points))
        progress.advance(1, name)
    return markdown(ablation, store.results(0))


def markdown(ablation: Ablation, results: Mapping[str, Result]) -> str:
    """The table of what each part is worth."""
    full = [results[f"{FULL}-{seed}"] for seed in range(SEEDS)]
    rows = [_row(ablation.shape, FULL, "anchor")]
    for name in ablation.variants:
        if name != FULL:
            rate = f"{bd(full, [results[f'{name}-0']]):+.2f} %"
            rows.append(_row(ablation.shape, name, rate))
    seconds = sum(result.cpu_seconds for result in results.values())
    lines = [
        f"`{ablation.shape.name}` and variants of it, {ablation.job.pixels:.3g} pixels each from "
        f"the same start, {seconds / 3600:.1f} CPU hours in all. BD-rates of PSNR on "
        f"{ablation.job.held_out} held-out tiles against the mean of {SEEDS} seeds of the full "
        f"model, which are {bd(full[:1], full[1:]):+.2f} % apart.",
        "",
        *table(["", "BD-rate", "in the paper", "kMAC/pixel", "parameters (M)"], rows),
    ]
    return "\n".join(lines)


def _row(shape: Shape, name: str, rate: str) -> list[str]:
    codec, variant = make_variant(name, shape).eval(), VARIANTS[name]
    macs = sum(multiply_accumulates(codec).values()) / 1e3
    parameters = sum(p.numel() for p in codec.parameters()) / 1e6
    paper = "" if variant.paper is None else f"{variant.paper:+.2f} %"
    return [variant.title, rate, paper, f"{macs:.2f}", f"{parameters:.2f}"]
