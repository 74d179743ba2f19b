"""Bytes to structure and back: docs/format.md, sections 2 and 3. Knows nothing of pixels.

    signature  version  flags  width-1  height-1  level  model  [realism]
    piece table  [chunk table]  header CRC-16  payloads ...  chunk data ...

Everything up to the CRC-16 is the header; the tables in it give the length and CRC-32 of each
piece of data behind it, so that any piece can be reached, checked or passed over by itself.
"""

from __future__ import annotations

import binascii
import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
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
from picocodec.format.numbers import Cursor, varint
from picocodec.format.pieces import (
    MAX_PIECE_BYTES,
    CoderId,
    Cover,
    Piece,
    PieceEntry,
    covers,
    kind_of,
    read_kind,
)
from picocodec.format.tiles import tiles_along

SIGNATURE = b"\x8aPIC"
VERSION = 2
LEVEL_STEPS = 1000  # levels are stored as whole thousandths
MAX_SIDE = 1 << 20
MAX_PIXELS = 1 << 28  # default limit when reading: 268 megapixels
MAX_TILES = 1 << 16  # some 16 gigapixels
MAX_CHUNKS = 64
MAX_CHUNK_BYTES = 1 << 26

# The flags share their byte with the length of the model's name, less one, in its upper half.
_IS_GRAY, _HAS_REALISM, _HAS_CHUNKS = 1, 2, 4
_KNOWN_FLAGS = 7
_NAME = re.compile(rb"[a-z][a-z0-9-]{0,15}")
_KIND = re.compile(rb"[A-Za-z][A-Za-z ]{3}")
_PREVIEWS = 1  # the version of files that only previews of this software wrote


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
    realism: int | None = None  # 0..255 for 0..1: the default that the file recommends
    pieces: tuple[PieceEntry, ...] = field(default=(), repr=False)
    chunks: tuple[ChunkEntry, ...] = ()
    size: int = 0  # bytes up to the first payload

    @property
    def columns(self) -> int:
        """Of tiles."""
        return tiles_along(self.width)

    @property
    def rows(self) -> int:
        """Of tiles."""
        return tiles_along(self.height)

    @property
    def file_size(self) -> int:
        """Bytes of the whole file that the tables describe."""
        return self.offsets[-1] + sum(chunk.length for chunk in self.chunks)

    @cached_property
    def offsets(self) -> list[int]:
        """Where each piece's payload begins in the file, and in the end where the last one ends."""
        return list(accumulate((piece.length for piece in self.pieces), initial=self.size))

    @cached_property
    def piece_of_tile(self) -> list[int]:
        """The number of the piece that covers each tile."""
        found = [0] * (self.columns * self.rows)
        for number, piece in enumerate(self.pieces):
            for tile in piece.tiles(self.columns):
                found[tile] = number
        return found

    @property
    def learned_tiles(self) -> int:
        """How many tiles are from the networks."""
        return sum(piece.coder == CoderId.LEARNED for piece in self.pieces)


def write(
    *,
    width: int,
    height: int,
    level: int,
    model: ModelId,
    pieces: Sequence[Piece],
    chunks: Sequence[tuple[bytes, bytes]] = (),
    gray: bool = False,
    realism: int | None = None,
) -> bytes:
    """A whole file from its parts, the pieces in the order of their first tiles. Raises
    `ValueError` on impossible parts."""
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise ValueError(f"a picture of {width}x{height} pixels cannot be written")
    across, down = tiles_along(width), tiles_along(height)
    if across * down > MAX_TILES:
        raise ValueError(f"a picture of {width}x{height} pixels cannot be written")
    for given in (level, *(piece.level for piece in pieces)):
        if not 0 <= given <= LEVEL_STEPS:
            raise ValueError(f"level {given} is not in 0..{LEVEL_STEPS}")
    if not covers(pieces, across, down):
        raise ValueError(f"{len(pieces)} pieces do not make a picture of {width}x{height} pixels")
    for kind, data in chunks:
        if not _KIND.fullmatch(kind) or len(data) > MAX_CHUNK_BYTES or len(chunks) > MAX_CHUNKS:
            raise ValueError(f"a chunk {kind!r} of {len(data)} bytes cannot be written")
    out = bytearray(SIGNATURE)
    flags = gray * _IS_GRAY | (realism is not None) * _HAS_REALISM | bool(chunks) * _HAS_CHUNKS
    name = model.name.encode("ascii")
    out += bytes([VERSION, flags | len(name) - 1 << 4]) + varint(width - 1) + varint(height - 1)
    out += struct.pack("<H", level) + name + bytes([model.version]) + model.check
    if realism is not None:
        out.append(realism)
    for piece in pieces:
        out.append(kind_of(piece, level))
        if piece.level != level:
            out += struct.pack("<H", piece.level)
        out += varint(len(piece.payload)) + struct.pack("<I", zlib.crc32(piece.payload))
    if chunks:
        out += varint(len(chunks))
        for kind, data in chunks:
            out += kind + varint(len(data)) + struct.pack("<I", zlib.crc32(data))
    out += struct.pack("<H", binascii.crc_hqx(out, 0xFFFF))
    payloads = b"".join(piece.payload for piece in pieces)
    return bytes(out) + payloads + b"".join(data for _, data in chunks)


def read_header(data: bytes | mmap, max_pixels: int = MAX_PIXELS) -> Header:
    """The header of a file, checked; `data` may end anywhere after it.

    Raises `NotAPicoFile`, `UnsupportedVersion`, `Truncated`, `CorruptHeader`, and
    `LimitExceeded` for pictures of more than `max_pixels`.
    """
    if data[:4] != SIGNATURE[: len(data[:4])] or not data:
        raise NotAPicoFile("not a .pico file: it does not begin with the signature of one")
    cursor = Cursor(data, 4)
    _check_version(cursor.byte())
    flags = cursor.byte()
    name_length = (flags >> 4) + 1
    width, height = cursor.varint() + 1, cursor.varint() + 1
    _check_sides(width, height, max_pixels)
    level = cursor.u16()
    name = cursor.take(name_length)
    model_version, check = cursor.byte(), cursor.take(4)
    realism = cursor.byte() if flags & _HAS_REALISM else None
    pieces = _read_pieces(cursor, width, height, level)
    chunks = _read_chunks(cursor) if flags & _HAS_CHUNKS else ()
    end = cursor.at
    if cursor.u16() != binascii.crc_hqx(data[:end], 0xFFFF):
        raise CorruptHeader("the header does not match its checksum: the file is damaged")
    if flags & 15 & ~_KNOWN_FLAGS:
        raise CorruptHeader(f"header flags {flags & 15:#x} have bits that are not defined")
    if not _NAME.fullmatch(name):
        raise CorruptHeader(f"header names a model {name!r}, which is no name")
    _check_pieces(pieces, level)
    _check_chunks(chunks, bool(flags & _HAS_CHUNKS))
    return Header(
        width=width,
        height=height,
        level=level,
        model=ModelId(name.decode("ascii"), model_version, bytes(check)),
        gray=bool(flags & _IS_GRAY),
        realism=realism,
        pieces=pieces,
        chunks=chunks,
        size=cursor.at,
    )


def _check_version(version: int) -> None:
    if version == _PREVIEWS:
        raise UnsupportedVersion(
            "format version 1 was that of previews, which no picocodec reads any more: "
            "make the file again from its picture"
        )
    if version != VERSION:
        raise UnsupportedVersion(
            f"format version {version} is unknown to this software, which reads {VERSION}; "
            "the file is damaged or needs a newer picocodec"
        )


def _check_sides(width: int, height: int, max_pixels: int) -> None:
    if max(width, height) > MAX_SIDE:
        raise CorruptHeader(f"header gives {width}x{height} pixels; sides end at {MAX_SIDE}")
    if width * height > max_pixels:
        raise LimitExceeded(
            f"the picture has {width}x{height} pixels, more than the limit of {max_pixels}: "
            "raise the limit (--max-pixels or max_pixels) if you trust the file"
        )
    count = tiles_along(width) * tiles_along(height)
    if count > MAX_TILES:
        raise CorruptHeader(f"header gives {count} tiles; a file has at most {MAX_TILES}")


def _read_pieces(cursor: Cursor, width: int, height: int, level: int) -> tuple[PieceEntry, ...]:
    """The piece table, up to the piece that covers the last tile."""
    cover = Cover(tiles_along(width), tiles_along(height))
    pieces = []
    while not cover.is_whole:
        kind = read_kind(cursor.byte())
        own = cursor.u16() if kind.has_level else level
        if kind.has_level and own == level:
            raise CorruptHeader("header gives a piece the level of the picture, which needs none")
        length, crc = cursor.varint(), cursor.u32()
        first = cover.place(kind.rows, kind.columns)
        pieces.append(
            PieceEntry(first, kind.coder, own, kind.rows, kind.columns, kind.margin, length, crc)
        )
    return tuple(pieces)


def _check_pieces(pieces: Sequence[PieceEntry], level: int) -> None:
    if max(level, *(piece.level for piece in pieces)) > LEVEL_STEPS:
        raise CorruptHeader(f"header gives a level above {LEVEL_STEPS}")
    if any(piece.length > MAX_PIECE_BYTES for piece in pieces):
        raise CorruptHeader(f"header gives a piece more than {MAX_PIECE_BYTES} bytes")


def _read_chunks(cursor: Cursor) -> tuple[ChunkEntry, ...]:
    count = cursor.varint()
    if count > MAX_CHUNKS:
        raise CorruptHeader(f"header announces {count} chunks; a file has at most {MAX_CHUNKS}")
    return tuple(ChunkEntry(cursor.take(4), cursor.varint(), cursor.u32()) for _ in range(count))


def _check_chunks(chunks: Sequence[ChunkEntry], announced: bool) -> None:
    if announced and not chunks:
        raise CorruptHeader("header announces chunks, and has none")
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


def check_size(header: Header, size: int) -> None:
    """Raise unless a file of `size` bytes is neither shorter nor longer than its header says."""
    if size < header.file_size:
        raise Truncated(f"the file ends after {size} of {header.file_size} bytes")
    if size > header.file_size:
        raise CorruptHeader(f"{size - header.file_size} bytes follow the end of the picture")


def payload(header: Header, data: bytes | mmap, number: int) -> bytes:
    """The payload of a piece by its number; raises `Truncated` or `CorruptTile`."""
    entry, start = header.pieces[number], header.offsets[number]
    found = data[start : start + entry.length]
    row, column = divmod(entry.first, header.columns)
    where = f"tile {entry.first} (row {row}, column {column})"
    if len(found) < entry.length:
        raise Truncated(f"the file ends within {where}")
    if zlib.crc32(found) != entry.crc:
        raise CorruptTile(f"{where} does not match its checksum: the file is damaged")
    return found


def chunk_data(
    header: Header, data: bytes | mmap, damage: list[PicoError] | None = None
) -> dict[bytes, bytes]:
    """The data of every chunk by type; raises `Truncated` or `CorruptChunk`, or notes that in
    `damage` and leaves the chunk out."""
    found: dict[bytes, bytes] = {}
    offset = header.offsets[-1]
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
