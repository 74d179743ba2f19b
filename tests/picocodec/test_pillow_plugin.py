"""Pillow opening and saving .pico files."""

import io
import pickle

import numpy as np
import pytest
from PIL import Image, ImageOps, UnidentifiedImageError

import picocodec
from picocodec import pillow_plugin
from picocodec.errors import CorruptTile, Truncated
from picocodec.format import container

COLOURS = np.random.default_rng(1).integers(0, 256, (20, 30, 4), np.uint8)
ICC, XMP = b"a profile", b"<x:xmpmeta/>"


@pytest.fixture(scope="module")
def data():
    return picocodec.encode(COLOURS[:, :, :3])


def exif(orientation=6):
    tags = Image.Exif()
    tags[274] = orientation
    return tags


def saved(im, **options):
    out = io.BytesIO()
    im.save(out, "PICO", **options)
    out.seek(0)
    return out


@pytest.mark.parametrize(
    ("source", "mode"),
    [("RGB", "RGB"), ("RGBA", "RGBA"), ("L", "L"), ("LA", "LA"), ("P", "RGB"), ("1", "L")],
)
def test_save_and_open(tmp_path, source, mode):
    path = tmp_path / "photo.pico"
    im = Image.fromarray(COLOURS[:, :, : 4 if "A" in source else 3]).convert(source)
    im.save(path, quality=60)
    with Image.open(path) as back:
        assert (back.format, back.size, back.mode) == ("PICO", (30, 20), mode)
        assert back.get_format_mimetype() == "image/x-pico"
        np.testing.assert_array_equal(np.asarray(back), picocodec.decode(path.read_bytes()))
    assert picocodec.read_info(path.read_bytes()).quality == 60


def test_default_quality_is_the_one_of_encode(data):
    assert saved(Image.fromarray(COLOURS[:, :, :3])).getvalue() == data


def test_open_reads_the_header_and_load_the_pixels(data):
    broken = data[:-1] + bytes([data[-1] ^ 1])
    im = Image.open(io.BytesIO(broken))
    assert im.size == (30, 20)
    with pytest.raises(OSError, match="tile 0") as caught:
        im.load()
    assert isinstance(caught.value.__cause__, CorruptTile)


def test_truncated_file(data):
    with pytest.raises(OSError, match="the file ends after") as caught:
        Image.open(io.BytesIO(data[:-1]))
    assert isinstance(caught.value.__cause__, Truncated)


def test_other_files_are_left_to_other_plugins():
    assert not pillow_plugin._accept(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(SyntaxError):
        pillow_plugin.PicoImageFile(io.BytesIO(b"\x89PNG\r\n\x1a\n"))
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(b"\x8aPIX" + bytes(20)))


def test_metadata_is_kept(data):
    im = Image.open(saved(Image.fromarray(COLOURS), exif=exif(), icc_profile=ICC, xmp=XMP))
    assert (im.info["icc_profile"], im.info["xmp"]) == (ICC, XMP)
    assert im.getexif()[274] == 6
    again = Image.open(saved(im, quality=20))
    assert again.info == im.info
    jpeg = io.BytesIO()
    again.convert("RGB").save(jpeg, "JPEG", exif=again.info["exif"])
    assert Image.open(jpeg).getexif()[274] == 6
    assert ImageOps.exif_transpose(again).size == (20, 30)


@pytest.mark.parametrize(
    ("option", "value"), [("exif", None), ("exif", b""), ("icc_profile", None), ("xmp", "")]
)
def test_metadata_is_left_out(option, value):
    im = Image.fromarray(COLOURS)
    im.info = {"exif": exif().tobytes(), "icc_profile": ICC, "xmp": XMP}
    back = Image.open(saved(im, **{option: value}))
    assert set(back.info) == {"exif", "icc_profile", "xmp"} - {option}


@pytest.mark.parametrize("quality", [-1, 101, "high", None])
def test_bad_quality(tmp_path, quality):
    path = tmp_path / "photo.pico"
    with pytest.raises(ValueError, match="quality"):
        Image.fromarray(COLOURS).save(path, quality=quality)
    assert not path.exists()


@pytest.mark.parametrize("mode", ["CMYK", "I;16", "F"])
def test_modes_that_cannot_be_saved(tmp_path, mode):
    path = tmp_path / "photo.pico"
    with pytest.raises(OSError, match="convert it"):
        Image.new(mode, (2, 2)).save(path)
    assert not path.exists()


def test_file_pointers(tmp_path, data):
    before, after = b"before", Image.new("L", (3, 2))
    with io.BytesIO(data) as file, Image.open(file) as im:
        im.load()
        im.close()
        assert not file.closed
    path = tmp_path / "photo.pico"
    path.write_bytes(data)
    im = Image.open(path)  # a file that stays open would be a ResourceWarning, hence an error
    file = im.fp
    im.load()
    assert file.closed
    im.putpixel((0, 0), (1, 2, 3))
    assert im.getpixel((0, 0)) == (1, 2, 3)
    im.save(path)
    with Image.open(path) as im:
        assert im.size == (30, 20)
    with open(path, "wb") as file:
        file.write(before)
        after.save(file, "PICO")
    assert path.read_bytes().startswith(before + container.SIGNATURE)


def test_copies_crops_and_pickles(data):
    pixels = picocodec.decode(data)
    im = Image.open(io.BytesIO(data))
    np.testing.assert_array_equal(np.asarray(im.copy()), pixels)
    np.testing.assert_array_equal(np.asarray(im.crop((3, 2, 9, 8))), pixels[2:8, 3:9])
    unpickled = pickle.loads(pickle.dumps(Image.open(io.BytesIO(data))))
    np.testing.assert_array_equal(np.asarray(unpickled), pixels)


def test_pillow_limit_of_pixels(data, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(data))


def test_register_twice():
    picocodec.register()
    assert Image.ID.count("PICO") == 1
    assert Image.registered_extensions()[".pico"] == "PICO"
