"""What a tile is to be in the file, and until that is settled, what else it may become."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from picocodec.coders.protocol import Candidate
from picocodec.encoding.features import Look
from picocodec.format.pieces import CoderId, Piece
from picocodec.format.tiles import Tile


@dataclass(frozen=True)
class Place:
    """A tile of a picture, what it looks like, and what its level has over the picture's, in
    thousandths, where it is taken as a photo."""

    tile: Tile
    look: Look
    offset: int


@dataclass(frozen=True)
class Av1Photo:
    """A tile as AV1: its stream, libavif's quality, and the sum of squared errors."""

    stream: bytes = field(repr=False)
    quality: int
    squared: float


@dataclass(frozen=True)
class Drawing:
    """What is to know of a tile that may be kept as a drawing: its price in bits, errors included,
    the bytes that it may take at most, whether it is surely part of a screen, and the bytes of a
    quick try without loss (None where no careful one is worth it)."""

    price: float
    most: int
    is_screen: bool = False
    quick: int | None = None


@dataclass(frozen=True)
class Coded:
    """A tile and the piece that it is to be; what the networks make of it, while that may be asked
    for; of a photo as AV1, what it is; of a drawing, until its block is settled, what may become of
    it. No piece: it is covered by that of an earlier tile."""

    piece: Piece | None
    learned: Candidate | None = field(default=None, repr=False)
    photo: Av1Photo | None = None
    drawing: Drawing | None = None

    @property
    def payload(self) -> bytes:
        """That of its piece; nothing, where it is covered by another."""
        return self.piece.payload if self.piece else b""

    @property
    def is_learned(self) -> bool:
        return self.piece is not None and self.piece.coder == CoderId.LEARNED

    @property
    def has_margin(self) -> bool:
        return self.piece is not None and self.piece.margin

    @property
    def released(self) -> Coded:
        """The same without what the networks make of it: a picture's would be as large as it."""
        return self if self.learned is None else replace(self, learned=None)


def learned_tile(candidate: Candidate, level: int, drawing: Drawing | None = None) -> Coded:
    """A tile by the networks, at a level in thousandths."""
    piece = Piece(candidate.payload, CoderId.LEARNED, level, margin=True)
    return Coded(piece, learned=candidate, drawing=drawing)


def joined(piece: Piece) -> list[Coded]:
    """The tiles of one piece."""
    return [Coded(piece), *[Coded(None)] * (piece.rows * piece.columns - 1)]
