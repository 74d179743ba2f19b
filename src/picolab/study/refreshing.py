"""The chooser at work: a process beside the server that keeps queue and live ratings fresh."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import replace
from multiprocessing.process import BaseProcess

import numpy as np
from sqlalchemy import Engine, delete, func, insert, select

from picolab.study import export, schema
from picolab.study.belief import Belief, fit, integrate
from picolab.study.choosing import Chooser
from picolab.study.ratings import from_belief, ratings
from picolab.study.votes import Condition, Stimuli, Votes

BATCH = 400
SECONDS = 20.0
MOST_TO_INTEGRATE = 20_000  # votes; beyond, the plain fit is sure enough


def refresh(engine: Engine, count: int = BATCH, thorough: bool = True) -> Belief:
    """Rate all votes so far, leave `count` pairs in the queue and the ratings in the snapshot,
    with honest intervals where `thorough`, which takes ten times as long."""
    votes, numbers = current_votes(engine)
    belief = fit(votes)
    pairs = Chooser(belief).batch(count)
    integrable = thorough and 0 < len(votes) < MOST_TO_INTEGRATE
    sure = integrate(votes) if integrable else belief
    counts = np.bincount(
        votes.stimuli.condition[np.concatenate([votes.left, votes.right])],
        minlength=len(votes.stimuli.conditions),
    )
    table = [
        {
            "codec": r.condition.codec,
            "rate": r.condition.rate,
            "bpp": r.bpp,
            "elo": r.elo,
            "low": r.interval[0],
            "high": r.interval[1],
            "votes": r.votes,
        }
        for r in ratings(from_belief(sure, 1000), counts)
    ]
    with engine.begin() as connection:
        batch = (connection.execute(select(func.max(schema.queue.c.batch))).scalar() or 0) + 1
        connection.execute(delete(schema.queue).where(schema.queue.c.batch < batch - 1))
        connection.execute(
            insert(schema.queue),
            [
                {"batch": batch, "first": numbers[int(a)], "second": numbers[int(b)]}
                for a, b in pairs.T
            ],
        )
        connection.execute(delete(schema.snapshot))
        connection.execute(
            insert(schema.snapshot).values(taken=time.time_ns() // 1_000_000, ratings=table)
        )
    return belief


def current_votes(engine: Engine) -> tuple[Votes, list[int]]:
    """The votes that count so far, over all stimuli of the plan, and the stimuli's ids."""
    with engine.connect() as connection:
        found = connection.execute(
            select(
                schema.stimulus.c.id,
                schema.picture.c.name,
                schema.condition.c.codec,
                schema.condition.c.rate,
                schema.stimulus.c.bpp,
            )
            .join(schema.picture, schema.picture.c.id == schema.stimulus.c.picture)
            .join(schema.condition, schema.condition.c.id == schema.stimulus.c.condition)
            .order_by(schema.stimulus.c.id)
        ).all()
    pictures = tuple(sorted({row.name for row in found}))
    conditions = tuple(sorted({Condition(row.codec, row.rate) for row in found}))
    places = {(r.name, Condition(r.codec, r.rate)): n for n, r in enumerate(found)}
    stimuli = Stimuli(
        pictures,
        conditions,
        np.array([pictures.index(row.name) for row in found], np.int64),
        np.array([conditions.index(Condition(row.codec, row.rate)) for row in found], np.int64),
        np.array([row.bpp for row in found]),
    )
    counted = export.ballots(engine).counted(export.settings(engine).exclusion)
    old = counted.stimuli
    moved = np.array(
        [
            places[old.pictures[p], old.conditions[c]]
            for p, c in zip(old.picture, old.condition, strict=True)
        ],
        np.int64,
    )
    votes = replace(counted, stimuli=stimuli, left=moved[counted.left], right=moved[counted.right])
    return votes, [row.id for row in found]


def start(address: str, seconds: float = SECONDS) -> BaseProcess:
    """Refresh the study at `address` each `seconds`, in a process that ends with this one."""
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_work, args=(address, seconds), daemon=True)
    process.start()
    return process


def _work(address: str, seconds: float) -> None:
    engine = schema.connect(address)
    seen = -1
    while True:
        with engine.connect() as connection:
            answered = connection.execute(
                select(func.count()).where(schema.task.c.answer.is_not(None))
            ).scalar_one()
        if answered != seen:
            seen = answered
            refresh(engine)
        time.sleep(seconds)
