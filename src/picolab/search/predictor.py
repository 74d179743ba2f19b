"""A predictor of time from layers: what each kind of layer costs at each resolution.

A convolution's time is taken to be a sum of what its products, its inputs, its outputs and the
call itself take, each of them not negative. Layers of one kernel at one resolution share these
four; parts of the codec do not differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from picolab.search.layers import TIMED, layers_of

Floats = NDArray[np.float64]
LANES = 16  # processors work on so many channels at once: 20 cost what 32 do


@dataclass(frozen=True)
class Accuracy:
    """Of predictions for configurations that were not fitted to: the median and 90th percentile of
    errors as shares of the time, and Spearman's rank correlations with time, of the prediction and
    of multiply-accumulates alone."""

    count: int
    median_error: float
    high_error: float
    rank: float
    rank_of_macs: float


def features(fields: Mapping[str, Any], side: str, size: int) -> Floats:
    """`[size, F]`, for configurations with these fields: per pixel, in the order of `names`."""
    sums: dict[tuple[int, float], Floats] = {}
    for layer in layers_of(fields):
        if layer.part not in TIMED[side] or np.isinf(layer.at):
            continue
        inputs, outputs, count = (
            np.broadcast_to(np.asarray(x, np.float64), size)
            for x in (layer.inputs, layer.outputs, layer.count)
        )
        products = (-(-inputs // LANES)) * (-(-outputs // LANES)) * (LANES * layer.kernel) ** 2
        own = np.stack([products, inputs, outputs, np.ones(size)], 1)
        own *= (count / layer.at**2)[:, None]
        own[:, 3] *= layer.at**2 * (inputs > 0)
        key = layer.kernel, layer.at
        sums[key] = sums[key] + own if key in sums else own
    constant = np.ones((size, 1))
    return np.concatenate([*(sums[key] for key in sorted(sums)), constant], 1)


@dataclass(frozen=True)
class Predictor:
    """Seconds are `features @ weights`."""

    side: str
    weights: Floats

    def __call__(self, fields: Mapping[str, Any], size: int) -> Floats:
        """Seconds `[size]` of configurations with these fields."""
        return features(fields, self.side, size) @ self.weights


def fit(side: str, inputs: Floats, seconds: Floats) -> Predictor:
    """The predictor with the least squares of relative errors, of `inputs` `[N, F]`."""
    relative = inputs / seconds[:, None]
    scale = np.maximum(relative.max(0), 1e-30)
    weights, _ = nnls(relative / scale, np.ones(len(seconds)), maxiter=100 * inputs.shape[1])
    return Predictor(side, weights / scale)


def assess(side: str, inputs: Floats, seconds: Floats, macs: Floats) -> Accuracy:
    """Fit on the first half, and compare with the second. Raises `ValueError` for under 8."""
    if len(seconds) < 8:
        raise ValueError(f"{len(seconds)} timed configurations say nothing; time at least 8")
    half = len(seconds) // 2
    predicted = inputs[half:] @ fit(side, inputs[:half], seconds[:half]).weights
    error = np.abs(predicted / seconds[half:] - 1)
    return Accuracy(
        len(error),
        float(np.median(error)),
        float(np.quantile(error, 0.9)),
        rank_correlation(predicted, seconds[half:]),
        rank_correlation(macs, seconds),
    )


def rank_correlation(one: Sequence[float] | Floats, two: Sequence[float] | Floats) -> float:
    """Spearman's, NaN for fewer than three or where all are alike."""
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(two) == 0:
        return float("nan")
    from scipy.stats import spearmanr  # half a second, for a figure of the report

    return float(spearmanr(one, two).statistic)
