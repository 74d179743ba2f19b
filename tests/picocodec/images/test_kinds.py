"""What comes from cameras and converters is kept, or refused aloud: never silently changed."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, features
from tiny import photo

from picocodec.errors import UnsupportedImage
from picocodec.images import peek
from picocodec.images.picture import to_array
from picocodec.images.reading import read

needs_avif = pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
needs_jp2 = pytest.mark.skipif(not features.check("jpg_2000"), reason="Pillow without JPEG 2000")


def saved(format: str, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(photo(48, 64)).save(out, format, **options)
    return out.getvalue()


def patched(data: bytes, mark: bytes, offset: int, new: bytes) -> bytes:
    at = data.index(mark) + len(mark) + offset
    return data[:at] + new + data[at + len(new) :]


def on_disk(tmp_path, data: bytes, name: str = "photo"):
    (tmp_path / name).write_bytes(data)
    return tmp_path / name


@needs_avif
def test_avif_of_eight_bits_is_read_from_streams_and_files(tmp_path) -> None:
    data = saved("AVIF", quality=95)
    expected = np.asarray(Image.open(io.BytesIO(data)))
    for source in (io.BytesIO(data), on_disk(tmp_path, data)):
        assert np.array_equal(to_array(read(source)), expected)


@needs_avif
def test_the_depth_of_avif() -> None:
    data = saved("AVIF")
    assert peek.bits_per_channel(data) == 8
    flags = data[data.index(b"av1C") + 6]
    assert peek.bits_per_channel(patched(data, b"av1C", 2, bytes([flags | 0x40]))) == 10
    assert peek.bits_per_channel(patched(data, b"av1C", 2, bytes([flags | 0x60]))) == 12


@needs_avif
@pytest.mark.parametrize(("primaries", "transfer"), [(12, 13), (9, 16), (1, 18)])
def test_wide_colours_without_a_profile_are_refused(primaries: int, transfer: int) -> None:
    code = struct.pack(">HH", primaries, transfer)
    data = patched(saved("AVIF"), b"colrnclx", 0, code)
    with pytest.raises(UnsupportedImage, match=f"primaries {primaries}, transfer {transfer}"):
        read(io.BytesIO(data))
    profile = patched(saved("AVIF", icc_profile=b"p" * 200), b"colrnclx", 0, code)
    assert read(io.BytesIO(profile)).icc == b"p" * 200


def test_png_code_points_are_seen() -> None:
    data = saved("PNG")
    body = b"cICP" + bytes([9, 16, 0, 1])
    chunk = struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body))
    with pytest.raises(UnsupportedImage, match="primaries 9, transfer 16"):
        read(io.BytesIO(data[:33] + chunk + data[33:]))
    plain = bytes([1, 13])
    same = chunk[:8] + plain + chunk[10:12]
    crc = struct.pack(">I", zlib.crc32(same[4:12]))
    assert read(io.BytesIO(data[:33] + same + crc + data[33:])).rgb.shape == (48, 64, 3)


@needs_jp2
@pytest.mark.parametrize("plain", [False, True])
def test_deep_jpeg_2000_is_refused(plain: bool) -> None:
    data = saved("JPEG2000", no_jp2=plain)
    assert read(io.BytesIO(data)).rgb.shape == (48, 64, 3)
    deep = patched(data, b"\xff\x4f\xff\x51", 38, b"\x0f")
    with pytest.raises(UnsupportedImage, match="more than 8 bits"):
        read(io.BytesIO(deep))


def bits(*fields: tuple[int, int]) -> bytes:
    """Values of so many bits each, lowest first."""
    stream = at = 0
    for value, count in fields:
        stream |= value << at
        at += count
    return stream.to_bytes(at // 8 + 8, "little")


LARGE = ((0, 1), (1, 2), (999, 13), (0, 3), (2, 2), (1999, 18))
SMALL = ((1, 1), (5, 5), (1, 3))
NOT_DEFAULT, PLAIN, TURNED = (0, 1), (0, 1), ((1, 1), (5, 3), (0, 3))


@pytest.mark.parametrize(
    ("fields", "depth"),
    [
        ((*LARGE, (1, 1)), 8),
        ((*LARGE, NOT_DEFAULT, PLAIN, (0, 1), (0, 2)), 8),
        ((*SMALL, NOT_DEFAULT, PLAIN, (0, 1), (1, 2)), 10),
        ((*SMALL, NOT_DEFAULT, *TURNED, (0, 1), (2, 2)), 12),
        ((*LARGE, NOT_DEFAULT, PLAIN, (0, 1), (3, 2), (15, 6)), 16),
        ((*LARGE, NOT_DEFAULT, PLAIN, (1, 1)), 32),
    ],
)
def test_the_depth_of_jpeg_xl(fields: tuple[tuple[int, int], ...], depth: int) -> None:
    codestream = b"\xff\x0a" + bits(*fields)
    assert peek.bits_per_channel(codestream) == depth
    box = b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0\0\0\0jxlc" + codestream
    assert peek.bits_per_channel(box) == depth


def test_beginnings_of_files_are_no_error() -> None:
    for data in (b"", b"\xff\x0a", b"\xff\x4f\xff\x51", b"\0\0\0\x20ftypavifav1C", b"\x89PNG"):
        assert (peek.bits_per_channel(data), peek.code_points(data)) == (8, (2, 2))


def test_heic_with_its_plug_in(tmp_path) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    path = tmp_path / "photo.heic"
    try:
        Image.fromarray(photo(64, 64)).save(path, quality=95)
        deep = heif.from_bytes("RGB;16", (64, 64), bytes(64 * 64 * 6))
        deep.save(tmp_path / "deep.heic")
    except (OSError, RuntimeError, KeyError) as error:
        pytest.skip(f"no HEIC encoder: {error}")
    assert read(path).rgb.shape == (64, 64, 3)
    with pytest.raises(UnsupportedImage, match="more than 8 bits"):
        read(tmp_path / "deep.heic")


def test_jpeg_xl_with_its_plug_in(tmp_path) -> None:
    pytest.importorskip("pillow_jxl")
    path = tmp_path / "photo.jxl"
    Image.fromarray(photo(64, 64)).save(path, quality=95)
    assert read(path).rgb.shape == (64, 64, 3)
    assert peek.bits_per_channel(path.read_bytes()) == 8


def test_orientation_in_the_exif_of_jpeg_xl_does_not_count(tmp_path) -> None:
    """Its decoder turns pixels by what the codestream says; turning them again would be wrong."""
    pytest.importorskip("pillow_jxl")
    tags = Image.Exif()
    tags[274], tags[271] = 6, "Maker"
    Image.fromarray(photo(48, 64)).save(tmp_path / "photo.jxl", exif=tags.tobytes())
    kept = Image.Exif()
    kept.load(read(tmp_path / "photo.jxl").exif)
    assert dict(kept) == {271: "Maker"}
