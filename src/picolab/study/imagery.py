"""Pictures of tasks, from the database and from memory."""

from __future__ import annotations

import threading
from collections import OrderedDict

from sqlalchemy import Engine, bindparam, select

from picolab.study import schema
from picolab.study.schema import task

SIDES = ("left", "right", "reference")
LARGEST_CACHE = 256 * 2**20  # bytes
MOST_TASKS = 50_000

OF_TASK = select(*(task.c[f"{side}_image"] for side in SIDES)).where(
    task.c.key == bindparam("key_")
)
DATA = select(schema.image.c.data).where(schema.image.c.id == bindparam("id_"))


class Images:
    """The last used ones are kept, and of the last tasks which ones they show. Safe to use from
    threads."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.lock = threading.Lock()
        self.kept: OrderedDict[int, bytes] = OrderedDict()
        self.size = 0
        self.tasks: OrderedDict[str, tuple[int | None, ...]] = OrderedDict()
        with engine.connect() as connection:
            columns = (schema.picture.c.id, schema.picture.c.image)
            self.references = {r[0]: r[1] for r in connection.execute(select(*columns))}

    def of_picture(self, picture: int) -> int:
        """The image of an original."""
        return self.references[picture]

    def of_task(self, key: str, side: str) -> bytes | None:
        """The picture on a side of a task; None where there is none."""
        if side not in SIDES:
            return None
        data = self.at_hand(key, side)
        if data is not None:
            return data
        with self.engine.connect() as connection:
            row = connection.execute(OF_TASK, {"key_": key}).one_or_none()
            number = row[SIDES.index(side)] if row is not None else None
            if row is None or number is None:
                return None
            found: bytes = connection.execute(DATA, {"id_": number}).scalar_one()
        with self.lock:
            self._keep(number, found)
        self.note(key, tuple(row))
        return found

    def at_hand(self, key: str, side: str) -> bytes | None:
        """The same without the database; None where it is needed."""
        with self.lock:
            numbers = self.tasks.get(key)
            number = numbers[SIDES.index(side)] if numbers and side in SIDES else None
            if number is None or number not in self.kept:
                return None
            self.kept.move_to_end(number)
            return self.kept[number]

    def note(self, key: str, numbers: tuple[int | None, ...]) -> None:
        """Which images a task shows: left, right, reference."""
        with self.lock:
            self.tasks[key] = numbers
            if len(self.tasks) > MOST_TASKS:
                self.tasks.popitem(last=False)

    def _keep(self, number: int, data: bytes) -> None:
        if number not in self.kept:
            self.kept[number] = data
            self.size += len(data)
        while self.size > LARGEST_CACHE:
            self.size -= len(self.kept.popitem(last=False)[1])
