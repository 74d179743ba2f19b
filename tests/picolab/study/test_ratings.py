"""Perceptual BD-rates."""

from __future__ import annotations

import numpy as np
import pytest

from picolab.evaluation.bjontegaard import Curve, bd_rate
from picolab.study.ratings import Posterior, delta_rate, deltas, monotone, ratings
from picolab.study.votes import Condition, Stimuli

BPP = np.array([0.1, 0.2, 0.4, 0.8])


def posterior(bpp: np.ndarray, elo: np.ndarray, codecs: int = 2, noise: float = 10) -> Posterior:
    rates = len(bpp) // codecs
    conditions = tuple(Condition(f"c{n // rates}", n % rates) for n in range(len(bpp)))
    stimuli = Stimuli(("p",), conditions, np.zeros(len(bpp), int), np.arange(len(bpp)), bpp)
    draws = elo + np.random.default_rng(0).normal(0, noise, (500, len(bpp)))
    return Posterior(stimuli, draws, draws, draws, "test", [])


def test_smooth_curves_have_the_bd_rate_of_the_evaluation() -> None:
    anchor, test = np.array([1300.0, 1450, 1600, 1720]), np.array([1350.0, 1480, 1640, 1790])
    theirs = bd_rate(Curve(BPP, anchor), Curve(0.9 * BPP, test)).percent
    assert delta_rate(BPP, anchor, 0.9 * BPP, test) == pytest.approx(theirs, rel=1e-6)


def test_the_same_curve_at_half_the_bytes_is_half() -> None:
    elo = np.array([1300.0, 1450, 1600, 1720])
    assert delta_rate(BPP, elo, BPP / 2, elo) == pytest.approx(-50)
    found = deltas(posterior(np.concatenate([BPP, BPP / 2]), np.concatenate([elo, elo])))
    by_name = {(d.codec, d.anchor): d for d in found}
    low, high = by_name["c1", "c0"].interval
    assert low < -50 < high
    assert by_name["c0", "c1"].percent == pytest.approx(100, abs=5)


def test_falling_neighbours_are_pooled() -> None:
    rate, elo = monotone(BPP, np.array([1300.0, 1500, 1480, 1700]))
    assert elo == pytest.approx([1300, 1490, 1700])
    assert np.exp(rate) == pytest.approx([0.1, np.sqrt(0.08), 0.8])


def test_nothing_in_common_is_no_number() -> None:
    low, high = np.array([1000.0, 1050, 1100, 1150]), np.array([1500.0, 1550, 1600, 1650])
    assert np.isnan(delta_rate(BPP, low, BPP, high))
    bpp = np.concatenate([BPP, BPP])
    found = deltas(posterior(bpp, np.concatenate([low, high]), noise=1))
    assert "too little quality in common" in found[0].reason


@pytest.mark.parametrize(
    ("bpp", "reason"), [(np.full(8, np.nan), "not known"), (np.tile(BPP[:3], 2), "4 are needed")]
)
def test_reasons_are_told(bpp: np.ndarray, reason: str) -> None:
    elo = np.tile(np.arange(len(bpp) // 2) * 100.0 + 1300, 2)
    assert all(reason in delta.reason for delta in deltas(posterior(bpp, elo)))


def test_ratings_have_intervals() -> None:
    elo = np.arange(8) * 50.0 + 1325
    found = ratings(posterior(np.tile(BPP, 2), elo), np.arange(8))
    assert [r.votes for r in found] == list(range(8))
    assert all(r.interval[0] < e < r.interval[1] for r, e in zip(found, elo, strict=True))
    assert found[2].bpp == 0.4
