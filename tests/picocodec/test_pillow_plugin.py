"""Pillow opening and saving .pico files."""

import copy
import io
import pickle

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps, ImageSequence, UnidentifiedImageError

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


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 16])
def test_a_parser_is_fed_in_pieces(data, size):
    """As Django feeds it uploads, to learn their size."""
    parser = ImageFile.Parser()
    for at in range(0, len(data), size):
        assert parser.image is None
        parser.feed(data[at : at + size])
    assert parser.image.size == (30, 20)
    np.testing.assert_array_equal(np.asarray(parser.close()), picocodec.decode(data))


@pytest.mark.parametrize("cut", [0, 1, 3, 20, -1])
def test_a_parser_of_half_a_file(data, cut):
    parser = ImageFile.Parser()
    parser.feed(data[:cut])
    with pytest.raises(OSError):
        parser.close()


def test_verify(data):
    everything = saved(Image.fromarray(COLOURS), exif=exif(), icc_profile=ICC, xmp=XMP).getvalue()
    for whole in (data, everything):
        im = Image.open(io.BytesIO(whole))
        im.verify()
        np.testing.assert_array_equal(np.asarray(im), picocodec.decode(whole))
        end = container.read_header(whole).size
        for at in range(end, len(whole), 11):
            broken = whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :]
            with pytest.raises(OSError) as caught:
                Image.open(io.BytesIO(broken)).verify()
            assert isinstance(caught.value.__cause__ or caught.value, picocodec.PicoError | OSError)


def test_nothing_is_left_to_verify_where_pixels_are_loaded(data):
    im = Image.open(io.BytesIO(data))
    im.load()
    im.verify()


def test_verify_closes_the_file(tmp_path, data):
    (tmp_path / "photo.pico").write_bytes(data)
    im = Image.open(tmp_path / "photo.pico")
    file = im.fp
    im.verify()
    assert file.closed


def test_one_frame_is_a_sequence(data):
    im = Image.open(io.BytesIO(data))
    frames = [np.asarray(frame) for frame in ImageSequence.Iterator(im)]
    assert len(frames) == 1
    np.testing.assert_array_equal(frames[0], picocodec.decode(data))
    im.seek(0)
    assert im.tell() == 0
    with pytest.raises(EOFError):
        im.seek(1)
    assert len(ImageSequence.all_frames(Image.open(io.BytesIO(data)))) == 1


def test_python_s_copies(data):
    for copied in (copy.copy, copy.deepcopy):
        for is_loaded in (False, True):
            im = Image.open(io.BytesIO(data))
            if is_loaded:
                im.load()
            np.testing.assert_array_equal(np.asarray(copied(im)), picocodec.decode(data))


def test_drafts():
    pixels = np.random.default_rng(1).integers(0, 256, (64, 96, 3), np.uint8)
    whole = picocodec.encode(pixels)
    for size, scale in (((96, 64), 1), ((40, 30), 2), ((24, 16), 4), ((5, 5), 8), ((1, 1), 8)):
        im = Image.open(io.BytesIO(whole))
        mode, box = im.draft("L", size) or ("RGB", None)
        assert (mode, im.size) == ("RGB", (96 // scale, 64 // scale))
        assert im.copy().size == im.size
        np.testing.assert_array_equal(np.asarray(im), picocodec.decode(whole, scale=1 / scale))
        assert im.draft("RGB", (1, 1)) is None  # too late
    assert Image.open(io.BytesIO(whole)).draft("RGB", None) is None


def test_a_draft_has_no_thumbnail_of_the_whole():
    small = io.BytesIO()
    Image.new("RGB", (8, 6), "red").save(small, "JPEG")
    thumbnail = small.getvalue()
    whole = saved(Image.fromarray(COLOURS[:, :, :3]), exif=with_thumbnail(thumbnail)).getvalue()
    im = Image.open(io.BytesIO(whole))
    assert thumbnail in im.info["exif"]
    im.draft("RGB", (9, 9))
    assert thumbnail not in im.info["exif"]
    assert im.getexif()[271] == "Maker"


def with_thumbnail(thumbnail):
    """EXIF of a maker and a small JPEG file."""
    ifd0 = b"\1\0" + b"\x0f\1\2\0\6\0\0\0\x1a\0\0\0" + b"\x20\0\0\0" + b"Maker\0"
    ifd1 = b"\2\0" + b"\1\2\4\0\1\0\0\0\x3e\0\0\0"
    ifd1 += b"\2\2\4\0\1\0\0\0" + len(thumbnail).to_bytes(4, "little") + bytes(4)
    return b"Exif\0\0II*\0\x08\0\0\0" + ifd0 + ifd1 + thumbnail


@pytest.mark.parametrize("nothing", [None, b""])
def test_pixels_are_turned_where_the_orientation_is_left_out(nothing):
    im = Image.fromarray(COLOURS)
    im.info = {"exif": exif(6).tobytes()}
    back = Image.open(saved(im, exif=nothing, quality=95))
    assert back.size == (20, 30) and "exif" not in back.info
    kept = Image.open(saved(im, quality=95))
    assert kept.size == (30, 20) and kept.getexif()[274] == 6
    np.testing.assert_array_equal(
        np.asarray(back)[:, :, 3], np.asarray(ImageOps.exif_transpose(kept))[:, :, 3]
    )


def test_decode_options(tmp_path):
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 256, (90, 120, 3), np.uint8)
    path = tmp_path / "photo.pico"
    path.write_bytes(picocodec.encode(pixels))
    part, half = (11, 20, 60, 33), {"region": (16, 8, 64, 48), "scale": 1 / 2}
    for options in ({"realism": 0}, {"region": part, "realism": 1}, {"scale": 1 / 4}, half):
        expected = picocodec.decode(path, **options)
        with Image.open(path) as im:
            assert im.decode_options(**options, threads=1) is im
            assert im.size == expected.shape[1::-1]
            np.testing.assert_array_equal(np.asarray(im), expected)
            with pytest.raises(ValueError, match="before pixels are loaded"):
                im.decode_options(realism=0)
    for wrong, words in (
        ({"realism": 2}, "from 0 to 1"),
        ({"scale": 1 / 3}, "1, 1/2, 1/4 or 1/8"),
        ({"region": (100, 0, 21, 5)}, "does not lie within 120x90"),
        ({"region": (0, 0, 0, 5)}, "does not lie within"),
    ):
        with Image.open(path) as im, pytest.raises(ValueError, match=words):
            im.decode_options(**wrong)


def test_saving_without_loss_and_to_bits_a_pixel(tmp_path):
    pixels = np.random.default_rng(2).integers(0, 256, (64, 64, 3), np.uint8)
    im = Image.fromarray(pixels)
    im.save(tmp_path / "exact.pico", lossless=True)
    with Image.open(tmp_path / "exact.pico") as back:
        np.testing.assert_array_equal(np.asarray(back), pixels)
    im.save(tmp_path / "small.pico", target_bpp=6)
    assert (tmp_path / "small.pico").stat().st_size <= 6 * 64 * 64 // 8
