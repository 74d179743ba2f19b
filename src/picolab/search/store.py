"""Everything that a search has found out, in one SQLite file, so that a killed one goes on.

settings  key, value          what the search is of; it never changes
times     number, seconds, reference    one configuration; seconds are NULL where it failed
results   run, round, ...     bits per pixel and PSNR of a run at the end of a round
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = """
create table if not exists settings (key text primary key, value text not null);
create table if not exists times (
    number integer primary key, seconds real, reference real, error text
);
create table if not exists results (
    run text, round integer, pixels real, cpu_seconds real, points text, primary key (run, round)
);
"""


@dataclass(frozen=True)
class Timed:
    """A configuration's time and that of the reference beside it, in seconds; None where the
    device failed."""

    number: int
    seconds: float | None
    reference: float | None
    error: str = ""


@dataclass(frozen=True)
class Point:
    """Means over held-out tiles at one level."""

    bpp: float
    psnr: float


@dataclass(frozen=True)
class Result:
    """A run's quality at the end of a round."""

    run: str
    round: int
    pixels: float
    cpu_seconds: float
    points: tuple[Point, ...]


class Store:
    """The file of a search; a context."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = sqlite3.connect(path, isolation_level=None)  # each statement is kept at once
        self._file.executescript(SCHEMA)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def claim(self, settings: Mapping[str, Any]) -> None:
        """Write down what the search is of, or check that it is the same. Raises `ValueError`."""
        for key, value in settings.items():
            known = self.setting(key)
            if known is None:
                self.set(key, value)
            elif known != json.loads(json.dumps(value)):
                raise ValueError(
                    f"{self.path} holds a search with {key} = {known!r}, not {value!r}; "
                    "choose another folder with -o"
                )

    def setting(self, key: str) -> Any:
        """What was written down as `key`, None for nothing."""
        row = self._file.execute("select value from settings where key = ?", [key]).fetchone()
        return None if row is None else json.loads(row[0])

    def set(self, key: str, value: Any) -> None:
        self._file.execute("replace into settings values (?, ?)", [key, json.dumps(value)])

    def add_time(self, timed: Timed) -> None:
        row = (timed.number, timed.seconds, timed.reference, timed.error)
        self._file.execute("replace into times values (?, ?, ?, ?)", row)

    def times(self) -> dict[int, Timed]:
        rows = self._file.execute("select number, seconds, reference, error from times")
        return {row[0]: Timed(*row) for row in rows}

    def add_result(self, result: Result) -> None:
        points = json.dumps([[point.bpp, point.psnr] for point in result.points])
        row = (result.run, result.round, result.pixels, result.cpu_seconds, points)
        self._file.execute("replace into results values (?, ?, ?, ?, ?)", row)

    def results(self, number: int) -> dict[str, Result]:
        """The results of a round, by run."""
        rows = self._file.execute("select * from results where round = ?", [number])
        return {
            run: Result(run, at, pixels, spent, tuple(Point(*p) for p in json.loads(points)))
            for run, at, pixels, spent, points in rows
        }
