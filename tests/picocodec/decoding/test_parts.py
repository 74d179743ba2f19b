"""Parts of pictures, smaller ones, and those that are never in memory as a whole."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny import photo

import picocodec
from picocodec import cli
from picocodec.decoding.decoder import open_picture
from picocodec.encoding.encoder import encode_picture
from picocodec.errors import CorruptTile, DamagedPicture
from picocodec.format import container
from picocodec.format.tiles import layout
from picocodec.images.picture import FilePixels, Picture, from_array, to_array
from picocodec.images.reading import read
from picocodec.model.model import Model
from picocodec.model.store import MODEL_PATH_VARIABLE

HEIGHT, WIDTH = 580, 1090  # 2 rows of 3 tiles


@pytest.fixture(autouse=True, scope="module")
def tiny_is_installed(model_folder: Path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(MODEL_PATH_VARIABLE, str(model_folder.parent))
        yield


@pytest.fixture(scope="module")
def data() -> bytes:
    alpha = photo(HEIGHT, WIDTH, seed=3)[:, :, 0]
    return encode_picture(Picture(photo(HEIGHT, WIDTH), alpha), 300, "tiny.v1", threads=1)


@pytest.fixture(scope="module")
def whole(data: bytes) -> np.ndarray:
    return picocodec.decode(data, threads=1)


@settings(max_examples=12)
@given(st.data())
def test_a_region_is_the_crop_of_the_whole(data: bytes, whole: np.ndarray, draw) -> None:
    x = draw.draw(st.integers(0, WIDTH - 1))
    y = draw.draw(st.integers(0, HEIGHT - 1))
    w = draw.draw(st.integers(1, WIDTH - x))
    h = draw.draw(st.integers(1, HEIGHT - y))
    part = picocodec.decode(data, region=(x, y, w, h), threads=1)
    assert np.array_equal(part, whole[y : y + h, x : x + w])


def test_only_the_touched_tiles_are_decoded(
    data: bytes, whole: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    original = Model.synthesise
    monkeypatch.setattr(Model, "synthesise", lambda *args: calls.append(args) or original(*args))
    picocodec.decode(data, region=(508, 10, 496, 490))
    assert len(calls) == 1
    picocodec.decode(data, region=(507, 10, 9, 9))  # its first column is faded
    assert len(calls) == 3
    header = container.read_header(data)
    for lost, region in ((0, (510, 0, 300, 400)), (5, (0, 0, 600, 580))):
        at = header.offsets[lost]
        broken = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        x, y, w, h = region
        part = picocodec.decode(broken, region=region)
        assert np.array_equal(part, whole[y : y + h, x : x + w])
        with pytest.raises(CorruptTile, match=f"tile {lost}"):
            picocodec.decode(broken, region=(0, 0, WIDTH, HEIGHT))


def test_damage_within_a_region_is_concealed(data: bytes, whole: np.ndarray) -> None:
    at = container.read_header(data).offsets[4]
    broken = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    with pytest.warns(DamagedPicture, match="tile 4$"):
        part = picocodec.decode(broken, region=(400, 400, 300, 150), allow_damaged=True)
    assert part.shape == (150, 300, 4)
    assert np.array_equal(part[:100], whole[400:500, 400:700])
    assert np.array_equal(part[:, :100], whole[400:550, 400:500])
    assert not np.array_equal(part[104:, 104:], whole[504:550, 504:700])


@pytest.mark.parametrize(
    "region", [(0, 0, 0, 5), (-1, 0, 5, 5), (0, 0, WIDTH + 1, 5), (5, HEIGHT, 1, 1)]
)
def test_regions_beyond_the_picture(data: bytes, region: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="does not lie within the picture of 1090x580"):
        picocodec.decode(data, region=region)


@pytest.mark.parametrize("divisor", [2, 4, 8])
@pytest.mark.parametrize("region", [None, (3, 5, 1001, 570)])
def test_scaled_pictures_are_means(data: bytes, whole: np.ndarray, divisor, region) -> None:
    x, y, w, h = region or (0, 0, WIDTH, HEIGHT)
    small = picocodec.decode(data, scale=1 / divisor, region=region)
    expected = np.asarray(Image.fromarray(whole[y : y + h, x : x + w]).reduce(divisor))
    assert np.array_equal(small, expected)


def test_scaled_gray_has_one_channel() -> None:
    gray = np.repeat(photo(30, 41)[:, :, :1], 3, axis=2)
    data = encode_picture(Picture(gray, gray=True), 300, "tiny.v1")
    assert picocodec.decode(data, scale=0.25).shape == (8, 11)


@pytest.mark.parametrize("scale", [0, 2, 1 / 3, 1 / 16, "1/2"])
def test_other_scales(data: bytes, scale) -> None:
    with pytest.raises(ValueError, match="scale must be"):
        picocodec.decode(data, scale=scale)


def test_thumbnails_of_pillow_decode_no_more_than_they_need(
    data: bytes, whole: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "photo.pico"
    path.write_bytes(data)
    with Image.open(path) as im:
        im.draft(None, (136, 60))
        assert im.size == (137, 73)
        assert np.array_equal(np.asarray(im), picocodec.decode(data, scale=1 / 8))
    with Image.open(path) as im:
        im.draft("L", (600, 400))
        assert im.size == (WIDTH, HEIGHT)
    with Image.open(path) as im:
        im.thumbnail((120, 120))
        expected = Image.fromarray(whole)
        expected.thumbnail((120, 120))
        assert im.size == expected.size
        assert np.abs(np.asarray(im).astype(int) - np.asarray(expected)).mean() < 3


def test_parts_on_the_command_line(data: bytes, whole: np.ndarray, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("photo.pico").write_bytes(data)
    assert cli.picodec(["photo.pico", "--region", "500,0,20,30", "part.npy"]) == 0
    assert np.array_equal(np.load("part.npy"), whole[0:30, 500:520])
    assert cli.picodec(["photo.pico", "--scale", "1/4", "small.png"]) == 0
    with Image.open("small.png") as im:
        assert np.array_equal(np.asarray(im), np.asarray(Image.fromarray(whole).reduce(4)))
    assert "273x145" in capsys.readouterr().err
    assert cli.picodec(["photo.pico", "--region", "0,0,9999,1", "part.npy"]) == 1
    assert "region 0,0,9999,1 does not lie within" in capsys.readouterr().err
    for wrong in (["--region", "1,2,3"], ["--region", "a,0,1,1"], ["--scale", "1/3"]):
        with pytest.raises(SystemExit):
            cli.picodec(["photo.pico", *wrong])


def test_rows_come_one_row_of_tiles_at_a_time(data: bytes, whole: np.ndarray) -> None:
    rows = list(open_picture(data, threads=1).rows())
    assert [len(band) for band in rows] == [500, 76, 4]
    assert np.array_equal(np.concatenate(rows), whole)


def save(path: Path, pixels: np.ndarray) -> None:
    if path.suffix == ".npy":
        np.save(path, pixels)
    else:
        Image.fromarray(pixels).save(path)


@pytest.mark.parametrize("name", ["photo.ppm", "photo.tif", "photo.npy", "photo.pgm", "gray.tif"])
def test_plain_pixels_stay_in_their_file(name: str, tmp_path: Path) -> None:
    pixels = photo(70, 130)
    pixels = pixels[:, :, 0] if name in ("photo.pgm", "gray.tif") else pixels
    save(tmp_path / name, pixels)
    picture = read(tmp_path / name)
    assert isinstance(picture.rgb, FilePixels)
    assert np.array_equal(to_array(picture), pixels)
    from_memory = from_array(pixels)
    assert encode_picture(picture, 300, "tiny.v1") == encode_picture(from_memory, 300, "tiny.v1")


def test_a_tiff_file_that_is_turned_is_not_mapped(tmp_path: Path) -> None:
    tags = Image.Exif()
    tags[274] = 6
    Image.fromarray(photo(20, 30)).save(tmp_path / "turned.tif", exif=tags)
    assert read(tmp_path / "turned.tif").rgb.shape == (30, 20, 3)


def test_a_file_shorter_than_its_pixels(tmp_path: Path) -> None:
    path = tmp_path / "photo.ppm"
    save(path, photo(20, 30))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(picocodec.errors.UnsupportedImage, match="truncated"):
        read(path)


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4)), np.zeros((4, 4, 7), np.uint8), np.array([{}], dtype=object)]
)
def test_arrays_in_files_that_are_no_pictures(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "array.npy", array)
    with pytest.raises(picocodec.errors.UnsupportedImage, match="cannot be coded"):
        read(tmp_path / "array.npy")
    with open(tmp_path / "array.npy", "rb") as file:
        with pytest.raises(picocodec.errors.UnsupportedImage, match="cannot be coded"):
            read(io.BytesIO(file.read()))


def test_the_layout_meets_what_it_should() -> None:
    tiles = layout(WIDTH, HEIGHT)
    assert all(tile.meets(tile) for tile in tiles)
    assert not any(a.meets(b) for a in tiles for b in tiles if a is not b)
