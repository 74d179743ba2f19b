"""Stage 1: multiply-accumulates and parameters of every configuration, and those in the window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picolab.search.layers import CODING, Layer, layers_of
from picolab.search.space import Side, Window

CHUNK = 1 << 17  # configurations at once: a few hundred megabytes


@dataclass(frozen=True)
class Cost:
    """Of each configuration, arrays `[N]`: kMAC/pixel, and parameters of the whole codec."""

    decoding: NDArray[np.float64]
    encoding: NDArray[np.float64]
    parameters: NDArray[np.int64]

    def within(self, window: Window) -> NDArray[np.bool_]:
        (low, high), (least, most) = window.decoding, window.encoding
        inside = (low <= self.decoding) & (self.decoding <= high)
        return inside & (least <= self.encoding) & (self.encoding <= most)


def macs_by_part(layers: Iterable[Layer]) -> dict[str, Any]:
    """Multiply-accumulates per pixel of each part."""
    return _by_part((layer.part, layer.macs) for layer in layers)


def parameters_by_part(layers: Iterable[Layer]) -> dict[str, Any]:
    return _by_part((layer.part, layer.parameters) for layer in layers)


def _by_part(values: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    sums: dict[str, Any] = {}
    for part, value in values:
        sums[part] = sums.get(part, 0) + value
    return sums


def cost_of(fields: Mapping[str, Any], size: int) -> Cost:
    """The cost of `size` configurations with these fields (`Side.columns`)."""
    layers = layers_of(fields)
    macs, parameters = macs_by_part(layers), parameters_by_part(layers)
    coding = {
        side: np.broadcast_to(sum(macs[part] for part in parts) / 1e3, size)
        for side, parts in CODING.items()
    }
    total = np.broadcast_to(sum(parameters.values()), size).astype(np.int64)
    return Cost(coding["decoder"], coding["encoder"], total)


def cost_of_all(side: Side) -> Cost:
    """The cost of all configurations of a side, in the order of their numbers."""
    costs = [cost_of(side.columns(numbers), len(numbers)) for numbers in chunks(side.count)]
    return Cost(
        np.concatenate([cost.decoding for cost in costs]),
        np.concatenate([cost.encoding for cost in costs]),
        np.concatenate([cost.parameters for cost in costs]),
    )


def chunks(count: int) -> Iterator[NDArray[np.int64]]:
    for start in range(0, count, CHUNK):
        yield np.arange(start, min(start + CHUNK, count))
