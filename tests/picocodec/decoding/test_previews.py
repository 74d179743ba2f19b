"""Pictures of reduced size by a model's preview, in place of the full decoder."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import drawing, glance_codec, photo, release_glance
from written import kinds

import picocodec
from picocodec.encoding.encoder import encode_picture
from picocodec.errors import UnknownModel
from picocodec.images.picture import Picture
from picocodec.model.model import PREVIEW_FILES, Model
from picocodec.model.store import MODEL_PATH_VARIABLE
from picolab.release.release import Trained, release

HEIGHT, WIDTH = 581, 1091  # 2 rows of 3 tiles, the last ones of odd sides


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return release_glance(tmp_path_factory.mktemp("models"))


@pytest.fixture(autouse=True, scope="module")
def model_is_installed(folder: Path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MODEL_PATH_VARIABLE, str(folder.parent))
        yield


@functools.cache
def coded(alpha: bool = False, gray: bool = False) -> bytes:
    """A photo whose right part is a drawing, which is coded without loss."""
    pixels = photo(HEIGHT, WIDTH)
    pixels[:, 504:] = drawing(HEIGHT, WIDTH - 504)
    if gray:
        pixels = np.repeat(pixels[:, :, 1:2], 3, axis=2)
    mask = photo(HEIGHT, WIDTH, seed=3)[:, :, 0] if alpha else None
    return encode_picture(Picture(pixels, mask, gray=gray), 400, "glance.v1", threads=1)


def reduced(data: bytes, divisor: int, region=None, realism: float | None = None):
    whole = picocodec.decode(data, region=region, realism=realism, threads=1)
    return np.asarray(Image.fromarray(whole).reduce(divisor)).astype(int)


@pytest.mark.parametrize("divisor", [2, 4, 8])
@pytest.mark.parametrize("gray", [False, True])
def test_a_preview_is_about_the_reduced_picture(divisor: int, gray: bool) -> None:
    data = coded(gray=gray)
    first, second, *_ = kinds(data)
    assert first == "learned" != second
    expected = reduced(data, divisor)
    small = picocodec.decode(data, scale=1 / divisor, threads=2)
    assert small.shape == expected.shape and small.dtype == np.uint8
    side = 504 // divisor
    difference = np.abs(small.astype(int) - expected)[:side]
    learned, lossless = difference[:, :side], difference[:, side : 2 * side]
    assert 0 < learned.mean() < 8  # near, and not the full decoder's
    assert lossless.max() <= 1
    displaced = np.abs(np.roll(small, 1, axis=1).astype(int) - expected)[:side, :side]
    assert learned.mean() < displaced.mean() / 2


def test_a_region_of_a_preview_is_its_crop() -> None:
    data = coded()
    small = picocodec.decode(data, scale=1 / 4, threads=1)
    part = picocodec.decode(data, scale=1 / 4, region=(400, 480, 691, 101), threads=1)
    assert np.array_equal(part, small[120:, 100:])


@pytest.mark.parametrize(
    "region", [(400, 480, 691, 101), (400, 480, 299, 45), (0, 576, 1, 5), (496, 0, 16, 512)]
)
def test_a_region_of_an_eighth_is_its_crop_wherever_it_ends(region) -> None:
    data = coded()
    small = picocodec.decode(data, scale=1 / 8, threads=1)
    left, top, width, height = region
    rows = slice(top // 8, -(-(top + height) // 8))
    columns = slice(left // 8, -(-(left + width) // 8))
    part = picocodec.decode(data, scale=1 / 8, region=region, threads=1)
    assert np.array_equal(part, small[rows, columns])


@pytest.mark.parametrize("gray", [False, True])
def test_an_eighth_is_the_mean_of_the_preview_at_half_the_sides(gray: bool) -> None:
    data = coded(gray=gray)
    half, small = (picocodec.decode(data, scale=scale, threads=1) for scale in (1 / 2, 1 / 8))
    rows, columns = HEIGHT // 8, WIDTH // 8
    assert small.shape[:2] == (rows + 1, columns + 1)
    blocks = half[: 4 * rows, : 4 * columns].reshape(rows, 4, columns, 4, -1)
    difference = small[:rows, :columns].reshape(rows, columns, -1) - blocks.mean((1, 3))
    unclipped = (blocks.min((1, 3)) > 0) & (blocks.max((1, 3)) < 255)
    assert unclipped[:, :63].mean() > 0.4  # of the learned tiles
    assert np.abs(difference[unclipped]).max() <= 1
    assert difference.any()


def test_the_last_pixels_of_an_eighth_are_means_of_the_picture_continued() -> None:
    """Here of 5 rows and of what the model makes of the last one, repeated."""
    data = coded()
    whole = np.pad(picocodec.decode(data, threads=1), ((0, 3), (0, 0), (0, 0)), "edge")
    expected = np.asarray(Image.fromarray(whole).reduce(8)).astype(int)[-1, :63]
    small = picocodec.decode(data, scale=1 / 8, threads=1)[-1, :63].astype(int)
    assert np.abs(small - expected).mean() < 8


def test_a_model_without_a_map_for_an_eighth_takes_means_of_its_preview(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = coded()
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy)
    (copy / "eighth.onnx").unlink()
    described = (copy / "model.toml").read_text().splitlines(keepends=True)
    kept = [line for line in described if "eighth" not in line]
    assert len(kept) == len(described) - 1
    (copy / "model.toml").write_text("".join(kept))
    monkeypatch.setenv(MODEL_PATH_VARIABLE, str(tmp_path))
    assert Model(copy, threads=1).previews == [2]
    half = Image.fromarray(picocodec.decode(data, scale=1 / 2, threads=1))
    small = picocodec.decode(data, scale=1 / 8, threads=1)
    assert np.array_equal(small, np.asarray(half.reduce(4)))


@pytest.mark.parametrize("why", ["alpha", "region off the grid", "damage is allowed", "realism"])
def test_what_a_preview_cannot_do_is_decoded_in_full(why: str) -> None:
    data = coded(alpha=why == "alpha")
    region = (3, 8, 700, 300) if why == "region off the grid" else None
    allow = why == "damage is allowed"
    asked = {"realism": 1.0} if why == "realism" else {}
    small = picocodec.decode(
        data, scale=1 / 4, region=region, allow_damaged=allow, threads=1, **asked
    )
    assert np.array_equal(small, reduced(data, 4, region, **asked))


def test_a_preview_does_not_make_another_model(folder: Path, tmp_path: Path) -> None:
    plain = Model(release(Trained(glance_codec(), {}), tmp_path, "glance", 1, 0.0), threads=1)
    assert plain.identity == Model(folder, threads=1).identity
    assert plain.previews == []
    assert not [name for name in PREVIEW_FILES if (plain.folder / name).exists()]


@pytest.mark.parametrize("divisor, name", [(2, "preview.onnx"), (8, "eighth.onnx")])
def test_another_preview_than_that_of_the_description_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, divisor: int, name: str
) -> None:
    data = coded()
    copy = tmp_path / folder.name
    shutil.copytree(folder, copy)
    (copy / name).write_bytes((folder / "synthesis.onnx").read_bytes())
    monkeypatch.setenv(MODEL_PATH_VARIABLE, str(tmp_path))
    with pytest.raises(UnknownModel, match=f"{name} is refused"):
        picocodec.decode(data, scale=1 / divisor, threads=1)
