"""z symbols to scale indices, in integers only (docs/format.md, "Scale decoder").

What comes out selects the entropy tables, so every device must find the same. Each layer is

    acc = sum(weight * x) + bias[level bin]          32-bit integers
    out = clamp((max(acc + half, 0)) >> shift, 0, top)    half = 2**(shift - 1)

with weights of -64..64 and inputs of 0..255, hence no sum that could leave 32 bits and no pair of
products that could leave 16. `decode` is the reference in NumPy; the released ONNX file
of the same layers is the fast implementation and must agree with it everywhere.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from picocodec.format.container import LEVEL_STEPS
from picocodec.format.tables import check_integers

LEVEL_BINS = 64
Z_LIMIT = 127  # z symbols are clamped to -127..127


@dataclass(frozen=True)
class IntegerLayer:
    """A convolution with "same" zero padding, kernel 1 or 3, and what follows it.

    `weight` int8 `[K, C, k, k]`; `bias` int32 `[LEVEL_BINS or 1, K]`; with `upsample` the output
    channels are four phases of a grid twice as fine, `4 c + 2 dy + dx` to channel `c`.
    """

    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    shift: int
    top: int
    upsample: bool


def level_bin(level: int) -> int:
    """The bin of a level in thousandths; raises `TypeError` for a float."""
    return (operator.index(level) * (LEVEL_BINS - 1) + LEVEL_STEPS // 2) // LEVEL_STEPS


def decode(
    layers: Sequence[IntegerLayer], z: NDArray[np.integer], bin_index: int
) -> NDArray[np.uint8]:
    """Scale indices `[M, 4 h, 4 w]` from z symbols `[Nz, h, w]`; raises `TypeError` for floats."""
    check_integers("z", z)
    x = np.clip(z, -Z_LIMIT, Z_LIMIT).astype(np.int32)
    for layer in layers:
        x = _run(layer, x, bin_index)
    return x.astype(np.uint8)


def _run(layer: IntegerLayer, x: NDArray[np.int32], bin_index: int) -> NDArray[np.int32]:
    out_channels, in_channels, kernel, _ = layer.weight.shape
    pad = kernel // 2
    height, width = x.shape[1:]
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    bias = layer.bias[bin_index if len(layer.bias) > 1 else 0]
    acc = np.broadcast_to(bias[:, None], (out_channels, height * width)).astype(np.int32)
    for dy in range(kernel):
        for dx in range(kernel):
            window = padded[:, dy : dy + height, dx : dx + width].reshape(in_channels, -1)
            acc += layer.weight[:, :, dy, dx].astype(np.int32) @ window
    half = np.int32(1 << (layer.shift - 1))
    out = np.minimum(np.maximum(acc + half, 0) >> layer.shift, layer.top)
    out = out.reshape(out_channels, height, width)
    return _shuffle(out) if layer.upsample else out


def _shuffle(x: NDArray[np.int32]) -> NDArray[np.int32]:
    channels, height, width = x.shape
    phases = x.reshape(channels // 4, 2, 2, height, width)
    return phases.transpose(0, 3, 1, 4, 2).reshape(channels // 4, 2 * height, 2 * width)
