"""Where the next pair of a rater comes from: the chooser's queue, or chance."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from dataclasses import dataclass
from itertools import combinations

from sqlalchemy import Connection, Engine, func, select

from picolab.study.schema import queue, stimulus

POLL_SECONDS = 2.0
TRIES = 8
ACTIVE, RANDOM = "active", "random"


@dataclass(frozen=True)
class Stimulus:
    """A row of the table of that name."""

    id: int
    picture: int
    image: int


@dataclass(frozen=True)
class Pair:
    """Two stimuli of one picture, sides drawn; `how` they were found."""

    left: Stimulus
    right: Stimulus
    how: str


class PairSource:
    """Pairs for all sessions of a server; safe to use from threads.

    Never computes: the chooser, another process, leaves batches in the queue, and a batch that is
    used up is followed by random pairs until the next one comes.
    """

    def __init__(self, engine: Engine, random_share: float, rng: random.Random) -> None:
        self.random_share = random_share
        self.rng = rng
        self.lock = threading.Lock()
        self.batch = 0
        self.asked = 0.0
        self.waiting: deque[tuple[int, int]] = deque()
        columns = (stimulus.c.id, stimulus.c.picture, stimulus.c.image)
        with engine.connect() as connection:
            rows = [Stimulus(*row) for row in connection.execute(select(*columns))]
        self.stimuli = {row.id: row for row in rows}
        self.of_picture: dict[int, list[Stimulus]] = {}
        for row in rows:
            self.of_picture.setdefault(row.picture, []).append(row)
        self.comparable = [row for row in rows if len(self.of_picture[row.picture]) > 1]

    def next(self, connection: Connection, seen: set[frozenset[int]], last: int | None) -> Pair:
        """A pair that the rater has not `seen` (ids), if possible not of the picture `last`."""
        with self.lock:
            self._refill(connection)
            found = None
            if self.rng.random() >= self.random_share:
                found = self._active(seen, last)
            how = ACTIVE if found else RANDOM
            first, second = found or self._random(seen, last)
            if self.rng.random() < 0.5:
                first, second = second, first
            return Pair(first, second, how)

    def _refill(self, connection: Connection) -> None:
        if time.monotonic() < self.asked + POLL_SECONDS:
            return
        self.asked = time.monotonic()
        newest = connection.execute(select(func.max(queue.c.batch))).scalar()
        if newest is None or newest == self.batch:
            return
        rows = connection.execute(
            select(queue.c.first, queue.c.second)
            .where(queue.c.batch == newest)
            .order_by(queue.c.id)
        )
        self.waiting = deque((first, second) for first, second in rows)
        self.batch = newest

    def _active(
        self, seen: set[frozenset[int]], last: int | None
    ) -> tuple[Stimulus, Stimulus] | None:
        skipped: list[tuple[int, int]] = []
        found = None
        while self.waiting and len(skipped) < TRIES and found is None:
            ids = self.waiting.popleft()
            first, second = self.stimuli[ids[0]], self.stimuli[ids[1]]
            if frozenset(ids) in seen or first.picture == last:
                skipped.append(ids)
            else:
                found = first, second
        self.waiting.extendleft(reversed(skipped))
        return found

    def _random(self, seen: set[frozenset[int]], last: int | None) -> tuple[Stimulus, Stimulus]:
        for _ in range(TRIES):
            first = self.rng.choice(self.comparable)
            second = self.rng.choice(self.of_picture[first.picture])
            if first.id == second.id or first.picture == last:
                continue
            if frozenset((first.id, second.id)) not in seen:
                return first, second
        # Few are left: all are looked through, at best of another picture than the last.
        pairs = [pair for rows in self.of_picture.values() for pair in combinations(rows, 2)]
        unseen = [(a, b) for a, b in pairs if frozenset((a.id, b.id)) not in seen]
        if unseen:
            return self.rng.choice([pair for pair in unseen if pair[0].picture != last] or unseen)
        # None is left: a repeated pair tells something, too.
        first = self.rng.choice(self.comparable)
        others = [other for other in self.of_picture[first.picture] if other.id != first.id]
        return first, self.rng.choice(others)
