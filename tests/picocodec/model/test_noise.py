"""The noise that decoders are given: known numbers, and the same wherever a picture is decoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny import TINY, photo, tiny_codec
from written import learned

import picocodec
from picocodec.coders.learned import LearnedCoder
from picocodec.format import container
from picocodec.format.tiles import layout
from picocodec.images.canvas import with_margin
from picocodec.model.model import Model
from picocodec.model.noise import noise
from picocodec.model.store import MODEL_PATH_VARIABLE
from picolab.release.release import Trained, release


def test_known_numbers() -> None:
    expected = [
        [[0.920159, 0.548036, -2.381588], [-0.500675, 0.663056, 0.101488]],
        [[1.299048, -1.27875, 1.00135], [1.549385, -0.405953, -0.46008]],
    ]
    found = noise(2, (2, 3), (63, 126))
    assert found.dtype == np.float32 and found.shape == (1, 2, 2, 3)
    np.testing.assert_allclose(found[0], expected, atol=1e-6)


def test_it_is_about_normal_and_white() -> None:
    found = noise(8, (200, 300), (2**17 - 200, 2**17 - 300))[0]
    assert found.mean() == pytest.approx(0, abs=0.01)
    assert found.std() == pytest.approx(1, abs=0.01)
    assert np.mean(np.abs(found) > 2) == pytest.approx(0.0455, abs=0.01)
    for step in ((0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 0)):
        assert np.mean(found * np.roll(found, step, (0, 1, 2))) == pytest.approx(0, abs=0.01)


def coded(height: int, width: int, model: Model) -> bytes:
    """A photo whose tiles are learned, whatever an encoder would take."""
    rgb, coder = photo(height, width), LearnedCoder(model)
    pieces = [
        learned(coder.encode(with_margin(rgb, tile), 300).payload, 300)
        for tile in layout(width, height)
    ]
    return container.write(
        width=width, height=height, level=300, model=model.identity, pieces=pieces
    )


def test_parts_of_a_picture_have_the_noise_of_the_whole(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MODEL_PATH_VARIABLE, str(model.folder.parent))
    data = coded(570, 590, model)
    whole = picocodec.decode(data, realism=1, threads=1)
    assert (whole != picocodec.decode(data, realism=0, threads=1)).mean() > 0.1
    region = (520, 530, 64, 32)  # of the last of four tiles
    part = picocodec.decode(data, realism=1, region=region, threads=1)
    assert np.array_equal(part, whole[530:562, 520:584])
    small = picocodec.decode(data, realism=1, region=region, scale=1 / 2, threads=1)
    means = part.reshape(16, 2, 32, 2, 3).mean((1, 3))
    assert np.abs(small - means).max() <= 1


def test_tiles_have_noise_of_their_own_and_their_margins_the_same(model: Model) -> None:
    shape = (model.noise_channels, (64, 64))
    first, right = noise(*shape), noise(*shape, (0, 63))
    assert model.noise_channels == TINY.noise_channels
    assert np.array_equal(first[..., 63], right[..., 0])
    assert (first[..., :63] != right[..., :63]).mean() > 0.9
    y_hat = np.zeros((1, TINY.y_channels, 32, 32), np.float32)
    pictures = [model.synthesise(y_hat, 300, 1, corner) for corner in ((0, 0), (0, 63))]
    assert np.abs(pictures[0] - pictures[1]).max() > 1e-3


def test_a_model_without_that_input_is_given_none(tmp_path: Path) -> None:
    plain = Model(release(Trained(tiny_codec(), {}), tmp_path, "plain", 1), threads=1)
    assert (plain.has_dial, plain.noise_channels) == (False, 0)
    y_hat = np.ones((1, TINY.y_channels, 4, 4), np.float32)
    assert np.array_equal(plain.synthesise(y_hat, 300, 1, (63, 0)), plain.synthesise(y_hat, 300))
