"""Up to where a careful try is worth its time: a limit of the encoder's, as measured.

Of the trials that the careful try won by the judge's cost, those furthest out are given up, as long
as all trials together lose no more than `LOSS`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from picolab.experiments.judge import Judgement
from picolab.experiments.trials import Crop, Trial

LOSS = 0.001  # of the cost, in the mean over trials


@dataclass(frozen=True)
class Try:
    """A careful try at where the limit would be for it; `gain` is the logarithm of how many times
    its cost the networks have, 0 where it lost."""

    at: float
    gain: float


def fit_quick_av1(crops: Sequence[Crop], judge: Judgement) -> float:
    """The cost of quick AV1 of letters, in costs of the networks, up to which careful AV1 is tried;
    raises `ValueError` where it won in hardly any crop."""
    tries = list(_tries(crops, judge))
    may_lose = LOSS * len(tries)
    for each in sorted(tries, key=lambda t: t.at, reverse=True):
        may_lose -= each.gain
        if may_lose < 0:
            return each.at
    raise ValueError("careful AV1 of letters won in hardly any crop: measure more of text")


def _tries(crops: Sequence[Crop], judge: Judgement) -> Iterator[Try]:
    for crop in crops:
        for careful, quick in _pairs(crop, "av1"):
            if crop.look.is_text:
                (learned,) = crop.at(careful.level, "learned")
                costs = [judge.cost(t, letters=True) for t in (learned, careful, quick)]
                # Bits alone rule a try out, too, before its pixels are looked at.
                at = max(costs[2], quick.bits) / costs[0]
                yield Try(at, max(math.log(costs[0] / costs[1]), 0))


def _pairs(crop: Crop, coder: str) -> Iterator[tuple[Trial, Trial]]:
    """What was tried carefully and quickly, else alike."""
    quick = {(t.level, t.quality): t for t in crop.trials if t.coder == f"{coder}, quick"}
    for careful in crop.trials:
        if careful.coder == coder and (careful.level, careful.quality) in quick:
            yield careful, quick[careful.level, careful.quality]
