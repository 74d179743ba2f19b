"""Pillow images, arrays and files to pictures and back."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, PngImagePlugin

from picocodec.errors import LimitExceeded, UnsupportedImage
from picocodec.images import writing
from picocodec.images.kinds import from_pillow
from picocodec.images.picture import Picture, from_array, to_array, to_pillow
from picocodec.images.reading import read

ICC = b"a profile that nobody reads"
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'


def colours(height=5, width=7, channels=3):
    values = np.arange(height * width * channels) * 37 % 256
    return values.astype(np.uint8).reshape(height, width, channels)


def exif(orientation=6):
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = orientation
    tags[ExifTags.Base.Make] = "Maker"
    tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] = 200
    return tags


def write(picture, stream, extension):
    """An image file of a picture, in two pieces."""
    pixels = np.atleast_3d(to_array(picture))
    height, width, channels = pixels.shape
    metadata = {"icc": picture.icc, "exif": picture.exif, "xmp": picture.xmp}
    writer = writing.open_writer(stream, extension, width, height, channels, **metadata)
    for rows in (pixels[:3], pixels[3:]):
        if len(rows):
            writer.write(rows)
    writer.close()


def saved(im, format, **options):
    out = io.BytesIO()
    im.save(out, format, **options)
    out.seek(0)
    return out


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4))
def test_arrays_come_back(height, width, channels):
    array = colours(height, width, channels)
    picture = from_array(array)
    assert picture.rgb.shape == (height, width, 3)
    assert picture.gray == (channels < 3)
    assert (picture.alpha is not None) == (channels in (2, 4))
    expected = array[:, :, 0] if channels == 1 else array
    np.testing.assert_array_equal(to_array(picture), expected)
    np.testing.assert_array_equal(np.asarray(to_pillow(picture)), expected)


@pytest.mark.parametrize(
    ("array", "error"),
    [
        (np.zeros((4, 4, 3)), TypeError),
        (np.zeros((4, 4), np.uint16), TypeError),
        (np.zeros((4, 4), bool), TypeError),
        ("photo.jpg", TypeError),
        (np.zeros(4, np.uint8), ValueError),
        (np.zeros((3, 4, 5), np.uint8), ValueError),
        (np.zeros((1, 4, 4, 3), np.uint8), ValueError),
        (np.zeros((0, 4, 3), np.uint8), UnsupportedImage),
        (np.zeros((1, (1 << 20) + 1), np.uint8), UnsupportedImage),
    ],
)
def test_arrays_that_are_no_pictures(array, error):
    with pytest.raises(error):
        from_array(array)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr"])
def test_modes_become_eight_bit_gray_or_rgb(mode):
    im = Image.fromarray(colours()).convert(mode)
    picture = from_pillow(im)
    expected = {"1": "L", "P": "RGB", "PA": "RGBA", "RGBX": "RGB", "YCbCr": "RGB"}.get(mode, mode)
    np.testing.assert_array_equal(to_array(picture), np.asarray(im.convert(expected)))


@pytest.mark.parametrize("mode", ["La", "RGBa"])
def test_premultiplied_alpha_is_divided_out(mode):
    straight = Image.new(
        {"La": "LA", "RGBa": "RGBA"}[mode], (3, 2), (200, 100, 60, 128)[-len(mode) :]
    )
    picture = from_pillow(straight.convert(mode))
    np.testing.assert_allclose(
        to_array(picture).astype(int), np.asarray(straight).astype(int), atol=1
    )


@pytest.mark.parametrize("mode", ["I;16", "I", "F", "CMYK", "LAB", "HSV"])
def test_modes_that_would_lose_meaning_are_refused(mode):
    with pytest.raises(UnsupportedImage, match="convert it"):
        from_pillow(Image.new(mode, (2, 2)))


@pytest.mark.parametrize(
    ("mode", "key", "with_alpha"), [("P", 0, 4), ("L", 7, 2), ("RGB", (7, 7, 7), 4)]
)
def test_transparent_colour_becomes_alpha(mode, key, with_alpha):
    im = Image.new(mode, (2, 1), 0)
    im.putpixel((0, 0), key)
    im.putpixel((1, 0), 1 if mode != "RGB" else (1, 1, 1))
    picture = from_pillow(Image.open(saved(im, "PNG", transparency=key)))
    assert to_array(picture).shape == (1, 2, with_alpha)
    assert picture.alpha.tolist() == [[0, 255]]


def sixteen_bit_png():
    """Pillow cannot write one: signature, header, pixels and end by hand."""
    out = io.BytesIO()
    out.write(b"\x89PNG\r\n\x1a\n")
    PngImagePlugin.putchunk(out, b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0))
    PngImagePlugin.putchunk(out, b"IDAT", zlib.compress(b"\0" + bytes(6)))
    PngImagePlugin.putchunk(out, b"IEND", b"")
    out.seek(0)
    return out


@pytest.mark.parametrize(
    "file",
    [
        sixteen_bit_png(),
        saved(Image.new("I;16", (2, 2)), "PNG"),
        saved(Image.new("I;16", (2, 2)), "TIFF"),
        io.BytesIO(b"P6 1 1 65535 " + bytes(6)),
        io.BytesIO(b"P3 1 1 65535 1 2 3"),
        io.BytesIO(b"P5 1 1 65535 " + bytes(2)),
    ],
    ids=["png-rgb", "png-gray", "tiff-gray", "ppm", "plain-ppm", "pgm"],
)
def test_sixteen_bits_are_refused_though_pillow_reads_eight_of_them(file):
    with pytest.raises(UnsupportedImage, match="more than 8 bits"):
        read(file)


@pytest.mark.parametrize("content", [b"P6 1 1 255 abc", b"P3 1 1 255 1 2 3", b"P1 1 1 1"])
def test_eight_bits_and_fewer_are_read(content):
    assert read(io.BytesIO(content)).rgb.shape == (1, 1, 3)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_metadata_is_kept_and_pixels_are_not_turned(format):
    file = saved(
        Image.new("RGB", (6, 4)),
        format,
        exif=exif(),
        icc_profile=ICC,
        **({} if format == "PNG" else {"xmp": XMP}),
    )
    picture = read(file)
    assert picture.rgb.shape == (4, 6, 3)
    assert picture.icc == ICC
    assert picture.exif == exif().tobytes().removeprefix(b"Exif\0\0")
    assert picture.xmp == (None if format == "PNG" else XMP)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_tiff_says_its_exif_in_its_own_tags_and_is_turned(compression):
    # Given as an object, EXIF is written without its sub-directory: Pillow fails through libtiff.
    tags = exif().tobytes() if compression == "raw" else exif()
    file = saved(Image.new("RGB", (6, 4)), "TIFF", exif=tags, compression=compression)
    picture = read(file)
    assert picture.rgb.shape == (6, 4, 3)
    tags = Image.Exif()
    tags.load(picture.exif)
    assert tags[ExifTags.Base.Make] == "Maker"
    assert ExifTags.Base.Orientation not in tags
    assert ExifTags.Base.ImageWidth not in tags
    expected = {ExifTags.Base.ISOSpeedRatings: 200} if compression == "raw" else {}
    assert tags.get_ifd(ExifTags.IFD.Exif) == expected


def test_animation_gives_its_first_frame_with_a_warning():
    frames = [Image.new("L", (3, 2), value) for value in (10, 200)]
    file = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    with pytest.warns(UserWarning, match="only the first"):
        picture = read(file)
    assert np.unique(picture.rgb).tolist() == [10]


def photo_jpeg():
    return saved(Image.fromarray(colours(64, 64)), "JPEG").getvalue()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "empty"),
        (b"no image at all", "not an image"),
        (photo_jpeg()[:-500], "truncated"),
        (photo_jpeg()[:30], "cannot be read|not an image"),
        (saved(Image.new("RGB", (9, 9)), "PNG").getvalue()[:40], "cannot be read|not an image"),
        (b"\x8aPIC\x02\x00", "ends within its header"),
    ],
    ids=["empty", "text", "truncated-jpeg", "jpeg-head", "truncated-png", "truncated-pico"],
)
def test_unreadable_files(content, fault):
    with pytest.raises(UnsupportedImage, match=fault):
        read(io.BytesIO(content))


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "missing.png")


def test_pillow_limit_of_pixels(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(LimitExceeded, match="limit"):
        read(saved(Image.new("L", (5, 5)), "PNG"))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("extension", ["png", "tiff", "webp", "ppm", "bmp"])
def test_lossless_files_come_back(extension, channels):
    picture = from_array(colours(channels=channels))
    out = io.BytesIO()
    if picture.alpha is not None and extension in ("ppm", "bmp"):
        with pytest.raises(UnsupportedImage, match="transparency"):
            write(picture, out, extension)
        return
    write(picture, out, extension)
    out.seek(0)
    back = read(out)
    np.testing.assert_array_equal(back.rgb, picture.rgb)
    if picture.alpha is not None:
        np.testing.assert_array_equal(back.alpha, picture.alpha)


def test_npy_files():
    picture = from_array(colours(channels=4))
    out = io.BytesIO()
    write(picture, out, "npy")
    out.seek(0)
    np.testing.assert_array_equal(np.load(out), colours(channels=4))


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "tif"])
def test_written_files_hold_the_metadata(extension):
    bare = exif(1).tobytes().removeprefix(b"Exif\0\0")
    out = io.BytesIO()
    write(Picture(colours(), icc=ICC, exif=bare, xmp=XMP), out, extension)
    out.seek(0)
    back = read(out)
    assert (back.icc, back.xmp) == (ICC, XMP)
    tags = Image.Exif()
    tags.load(back.exif)
    assert tags[ExifTags.Base.Make] == "Maker"
    assert tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] == 200


def test_metadata_that_a_format_cannot_hold_is_dropped_aloud():
    with pytest.warns(UserWarning, match="BMP cannot hold icc_profile, xmp"):
        write(Picture(colours(), icc=ICC, xmp=XMP), io.BytesIO(), "bmp")


@pytest.mark.parametrize(
    ("picture", "extension", "fault"),
    [
        (Picture(colours(), alpha=colours()[:, :, 0]), "jpg", "transparency"),
        (Picture(colours()), "xyz", "known are png"),
        (Picture(np.zeros((1, 70000, 3), np.uint8)), "jpg", "cannot be written as JPEG"),
        (Picture(np.zeros((1, 70000, 3), np.uint8)), "webp", "cannot be written as WEBP"),
        (Picture(colours(), xmp=bytes(70000)), "jpg", "cannot be written as JPEG"),
    ],
)
def test_pictures_that_a_format_cannot_hold(picture, extension, fault):
    with pytest.raises(UnsupportedImage, match=fault):
        write(picture, io.BytesIO(), extension)


@pytest.mark.parametrize("broken", [b"not TIFF", b"MM\0*", b"II*\0\xff\xff\xff\xff"])
def test_broken_exif_stops_nothing(broken):
    """TIFF, which has EXIF among its own tags, drops it aloud; the others hold it as it is."""
    for extension in ("png", "jpg", "webp"):
        out = io.BytesIO()
        write(Picture(colours(), exif=broken), out, extension)
        out.seek(0)
        assert read(out).exif == broken
    out = io.BytesIO()
    with pytest.warns(UserWarning, match="EXIF is damaged"):
        write(Picture(colours(), exif=broken, icc=ICC, xmp=XMP), out, "tif")
    out.seek(0)
    back = read(out)
    np.testing.assert_array_equal(back.rgb, colours())
    assert (back.icc, back.xmp) == (ICC, XMP)
