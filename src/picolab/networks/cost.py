"""Parameters and multiply-accumulates per pixel of a shape."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from picolab.networks.model import Codec
from picolab.networks.shape import read_shape

SIDE = 64  # of one vector of z
CONTEXT = ("scale_decoder", "context_decoder", "context_model")


def multiply_accumulates(codec: nn.Module) -> dict[str, float]:
    """Multiply-accumulates per pixel of each part: what 128x128 pixels take more than 64x64. What
    is done once for all pixels, such as folding scales into weights, is no cost."""
    large, small = _counted(codec, 2 * SIDE), _counted(codec, SIDE)
    pixels = 3 * SIDE**2
    return {name: (large[name] - small[name]) / pixels for name in large}


@torch.no_grad()
def _counted(codec: nn.Module, side: int) -> dict[str, float]:
    """Multiply-accumulates of each part while coding a square of pixels."""
    patches = torch.zeros(1, 192, side // 8, side // 8)
    with FlopCounterMode(display=False) as counter:
        codec(patches, torch.tensor([0.5]), hard=True)
    counts = counter.get_flop_counts()
    return {n: sum(counts[f"Codec.{n}"].values()) / 2 for n, _ in codec.named_children()}


def cost_table(path: Path) -> str:
    """A Markdown table of every part's cost, and of encoding and decoding, for a shape's file."""
    codec = Codec(read_shape(path)).eval()
    parameters = {n: sum(p.numel() for p in m.parameters()) for n, m in codec.named_children()}
    macs = multiply_accumulates(codec)
    lines = ["| part | parameters (M) | kMAC/pixel |", "| --- | --- | --- |"]
    for name, number in parameters.items():
        lines.append(f"| {name} | {number / 1e6:.2f} | {macs[name] / 1e3:.2f} |")
    for title, parts in (("encoding", ("encoder", *CONTEXT)), ("decoding", (*CONTEXT, "decoder"))):
        number, cost = sum(parameters[p] for p in parts), sum(macs[p] for p in parts)
        lines.append(f"| **{title}** | {number / 1e6:.2f} | {cost / 1e3:.2f} |")
    total = sum(p.numel() for p in codec.parameters())
    return "\n".join([*lines, f"| all | {total / 1e6:.2f} | |"])
