"""From a posterior to what a report says: Elo with intervals, and perceptual BD-rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.optimize import isotonic_regression

from picolab.evaluation.bjontegaard import LEAST_OVERLAP, LEAST_POINTS, Range
from picolab.study.belief import ELO, MEAN_ELO, Belief
from picolab.study.sampling import Sample
from picolab.study.votes import Condition, Floats, Integers, Stimuli

MOST_REFUSED = 0.05


@dataclass(frozen=True)
class Posterior:
    """Draws of Elo, float64 `[S, C]`, mean over conditions 1500.

    `elo` is of the study's own pictures, `alike` of all pictures like these; `stimulus` `[S, K]`
    is of single decoded pictures, on the same scale. `method` and `warnings` are for people.
    """

    stimuli: Stimuli
    elo: Floats
    alike: Floats
    stimulus: Floats
    method: str
    warnings: list[str]


@dataclass(frozen=True)
class Rating:
    """A condition's Elo, its 95 % interval for these pictures and for pictures like these, mean
    bits per pixel of its files (nan where not known), and how many votes it was in."""

    condition: Condition
    elo: float
    interval: Range
    alike: Range
    bpp: float
    votes: int


@dataclass(frozen=True)
class PerceptualDelta:
    """`percent` more bytes of `codec` than of `anchor` at equal Elo (negative: fewer), with its
    95 % interval; `refused` is the share of draws whose curves have too little in common.

    `reason` says why there is none, and is empty where there is one.
    """

    codec: str
    anchor: str
    percent: float
    interval: Range
    refused: float
    reason: str = ""


def from_sample(sample: Sample) -> Posterior:
    """Of NumPyro's draws."""
    elo = sample.elo()
    own = sample.quality @ sample.stimuli.mean_matrix().T
    stimulus = MEAN_ELO + ELO * (sample.quality - own.mean(1, keepdims=True))
    return Posterior(
        sample.stimuli, elo, sample.elo(True), stimulus, "NUTS (NumPyro)", sample.warnings
    )


def from_belief(belief: Belief, draws: int = 4000, seed: int = 0) -> Posterior:
    """Of draws from the normal approximation."""
    values = belief.draws(draws, seed)
    quality, theta = values[:, : len(belief.quality)], values[:, len(belief.quality) :]
    own = quality @ belief.stimuli.mean_matrix().T
    centre = own.mean(1, keepdims=True)
    return Posterior(
        belief.stimuli,
        MEAN_ELO + ELO * (own - centre),
        MEAN_ELO + ELO * (theta - theta.mean(1, keepdims=True)),
        MEAN_ELO + ELO * (quality - centre),
        "Laplace's approximation",
        [],
    )


def ratings(posterior: Posterior, counts: Integers | None = None) -> list[Rating]:
    """By codec and rate; `counts` `[C]` are the votes that each was in."""
    bpp = posterior.stimuli.mean_matrix() @ posterior.stimuli.bpp
    low, high = np.quantile(posterior.elo, [0.025, 0.975], axis=0)
    alike_low, alike_high = np.quantile(posterior.alike, [0.025, 0.975], axis=0)
    return [
        Rating(
            condition,
            float(posterior.elo[:, c].mean()),
            (float(low[c]), float(high[c])),
            (float(alike_low[c]), float(alike_high[c])),
            float(bpp[c]),
            0 if counts is None else int(counts[c]),
        )
        for c, condition in enumerate(posterior.stimuli.conditions)
    ]


def deltas(
    posterior: Posterior, most_draws: int = 1000, anchor: str | None = None
) -> list[PerceptualDelta]:
    """Perceptual BD-rate of every codec against every other, or against one `anchor`."""
    codecs = list(dict.fromkeys(c.codec for c in posterior.stimuli.conditions))
    bpp = posterior.stimuli.mean_matrix() @ posterior.stimuli.bpp
    thinned = posterior.elo[:: max(1, len(posterior.elo) // most_draws)]
    members = {
        codec: [n for n, c in enumerate(posterior.stimuli.conditions) if c.codec == codec]
        for codec in codecs
    }
    # Of each draw once, not once more with every other codec.
    curves = {
        codec: _curves(codec, bpp[places], thinned[:, places]) for codec, places in members.items()
    }
    return [
        _delta(curves[codec], curves[other])
        for codec, other in permutations(codecs, 2)
        if anchor in (None, other)
    ]


@dataclass(frozen=True)
class _Curves:
    """A codec's curve in each draw, None where it has no two points; or why there are none."""

    codec: str
    draws: Sequence[PchipInterpolator | None] = ()
    refused: str = ""


def _curves(codec: str, bpp: Floats, draws: Floats) -> _Curves:
    if len(bpp) < LEAST_POINTS:
        return _Curves(codec, refused=f"{codec} has {len(bpp)} rates, {LEAST_POINTS} are needed")
    if not np.all(bpp > 0):
        return _Curves(codec, refused=f"the bits per pixel of {codec} are not known")
    return _Curves(codec, [_curve(bpp, draw) for draw in draws])


def _delta(test: _Curves, anchor: _Curves) -> PerceptualDelta:
    nothing = PerceptualDelta(test.codec, anchor.codec, np.nan, (np.nan, np.nan), 1.0)
    if reason := test.refused or anchor.refused:
        return _refused(nothing, reason)
    values = np.array(
        [_between(one, other) for one, other in zip(anchor.draws, test.draws, strict=True)]
    )
    usable = values[~np.isnan(values)]
    refused = float(np.isnan(values).mean())
    if refused > 0.5:
        return _refused(nothing, f"{refused:.0%} of the draws have too little quality in common")
    low, high = np.quantile(usable, [0.025, 0.975])
    median = float(np.median(usable))
    return replace(nothing, percent=median, interval=(float(low), float(high)), refused=refused)


def _refused(delta: PerceptualDelta, reason: str) -> PerceptualDelta:
    return PerceptualDelta(delta.codec, delta.anchor, np.nan, delta.interval, 1.0, reason)


def delta_rate(anchor_bpp: Floats, anchor_elo: Floats, test_bpp: Floats, test_elo: Floats) -> float:
    """BD-rate in percent of one pair of curves: PCHIP of the log of the rate over Elo, averaged
    over the Elo that both have. nan where they share less than half of the shorter one.

    As `evaluation.bjontegaard`, but neighbouring rates whose Elo falls with the bytes, which in a
    draw is chance, are pooled: their mean Elo, at the mean of the logarithms of their rates.
    """
    return _between(_curve(anchor_bpp, anchor_elo), _curve(test_bpp, test_elo))


def _curve(bpp: Floats, elo: Floats) -> PchipInterpolator | None:
    rate, grows = monotone(bpp, elo)
    return PchipInterpolator(grows, rate) if len(grows) > 1 else None


def _between(anchor: PchipInterpolator | None, test: PchipInterpolator | None) -> float:
    if anchor is None or test is None:
        return float("nan")
    low = max(anchor.x[0], test.x[0])
    high = min(anchor.x[-1], test.x[-1])
    shorter = min(anchor.x[-1] - anchor.x[0], test.x[-1] - test.x[0])
    if high - low < LEAST_OVERLAP * shorter:
        return float("nan")
    difference = test.integrate(low, high) - anchor.integrate(low, high)
    return float(np.expm1(difference / (high - low)) * 100)


def monotone(bpp: Floats, elo: Floats) -> tuple[Floats, Floats]:
    """Logarithms of rates and Elo, both growing: isotonic regression, each pool one point."""
    order = np.argsort(bpp, kind="stable")
    rate = np.log(bpp[order])
    fitted = isotonic_regression(elo[order])
    starts = fitted.blocks[:-1]
    sizes = np.diff(fitted.blocks)
    return np.add.reduceat(rate, starts) / sizes, fitted.x[starts]
