"""Network time of a photo on a GPU: PyTorch, bfloat16, batches of tiles.

    python benchmarks/gpu.py [--config configs/photo.toml] [--megapixels 12.2] [--batches 1,8,54]

Weights are random, which costs the same. `--device cpu` for a dry run. What
is timed is the networks of the pixel path: the scale decoder and the entropy coder run on the CPU
beside them, whatever the device.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from picocodec.format.tiles import MARGIN, TILE
from picolab.networks.model import SQUARE, Codec
from picolab.networks.shape import Shape, read_shape
from picolab.release.graphs import released_graphs

CANVAS = TILE + 2 * MARGIN  # side of what the networks see of a tile


def networks(shape: Shape, batch: int, device: torch.device) -> dict[str, Callable[[], Tensor]]:
    """What encoding and decoding `batch` tiles runs, by name."""
    graphs = released_graphs(Codec(shape), dial=True)
    analysis, context, synthesis = (
        graphs[name].module.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for name in ("analysis", "context", "synthesis")
    )
    side = CANVAS // SQUARE

    def random(channels: int, side: int) -> Tensor:
        return torch.randn(batch, channels, side, side, device=device)

    picture = random(3, CANVAS).contiguous(memory_format=torch.channels_last)
    symbols, z = random(shape.y_channels, side).round(), random(shape.z_channels, side // 4).round()
    coded, noise = torch.ones_like(symbols), random(shape.noise_channels, 2 * side)
    level = torch.full((batch,), 0.5, device=device)
    return {
        "encode": lambda: context(analysis(picture, level)[0], coded, z, level)[0],
        "decode": lambda: synthesis(
            context(symbols, torch.zeros_like(coded), z, level)[1], level, level, noise
        ),
    }


def seconds(work: Callable[[], Tensor], device: torch.device, repeats: int) -> float:
    """The median time of `work`, all that it started on the device included."""
    times = []
    for run in range(repeats + 2):  # two to warm up
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if run >= 2:
            times.append(time.perf_counter() - start)
    return statistics.median(times)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="configs/photo.toml")
    parser.add_argument("--megapixels", type=float, default=12.2)
    parser.add_argument(
        "--batches", default="1,8,54", type=lambda s: [int(n) for n in s.split(",")]
    )
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--compile", action="store_true", help="torch.compile; takes minutes")
    parser.add_argument("--repeats", type=int, default=10)
    args = parser.parse_args()
    device = torch.device(args.device)
    shape = read_shape(args.config)
    tiles = args.megapixels * 1e6 / TILE**2
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{args.megapixels:g} megapixels, {shape.name}, bfloat16, {where}\n")
    print("| tiles in a batch | encode ms | decode ms |\n| --- | --- | --- |")
    for batch in args.batches:
        row = []
        for work in networks(shape, batch, device).values():
            run = torch.compile(work) if args.compile else work
            with torch.autocast(device.type, torch.bfloat16):
                row.append(1000 * tiles / batch * seconds(run, device, args.repeats))
        print(f"| {batch} | {row[0]:.1f} | {row[1]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
