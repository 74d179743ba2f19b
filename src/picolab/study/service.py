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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Engine, bindparam, func, insert, select, update

from picolab.study import plates, schema
from picolab.study.ballots import PLATE, SCREEN
from picolab.study.durable import Log
from picolab.study.imagery import Images
from picolab.study.pairing import PairSource
from picolab.study.schema import session, task
from picolab.study.settings import Settings
from picolab.study.tasks import Session, Stage, Task, TaskMaker
from picolab.study.votes import ANSWERS

AHEAD = 2  # tasks that a browser may hold: the one it shows, and the one it loads
STALE_MS = 2 * 3600 * 1000  # a session that began earlier is not waited for
ASKING = (Stage.PLATES, Stage.SCREENING, Stage.TRIALS)

# What every answer runs, put together once.
SESSION = (
    select(session.c.id, session.c.name, session.c.stage, session.c.seed, session.c.answered)
    .where(session.c.token == bindparam("token_"))
    .with_for_update()
)
OWN_TASK = select(task.c.id, task.c.kind, task.c.answer).where(
    task.c.key == bindparam("key_"), task.c.session == bindparam("session_")
)
KEEP_ANSWER = (
    update(task)
    .where(task.c.id == bindparam("id_"), task.c.answer.is_(None))
    .values({name: bindparam(name) for name in ("answer", "answered", "response_ms", "looks")})
)
TESTS = (
    select(task.c.answer, task.c.expected)
    .where(
        task.c.session == bindparam("session_"),
        task.c.kind == bindparam("kind_"),
        task.c.answer.is_not(None),
    )
    .order_by(task.c.place)
)
WAITING = (
    select(task.c.key, task.c.kind, task.c.picture)
    .where(
        task.c.session == bindparam("session_"),
        task.c.place >= bindparam("start_"),
        task.c.answer.is_(None),
    )
    .order_by(task.c.place)
)
ADVANCE = (
    update(session)
    .where(session.c.id == bindparam("id_"))
    .values({name: bindparam(name) for name in ("stage", "answered", "ended")})
)


class Refused(Exception):
    """What a browser asked for and cannot have; the message is for the person before it."""


class Full(Refused):
    """The study has all the raters it asked for."""


class Unknown(Refused):
    """No such session, task or picture."""


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
        self.images = Images(engine)
        pairs = PairSource(engine, self.settings.random_share, random.SystemRandom())
        self.maker = TaskMaker(self.settings, self.crops(engine), pairs, self.images)
        # SQLite has one writer at a time; waiting here is fair and does not poll.
        self.lock = threading.Lock() if engine.dialect.name == "sqlite" else None
        self.log = Log(engine)

    @staticmethod
    def crops(engine: Engine) -> dict[int, tuple[int, int]]:
        """Width and height of what is shown of each picture, by its id."""
        columns = (schema.picture.c.id, schema.picture.c.crop)
        with engine.connect() as connection:
            rows = connection.execute(select(*columns)).all()
        return {number: (crop["width"], crop["height"]) for number, crop in rows}

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
            now = self._session(connection, token)
            if now.stage == Stage.DISPLAY:
                now = replace(now, stage=self._next_stage(Stage.DISPLAY))
                values = {"display": facts, "stage": now.stage}
                connection.execute(update(session).where(session.c.id == now.id).values(values))
            return self._state(connection, now)

    def answer(self, token: str, key: str, answer: str, response_ms: int, looks: int) -> State:
        """Keep an answer, once, and say what comes next; the same again changes nothing.

        Raises `Unknown` for a task that is not the session's, `Refused` for an answer it cannot
        have.
        """
        with self._write() as connection:
            now = self._session(connection, token)
            found = connection.execute(OWN_TASK, {"key_": key, "session_": now.id}).one_or_none()
            if found is None:
                raise Unknown("This question is not one of yours. Please reload the page.")
            allowed = (*plates.DIGITS, "none") if found.kind == PLATE else ANSWERS
            if answer not in allowed:
                raise Refused(f"An answer is one of {', '.join(allowed)}.")
            if found.answer is None and now.stage in ASKING:
                values = {
                    "id_": found.id,
                    "answer": answer,
                    "answered": self.now(),
                    "response_ms": response_ms,
                    "looks": looks,
                }
                if connection.execute(KEEP_ANSWER, values).rowcount:
                    now = self._advance(connection, now, found.kind)
            return self._state(connection, now)

    def picture(self, key: str, side: str) -> bytes:
        """WebP of one picture of a task; a plate is its left one. Raises `Unknown`."""
        data = self.images.of_task(key, side)
        if data is None:
            raise Unknown("There is no such picture.")
        return data

    def keyed(self, purpose: str, text: str) -> str:
        """A hash that nobody without the study's secret can make, 32 hexadecimal digits."""
        message = f"{purpose}\0{text}".encode()
        return hmac.new(self.secret, message, hashlib.sha256).hexdigest()[:32]

    def code(self, name: str) -> str:
        """The completion code of the session of that name."""
        return self.settings.completion_code or self.keyed("code", name)[:10].upper()

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self.lock or nullcontext(), self.engine.begin() as connection:
            yield connection
        self.log.sync()

    def _room(self, connection: Connection) -> None:
        waited = [Stage.DISPLAY, Stage.PLATES, Stage.SCREENING, Stage.TRIALS]
        recent = session.c.stage.in_(waited) & (session.c.began > self.now() - STALE_MS)
        taken = connection.execute(
            select(func.count()).where(recent | (session.c.stage == Stage.DONE))
        ).scalar_one()
        if taken >= self.settings.raters:
            raise Full("The study has all the raters it needs. Thank you for coming.")

    def _session(self, connection: Connection, token: str) -> Session:
        row = connection.execute(SESSION, {"token_": _digest(token)}).one_or_none()
        if row is None:
            raise Unknown("Your session is not known here. Please begin again.")
        return Session(row.id, row.name, Stage(row.stage), row.seed, row.answered)

    def _next_stage(self, stage: Stage) -> Stage:
        s = self.settings
        order = [Stage.DISPLAY, Stage.PLATES, Stage.SCREENING, Stage.TRIALS, Stage.DONE]
        counts = {Stage.PLATES: s.plates, Stage.SCREENING: s.screens}
        for later in order[order.index(stage) + 1 :]:
            if counts.get(later, 1):
                return later
        return Stage.DONE

    def _advance(self, connection: Connection, now: Session, kind: str) -> Session:
        """After an answer: the next stage where this one is through, and how it went."""
        s = self.settings
        after = now
        if now.stage == Stage.TRIALS:
            done = now.answered + 1
            after = replace(now, answered=done, stage=Stage.DONE if done >= s.trials else now.stage)
        else:
            needed, allowed = (
                (s.plates, s.plates_wrong) if kind == PLATE else (s.screens, s.screens_wrong)
            )
            rows = connection.execute(TESTS, {"session_": now.id, "kind_": kind}).all()
            if len(rows) >= needed:
                wrong = sum(r.answer != r.expected for r in rows)
                # The first plate is one that eyes of all kinds read.
                blind = kind == PLATE and rows[0].answer != rows[0].expected
                passed = wrong <= allowed and not blind
                after = replace(
                    now, stage=self._next_stage(now.stage) if passed else Stage.REJECTED
                )
        if after != now:
            ended = self.now() if after.stage in (Stage.DONE, Stage.REJECTED) else None
            values = {"stage": after.stage, "answered": after.answered, "ended": ended}
            connection.execute(ADVANCE, values | {"id_": now.id})
        return after

    def _state(self, connection: Connection, now: Session) -> State:
        if now.stage == Stage.DONE:
            return State(now.stage, code=self.code(now.name))
        if now.stage not in ASKING:
            return State(now.stage)
        s = self.settings
        start, total = {
            Stage.PLATES: (0, s.plates),
            Stage.SCREENING: (s.plates, s.screens),
            Stage.TRIALS: (s.plates + s.screens, s.trials),
        }[now.stage]
        found = connection.execute(WAITING, {"session_": now.id, "start_": start}).all()
        done = now.answered
        if now.stage != Stage.TRIALS:
            kind = PLATE if now.stage == Stage.PLATES else SCREEN
            done = len(connection.execute(TESTS, {"session_": now.id, "kind_": kind}).all())
        waiting = [self.maker.told(r.key, r.kind, r.picture) for r in found]
        while len(waiting) < min(AHEAD, total - done):
            number = done + len(waiting)
            waiting.append(self.maker.issue(connection, now, start + number, number, self.now()))
        pause = now.stage == Stage.TRIALS and 0 < done < total and done % s.break_every == 0
        return State(now.stage, tuple(waiting), done, total, pause)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
