"""Files that releases wrote: the same symbols for ever, the same pixels within rounding."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picocodec.coders.learned import decode_symbols
from picocodec.decoding.decoder import decode_picture
from picocodec.format import container
from picocodec.format.pieces import CoderId
from picocodec.format.tiles import layout
from picocodec.images.picture import to_array
from picocodec.model.store import DEFAULT_MODEL, load_model_for

GOLDEN = Path(__file__).parents[2] / "golden"
CASES = sorted(GOLDEN.glob("*/*.pico"))
# Other processors and ONNX Runtimes add in another order; this is a decision on rounding, twice.
PEAK_ERROR = 2


def symbols_digest(data: bytes) -> str:
    """SHA-256 over z and symbols of every learned tile, as little-endian 32-bit integers."""
    header = container.read_header(data)
    model = load_model_for(header.model, threads=1)
    digest = hashlib.sha256()
    tiles = layout(header.width, header.height)
    for number, piece in enumerate(header.pieces):
        if piece.coder != CoderId.LEARNED:
            continue
        payload = container.payload(header, data, number)
        for part in decode_symbols(model, payload, tiles[piece.first], piece.level):
            digest.update(part.astype("<i4").tobytes())
    return digest.hexdigest()


def test_there_are_golden_files_of_the_default_model() -> None:
    assert sum(path.parent.name == DEFAULT_MODEL for path in CASES) >= 7


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_golden_files_decode_as_they_did(path: Path) -> None:
    data = path.read_bytes()
    assert symbols_digest(data) == path.with_suffix(".sha256").read_text().strip()
    decoded = to_array(decode_picture(data, threads=1)).astype(int)
    with Image.open(path.with_suffix(".png")) as image:
        reference = np.array(image).astype(int)
    assert decoded.shape == reference.shape
    assert np.abs(decoded - reference).max() <= PEAK_ERROR
