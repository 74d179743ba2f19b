"""Values at knots, found again from what they gave at every bin of the level, rounded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

SLACK = 1e-3  # what a unit beyond a limit costs beside a unit of the largest error


def knots_behind(
    wanted: NDArray[np.integer],
    shares: NDArray[np.floating],
    low: int | None = None,
    high: int | None = None,
) -> NDArray[np.float64]:
    """Values `[K, C]` of which `shares` `[N, K]` makes what is nearest to the integers `wanted`
    `[N, C]`: the largest error is as small as it can be, so below a half where `wanted` is of such
    values, rounded. Where they were then clamped, `wanted` that is `low` or `high` stands for what
    lies beyond, too."""
    columns = [_nearest(column, shares, low, high) for column in wanted.astype(np.float64).T]
    return np.stack(columns, 1)


def _nearest(
    wanted: NDArray[np.float64],
    shares: NDArray[np.floating],
    low: int | None,
    high: int | None,
) -> NDArray[np.float64]:
    """A linear programme: values, their largest error, and how far each may lie beyond a limit."""
    bins, knots = shares.shape
    one, own = np.ones((bins, 1)), np.eye(bins)
    nothing = np.zeros((bins, bins))
    # shares @ values - above <= wanted + error, and the same from the other side.
    limits = np.block([[shares, -one, -own, nothing], [-shares, -one, nothing, -own]])
    cost = np.concatenate([np.zeros(knots), [1.0], np.full(2 * bins, SLACK / bins)])
    beyond = [(0, None if w == high else 0) for w in wanted]
    beyond += [(0, None if w == low else 0) for w in wanted]
    bounds = [(None, None)] * knots + [(0, None), *beyond]
    found = linprog(cost, limits, np.concatenate([wanted, -wanted]), bounds=bounds)
    if not found.success:
        raise ValueError(f"values at {knots} knots: {found.message}")
    return found.x[:knots]
