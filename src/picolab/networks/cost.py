"""Parameters and multiply-accumulates per pixel of a configuration, on a full tile."""

from __future__ import annotations

import torch
from torch import nn

from picolab.networks.codec import Codec
from picolab.networks.config import CodecConfig
from picolab.networks.layers import ConvScale


def multiply_accumulates(codec: Codec) -> dict[str, float]:
    """Multiply-accumulates per pixel of each part, counted while coding one 512x512 tile."""
    counts: dict[str, float] = {}
    current = ""

    def enter(name: str):
        def hook(*_: object) -> None:
            nonlocal current
            current = name

        return hook

    def count(layer: nn.Module, _: object, out: torch.Tensor) -> None:
        taps = layer.weight[0].numel()  # type: ignore[index, operator, union-attr]
        positions = out[0, 0].numel() if not isinstance(layer, ConvScale) else None
        if positions is None:
            # HaarUp returns the shuffled output: count before the shuffle.
            factor = getattr(layer, "factor", 1) if out.shape[1] != len(layer.weight) else 1
            positions = out[0, 0].numel() // factor**2
        total = positions * len(layer.weight) * taps  # type: ignore[arg-type]
        counts[current] = counts.get(current, 0.0) + total / 512**2

    for name, part in codec.named_children():
        part.register_forward_pre_hook(enter(name))
        for layer in part.modules():
            if isinstance(layer, ConvScale | nn.Conv2d):
                layer.register_forward_hook(count)
    for layer in codec.scale_decoder.layers:
        upsample = 4 if layer.upsample else 1

        def count_integer(layer: nn.Module, _: object, out: torch.Tensor, up: int = upsample):
            macs = out[0, 0].numel() // up * layer.weight.numel()  # type: ignore[union-attr, operator]
            counts[current] = counts.get(current, 0.0) + macs / 512**2

        layer.register_forward_hook(count_integer)
    with torch.no_grad():
        codec(torch.rand(1, 3, 512, 512), torch.tensor([0.5]))
    return counts


def cost_table(config: CodecConfig) -> str:
    """A Markdown table of every part's cost, and of encoding and decoding."""
    codec = Codec(config).eval()
    parameters = {n: sum(p.numel() for p in m.parameters()) for n, m in codec.named_children()}
    macs = multiply_accumulates(codec)
    lines = ["| part | parameters (M) | kMAC/pixel |", "| --- | --- | --- |"]
    for name, number in parameters.items():
        lines.append(f"| {name} | {number / 1e6:.2f} | {macs[name] / 1e3:.2f} |")
    common = ("scale_decoder", "context_decoder", "context_model")
    for title, parts in (
        ("encoding", ("analysis", *common)),
        ("decoding", (*common, "synthesis")),
    ):
        number, cost = sum(parameters[p] for p in parts), sum(macs[p] for p in parts)
        lines.append(f"| **{title}** | {number / 1e6:.2f} | {cost / 1e3:.2f} |")
    total = sum(p.numel() for p in codec.parameters())
    return "\n".join([*lines, f"| all | {total / 1e6:.2f} | |"])
