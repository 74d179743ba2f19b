"""A rater's way through a study, without HTTP: consent, display, screening, trials, the end.

Everything is decided here and kept in the database before it is told to the browser, so that a
page may be reloaded and the server killed at any moment.
"""

from __future__ import annotations

import hashlib
import hmac
import random
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, Engine, func, insert, select, update
from sqlalchemy.engine import Row

from picolab.study import plates, schema
from picolab.study.ballots import PAIR, PLATE, SCREEN, TRAP
from picolab.study.pairing import RANDOM, PairSource
from picolab.study.schema import session, task
from picolab.study.settings import Settings
from picolab.study.votes import ANSWERS

AHEAD = 2  # tasks that a browser may hold: the one it shows, and the one it loads
STALE_MS = 2 * 3600 * 1000  # a session that began earlier is not waited for
SIDES = ("left", "right", "reference")
LARGEST_CACHE = 256 * 2**20


class Stage(StrEnum):
    """Where a session is."""

    DISPLAY = "display"
    PLATES = "plates"
    SCREENING = "screening"
    TRIALS = "trials"
    DONE = "done"
    REJECTED = "rejected"


class Refused(Exception):
    """What a browser asked for and cannot have; the message is for the person before it."""


class Full(Refused):
    """The study has all the raters it asked for."""


class Unknown(Refused):
    """No such session, task or picture."""


@dataclass(frozen=True)
class Task:
    """What a browser is told of one task: plate or trial. `width` and `height` are of its pictures,
    in pixels."""

    key: str
    kind: str
    width: int
    height: int


@dataclass(frozen=True)
class State:
    """Where a session is and what comes next. `tasks` holds the present task and the one after;
    `done` of `total` are those of the stage; `code` is what a rater gives a crowd platform."""

    stage: Stage
    tasks: tuple[Task, ...] = ()
    done: int = 0
    total: int = 0
    pause: bool = False
    code: str = ""


class Service:
    """Sessions of one study; safe to use from threads, and from several processes on a database
    that several may write to."""

    def __init__(self, engine: Engine, now: Callable[[], int] | None = None) -> None:
        self.engine = engine
        self.now = now or (lambda: time.time_ns() // 1_000_000)
        with engine.connect() as connection:
            row = connection.execute(
                select(schema.study.c.settings, schema.study.c.secret)
            ).one_or_none()
            if row is None:
                raise ValueError("the study is empty: it was not planned to the end")
            self.settings = Settings.from_json(row.settings)
            self.secret: bytes = row.secret
            self.crops = {
                number: (crop["width"], crop["height"])
                for number, crop in connection.execute(
                    select(schema.picture.c.id, schema.picture.c.crop)
                )
            }
        self.rng = random.SystemRandom()
        self.pairs = PairSource(engine, self.settings.random_share, self.rng)
        self.images = _Images(engine)
        # SQLite has one writer at a time; waiting here is fair and does not poll.
        self.lock = threading.Lock() if engine.dialect.name == "sqlite" else None

    def begin(self, crowd: str | None = None) -> str:
        """A new session, after consent; returns its token, of which only a hash is kept.

        Who comes from a crowd platform a second time goes on where they were. Raises `Full`.
        """
        token = secrets.token_urlsafe(24)
        known = self.keyed("crowd", crowd) if crowd else None
        with self._write() as connection:
            if known is not None:
                again = update(session).where(session.c.crowd == known)
                if connection.execute(again.values(token=_digest(token))).rowcount:
                    return token
            self._room(connection)
            connection.execute(
                insert(session).values(
                    name=secrets.token_hex(6),
                    token=_digest(token),
                    crowd=known,
                    stage=Stage.DISPLAY,
                    seed=secrets.randbits(31),
                    began=self.now(),
                    answered=0,
                )
            )
        return token

    def state(self, token: str) -> State:
        """Where the session is. Raises `Unknown`."""
        with self._write() as connection:
            return self._state(connection, self._session(connection, token))

    def display(self, token: str, facts: dict[str, object]) -> State:
        """Note the display that was checked in the browser, and go on."""
        with self._write() as connection:
            row = self._session(connection, token)
            if row.stage == Stage.DISPLAY:
                stage = self._next_stage(Stage.DISPLAY)
                values = {"display": facts, "stage": stage}
                connection.execute(update(session).where(session.c.id == row.id).values(values))
            return self._state(connection, self._session(connection, token))

    def answer(self, token: str, key: str, answer: str, response_ms: int, looks: int) -> State:
        """Keep an answer, once, and say what comes next; the same again changes nothing.

        Raises `Unknown` for a task that is not the session's, `Refused` for an answer it cannot
        have.
        """
        with self._write() as connection:
            row = self._session(connection, token)
            columns = (task.c.id, task.c.kind, task.c.answer)
            found = connection.execute(
                select(*columns).where(task.c.key == key, task.c.session == row.id)
            ).one_or_none()
            if found is None:
                raise Unknown("This question is not one of yours. Please reload the page.")
            allowed = (*plates.DIGITS, "none") if found.kind == PLATE else ANSWERS
            if answer not in allowed:
                raise Refused(f"An answer is one of {', '.join(allowed)}.")
            if found.answer is None and row.stage in (
                Stage.PLATES,
                Stage.SCREENING,
                Stage.TRIALS,
            ):
                values = {
                    "answer": answer,
                    "answered": self.now(),
                    "response_ms": response_ms,
                    "looks": looks,
                }
                done = connection.execute(
                    update(task)
                    .where(task.c.id == found.id, task.c.answer.is_(None))
                    .values(values)
                )
                if done.rowcount:
                    self._advance(connection, row, found.kind)
                row = self._session(connection, token)
            return self._state(connection, row)

    def picture(self, key: str, side: str) -> bytes:
        """WebP of one picture of a task; a plate is its left one. Raises `Unknown`."""
        if side not in SIDES:
            raise Unknown("There is no such picture.")
        return self.images.of_task(key, side)

    def keyed(self, purpose: str, text: str) -> str:
        """A hash that nobody without the study's secret can make, 32 hexadecimal digits."""
        message = f"{purpose}\0{text}".encode()
        return hmac.new(self.secret, message, hashlib.sha256).hexdigest()[:32]

    def code(self, name: str) -> str:
        """The completion code of the session of that name."""
        return self.settings.completion_code or self.keyed("code", name)[:10].upper()

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        if self.lock is None:
            with self.engine.begin() as connection:
                yield connection
            return
        with self.lock, self.engine.begin() as connection:
            yield connection

    def _room(self, connection: Connection) -> None:
        waited = [Stage.DISPLAY, Stage.PLATES, Stage.SCREENING, Stage.TRIALS]
        recent = session.c.stage.in_(waited) & (session.c.began > self.now() - STALE_MS)
        taken = connection.execute(
            select(func.count()).where(recent | (session.c.stage == Stage.DONE))
        ).scalar_one()
        if taken >= self.settings.raters:
            raise Full("The study has all the raters it needs. Thank you for coming.")

    def _session(self, connection: Connection, token: str) -> Row:
        columns = (session.c.id, session.c.name, session.c.stage, session.c.seed)
        row = connection.execute(
            select(*columns, session.c.answered)
            .where(session.c.token == _digest(token))
            .with_for_update()
        ).one_or_none()
        if row is None:
            raise Unknown("Your session is not known here. Please begin again.")
        return row

    def _next_stage(self, stage: Stage) -> Stage:
        s = self.settings
        order = [Stage.DISPLAY, Stage.PLATES, Stage.SCREENING, Stage.TRIALS, Stage.DONE]
        counts = {Stage.PLATES: s.plates, Stage.SCREENING: s.screens}
        for later in order[order.index(stage) + 1 :]:
            if counts.get(later, 1):
                return later
        return Stage.DONE

    def _advance(self, connection: Connection, row: Row, kind: str) -> None:
        """After an answer: the next stage where this one is through, and how it went."""
        s = self.settings
        stage, values = Stage(row.stage), {}
        if stage == Stage.TRIALS:
            values["answered"] = row.answered + 1
            if row.answered + 1 >= s.trials:
                values |= {"stage": Stage.DONE, "ended": self.now()}
        else:
            needed = s.plates if kind == PLATE else s.screens
            rows = connection.execute(
                select(task.c.answer, task.c.expected, task.c.place)
                .where(task.c.session == row.id, task.c.kind == kind)
                .order_by(task.c.place)
            ).all()
            answered = [r for r in rows if r.answer is not None]
            if len(answered) >= needed:
                wrong = sum(r.answer != r.expected for r in answered)
                allowed = s.plates_wrong if kind == PLATE else s.screens_wrong
                # The first plate is one that eyes of all kinds read.
                blind = kind == PLATE and answered[0].answer != answered[0].expected
                if wrong > allowed or blind:
                    values = {"stage": Stage.REJECTED, "ended": self.now()}
                else:
                    values = {"stage": self._next_stage(stage)}
        if values:
            connection.execute(update(session).where(session.c.id == row.id).values(values))

    def _state(self, connection: Connection, row: Row) -> State:
        stage = Stage(row.stage)
        if stage == Stage.DONE:
            return State(stage, code=self.code(row.name))
        if stage in (Stage.DISPLAY, Stage.REJECTED):
            return State(stage)
        s = self.settings
        start, total = {
            Stage.PLATES: (0, s.plates),
            Stage.SCREENING: (s.plates, s.screens),
            Stage.TRIALS: (s.plates + s.screens, s.trials),
        }[stage]
        known = connection.execute(
            select(task.c.place, task.c.key, task.c.kind, task.c.picture, task.c.answer)
            .where(task.c.session == row.id, task.c.place >= start)
            .order_by(task.c.place)
        ).all()
        done = sum(r.answer is not None for r in known)
        waiting = [self._task(r.key, r.kind, r.picture) for r in known if r.answer is None]
        place = start + len(known)
        while len(waiting) < min(AHEAD, total - done):
            waiting.append(self._issue(connection, row, stage, place, place - start))
            place += 1
        pause = stage == Stage.TRIALS and 0 < done < total and done % s.break_every == 0
        return State(stage, tuple(waiting), done, total, pause)

    def _task(self, key: str, kind: str, picture: int | None) -> Task:
        # A rater is not told which trials are traps.
        told = PLATE if kind == PLATE else "trial"
        size = self.crops[picture] if picture is not None else (plates.SIDE, plates.SIDE)
        return Task(key, told, *size)

    def _issue(
        self, connection: Connection, row: Row, stage: Stage, place: int, number: int
    ) -> Task:
        """Make the task of a place, `number` of its stage, and keep it."""
        rng = random.Random(f"{row.seed} {place}")
        if stage == Stage.PLATES:
            values = self._plate(connection, row.seed, number)
        elif stage == Stage.SCREENING:
            values = self._check(connection, SCREEN, row.seed, number, rng)
        elif self._is_trap(row.seed, number):
            values = self._check(connection, TRAP, row.seed, number, rng)
        else:
            values = self._pair(connection, row.id)
        values |= {
            "session": row.id,
            "place": place,
            "key": secrets.token_hex(16),
            "issued": self.now(),
        }
        connection.execute(insert(task).values(values))
        return self._task(str(values["key"]), str(values["kind"]), values.get("picture"))

    def _is_trap(self, seed: int, number: int) -> bool:
        """One in each stretch of `trap_every`, at a place that differs by session."""
        block, place = divmod(number, self.settings.trap_every)
        return random.Random(f"{seed} trap {block}").randrange(self.settings.trap_every) == place

    def _plate(self, connection: Connection, seed: int, number: int) -> dict:
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
    ) -> dict:
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

    def _pair(self, connection: Connection, number: int) -> dict:
        rows = connection.execute(
            select(task.c.left_stimulus, task.c.right_stimulus, task.c.picture)
            .where(task.c.session == number, task.c.kind == PAIR)
            .order_by(task.c.place)
        ).all()
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


class _Images:
    """Pictures from the database, the last used ones kept."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.lock = threading.Lock()
        self.kept: OrderedDict[int, bytes] = OrderedDict()
        self.size = 0
        with engine.connect() as connection:
            columns = (schema.picture.c.id, schema.picture.c.image)
            self.references = {r[0]: r[1] for r in connection.execute(select(*columns))}

    def of_picture(self, picture: int) -> int:
        """The image of an original."""
        return self.references[picture]

    def of_task(self, key: str, side: str) -> bytes:
        with self.engine.connect() as connection:
            column = task.c[f"{side}_image"]
            number = connection.execute(select(column).where(task.c.key == key)).scalar()
            if number is None:
                raise Unknown("There is no such picture.")
            with self.lock:
                if number in self.kept:
                    self.kept.move_to_end(number)
                    return self.kept[number]
            data: bytes = connection.execute(
                select(schema.image.c.data).where(schema.image.c.id == number)
            ).scalar_one()
        with self.lock:
            if number not in self.kept:
                self.kept[number] = data
                self.size += len(data)
            while self.size > LARGEST_CACHE:
                self.size -= len(self.kept.popitem(last=False)[1])
        return data


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
