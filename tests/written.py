"""Pieces of files, for tests: what each tile is kept as, and files that no encoder would write."""

from __future__ import annotations

from picocodec.format import container
from picocodec.format.pieces import CoderId, Piece

NAMES = {CoderId.LEARNED: "learned", CoderId.LOSSLESS: "lossless", CoderId.AV1: "AV1"}


def kinds(data: bytes) -> list[str]:
    """What each tile of a file is kept as: learned, lossless, AV1, AV1 margin (with its margin), or
    one of a block, where it is not the only one of its piece."""
    header = container.read_header(data)
    found = []
    for number in header.piece_of_tile:
        piece = header.pieces[number]
        name = NAMES[CoderId(piece.coder)]
        if piece.margin and piece.coder == CoderId.AV1:
            name += " margin"
        found.append(f"{name} block" if piece.rows * piece.columns > 1 else name)
    return found


def payloads(data: bytes) -> list[bytes]:
    """The payloads of a file's pieces."""
    header = container.read_header(data)
    return [container.payload(header, data, i) for i in range(len(header.pieces))]


def learned(payload: bytes, level: int = 500) -> Piece:
    """A learned tile."""
    return Piece(payload, CoderId.LEARNED, level, margin=True)


def unlearned(kind: str, payload: bytes, level: int = 500, columns: int = 1) -> Piece:
    """A tile, or so many side by side, of another kind, as `kinds` calls it."""
    name = kind.removesuffix(" block")
    coder = CoderId.LOSSLESS if name == "lossless" else CoderId.AV1
    return Piece(payload, coder, level, columns=columns, margin=name == "AV1 margin")
