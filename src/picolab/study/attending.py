"""Simulated raters who take part in a planned study, by the same door as a browser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Engine, select

from picolab.study import agreement, refreshing, schema
from picolab.study.ballots import PAIR, PLATE, SCREEN
from picolab.study.schema import task
from picolab.study.service import Full, Service
from picolab.study.simulation import Crowd, Raters, draw_raters
from picolab.study.tasks import Stage
from picolab.study.votes import ANSWERS, Condition

PLAIN_DIFFERENCE, STRONG_DIFFERENCE = 6.0, 8.0  # logits between the original and a spoilt picture
COLOUR_BLIND = 0.05
THINKING_MS, HURRY_MS = 3500, 450
DISPLAY = {"width": 1440, "height": 900, "ratio": 1.0, "zoom": 1.0, "touch": False, "layout": "row"}
REFRESH_EVERY = 2  # raters


@dataclass(frozen=True)
class Attended:
    """How many simulated raters finished, were not admitted, and cheated; answers given."""

    finished: int
    rejected: int
    cheats: int
    answers: int


@dataclass(frozen=True)
class _Rater:
    number: int
    cheats: bool
    colour_blind: bool


def attend(
    address: str, count: int, metric: str, spread: float, cheats: float, seed: int
) -> Attended:
    """`count` raters who perceive `metric`, scaled to a standard deviation of `spread` logits.

    Cheats pass the screening and then press anything, quickly. The chooser works between raters.
    Raises `ValueError` as `schema.connect` and `agreement.scores` do.
    """
    with schema.opened(address) as engine:
        return _attend(engine, count, perceived(engine, metric, spread), cheats, seed)


def _attend(
    engine: Engine, count: int, quality: dict[int, float], cheats: float, seed: int
) -> Attended:
    rng = np.random.default_rng(seed)
    crowd = draw_raters(rng, count, Crowd())
    service = Service(engine)
    ends: list[Stage] = []
    answers = 0
    people = [
        _Rater(number, rng.random() < cheats, rng.random() < COLOUR_BLIND)
        for number in range(count)
    ]
    for rater in people:
        if rater.number % REFRESH_EVERY == 0:
            refreshing.refresh(engine, thorough=False)
        try:
            end, given = _session(service, rater, crowd, quality, rng)
        except Full:
            break
        ends.append(end)
        answers += given
    refreshing.refresh(engine)
    there = people[: len(ends)]
    return Attended(
        ends.count(Stage.DONE),
        ends.count(Stage.REJECTED),
        sum(rater.cheats for rater in there),
        answers,
    )


def perceived(engine: Engine, metric: str, spread: float) -> dict[int, float]:
    """Quality in logits by the stimulus's id: the metric, standardised over all."""
    known: Mapping[tuple[str, Condition], float] = agreement.scores(engine, [metric])[metric]
    values = np.array(list(known.values()))
    mean, deviation = values.mean(), max(float(values.std()), 1e-9)
    with engine.connect() as connection:
        rows = connection.execute(
            select(
                schema.stimulus.c.id,
                schema.picture.c.name,
                schema.condition.c.codec,
                schema.condition.c.rate,
            )
            .join(schema.picture, schema.picture.c.id == schema.stimulus.c.picture)
            .join(schema.condition, schema.condition.c.id == schema.stimulus.c.condition)
        ).all()
    return {
        row.id: float(spread * (known[row.name, Condition(row.codec, row.rate)] - mean) / deviation)
        for row in rows
    }


def _session(
    service: Service,
    rater: _Rater,
    crowd: Raters,
    quality: dict[int, float],
    rng: np.random.Generator,
) -> tuple[Stage, int]:
    token = service.begin()
    state = service.display(token, dict(DISPLAY))
    answers = 0
    while state.tasks:
        key = state.tasks[0].key
        answer = _answer(service.engine, key, rater, crowd, quality, rng)
        hurried = rater.cheats and state.stage == Stage.TRIALS
        median = HURRY_MS if hurried else THINKING_MS
        waited = int(median * np.exp(rng.normal(0, 0.4)))
        state = service.answer(token, key, answer, waited, int(rng.integers(0, 3)))
        answers += 1
    return state.stage, answers


def _answer(
    engine: Engine,
    key: str,
    rater: _Rater,
    crowd: Raters,
    quality: dict[int, float],
    rng: np.random.Generator,
) -> str:
    columns = (task.c.kind, task.c.left_stimulus, task.c.right_stimulus, task.c.expected)
    with engine.connect() as connection:
        row = connection.execute(
            select(*columns, schema.plate.c.kind.label("plate"))
            .outerjoin(schema.plate, schema.plate.c.image == task.c.left_image)
            .where(task.c.key == key)
        ).one()
    if row.kind == PLATE:
        blind = rater.colour_blind and row.plate != "control"
        return "none" if blind else str(row.expected)
    if rater.cheats and row.kind != SCREEN:
        return str(rng.choice(ANSWERS))
    if row.kind == PAIR:
        difference = quality[row.left_stimulus] - quality[row.right_stimulus]
    else:
        size = PLAIN_DIFFERENCE if row.kind == SCREEN else STRONG_DIFFERENCE
        difference = size if row.expected == "left" else -size
    said = crowd.answer(np.array([rater.number]), np.array([difference]), rng)
    return ANSWERS[int(said[0])]
