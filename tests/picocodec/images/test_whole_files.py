"""Half of a picture is not a picture: truncated files of every format are refused, and damaged
ones wherever that can be known (docs/trust.md says where it cannot)."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageFile, features
from tiny import photo

from picocodec.errors import UnsupportedImage
from picocodec.images.containers import survey
from picocodec.images.picture import to_array
from picocodec.images.reading import read

PIXELS = photo(160, 128)
IMAGE = Image.fromarray(PIXELS)


def saved(format: str, im: Image.Image = IMAGE, **options: object) -> bytes:
    out = io.BytesIO()
    im.save(out, format, **options)
    return out.getvalue()


def array() -> bytes:
    out = io.BytesIO()
    np.save(out, PIXELS)
    return out.getvalue()


FORMATS: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: saved("JPEG", quality=90),
    "jpeg-optimised": lambda: saved("JPEG", optimize=True),
    "jpeg-progressive": lambda: saved("JPEG", quality=90, progressive=True),
    "jpeg-restarts": lambda: saved("JPEG", quality=90, restart_marker_blocks=5),
    "jpeg-gray": lambda: saved("JPEG", IMAGE.convert("L")),
    "png": lambda: saved("PNG"),
    "png-palette": lambda: saved("PNG", IMAGE.quantize(64)),
    "webp": lambda: saved("WEBP"),
    "webp-lossless": lambda: saved("WEBP", lossless=True),
    "gif": lambda: saved("GIF"),
    "bmp": lambda: saved("BMP"),
    "tiff": lambda: saved("TIFF"),
    "tiff-lzw": lambda: saved("TIFF", compression="tiff_lzw", strip_size=4096),
    "tiff-deflate": lambda: saved("TIFF", compression="tiff_adobe_deflate", strip_size=4096),
    "tiff-packbits": lambda: saved("TIFF", compression="packbits", strip_size=4096),
    "tiff-jpeg": lambda: saved("TIFF", compression="jpeg"),
    "ppm": lambda: saved("PPM"),
    "pgm": lambda: saved("PPM", IMAGE.convert("L")),
    "pbm": lambda: saved("PPM", IMAGE.convert("1")),
    "tga-rle": lambda: saved("TGA", compression="tga_rle"),
    "pcx": lambda: saved("PCX"),
    "sgi": lambda: saved("SGI"),
    "dds": lambda: saved("DDS"),
    "qoi": lambda: saved("QOI"),
    "npy": array,
}
if features.check("avif"):
    FORMATS["avif"] = lambda: saved("AVIF")
if features.check("jpg_2000"):
    FORMATS["jp2"] = lambda: saved("JPEG2000")
    FORMATS["jp2-tiles"] = lambda: saved("JPEG2000", tile_size=(64, 64))
try:
    import pillow_heif

    pillow_heif.register_heif_opener()
    saved("HEIF")
    FORMATS["heic"] = lambda: saved("HEIF")
    FORMATS["heic-tiles"] = lambda: saved("HEIF", tile_size=64)
except (ImportError, OSError, RuntimeError, KeyError):
    pass
try:
    import pillow_jxl  # noqa: F401

    FORMATS["jxl"] = lambda: saved("JXL")
except ImportError:
    pass

# Those whose last bytes are no part of the picture, so that it is whole without them.
WITH_A_TAIL = {"tga-rle"}
# Those whose data have no checksums and no syntax that says what cannot be.
ANYTHING_GOES = {
    "jpeg-progressive", "webp", "webp-lossless", "bmp", "tiff", "tiff-lzw", "tiff-packbits",
    "tiff-jpeg", "ppm", "pgm", "pbm", "tga-rle", "pcx", "sgi", "dds", "qoi", "npy", "jp2",
    "jp2-tiles", "jpeg-optimised",
}  # fmt: skip


@pytest.fixture(scope="module", params=FORMATS)
def whole(request: pytest.FixtureRequest) -> tuple[str, bytes, np.ndarray]:
    data = FORMATS[request.param]()
    return request.param, data, to_array(read(io.BytesIO(data)))


def refused_or_right(data: bytes, right: np.ndarray) -> bool:
    try:
        return np.array_equal(to_array(read(io.BytesIO(data))), right)
    except UnsupportedImage:
        return True


def test_truncated_files_are_refused(whole: tuple[str, bytes, np.ndarray]) -> None:
    name, data, right = whole
    for end in (*(len(data) * n // 12 for n in range(1, 12)), -300, -40, -9, -2, -1):
        if name in WITH_A_TAIL and end < 0 and end > -30:
            assert refused_or_right(data[:end], right)
            continue
        with pytest.raises(UnsupportedImage):
            read(io.BytesIO(data[:end]))


def test_files_with_holes_are_refused(whole: tuple[str, bytes, np.ndarray]) -> None:
    """As downloads leave them: places that were reserved, and never written."""
    name, data, right = whole
    if name in ANYTHING_GOES:
        pytest.skip("it cannot be known")
    size = max(128, len(data) // 8)
    for at in (len(data) // 3, len(data) // 2, len(data) - size):
        assert refused_or_right(data[:at] + bytes(size) + data[at + size :], right), at


@pytest.mark.parametrize(
    "name", ["jpeg", "jpeg-optimised", "jpeg-restarts", "jpeg-gray", "jpeg-progressive"]
)
def test_jpeg_that_ends_early_but_says_it_ends(name: str) -> None:
    """libjpeg fills what is missing with gray, and only warns."""
    data = FORMATS[name]()
    right = to_array(read(io.BytesIO(data)))
    parts = (0.3, 0.5) if name == "jpeg-progressive" else (0.3, 0.6, 0.9, 0.98)
    for part in parts:
        with pytest.raises(UnsupportedImage, match="truncated|missing"):
            read(io.BytesIO(data[: int(len(data) * part)] + b"\xff\xd9"))
    assert refused_or_right(data, right)


@pytest.mark.parametrize("name", ["jpeg", "jpeg-optimised", "jpeg-restarts"])
def test_jpeg_with_a_piece_cut_out(name: str) -> None:
    data = FORMATS[name]()
    for part in (0.5, 0.7, 0.8):
        at = int(len(data) * part)
        with pytest.raises(UnsupportedImage, match="truncated|missing"):
            read(io.BytesIO(data[:at] + data[at + len(data) // 10 :]))


@pytest.mark.parametrize("name", ["jpeg", "jpeg-optimised", "jpeg-restarts", "jpeg-gray"])
def test_a_strict_decoder_changes_no_pixel(name: str) -> None:
    data = FORMATS[name]()
    assert survey(data).strict is not None
    assert np.array_equal(
        to_array(read(io.BytesIO(data))), np.asarray(Image.open(io.BytesIO(data)))
    )
    for size in ((1, 1), (8, 8), (16, 17), (33, 7)):
        small = saved("JPEG", IMAGE.resize(size), quality=30)
        expected = np.asarray(Image.open(io.BytesIO(small)))
        assert np.array_equal(to_array(read(io.BytesIO(small))), expected)


def test_a_flipped_byte_of_png_and_deflate() -> None:
    for name in ("png", "png-palette", "tiff-deflate"):
        data = FORMATS[name]()
        right = to_array(read(io.BytesIO(data)))
        for at in range(60, len(data) - 20, len(data) // 23):
            broken = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
            assert refused_or_right(broken, right), (name, at)


def test_png_without_its_end() -> None:
    with pytest.raises(UnsupportedImage, match="truncated"):
        read(io.BytesIO(FORMATS["png"]()[:-12]))


@pytest.mark.parametrize("what", ["strip", "tile"])
@pytest.mark.parametrize("compression", [1, 8])
def test_tiff_without_one_of_its_pieces(what: str, compression: int) -> None:
    data = tiff(what == "tile", compression)
    assert np.array_equal(to_array(read(io.BytesIO(data))), PIXELS)
    for missing in (0, 3):
        with pytest.raises(UnsupportedImage, match=f"{what} {missing} is not in the file"):
            read(io.BytesIO(tiff(what == "tile", compression, missing)))


def tiff(is_tiled: bool, compression: int, missing: int | None = None) -> bytes:
    """A TIFF file of strips of 32 rows, or tiles of 64 by 32 pixels; one has no place in it."""
    width = 64 if is_tiled else 128
    pieces = [
        PIXELS[y : y + 32, x : x + width].tobytes()
        for y in range(0, 160, 32)
        for x in range(0, 128, width)
    ]
    if compression == 8:
        pieces = [zlib.compress(piece) for piece in pieces]
    offsets, at = [], 8
    for i, piece in enumerate(pieces):
        offsets.append(0 if i == missing else at)
        at += len(piece)
    lengths = [0 if i == missing else len(piece) for i, piece in enumerate(pieces)]
    layout = {322: [64], 323: [32], 324: offsets, 325: lengths}
    if not is_tiled:
        layout = {273: offsets, 278: [32], 279: lengths}
    tags = {256: [128], 257: [160], 258: [8, 8, 8], 259: [compression], 262: [2], 277: [3]} | layout
    entries, values = b"", b""
    end = at + 2 + 12 * len(tags) + 4
    for tag, numbers in sorted(tags.items()):
        word = struct.pack(f"<{len(numbers)}I", *numbers)
        if len(word) > 4:
            word, values = struct.pack("<I", end + len(values)), values + word
        entries += struct.pack("<HHI", tag, 4, len(numbers)) + word
    directory = struct.pack("<H", len(tags)) + entries + bytes(4) + values
    return b"II*\0" + struct.pack("<I", at) + b"".join(pieces) + directory


def test_pillow_s_switch_allows_half_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = FORMATS["jpeg"]()
    assert read(io.BytesIO(data[: len(data) // 2])).rgb.shape == PIXELS.shape


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (90, 130, 40)])
def test_plain_pictures_have_no_holes(colour: tuple[int, int, int]) -> None:
    """They compress to much the same again and again, zeros among it."""
    im = Image.new("RGB", (1024, 1024), colour)
    im.paste(IMAGE, (0, 0))
    for format, options in (
        ("JPEG", {}),
        ("JPEG", {"optimize": True}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"restart_marker_rows": 1}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("AVIF", {"speed": 9}),
        ("HEIF", {}),
    ):
        if format not in Image.SAVE or (format == "AVIF" and not features.check("avif")):
            continue
        data = saved(format, im, **options)
        assert survey(data).fault == "", (format, options)
