"""Jobs in processes of their own: one that is killed takes along only the job it was at.

Not `ProcessPoolExecutor`, whose every job fails with one process, also those whose results are on
their way (CPython's documentation of `BrokenProcessPool`).
"""

from __future__ import annotations

import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Generic, TypeVar

from picocodec.cli.shell import SIGNALLED, Stopped, signals_raised

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

Job = TypeVar("Job")
Result = TypeVar("Result")

_GRACE = 10.0  # seconds that a process has to take back what it was at


@dataclass
class _Worker(Generic[Job]):
    process: SpawnProcess
    connection: Connection
    job: Job

    def give(self, job: Job) -> None:
        self.job = job
        try:
            self.connection.send(job)
        except OSError:
            pass  # it is dead: so says its connection when it is read


@dataclass(frozen=True)
class Done(Generic[Job, Result]):
    """A job, and what came of it; None if its process was killed."""

    job: Job
    result: Result | None


class Workers(Generic[Job, Result]):
    """Up to `count` processes for `task`, a picklable function of one picklable job.

    They know nothing of Ctrl-C, of which the parent hears; when the iteration over `results` ends
    early, they are asked to end and take back what is half done.
    """

    def __init__(self, task: Callable[[Job], Result], count: int) -> None:
        # Here, since few need it and all would wait for it.
        import multiprocessing

        self._task, self._count = task, count
        self._context = multiprocessing.get_context("spawn")
        self._busy: list[_Worker[Job]] = []

    def results(self, jobs: Sequence[Job]) -> Iterator[Done[Job, Result]]:
        """The result of every job, as they come."""
        from multiprocessing.connection import wait

        waiting = deque(jobs)
        try:
            while waiting and len(self._busy) < self._count:
                self._start(waiting.popleft())
            while self._busy:
                ready = wait([worker.connection for worker in self._busy])
                for worker in [w for w in self._busy if w.connection in ready]:
                    job = worker.job
                    result = self._result_of(worker, waiting)
                    yield Done(job, result)
        finally:
            self._stop()

    def _result_of(self, worker: _Worker[Job], waiting: deque[Job]) -> Result | None:
        """What a process has to say; it, or another in its place, gets the next job."""
        try:
            result: Result | None = worker.connection.recv()
        except (EOFError, OSError):
            result = None
            self._end(worker)
            if waiting:
                self._start(waiting.popleft())
        else:
            if waiting:
                worker.give(waiting.popleft())
            else:
                self._end(worker)
        return result

    def _start(self, job: Job) -> None:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(self._task, theirs), daemon=True)
        process.start()
        theirs.close()
        worker = _Worker(process, ours, job)
        self._busy.append(worker)
        worker.give(job)

    def _end(self, worker: _Worker[Job]) -> None:
        """No more jobs for a process that has none, or is dead."""
        self._busy.remove(worker)
        worker.connection.close()
        worker.process.join()

    def _stop(self) -> None:
        for worker in self._busy:
            worker.process.terminate()
        for worker in self._busy:
            worker.process.join(_GRACE)
            worker.process.kill()
            worker.process.join()
            worker.connection.close()
        self._busy.clear()


def _serve(task: Callable[[Job], Result], connection: Connection) -> None:
    """Work until the parent closes the connection, or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with signals_raised():
            while True:
                connection.send(task(connection.recv()))
    except (EOFError, OSError):
        pass
    except Stopped as stop:
        sys.exit(SIGNALLED + stop.number)
