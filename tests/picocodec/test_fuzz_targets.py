"""The functions that are fuzzed take files whole and damaged, and repair what they say they do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tiny import photo

from picocodec.encoding.encoder import encode_picture
from picocodec.errors import PicoError
from picocodec.format import container
from picocodec.images.picture import Picture
from picocodec.model.store import MODEL_PATH_VARIABLE, load_model

FUZZ = Path(__file__).parent.parent.parent / "fuzz"


@pytest.fixture(autouse=True)
def fuzz(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(FUZZ)
    monkeypatch.setenv(MODEL_PATH_VARIABLE, str(model_folder.parent))
    yield
    for name in ("targets", "repair"):
        sys.modules.pop(name, None)


def files() -> list[bytes]:
    plain = Picture(photo(12, 20), photo(12, 20)[:, :, 0], icc=b"profile", exif=b"MM\0*")
    return [encode_picture(plain, level, "tiny.v1", threads=1) for level in (0, 700)]


def test_checksums_are_repaired() -> None:
    from repair import repaired

    for data in files():
        assert repaired(data) == data
        header = container.read_header(data)
        for at in (4 + 2 + 2, header.size - 1, header.size, len(data) - 1):
            broken = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            with pytest.raises(PicoError):
                whole = container.read_header(broken)
                container.payload(whole, broken, 0)
                container.chunk_data(whole, broken)
            mended = container.read_header(repaired(broken))
            container.payload(mended, repaired(broken), 0)
            container.chunk_data(mended, repaired(broken))
        for length in range(header.size):
            assert repaired(data[:length]) == data[:length]


def test_targets_take_anything() -> None:
    from targets import TARGETS

    rng = np.random.default_rng(0)
    for data in files():
        for target in TARGETS.values():
            target(data)
            target(b"")
            for _ in range(10):
                noisy = bytearray(data)
                noisy[rng.integers(len(noisy))] ^= rng.integers(1, 256)
                target(bytes(noisy))


def test_the_entropy_target_sees_payloads_that_are_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from targets import entropy_target

    coder = load_model("tiny.v1", 1).coder
    indices = np.array([5, 20, 63, 12], np.uint8)
    symbols = np.array([0, -70000, 3, 1], np.int32)
    data = bytes([4]) + indices.tobytes()
    data += coder.encode([(symbols, indices), (symbols[::-1], indices[::-1])])
    entropy_target(data)
    monkeypatch.setattr(type(coder), "encode", lambda *_: b"another")
    with pytest.raises(AssertionError, match="two payloads"):
        entropy_target(data)
