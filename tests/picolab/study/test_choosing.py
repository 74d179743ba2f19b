"""Pairs that tell most."""

from __future__ import annotations

import numpy as np
import pytest
from studies import simulated

from picolab.study.belief import fit
from picolab.study.choosing import Chooser, all_pairs
from picolab.study.simulation import random_pairs


def test_all_pairs_are_of_one_picture() -> None:
    truth, _ = simulated(0)
    pairs = all_pairs(truth.stimuli)
    picture = truth.stimuli.picture
    assert np.array_equal(picture[pairs.first], picture[pairs.second])
    assert len(pairs.first) == 8 * 12 * 11 // 2


@pytest.mark.parametrize("measure", ["spread", "information"])
def test_a_batch_has_many_pairs_and_tells_more_than_chance(measure: str) -> None:
    truth, votes = simulated(0)
    belief = fit(votes.keep(votes.rater < 10))
    chooser = Chooser(belief, measure)
    before = chooser.covariance.copy()
    batch = chooser.batch(60)
    assert len({tuple(pair) for pair in batch.T}) > 30
    chosen = np.trace(chooser.ratings @ chooser.covariance @ chooser.ratings.T)
    other = Chooser(belief, measure)
    places = {
        (a, b): n
        for n, (a, b) in enumerate(zip(other.pairs.first, other.pairs.second, strict=True))
    }
    for pair in random_pairs(truth.stimuli, 60, np.random.default_rng(0)).T:
        best = places[min(pair), max(pair)]
        a, b = other.pairs.first[best], other.pairs.second[best]
        column = other.covariance[:, a] - other.covariance[:, b]
        weight = other.votes[best] / (1 + (column[a] - column[b]) * other.votes[best])
        other.covariance -= weight * np.outer(column, column)
    by_chance = np.trace(other.ratings @ other.covariance @ other.ratings.T)
    start = np.trace(other.ratings @ before @ other.ratings.T)
    assert start > by_chance > chosen


def test_pairs_of_clear_outcome_wait() -> None:
    """What everybody knows is not asked."""
    truth, votes = simulated(0, raters=60)
    belief = fit(votes)
    chooser = Chooser(belief)
    gap = np.abs(belief.quality[chooser.pairs.first] - belief.quality[chooser.pairs.second])
    picked = [chooser.pick() for _ in range(40)]
    assert gap[picked].mean() < gap.mean()


def test_an_unknown_measure_is_told() -> None:
    truth, votes = simulated(0, raters=2)
    with pytest.raises(ValueError, match="there are spread, information"):
        Chooser(fit(votes), "luck")
