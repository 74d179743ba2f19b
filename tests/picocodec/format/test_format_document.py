"""A second decoder of the bytes-to-symbols half, in plain Python integers from docs/format.md.

It shares no code with picocodec: only the arrays of a model's tables.npz are common.
"""

from __future__ import annotations

from math import ceil
from pathlib import Path

import numpy as np
import pytest
from tiny import photo

from picocodec.coders.learned import LearnedCoder, decode_symbols
from picocodec.format.tiles import layout, tiles_along
from picocodec.images.canvas import with_margin
from picocodec.model.model import Model


class Document:
    """Sections 6 and 7, with the names used there."""

    def __init__(self, folder: Path, skip_below: int) -> None:
        arrays = np.load(folder / "tables.npz")
        self.tables, start = [], 0
        for length in arrays["table_lengths"].tolist():
            self.tables.append(arrays["tables"][start : start + length].tolist())
            start += length
        self.z_index = arrays["z_index"].tolist()
        self.settings = arrays["layer_settings"].tolist()
        self.layers = [
            (arrays[f"layer{i}_weight"].tolist(), arrays[f"layer{i}_bias"].tolist())
            for i in range(6)
        ]
        self.skip_below = skip_below

    def start(self, data: bytes) -> None:
        self.words = [int.from_bytes(data[i : i + 4], "little") for i in range(0, len(data), 4)]
        self.state = 0
        self.refill()

    def refill(self) -> None:
        while self.state < 1 << 32 and self.words:
            self.state = self.state << 32 | self.words.pop()

    def decode(self, frequencies: list[int]) -> int:
        q, entry, below = self.state % (1 << 24), 0, 0
        while q >= below + frequencies[entry]:
            below += frequencies[entry]
            entry += 1
        self.state = frequencies[entry] * (self.state >> 24) + q - below
        self.refill()
        return entry

    def group(self, indices: list[int]) -> list[int]:
        out = [0] * len(indices)
        escaped = []
        for index in range(self.skip_below, 64):
            radius = (len(self.tables[index]) - 2) // 2
            for i in (i for i, at in enumerate(indices) if at == index):
                out[i] = self.decode(self.tables[index]) - radius
                if out[i] == radius + 1:
                    escaped.append((i, radius))
        bits = [self.decode([1 << 19] * 32) for _ in escaped]
        low = [0] * len(escaped)
        for b in range(1, 21):
            for k, count in enumerate(bits):
                if count == b:
                    low[k] = self.decode([(1 << 24) >> b] * (1 << b))
        for (i, radius), b, t in zip(escaped, bits, low, strict=True):
            v = (1 << b) + t - 1
            out[i] = (radius + 1 + v // 2) * (-1 if v % 2 else 1)
        return out

    def scale_indices(self, z: np.ndarray, level_bin: int) -> list[list[list[int]]]:
        x = [[[min(max(int(v), -127), 127) for v in row] for row in plane] for plane in z]
        for (weight, bias), (shift, top, upsample) in zip(self.layers, self.settings, strict=True):
            kernel, height, width = len(weight[0][0]), len(x[0]), len(x[0][0])
            reach = kernel // 2
            out = [[[0] * width for _ in range(height)] for _ in weight]
            for o, taps in enumerate(weight):
                for r in range(height):
                    for c in range(width):
                        acc = bias[level_bin if len(bias) > 1 else 0][o]
                        for i, plane in enumerate(taps):
                            for dy in range(kernel):
                                for dx in range(kernel):
                                    rr, cc = r + dy - reach, c + dx - reach
                                    if 0 <= rr < height and 0 <= cc < width:
                                        acc += plane[dy][dx] * x[i][rr][cc]
                        out[o][r][c] = min(max(acc + (1 << shift - 1), 0) >> shift, top)
            x = out
            if upsample:
                x = [
                    [
                        [out[4 * a + 2 * (r % 2) + c % 2][r // 2][c // 2] for c in range(2 * width)]
                        for r in range(2 * height)
                    ]
                    for a in range(len(out) // 4)
                ]
        return x

    def tile(self, data: bytes, own: tuple[int, int], level: int):
        height, width = own
        canvas = 64 * ceil((height + 8) / 64), 64 * ceil((width + 8) / 64)
        level_bin = (63 * level + 500) // 1000
        self.start(data)
        rows, columns = canvas[0] // 64, canvas[1] // 64
        indices = [i for i in self.z_index[level_bin] for _ in range(rows * columns)]
        z = np.array(self.group(indices)).reshape(-1, rows, columns)
        y_rows, y_columns = ceil((height + 8) / 16), ceil((width + 8) / 16)
        flat = [
            value if r < y_rows and c < y_columns else 0
            for plane in self.scale_indices(z, level_bin)
            for r, row in enumerate(plane)
            for c, value in enumerate(row)
        ]
        symbols = np.array(self.group(flat)).reshape(-1, 4 * rows, 4 * columns)
        assert self.state == 0 and not self.words
        return z, symbols


@pytest.mark.parametrize(
    ("height", "width", "level"), [(20, 70, 1000), (56, 56, 600), (1, 1, 0), (90, 30, 317)]
)
def test_a_decoder_from_the_document_reads_the_same_symbols(
    model: Model, model_folder: Path, height: int, width: int, level: int
) -> None:
    tile = layout(width, height)[0]
    payload = LearnedCoder(model).encode(with_margin(photo(height, width), tile), level).payload
    document = Document(model_folder, model.skip_below)
    z, symbols = document.tile(payload, (height, width), level)
    ours_z, ours_symbols = decode_symbols(model, payload, tile, level)
    assert np.array_equal(z, ours_z) and np.array_equal(symbols, ours_symbols)


def test_escapes_are_as_the_document_says(model: Model, model_folder: Path) -> None:
    values = [0, 1, 700, -700, 5, -(2**18), 2**18, 31, -32, 33]
    indices = np.array([12, 12, 12, 20, 20, 30, 30, 5, 5, 5], np.uint8)
    document = Document(model_folder, model.skip_below)
    document.start(model.coder.encode([(np.array(values, np.int32), indices)]))
    assert document.group(indices.tolist()) == values
    assert document.state == 0 and not document.words


def test_the_number_of_tiles_is_as_the_document_says() -> None:
    for side in range(1, 3000):
        count = max(1, ceil((side - 64) / 504))
        spans = [tile.width for tile in layout(side, 1)]
        assert len(spans) == tiles_along(side) == count
        assert spans[:-1] == [504] * (count - 1) and 1 <= spans[-1] <= 568
