"""How far a stage is, and how long it still takes."""

from __future__ import annotations

import sys
import time


class Progress:
    """Lines on standard error, at most one in `every` seconds, with the time left.

    `total` and `done` are in any unit that takes equal time.
    """

    def __init__(self, what: str, total: float, done: float = 0, every: float = 30) -> None:
        self.what, self.total, self.done, self.every = what, total, done, every
        self._started, self._first = time.monotonic(), done
        self._told = -float("inf")

    def skip(self, amount: float) -> None:
        """What was done before this call, and says nothing of its speed."""
        self.done += amount
        self._first += amount

    def advance(self, amount: float = 1, note: str = "") -> None:
        self.done += amount
        now = time.monotonic()
        if now - self._told < self.every and self.done < self.total:
            return
        self._told = now
        speed = (self.done - self._first) / max(now - self._started, 1e-9)
        left = (self.total - self.done) / max(speed, 1e-9)
        share = self.done / self.total if self.total else 1.0
        print(
            f"{self.what} {share:.0%}, {duration(max(left, 0))} left{'  ' + note if note else ''}",
            file=sys.stderr,
            flush=True,
        )


def duration(seconds: float) -> str:
    """As hours and minutes, `1:05`, or as seconds where it is less than a minute."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}"
