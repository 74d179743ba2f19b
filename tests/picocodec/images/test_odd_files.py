"""Files that are valid, or nearly so, and that few programs write: shown right, or with a word."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from PIL import Image, features
from test_beside_the_picture import (
    IMAGE,
    PIXELS,
    chunk,
    jpeg,
    png,
    reading,
    refusal,
    saved,
    segment,
)
from tiny import photo

from picocodec.errors import UnsupportedImage
from picocodec.images import exif as exif_bytes
from picocodec.images.containers import isobmff, survey
from picocodec.images.containers.directories import Entry, Node, packed
from picocodec.images.containers.png import SIGNATURE
from picocodec.images.containers.survey import Density
from picocodec.images.reading import read
from picocodec.images.writing import open_writer

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>'


def turned_exif(orientation: int) -> bytes:
    """EXIF with nothing but an orientation."""
    value = struct.pack("<H", orientation)
    return packed(Node([Entry(exif_bytes.ORIENTATION, 3, 1, value, 0, 0)]), "<")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_the_transparent_gray_of_png(bits: int) -> None:
    """Of 2 and 4 bits Pillow takes another gray for it, or none."""
    numbers = (np.arange(16) % (1 << bits)).astype(np.uint8)
    rows = np.unpackbits(numbers[:, None], axis=1)[:, 8 - bits :]
    data = zlib.compress(b"\0" + np.packbits(rows).tobytes())
    header = struct.pack(">IIBBBBB", 16, 1, bits, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"tRNS", b"\0\1"), (b"IDAT", data), (b"IEND", b""))
    picture, _ = reading(SIGNATURE + b"".join(chunk(*one) for one in chunks))
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha[0], np.where(numbers == 1, 0, 255))
    gray = numbers.astype(int) * 255 // ((1 << bits) - 1)
    np.testing.assert_array_equal(picture.rgb[:, :][0, :, 0], gray)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_exif_behind_its_prefix_more_than_once(times: int) -> None:
    exif = turned_exif(6)
    for data in (
        jpeg(segment(0xE1, b"Exif\0\0" * times + exif)),
        png((b"eXIf", b"Exif\0\0" * (times - 1) + exif)),
    ):
        picture, _ = reading(data)
        assert picture.exif == exif


@pytest.mark.parametrize("bytes_long", [3 << 20, 70 << 20])
def test_long_texts_and_profiles_stop_nothing(bytes_long: int) -> None:
    """Pillow refuses PNG files with any that unfold to more than a megabyte."""
    long = zlib.compress(bytes(bytes_long), 1)
    keeps = bytes_long < 64 << 20
    picture, told = reading(png((b"zTXt", b"Comment\0\0" + long)))
    np.testing.assert_array_equal(picture.rgb[:, :], PIXELS)
    assert told == "not kept: the text 'Comment'"
    picture, told = reading(png((b"iCCP", b"name\0\0" + long)))
    assert picture.icc == (bytes(bytes_long) if keeps else None)
    assert told == ("" if keeps else "not kept: an ICC profile, which is damaged")


@pytest.mark.parametrize(
    "density", [Density(5e7, 5e7, 2), Density(9e8, 9e8, 3), Density(300, 299.99, 2)]
)
def test_resolutions_beyond_all_bounds_fit_into_exif(density: Density) -> None:
    found = exif_bytes.resolution(exif_bytes.with_resolution(None, density))
    assert found is not None and found.unit == density.unit
    assert (found.x, found.y) == pytest.approx((density.x, density.y), rel=1e-4)


def test_png_with_a_resolution_beyond_all_bounds_is_read() -> None:
    picture, _ = reading(png((b"pHYs", struct.pack(">IIB", (1 << 31) - 1, (1 << 31) - 1, 1))))
    np.testing.assert_array_equal(picture.rgb[:, :], PIXELS)


def webp_with(more: bytes) -> bytes:
    data = saved("WEBP", lossless=True) + more
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (png((b"mkBF", b"layers")), "the chunk 'mkBF'"),
        (webp_with(b"ABCD\4\0\0\0abcd"), "the chunk 'ABCD'"),
        (saved("WEBP") + b"hello", "5 bytes behind the picture"),
        (saved("GIF") + b"hello", "5 bytes behind the picture"),
        (2 * saved("PPM"), f"{len(saved('PPM'))} bytes behind the picture"),
        (2 * saved("PPM", IMAGE.convert("L")), "bytes behind the picture"),
        (jpeg(*(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP),) * 2), "a second packet"),
        (saved("AVIF") + b"\0\0\0\x0cSEFHabcd", "data of an unknown kind"),
    ],
    ids="png-chunk webp-chunk behind-webp behind-gif ppm pgm xmp-twice avif-box".split(),
)
def test_what_else_is_not_kept_is_named(data: bytes, words: str) -> None:
    picture, told = reading(data)
    assert picture.rgb.shape == (48, 64, 3)
    assert told.startswith("not kept: ") and words in told


@pytest.mark.parametrize("format", ["PNG", "WEBP", "GIF", "PPM", "BMP", "TIFF", "AVIF"])
def test_of_plain_files_nothing_is_said(format: str) -> None:
    assert reading(saved(format))[1] == ""


def bmp(bits: int, masks: tuple[int, int, int, int], header: int = 56) -> bytes:
    """A BMP file of 4x2 pixels whose channels lie as masks say."""
    pixels = bytes(range(bits))
    info = struct.pack("<IiiHHIIiiII", header, 4, 2, 1, bits, 3, len(pixels), 0, 0, 0, 0)
    body = (info + struct.pack("<4I", *masks)).ljust(header, b"\0")
    at = 14 + len(body)
    return b"BM" + struct.pack("<IHHI", at + len(pixels), 0, 0, at) + body + pixels


def test_alpha_of_narrow_bmp_is_named() -> None:
    picture, told = reading(bmp(16, (0x7C00, 0x3E0, 0x1F, 0x8000)))
    assert picture.alpha is None
    assert "alpha" in told


def test_alpha_of_bmp_is_kept() -> None:
    picture, told = reading(bmp(32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000), 124))
    assert picture.alpha is not None and picture.alpha[1].tolist() == [3, 7, 11, 15]
    assert told == ""


@pytest.mark.parametrize(
    "data",
    [
        bmp(32, (0x3FF00000, 0xFFC00, 0x3FF, 0xC0000000), 124),
        bmp(64, (0, 0, 0, 0)),
        b"PF\n2 2\n-1.0\n" + bytes(48),
    ],
    ids=["bmp-10", "bmp-64", "pfm"],
)
def test_deep_pixels_are_called_deep(data: bytes) -> None:
    assert "more than 8 bits a channel" in refusal(data)


def tiff(samples: int, *tags: tuple[int, int, tuple[int, ...]]) -> bytes:
    """A TIFF file of 4x2 pixels of so many samples of 8 bits."""
    pixels = bytes(range(8 * samples))
    numbers = {256: (4,), 257: (2,), 258: (8,) * samples, 259: (1,), 262: (2,), 273: (8,),
               277: (samples,), 278: (2,), 279: (len(pixels),)}  # fmt: skip
    numbers |= {tag: values for tag, _, values in tags}
    entries = [
        Entry(tag, 3, len(values), struct.pack(f"<{len(values)}H", *values), 0, 0)
        for tag, values in numbers.items()
    ]
    body = packed(Node(entries), "<")
    place = len(body)
    entries = [
        Entry(e.tag, 3, 1, struct.pack("<H", place), 0, 0) if e.tag == 273 else e for e in entries
    ]
    return packed(Node(entries), "<") + pixels


def test_further_channels_of_tiff_are_named() -> None:
    picture, told = reading(tiff(4, (338, 3, (0,))))  # RGB, and what nobody knows
    assert picture.alpha is None and "a further channel" in told
    picture, told = reading(tiff(5, (338, 3, (2, 0))))  # RGB, alpha, and one more
    assert picture.alpha is not None and "a further channel" in told
    picture, told = reading(tiff(4, (338, 3, (2,))))
    assert picture.alpha is not None and told == ""


def psd(channels: int, mode: int) -> bytes:
    """A Photoshop file of 4x2 pixels."""
    head = struct.pack(">4sH6xHIIHH", b"8BPS", 1, channels, 2, 4, 8, mode)
    return head + bytes(12) + b"\0\0" + bytes(range(8 * channels))


@pytest.mark.parametrize(
    ("channels", "mode", "words"),
    [
        (1, 1, ""),
        (3, 3, ""),
        (4, 3, ""),  # with alpha
        (6, 3, "not kept: 2 further channels"),
        (2, 1, "not kept: a further channel"),
        (1, 8, "not kept: the colours of its inks (a duotone)"),
    ],
)
def test_further_channels_of_psd_are_named(channels: int, mode: int, words: str) -> None:
    picture, told = reading(psd(channels, mode))
    assert told == words
    expected = range(8 * min(channels, 3)) if mode == 3 else range(8)
    rgb = picture.rgb[:, :].transpose(2, 0, 1)
    assert rgb[: len(expected) // 8].ravel().tolist() == list(expected)


def test_numbers_with_signs_are_refused() -> None:
    assert "signs" in refusal(tiff(1, (262, 3, (1,)), (339, 3, (2,))))


@pytest.mark.skipif(not features.check("avif"), reason="a Pillow without AVIF")
@pytest.mark.parametrize(
    ("clap", "box"),
    [
        ((40, 1, 20, 1, 0, 1, 0, 1), (12, 14, 52, 34)),
        ((40, 1, 20, 1, -4, 1, 6, 2), (8, 17, 48, 37)),
        ((41, 1, 20, 1, 0, 1, 0, 1), (0, 0, 64, 48)),  # between pixels
        ((40, 1, 20, 1, 99, 1, 0, 1), (0, 0, 64, 48)),  # beyond the picture
        ((40, 0, 20, 1, 0, 1, 0, 1), (0, 0, 64, 48)),
    ],
)
def test_the_crop_of_avif(clap: tuple[int, ...], box: tuple[int, int, int, int]) -> None:
    """Pillow shows what was cropped away."""
    data = with_property(saved("AVIF", quality=100), b"clap" + struct.pack(">IIIIiIiI", *clap))
    whole = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    left, top, right, bottom = box
    np.testing.assert_array_equal(reading(data)[0].rgb[:, :], whole[top:bottom, left:right])


def test_pixels_of_avif_that_are_not_square() -> None:
    picture, _ = reading(with_property(saved("AVIF"), b"pasp" + struct.pack(">II", 2, 1)))
    assert exif_bytes.resolution(picture.exif) == Density(1, 2, 1)


def with_property(avif: bytes, body: bytes) -> bytes:
    """An AVIF file as Pillow writes it whose picture has one more property, of a kind and a body.

    It takes the place of `pixi`, which nothing here needs, as long as both together."""
    box = struct.pack(">I", len(body) + 4) + body
    places = {b.kind: b for b in _all_boxes(avif, 0, len(avif))}
    pixi, data = places[b"pixi"], bytearray(avif)
    start, end = pixi.at - 8, pixi.end
    grown = len(box) - (end - start)
    for kind in (b"meta", b"iprp", b"ipco"):
        at = places[kind].at - 8
        data[at : at + 4] = struct.pack(">I", int.from_bytes(data[at : at + 4]) + grown)
    iloc = places[b"iloc"].at
    ipma, properties = places[b"ipma"].at, isobmff.boxes(avif, places[b"ipco"].at, len(avif))
    index = [b.kind for b in properties].index(b"pixi") + 1
    for at in range(ipma + 11, ipma + 11 + avif[ipma + 10]):
        data[at] |= 0x80 * (data[at] == index)  # essential, as whatever turns or crops has to be
    of = avif.index(struct.pack(">I", places[b"mdat"].at), iloc)
    data[of : of + 4] = struct.pack(">I", places[b"mdat"].at + grown)
    data[start:end] = box
    return bytes(data)


def _all_boxes(data: bytes, at: int, end: int) -> list[isobmff.Box]:
    found = []
    for box in isobmff.boxes(data, at, end):
        found.append(box)
        if box.kind in (b"meta", b"iprp", b"ipco"):
            found += _all_boxes(data, box.at + (4 if box.kind == b"meta" else 0), box.end)
    return found


def test_what_brotli_holds_is_named_only_where_it_is_lost() -> None:
    brob = b"\0\0\0\x10brobExifabcd"
    data = b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0\0\0\x14ftypjxl \0\0\0\0jxl " + brob
    assert survey(data).compressed == {"EXIF"}
    assert survey(data).dropped == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (SIGNATURE + chunk(b"IHDR", bytes(13)) + chunk(b"IEND", b""), "the PNG file is damaged"),
        (b"\xff\xd8\xff\xd9", "the JPEG file is damaged"),
        (tiff(2), "the TIFF file is damaged, or of a kind that Pillow does not read"),
        (b"P7\nWIDTH 1\n", "PAM"),
        (b"RIFF\x20\0\0\0WEBPabcd" + bytes(40), "the WebP file is damaged"),
        (b"what is this?", "not an image file"),
    ],
    ids="png jpeg tiff pam webp text".split(),
)
def test_what_is_not_read_is_called_by_its_name(data: bytes, words: str) -> None:
    assert words in refusal(data)


def test_what_is_damaged_is_not_told_in_the_words_of_a_programmer() -> None:
    palette = saved("PNG", IMAGE.quantize(4))
    at = palette.index(b"PLTE") - 4
    end = at + 12 + int.from_bytes(palette[at : at + 4])
    assert refusal(palette[:at] + palette[end:]) == "the image cannot be read: it is damaged"


@pytest.mark.parametrize("quality", [30, 90])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpeg_that_ends_a_little_early_but_says_it_ends(quality: int, mode: str) -> None:
    """All but the last few bits of a scan are missed."""
    image = Image.fromarray(photo(120, 160)).convert(mode)
    data = saved("JPEG", image, quality=quality)
    read(io.BytesIO(data))
    for missing in range(12, 60):
        with pytest.raises(UnsupportedImage):
            read(io.BytesIO(data[: -2 - missing] + b"\xff\xd9"))


@pytest.mark.skipif(not features.check("avif"), reason="a Pillow without AVIF")
def test_avif_without_exif_that_it_cannot_hold() -> None:
    out = io.BytesIO()
    with pytest.warns(UserWarning, match="the EXIF is damaged, and AVIF cannot hold it: dropped"):
        writer = open_writer(out, "avif", 64, 48, 3, exif=b"junk")
        writer.write(PIXELS)
        writer.close()
    assert Image.open(io.BytesIO(out.getvalue())).size == (64, 48)


def in_gzip(path: Path) -> BinaryIO:
    packed = path.with_suffix(".gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    return gzip.open(packed)


def in_zip(path: Path) -> BinaryIO:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(path, path.name)
    return zipfile.ZipFile(packed).open(path.name)


def in_tar(path: Path) -> BinaryIO:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(path, path.name)
    packed.seek(0)
    member = tarfile.open(fileobj=packed).extractfile(path.name)
    assert member is not None
    return member


def by_number(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_RDONLY), "rb")


def under_another_name(path: Path) -> BinaryIO:
    file = path.open("rb")
    path.rename(path.with_suffix(".moved"))
    path.write_bytes(b"something else")
    return file


@pytest.mark.parametrize("opened", [in_gzip, in_zip, in_tar, by_number, under_another_name])
@pytest.mark.parametrize("extension", ["ppm", "npy", "tif", "png"])
def test_files_whose_names_are_not_theirs(
    tmp_path: Path, opened: Callable[[Path], BinaryIO], extension: str
) -> None:
    path = tmp_path / f"photo.{extension}"
    if extension == "npy":
        np.save(path, PIXELS)
    elif extension == "png":
        path.write_bytes(png((b"eXIf", turned_exif(6)), (b"abCd", b"")))
    else:
        IMAGE.save(path)
    with opened(path) as file:
        if extension == "png":
            with pytest.warns(UserWarning, match="abCd"):
                picture = read(file)
        else:
            picture = read(file)
        np.testing.assert_array_equal(picture.rgb[:, :], PIXELS)
