"""Raters that are not people: known qualities, noise, lapses and cheats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from picolab.study.belief import ELO, probabilities
from picolab.study.votes import LEFT, RIGHT, Condition, Floats, Integers, Stimuli, Votes


@dataclass(frozen=True)
class Truth:
    """What simulated raters perceive: `theta` float64 `[C]` and `quality` `[K]`, in logits."""

    stimuli: Stimuli
    theta: Floats
    quality: Floats

    def elo(self, alike: bool = False) -> Floats:
        """`[C]`, as `Belief.contrasts` would have it with nothing unknown, about a mean of 0."""
        values = self.theta if alike else self.stimuli.mean_matrix() @ self.quality
        return ELO * (values - values.mean())


@dataclass(frozen=True)
class Crowd:
    """Of what kind raters are: each has a discrimination, a width of ties and lapses of its own,
    and a share of them cheats, that is, presses anything."""

    reliability_spread: float = 0.3
    width: float = 0.5
    width_spread: float = 0.4
    lapses: float = 0.03
    cheats: float = 0.0


@dataclass(frozen=True)
class Raters:
    """Float64 `[R]` each: discrimination, width of ties, probability of a lapse (1: a cheat)."""

    reliability: Floats
    width: Floats
    lapse: Floats

    def answer(self, rater: Integers, difference: Floats, rng: np.random.Generator) -> Integers:
        """Answers to differences of quality, left minus right, in logits; int64 `[N]`."""
        x = self.reliability[rater] * difference
        chance = probabilities(x, self.width[rater], 0.0)
        drawn = rng.random(len(rater))
        answers = (drawn > chance[0]).astype(np.int64) + (drawn > chance[0] + chance[1])
        lapses = rng.random(len(rater)) < self.lapse[rater]
        return np.where(lapses, rng.integers(3, size=len(rater)), answers)


def draw_truth(
    rng: np.random.Generator,
    codecs: int = 3,
    rates: int = 4,
    pictures: int = 8,
    picture_spread: float = 0.4,
) -> Truth:
    """Codecs whose qualities rise with the logarithm of the rate, each at its own height and pace.

    Picture effects are normal, of `picture_spread` logits.
    """
    bpp = np.geomspace(0.1, 1.0, rates)
    heights = rng.normal(0, 0.8, codecs)
    paces = rng.uniform(0.8, 1.6, codecs)
    theta = (heights[:, None] + paces[:, None] * np.log(bpp / 0.3)).ravel()
    conditions = tuple(Condition(f"codec{a}", b) for a in range(codecs) for b in range(rates))
    count = len(conditions)
    stimuli = Stimuli(
        tuple(f"picture{number}" for number in range(pictures)),
        conditions,
        np.repeat(np.arange(pictures), count),
        np.tile(np.arange(count), pictures),
        np.tile(np.tile(bpp, codecs), pictures),
    )
    quality = theta[stimuli.condition] + rng.normal(0, picture_spread, count * pictures)
    return Truth(stimuli, theta, quality)


def draw_raters(rng: np.random.Generator, count: int, crowd: Crowd) -> Raters:
    """`count` raters of a crowd; the logarithms of the discriminations of those who do not cheat
    have a mean of 0, which is the unit of ratings."""
    lapse = rng.beta(1, 1 / crowd.lapses - 1, count) if crowd.lapses else np.zeros(count)
    cheats = rng.random(count) < crowd.cheats
    reliability = rng.normal(0, crowd.reliability_spread, count)
    reliability -= reliability[~cheats].mean() if not cheats.all() else 0
    return Raters(
        np.exp(reliability),
        crowd.width * np.exp(rng.normal(0, crowd.width_spread, count)),
        np.where(cheats, 1.0, lapse),
    )


def vote(
    truth: Truth,
    raters: Raters,
    rater: Integers,
    left: Integers,
    right: Integers,
    rng: np.random.Generator,
) -> Votes:
    """What raters say of pairs of stimuli."""
    answer = raters.answer(rater, truth.quality[left] - truth.quality[right], rng)
    names = tuple(f"rater{number}" for number in range(len(raters.width)))
    return Votes(truth.stimuli, names, left, right, rater, answer)


def random_pairs(stimuli: Stimuli, count: int, rng: np.random.Generator) -> Integers:
    """`[2, count]`: two different stimuli of one picture each, all equally likely."""
    first = rng.integers(len(stimuli.picture), size=count)
    pairs = np.empty((2, count), np.int64)
    for number, stimulus in enumerate(first):
        others = np.flatnonzero(stimuli.picture == stimuli.picture[stimulus])
        pairs[:, number] = stimulus, rng.choice(others[others != stimulus])
    return pairs


def trap_failures(
    raters: Raters, traps: int, difference: float, rng: np.random.Generator
) -> Integers:
    """How many of `traps` pairs, whose better side is `difference` logits better, each rater gets
    wrong; int64 `[R]`."""
    count = len(raters.width)
    rater = np.repeat(np.arange(count), traps)
    left_better = rng.random(len(rater)) < 0.5
    answers = raters.answer(rater, np.where(left_better, difference, -difference), rng)
    wrong = answers != np.where(left_better, LEFT, RIGHT)
    return wrong.reshape(count, traps).sum(1)


def pass_chance(reliability: float, difference: float, width: float) -> float:
    """That a rater without lapses gets one trap right."""
    return float(expit(reliability * difference - width))
