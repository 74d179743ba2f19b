"""Metrics as raters: what each would have said to the same pairs, and how often people agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Engine, select

from picolab.evaluation.bjontegaard import Range
from picolab.evaluation.metrics import METRICS
from picolab.study import planning, schema
from picolab.study.votes import LEFT, TIE, Condition, Floats, Stimuli, Votes

Scores = Mapping[tuple[str, Condition], float]
"""By picture and condition; higher is better."""


@dataclass(frozen=True)
class Agreement:
    """The share of the raters' preferences (ties left out) that a rater of another kind has too,
    with its 95 % bootstrap interval over pictures; equal scores count half. `votes` were used."""

    name: str
    share: float
    interval: Range
    votes: int


def scores(engine: Engine, names: Sequence[str]) -> dict[str, Scores]:
    """What metrics say of every decoded crop beside its original, by the metric's name.

    Lower-is-better metrics come negated; pictures that a metric says nothing about are left out.
    Raises `ValueError` for a metric that is not one of single pictures, `metrics.Missing` for one
    that cannot run here.
    """
    for name in names:
        if name not in METRICS:
            raise ValueError(
                f"no metric of pictures is called {name}; there are {', '.join(METRICS)}"
            )
    metrics = {name: METRICS[name]() for name in names}
    found: dict[str, dict[tuple[str, Condition], float]] = {name: {} for name in names}
    with engine.connect() as connection:
        images = {
            number: planning.decode(data)
            for number, data in connection.execute(
                select(schema.image.c.id, schema.image.c.data).where(
                    schema.image.c.id.in_(select(schema.picture.c.image))
                )
            )
        }
        rows = connection.execute(
            select(
                schema.picture.c.name,
                schema.picture.c.image,
                schema.condition.c.codec,
                schema.condition.c.rate,
                schema.image.c.data,
            )
            .select_from(schema.stimulus)
            .join(schema.picture, schema.picture.c.id == schema.stimulus.c.picture)
            .join(schema.condition, schema.condition.c.id == schema.stimulus.c.condition)
            .join(schema.image, schema.image.c.id == schema.stimulus.c.image)
            .order_by(schema.picture.c.id)
        )
        for picture, original, codec, rate, data in rows:
            decoded = planning.decode(data)
            for name, metric in metrics.items():
                value = metric(images[original], decoded)
                if value is not None:
                    sign = 1 if metric.higher_is_better else -1
                    found[name][picture, Condition(codec, rate)] = sign * value
    return dict(found)


def of_stimuli(known: Scores, stimuli: Stimuli) -> Floats:
    """Scores `[K]` in the order of the stimuli; nan where there is none."""
    keys = zip(stimuli.picture, stimuli.condition, strict=True)
    values = [known.get((stimuli.pictures[p], stimuli.conditions[c]), np.nan) for p, c in keys]
    return np.array(values, np.float64)


def agreement(name: str, values: Floats, votes: Votes, resamples: int = 1000) -> Agreement:
    """Of scores `[K]` (higher is better, nan: none) with the votes."""
    difference = values[votes.left] - values[votes.right]
    used = (votes.answer != TIE) & ~np.isnan(difference)
    if not used.any():
        return Agreement(name, np.nan, (np.nan, np.nan), 0)
    wants_left = votes.answer[used] == LEFT
    agrees = np.where(difference[used] == 0, 0.5, (difference[used] > 0) == wants_left)
    picture = votes.stimuli.picture[votes.left[used]]
    count = len(votes.stimuli.pictures)
    totals = np.bincount(picture, minlength=count)
    sums = np.bincount(picture, agrees, minlength=count)
    draws = np.random.default_rng(0).integers(count, size=(resamples, count))
    shares = sums[draws].sum(1) / np.maximum(totals[draws].sum(1), 1)
    low, high = np.quantile(shares, [0.025, 0.975])
    return Agreement(name, float(agrees.mean()), (float(low), float(high)), int(used.sum()))
