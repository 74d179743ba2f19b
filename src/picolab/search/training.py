"""Stages 3 and 4: one shape trained by a lineage's stages until it has seen so many pixels.

A job is done in a process of its own (`python -m picolab.search.training JOB.json`), on this
machine or another that sees the same files. What it has done is in its folder's checkpoints, so
that a later round, or the same after an interruption, goes on from there.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from picolab.search.store import Point

if TYPE_CHECKING:
    from picolab.training.lineage import Lineage
    from picolab.training.run import Options

STOPPED = 3  # exit status of a worker that was told to stop, and has saved


@dataclass(frozen=True)
class Job:
    """`pixels` are those of the recipe's last stage, from its beginning; the stages before run to
    their ends. `shape` are the fields of a shape."""

    folder: str
    recipe: str
    shape: dict[str, Any]
    seed: int
    pixels: float
    tiles: str | None = None
    held_out: int = 24  # tiles that quality is measured on
    device: str = "cpu"
    float32: bool = False
    compile: bool = True
    variant: str = "full"  # of the codec, see variants.py


@dataclass(frozen=True)
class Trained:
    """Quality after the pixels that were asked for; CPU seconds of the last stage since its
    beginning; and of this call: `pixels` of that stage without its first step, which compiles, the
    seconds that they took, those of the stages before, and all seconds."""

    points: tuple[Point, ...]
    cpu_seconds: float
    pixels: float
    training_seconds: float
    start_seconds: float
    seconds: float


def train(job: Job) -> Trained | None:
    """Do a job, or go on with it; None where a signal ended it before the pixels were reached."""
    from picolab.training.run import Run
    from picolab.training.validate import validate

    started = time.monotonic()
    lineage, options = _prepared(job)
    *earlier, last = lineage.stages
    if not (options.folder / last.name / "checkpoint").is_dir():
        for stage in earlier:
            before = Run(lineage, stage, options)
            before.go()
            if before.progress.pixels < stage.pixels:
                return None
    start = time.monotonic() - started
    run = Run(lineage, last, options)
    if run.progress.pixels + run.step_pixels < job.pixels:
        run.step()
    first, begun = run.progress.pixels, time.monotonic()
    run.go()
    if run.progress.pixels < job.pixels:
        return None
    seconds = time.monotonic() - begun
    for stage in earlier:  # only their ends were needed
        shutil.rmtree(options.folder / stage.name, ignore_errors=True)
    run.put(run.ema)
    found = validate(run.codec, run.held_out, run.dtype, run.device, count=job.held_out)
    return Trained(
        points=tuple(Point(point.bpp, point.psnr) for point in found),
        cpu_seconds=run.progress.cpu_seconds,
        pixels=run.progress.pixels - first,
        training_seconds=seconds,
        start_seconds=start,
        seconds=time.monotonic() - started,
    )


def _prepared(job: Job) -> tuple[Lineage, Options]:
    """The recipe with the job's shape, seed and end, and how it is run."""
    import torch

    from picolab.networks.shape import Shape
    from picolab.search.variants import make_variant
    from picolab.training.lineage import read_lineage
    from picolab.training.run import Options

    lineage = read_lineage(job.recipe, Path(job.tiles) if job.tiles else None)
    *earlier, last = lineage.stages
    lineage = replace(
        lineage,
        shape=Shape(**job.shape),
        seed=job.seed,
        stages=(*earlier, replace(last, pixels=job.pixels)),
        curve_every=math.inf,
    )
    options = Options(
        folder=Path(job.folder),
        device=torch.device(job.device),
        dtype=torch.float32 if job.float32 else None,
        compile=job.compile,
        lpips=False,
        make_codec=partial(make_variant, job.variant),
    )
    return lineage, options


def read_trained(path: Path) -> Trained:
    values = json.loads(path.read_text())
    values["points"] = tuple(Point(**point) for point in values["points"])
    return Trained(**values)


def stop_when_orphaned() -> None:
    """Save and end when whoever started this process is gone: its end of the pipe closes then."""

    def watch() -> None:
        sys.stdin.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def main(path: Path) -> int:
    """The worker: a job's file in, `trained.json` beside it out."""
    import torch

    stop_when_orphaned()
    torch.set_num_threads(int(os.environ.get("PICOLAB_THREADS", "1")))
    torch.set_flush_denormal(True)
    done = train(Job(**json.loads(path.read_text())))
    if done is None:
        return STOPPED
    fresh = path.with_name("trained.json.new")
    fresh.write_text(json.dumps(asdict(done)))
    os.replace(fresh, path.with_name("trained.json"))
    return 0


if __name__ == "__main__":
    from picolab.training.machine import keep_pages

    keep_pages()
    sys.exit(main(Path(sys.argv[1])))
