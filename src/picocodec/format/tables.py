"""What an entropy table is: the part of entropy coding that needs no coder."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SCALE_COUNT = 64
PRECISION = 24
TOTAL = 1 << PRECISION

Table = NDArray[np.uint32]


def check_integers(what: str, array: NDArray[Any]) -> None:
    """Raise `TypeError` unless `array` holds integers: what decides on the meaning of bytes must
    be the same everywhere, and floats are not."""
    if array.dtype.kind not in "iu":
        raise TypeError(f"{what}: expected integers, not {array.dtype}")


def scale_of_index(index: int) -> float:
    """The scale (a Laplace distribution's, in symbols) that a scale index stands for."""
    return 0.045 * 2.0 ** (0.18 * index)


def radius_of(table: Table) -> int:
    """The largest magnitude that a table codes without its escape."""
    return (len(table) - 2) // 2


def check_table(table: Table) -> None:
    """Raise `ValueError` unless `table` is usable: odd symbols, an escape, positive, exact sum."""
    check_integers("entropy table", table)
    if table.ndim != 1 or len(table) % 2 or len(table) < 2:
        raise ValueError(f"entropy table: {table.shape} entries, expected 2 R + 2")
    if int(table.min()) < 1 or int(table.sum(dtype=np.uint64)) != TOTAL:
        raise ValueError(f"entropy table: frequencies must be positive and sum to {TOTAL}")
