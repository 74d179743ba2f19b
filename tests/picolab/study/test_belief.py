"""The quick posterior: right derivatives, right qualities, honest intervals."""

from __future__ import annotations

import numpy as np
import pytest
from studies import simulated

from picolab.study.belief import MEAN_ELO, derivatives, fit, integrate, probabilities
from picolab.study.experiments import CROWDS, PER_RATER, coverage
from picolab.study.simulation import Crowd, draw_raters, draw_truth, random_pairs, vote
from picolab.study.votes import Votes, join


def test_derivatives_are_those_of_the_probabilities() -> None:
    difference, alpha, omega, odds = 0.7, 0.2, -0.5, -2.0

    def chances(d: float, a: float, o: float, e: float) -> np.ndarray:
        lapse = 1 / (1 + np.exp(-e))
        return probabilities(np.array([np.exp(a) * d]), np.exp(o), lapse)[:, 0]

    point = (difference, alpha, omega, odds)
    found = derivatives(
        np.array([np.exp(alpha) * difference]),
        np.array([np.exp(alpha)]),
        np.array([np.exp(omega)]),
        1 / (1 + np.exp(-odds)),
    )[:, :, 0]
    for place in range(4):
        step = np.eye(4)[place] * 1e-6
        numeric = (chances(*(point + step)) - chances(*(point - step))) / 2e-6
        assert found[place] == pytest.approx(numeric, abs=1e-8)
    assert chances(*point).sum() == pytest.approx(1)


def test_qualities_come_back() -> None:
    truth, votes = simulated(3, raters=60)
    elo, covariance = integrate(votes).contrasts()
    assert elo.mean() == pytest.approx(MEAN_ELO)
    error = elo - MEAN_ELO - truth.elo()
    assert np.sqrt((error**2).mean()) < 50
    assert np.corrcoef(elo, truth.elo())[0, 1] > 0.99
    assert np.all(np.diag(covariance) > 0)


def test_few_votes_leave_lapses_open() -> None:
    """Raters may lapse often and qualities lie far apart, or rarely and nearer together."""
    rng = np.random.default_rng(0)
    truth = draw_truth(rng, codecs=2, rates=3, pictures=4)
    raters = draw_raters(rng, 10, Crowd())
    spreads = []
    for count in (400, 8000):
        left, right = random_pairs(truth.stimuli, count, rng)
        rater = np.repeat(np.arange(10), count // 10)
        votes = vote(truth, raters, rater, left, right, rng)
        found, sure = integrate(votes).contrasts()[1], fit(votes).contrasts()[1]
        spreads.append(np.sqrt(np.diag(found) / np.diag(sure)).mean())
    few, many = spreads
    assert few > 1.3  # sampled in full: 1.4 by its quartiles, 1.8 with its tail
    assert 0.97 < many < 1.1


def test_intervals_cover() -> None:
    """Of 3 studies; docs/simulated-raters.md has 200."""
    covered = [coverage(seed, "honest").covered for seed in range(3)]
    assert 0.85 <= np.mean(covered) <= 1


def test_a_rater_who_presses_anything_is_believed_least() -> None:
    truth, votes = simulated(5)
    rng = np.random.default_rng(0)
    cheat = votes.rater == 7
    answer = np.where(cheat, rng.integers(3, size=len(votes)), votes.answer)
    belief = fit(Votes(votes.stimuli, votes.raters, votes.left, votes.right, votes.rater, answer))
    assert belief.reliability.argmin() == 7
    assert belief.reliability[7] < 0.7


def test_an_earlier_belief_leads_to_the_same() -> None:
    _, votes = simulated(1)
    early = fit(votes.keep(votes.rater < 20))
    afresh, further = fit(votes), fit(votes, early)
    difference = afresh.contrasts()[0] - further.contrasts()[0]
    assert np.abs(difference).max() < 3


def test_no_votes_are_a_belief_too() -> None:
    _, votes = simulated(1)
    nobody = votes.keep(np.zeros(len(votes), bool)).without_raters(votes.raters)
    assert nobody.raters == ()
    elo, covariance = fit(nobody).contrasts()
    assert elo == pytest.approx(np.full(len(elo), MEAN_ELO))
    assert np.sqrt(covariance[0, 0]) > 200


def test_pictures_like_these_are_less_sure_than_these() -> None:
    _, votes = simulated(2)
    belief = integrate(votes)
    these, alike = (np.diag(belief.contrasts(kind)[1]) for kind in (False, True))
    assert np.all(alike > these)


def test_raters_leave_with_their_votes() -> None:
    _, votes = simulated(1, raters=4)
    left = votes.without_raters(["rater1"])
    assert left.raters == ("rater0", "rater2", "rater3")
    assert len(left) == 3 * PER_RATER
    assert set(left.rater) == {0, 1, 2}
    assert len(join(left, left)) == 6 * PER_RATER


def test_cheats_are_left_out_by_traps() -> None:
    found = coverage(1, "with cheats")
    assert found.cheats_left_out >= found.cheats - 1 > 0
    assert found.honest_left_out <= 2
    assert set(CROWDS) == {"honest", "with cheats"}
