"""Answers that survive a lost power supply, at one write to disk for many of them.

SQLite would sync its log at every commit, one after the other, and a disk that takes ten
milliseconds for it serves a hundred answers a second at most. So commits leave that out, and
whoever committed waits here before telling the rater: the first to come syncs the log for all who
committed until then.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

from sqlalchemy import Engine


class Log:
    """The write-ahead log of an SQLite file; does nothing for other databases, which sync at every
    commit themselves. Safe to use from threads."""

    def __init__(self, engine: Engine) -> None:
        name = engine.url.database
        on_disk = engine.dialect.name == "sqlite" and name and name != ":memory:"
        self.path = Path(f"{name}-wal") if on_disk else None
        self.condition = threading.Condition()
        self.committed = 0
        self.synced = 0
        self.syncing = False

    def sync(self) -> None:
        """Return when everything that this thread committed is on the disk."""
        if self.path is None:
            return
        with self.condition:
            self.committed += 1
            mine = self.committed
            while self.syncing and self.synced < mine:
                self.condition.wait()
            if self.synced >= mine:
                return
            self.syncing = True
            until = self.committed
        try:
            # A log that is gone was written into the database, and synced there.
            with contextlib.suppress(FileNotFoundError):
                _sync(self.path)
        finally:
            with self.condition:
                self.syncing = False
                self.synced = max(self.synced, until)
                self.condition.notify_all()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
