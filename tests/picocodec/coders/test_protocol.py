"""What all coders keep to: what they say of a payload is what a decoder makes of it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import features
from tiny import drawing, photo
from written import learned, unlearned

import picocodec
from picocodec.coders.av1 import Av1Coder
from picocodec.coders.learned import LearnedCoder
from picocodec.coders.lossless import LosslessCoder
from picocodec.coders.protocol import TileCoder
from picocodec.encoding.encoder import encode_picture
from picocodec.errors import UnknownModel
from picocodec.format import container
from picocodec.format.entropy import SymbolCoder
from picocodec.format.pieces import Piece
from picocodec.format.tiles import Tile
from picocodec.images.picture import Picture
from picocodec.model.model import Model
from picocodec.model.store import MODEL_PATH_VARIABLE

NAMES = ["learned", "av1", "lossless"]


def coder_of(name: str, model: Model) -> TileCoder:
    if name == "av1" and not features.check("avif"):
        pytest.skip("Pillow without AVIF")
    coders = {"learned": LearnedCoder(model), "av1": Av1Coder(50), "lossless": LosslessCoder()}
    return coders[name]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(9, 9), (70, 131)])
def test_what_is_shown_is_what_is_decoded(model: Model, name: str, size: tuple[int, int]) -> None:
    coder, pixels = coder_of(name, model), photo(*size)
    candidate = coder.encode(pixels, 400)
    assert candidate is not None
    area = Tile(0, 0, *size)
    assert np.array_equal(candidate.shown, coder.decode(candidate.payload, area, 400))
    assert candidate.shown.shape == pixels.shape
    canvas = coder.canvas(candidate.payload, area, 400)
    assert canvas.shape == (1, 3, *size) and canvas.dtype == np.float32
    rounded = np.rint(255 * canvas[0].clip(0, 1)).transpose(1, 2, 0)
    assert np.array_equal(rounded, candidate.shown)
    assert candidate.exact == (name == "lossless")
    assert not candidate.exact or np.array_equal(candidate.shown, pixels)


def test_nothing_is_decoded_to_learn_what_the_encoder_knew(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SymbolCoder, "reader", None)
    monkeypatch.setattr(Model, "dequantise", None)
    assert LearnedCoder(model).encode(photo(90, 80), 400).shown.shape == (90, 80, 3)
    monkeypatch.setenv(MODEL_PATH_VARIABLE, str(model.folder.parent))
    assert encode_picture(Picture(drawing(90, 80)), 400, "tiny.v1", threads=1)


def test_a_file_without_a_learned_tile_needs_no_model(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.concatenate([drawing(90, 504), photo(90, 100)], axis=1)
    margin = np.pad(pixels[:, 504:], ((4, 4), (4, 4), (0, 0)))
    left = unlearned("lossless", LosslessCoder().encode(pixels[:, :504]).payload, 300)
    right = learned(LearnedCoder(model).encode(margin, 300).payload, 300)

    def file(width: int, *pieces: Piece) -> bytes:
        return container.write(
            width=width,
            height=90,
            level=300,
            model=model.identity,  # which is not installed
            pieces=pieces,
        )

    for scale in (1, 1 / 2):
        small = picocodec.decode(file(504, left), scale=scale)
        assert scale < 1 or np.array_equal(small, pixels[:, :504])
    both = file(604, left, right)
    assert np.array_equal(picocodec.decode(both, region=(0, 0, 400, 90)), pixels[:, :400])
    with pytest.raises(UnknownModel, match="tiny.v1 is not installed"):
        picocodec.decode(both)
