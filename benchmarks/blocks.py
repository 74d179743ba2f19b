"""Latency of the codec's folded blocks in ONNX Runtime: what the widths of `small` rest on.

    python benchmarks/blocks.py [--threads N] [--repeats R]

For each building block at each resolution of a 512x512 tile: multiply-accumulates per pixel of
the picture, the median latency, and the rate that follows. Variants are run in turn, again and
again, so that a busy machine slows all of them alike. The table of record is in
docs/experiments/0004-widths-of-small.md.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch
from torch import nn

from picocodec.model.runtime import ort
from picolab.export import to_onnx_bytes
from picolab.networks.layers import ConvScale, ConvScale311, HaarDown, HaarUp, fold

TILE = 512


class Dense311(nn.Module):
    """The alternative to ConvScale311: a dense 3x3 to half the width, and 1x1s back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial = ConvScale(channels, channels // 2, 3)
        self.widen = ConvScale(channels // 2, channels)
        self.narrow = ConvScale(channels, channels)
        self.act = nn.LeakyReLU(0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.narrow(self.act(self.widen(self.spatial(x))))


def unshuffled(in_channels: int, out_channels: int, factor: int) -> nn.Module:
    """What HaarDown would be if it did not fold to a strided convolution."""
    return nn.Sequential(
        nn.PixelUnshuffle(factor), nn.Conv2d(in_channels * factor**2, out_channels, 1)
    )


def variants() -> list[tuple[str, int, int, nn.Module]]:
    """Name, reduction of the resolution, input channels, module."""
    rows: list[tuple[str, int, int, nn.Module]] = []
    for reduction, widths in ((4, (32, 48, 64)), (8, (64, 96, 128)), (16, (128, 192, 256))):
        for c in widths:
            for f in (2, 4):
                name = f"ConvScale311({c}, 1, {f})"
                rows.append((name, reduction, c, ConvScale311(c, 1, f)))
        c = widths[1]
        rows.append((f"dense 3x3 {c} to {c // 2}, 1x1, 1x1", reduction, c, Dense311(c)))
    rows += [
        ("stem 3 to 128: Haar x3, 1x1", 1, 3, HaarDown(3, 128, levels=3)),
        ("the same, unshuffling pixels first", 1, 3, unshuffled(3, 128, 8)),
        ("down 128 to 256: Haar, 1x1", 8, 128, HaarDown(128, 256)),
        ("the same, unshuffling pixels first", 8, 128, unshuffled(128, 256, 2)),
        ("up 256 to 96: 1x1, Haar", 16, 256, HaarUp(256, 96)),
        ("up 96 to 32: 1x1, Haar", 8, 96, HaarUp(96, 32)),
        ("head 32 to 3 at 1/4: 3x3, Haar x2", 4, 32, HaarUp(32, 3, kernel=3, levels=2)),
        ("head 96 to 3 at 1/8: 3x3, Haar x3", 8, 96, HaarUp(96, 3, kernel=3, levels=3)),
        ("shortcut 192 to 3: 1x1, shuffle x16", 16, 192, HaarUp(192, 3, levels=4)),
    ]
    return rows


def macs(module: nn.Module, x: torch.Tensor) -> int:
    total = 0

    def count(layer: nn.Conv2d, _: object, out: torch.Tensor) -> None:
        nonlocal total
        total += out[0].numel() * layer.weight[0].numel()

    hooks = [m.register_forward_hook(count) for m in module.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        module(x)
    for hook in hooks:
        hook.remove()
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    options = ort.SessionOptions()
    options.intra_op_num_threads = args.threads
    runs = []
    for name, reduction, channels, module in variants():
        size = TILE // reduction
        x = torch.randn(1, channels, size, size)
        folded = fold(module).eval()
        data = to_onnx_bytes(folded, (x,), ["x"], ["y"])
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        runs.append((name, reduction, macs(folded, x), session, {"x": x.numpy()}, []))
    for _ in range(args.repeats):
        for _, _, _, session, feed, times in runs:
            start = time.perf_counter()
            session.run(None, feed)
            times.append(time.perf_counter() - start)
    print(f"ONNX Runtime {ort.__version__}, {args.threads} thread(s), NumPy {np.__version__}")
    print("| block | at | kMAC/pixel | ms a tile | GFLOP/s |\n| --- | --- | --- | --- | --- |")
    for name, reduction, count, _, _, times in runs:
        median = statistics.median(times)
        rate = 2 * count / median / 1e9
        print(
            f"| {name} | 1/{reduction} | {count / TILE**2 / 1e3:.2f} "
            f"| {median * 1e3:.2f} | {rate:.0f} |"
        )


if __name__ == "__main__":
    main()
