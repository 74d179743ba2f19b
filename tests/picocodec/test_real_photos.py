"""The released model on photographs: those in examples/, and Kodak's where they are at hand."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import picocodec
from picocodec.format import tiles
from picocodec.images.canvas import cut
from picocodec.model import scale_decoder
from picocodec.model.scale_decoder import level_bin
from picocodec.model.store import DEFAULT_MODEL, load_model

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"
KODAK = Path(os.environ.get("PICOLAB_EVAL", "not-set")) / "kodak"
PATHS = [*sorted(PHOTOS.glob("*.png")), *(KODAK / f"{n}.png" for n in (4, 13, 20))]


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def rgb(request: pytest.FixtureRequest) -> np.ndarray:
    path: Path = request.param
    if not path.exists():
        pytest.skip("set PICOLAB_EVAL to a folder with the Kodak photos in kodak/")
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def test_scale_decoders_agree_on_the_z_of_photos(rgb: np.ndarray) -> None:
    model = load_model(DEFAULT_MODEL, threads=1)
    tile = tiles.layout(rgb.shape[1], rgb.shape[0])[0]
    for level in (0, 350, 1000):
        z = np.rint(model.analyse(cut(rgb, tile), level)[1][0]).astype(np.int32)
        reference = scale_decoder.decode(model.integer_layers, z, level_bin(level))
        assert z.any() and np.array_equal(model.y_indices(z, level), reference)


def test_more_quality_is_more_bytes_and_less_error(rgb: np.ndarray) -> None:
    sizes, errors = [], []
    for quality in (0, 20, 40, 60, 80, 100):
        data = picocodec.encode(rgb, quality=quality, threads=1)
        sizes.append(len(data))
        errors.append(np.square(picocodec.decode(data, threads=1).astype(float) - rgb).mean())
    assert sizes == sorted(sizes) and errors == sorted(errors, reverse=True)
    bpp = 8 * sizes[3] / rgb[:, :, 0].size
    avif = error_of_avif(rgb, sizes[3])
    assert 0.2 < bpp < 2.0 and errors[3] < min(1.5 * avif, max(120, avif))


def error_of_avif(rgb: np.ndarray, most: int) -> float:
    """The mean squared error of the best AVIF file of at most so many bytes."""
    low, high, best = 1, 99, b""
    while low <= high:
        quality = (low + high) // 2
        file = io.BytesIO()
        Image.fromarray(rgb).save(file, "AVIF", quality=quality, speed=6, subsampling="4:4:4")
        if file.tell() <= most:
            low, best = quality + 1, file.getvalue()
        else:
            high = quality - 1
    with Image.open(io.BytesIO(best)) as image:
        return float(np.square(np.asarray(image.convert("RGB"), float) - rgb).mean())
