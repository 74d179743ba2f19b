"""Successive halving as numbers: how many shapes train for how many pixels, within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from picolab.evaluation.bjontegaard import Curve, Refused, bd_rate
from picolab.search.store import Point, Result

REFERENCES = 2  # seeds of the base shape, trained beside all others in every round
LONGER = 4  # times the pixels of the round before that finalists get
LEAST_PIXELS = 1.5e7  # of a first round; those of the reference tell the speed


@dataclass(frozen=True)
class Round:
    """`shapes` that train until each has seen `pixels` since its start."""

    shapes: int
    pixels: float


@dataclass(frozen=True)
class Speed:
    """Of one process: pixels of training a second; seconds that each job takes besides, such as
    for measuring quality; and those that a run's start takes, once."""

    pixels: float
    overhead: float
    start: float

    def seconds(self, rounds: Sequence[Round]) -> float:
        """How long all rounds take."""
        starts = rounds[0].shapes + REFERENCES
        return work(rounds) / self.pixels + jobs(rounds) * self.overhead + starts * self.start


def plan_rounds(
    shapes: int, finalists: int, pixels: float, final_pixels: float = 0
) -> tuple[Round, ...]:
    """Rounds of half as many shapes and twice the pixels each, the first of `pixels`; the last is
    of the finalists, for `final_pixels` or 4 times as many as the round before."""
    if not 1 <= finalists < shapes:
        raise ValueError(
            f"{finalists} finalists of {shapes} shapes: there must be fewer, 1 or more"
        )
    rounds = [Round(shapes, pixels)]
    while rounds[-1].shapes > finalists:
        last = rounds[-1]
        rounds.append(Round(max(last.shapes // 2, finalists), 2 * last.pixels))
    longest = max(final_pixels, rounds[-1].pixels) if final_pixels else LONGER * rounds[-2].pixels
    return (*rounds[:-1], replace(rounds[-1], pixels=longest))


def work(rounds: Sequence[Round]) -> float:
    """Pixels of training in all rounds, those of the references included."""
    before = [0.0, *(r.pixels for r in rounds)]
    return sum(
        (r.shapes + REFERENCES) * (r.pixels - b) for r, b in zip(rounds, before, strict=False)
    )


def jobs(rounds: Sequence[Round]) -> int:
    return sum(r.shapes + REFERENCES for r in rounds)


def rounds_within(
    seconds: float, processes: int, speed: Speed, shapes: int, finalists: int
) -> tuple[Round, ...]:
    """The rounds that take so long. Raises `ValueError` for too short a time."""
    unit = plan_rounds(shapes, finalists, 1.0)
    each = work(unit) / speed.pixels  # seconds for each pixel of the first round
    pixels = (seconds * processes - speed.seconds(unit)) / each
    if pixels < LEAST_PIXELS:
        least = (LEAST_PIXELS * each + speed.seconds(unit)) / processes
        raise ValueError(
            f"{seconds / 3600:.2g} hours are too few to train {shapes} shapes on "
            f"{speed.pixels:.3g} pixels a second; {least / 3600:.2g} are the least"
        )
    return plan_rounds(shapes, finalists, pixels)


def curve(results: Sequence[Result]) -> Curve:
    """Bits per pixel and PSNR by level, means over runs."""
    levels = list(zip(*(result.points for result in results), strict=True))
    return Curve([_mean(each, "bpp") for each in levels], [_mean(each, "psnr") for each in levels])


def _mean(points: Sequence[Point], name: str) -> float:
    return sum(getattr(point, name) for point in points) / len(points)


def bd(anchor: Sequence[Result], test: Sequence[Result]) -> float:
    """BD-rate of PSNR in percent, negative for fewer bits; infinite where curves allow none."""
    try:
        return bd_rate(curve(anchor), curve(test)).percent
    except Refused:
        return float("inf")
