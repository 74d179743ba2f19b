"""From which figures on a careful try is worth its time: the encoder's limits, as measured.

Each is the extreme of the trials in which the careful try won by the judge's cost. What lies beyond
it is not tried, so that on these crops nothing that wins is missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from picocodec.encoding.judge import EXACT_WORTH
from picolab.experiments.judge import Judgement
from picolab.experiments.trials import Crop, Trial


@dataclass(frozen=True)
class Limits:
    """`quick_lossless`: the least share of a quick try's bytes that careful lossless coding takes.
    `changes`: the least bits of the networks for each pixel that is not as its left neighbour,
    where exact pixels of no screen won. `quick_av1`: the most that quick AV1 of letters cost, in
    costs of the networks, where careful AV1 won."""

    quick_lossless: float
    changes: float
    quick_av1: float


def fit_limits(crops: Sequence[Crop], judge: Judgement, pixels: int) -> Limits:
    """The limits by trials of crops of so many pixels each; raises `ValueError` where no crop has
    anything to say of one of them."""
    return Limits(
        _extreme(min, _quick_lossless(crops), "lossless coding"),
        _extreme(min, _changes(crops, judge, pixels), "exact pixels"),
        _extreme(max, _quick_av1(crops, judge), "careful AV1 of letters"),
    )


def _extreme(choose: Callable[[Iterable[float]], float], values: Iterable[float], of: str) -> float:
    seen = list(values)
    if not seen:
        raise ValueError(f"{of} won in no crop: measure more of text and graphics")
    return choose(seen)


def _quick_lossless(crops: Sequence[Crop]) -> Iterator[float]:
    for crop in crops:
        for careful, quick in _pairs(crop, "exact"):
            yield careful.bits / quick.bits


def _changes(crops: Sequence[Crop], judge: Judgement, pixels: int) -> Iterator[float]:
    for crop in crops:
        if crop.look.is_screen:
            continue
        for exact, _ in _pairs(crop, "exact"):
            (learned,) = crop.at(exact.level, "learned")
            others = [learned, *crop.at(exact.level, "av1")]
            if EXACT_WORTH * exact.bits < min(judge.cost(t, crop.look.is_text) for t in others):
                yield learned.bits * pixels / max(crop.look.changes, 1)


def _quick_av1(crops: Sequence[Crop], judge: Judgement) -> Iterator[float]:
    for crop in crops:
        for careful, quick in _pairs(crop, "av1"):
            (learned,) = crop.at(careful.level, "learned")
            of_learned = judge.cost(learned, letters=True)
            if crop.look.is_text and judge.cost(careful, letters=True) < of_learned:
                # Both are limited: bits alone rule a try out before its pixels are looked at.
                yield max(judge.cost(quick, letters=True), quick.bits) / of_learned


def _pairs(crop: Crop, coder: str) -> Iterator[tuple[Trial, Trial]]:
    """What was tried carefully and quickly, else alike."""
    quick = {(t.level, t.quality): t for t in crop.trials if t.coder == f"{coder}, quick"}
    for careful in crop.trials:
        if careful.coder == coder and (careful.level, careful.quality) in quick:
            yield careful, quick[careful.level, careful.quality]
