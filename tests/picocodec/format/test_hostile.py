"""The files of tests/hostile/, each in the folder of its error, and what Hypothesis makes of
good ones."""

from __future__ import annotations

import subprocess
import sys
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from written import kinds, learned, payloads

import picocodec
from picocodec import errors
from picocodec.format import container
from picocodec.format.pieces import Piece
from picocodec.model.store import DEFAULT_MODEL

FOLDER = Path(__file__).parents[2] / "hostile"
FILES = sorted(FOLDER.glob("*/*.pico"))
GOLDEN = sorted((FOLDER.parent / "golden" / DEFAULT_MODEL).glob("*.pico"))
MIB = 1 << 20


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_hostile_file_gives_its_error(path: Path) -> None:
    data = path.read_bytes()
    if path.parent.name == "picture":
        assert picocodec.decode(data, threads=1).shape[2] == 3
        return
    with pytest.raises(errors.PicoError) as caught:
        picocodec.decode(data, threads=1)
    assert type(caught.value).__name__ == path.parent.name and str(caught.value)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_other_readers_give_typed_errors_too(path: Path) -> None:
    data = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for read in (picocodec.read_info, lambda d: picocodec.decode(d, allow_damaged=True)):
            try:
                read(data)
            except errors.PicoError:
                continue
        try:
            with Image.open(BytesIO(data), formats=["PICO"]) as im:
                im.load()
        except (OSError, Image.DecompressionBombError):
            pass


def test_pillows_limit_below_a_lossless_tile_is_a_typed_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawing = np.zeros((40, 60, 3), np.uint8)
    drawing[10:20, 10:30] = 255
    data = picocodec.encode(drawing)
    assert kinds(data) == ["lossless"]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(errors.LimitExceeded, match="MAX_IMAGE_PIXELS"):
        picocodec.decode(data)


def test_the_hostile_set_takes_little_memory() -> None:
    """What one good file of the same size needs, and one item of metadata, of 64 MiB at most."""
    code = """
import resource, sys, picocodec
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
good, *hostile = sys.argv[1:]
picocodec.decode(open(good, "rb").read(), threads=1)
before = peak()
for path in hostile:
    try:
        picocodec.decode(open(path, "rb").read(), threads=1)
    except picocodec.PicoError:
        pass
print((peak() - before) * (1 if sys.platform == "darwin" else 1024))
"""
    full_size = FOLDER / "picture" / "empty-tile-of-full-size.pico"
    done = subprocess.run(
        [sys.executable, "-c", code, full_size, *FILES], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 160 * MIB


class Golden:
    """A golden file and what it decodes to."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        self.header = container.read_header(self.data)
        self.pixels = picocodec.decode(self.data, threads=1)


@pytest.fixture(scope="module")
def golden() -> list[Golden]:
    return [Golden(path) for path in GOLDEN]


def outcome(data: bytes) -> np.ndarray | None:
    """The picture, or None for a typed error; anything else fails the test."""
    try:
        return picocodec.decode(data, threads=1)
    except errors.PicoError:
        return None


any_golden = st.integers(0, len(GOLDEN) - 1)


@given(which=any_golden, keep=st.floats(0, 1, exclude_max=True))
@settings(max_examples=200)
def test_any_truncation_is_an_error(golden: list[Golden], which: int, keep: float) -> None:
    data = golden[which].data
    assert outcome(data[: int(keep * len(data))]) is None


@given(which=any_golden, where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
@settings(max_examples=300)
def test_any_changed_byte_is_an_error(
    golden: list[Golden], which: int, where: float, flip: int
) -> None:
    data = bytearray(golden[which].data)
    data[int(where * len(data))] ^= flip
    assert outcome(bytes(data)) is None


@given(which=any_golden, cuts=st.lists(st.floats(0, 1), min_size=2, max_size=4), seed=st.randoms())
@settings(max_examples=200)
def test_pieces_in_another_order_are_an_error(
    golden: list[Golden], which: int, cuts: list[float], seed
) -> None:
    data = golden[which].data
    places = [0, *sorted(int(c * len(data)) for c in cuts), len(data)]
    parts = [data[a:b] for a, b in zip(places, places[1:], strict=False)]
    seed.shuffle(parts)
    shuffled = b"".join(parts)
    assert outcome(shuffled) is None or shuffled == data


@given(order=st.permutations(range(4)))
@settings(max_examples=24)
def test_chunks_in_any_order_give_the_same_picture(golden: list[Golden], order: list[int]) -> None:
    """Written so, not shuffled behind the table's back."""
    (full,) = (p for p in golden if len(p.header.chunks) == 4)
    chunks = list(container.chunk_data(full.header, full.data).items())
    start = full.header.size
    data = container.write(
        width=full.header.width,
        height=full.header.height,
        level=full.header.level,
        model=full.header.model,
        pieces=[learned(full.data[start : full.header.offsets[1]], full.header.level)],
        chunks=[chunks[i] for i in order],
    )
    decoded = outcome(data)
    assert decoded is not None and np.array_equal(decoded, full.pixels)
    info = picocodec.read_info(data)
    assert info.has_alpha and info.has_exif and info.has_icc and info.has_xmp


@given(
    which=any_golden,
    edits=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=4
    ),
)
@settings(max_examples=150)
def test_a_changed_tile_of_right_checksums_never_crashes(
    golden: list[Golden], which: int, edits: list[tuple[float, int]]
) -> None:
    """What passes for a tile is a picture of the right size, or a typed error."""
    one = golden[which]
    header = one.header
    first = bytearray(payloads(one.data)[0])
    for where, flip in edits:
        first[int(where * len(first))] ^= flip
    pieces = [
        Piece(payload, e.coder, e.level, e.rows, e.columns, e.margin)
        for payload, e in zip([bytes(first), *payloads(one.data)[1:]], header.pieces, strict=True)
    ]
    data = container.write(
        width=header.width,
        height=header.height,
        level=header.level,
        model=header.model,
        pieces=pieces,
        gray=header.gray,
    )
    decoded = outcome(data)
    assert decoded is None or decoded.shape[:2] == (header.height, header.width)
