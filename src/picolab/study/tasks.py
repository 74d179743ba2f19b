"""The tasks of a session: which plate, which pair, which trap stands at which place."""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select

from picolab.study import plates, schema
from picolab.study.ballots import PAIR, PLATE, SCREEN, TRAP
from picolab.study.imagery import Images
from picolab.study.pairing import RANDOM, PairSource
from picolab.study.schema import task
from picolab.study.settings import Settings

Values = dict[str, Any]
"""A row of the table of tasks."""

PAIRS = (
    select(task.c.left_stimulus, task.c.right_stimulus, task.c.picture)
    .where(task.c.session == bindparam("session_"), task.c.kind == PAIR)
    .order_by(task.c.place)
)
INSERT = insert(task)


class Stage(StrEnum):
    """Where a session is."""

    DISPLAY = "display"
    PLATES = "plates"
    SCREENING = "screening"
    TRIALS = "trials"
    DONE = "done"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Session:
    """A row of the table of that name, as far as it decides what comes next."""

    id: int
    name: str
    stage: Stage
    seed: int
    answered: int


@dataclass(frozen=True)
class Task:
    """What a browser is told of one task: plate or trial. `width` and `height` are of its pictures,
    in pixels."""

    key: str
    kind: str
    width: int
    height: int


class TaskMaker:
    """Makes tasks and keeps them in the database; `crops` are the sizes of pictures by their id."""

    def __init__(
        self,
        settings: Settings,
        crops: dict[int, tuple[int, int]],
        pairs: PairSource,
        images: Images,
    ) -> None:
        self.settings = settings
        self.crops = crops
        self.pairs = pairs
        self.images = images

    def told(self, key: str, kind: str, picture: int | None) -> Task:
        """What a browser is told of a task: not which trials are traps."""
        told = PLATE if kind == PLATE else "trial"
        size = self.crops[picture] if picture is not None else (plates.SIDE, plates.SIDE)
        return Task(key, told, *size)

    def issue(
        self, connection: Connection, now: Session, place: int, number: int, moment: int
    ) -> Task:
        """Make the task of a place, `number` of its stage, and keep it; `moment` is in ms."""
        rng = random.Random(f"{now.seed} {place}")
        if now.stage == Stage.PLATES:
            values = self._plate(connection, now.seed, number)
        elif now.stage == Stage.SCREENING:
            values = self._check(connection, SCREEN, now.seed, number, rng)
        elif self._is_trap(now.seed, number):
            values = self._check(connection, TRAP, now.seed, number, rng)
        else:
            values = self._pair(connection, now.id)
        key = secrets.token_hex(16)
        values |= {"session": now.id, "place": place, "key": key, "issued": moment}
        connection.execute(INSERT, values)
        images = (values.get(f"{side}_image") for side in ("left", "right", "reference"))
        self.images.note(key, tuple(images))
        return self.told(key, str(values["kind"]), values.get("picture"))

    def _is_trap(self, seed: int, number: int) -> bool:
        """One in each stretch of `trap_every`, at a place that differs by session."""
        block, place = divmod(number, self.settings.trap_every)
        return random.Random(f"{seed} trap {block}").randrange(self.settings.trap_every) == place

    def _plate(self, connection: Connection, seed: int, number: int) -> Values:
        columns = (
            schema.plate.c.id,
            schema.plate.c.kind,
            schema.plate.c.digit,
            schema.plate.c.image,
        )
        rows = connection.execute(select(*columns).order_by(schema.plate.c.id)).all()
        rng = random.Random(f"{seed} plates")
        control = rng.choice([r for r in rows if r.kind == "control"])
        others = [r for r in rows if r.kind != "control"]
        rng.shuffle(others)
        chosen = [control, *others][number]
        return {
            "kind": PLATE,
            "left_image": chosen.image,
            "expected": chosen.digit,
            "how": RANDOM,
        }

    def _check(
        self, connection: Connection, kind: str, seed: int, number: int, rng: random.Random
    ) -> Values:
        columns = (schema.check.c.picture, schema.check.c.image, schema.picture.c.image)
        rows = connection.execute(
            select(*columns)
            .join(schema.picture, schema.picture.c.id == schema.check.c.picture)
            .where(schema.check.c.kind == kind)
            .order_by(schema.check.c.id)
        ).all()
        order = list(rows)
        random.Random(f"{seed} {kind}").shuffle(order)
        place = number if kind == SCREEN else number // self.settings.trap_every
        picture, spoilt, original = order[place % len(order)]
        left_good = rng.random() < 0.5
        return {
            "kind": kind,
            "picture": picture,
            "left_image": original if left_good else spoilt,
            "right_image": spoilt if left_good else original,
            "reference_image": original,
            "expected": "left" if left_good else "right",
            "how": RANDOM,
        }

    def _pair(self, connection: Connection, number: int) -> Values:
        rows = connection.execute(PAIRS, {"session_": number}).all()
        seen = {frozenset((r.left_stimulus, r.right_stimulus)) for r in rows}
        pair = self.pairs.next(connection, seen, rows[-1].picture if rows else None)
        return {
            "kind": PAIR,
            "picture": pair.left.picture,
            "left_stimulus": pair.left.id,
            "right_stimulus": pair.right.id,
            "left_image": pair.left.image,
            "right_image": pair.right.image,
            "reference_image": self.images.of_picture(pair.left.picture),
            "how": pair.how,
        }
