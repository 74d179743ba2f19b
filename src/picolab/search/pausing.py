"""Other processes, such as a training run on the same machine, held still while a clock runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

# Reads until whoever started it is gone, however it ended, then lets the others go on.
WATCHER = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.stdin.read()
for pid in map(int, sys.argv[1:]):
    try:
        os.kill(pid, signal.SIGCONT)
    except OSError:
        pass
"""


class Pause:
    """Processes that can be paused. They go on at the end of each pause, and when this process
    ends in whichever way, SIGKILL included.

    A context; raises `ValueError` for a process that is not there or belongs to somebody else.
    """

    def __init__(self, pids: Sequence[int]) -> None:
        self.pids = list(pids)
        for pid in self.pids:
            if pid <= 1 or pid == os.getpid():
                raise ValueError(f"--pause-pid {pid}: not a process that can be paused from here")
            try:
                os.kill(pid, 0)
            except OSError as error:
                raise ValueError(f"--pause-pid {pid}: {error.strerror}") from None
        self._watcher: subprocess.Popen | None = None

    def __enter__(self) -> Pause:
        if self.pids:
            command = [sys.executable, "-c", WATCHER, *map(str, self.pids)]
            self._watcher = subprocess.Popen(command, stdin=subprocess.PIPE)
        return self

    def __exit__(self, *_: object) -> None:
        self._signal(signal.SIGCONT)
        if self._watcher is not None:
            assert self._watcher.stdin is not None
            self._watcher.stdin.close()
            self._watcher.wait()
            self._watcher = None

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Hold the processes still within."""
        try:
            self._signal(signal.SIGSTOP)
            yield
        finally:
            self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        for pid in self.pids:
            with suppress(ProcessLookupError):  # it may have ended meanwhile
                os.kill(pid, number)
