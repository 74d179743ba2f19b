"""Whole pictures without loss: every piece as WebP codes it, no networks."""

from __future__ import annotations

from PIL import features

from picocodec.coders.lossless import encode_lossless
from picocodec.errors import UnsupportedImage
from picocodec.format import container, tiles
from picocodec.format.pieces import CoderId, Piece
from picocodec.format.tiles import tiles_along
from picocodec.images.canvas import part
from picocodec.images.metadata import chunks_of
from picocodec.images.picture import Picture
from picocodec.model.store import DEFAULT_MODEL, load_model
from picocodec.pipeline import Progress, in_order, share

# Tiles to a side of a piece: larger ones save hardly a byte, and a part of the picture needs whole
# pieces.
_SIDE = 2


def encode_exactly(picture: Picture, threads: int = 0, progress: Progress | None = None) -> bytes:
    """A .pico file that decodes to the same pixels; `progress` is told (pieces done, pieces in
    all). Raises `UnsupportedImage` for what no file can hold, or where Pillow has no WebP."""
    if not features.check("webp"):
        raise UnsupportedImage("files without loss need a Pillow that was built with WebP")
    height, width = picture.rgb.shape[:2]
    across, down = tiles_along(width), tiles_along(height)
    places = [(row, column) for row in range(0, down, _SIDE) for column in range(0, across, _SIDE)]

    def code(place: tuple[int, int]) -> Piece:
        row, column = place
        rows, columns = min(_SIDE, down - row), min(_SIDE, across - column)
        area = tiles.area_of(width, height, row * across + column, rows, columns)
        payload = encode_lossless(part(picture.rgb, area))
        return Piece(payload, CoderId.LOSSLESS, container.LEVEL_STEPS, rows, columns)

    pieces = []
    for piece in in_order(code, places, share(threads, len(places))[0]):
        pieces.append(piece)
        if progress:
            progress(len(pieces), len(places))
    return container.write(
        width=width,
        height=height,
        level=container.LEVEL_STEPS,
        # Every file names a model; none is needed to decode this one.
        model=load_model(DEFAULT_MODEL).identity,
        pieces=pieces,
        chunks=chunks_of(picture),
        gray=picture.gray,
    )
