"""Which pairs to show next: those whose answers are expected to tell most about the ratings.

Two measures of what an answer tells, both from the belief's normal distribution:

- `spread`: how far the answer is expected to bring down the sum of the variances of all ratings
  (A-optimal design). This is the default: it asks for what the report prints, narrow intervals.
- `information`: mutual information of the answer and the difference of the two qualities, in nats,
  the picture's own effects included, which no rating needs.

Both take Fisher's information of a vote, averaged over the differences that the belief thinks
possible, for that of a normal measurement. A batch is chosen one by one, each pair as if those
before were answered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from picolab.study.belief import Belief, derivatives, probabilities
from picolab.study.votes import Floats, Integers, Stimuli

MEASURES = ("spread", "information")
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


@dataclass(frozen=True)
class Pairs:
    """All pairs of stimuli of one picture: int64 `[M]` each."""

    first: Integers
    second: Integers


def all_pairs(stimuli: Stimuli) -> Pairs:
    """Every pair that a trial could show, first < second."""
    first, second = [], []
    for picture in range(len(stimuli.pictures)):
        members = np.flatnonzero(stimuli.picture == picture)
        a, b = np.triu_indices(len(members), 1)
        first.append(members[a])
        second.append(members[b])
    return Pairs(np.concatenate(first), np.concatenate(second))


class Chooser:
    """Picks pairs one by one; what it picked counts as answered from then on."""

    def __init__(self, belief: Belief, measure: str = "spread") -> None:
        if measure not in MEASURES:
            raise ValueError(f"no measure is called {measure}; there are {', '.join(MEASURES)}")
        self.measure = measure
        self.pairs = all_pairs(belief.stimuli)
        count = len(belief.quality)
        self.covariance = belief.covariance[:count, :count].copy()
        conditions = len(belief.stimuli.conditions)
        centre = np.eye(conditions) - 1 / conditions
        self.ratings = centre @ belief.stimuli.mean_matrix()
        difference = belief.quality[self.pairs.first] - belief.quality[self.pairs.second]
        self.votes = _expected_votes(difference, self._variance(), belief.nu, belief.lapse)

    def gains(self) -> Floats:
        """What each of `pairs` tells, `[M]`: squared logits or nats."""
        variance = self._variance()
        if self.measure == "information":
            return np.log1p(self.votes * variance) / 2
        with_ratings = self.ratings @ self.covariance
        shift = with_ratings[:, self.pairs.first] - with_ratings[:, self.pairs.second]
        return (shift**2).sum(0) * self.votes / (1 + variance * self.votes)

    def pick(self) -> int:
        """The index of the best pair, which counts as answered from now on."""
        best = int(self.gains().argmax())
        a, b = self.pairs.first[best], self.pairs.second[best]
        column = self.covariance[:, a] - self.covariance[:, b]
        variance = column[a] - column[b]
        weight = self.votes[best] / (1 + variance * self.votes[best])
        self.covariance -= weight * np.outer(column, column)
        return best

    def batch(self, count: int) -> Integers:
        """The next `count` pairs: int64 `[2, count]` of stimuli."""
        picked = [self.pick() for _ in range(count)]
        return np.stack([self.pairs.first[picked], self.pairs.second[picked]])

    def _variance(self) -> Floats:
        a, b = self.pairs.first, self.pairs.second
        own = np.diag(self.covariance)
        return np.maximum(own[a] + own[b] - 2 * self.covariance[a, b], 1e-12)


def _expected_votes(mean: Floats, variance: Floats, width: float, lapse: float) -> Floats:
    """Fisher's information of one answer about the difference, averaged over the belief, `[M]`."""
    total = np.zeros(len(mean))
    for node, weight in zip(NODES, WEIGHTS, strict=True):
        x = mean + np.sqrt(variance) * node
        ones = np.ones(len(mean))
        slopes = derivatives(x, ones, ones * width, lapse)[0]
        total += weight * (slopes**2 / probabilities(x, width, lapse)).sum(0)
    return total
