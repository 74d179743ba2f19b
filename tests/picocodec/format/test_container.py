from __future__ import annotations

import binascii
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written import learned, unlearned

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
from picocodec.format.pieces import MAX_PIECE_BYTES

MODEL = ModelId("small", 1, b"\xde\xad\xbe\xef")


def a_file(**changes: object) -> bytes:
    parts: dict[str, object] = {
        "width": 600,
        "height": 400,
        "level": 500,
        "model": MODEL,
        "pieces": [learned(b"first tile"), learned(b"second")],
        "chunks": [(b"exif", b"metadata"), (b"zzzz", b"from the future")],
    }
    return container.write(**(parts | changes))  # type: ignore[arg-type]


def resealed(data: bytearray, size: int) -> bytes:
    """The same file with a CRC-16 that fits its changed header of `size` bytes."""
    data[size - 2 : size] = binascii.crc_hqx(bytes(data[: size - 2]), 0xFFFF).to_bytes(2, "little")
    return bytes(data)


def test_golden_file() -> None:
    """Byte for byte, as docs/format.md says."""
    pieces = [learned(b"abcd", 420)]
    data = container.write(width=100, height=300, level=420, model=MODEL, pieces=pieces)
    assert data == bytes.fromhex(
        "8a504943"  # signature
        "02 40"  # version, flags and the length of the name
        "63 ab02"  # 99, 299 as varints
        "a401"  # level 420
        "736d616c6c 01 deadbeef"  # small, version 1, check
        "04 04 11cd82ed"  # learned, with its margin; length and CRC-32
        "3378"  # CRC-16
        "61626364"
    )
    assert zlib.crc32(b"abcd") == 0xED82CD11


def test_a_picture_of_one_tile_pays_at_most_32_bytes() -> None:
    payload = bytes(70_000)
    pieces = [learned(payload, 1000)]
    data = container.write(width=504, height=504, level=1000, model=MODEL, pieces=pieces)
    assert len(data) - len(payload) <= 32
    pieces = [learned(b"few", 1000)]
    data = container.write(width=100, height=100, level=1000, model=MODEL, pieces=pieces)
    assert len(data) - len(b"few") == 28


def test_everything_written_is_read() -> None:
    pieces = [learned(b"first tile", 400), unlearned("AV1 margin", b"second")]
    data = a_file(gray=True, realism=128, pieces=pieces)
    header = container.read_header(data)
    assert (header.width, header.height, header.level) == (600, 400, 500)
    assert header.model == MODEL and header.gray and header.realism == 128
    assert [(p.coder, p.level, p.length) for p in header.pieces] == [(0, 400, 10), (2, 500, 6)]
    assert header.file_size == len(data)
    assert container.payload(header, data, 1) == b"second"
    assert container.chunk_data(header, data) == {b"exif": b"metadata", b"zzzz": b"from the future"}


def test_tiles_that_say_no_level_have_that_of_the_picture() -> None:
    header = container.read_header(a_file())
    assert [(p.coder, p.level) for p in header.pieces] == [(0, 500), (0, 500)]


@pytest.mark.parametrize(
    ("width", "height", "count"),
    [(1, 1, 1), (504, 568, 1), (569, 568, 2), (1072, 569, 4), (1073, 569, 6)],
)
def test_number_of_tiles(width: int, height: int, count: int) -> None:
    data = a_file(width=width, height=height, pieces=[learned(b"x")] * count)
    header = container.read_header(data)
    assert len(header.pieces) == header.rows * header.columns == count
    with pytest.raises(ValueError, match="do not make a picture"):
        a_file(width=width, height=height, pieces=[learned(b"x")] * (count + 1))


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
            for i in range(len(header.pieces)):
                container.payload(header, bytes(broken), i)
            container.chunk_data(header, bytes(broken))


def test_damage_is_placed() -> None:
    data = bytearray(a_file())
    header = container.read_header(bytes(data))
    data[header.offsets[1]] ^= 1
    assert container.payload(header, bytes(data), 0) == b"first tile"
    with pytest.raises(CorruptTile, match=r"tile 1 \(row 0, column 1\)"):
        container.payload(header, bytes(data), 1)
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
    data[4] = 3
    with pytest.raises(UnsupportedVersion, match="version 3"):
        container.read_header(bytes(data))


def test_files_of_previews_are_told_as_such() -> None:
    data = bytes.fromhex("8a504943010063ab02a40105736d616c6c01deadbeef0411cd82ed133161626364")
    with pytest.raises(UnsupportedVersion, match="version 1 was that of previews"):
        container.read_header(data)


def test_unknown_flags_are_refused() -> None:
    data = bytearray(a_file())
    data[5] |= 8
    with pytest.raises(CorruptHeader, match="flags 0xc"):
        container.read_header(resealed(data, container.read_header(a_file()).size))


def test_nothing_can_be_said_in_two_ways() -> None:
    """Neither a level that is the picture's, nor chunks that are none."""
    one = dict(width=100, height=300, level=420, model=MODEL)
    plain = container.write(**one, pieces=[learned(b"", 420)])
    size = container.read_header(plain).size
    at = size - 2 - 6
    level = plain[:at] + b"\x0c" + plain[9:11] + plain[at + 1 :]
    with pytest.raises(CorruptHeader, match="level of the picture"):
        container.read_header(resealed(bytearray(level), size + 2))
    chunks = bytearray(plain[: size - 2] + b"\0" + plain[size - 2 :])
    chunks[5] |= 4
    with pytest.raises(CorruptHeader, match="announces chunks"):
        container.read_header(resealed(chunks, size + 1))


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
    huge = bytearray(container.SIGNATURE + bytes([2, 0]) + b"\xff\xff\xff\xff\x0f" * 2 + bytes(60))
    with pytest.raises(CorruptHeader, match="sides end at"):
        container.read_header(bytes(huge), max_pixels=1 << 60)


def test_a_long_varint_form_is_refused() -> None:
    short = a_file(width=100, pieces=[learned(b"x")])
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
        {"width": 0, "pieces": []},
        {"width": (1 << 20) + 1},
        {"level": 1001},
        {"width": 1 << 20, "height": 1 << 20, "pieces": []},
        {"pieces": [learned(b""), learned(bytes(MAX_PIECE_BYTES + 1))]},
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
    tile = header.size - 2 - 2 * 9 - 1 - 2 * 6 + 1
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
    data = container.SIGNATURE + bytes([2, 0]) + b"\xff\xff\x3f" * 2 + bytes(100)
    with pytest.raises(CorruptHeader, match="4330561 tiles"):
        container.read_header(data, max_pixels=1 << 40)


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_noise_behind_the_signature_gives_typed_errors(noise: bytes) -> None:
    with pytest.raises(PicoError):
        container.read_header(container.SIGNATURE + bytes([2]) + noise)
