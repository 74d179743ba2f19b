"""Training: megapixels a second, and where the time goes.

    PICOLAB_TILES=folder python benchmarks/training.py recipes/photo.toml --stage trunk
    taskset -c 0 python ... ; two at once: torchrun --nproc-per-node=2 benchmarks/training.py ...

Some steps of a stage, from its first weights; nothing is kept. CPU seconds are those of this
process, which a busy machine stretches less than the clock.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from picolab.training.lineage import Batch, Lineage, Stage, read_lineage
from picolab.training.machine import keep_pages
from picolab.training.run import Options, Run, join_processes

TOP = 12
WARM_UP = 4  # steps, which compile


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--stage", default="trunk")
    parser.add_argument("--batches", default="8x192,16x256", help="crops x side (%(default)s)")
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--float32", action="store_true")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--profile", action="store_true", help="where the time goes, too")
    args = parser.parse_args()
    keep_pages()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    device = torch.device(args.device)
    if "WORLD_SIZE" in os.environ:
        device = join_processes(device)
    lineage = read_lineage(args.recipe)
    # Which weights a stage starts from costs nothing later.
    stage = replace(lineage.stage(args.stage), pixels=0)
    lineage = replace(lineage, stages=(stage,))
    options = Options(
        folder=Path(tempfile.mkdtemp()),
        device=device,
        dtype=torch.float32 if args.float32 else None,
        compile=not args.no_compile,
        lpips=False,
    )
    if os.environ.get("RANK", "0") == "0":
        print("| batch | megapixels a second | of CPU time | s a step |\n| --- | --- | --- | --- |")
    for text in args.batches.split(","):
        crops, side = (int(number) for number in text.split("x"))
        run = begin(lineage, stage, options, Batch(crops, side))
        pace(run, text, args.steps)
        if args.profile:
            shares(run, max(args.steps // 4, 2))


def begin(lineage: Lineage, stage: Stage, options: Options, batch: Batch) -> Run:
    stage = replace(stage, batches=(batch,))
    return Run(replace(lineage, stages=(stage,)), stage, options)


def timed(run: Run, clock: Callable[[], float]) -> float:
    """Seconds of a step, all that it started on the device included."""
    start = clock()
    run.step()
    if run.device.type == "cuda":
        torch.cuda.synchronize(run.device)
    return clock() - start


def pace(run: Run, name: str, steps: int) -> None:
    for _ in range(WARM_UP):
        run.step()
    wall, own = [], []
    for _ in range(steps):
        start = time.process_time()
        wall.append(timed(run, time.perf_counter))
        own.append(time.process_time() - start)
    pixels = run.step_pixels / 1e6
    second, cpu = statistics.median(wall), statistics.median(own)
    processes = f", {run.world} processes" if run.world > 1 else ""
    if run.rank == 0:
        print(f"| {name}{processes} | {pixels / second:.2f} | {pixels / cpu:.2f} | {second:.3f} |")


def shares(run: Run, steps: int) -> None:
    """The operations that take longest, as a table; on a GPU its kernels, and how long it waits."""
    on_gpu = run.device.type == "cuda"
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu
    with profile(activities=activities) as profiled:
        spent = sum(timed(run, time.perf_counter) for _ in range(steps))
    kind = DeviceType.CUDA if on_gpu else DeviceType.CPU
    share = {
        e.key: (e.self_device_time_total if on_gpu else e.self_cpu_time_total) / 1e6 / spent
        for e in profiled.key_averages()
        if e.device_type == kind
    }
    if on_gpu:
        print(f"\nkernels run in {sum(share.values()):.0%} of the time")
    print(f"\n| {'kernel' if on_gpu else 'operation'} | share of the time |\n| --- | --- |")
    for key in sorted(share, key=share.__getitem__, reverse=True)[:TOP]:
        print(f"| {key[:80]} | {share[key]:.1%} |")
    print()


if __name__ == "__main__":
    main()
    if dist.is_initialized():
        dist.destroy_process_group()
