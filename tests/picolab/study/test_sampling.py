"""Full sampling, beside the quick approximation."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numpyro", reason="needs pip install './lab[study]'")

from picolab.study.belief import integrate
from picolab.study.ratings import from_belief, from_sample
from picolab.study.sampling import sample
from picolab.study.simulation import Crowd, draw_raters, draw_truth, random_pairs, vote


def test_sampling_agrees_with_the_approximation() -> None:
    rng = np.random.default_rng(0)
    truth = draw_truth(rng, codecs=2, rates=3, pictures=4)
    raters = draw_raters(rng, 10, Crowd())
    left, right = random_pairs(truth.stimuli, 400, rng)
    votes = vote(truth, raters, np.repeat(np.arange(10), 40), left, right, rng)
    drawn = sample(votes, draws=250, warmup=150, chains=1)
    full, quick = from_sample(drawn), from_belief(integrate(votes))
    apart = full.elo.mean(0) - quick.elo.mean(0)
    spread = full.elo.std(0)
    assert full.elo.mean() == pytest.approx(1500)
    assert np.abs(apart).max() < 0.6 * spread.max()
    assert quick.elo.std(0).mean() == pytest.approx(spread.mean(), rel=0.25)
    assert full.alike.std(0).mean() > spread.mean()
    assert drawn.rhat < 1.3
    # So few draws are not to be trusted, and the sample says so.
    assert any("effective sample size" in warning for warning in drawn.warnings)
