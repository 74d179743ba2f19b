"""What an entropy table is: the part of entropy coding that needs no coder."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SCALE_COUNT = 64
PRECISION = 24
TOTAL = 1 << PRECISION

Table = NDArray[np.uint32]


def scale_of_index(index: int) -> float:
    """The scale (a Laplace distribution's, in symbols) that a scale index stands for."""
    return 0.045 * 2.0 ** (0.18 * index)


def radius_of(table: Table) -> int:
    """The largest magnitude that a table codes without its escape."""
    return (len(table) - 2) // 2


def check_table(table: Table) -> None:
    """Raise `ValueError` unless `table` is usable: odd symbols, an escape, positive, exact sum."""
    if table.ndim != 1 or len(table) % 2 or len(table) < 2:
        raise ValueError(f"entropy table: {table.shape} entries, expected 2 R + 2")
    if int(table.min()) < 1 or int(table.sum(dtype=np.uint64)) != TOTAL:
        raise ValueError(f"entropy table: frequencies must be positive and sum to {TOTAL}")
