"""File to picture: bytes -> symbols -> pixels, tile by tile."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from picocodec.codec import tiles
from picocodec.codec.concealment import conceal
from picocodec.codec.metadata import read_alpha, read_metadata
from picocodec.codec.networks import Model, load_model_for
from picocodec.codec.tiles import Tile
from picocodec.errors import CorruptTile, PicoError, UnsupportedVersion, tolerate
from picocodec.format import container
from picocodec.image import Picture

Ints = NDArray[np.int32]


def decode_picture(
    data: bytes,
    max_pixels: int = container.MAX_PIXELS,
    threads: int = 0,
    progress: Callable[[int, int], None] | None = None,
    realism: float | None = None,
    damage: list[PicoError] | None = None,
) -> Picture:
    """The picture in a .pico file; raises a `PicoError` for anything that is not one.

    `realism` None is what the file recommends, or else the model's default. Every checksum is
    verified before the first network runs. With a list as `damage`, errors behind the header
    are appended to it instead: tiles are concealed, alpha and metadata left out.
    """
    header = container.read_header(data, max_pixels)
    with tolerate(damage):
        container.check_size(header, len(data))
    metadata = read_metadata(header, data, damage)
    alpha = None
    if metadata.alpha is not None:
        with tolerate(damage):
            alpha = read_alpha(header, metadata.alpha)
    payloads: dict[int, bytes] = {}  # by tile
    offset = header.size
    for i, entry in enumerate(header.tiles):
        with tolerate(damage, tile=i):
            if entry.mode != container.MODE_LEARNED:
                raise UnsupportedVersion(f"tile {i} has coding mode {entry.mode}, unknown here")
            payloads[i] = container.tile_data(header, data, i, offset)
        offset += entry.length
    model = load_model_for(header.model, threads)
    if realism is None:
        realism = model.realism if header.realism is None else header.realism / 255
    rgb = np.empty((header.height, header.width, 3), np.uint8)
    layout = tiles.layout(header.width, header.height)
    for i, tile in enumerate(layout):
        if i in payloads:
            level = header.tiles[i].level
            with tolerate(damage, tile=i):
                try:
                    z, symbols = decode_symbols(model, payloads.pop(i), tile, level)
                except CorruptTile as error:
                    raise CorruptTile(f"tile {i}: {error}") from None
                tiles.paste(rgb, tile, model.synthesise(symbols, z, level, realism))
        if progress:
            progress(i + 1, len(layout))
    if damage:
        conceal(rgb, layout, header.columns, [e.tile for e in damage if e.tile is not None])
    if header.gray:
        luma = rgb.mean(2, dtype=np.float32).round().astype(np.uint8)
        rgb[:] = luma[:, :, None]
    return Picture(rgb, alpha, header.gray, metadata.icc, metadata.exif, metadata.xmp)


def decode_symbols(model: Model, payload: bytes, tile: Tile, level: int) -> tuple[Ints, Ints]:
    """z `[Nz, h, w]` and the symbols of y `[M, 4 h, 4 w]`: integers from bytes, exactly.

    Raises `CorruptTile` for data that no encoder writes.
    """
    reader = model.coder.reader(payload)
    z = reader.read(model.z_indices(level, tile.z_shape))
    symbols = reader.read(model.y_indices_of_tile(tile, z, level))
    reader.finish()
    return z, symbols
