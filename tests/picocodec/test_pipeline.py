"""Tiles side by side: order, bounds, errors; and files that do not depend on it."""

import threading

import pytest
from tiny import photo

import picocodec
from picocodec.pipeline import MAX_WORKERS, in_order, share


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order(workers):
    assert list(in_order(lambda n: n * n, range(50), workers)) == [n * n for n in range(50)]


def test_tiles_are_worked_on_at_the_same_time():
    meeting = threading.Barrier(3, timeout=300)
    assert len(list(in_order(lambda _: meeting.wait(), range(3), 3))) == 3


@pytest.mark.parametrize("workers", [1, 3])
def test_few_results_wait_to_be_taken(workers):
    begun = []
    results = in_order(begun.append, range(1000), workers)
    next(results)
    results.close()
    assert len(begun) <= 2 * workers


@pytest.mark.parametrize("workers", [1, 3])
def test_errors_reach_the_caller(workers):
    def fail(n):
        if n == 5:
            raise KeyboardInterrupt
        return n

    with pytest.raises(KeyboardInterrupt):
        list(in_order(fail, range(100), workers))


@pytest.mark.parametrize(
    ("threads", "tiles", "expected"),
    [(1, 9, (1, 1)), (4, 1, (1, 4)), (4, 2, (2, 2)), (2, 9, (2, 1)), (32, 99, (MAX_WORKERS, 4))],
)
def test_threads_are_shared_among_tiles(threads, tiles, expected):
    assert share(threads, tiles) == expected
    workers, each = share(0, tiles)
    assert workers >= 1 and each >= 1


def test_files_and_pictures_do_not_depend_on_threads():
    rgb = photo(600, 620)
    data = picocodec.encode(rgb, threads=1)
    assert picocodec.encode(rgb, threads=4) == data
    assert (picocodec.decode(data, threads=4) == picocodec.decode(data, threads=1)).all()
