"""The funnel: all configurations, those in the window, those timed, those trained, the finalists.

Each stage keeps what it finds in `search.sqlite`, and the same command goes on from there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from picolab.search.cost import Cost, cost_of_all
from picolab.search.predictor import Accuracy, Predictor
from picolab.search.progress import Progress, duration
from picolab.search.rounds import (
    LEAST_PIXELS,
    REFERENCES,
    Round,
    Speed,
    bd,
    plan_rounds,
    rounds_within,
    work,
)
from picolab.search.space import Side, Space
from picolab.search.store import Result, Store
from picolab.search.timing import Timer, learn, predict, relative_times, time_all
from picolab.search.training import Job, Trained
from picolab.search.workers import run_here, run_on_ray

REFERENCE = "reference"
TRIES = 20  # configurations timed for each that is wanted, where predictions lead nowhere


@dataclass(frozen=True)
class Target:
    """Times that are wanted, as shares of the reference's: within `tolerance` of `time`."""

    time: float = 1.0
    tolerance: float = 0.05

    def holds(self, times: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.abs(times / self.time - 1) <= self.tolerance


@dataclass(frozen=True)
class Priced:
    """Stage 1: the cost of all configurations, and the numbers of those in the window, in the
    order in which they are drawn."""

    cost: Cost
    drawn: NDArray[np.int64]


@dataclass(frozen=True)
class Timings:
    """Stage 2: relative times by number of those that were timed, in the order of the draw, the
    predictor, how well it does, and the numbers of those in the window that it predicts to be at
    the target."""

    times: Mapping[int, float]
    predictor: Predictor
    accuracy: Accuracy
    near: NDArray[np.int64]


def price(space: Space, side: Side, seed: int) -> Priced:
    """Stage 1. Raises `ValueError` where the window is empty."""
    cost = cost_of_all(side)
    inside = np.flatnonzero(cost.within(space.window))
    if not len(inside):
        raise ValueError(f"none of {side.count} configurations is in the window; widen it")
    return Priced(cost, np.random.default_rng(seed).permutation(inside))


def time_and_predict(
    timer: Timer, store: Store, priced: Priced, count: int, target: Target
) -> Timings:
    """Stage 2: time the first `count` that are drawn, and predict all others in the window."""
    time_all(timer, store, priced.drawn[:count].tolist())
    return predicted(timer.side, store, priced, target)


def predicted(side: Side, store: Store, priced: Priced, target: Target) -> Timings:
    """What the times so far teach."""
    known = store.times()
    # In the order of the draw, which is random: halves of it are alike.
    timed = relative_times(known[n] for n in priced.drawn.tolist() if n in known)
    predictor, accuracy = learn(side, timed)
    expected = predict(predictor, side, priced.drawn)
    near = priced.drawn[target.holds(expected)]
    times = dict(zip(timed.numbers.tolist(), timed.times.tolist(), strict=True))
    return Timings(times, predictor, accuracy, near)


def choose(
    timer: Timer, store: Store, timings: Timings, count: int, target: Target
) -> dict[int, float]:
    """`count` configurations whose measured time is at the target, with that time: those timed
    already, then others that are predicted to be, timed now. Raises `ValueError` for too few."""
    times = timings.times
    untimed = [number for number in timings.near.tolist() if number not in times]
    chosen = {n: t for n, t in times.items() if target.holds(np.array(t))}
    for number in untimed[: TRIES * count]:
        if len(chosen) >= count:
            break
        one = timer.time(number)
        store.add_time(one)
        found = relative_times([one])
        if len(found.times) and target.holds(found.times)[0]:
            chosen[number] = float(found.times[0])
    if len(chosen) < count:
        raise ValueError(
            f"only {len(chosen)} of {count} shapes take {target.time:g} of the reference's time "
            f"to within {target.tolerance:.0%}; time more (--timed) or move the window"
        )
    return dict(list(chosen.items())[:count])


@dataclass(frozen=True)
class Crew:
    """Who trains: `processes` here, or a Ray cluster."""

    processes: int = 1
    ray: str | None = None

    def run(self, wanted: Mapping[str, Job]) -> Iterator[tuple[str, Trained]]:
        if self.ray is None:
            return run_here(wanted, self.processes)
        return run_on_ray(wanted, self.ray)


class Tournament:
    """Stages 3 and 4: rounds of training, after each of which the better half goes on.

    `job` is what all have in common; runs have folders of their own under `folder`.
    """

    def __init__(self, side: Side, store: Store, crew: Crew, job: Job, folder: Path) -> None:
        self.side, self.store, self.crew, self.job, self.folder = side, store, crew, job, folder

    def speed(self) -> Speed:
        """How fast the reference trains, measured on its own first pixels once and for all."""
        known = self.store.setting("speed")
        if known is None:
            name = reference_names()[0]
            wanted = {name: self._job(name, LEAST_PIXELS)}
            ((_, done),) = self.crew.run(wanted)
            if not done.pixels:
                raise ValueError(f"{self.folder / name}: trained already; remove it to measure")
            rest = done.seconds - done.training_seconds - done.start_seconds
            speed = Speed(done.pixels / done.training_seconds, rest, done.start_seconds)
            known = asdict(speed)
            self.store.set("speed", known)
        return Speed(**known)

    def plan(
        self,
        shapes: int,
        finalists: int,
        seconds: float,
        pixels: float,
        final_pixels: float,
    ) -> tuple[Round, ...]:
        """The rounds, fixed when they are first asked for: of `pixels` in the first and
        `final_pixels` in the last, or what `seconds` allow where these are 0."""
        known = self.store.setting("rounds")
        if known is None:
            if pixels:
                rounds = plan_rounds(shapes, finalists, pixels, final_pixels)
            else:
                speed = self.speed()
                rounds = rounds_within(seconds, self.crew.processes, speed, shapes, finalists)
                if final_pixels:
                    rounds = plan_rounds(shapes, finalists, rounds[0].pixels, final_pixels)
            known = [asdict(r) for r in rounds]
            self.store.set("rounds", known)
        return tuple(Round(**values) for values in known)

    def play(self, rounds: Sequence[Round], shapes: Sequence[int]) -> list[int]:
        """Train the shapes in rounds; gives those of the last, the best first."""
        progress = Progress("trained", work(rounds), every=0)
        left, before = list(shapes), 0.0
        for at, each in enumerate(rounds):
            left = left[: each.shapes]
            self._forget(shapes, left)
            runs = [*reference_names(), *map(str, left)]
            self._train(at, runs, each.pixels, each.pixels - before, progress)
            left = [int(name) for name, _ in standing(self.store.results(at), left)]
            before = each.pixels
        return left

    def _train(
        self, at: int, runs: Sequence[str], pixels: float, more: float, progress: Progress
    ) -> None:
        known = self.store.results(at)
        progress.skip(more * sum(name in known for name in runs))
        wanted = {name: self._job(name, pixels) for name in runs if name not in known}
        for name, done in self.crew.run(wanted):
            self.store.add_result(Result(name, at, pixels, done.cpu_seconds, done.points))
            progress.advance(more, f"round {at + 1}: {name} at {pixels:.3g} pixels")

    def _job(self, name: str, pixels: float) -> Job:
        if name in reference_names():
            shape, seed = self.side.base, int(name.removeprefix(f"{REFERENCE}-"))
        else:
            shape, seed = self.side.shape(int(name)), 0
        return replace(
            self.job,
            folder=str(self.folder / name),
            shape=shape.to_dict(),
            seed=seed,
            pixels=pixels,
        )

    def _forget(self, shapes: Sequence[int], kept: Sequence[int]) -> None:
        """The checkpoints of who has left; figures stay."""
        for number in set(shapes) - set(kept):
            shutil.rmtree(self.folder / str(number), ignore_errors=True)


def reference_names() -> list[str]:
    return [f"{REFERENCE}-{seed}" for seed in range(REFERENCES)]


def references(results: Mapping[str, Result]) -> list[Result]:
    """The reference's runs in a round."""
    return [results[name] for name in reference_names() if name in results]


def standing(results: Mapping[str, Result], shapes: Sequence[int]) -> list[tuple[str, float]]:
    """A round's shapes with their BD-rates against the reference's mean, the best first."""
    anchor = references(results)
    rates = [(str(n), bd(anchor, [results[str(n)]])) for n in shapes if str(n) in results]
    return sorted(rates, key=lambda pair: pair[1])


def sizes(rounds: Sequence[Round], speed: Speed | None, processes: int) -> str:
    """The rounds in words, and how long they take where the speed is known."""
    lines = [f"{r.shapes} shapes to {r.pixels:.3g} pixels" for r in rounds]
    text = (
        ", ".join(lines) + f", and {REFERENCES} seeds of the reference: {work(rounds):.3g} pixels"
    )
    if speed is not None:
        text += f", about {duration(speed.seconds(rounds) / processes)}"
    return text
