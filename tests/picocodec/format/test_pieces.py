"""Pieces of one tile or several, and where they lie, which the table does not say."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from picocodec.errors import CorruptHeader
from picocodec.format import container
from picocodec.format.container import ModelId
from picocodec.format.pieces import CoderId, Cover, Piece, PieceEntry, kind_of, read_kind
from picocodec.format.tiles import MARGIN, Tile, area_of, layout, tiles_along

WIDTH, HEIGHT = 504 * 9 + 70, 504 * 5 - 10  # 10 by 5 tiles


def piece(rows: int = 1, columns: int = 1, level: int = 500) -> Piece:
    return Piece(b"", CoderId.AV1, level, rows, columns)


def test_a_piece_begins_at_the_first_tile_that_is_free() -> None:
    cover = Cover(3, 3)
    assert [cover.place(2, 1), cover.place(1, 2), cover.place(2, 2)] == [0, 1, 4]
    assert not cover.is_whole
    assert cover.place(1, 1) == 6 and cover.is_whole


@pytest.mark.parametrize(
    ("before", "rows", "columns"),
    [([], 4, 1), ([], 1, 4), ([(1, 1)], 1, 3), ([(3, 1), (1, 1)], 1, 2), ([(1, 1), (3, 1)], 1, 2)],
    ids=["beyond-the-bottom", "beyond-the-right", "too-wide", "edge", "taken"],
)
def test_pieces_do_not_overlap(before: list[tuple[int, int]], rows: int, columns: int) -> None:
    cover = Cover(3, 3)
    for sides in before:
        cover.place(*sides)
    with pytest.raises(CorruptHeader, match="beyond the picture or of another piece"):
        cover.place(rows, columns)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), max_size=60))
@settings(max_examples=200)
def test_pieces_of_any_sides_cover_each_tile_once(sides: list[tuple[int, int]]) -> None:
    """Those that fit, and single tiles for what is left."""
    cover, pieces, wanted = Cover(10, 5), [], iter(sides)
    while not cover.is_whole:
        rows, columns = next(wanted, (1, 1))
        try:
            cover.place(rows, columns)
        except CorruptHeader:
            continue
        pieces.append(piece(rows, columns))
    data = container.write(
        width=WIDTH, height=HEIGHT, level=500, model=ModelId("some", 1, bytes(4)), pieces=pieces
    )
    header = container.read_header(data)
    assert [(p.rows, p.columns) for p in header.pieces] == [(p.rows, p.columns) for p in pieces]
    tiles = [tile for entry in header.pieces for tile in entry.tiles(header.columns)]
    assert sorted(tiles) == list(range(50))
    areas = [entry.area(WIDTH, HEIGHT) for entry in header.pieces]
    assert sum(area.width * area.height for area in areas) == WIDTH * HEIGHT
    for number, tile in zip(header.piece_of_tile, layout(WIDTH, HEIGHT), strict=True):
        assert tile.common(areas[number]) == tile


def test_what_a_piece_covers() -> None:
    assert area_of(WIDTH, HEIGHT, 0) == Tile(0, 0, 504, 504)
    whole = area_of(WIDTH, HEIGHT, 0, tiles_along(HEIGHT), tiles_along(WIDTH))
    assert whole == Tile(0, 0, HEIGHT, WIDTH)
    last = PieceEntry(49, CoderId.AV1, 500, 1, 1, True, 0, 0).area(WIDTH, HEIGHT)
    assert last == Tile(4 * 504, 9 * 504, HEIGHT - 4 * 504, 70).grown(MARGIN)


@pytest.mark.parametrize("kind", range(256))
def test_every_first_byte_is_read_as_it_is_written_or_refused(kind: int) -> None:
    try:
        said = read_kind(kind)
    except CorruptHeader:
        return
    level = 100 if said.has_level else 500
    again = Piece(b"", said.coder, level, said.rows, said.columns, said.margin)
    if said.coder in list(CoderId):
        assert kind_of(again, 500) == kind
    else:
        with pytest.raises(ValueError, match="cannot be written"):
            kind_of(again, 500)


@pytest.mark.parametrize(
    "wrong",
    [
        Piece(b"", CoderId.LEARNED, 500),
        Piece(b"", CoderId.LEARNED, 500, columns=2, margin=True),
        Piece(b"", CoderId.AV1, 500, rows=2, margin=True),
        Piece(b"", CoderId.LOSSLESS, 500, margin=True),
        Piece(b"", CoderId.AV1, 500, rows=5),
        Piece(b"", CoderId.AV1, 500, columns=0),
        Piece(b"", 3, 500),
    ],
)
def test_impossible_pieces_are_not_written(wrong: Piece) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        kind_of(wrong, 500)
