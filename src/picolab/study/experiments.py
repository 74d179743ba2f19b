"""What simulated raters teach: whether intervals cover, how many votes an interval needs, and what
choosing pairs saves."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from picolab.study.belief import MEAN_ELO, Belief, fit, integrate
from picolab.study.choosing import Chooser
from picolab.study.ratings import Posterior, delta_rate, deltas, from_belief, from_sample
from picolab.study.sampling import sample
from picolab.study.settings import ExclusionRule
from picolab.study.simulation import (
    Crowd,
    Raters,
    Truth,
    draw_raters,
    draw_truth,
    random_pairs,
    trap_failures,
    vote,
)
from picolab.study.votes import Votes, join

CROWDS = {
    "honest": Crowd(),
    "with cheats": Crowd(cheats=0.1),
}
TRAPS, TRAP_DIFFERENCE = 5, 6.0
PER_RATER = 40
HOWS = ("random", "spread", "information")
SIZES = (400, 800, 1600, 3200, 6400)
PER_CHOOSING_RATER = 80

Row = TypeVar("Row")


@dataclass(frozen=True)
class Coverage:
    """One simulated study. Shares of conditions whose true Elo lies within the 95 % interval, for
    the study's pictures and for pictures like these; mean half widths in Elo; root of the mean
    squared error; BD-rates covered, of how many; how many cheats there were and were left out, and
    honest raters left out. `effective`, `rhat`: of the chains, where there are any."""

    seed: int
    crowd: str
    method: str
    votes: int
    covered: float
    covered_alike: float
    half_width: float
    half_width_alike: float
    error: float
    rates: int
    rates_covered: int
    cheats: int
    cheats_left_out: int
    honest_left_out: int
    rhat: float
    effective: float


@dataclass(frozen=True)
class Width:
    """One simulated study after so many votes: mean half width of the 95 % intervals in Elo, root
    of the mean squared error, and the share of intervals that hold the truth."""

    seed: int
    how: str
    votes: int
    half_width: float
    error: float
    covered: float


def coverage(seed: int, crowd: str, method: str = "laplace") -> Coverage:
    """Simulate one study of 3 codecs at 4 rates, 8 pictures, 30 raters of 40 votes, and rate it."""
    rng = np.random.default_rng(seed)
    truth = draw_truth(rng)
    raters = draw_raters(rng, 30, CROWDS[crowd])
    count = len(raters.width)
    left, right = random_pairs(truth.stimuli, count * PER_RATER, rng)
    votes = vote(truth, raters, np.repeat(np.arange(count), PER_RATER), left, right, rng)
    wrong = trap_failures(raters, TRAPS, TRAP_DIFFERENCE, rng)
    rule = ExclusionRule()
    out = (wrong >= rule.least_wrong) & (wrong > rule.wrong_share * TRAPS)
    votes = votes.without_raters([votes.raters[number] for number in np.flatnonzero(out)])
    cheats = raters.lapse == 1
    posterior, rhat, effective = _rate(votes, method)
    elo = posterior.elo.mean(0)
    low, high = np.quantile(posterior.elo, [0.025, 0.975], axis=0)
    alike = np.quantile(posterior.alike, [0.025, 0.975], axis=0)
    true, true_alike = MEAN_ELO + truth.elo(), MEAN_ELO + truth.elo(True)
    rates, rates_covered = _rates_covered(truth, posterior)
    return Coverage(
        seed,
        crowd,
        method,
        len(votes),
        float(((low < true) & (true < high)).mean()),
        float(((alike[0] < true_alike) & (true_alike < alike[1])).mean()),
        float((high - low).mean() / 2),
        float((alike[1] - alike[0]).mean() / 2),
        float(np.sqrt(((elo - true) ** 2).mean())),
        rates,
        rates_covered,
        int(cheats.sum()),
        int((cheats & out).sum()),
        int((~cheats & out).sum()),
        rhat,
        effective,
    )


def _rate(votes: Votes, method: str) -> tuple[Posterior, float, float]:
    if method == "laplace":
        return from_belief(integrate(votes), 2000), np.nan, np.nan
    drawn = sample(votes, draws=1000, warmup=500, chains=2)
    return from_sample(drawn), drawn.rhat, drawn.effective


def _rates_covered(truth: Truth, posterior: Posterior) -> tuple[int, int]:
    """How many BD-rates against the first codec have a true value and an interval, and how many
    intervals hold it."""
    stimuli, elo = truth.stimuli, truth.elo()
    bpp = stimuli.mean_matrix() @ stimuli.bpp
    places: dict[str, list[int]] = {}
    for number, condition in enumerate(stimuli.conditions):
        places.setdefault(condition.codec, []).append(number)
    first = next(iter(places))
    found, covered = 0, 0
    for delta in deltas(posterior, 400, first):
        if delta.reason:
            continue
        a, b = places[delta.anchor], places[delta.codec]
        true = delta_rate(bpp[a], elo[a], bpp[b], elo[b])
        if not np.isnan(true):
            found += 1
            covered += delta.interval[0] < true < delta.interval[1]
    return found, covered


def widths(seed: int, how: str, sizes: Sequence[int], random_share: float = 0.2) -> Iterator[Width]:
    """Simulate a study of 4 codecs at 5 rates and 10 pictures, rated after each of `sizes` votes.

    `how` is random, or a measure of `choosing`, by which all but `random_share` of the pairs are
    chosen, an eighth of the votes at a time, at least 200. The same seed has the same truth and the
    same raters, of 80 votes each.
    """
    truth = draw_truth(np.random.default_rng(seed), 4, 5, 10, 0.4)
    raters = draw_raters(np.random.default_rng(seed), -(-max(sizes) // PER_CHOOSING_RATER), Crowd())
    rng = np.random.default_rng(seed + 10_000)
    nobody = np.zeros(0, np.int64)
    votes = vote(truth, raters, nobody, nobody, nobody, rng)
    belief: Belief | None = None
    while len(votes) < max(sizes):
        if how != "random":
            belief = fit(votes, belief)
        ahead = min(size for size in sizes if size > len(votes)) - len(votes)
        step = min(ahead, max(200, len(votes) // 8))
        votes = join(votes, _round(truth, raters, votes, belief, how, step, random_share, rng))
        if len(votes) in sizes:
            elo, covariance = integrate(votes).contrasts()
            half = 1.96 * np.sqrt(np.diag(covariance))
            error = elo - MEAN_ELO - truth.elo()
            yield Width(
                seed,
                how,
                len(votes),
                float(half.mean()),
                float(np.sqrt((error**2).mean())),
                float((np.abs(error) < half).mean()),
            )


def _round(
    truth: Truth,
    raters: Raters,
    votes: Votes,
    belief: Belief | None,
    how: str,
    step: int,
    random_share: float,
    rng: np.random.Generator,
) -> Votes:
    """The next `step` votes."""
    rater = np.arange(len(votes), len(votes) + step) // PER_CHOOSING_RATER
    pairs = random_pairs(truth.stimuli, step, rng)
    if belief is not None:
        chosen = np.flatnonzero(rng.random(step) >= random_share)
        picked = Chooser(belief, how).batch(len(chosen))
        flip = rng.random(len(chosen)) < 0.5
        pairs[:, chosen] = np.where(flip, picked, picked[::-1])
    return vote(truth, raters, rater, pairs[0], pairs[1], rng)


def append(path: Path, rows: Sequence[Any]) -> None:
    """Add records of one kind to a CSV file, with a head where it is new."""
    new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        if new:
            table.writerow([f.name for f in fields(rows[0])])
        for row in rows:
            table.writerow([_cell(value) for value in asdict(row).values()])


def read_rows(path: Path, kind: Callable[..., Row]) -> list[Row]:
    """The records of a file of `append`; `kind` is their class."""
    types = {f.name: f.type for f in fields(kind)}  # type: ignore[arg-type]
    read = {"int": int, "float": float, "str": str}
    with open(path, newline="", encoding="utf-8") as file:
        return [
            kind(**{name: read[str(types[name])](text) for name, text in row.items()})
            for row in csv.DictReader(file)
        ]


def _cell(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else value
