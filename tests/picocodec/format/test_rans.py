"""Both engines of the entropy coder write the same bytes and read the same from any."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from picocodec.errors import CorruptTile
from picocodec.format.entropy import ESCAPE_BITS, SymbolCoder
from picocodec.format.rans import Coder, ConstrictionCoder, PythonCoder
from picocodec.format.tables import SCALE_COUNT, TOTAL, Table

pytest.importorskip("constriction")

GOLDEN = Path(__file__).parents[2] / "golden"
ENGINES: list[type[Coder]] = [ConstrictionCoder, PythonCoder]


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Frequencies of every kind: even, drawn at random, or one that takes nearly everything."""
    size = 2 * draw(st.integers(1, 40))
    kind = draw(st.sampled_from(["even", "random", "lonely"]))
    table = np.ones(size, np.uint32)
    if kind == "even":
        table[:] = TOTAL // size
    elif kind == "random":
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        share = rng.dirichlet(np.full(size, 0.3)) * (TOTAL - size)
        table += share.astype(np.uint32)
    table[draw(st.integers(0, size - 1))] += TOTAL - int(table.sum())
    return table


TableOrBits = st.one_of(tables(), st.integers(1, 24))


@given(st.lists(st.tuples(TableOrBits, st.integers(0, 60)), max_size=6), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_engines_write_the_same_words(parts: list[tuple[Table | int, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = [1 << kind if isinstance(kind, int) else len(kind) for kind, _ in parts]
    groups = [
        rng.integers(0, size, count).astype(np.int32)
        for size, (_, count) in zip(sizes, parts, strict=True)
    ]
    written = []
    for engine in ENGINES:
        coder = engine()
        for (kind, _), group in zip(parts, groups, strict=True):
            if isinstance(kind, int):
                coder.push_bits(group, kind)
            else:
                coder.push(group, engine.prepare(kind))
        written.append(coder.words())
    assert written[0].tolist() == written[1].tolist()
    for engine in ENGINES:
        coder = engine(written[0])
        for (kind, count), group in zip(reversed(parts), reversed(groups), strict=True):
            if isinstance(kind, int):
                popped = coder.pop_bits(count, kind)
            else:
                popped = coder.pop(count, engine.prepare(kind))
            assert popped.dtype == np.int32 and np.array_equal(popped, group)
        assert coder.is_empty()


@given(
    st.lists(st.integers(0, 2**32 - 1), max_size=12).filter(lambda w: not w or w[-1]),
    st.lists(st.tuples(TableOrBits, st.integers(0, 40)), max_size=6),
)
@settings(max_examples=60)
def test_engines_read_the_same_from_any_words(
    words: list[int], parts: list[tuple[Table | int, int]]
) -> None:
    first, second = (engine(np.array(words, np.uint32)) for engine in ENGINES)
    for kind, count in parts:
        if isinstance(kind, int):
            popped = [first.pop_bits(count, kind), second.pop_bits(count, kind)]
        else:
            popped = [coder.pop(count, coder.prepare(kind)) for coder in (first, second)]
        assert popped[0].tolist() == popped[1].tolist()
        assert first.is_empty() == second.is_empty()
    assert first.words().tolist() == second.words().tolist()


@st.composite
def coders(draw: st.DrawFn) -> tuple[SymbolCoder, SymbolCoder]:
    few = draw(st.lists(tables(), min_size=1, max_size=3))
    chosen = [few[i % len(few)] for i in range(SCALE_COUNT)]
    skip_below = draw(st.integers(1, 5))
    return tuple(SymbolCoder(chosen, skip_below, engine) for engine in ENGINES)


@given(coders(), st.integers(0, 2**32 - 1), st.lists(st.integers(0, 50), max_size=3))
@settings(max_examples=60)
def test_symbols_and_escapes_are_the_same_bytes(
    both: tuple[SymbolCoder, SymbolCoder], seed: int, counts: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    groups = []
    for count in counts:
        indices = rng.integers(0, SCALE_COUNT, count).astype(np.uint8)
        limit = 1 << rng.integers(0, ESCAPE_BITS, count)
        symbols = rng.integers(-limit, limit + 1).astype(np.int32)
        symbols[indices < both[0].skip_below] = 0
        groups.append((symbols, indices))
    first, second = (coder.encode(groups) for coder in both)
    assert first == second
    reader = both[1].reader(first)
    for symbols, indices in groups:
        assert np.array_equal(reader.read(indices), symbols)
    reader.finish()


def outcome(coder: SymbolCoder, data: bytes, indices: np.ndarray) -> list[list[int]] | str:
    """The symbols, or what is said against the data."""
    try:
        reader = coder.reader(data)
        symbols = [reader.read(indices).tolist(), reader.read(indices[::-1]).tolist()]
        reader.finish()
    except CorruptTile as error:
        return str(error)
    return symbols


@given(coders(), st.binary(max_size=120), st.binary(max_size=60))
@settings(max_examples=80)
def test_noise_has_the_same_outcome(
    both: tuple[SymbolCoder, SymbolCoder], noise: bytes, elements: bytes
) -> None:
    indices = np.frombuffer(elements, np.uint8) % SCALE_COUNT
    first, second = (outcome(coder, noise, indices) for coder in both)
    assert first == second


@given(coders(), st.integers(0, 2**32 - 1), st.data())
@settings(max_examples=40)
def test_damage_has_the_same_outcome(
    both: tuple[SymbolCoder, SymbolCoder], seed: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    indices = rng.integers(both[0].skip_below, SCALE_COUNT, 40).astype(np.uint8)
    symbols = rng.integers(-50, 51, 40).astype(np.int32)
    whole = both[0].encode([(symbols, indices), (symbols[::-1], indices[::-1])])
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    changed = bytearray(whole)
    changed[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    for damaged in (cut, bytes(changed)):
        first, second = (outcome(coder, damaged, indices) for coder in both)
        assert first == second


SCRIPT = """
import hashlib, sys
if sys.argv[1] == "PythonCoder":
    sys.modules["constriction"] = None  # importing it fails
import numpy as np, picocodec
from picocodec.format import rans
assert rans.BestCoder.__name__ == sys.argv[1]
pixels = np.random.default_rng(0).integers(0, 256, (70, 80, 3), np.uint8)
for data in [picocodec.encode(pixels, 30), *(open(name, "rb").read() for name in sys.argv[2:])]:
    print(hashlib.sha256(data + picocodec.decode(data).tobytes()).hexdigest())
"""


def test_the_codec_is_the_same_without_constriction() -> None:
    names = [str(path) for path in sorted(GOLDEN.glob("*/*.pico"))]
    printed = []
    for engine in ENGINES:
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT, engine.__name__, *names], capture_output=True, text=True
        )
        assert not run.returncode, run.stderr
        printed.append(run.stdout.split())
    assert len(printed[0]) == len(names) + 1 and printed[0] == printed[1]
