"""Tiles side by side: while one is in the networks, another is in the entropy coder.

ONNX Runtime lets go of Python's lock while it computes, so that threads are enough.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

# More tiles at once than this cost memory and gain nothing: networks then get several threads.
MAX_WORKERS = 8

Progress = Callable[[int, int], None]  # is told how many tiles are done, and how many there are

Item = TypeVar("Item")
Result = TypeVar("Result")


def available_cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share(threads: int, tiles: int) -> tuple[int, int]:
    """How many tiles to work on at once, and the threads of each; `threads` 0 means all cores."""
    threads = threads or available_cores()
    workers = max(1, min(threads, tiles, MAX_WORKERS))
    return workers, max(1, threads // workers)


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """`map` by several threads, in the order of `items`. At most `2 * workers` results wait to be
    taken, so that memory is bounded whatever the number of items."""
    if workers == 1:
        yield from map(function, items)
        return
    from concurrent.futures import ThreadPoolExecutor  # slow to load, and not for one tile

    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) == 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
