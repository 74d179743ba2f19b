"""Bytes to structure and back: docs/format.md, sections 2 to 4. Knows nothing of pixels.

    signature  version  flags  width-1  height-1  level  model  [realism]
    tile table  [chunk table]  header CRC-16  tile data ...  chunk data ...

Everything up to the CRC-16 is the header; the tables in it give the length and CRC-32 of each
piece of data behind it, so that any tile can be reached, checked or passed over by itself.
"""

from __future__ import annotations

import binascii
import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from mmap import mmap

from picocodec.errors import (
    CorruptChunk,
    CorruptHeader,
    CorruptTile,
    LimitExceeded,
    NotAPicoFile,
    PicoError,
    Truncated,
    UnsupportedVersion,
    tolerate,
)
from picocodec.format.tiles import tiles_along

SIGNATURE = b"\x8aPIC"
VERSION = 1
LEVEL_STEPS = 1000  # levels are stored as whole thousandths
MAX_SIDE = 1 << 20
MAX_PIXELS = 1 << 28  # default limit when reading: 268 megapixels
MAX_TILES = 1 << 16  # some 16 gigapixels
MAX_TILE_BYTES = 1 << 24  # dozens of times what the finest tile needs
MAX_CHUNKS = 64
MAX_CHUNK_BYTES = 1 << 26

_HAS_TILE_MODES, _HAS_REALISM, _HAS_CHUNKS, _IS_GRAY, _IS_FADED = 1, 2, 4, 8, 16
_KNOWN_FLAGS = 31
_NAME = re.compile(rb"[a-z][a-z0-9-]{0,15}")
_KIND = re.compile(rb"[A-Za-z][A-Za-z ]{3}")

# Modes of tiles (section 3 of the format). 1 and 2 are 3 and 4 in a WebP file: read, not written.
MODES = range(8)
(
    MODE_LEARNED,
    MODE_WEBP,
    MODE_WEBP_BLOCK,
    MODE_LOSSLESS,
    MODE_BLOCK,
    MODE_AV1,
    MODE_AV1_BLOCK,
    MODE_AV1_PHOTO,
) = MODES
JOINED = (MODE_WEBP_BLOCK, MODE_BLOCK, MODE_AV1_BLOCK)
WEBP_FILES = (MODE_WEBP, MODE_WEBP_BLOCK)
AV1_STREAMS = (MODE_AV1, MODE_AV1_BLOCK, MODE_AV1_PHOTO)
WITH_MARGIN = (MODE_LEARNED, MODE_AV1_PHOTO)  # tiles that can fade into each other


@dataclass(frozen=True)
class ModelId:
    """The model a file needs: `name.vN`, and the first four bytes of its SHA-256."""

    name: str
    version: int
    check: bytes

    def __post_init__(self) -> None:
        is_name = _NAME.fullmatch(self.name.encode())
        if not is_name or not 0 <= self.version <= 255 or len(self.check) != 4:
            raise ValueError(f"{self} cannot be the name of a model")

    def __str__(self) -> str:
        return f"{self.name}.v{self.version}"


@dataclass(frozen=True, slots=True)
class TileEntry:
    """What the tile table says of one tile; `level` in thousandths."""

    length: int
    crc: int
    mode: int = MODE_LEARNED
    level: int = 0


@dataclass(frozen=True)
class ChunkEntry:
    """A chunk's type (four ASCII letters or spaces; a capital first letter: must be
    understood), length and CRC-32."""

    kind: bytes
    length: int
    crc: int


@dataclass(frozen=True)
class Header:
    width: int
    height: int
    level: int  # thousandths
    model: ModelId
    gray: bool = False
    faded: bool = False  # whether tiles fade into each other where they meet
    realism: int | None = None  # 0..255 for 0..1: the default that the file recommends
    tiles: tuple[TileEntry, ...] = field(default=(), repr=False)
    chunks: tuple[ChunkEntry, ...] = ()
    size: int = 0  # bytes up to the first tile's data

    @property
    def columns(self) -> int:
        return tiles_along(self.width)

    @property
    def rows(self) -> int:
        return tiles_along(self.height)

    @property
    def file_size(self) -> int:
        return self.size + sum(t.length for t in self.tiles) + sum(c.length for c in self.chunks)

    def tile_offset(self, index: int) -> int:
        return self.size + sum(t.length for t in self.tiles[:index])


def write(
    *,
    width: int,
    height: int,
    level: int,
    model: ModelId,
    tiles: Sequence[bytes],
    chunks: Sequence[tuple[bytes, bytes]] = (),
    tile_modes: Sequence[tuple[int, int]] | None = None,
    gray: bool = False,
    faded: bool = False,
    realism: int | None = None,
) -> bytes:
    """A whole file from its parts; `tile_modes` gives `(mode, level)` of each tile where they
    differ from the learned mode at the picture's level. Raises `ValueError` on impossible parts."""
    name = model.name.encode("ascii")
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE) or len(tiles) > MAX_TILES:
        raise ValueError(f"a picture of {width}x{height} pixels cannot be written")
    if not 0 <= level <= LEVEL_STEPS:
        raise ValueError(f"level {level} is not in 0..{LEVEL_STEPS}")
    if len(tiles) != tiles_along(width) * tiles_along(height):
        raise ValueError(f"{len(tiles)} tiles do not make a picture of {width}x{height} pixels")
    if any(len(data) > MAX_TILE_BYTES for data in tiles):
        raise ValueError(f"a tile of more than {MAX_TILE_BYTES} bytes cannot be written")
    for kind, data in chunks:
        if not _KIND.fullmatch(kind) or len(data) > MAX_CHUNK_BYTES or len(chunks) > MAX_CHUNKS:
            raise ValueError(f"a chunk {kind!r} of {len(data)} bytes cannot be written")
    flags = (
        (_HAS_TILE_MODES if tile_modes is not None else 0)
        | (_HAS_REALISM if realism is not None else 0)
        | (_HAS_CHUNKS if chunks else 0)
        | (_IS_GRAY if gray else 0)
        | (_IS_FADED if faded else 0)
    )
    out = bytearray(SIGNATURE)
    out += bytes([VERSION, flags]) + _varint(width - 1) + _varint(height - 1)
    out += struct.pack("<H", level)
    out += bytes([len(name)]) + name + bytes([model.version]) + model.check
    if realism is not None:
        out.append(realism)
    for i, data in enumerate(tiles):
        if tile_modes is not None:
            out += struct.pack("<BH", *tile_modes[i])
        out += _varint(len(data)) + struct.pack("<I", zlib.crc32(data))
    if chunks:
        out += _varint(len(chunks))
        for kind, data in chunks:
            out += kind + _varint(len(data)) + struct.pack("<I", zlib.crc32(data))
    out += struct.pack("<H", binascii.crc_hqx(out, 0xFFFF))
    return bytes(out) + b"".join(tiles) + b"".join(data for _, data in chunks)


def read_header(data: bytes | mmap, max_pixels: int = MAX_PIXELS) -> Header:
    """The header of a file, checked; `data` may end anywhere after it.

    Raises `NotAPicoFile`, `UnsupportedVersion`, `Truncated`, `CorruptHeader`, and
    `LimitExceeded` for pictures of more than `max_pixels`.
    """
    if data[:4] != SIGNATURE[: len(data[:4])] or not data:
        raise NotAPicoFile("not a .pico file: it does not begin with the signature of one")
    cursor = _Cursor(data, 4)
    version = cursor.byte()
    if version != VERSION:
        raise UnsupportedVersion(
            f"format version {version} is unknown to this software, which reads {VERSION}; "
            "the file is damaged or needs a newer picocodec"
        )
    flags = cursor.byte()
    if flags & ~_KNOWN_FLAGS:
        raise CorruptHeader(f"header flags {flags:#04x} have bits that version 1 does not define")
    width, height = cursor.varint() + 1, cursor.varint() + 1
    if max(width, height) > MAX_SIDE:
        raise CorruptHeader(f"header gives {width}x{height} pixels; sides end at {MAX_SIDE}")
    if width * height > max_pixels:
        raise LimitExceeded(
            f"the picture has {width}x{height} pixels, more than the limit of {max_pixels}; "
            "raise the limit if you trust the file"
        )
    count = tiles_along(width) * tiles_along(height)
    if count > MAX_TILES:
        raise CorruptHeader(f"header gives {count} tiles; a file has at most {MAX_TILES}")
    level = cursor.u16()
    name = cursor.take(cursor.byte())
    model_version, check = cursor.byte(), cursor.take(4)
    realism = cursor.byte() if flags & _HAS_REALISM else None
    tiles = []
    for _ in range(count):
        mode, tile_level = MODE_LEARNED, level
        if flags & _HAS_TILE_MODES:
            mode, tile_level = cursor.byte(), cursor.u16()
        tiles.append(TileEntry(cursor.varint(), cursor.u32(), mode, tile_level))
    chunks = []
    if flags & _HAS_CHUNKS:
        count = cursor.varint()
        if count > MAX_CHUNKS:
            raise CorruptHeader(f"header announces {count} chunks; a file has at most {MAX_CHUNKS}")
        for _ in range(count):
            chunks.append(ChunkEntry(cursor.take(4), cursor.varint(), cursor.u32()))
    end = cursor.at
    if cursor.u16() != binascii.crc_hqx(data[:end], 0xFFFF):
        raise CorruptHeader("the header does not match its checksum: the file is damaged")
    if not _NAME.fullmatch(name):
        raise CorruptHeader(f"header names a model {name!r}, which is no name")
    if max(level, *(t.level for t in tiles)) > LEVEL_STEPS:
        raise CorruptHeader(f"header gives a level above {LEVEL_STEPS}")
    if any(t.length > MAX_TILE_BYTES for t in tiles):
        raise CorruptHeader(f"header gives a tile more than {MAX_TILE_BYTES} bytes")
    for chunk in chunks:
        if not _KIND.fullmatch(chunk.kind):
            raise CorruptHeader(f"header gives a chunk the type {chunk.kind!r}, which is none")
        if chunk.length > MAX_CHUNK_BYTES:
            raise CorruptHeader(f"chunk {chunk.kind!r} has {chunk.length} bytes, over the limit")
        if chunk.kind[:1].isupper():
            raise UnsupportedVersion(
                f"the file has a chunk {chunk.kind!r} that must be understood, and is not: "
                "it needs a newer picocodec"
            )
    return Header(
        width=width,
        height=height,
        level=level,
        model=ModelId(name.decode("ascii"), model_version, bytes(check)),
        gray=bool(flags & _IS_GRAY),
        faded=bool(flags & _IS_FADED),
        realism=realism,
        tiles=tuple(tiles),
        chunks=tuple(chunks),
        size=cursor.at,
    )


def check_size(header: Header, size: int) -> None:
    """Raise unless a file of `size` bytes is neither shorter nor longer than its header says."""
    if size < header.file_size:
        raise Truncated(f"the file ends after {size} of {header.file_size} bytes")
    if size > header.file_size:
        raise CorruptHeader(f"{size - header.file_size} bytes follow the end of the picture")


def tile_data(header: Header, data: bytes | mmap, index: int, offset: int) -> bytes:
    """The data of one tile, which begins at `offset`; raises `Truncated` or `CorruptTile`."""
    entry = header.tiles[index]
    piece = data[offset : offset + entry.length]
    row, column = divmod(index, header.columns)
    where = f"tile {index} (row {row}, column {column})"
    if len(piece) < entry.length:
        raise Truncated(f"the file ends within {where}")
    if zlib.crc32(piece) != entry.crc:
        raise CorruptTile(f"{where} does not match its checksum: the file is damaged")
    return piece


def chunk_data(
    header: Header, data: bytes | mmap, damage: list[PicoError] | None = None
) -> dict[bytes, bytes]:
    """The data of every chunk by type; raises `Truncated` or `CorruptChunk`, or notes that in
    `damage` and leaves the chunk out."""
    found: dict[bytes, bytes] = {}
    offset = header.tile_offset(len(header.tiles))
    for chunk in header.chunks:
        piece = data[offset : offset + chunk.length]
        offset += chunk.length
        name = chunk.kind.decode("ascii", "replace").strip()
        with tolerate(damage):
            if len(piece) < chunk.length:
                raise Truncated(f"the file ends within its {name} chunk")
            if zlib.crc32(piece) != chunk.crc:
                raise CorruptChunk(f"the {name} chunk does not match its checksum")
            if chunk.kind in found:
                raise CorruptChunk(f"the {name} chunk appears twice")
            found[chunk.kind] = piece
    return found


class _Cursor:
    def __init__(self, data: bytes | mmap, at: int) -> None:
        self.data, self.at = data, at

    def take(self, count: int) -> bytes:
        piece = self.data[self.at : self.at + count]
        if len(piece) < count:
            raise Truncated("the file ends within its header")
        self.at += count
        return piece

    def byte(self) -> int:
        return self.take(1)[0]

    def u16(self) -> int:
        return int.from_bytes(self.take(2), "little")

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def varint(self) -> int:
        """Groups of seven bits, lowest first, at most five; the shortest form only."""
        value = 0
        for shift in range(0, 35, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte == 0 and shift:
                    raise CorruptHeader("header holds a number that is not in its shortest form")
                return value
        raise CorruptHeader("header holds a number of more than 35 bits")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
