"""Bjøntegaard delta rate over a set of pictures, with its interval and its uncertainty; and the
other question, what quality the same bytes buy.

Curves are interpolated by the package `bjontegaard` (Herglotz et al., "The Bjøntegaard Bible",
2024) with PCHIP, log of the rate over quality. It would integrate over whatever the points of
both curves share; here the interval can be narrowed to rates of the anchor, is always told, and
nothing outside of both curves' points is ever used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import bjontegaard
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

LEAST_POINTS = 4
LEAST_OVERLAP = 0.5

Range = tuple[float, float]


class Refused(ValueError):
    """No honest BD-rate can be had of two curves; the message says why."""


@dataclass(frozen=True)
class Curve:
    """Rates in bits per pixel, and qualities on a scale that grows as the picture gets better."""

    bpp: Sequence[float]
    quality: Sequence[float]


@dataclass(frozen=True)
class Delta:
    """`percent` more bytes at equal quality (negative: fewer), averaged over `quality`, where the
    anchor takes `bpp`; `share` of the interval asked for is covered by both curves."""

    percent: float
    quality: Range
    bpp: Range
    share: float


@dataclass(frozen=True)
class Summary:
    """The mean of `percent` over `images` pictures with its 95 % bootstrap interval, the medians of
    `quality`, `bpp` and `share`, and the pictures that were refused with the reasons."""

    percent: float
    interval: Range
    images: int
    quality: Range
    bpp: Range
    share: float
    refused: Mapping[str, str]


def bd_rate(anchor: Curve, test: Curve, bpp_range: Range | None = None) -> Delta:
    """BD-rate of one picture, over the qualities that the anchor has within `bpp_range`.

    Raises `Refused` where a curve has under 4 points, or where the test curve covers less than
    half of the anchor's interval (without `bpp_range`: of the shorter curve's).
    """
    anchor_bpp, anchor_quality = _front(anchor, "anchor")
    test_bpp, test_quality = _front(test, "test")
    low = max(anchor_quality[0], test_quality[0])
    high = min(anchor_quality[-1], test_quality[-1])
    if low >= high:
        raise Refused("the curves have no quality in common")
    _, anchor_rate, test_rate = bjontegaard.bd_rate(
        anchor_bpp,
        anchor_quality,
        test_bpp,
        test_quality,
        method="pchip",
        require_matching_points=False,
        interpolators=True,
        min_overlap=0,
    )
    if bpp_range is None:
        spans = (anchor_quality[-1] - anchor_quality[0], test_quality[-1] - test_quality[0])
        wanted = min(spans)
    else:
        ends = np.clip(np.log10(bpp_range), np.log10(anchor_bpp[0]), np.log10(anchor_bpp[-1]))
        first, last = (_quality_at(anchor_rate, anchor_quality, end) for end in ends)
        if first >= last:
            raise Refused(f"the anchor has no rates within {bpp_range[0]}..{bpp_range[1]} bpp")
        wanted = last - first
        low, high = max(low, first), min(high, last)
    share = max(high - low, 0) / wanted
    if share < LEAST_OVERLAP:
        raise Refused(
            f"the curves share {share:.0%} of the interval, less than {LEAST_OVERLAP:.0%}"
        )
    mean = (test_rate.integrate(low, high) - anchor_rate.integrate(low, high)) / (high - low)
    bpp = (float(10 ** anchor_rate(low)), float(10 ** anchor_rate(high)))
    return Delta(float(10**mean - 1) * 100, (float(low), float(high)), bpp, float(share))


@dataclass(frozen=True)
class EqualBytes:
    """Mean quality over the same bytes of two codecs, means over `images` pictures; `missing` have
    less than half of the rates asked for in common."""

    anchor: float
    test: float
    images: int
    missing: int


def at_equal_bytes(
    anchor: Mapping[str, Curve], test: Mapping[str, Curve], bpp_range: Range
) -> EqualBytes:
    """Qualities of each picture averaged over the logarithm of the rate within `bpp_range`, where
    both curves have points; linear between them, no point left out.

    Raises `Refused` where no picture has rates in common.
    """
    means: list[tuple[float, float]] = []
    names = sorted(anchor.keys() & test.keys())
    for name in names:
        curves = [_by_rate(curve) for curve in (anchor[name], test[name])]
        low = max(np.log(bpp_range[0]), *(rate[0] for rate, _ in curves))
        high = min(np.log(bpp_range[1]), *(rate[-1] for rate, _ in curves))
        if high - low >= LEAST_OVERLAP * np.log(bpp_range[1] / bpp_range[0]):
            grid = np.linspace(low, high, 101)
            first, second = (float(np.interp(grid, *curve).mean()) for curve in curves)
            means.append((first, second))
    if not means:
        raise Refused("no picture has rates in common")
    of_anchor, of_test = np.mean(means, axis=0)
    return EqualBytes(float(of_anchor), float(of_test), len(means), len(names) - len(means))


def over_images(
    anchor: Mapping[str, Curve],
    test: Mapping[str, Curve],
    bpp_range: Range | None = None,
    resamples: int = 2000,
) -> Summary:
    """BD-rate of each picture that both have, averaged; the bootstrap resamples pictures.

    Raises `Refused` where no picture allows a BD-rate, with the first reason.
    """
    deltas: list[Delta] = []
    refused: dict[str, str] = {}
    for name in sorted(anchor.keys() & test.keys()):
        try:
            deltas.append(bd_rate(anchor[name], test[name], bpp_range))
        except Refused as reason:
            refused[name] = str(reason)
    if not deltas:
        raise Refused(next(iter(refused.values()), "no picture in common"))
    percents = np.array([delta.percent for delta in deltas])
    draws = np.random.default_rng(0).integers(len(percents), size=(resamples, len(percents)))
    low, high = np.quantile(percents[draws].mean(1), [0.025, 0.975])
    quality, bpp = (
        tuple(np.median([getattr(delta, part) for delta in deltas], axis=0).tolist())
        for part in ("quality", "bpp")
    )
    share = float(np.median([delta.share for delta in deltas]))
    return Summary(
        float(percents.mean()), (float(low), float(high)), len(deltas), quality, bpp, share, refused
    )


def _by_rate(curve: Curve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logarithms of the rates in ascending order, and the qualities there."""
    order = np.argsort(curve.bpp, kind="stable")
    return np.log(np.array(curve.bpp)[order]), np.array(curve.quality)[order]


def _front(curve: Curve, which: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The points that nobody would pass over: each better than all that take fewer bytes."""
    points = []
    best = -np.inf
    for bpp, quality in sorted(zip(curve.bpp, curve.quality, strict=True), key=_bytes_then_quality):
        if best < quality < np.inf and bpp > 0:
            points.append((bpp, quality))
            best = quality
    if len(points) < LEAST_POINTS:
        raise Refused(
            f"the {which} curve has {len(points)} usable points, {LEAST_POINTS} are needed"
        )
    return np.array(points).T[0], np.array(points).T[1]


def _bytes_then_quality(point: tuple[float, float]) -> tuple[float, float]:
    return point[0], -point[1]


def _quality_at(rate, quality: NDArray[np.float64], log_bpp: float) -> float:
    """The quality where a monotone curve `rate(quality)` takes the given log of the rate."""
    if log_bpp <= rate(quality[0]):
        return float(quality[0])
    if log_bpp >= rate(quality[-1]):
        return float(quality[-1])
    return float(brentq(lambda q: rate(q) - log_bpp, quality[0], quality[-1], xtol=1e-10))
