"""Full sampling, beside the quick approximation."""

from __future__ import annotations

import numpy as np
import pytest
from installed import need

from picolab.study.belief import integrate
from picolab.study.ratings import from_belief, from_sample
from picolab.study.sampling import sample
from picolab.study.simulation import Crowd, draw_raters, draw_truth, random_pairs, vote

need("numpyro", extra="pip install './lab[study]'")


def test_sampling_agrees_with_the_approximation() -> None:
    """Where so few votes leave lapses open, qualities have a long tail, which a few hundred draws
    meet too seldom for their standard deviation to be stable: medians and quartiles are."""
    rng = np.random.default_rng(0)
    truth = draw_truth(rng, codecs=2, rates=3, pictures=4)
    raters = draw_raters(rng, 10, Crowd())
    left, right = random_pairs(truth.stimuli, 400, rng)
    votes = vote(truth, raters, np.repeat(np.arange(10), 40), left, right, rng)
    drawn = sample(votes, draws=300, warmup=150, chains=1)
    full, quick = from_sample(drawn), from_belief(integrate(votes))
    spread = _spread(full.elo)
    apart = np.median(full.elo, 0) - quick.elo.mean(0)
    assert full.elo.mean() == pytest.approx(1500)
    assert np.abs(apart / spread).max() < 0.6
    assert quick.elo.std(0).mean() == pytest.approx(spread.mean(), rel=0.25)
    assert _spread(full.alike).mean() > spread.mean()
    assert drawn.rhat < 1.1
    assert drawn.effective > 25
    # So few draws are not to be trusted, and the sample says so.
    assert any("effective sample size" in warning for warning in drawn.warnings)


def _spread(draws: np.ndarray) -> np.ndarray:
    """Standard deviations of the normal distributions with the same quartiles, `[C]`."""
    low, high = np.quantile(draws, [0.25, 0.75], axis=0)
    return (high - low) / 1.349
