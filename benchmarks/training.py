"""Training: steps a second, and where their time goes.

    PICOLAB_TRAIN=folder python benchmarks/training.py recipes/small-stage1.toml [--bf16]

Some steps of a phase of a recipe, at its end, where the adversary is at work; nothing is kept. On
a GPU also the share of the time in which kernels run there: what is left is waiting for the CPU.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from picolab.training.loop import Options, Run, phase_at, read_pictures
from picolab.training.recipe import read_recipe

TOP = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--phase", type=int, default=0)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--compile", action="store_true", help="torch.compile; takes minutes")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    # Which weights a run starts from costs nothing later.
    recipe = replace(read_recipe(args.recipe), init=None)
    device = torch.device(args.device)
    with tempfile.TemporaryDirectory() as folder:
        options = Options(Path(folder), device, bf16=args.bf16, compile=args.compile)
        run = Run(recipe, options, read_pictures(recipe.data, recipe.masks))
    at = sum(phase.steps for phase in recipe.phases[: args.phase + 1]) - 1
    phase, _ = phase_at(recipe, at)

    def step() -> float:
        """Seconds, all that it started on the device included."""
        start = time.perf_counter()
        run.train_step(at, phase, 0.0)  # weights stay: every step costs the same
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    first = step()
    times = [step() for _ in range(args.steps)]
    median = statistics.median(times)
    crops = phase.batch / median
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(
        f"{recipe.name}, {phase.batch} crops of {phase.crop}, {where}, "
        f"{'bfloat16' if args.bf16 else 'float32'}, {'compiled' if args.compile else 'eager'}\n\n"
        f"{median:.3f} s a step (the first {first:.1f}; mean {statistics.fmean(times):.3f}), "
        f"{crops:.1f} crops and {crops * phase.crop**2 / 1e6:.2f} megapixels a second"
    )

    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu
    with profile(activities=activities) as profiled:
        spent = sum(step() for _ in range(max(args.steps // 4, 1)))
    kind = DeviceType.CUDA if on_gpu else DeviceType.CPU
    events = [e for e in profiled.key_averages() if e.device_type == kind]
    shares = {
        e.key: (e.self_device_time_total if on_gpu else e.self_cpu_time_total) / 1e6 / spent
        for e in events
    }
    if on_gpu:
        print(f"\nkernels run in {sum(shares.values()):.0%} of the time")
    print(f"\n| {'kernel' if on_gpu else 'operation'} | share of the time |\n| --- | --- |")
    for key in sorted(shares, key=shares.__getitem__, reverse=True)[:TOP]:
        print(f"| {key[:80]} | {shares[key]:.1%} |")


if __name__ == "__main__":
    main()
