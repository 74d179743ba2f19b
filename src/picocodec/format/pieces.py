"""What a picture is made of: pieces, each a tile or a few tiles together (docs/format.md, 3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from picocodec.errors import CorruptHeader
from picocodec.format.tiles import MARGIN, Tile, area_of

LONGEST = 4  # tiles to a side of a piece
MAX_PIECE_BYTES = 1 << 24  # dozens of times what the finest tile needs


class CoderId(IntEnum):
    """The numbers of coders in the piece table; 3 is left for one that is to come."""

    LEARNED = 0
    LOSSLESS = 1
    AV1 = 2


@dataclass(frozen=True)
class Piece:
    """A piece to be written: its payload, its coder, its level in thousandths, the rows and columns
    of tiles that it covers, 1 to 4, and whether it has a margin."""

    payload: bytes = field(repr=False)
    coder: int
    level: int
    rows: int = 1
    columns: int = 1
    margin: bool = False


@dataclass(frozen=True, slots=True)
class PieceEntry:
    """What the piece table says of a piece, beginning with the number of its first tile."""

    first: int
    coder: int
    level: int
    rows: int
    columns: int
    margin: bool
    length: int
    crc: int

    def tiles(self, across: int) -> list[int]:
        """The numbers of its tiles, of a picture that is so many tiles across."""
        rows = range(self.first, self.first + self.rows * across, across)
        return [i for start in rows for i in range(start, start + self.columns)]

    def area(self, width: int, height: int) -> Tile:
        """What its payload covers of a picture of that size in pixels: its tiles and, if it has
        one, its margin, which may lie beyond the edges."""
        area = area_of(width, height, self.first, self.rows, self.columns)
        return area.grown(MARGIN) if self.margin else area


def kind_of(piece: Piece, level: int) -> int:
    """The first byte of a piece in the table of a picture of some level; raises `ValueError` for
    a piece that no reader takes."""
    sides = range(1, LONGEST + 1)
    if piece.coder not in list(CoderId) or piece.rows not in sides or piece.columns not in sides:
        raise ValueError(f"{piece} cannot be written")
    if len(piece.payload) > MAX_PIECE_BYTES:
        raise ValueError(f"a piece of {len(piece.payload)} bytes cannot be written")
    kind = (
        piece.coder
        | piece.margin << 2
        | (piece.level != level) << 3
        | piece.rows - 1 << 4
        | piece.columns - 1 << 6
    )
    try:
        _check(kind)
    except CorruptHeader as error:
        raise ValueError(f"{piece} cannot be written: {error}") from None
    return kind


@dataclass(frozen=True, slots=True)
class Kind:
    """What the first byte of a piece in the table says."""

    coder: int
    margin: bool
    has_level: bool
    rows: int
    columns: int


def read_kind(kind: int) -> Kind:
    """The parts of the first byte of a piece; raises `CorruptHeader` for what is no piece."""
    _check(kind)
    return Kind(
        kind & 3, bool(kind >> 2 & 1), bool(kind >> 3 & 1), (kind >> 4 & 3) + 1, (kind >> 6) + 1
    )


def _check(kind: int) -> None:
    coder, margin, extent = kind & 3, kind >> 2 & 1, kind >> 4
    if margin and extent:
        raise CorruptHeader("header gives a piece with a margin more than one tile")
    if margin != 1 and coder == CoderId.LEARNED:
        raise CorruptHeader("header gives a learned piece no margin")
    if margin and coder == CoderId.LOSSLESS:
        raise CorruptHeader("header gives a lossless piece a margin")


class Cover:
    """The tiles of a picture, as pieces come to cover them: each begins at the first tile, row by
    row, that none before it covers, so that where it lies need not be said."""

    def __init__(self, across: int, down: int) -> None:
        self._across, self._down = across, down
        self._covered = bytearray(across * down)
        self._next = 0

    @property
    def is_whole(self) -> bool:
        """Whether every tile is covered."""
        return self._next == len(self._covered)

    def place(self, rows: int, columns: int) -> int:
        """The number of the first tile of a piece; raises `CorruptHeader` for one that does not fit
        there."""
        first = self._next
        row, column = divmod(first, self._across)
        starts = range(first, first + rows * self._across, self._across)
        if (
            self.is_whole
            or row + rows > self._down
            or column + columns > self._across
            or any(any(self._covered[start : start + columns]) for start in starts)
        ):
            raise CorruptHeader("header gives a piece tiles beyond the picture or of another piece")
        for start in starts:
            self._covered[start : start + columns] = b"\1" * columns
        self._next = self._covered.find(0, first)
        if self._next < 0:
            self._next = len(self._covered)
        return first


def covers(pieces: Iterable[Piece], across: int, down: int) -> bool:
    """Whether pieces make a picture of so many tiles."""
    cover = Cover(across, down)
    try:
        for piece in pieces:
            cover.place(piece.rows, piece.columns)
    except CorruptHeader:
        return False
    return cover.is_whole
