"""Picture to file: pixels -> y, z -> symbols -> bytes, tile by tile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from picocodec.coders import av1
from picocodec.coders.learned import decode_tile, encode_tile
from picocodec.encoding.allocation import level_offsets
from picocodec.encoding.drawings import CodedTile, Drawings
from picocodec.encoding.features import Look, look_at
from picocodec.encoding.judge import is_worth_a_try
from picocodec.encoding.photos import Av1Photo, encode_av1_page, encode_av1_photo
from picocodec.encoding.rate import fill
from picocodec.errors import TargetTooSmall
from picocodec.format import container, tiles
from picocodec.format.tiles import BLOCK, Tile, tiles_along
from picocodec.images.canvas import part, with_margin
from picocodec.images.metadata import chunks_of
from picocodec.images.picture import Picture, Pixels
from picocodec.model.model import Model
from picocodec.model.store import DEFAULT_MODEL, load_model
from picocodec.pipeline import in_order, share

Progress = Callable[[int, int], None]

# AV1 knows 64 qualities. Where fewer tiles than this would share its steps, a file that must fill a
# size has it for letters only.
LEAST_TILES_TO_FILL = 9


def encode_picture(
    picture: Picture,
    level: int,
    model: str = DEFAULT_MODEL,
    threads: int = 0,
    progress: Progress | None = None,
) -> bytes:
    """A whole .pico file; `level` in thousandths, `progress` is told (tiles done, tiles in all)."""
    return _encoder(picture, model, threads, progress)(level)


def encode_to_size(
    picture: Picture,
    size: int,
    model: str = DEFAULT_MODEL,
    threads: int = 0,
    progress: Progress | None = None,
) -> bytes:
    """A .pico file of at most `size` bytes, and as near to it as `rate.fill` finds; raises
    `TargetTooSmall`."""
    height, width = picture.rgb.shape[:2]
    beside = sum(len(data) for _, data in chunks_of(picture))
    words = f"{beside} bytes of metadata and alpha: leave them out (--strip), or raise the target"
    if beside >= size:
        raise TargetTooSmall(f"the target is {size} bytes, fewer than the picture's {words}")
    encode = _encoder(picture, model, threads, progress, filling=True)
    try:
        return fill(encode, size, width * height)
    except TargetTooSmall as error:
        if not beside:
            raise
        raise TargetTooSmall(f"{error}; among them are {words}") from None


def _encoder(
    picture: Picture,
    model: str,
    threads: int,
    progress: Progress | None,
    filling: bool = False,
) -> Callable[[int], bytes]:
    """What makes a picture's file from a level; `filling` asks for sizes in fine steps."""
    height, width = picture.rgb.shape[:2]
    layout = tiles.layout(width, height)
    letters_only = filling and len(layout) < LEAST_TILES_TO_FILL
    columns, rows = tiles_along(width), tiles_along(height)
    row_of_blocks = columns * BLOCK
    is_one_block = 1 < len(layout) and max(columns, rows) <= BLOCK
    workers, threads_of_each = share(threads, len(layout))
    networks = load_model(model, threads_of_each)
    if workers * threads_of_each > 1:
        networks.prepare("context")
    chunks = chunks_of(picture)
    looks = list(in_order(lambda tile: look_at(part(picture.rgb, tile)), layout, workers))
    places = list(zip(layout, looks, level_offsets(looks), strict=True))

    def encode(level: int) -> bytes:
        coded: list[CodedTile] = []
        drawings = Drawings(picture.rgb, level, networks.slope(level), workers, threads_of_each)

        def task(place: tuple[Tile, Look, int]) -> CodedTile:
            tile, look, offset = place
            if look.drawn:
                learned = encode_tile(networks, picture.rgb, tile, level)
                decode = partial(decode_tile, networks, tile, level)
                if drawing := drawings.alone(tile, learned, decode):
                    return drawing
            return best_photo(tile, look, _photo(networks, picture.rgb, tile, level + offset))

        def best_photo(tile: Tile, look: Look, photo: CodedTile) -> CodedTile:
            bits = 8 * len(photo.data) / (tile.width * tile.height)
            worth = look.lettered or (
                not letters_only and is_worth_a_try(look.plainness, bits, photo.level)
            )
            return tried_as_av1(tile, look, photo) if worth else photo

        def tried_as_av1(
            tile: Tile, look: Look, photo: CodedTile, is_among_last: bool = False
        ) -> CodedTile:
            if not av1.is_available():
                return photo
            better = encode_av1_photo(
                with_margin(picture.rgb, tile),
                photo.level,
                look.lettered,
                photo.data,
                partial(decode_tile, networks, tile, photo.level),
                threads_of_each,
                is_among_last,
            )
            if better is None:
                return photo
            return CodedTile(container.MODE_AV1_PHOTO, level, better.stream, better)

        def in_one_piece() -> list[CodedTile] | None:
            """All tiles of a page, most of which may have letters, as one AV1 photo, where half of
            them and more are AV1 already, and the others are not clearly worse so."""
            lettered = sum(look.lettered for look in looks)
            are_av1 = sum(tile.photo is not None for tile in coded)
            if 2 * lettered <= len(coded) or 2 * are_av1 < len(coded):
                return None
            if any(tile.mode not in container.WITH_MARGIN for tile in coded):
                return None

            def as_av1(i: int) -> Av1Photo | None:
                tile = coded[i]
                return tile.photo or tried_as_av1(layout[i], looks[i], tile, True).photo

            photos = in_order(as_av1, range(len(coded)), workers)
            parts = [photo for photo in photos if photo is not None]
            if len(parts) < len(coded):
                return None
            pixels = part(picture.rgb, Tile(0, 0, height, width))
            stream = encode_av1_page(pixels, level, parts, workers * threads_of_each)
            if stream is None:
                return None
            first = CodedTile(container.MODE_AV1_BLOCK, level, stream)
            return [first, *[replace(first, data=b"")] * (len(coded) - 1)]

        def settle_last_row() -> None:
            """Decide on the drawings in the last row of blocks; those that stay learned are photos
            with plain areas."""
            drawings.settle_last_blocks(coded, layout)
            row = range((len(coded) - 1) // row_of_blocks * row_of_blocks, len(coded))
            learned = [i for i in row if coded[i].mode == container.MODE_LEARNED]
            flat = [i for i in learned if coded[i].price is not None]
            tried = in_order(lambda i: best_photo(layout[i], looks[i], coded[i]), flat, workers)
            for i, tile in zip(flat, tried, strict=True):
                coded[i] = tile

        for tile in in_order(task, places, workers):
            coded.append(tile)
            if len(coded) % row_of_blocks == 0 or len(coded) == len(layout):
                settle_last_row()
            if progress:
                progress(len(coded), len(layout))
        if is_one_block and not filling:  # which asks for sizes in fine steps
            coded = in_one_piece() or coded
        modes = [(tile.mode, tile.level) for tile in coded]
        plain = container.MODE_LEARNED, level
        return container.write(
            width=width,
            height=height,
            level=level,
            model=networks.identity,
            tiles=[tile.data for tile in coded],
            chunks=chunks,
            tile_modes=None if all(mode == plain for mode in modes) else modes,
            gray=picture.gray,
            faded=sum(tile.mode in container.WITH_MARGIN for tile in coded) > 1,
        )

    return encode


def _photo(model: Model, rgb: Pixels, tile: Tile, level: int) -> CodedTile:
    """A tile learned, at the level nearest to `level` that there is."""
    level = min(max(level, 0), container.LEVEL_STEPS)
    return CodedTile(container.MODE_LEARNED, level, encode_tile(model, rgb, tile, level))
