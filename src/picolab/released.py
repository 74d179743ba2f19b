"""A released model back to weights that training goes on from: what `export` folded, unfolded.

Not bit for bit: the export rounded weights to float16, and what selects entropy tables to
integers, of which tables over the level are the best fit.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

from picocodec.format.container import LEVEL_STEPS
from picocodec.model.model import Model
from picocodec.model.scale_decoder import LEVEL_BINS
from picolab.networks.codec import Codec
from picolab.networks.integer import INDEX_UNIT, IntegerConv
from picolab.networks.layers import ConvScale, Gains, PatchConv, interpolate_knots, without_overlap

# Which part of the codec the names in each file begin with.
PARTS = {
    "analysis": {"": "analysis."},
    "synthesis": {
        "decoder.": "context_decoder.",
        "model.": "context_model.",
        "synthesis.": "synthesis.",
    },
}


@torch.no_grad()
def read_released(folder: Path, codec: Codec) -> dict[str, Any]:
    """Fill `codec` with the weights of the released model in `folder`; returns what a checkpoint
    says of them beside: recipe, step, and the slopes of levels 0 and 1.

    Raises `ValueError` if the model is of another configuration, `UnknownModel` for none.
    """
    model = Model(folder)
    description = tomllib.loads((folder / "model.toml").read_text("utf-8"))
    values = _values(folder)
    try:
        _fill(codec, values)
        with np.load(folder / "tables.npz", allow_pickle=False) as tables:
            _fill_integers(codec, {name: tables[name] for name in tables.files})
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{folder}: not of configuration {codec.cfg.name!r}: {error}") from error
    return {
        "recipe": description["recipe"],
        "step": int(description["step"]),
        "slopes": [model.slope(0), model.slope(LEVEL_STEPS)],
    }


def _values(folder: Path) -> dict[str, Tensor]:
    """All weights in the networks' files, under the names of the codec's modules."""
    values = {}
    for file, parts in PARTS.items():
        for tensor in onnx.load(folder / f"{file}.onnx").graph.initializer:
            name = tensor.name.removesuffix(".half")
            for released, ours in parts.items():
                if name.startswith(released):
                    array = numpy_helper.to_array(tensor)
                    values[ours + name.removeprefix(released)] = torch.from_numpy(array.copy())
    return values


def _fill(codec: Codec, values: dict[str, Tensor]) -> None:
    def conv(name: str) -> tuple[Tensor, Tensor]:
        return values[f"{name}.weight"].float(), values[f"{name}.bias"].float()

    restored = any(name.startswith("synthesis.restoration.") for name in values)
    for name, module in codec.named_modules():
        if name.startswith("synthesis.restoration.") and not restored:
            continue  # up to small.v1 there was none; as it is built it adds nothing
        if isinstance(module, ConvScale | PatchConv):
            # What upsamples is folded to a convolution and a shuffle.
            module.unfold(*conv(f"{name}.0" if f"{name}.0.weight" in values else name))
        elif isinstance(module, Gains):
            module.log_gain.copy_(values[f"{name}.log_gain"])
    shortcut, overlap = codec.synthesis.shortcut, codec.synthesis.overlap
    if shortcut is None:
        return
    if overlap is None:
        weight, bias = conv("synthesis.shortcut")
    elif "synthesis.overlap.weight" in values:  # up to small-preview.v2 they were not joined
        weight, bias = conv("synthesis.shortcut")
        overlap.weight.copy_(values["synthesis.overlap.weight"])
    else:
        merged, bias = conv("synthesis.shortcut.1")
        weight, around = without_overlap(merged, overlap.in_channels)
        overlap.weight.copy_(around)
    shortcut.weight.copy_(weight)
    shortcut.bias.copy_(bias)  # type: ignore[union-attr]


def _fill_integers(codec: Codec, tables: dict[str, np.ndarray]) -> None:
    layers = [m for m in codec.scale_decoder.layers if isinstance(m, IntegerConv)]
    for i, layer in enumerate(layers):
        weight, bias = (torch.from_numpy(tables[f"layer{i}_{part}"]) for part in ("weight", "bias"))
        unit = 2 ** (layer.weight_bits + layer.bits_in) * layer.bias_unit
        layer.weight.copy_(weight / 2**layer.weight_bits)
        layer.bias.copy_(_knots(bias / unit, len(layer.bias)))
    z_index = torch.from_numpy(tables["z_index"]) / INDEX_UNIT
    codec.z_index.copy_(_knots(z_index, len(codec.z_index)))


def _knots(by_bin: Tensor, knots: int) -> Tensor:
    """The table over the level that fits what each bin has best; one row is that row."""
    if len(by_bin) == 1:
        return by_bin
    bins = torch.arange(LEVEL_BINS, dtype=torch.float64) / (LEVEL_BINS - 1)
    weights = interpolate_knots(torch.eye(knots, dtype=torch.float64), bins)
    return torch.linalg.lstsq(weights, by_bin.double()).solution
