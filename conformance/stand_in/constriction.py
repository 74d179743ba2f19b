"""The part of constriction that decoding needs, in Python's integers (docs/format.md, section 6).

constriction has no package for Linux on ARM; with this folder on PYTHONPATH, symbols.py runs
there. It is slow, and a third implementation of the entropy decoder.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

PRECISION = 24


class Categorical:
    def __init__(self, probabilities: NDArray[np.float64], perfect: bool) -> None:
        frequencies = [int(p) for p in (probabilities * 2**PRECISION).tolist()]
        assert perfect and sum(frequencies) == 2**PRECISION
        self.starts = [0, *accumulate(frequencies)]


class Uniform:
    def __init__(self, size: int) -> None:
        self.starts = range(0, 2**PRECISION + 1, 2**PRECISION // size)


class AnsCoder:
    def __init__(self, words: NDArray[np.uint32]) -> None:
        self.words, self.state = words.tolist(), 0
        self._refill()
        self._refill()

    def _refill(self) -> None:
        if self.state < 2**32 and self.words:
            self.state = self.state << 32 | self.words.pop()

    def decode(self, model: Categorical | Uniform, count: int) -> NDArray[np.int32]:
        starts, out = model.starts, np.empty(count, np.int32)
        for i in range(count):
            q = self.state % 2**PRECISION
            k = bisect_right(starts, q) - 1
            self.state = (starts[k + 1] - starts[k]) * (self.state >> PRECISION) + q - starts[k]
            self._refill()
            out[i] = k
        return out

    def is_empty(self) -> bool:
        return self.state == 0 and not self.words


stream = SimpleNamespace(
    stack=SimpleNamespace(AnsCoder=AnsCoder),
    model=SimpleNamespace(Categorical=Categorical, Uniform=Uniform),
)
