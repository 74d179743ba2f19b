from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from picocodec.errors import CorruptTile
from picocodec.format.entropy import SymbolCoder
from picocodec.format.tables import SCALE_COUNT, TOTAL, check_table, radius_of, scale_of_index
from picolab.release.files import skipped_scales, table_of_scale

TABLES = [table_of_scale(i) for i in range(SCALE_COUNT)]
SKIP = skipped_scales(TABLES)
CODER = SymbolCoder(TABLES, SKIP)


def draw(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Scale indices, and symbols as likely as those indices say."""
    rng = np.random.default_rng(seed)
    indices = rng.integers(0, SCALE_COUNT, count).astype(np.uint8)
    scales = np.array([scale_of_index(i) for i in range(SCALE_COUNT)])[indices]
    symbols = np.rint(rng.laplace(0, scales)).astype(np.int32)
    symbols[indices < SKIP] = 0
    return symbols, indices


def test_golden_words() -> None:
    """The bytes of version 1 for fixed symbols: a change here breaks every file ever written."""
    symbols = np.array([0, 1, -1, 2, 0, -3, 5, 100000, -7], np.int32)
    indices = np.array([20, 20, 20, 24, 24, 30, 30, 30, 36], np.uint8)
    data = CODER.encode([(np.array([1, 0, -2], np.int32), np.full(3, 25, np.uint8)),
                         (symbols, indices)])  # fmt: skip
    assert data.hex() == GOLDEN


GOLDEN = "877aed69fbe8deb5c7110000"


@given(st.integers(0, 10**6), st.integers(0, 400))
@settings(max_examples=40)
def test_groups_come_back(seed: int, count: int) -> None:
    first, second = draw(seed, count), draw(seed + 1, 50)
    reader = CODER.reader(CODER.encode([first, second]))
    assert np.array_equal(reader.read(first[1]), first[0])
    assert np.array_equal(reader.read(second[1]), second[0])
    reader.finish()


@given(st.lists(st.integers(-(2**20), 2**20), min_size=1, max_size=30), st.integers(SKIP, 63))
@settings(max_examples=60)
def test_escapes_come_back(values: list[int], index: int) -> None:
    symbols, indices = np.array(values, np.int32), np.full(len(values), index, np.uint8)
    reader = CODER.reader(CODER.encode([(symbols, indices)]))
    assert np.array_equal(reader.read(indices), symbols)
    reader.finish()


def test_size_is_that_of_the_tables() -> None:
    symbols, indices = draw(3, 100_000)
    bits, escaped = 0.0, 0
    for index in range(SKIP, SCALE_COUNT):
        table = TABLES[index]
        radius = radius_of(table)
        values = symbols[indices == index]
        escaped += int((np.abs(values) > radius).sum())
        entries = np.where(np.abs(values) > radius, 2 * radius + 1, values + radius)
        bits += -np.log2(table[entries] / TOTAL).sum()
    size = len(CODER.encode([(symbols, indices)])) * 8
    assert escaped < 20
    assert bits <= size <= bits * 1.001 + 64 + 20 * escaped


def test_shape_is_kept_and_array_order_is_canonical() -> None:
    symbols, indices = draw(5, 120)
    data = CODER.encode([(symbols.reshape(4, 5, 6), indices.reshape(4, 5, 6))])
    assert data == CODER.encode([(symbols, indices)])
    assert CODER.reader(data).read(indices.reshape(4, 5, 6)).shape == (4, 5, 6)


def test_skipped_elements_are_zero_and_free() -> None:
    indices = np.full(1000, SKIP - 1, np.uint8)
    assert CODER.encode([(np.zeros(1000, np.int32), indices)]) == b""
    with pytest.raises(ValueError, match="skipped"):
        CODER.encode([(np.ones(1000, np.int32), indices)])


def test_symbols_no_escape_can_hold_are_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        CODER.encode([(np.array([2**22], np.int32), np.array([30], np.uint8))])


def test_data_that_goes_on_is_corrupt() -> None:
    symbols, indices = draw(7, 200)
    data = CODER.encode([(symbols, indices)])
    reader = CODER.reader(b"\x01\x02\x03\x04" + data)
    reader.read(indices)
    with pytest.raises(CorruptTile, match="does not end"):
        reader.finish()


@pytest.mark.parametrize("data", [b"abc", b"\1\0\0\0\0\0\0\0"])
def test_data_no_encoder_writes_is_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptTile):
        CODER.reader(data)


@given(st.binary(max_size=200))
@settings(max_examples=80)
def test_noise_is_read_or_refused_but_never_crashes(noise: bytes) -> None:
    indices = np.full(300, 33, np.uint8)
    try:
        reader = CODER.reader(noise)
        reader.read(indices)
        reader.finish()
    except CorruptTile:
        return
    assert CODER.encode([(CODER.reader(noise).read(indices), indices)]) == noise


@pytest.mark.parametrize("index", range(0, SCALE_COUNT, 7))
def test_tables_are_integers_that_follow_their_scale(index: int) -> None:
    table = TABLES[index]
    check_table(table)
    assert np.array_equal(table[:-1], table[:-1][::-1])
    radius = radius_of(table)
    k = np.arange(-radius, radius + 1)
    deviation = np.sqrt((table[:-1] / TOTAL * k**2).sum())
    expected = scale_of_index(index) * np.sqrt(2)
    if expected > 1:
        assert deviation == pytest.approx(expected, rel=0.05)


def test_tables_that_do_not_add_up_are_refused() -> None:
    table = TABLES[30].copy()
    table[0] += 1
    with pytest.raises(ValueError, match="sum"):
        check_table(table)
    table = TABLES[30].copy()
    table[1] += table[0]
    table[0] = 0
    with pytest.raises(ValueError, match="positive"):
        check_table(table)
