"""Studies that tests share: one of files, and simulated ones."""

from __future__ import annotations

import numpy as np

from picolab.study.experiments import PER_RATER
from picolab.study.settings import Settings
from picolab.study.simulation import Crowd, Truth, draw_raters, draw_truth, random_pairs, vote
from picolab.study.votes import Votes

SMALL = Settings(
    crop=96,
    plates=2,
    plates_wrong=0,
    screens=2,
    screens_wrong=0,
    trials=6,
    trap_every=3,
    break_every=4,
    raters=5,
    random_share=0.5,
    contact="study@example.org",
    crowd_parameter="WORKER",
)


def simulated(seed: int, raters: int = 30) -> tuple[Truth, Votes]:
    """A truth, and what so many raters say of random pairs of it."""
    rng = np.random.default_rng(seed)
    truth = draw_truth(rng)
    people = draw_raters(rng, raters, Crowd())
    left, right = random_pairs(truth.stimuli, raters * PER_RATER, rng)
    rater = np.repeat(np.arange(raters), PER_RATER)
    return truth, vote(truth, people, rater, left, right, rng)
