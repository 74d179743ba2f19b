"""encode, decode and read_info, over the model that ships."""

import dataclasses
import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from written import learned

import picocodec
from picocodec import errors
from picocodec.format import container
from picocodec.model.store import DEFAULT_MODEL

COLOURS = np.random.default_rng(1).integers(0, 256, (20, 30, 4), np.uint8)


@pytest.fixture(scope="module")
def data():
    return picocodec.encode(COLOURS[:, :, :3], 40)


def test_import_is_light():
    code = (
        "import sys, picocodec, picocodec.cli;"
        "print([m for m in ('torch', 'onnxruntime', 'constriction') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "[]\n"


@pytest.mark.parametrize(
    ("pixels", "mode"),
    [
        (COLOURS[:, :, :3], "RGB"),
        (COLOURS, "RGBA"),
        (COLOURS[:, :, 0], "L"),
        (COLOURS[:, :, :1], "L"),
        (COLOURS[:, :, :2], "LA"),
    ],
)
def test_arrays_come_back_in_their_kind(pixels, mode):
    data = picocodec.encode(pixels)
    decoded = picocodec.decode(data)
    assert decoded.dtype == np.uint8
    assert decoded.shape == (20, 30, len(mode)) if len(mode) > 1 else (20, 30)
    assert picocodec.read_info(data).mode == mode
    if "A" in mode:
        np.testing.assert_array_equal(decoded[:, :, -1], pixels[:, :, -1])


def test_pillow_images_and_arrays_give_the_same_file(data):
    assert picocodec.encode(Image.fromarray(COLOURS[:, :, :3]), 40) == data


def test_decode_takes_any_bytes(data):
    for form in (bytearray(data), memoryview(data)):
        np.testing.assert_array_equal(picocodec.decode(form), picocodec.decode(data))


def test_one_pixel():
    assert picocodec.decode(picocodec.encode(np.zeros((1, 1, 3), np.uint8))).shape == (1, 1, 3)


def test_several_tiles_keep_their_place():
    pixels = np.zeros((40, 600, 3), np.uint8)
    pixels[:, 504:] = 255
    data = picocodec.encode(pixels, 90)
    assert picocodec.read_info(data).tiles == 2
    decoded = picocodec.decode(data).astype(int)
    assert decoded[:, 512:].mean() > 200 and decoded[:, :496].mean() < 50


def test_more_quality_is_a_larger_file():
    sizes = [len(picocodec.encode(COLOURS[:, :, :3], quality)) for quality in (0, 50.5, 100)]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("quality", [-1, 100.01, float("nan"), float("inf"), "50", None])
def test_quality_out_of_range(quality):
    with pytest.raises(ValueError, match="quality must be a number from 0 to 100"):
        picocodec.encode(COLOURS, quality)


def test_unknown_model():
    with pytest.raises(errors.UnknownModel, match=r"nothing\.v9"):
        picocodec.encode(COLOURS, model="nothing.v9")


def test_what_is_no_image(tmp_path):
    with pytest.raises(TypeError, match="expected a picture .* not int"):
        picocodec.encode(5)
    with pytest.raises(TypeError, match="expected a picture .* not NoneType"):
        picocodec.encode(None)
    with pytest.raises(TypeError, match="uint8 in 0..255, not float"):
        picocodec.encode(COLOURS / 255)
    with pytest.raises(FileNotFoundError):
        picocodec.encode("no-photo.jpg")
    with pytest.raises(errors.UnsupportedImage, match="not an image file"):
        picocodec.encode(b"these are no pixels")
    for function in (picocodec.decode, picocodec.read_info):
        with pytest.raises(TypeError, match="not int"):
            function(5)
        with pytest.raises(TypeError, match="not ndarray"):
            function(COLOURS)
        with pytest.raises(FileNotFoundError):
            function(tmp_path / "no-photo.pico")
        with pytest.raises(TypeError, match='mode "rb"'):
            function(io.StringIO("text"))
    with pytest.raises(TypeError, match='mode "rb"'):
        picocodec.encode(io.StringIO("text"))


def test_pictures_come_from_paths_files_bytes_images_and_arrays(tmp_path, data):
    path = tmp_path / "photo.png"
    Image.fromarray(COLOURS[:, :, :3]).save(path)
    content = path.read_bytes()
    for source in (path, str(path), content, bytearray(content), memoryview(content),
                   io.BytesIO(content), Image.open(path)):  # fmt: skip
        assert picocodec.encode(source, 40) == data
    with open(path, "rb") as file:
        assert picocodec.encode(file, 40) == data
    assert picocodec.encode(memoryview(np.ascontiguousarray(COLOURS[:, :, :3])), 40) == data


def test_files_are_read_from_paths_files_and_bytes(tmp_path, data):
    path = tmp_path / "photo.pico"
    path.write_bytes(data)
    for source in (path, str(path), io.BytesIO(data)):
        assert np.array_equal(picocodec.decode(source), picocodec.decode(data))
    assert picocodec.read_info(str(path)) == picocodec.read_info(data)


def test_lossless_keeps_every_pixel():
    rng = np.random.default_rng(4)
    noise = [
        rng.integers(0, 256, shape, np.uint8)
        for shape in ((1, 1, 3), (20, 30, 4), (20, 30, 2), (20, 30), (275, 150, 3))
    ]
    for pixels in (*noise[:-1], noise[-1].repeat(4, 0).repeat(4, 1)):  # of one tile, of several
        data = picocodec.encode(pixels, lossless=True)
        assert np.array_equal(picocodec.decode(data), pixels)
        info = picocodec.read_info(data)
        assert info.lossless and info.learned_tiles == 0 and info.quality == 100
    part = picocodec.decode(data, region=(490, 400, 100, 650))
    assert np.array_equal(part, pixels[400:1050, 490:590])
    assert not picocodec.read_info(picocodec.encode(COLOURS)).lossless


def test_targets_exclude_one_another():
    for options in ({"lossless": True, "target_size": 9}, {"target_bpp": 1, "target_size": 9}):
        with pytest.raises(ValueError, match="exclude one another"):
            picocodec.encode(COLOURS, **options)
    for bpp in (0, -1, float("nan"), float("inf"), "2"):
        with pytest.raises(ValueError, match="target_bpp must be a positive number"):
            picocodec.encode(COLOURS, target_bpp=bpp)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = picocodec.encode(pixels, target_bpp=6)
    assert picocodec.read_info(data).bpp <= 6
    assert data == picocodec.encode(pixels, target_size=6 * 64 * 64 // 8)


def test_progress_is_told():
    pixels = np.zeros((40, 1200, 3), np.uint8)
    told = []
    data = picocodec.encode(pixels, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    told.clear()
    picocodec.decode(data, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (3, 3)


def test_what_there_is_to_use():
    assert dir(picocodec) == sorted(picocodec.__all__)
    for name in picocodec.__all__:
        assert getattr(picocodec, name) is not None
    assert DEFAULT_MODEL in picocodec.models()
    assert picocodec.models() == sorted(picocodec.models())


def test_info_has_the_metadata():
    exif = Image.Exif()
    exif[271] = "Maker"
    data = picocodec.encode(COLOURS, exif=exif.tobytes(), icc=b"profile", xmp=b"<x/>")
    info = picocodec.read_info(data)
    assert isinstance(info, picocodec.Info)
    assert (info.icc, info.xmp) == (b"profile", b"<x/>")
    again = Image.Exif()
    again.load(info.exif)
    assert again[271] == "Maker"
    bare = picocodec.read_info(picocodec.encode(COLOURS))
    assert (bare.icc, bare.exif, bare.xmp) == (None, None, None)


def test_metadata_is_kept_replaced_and_left_out():
    im = Image.fromarray(COLOURS)
    im.info = {"icc_profile": b"icc", "exif": b"Exif\0\0II*\0", "xmp": b"<x/>"}
    info = picocodec.read_info(picocodec.encode(im, exif=b"", xmp=b"<y/>"))
    assert (info.has_icc, info.has_exif, info.has_xmp, info.has_alpha) == (True, False, True, True)


def test_read_info(data):
    info = picocodec.read_info(data)
    assert (info.width, info.height, info.mode, info.tiles) == (30, 20, "RGB", 1)
    assert (info.quality, info.level, info.format_version) == (40, 400, 2)
    assert (info.bytes, info.bpp) == (len(data), len(data) * 8 / 600)
    assert (info.has_icc, info.has_exif, info.has_xmp, info.has_alpha) == (False,) * 4
    assert info.realism is None
    assert len(bytes.fromhex(info.model_sha256)) == 4
    with pytest.raises(dataclasses.FrozenInstanceError):
        info.width = 1


def test_read_info_needs_neither_the_model_nor_a_small_picture():
    model = container.ModelId("unheard-of", 7, b"\1\2\3\4")
    pieces = [learned(b"", 5)] * 41 * 41
    data = container.write(
        width=20500, height=20500, level=5, model=model, pieces=pieces, realism=255
    )
    info = picocodec.read_info(data)
    assert (info.model, info.model_sha256, info.realism) == ("unheard-of.v7", "01020304", 1.0)
    with pytest.raises(errors.LimitExceeded):
        picocodec.decode(data)
    with pytest.raises(errors.UnknownModel, match=r"unheard-of\.v7"):
        picocodec.decode(data, max_pixels=20500 * 20500)


def test_limit_of_pixels(data):
    with pytest.raises(errors.LimitExceeded, match="limit of 599"):
        picocodec.decode(data, max_pixels=599)
    picocodec.decode(data, max_pixels=600)


def test_damaged_files(data):
    for read in (picocodec.decode, picocodec.read_info):
        with pytest.raises(errors.NotAPicoFile):
            read(b"")
        with pytest.raises(errors.NotAPicoFile):
            read(b"\x89PNG\r\n\x1a\n")
        with pytest.raises(errors.Truncated):
            read(data[:-1])
        with pytest.raises(errors.CorruptHeader):
            read(data + b"\0")
    with pytest.raises(errors.CorruptTile):
        picocodec.decode(data[:-1] + bytes([data[-1] ^ 1]))


def test_any_flipped_bit_is_noticed():
    im = Image.fromarray(COLOURS[:4, :4])
    im.info = {"icc_profile": b"icc", "exif": b"II*\0", "xmp": b"<x/>"}
    data = bytearray(picocodec.encode(im, 10))
    for bit in range(8 * len(data)):
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(errors.PicoError):
            picocodec.decode(data)
        data[bit // 8] ^= 1 << bit % 8
    picocodec.decode(data)
