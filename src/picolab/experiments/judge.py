"""The judge's numbers, from trials: what distances are worth, and the distortion that stands for
them.

What distances are worth in bits, the networks themselves say: by how much each falls for a bit
more, over photos. The judge's distortion, which knows neither LPIPS nor DISTS, is fitted to choose
as the sum of the three would.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from picocodec.encoding.judge import LETTERS_WORTH
from picocodec.format.container import LEVEL_STEPS
from picolab.experiments.trials import LEVELS, Crop, Trial

DISTANCES = "lpips", "dists", "mse"
WORTH = {"lpips": 0.4, "dists": 0.4, "mse": 0.2}
SOFTNESS = 0.05  # of the choice among candidates, in logarithms of their costs
LOSS = 0.001  # of the cost, in the mean over trials, that a quick try may lose


@dataclass(frozen=True)
class Exponential:
    """A number that grows by a factor with the level: `start` at 0, `start * growth` at 1000."""

    start: float
    growth: float

    def at(self, level: int) -> float:
        return self.start * self.growth ** (level / LEVEL_STEPS)


def exchange_rates(crops: Sequence[Crop]) -> dict[str, Exponential]:
    """Bits a pixel for which the networks exchange each distance, over photos."""
    shares = np.array(LEVELS) / LEVEL_STEPS
    found = {}
    for distance in DISTANCES:
        rates = []
        for level in LEVELS:
            photos = [crop for crop in crops if crop.at(level, "learned, more")]
            less = [t for crop in photos for t in crop.at(level, "learned")]
            more = [t for crop in photos for t in crop.at(level, "learned, more")]
            bits = np.mean([t.bits for t in more]) - np.mean([t.bits for t in less])
            fall = np.mean([getattr(t, distance) for t in less])
            fall -= np.mean([getattr(t, distance) for t in more])
            rates.append(bits / fall)
        slope, start = np.polyfit(shares, np.log(rates), 1)
        found[distance] = Exponential(math.exp(start), math.exp(slope))
    return found


def true_cost(trial: Trial, rates: dict[str, Exponential]) -> float:
    """Bits a pixel, distances included."""
    return trial.bits + sum(
        WORTH[distance] * rates[distance].at(trial.level) * getattr(trial, distance)
        for distance in DISTANCES
    )


@dataclass(frozen=True)
class Judgement:
    """What the judge's distortion is: the worth of squared errors and of detail."""

    errors: Exponential
    detail: Exponential

    def cost(self, trial: Trial, letters: bool = False) -> float:
        """Bits a pixel, distortion included; of letters as the encoder's judge has it."""
        errors = self.errors.at(trial.level) * trial.mse
        if letters:
            return trial.bits + LETTERS_WORTH * errors
        return trial.bits + errors + self.detail.at(trial.level) * trial.detail


def fit_judgement(crops: Sequence[Crop], rates: dict[str, Exponential]) -> Judgement:
    """Squared errors are worth their share of what the networks exchange them for; detail what
    makes the choices best."""
    from scipy.optimize import minimize

    errors = Exponential(WORTH["mse"] * rates["mse"].start, rates["mse"].growth)
    groups = [c for crop in crops for level in LEVELS if len(c := crop.candidates(level)) > 1]
    truths = [np.log([true_cost(t, rates) for t in group]) for group in groups]

    def regret(numbers: NDArray[np.float64]) -> float:
        judge = Judgement(errors, Exponential(*np.exp(numbers)))
        total = 0.0
        for group, truth in zip(groups, truths, strict=True):
            costs = np.log([judge.cost(t) for t in group])
            chosen = np.exp((costs.min() - costs) / SOFTNESS)
            total += float(chosen @ truth / chosen.sum() - truth.min())
        return total / len(groups)

    found = minimize(regret, [-1.0, 4.0], method="Nelder-Mead", options={"maxiter": 200})
    return Judgement(errors, Exponential(*np.exp(found.x)))


def fit_quality(crops: Sequence[Crop], rates: dict[str, Exponential]) -> list[float]:
    """libavif's quality by the share of the level: constant, by it, by its square. Between and
    beyond the two qualities tried bits and distances are taken for exponential."""
    best = []
    for level in LEVELS:
        pairs = [p for crop in crops if len(p := crop.at(level, "av1")) == 2]
        bits = [np.mean([p[i].bits for p in pairs]) for i in (0, 1)]
        rest = [np.mean([true_cost(p[i], rates) - p[i].bits for p in pairs]) for i in (0, 1)]
        middle = np.mean([t.quality for p in pairs for t in p])
        apart = np.mean([p[1].quality - p[0].quality for p in pairs])
        rise, fall = math.log(bits[1] / bits[0]) / apart, math.log(rest[0] / rest[1]) / apart
        paid = fall * math.sqrt(rest[0] * rest[1]) / (rise * math.sqrt(bits[0] * bits[1]))
        best.append(middle + math.log(paid) / (rise + fall))
    bend, slope, start = np.polyfit(np.array(LEVELS) / LEVEL_STEPS, best, 2)
    return [float(start), float(slope), float(bend)]


def fit_bits(crops: Sequence[Crop]) -> Exponential:
    """Bits of a pixel of photos by the networks."""
    photos = [crop for crop in crops if crop.at(LEVELS[0], "learned, more")]
    bits = [np.mean([t.bits for c in photos for t in c.at(at, "learned")]) for at in LEVELS]
    slope, start = np.polyfit(np.array(LEVELS) / LEVEL_STEPS, np.log(bits), 1)
    return Exponential(math.exp(start), math.exp(slope))


def fit_quick_av1(crops: Sequence[Crop], judge: Judgement) -> float:
    """The cost of quick AV1 of letters and drawings, in costs of the best other way, up to which
    careful AV1 is tried.

    Of the trials that careful AV1 won those furthest out are given up, as long as all trials lose
    no more than `LOSS`. Raises `ValueError` where it won in hardly any.
    """
    tries = []  # where the limit would be for it, and the logarithm of what careful AV1 saves
    for crop in crops:
        for quick in (t for t in crop.trials if t.coder == "av1, quick"):
            careful = [t for t in crop.at(quick.level, "av1") if t.quality == quick.quality]
            others = crop.at(quick.level, "learned", "exact")
            costs = [judge.cost(t, crop.look.is_text) for t in (quick, *careful, *others)]
            best = min(costs[2:])
            # Bits alone rule a try out, too, before its pixels are looked at.
            tries.append((max(costs[0], quick.bits) / best, max(math.log(best / costs[1]), 0.0)))
    may_lose = LOSS * len(tries)
    for at, saved in sorted(tries, reverse=True):
        may_lose -= saved
        if may_lose < 0:
            return at
    raise ValueError("careful AV1 won in hardly any crop: measure more of text, graphics")


def report(crops: Sequence[Crop], judge: Judgement, rates: dict[str, Exponential]) -> str:
    """A table by category: how far the networks alone, and the judge's choices, are from the best
    choice, in percent of its true cost."""
    rows = ["| category | crops | networks alone | judge |", "| --- | --- | --- | --- |"]
    for category in sorted({crop.category for crop in crops}):
        members = [crop for crop in crops if crop.category == category]
        alone, judged = [], []
        for group in (crop.candidates(level) for crop in members for level in LEVELS):
            truths = [math.log(true_cost(t, rates)) for t in group]
            alone.append(truths[0] - min(truths))
            costs = [judge.cost(t) for t in group]
            chosen = costs.index(min(costs))
            judged.append(truths[chosen] - min(truths))
        percents = [f"{100 * math.expm1(np.mean(values)):.1f} %" for values in (alone, judged)]
        rows.append(f"| {category} | {len(members)} | {percents[0]} | {percents[1]} |")
    return "\n".join(rows)
