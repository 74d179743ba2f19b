"""Parameters and multiply-accumulates per pixel of a configuration, on a full tile."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from picolab.networks.codec import Codec
from picolab.networks.config import CodecConfig

TILE = 512
CONTEXT = ("scale_decoder", "context_decoder", "context_model")


def multiply_accumulates(codec: Codec) -> dict[str, float]:
    """Multiply-accumulates per pixel of each part, counted while coding one 512x512 tile."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        codec(torch.rand(1, 3, TILE, TILE), torch.tensor([0.5]))
    counts = counter.get_flop_counts()
    return {
        name: sum(counts[f"Codec.{name}"].values()) / 2 / TILE**2
        for name, _ in codec.named_children()
    }


def cost_table(config: CodecConfig) -> str:
    """A Markdown table of every part's cost, and of encoding and decoding."""
    codec = Codec(config).eval()
    parameters = {n: sum(p.numel() for p in m.parameters()) for n, m in codec.named_children()}
    macs = multiply_accumulates(codec)
    lines = ["| part | parameters (M) | kMAC/pixel |", "| --- | --- | --- |"]
    for name, number in parameters.items():
        lines.append(f"| {name} | {number / 1e6:.2f} | {macs[name] / 1e3:.2f} |")
    for title, parts in (
        ("encoding", ("analysis", *CONTEXT)),
        ("decoding", (*CONTEXT, "synthesis")),
    ):
        number, cost = sum(parameters[p] for p in parts), sum(macs[p] for p in parts)
        lines.append(f"| **{title}** | {number / 1e6:.2f} | {cost / 1e3:.2f} |")
    total = sum(p.numel() for p in codec.parameters())
    return "\n".join([*lines, f"| all | {total / 1e6:.2f} | |"])
