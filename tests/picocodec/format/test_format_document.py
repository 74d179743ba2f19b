"""A second decoder of the bytes-to-symbols half, in plain Python integers from docs/format.md.

It shares no code with picocodec: only the arrays of a model's tables.npz are common.
"""

from __future__ import annotations

import zlib
from math import ceil
from pathlib import Path

import numpy as np
import pytest
from tiny import photo

from picocodec.coders.learned import LearnedCoder, decode_symbols
from picocodec.format import container
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


def crc16(data: bytes) -> int:
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def pieces_of(data: bytes) -> list[tuple[int, int, list[int], bytes]]:
    """Sections 2 and 3: coder, level, tiles and payload of every piece."""
    at = 0

    def number(count: int) -> int:
        nonlocal at
        at += count
        return int.from_bytes(data[at - count : at], "little")

    def varint() -> int:
        value, shift = 0, 0
        while (byte := number(1)) & 0x80:
            value, shift = value | (byte & 0x7F) << shift, shift + 7
        return value | byte << shift

    assert number(4) == int.from_bytes(b"\x8aPIC", "little") and number(1) == 2
    flags = number(1)
    across, down = (max(1, ceil((varint() + 1 - 64) / 504)) for _ in range(2))
    level = number(2)
    number((flags >> 4) + 1 + 1 + 4 + (flags >> 1 & 1))
    left, found = list(range(across * down)), []
    while left:
        kind = number(1)
        own = number(2) if kind & 8 else level
        rows, columns = (kind >> 4 & 3) + 1, (kind >> 6) + 1
        tiles = [left[0] + r * across + c for r in range(rows) for c in range(columns)]
        assert left[0] % across + columns <= across and set(tiles) <= set(left)
        left = [tile for tile in left if tile not in tiles]
        found.append((kind & 3, own, tiles, varint(), number(4)))
    if flags & 4:
        for _ in range(varint()):
            number(4), varint(), number(4)
    end = at
    assert number(2) == crc16(data[:end])
    pieces = []
    for coder, own, tiles, length, crc in found:
        number(length)
        payload = data[at - length : at]
        assert zlib.crc32(payload) == crc
        pieces.append((coder, own, tiles, payload))
    return pieces


def test_pieces_are_as_the_document_says() -> None:
    assert crc16(b"123456789") == 0x29B1
    paths = sorted((Path(__file__).parents[2] / "golden").glob("*/*.pico"))
    for data in [path.read_bytes() for path in paths]:
        header = container.read_header(data)
        assert pieces_of(data) == [
            (p.coder, p.level, p.tiles(header.columns), container.payload(header, data, i))
            for i, p in enumerate(header.pieces)
        ]


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
