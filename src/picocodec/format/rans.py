"""The entropy coder proper: rANS (Duda 2013), as docs/format.md, section 6, "Decoder", has it.

Two engines write and read the same bytes: constriction's, compiled, and one in Python for where
constriction has no package. A coder is a stack: what is pushed last is popped first.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from picocodec.format.tables import PRECISION, TOTAL, Table

try:
    import constriction
except ImportError:
    constriction = None

WORD = 2**32 - 1

Ints = NDArray[np.int32]
Words = NDArray[np.uint32]


class Coder(Protocol):
    """A stack of integers as 32-bit words, of which the last, if there is any, is never 0."""

    def __init__(self, words: Words | None = None) -> None: ...

    @staticmethod
    def prepare(table: Table) -> Any:
        """What `push` and `pop` take for a table of frequencies."""

    def push(self, entries: Ints, prepared: Any) -> None:
        """Entries of a table, in the order in which they will be popped."""

    def pop(self, count: int, prepared: Any) -> Ints:
        """So many entries of a table, int32, in the order in which they were given to `push`."""

    def push_bits(self, values: Ints, bits: int) -> None:
        """Values below `2**bits`, all equally likely; `bits` is from 1 to 24."""

    def pop_bits(self, count: int, bits: int) -> Ints:
        """So many values below `2**bits`, int32."""

    def is_empty(self) -> bool:
        """Whether all that was pushed has been popped."""

    def words(self) -> Words:
        """The whole stack, uint32."""


class ConstrictionCoder(Coder):
    """By constriction's `AnsCoder`."""

    def __init__(self, words: Words | None = None) -> None:
        self._stack = constriction.stream.stack.AnsCoder(words)

    @staticmethod
    def prepare(table: Table) -> Any:
        # Multiples of 2**-24 are exact in float64, and `perfect` keeps them as they are.
        return constriction.stream.model.Categorical(table.astype(np.float64) / TOTAL, perfect=True)

    def push(self, entries: Ints, prepared: Any) -> None:
        self._stack.encode_reverse(entries, prepared)

    def pop(self, count: int, prepared: Any) -> Ints:
        return self._stack.decode(prepared, count)

    def push_bits(self, values: Ints, bits: int) -> None:
        self.push(values, constriction.stream.model.Uniform(1 << bits))

    def pop_bits(self, count: int, bits: int) -> Ints:
        return self.pop(count, constriction.stream.model.Uniform(1 << bits))

    def is_empty(self) -> bool:
        return self._stack.is_empty()

    def words(self) -> Words:
        return self._stack.get_compressed()


class PythonCoder(Coder):
    """In Python's integers. State and words are local to the loops, since those are the cost."""

    def __init__(self, words: Words | None = None) -> None:
        self._words: list[int] = [] if words is None else words.tolist()
        self._state = 0
        while self._state <= WORD and self._words:
            self._state = self._state << 32 | self._words.pop()

    @staticmethod
    def prepare(table: Table) -> Sequence[int]:
        """Where the interval of each entry starts, and where that of the last one ends."""
        return [0, *accumulate(table.tolist())]

    def push(self, entries: Ints, prepared: Sequence[int]) -> None:
        starts, state, words = prepared, self._state, self._words
        for entry in reversed(entries.tolist()):
            start = starts[entry]
            frequency = starts[entry + 1] - start
            if state >> 64 - PRECISION >= frequency:
                words.append(state & WORD)
                state >>= 32
            quotient, rest = divmod(state, frequency)
            state = (quotient << PRECISION) + start + rest
        self._state = state

    def pop(self, count: int, prepared: Sequence[int]) -> Ints:
        starts, state, words = prepared, self._state, self._words
        entries = []
        for _ in range(count):
            place = state & TOTAL - 1
            entry = bisect_right(starts, place) - 1
            start = starts[entry]
            state = (starts[entry + 1] - start) * (state >> PRECISION) + place - start
            if state <= WORD and words:
                state = state << 32 | words.pop()
            entries.append(entry)
        self._state = state
        return np.array(entries, np.int32)

    def push_bits(self, values: Ints, bits: int) -> None:
        self.push(values, _uniform(bits))

    def pop_bits(self, count: int, bits: int) -> Ints:
        return self.pop(count, _uniform(bits))

    def is_empty(self) -> bool:
        return self._state == 0 and not self._words

    def words(self) -> Words:
        words, state = self._words.copy(), self._state
        while state:
            words.append(state & WORD)
            state >>= 32
        return np.array(words, np.uint32)


def _uniform(bits: int) -> range:
    return range(0, TOTAL + 1, TOTAL >> bits)


BestCoder: type[Coder] = PythonCoder if constriction is None else ConstrictionCoder
