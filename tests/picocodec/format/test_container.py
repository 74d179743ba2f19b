from __future__ import annotations

import binascii
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from picocodec.errors import (
    CorruptChunk,
    CorruptHeader,
    CorruptTile,
    LimitExceeded,
    NotAPicoFile,
    PicoError,
    Truncated,
    UnsupportedVersion,
)
from picocodec.format import container
from picocodec.format.container import ModelId

MODEL = ModelId("small", 1, b"\xde\xad\xbe\xef")


def a_file(**changes: object) -> bytes:
    parts: dict[str, object] = {
        "width": 600,
        "height": 400,
        "level": 500,
        "model": MODEL,
        "tiles": [b"first tile", b"second"],
        "chunks": [(b"exif", b"metadata"), (b"zzzz", b"from the future")],
    }
    return container.write(**(parts | changes))  # type: ignore[arg-type]


def resealed(data: bytearray, size: int) -> bytes:
    """The same file with a CRC-16 that fits its changed header of `size` bytes."""
    data[size - 2 : size] = binascii.crc_hqx(bytes(data[: size - 2]), 0xFFFF).to_bytes(2, "little")
    return bytes(data)


def test_golden_file() -> None:
    """Byte for byte, as docs/format.md says."""
    data = container.write(width=100, height=300, level=420, model=MODEL, tiles=[b"abcd"])
    assert data == bytes.fromhex(
        "8a504943"  # signature
        "01 00"  # version, flags
        "63 ab02"  # 99, 299 as varints
        "a401"  # level 420
        "05 736d616c6c 01 deadbeef"  # small, version 1, check
        "04 11cd82ed"  # length and CRC-32 of the tile
        "1331"  # CRC-16
        "61626364"
    )
    assert zlib.crc32(b"abcd") == 0xED82CD11


def test_a_picture_of_one_tile_pays_at_most_32_bytes() -> None:
    payload = bytes(70_000)
    data = container.write(width=504, height=504, level=1000, model=MODEL, tiles=[payload])
    assert len(data) - len(payload) <= 32


def test_everything_written_is_read() -> None:
    data = a_file(gray=True, realism=128, tile_modes=[(0, 400), (7, 500)])
    header = container.read_header(data)
    assert (header.width, header.height, header.level) == (600, 400, 500)
    assert header.model == MODEL and header.gray and header.realism == 128
    assert [(t.mode, t.level, t.length) for t in header.tiles] == [(0, 400, 10), (7, 500, 6)]
    assert header.file_size == len(data)
    assert container.tile_data(header, data, 1, header.tile_offset(1)) == b"second"
    assert container.chunk_data(header, data) == {b"exif": b"metadata", b"zzzz": b"from the future"}


def test_tiles_without_modes_have_the_level_of_the_picture() -> None:
    header = container.read_header(a_file())
    assert [(t.mode, t.level) for t in header.tiles] == [(0, 500), (0, 500)]


@pytest.mark.parametrize(
    ("width", "height", "count"),
    [(1, 1, 1), (504, 568, 1), (569, 568, 2), (1072, 569, 4), (1073, 569, 6)],
)
def test_number_of_tiles(width: int, height: int, count: int) -> None:
    data = a_file(width=width, height=height, tiles=[b"x"] * count)
    header = container.read_header(data)
    assert len(header.tiles) == header.rows * header.columns == count
    with pytest.raises(ValueError, match="do not make a picture"):
        a_file(width=width, height=height, tiles=[b"x"] * (count + 1))


def test_every_truncation_is_told() -> None:
    data = a_file()
    for length in range(len(data)):
        with pytest.raises(NotAPicoFile if length == 0 else Truncated):
            header = container.read_header(data[:length])
            container.check_size(header, length)


def test_every_flipped_bit_is_told() -> None:
    data = a_file()
    for bit in range(len(data) * 8):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(PicoError):
            header = container.read_header(bytes(broken))
            container.check_size(header, len(broken))
            for i in range(len(header.tiles)):
                container.tile_data(header, bytes(broken), i, header.tile_offset(i))
            container.chunk_data(header, bytes(broken))


def test_damage_is_placed() -> None:
    data = bytearray(a_file())
    header = container.read_header(bytes(data))
    data[header.tile_offset(1)] ^= 1
    assert container.tile_data(header, bytes(data), 0, header.size) == b"first tile"
    with pytest.raises(CorruptTile, match=r"tile 1 \(row 0, column 1\)"):
        container.tile_data(header, bytes(data), 1, header.tile_offset(1))
    data = bytearray(a_file())
    data[-1] ^= 1
    with pytest.raises(CorruptChunk, match="zzzz"):
        container.chunk_data(header, bytes(data))


def test_bytes_after_the_end_are_refused() -> None:
    data = a_file() + b"x"
    with pytest.raises(CorruptHeader, match="1 bytes follow"):
        container.check_size(container.read_header(data), len(data))


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"PIC", b"\xff" * 50])
def test_other_files_are_not_ours(data: bytes) -> None:
    with pytest.raises(NotAPicoFile):
        container.read_header(data)


def test_unknown_version_is_told_as_such() -> None:
    data = bytearray(a_file())
    data[4] = 2
    with pytest.raises(UnsupportedVersion, match="version 2"):
        container.read_header(bytes(data))


def test_mandatory_chunks_must_be_known() -> None:
    with pytest.raises(UnsupportedVersion, match="Zoom"):
        container.read_header(a_file(chunks=[(b"Zoom", b"")]))


def test_limits() -> None:
    with pytest.raises(LimitExceeded, match="600x400"):
        container.read_header(a_file(), max_pixels=239_999)
    assert container.read_header(a_file(), max_pixels=240_000).width == 600


def test_absurd_sizes_are_refused_before_anything_is_made() -> None:
    data = bytearray(a_file())
    data[6:8] = b"\xff\xff"  # the width's varint now swallows the height and more
    with pytest.raises(PicoError):
        container.read_header(bytes(data))
    huge = bytearray(container.SIGNATURE + bytes([1, 0]) + b"\xff\xff\xff\xff\x0f" * 2 + bytes(60))
    with pytest.raises(CorruptHeader, match="sides end at"):
        container.read_header(bytes(huge), max_pixels=1 << 60)


def test_a_long_varint_form_is_refused() -> None:
    short = a_file(width=100, tiles=[b"x"])
    size = container.read_header(short).size
    longer = bytearray(short[:6] + bytes([99 | 0x80, 0]) + short[7:])
    with pytest.raises(CorruptHeader, match="shortest form"):
        container.read_header(resealed(longer, size + 1))


def test_duplicate_chunks_are_refused() -> None:
    data = a_file(chunks=[(b"exif", b"a"), (b"exif", b"b")])
    with pytest.raises(CorruptChunk, match="twice"):
        container.chunk_data(container.read_header(data), data)


@pytest.mark.parametrize(
    "changes",
    [
        {"width": 0, "tiles": []},
        {"width": (1 << 20) + 1},
        {"level": 1001},
        {"width": 1 << 20, "height": 1 << 20, "tiles": [b""] * 4326400},
        {"tiles": [b"", bytes(container.MAX_TILE_BYTES + 1)]},
        {"chunks": [(b"exif", bytes(container.MAX_CHUNK_BYTES + 1))]},
        {"chunks": [(b"ab1 ", b"")]},
        {"chunks": [(b"zzzz", b"")] * 65},
    ],
    ids=str.split("no-width width level many tile chunk kind chunks"),
)
def test_impossible_parts_are_not_written(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="cannot be written|not in 0"):
        a_file(**changes)


@pytest.mark.parametrize(
    ("name", "version", "check"),
    [
        ("Small", 1, b"1234"),
        ("small", 256, b"1234"),
        ("small", 1, b"123"),
        ("../etc", 1, b"1234"),
        ("s" * 17, 1, b"1234"),
    ],
)
def test_names_that_no_model_has(name: str, version: int, check: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be the name"):
        ModelId(name, version, check)


def test_a_header_beyond_the_limits_is_refused_whatever_its_checksum() -> None:
    data = a_file()
    header = container.read_header(data)
    name = data.index(b"exif")
    tile = header.size - 2 - 2 * 9 - 1 - 2 * 5
    assert data[tile] == 10
    for at, byte, fault in ((name, ord("1"), "which is none"), (tile, 0xFF, "more than 16777216")):
        changed = bytearray(data)
        changed[at] = byte
        if at == tile:
            changed[at : at + 1] = b"\xff\xff\xff\xff\x0f"
        grown = len(changed) - len(data)
        with pytest.raises(CorruptHeader, match=fault):
            container.read_header(resealed(changed, header.size + grown))


def test_a_small_file_cannot_announce_endless_tiles() -> None:
    data = container.SIGNATURE + bytes([1, 0]) + b"\xff\xff\x3f" * 2 + bytes(100)
    with pytest.raises(CorruptHeader, match="4330561 tiles"):
        container.read_header(data, max_pixels=1 << 40)


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_noise_behind_the_signature_gives_typed_errors(noise: bytes) -> None:
    with pytest.raises(PicoError):
        container.read_header(container.SIGNATURE + bytes([1]) + noise)
