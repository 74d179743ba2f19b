"""Symbols to bytes and back, by integer tables only (docs/format.md, "Entropy coding").

A table is an array of frequencies that are all positive and sum to 2**24. It codes the symbols
-R..R and, as its last entry, an escape for everything beyond. What turns entries of tables into
bytes is in `rans`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from picocodec.errors import CorruptTile
from picocodec.format.rans import BestCoder, Coder
from picocodec.format.tables import SCALE_COUNT, Table, check_integers, check_table, radius_of

LENGTH_BITS = 5  # the number of bits of an escape is one of 32 values
ESCAPE_BITS = 20  # an escaped symbol exceeds the radius of its table by at most 2**20 - 1

Ints = NDArray[np.int32]


class SymbolCoder:
    """Codes groups of symbols, each symbol under the table that its scale index selects.

    `tables[i]` serves scale index `i`. Elements whose index is below `skip_below` are zero by
    definition and take no bytes. Within a group, symbols are coded in ascending order of index,
    those of equal index in array order; then come the magnitudes of the escaped ones.
    """

    def __init__(
        self, tables: Sequence[Table], skip_below: int, engine: type[Coder] = BestCoder
    ) -> None:
        if len(tables) != SCALE_COUNT:
            raise ValueError(f"entropy tables: {len(tables)} given, expected {SCALE_COUNT}")
        for table in tables:
            check_table(table)
        self.skip_below = skip_below
        self._engine = engine
        self._radii = [radius_of(table) for table in tables]
        # When they are needed: all of them take a tenth of the time that a small picture takes.
        self._prepared = cache(lambda index: engine.prepare(tables[index]))

    def _order(self, indices: NDArray[np.integer]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Positions of the coded elements in coding order, and where each index begins."""
        check_integers("scale indices", indices)
        flat = indices.reshape(-1).astype(np.uint8)
        coded = np.flatnonzero(flat >= self.skip_below)  # few: to sort all takes six times as long
        order = coded[np.argsort(flat[coded], kind="stable")]
        bounds = np.searchsorted(flat[order], np.arange(SCALE_COUNT + 1))
        return order, bounds

    def encode(self, groups: Sequence[tuple[Ints, NDArray[np.integer]]]) -> bytes:
        """Code `(symbols, scale indices)` groups, to be read back in the same order.

        Symbols at skipped elements must be zero; a magnitude past what an escape can hold
        raises `ValueError`.
        """
        coder = self._engine()
        for symbols, indices in reversed(groups):
            self._push(coder, symbols, indices)
        return coder.words().astype("<u4").tobytes()

    def _push(self, coder: Coder, symbols: Ints, indices: NDArray[np.integer]) -> None:
        check_integers("symbols", symbols)
        order, bounds = self._order(indices)
        ordered = symbols.reshape(-1)[order]
        if np.count_nonzero(ordered) != np.count_nonzero(symbols):
            raise ValueError("entropy coder: a skipped element has a symbol other than zero")
        entries: list[tuple[int, Ints]] = []
        escapes: list[NDArray[np.int64]] = []
        for index in range(self.skip_below, SCALE_COUNT):
            values = ordered[bounds[index] : bounds[index + 1]].astype(np.int64)
            if not len(values):
                continue
            radius = self._radii[index]
            beyond = np.abs(values) > radius
            if beyond.any():
                excess = np.abs(values[beyond]) - radius - 1
                escapes.append(2 * excess + (values[beyond] < 0) + 1)
            entry = np.where(beyond, 2 * radius + 1, values + radius)
            entries.append((index, entry.astype(np.int32)))
        # The coder is a stack: what is read first is pushed last.
        if escapes:
            self._push_escapes(coder, np.concatenate(escapes))
        for index, entry in reversed(entries):
            coder.push(entry, self._prepared(index))

    def _push_escapes(self, coder: Coder, values: NDArray[np.int64]) -> None:
        """Values of at least 1, as the number of bits after the leading one, then those bits."""
        if int(values.max()) >= 1 << (ESCAPE_BITS + 1):
            raise ValueError("entropy coder: a symbol is too large to code")
        lengths = np.frexp(values.astype(np.float64))[1].astype(np.int32) - 1
        for length in range(ESCAPE_BITS, 0, -1):
            chosen = values[lengths == length] - (1 << length)
            if len(chosen):
                coder.push_bits(chosen.astype(np.int32), length)
        coder.push_bits(lengths, LENGTH_BITS)

    def reader(self, data: bytes) -> SymbolReader:
        """Read what `encode` wrote; raises `CorruptTile` for data that no encoder writes."""
        if len(data) % 4:
            raise CorruptTile("entropy-coded data is not a whole number of 32-bit words")
        words = np.frombuffer(data, dtype="<u4").astype(np.uint32)
        if len(words) and words[-1] == 0:
            raise CorruptTile("entropy-coded data ends in an empty word")
        return SymbolReader(self, self._engine(words))


class SymbolReader:
    """Reads groups back one by one, since the indices of a group may follow from the last."""

    def __init__(self, coder: SymbolCoder, stream: Coder) -> None:
        self._coder, self._stream = coder, stream

    def read(self, indices: NDArray[np.integer]) -> Ints:
        """The symbols, in the shape of `indices`."""
        coder = self._coder
        order, bounds = coder._order(indices)
        ordered = np.zeros(order.shape, np.int32)
        escaped: list[NDArray[np.intp]] = []
        radii: list[NDArray[np.int64]] = []
        for index in range(coder.skip_below, SCALE_COUNT):
            start, stop = int(bounds[index]), int(bounds[index + 1])
            if start == stop:
                continue
            radius = coder._radii[index]
            values = self._stream.pop(stop - start, coder._prepared(index)) - radius
            ordered[start:stop] = values
            beyond = np.flatnonzero(values > radius)
            if len(beyond):
                escaped.append(beyond + start)
                radii.append(np.full(len(beyond), radius, np.int64))
        if escaped:
            magnitudes = self._read_escapes(sum(map(len, escaped)))
            excess, negative = magnitudes - 1 >> 1, magnitudes - 1 & 1
            values = (excess + np.concatenate(radii) + 1) * (1 - 2 * negative)
            ordered[np.concatenate(escaped)] = values.astype(np.int32)
        symbols = np.zeros(indices.size, np.int32)
        symbols[order] = ordered
        return symbols.reshape(indices.shape)

    def _read_escapes(self, count: int) -> NDArray[np.int64]:
        lengths = self._stream.pop_bits(count, LENGTH_BITS)
        if lengths.max() > ESCAPE_BITS:
            raise CorruptTile("entropy-coded data holds an impossible symbol")
        values = np.ones(count, np.int64)
        for length in range(1, ESCAPE_BITS + 1):
            chosen = lengths == length
            if chosen.any():
                bits = self._stream.pop_bits(int(chosen.sum()), length)
                values[chosen] = (1 << length) + bits
        return values

    def finish(self) -> None:
        """Raise `CorruptTile` unless the data ends exactly here."""
        if not self._stream.is_empty():
            raise CorruptTile("entropy-coded data does not end where its symbols do")
