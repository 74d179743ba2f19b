"""File to picture: bytes -> symbols -> pixels, tile by tile, a row of tiles at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby, islice
from mmap import mmap
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picocodec.coders.av1 import decode_av1
from picocodec.coders.learned import decode_symbols
from picocodec.coders.lossless import decode_lossless, stream_of
from picocodec.decoding.concealment import conceal
from picocodec.decoding.seams import Fader, Frame, frame_of
from picocodec.errors import CorruptTile, PicoError, UnsupportedVersion, tolerate
from picocodec.format import container, tiles
from picocodec.format.container import Header
from picocodec.format.tiles import Tile
from picocodec.images.canvas import as_canvas, own
from picocodec.images.metadata import read_alpha, read_metadata
from picocodec.images.picture import Picture, from_array
from picocodec.model.model import Model
from picocodec.model.store import load_model_for
from picocodec.pipeline import in_order, share

Bytes = NDArray[np.uint8]

Progress = Callable[[int, int], None]
Region = tuple[int, int, int, int]  # left, top, width, height in pixels

SCALES = (1, 2, 4, 8)  # what the sides of a picture can be divided by on the way


def decode_picture(
    data: bytes | mmap,
    max_pixels: int = container.MAX_PIXELS,
    threads: int = 0,
    progress: Progress | None = None,
    realism: float | None = None,
    damage: list[PicoError] | None = None,
    region: Region | None = None,
    scale: int = 1,
) -> Picture:
    """The picture in a .pico file, whole; parameters and errors as of `open_picture`."""
    source = open_picture(data, max_pixels, threads, realism, damage, region, scale)
    picture = from_array(source.read(progress))
    picture.icc, picture.exif, picture.xmp = source.icc, source.exif, source.xmp
    return picture


def open_picture(
    data: bytes | mmap,
    max_pixels: int = container.MAX_PIXELS,
    threads: int = 0,
    realism: float | None = None,
    damage: list[PicoError] | None = None,
    region: Region | None = None,
    scale: int = 1,
) -> OpenPicture:
    """Make ready to decode a .pico file; raises a `PicoError` for anything that is not one.

    `realism` None is what the file recommends, or else the model's default. `region` is the part
    that is wanted, and only its tiles are read, and those that fade into it; `ValueError` if it is
    not within the picture. `scale`, of `SCALES`, divides its sides, which are rounded up: a pixel
    is the mean of `scale` by `scale`, of a preview that decodes in less time where the model has
    one, realism is the model's default, all is opaque, damage is not allowed and the corner of
    `region` is a multiple of `scale`. All checksums of what is read are verified here, before the
    first network runs. With a list as `damage`, errors behind the header are appended to it, here
    and while decoding, instead: tiles are concealed, alpha and metadata left out.
    """
    header = container.read_header(data, max_pixels)
    left, top, width, height = region or (0, 0, header.width, header.height)
    if (
        min(left, top, width - 1, height - 1) < 0
        or left + width > header.width
        or top + height > header.height
    ):
        raise ValueError(
            f"region {left},{top},{width},{height} does not lie within the picture of "
            f"{header.width}x{header.height} pixels"
        )
    with tolerate(damage):
        container.check_size(header, len(data))
    metadata = read_metadata(header, data, damage)
    alpha = None
    if metadata.alpha is not None:
        with tolerate(damage):
            alpha = read_alpha(header, metadata.alpha)[top : top + height, left : left + width]
    wanted = Tile(top, left, height, width)
    everything = tiles.layout(header.width, header.height)
    touched = sum(tile.meets(wanted) for tile in everything)
    workers, threads_of_each = share(threads, touched)
    model = load_model_for(header.model, threads_of_each)
    if realism is None:
        realism = model.realism if header.realism is None else header.realism / 255
    on_grid = scale > 1 and left % scale == 0 and top % scale == 0
    as_fitted = model.has_preview and realism == model.realism
    is_preview = as_fitted and on_grid and alpha is None and damage is None
    is_faded = header.faded and not is_preview
    reach = wanted.grown(tiles.MARGIN if is_faded else 0)
    layout = {i: tile for i, tile in enumerate(everything) if tile.meets(reach)}
    # Of tiles in blocks, the data lie with the first one, which need not be wanted itself.
    users: dict[int, list[int]] = {}
    for i in layout:
        is_joined = header.tiles[i].mode in container.JOINED
        users.setdefault(tiles.block_of(i, header.columns) if is_joined else i, []).append(i)
    payloads: dict[int, bytes] = {}
    offset = header.size
    for i, entry in enumerate(header.tiles):
        piece: bytes | None = None
        for user in users.get(i, ()):
            with tolerate(damage, tile=user):
                if entry.mode not in container.MODES:
                    raise UnsupportedVersion(f"tile {i} has coding mode {entry.mode}, unknown here")
                if piece is None:
                    piece = container.tile_data(header, data, i, offset)
                payloads[user] = piece
        offset += entry.length
    if workers * threads_of_each > 1 and any(
        header.tiles[i].mode == container.MODE_LEARNED for i in payloads
    ):
        model.prepare("preview" if is_preview else "synthesis")
    return OpenPicture(
        width=-(-width // scale),
        height=-(-height // scale),
        icc=metadata.icc,
        exif=metadata.exif,
        xmp=metadata.xmp,
        _header=header,
        _model=model,
        _alpha=alpha,
        _wanted=wanted.halved if is_preview else wanted,
        _scale=scale // 2 if is_preview else scale,
        _is_preview=is_preview,
        _is_faded=is_faded,
        _tiles=layout,
        _payloads=payloads,
        _realism=realism,
        _workers=workers,
        _damage=damage,
    )


@dataclass
class OpenPicture:
    """A picture about to be decoded: its size in pixels, its metadata, and then its rows."""

    width: int
    height: int
    icc: bytes | None
    exif: bytes | None
    xmp: bytes | None
    _header: Header = field(repr=False)
    _model: Model = field(repr=False)
    _alpha: Bytes | None = field(repr=False)
    _wanted: Tile  # in a preview's pixels, if it is one
    _scale: int  # what is left to divide the sides by
    _is_preview: bool
    _is_faded: bool
    _tiles: dict[int, Tile] = field(repr=False)  # the touched ones, by number
    _payloads: dict[int, bytes] = field(repr=False)  # of those that are whole
    _realism: float
    _workers: int
    _damage: list[PicoError] | None
    _blocks: dict[int, tuple[int, Bytes]] = field(default_factory=dict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    @property
    def channels(self) -> int:
        """1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha."""
        return (1 if self._header.gray else 3) + (self._alpha is not None)

    @property
    def is_opaque(self) -> bool:
        return self._alpha is None or bool((self._alpha == 255).all())

    def read(self, progress: Progress | None = None) -> Bytes:
        """All pixels, `[height, width, channels]`."""
        pixels = np.empty((self.height, self.width, self.channels), np.uint8)
        top = 0
        for rows in self.rows(progress):
            pixels[top : top + len(rows)] = rows
            top += len(rows)
        return pixels

    def rows(self, progress: Progress | None = None) -> Iterator[Bytes]:
        """Pixels `[n, width, channels]` from the top, the rows of one row of tiles at a time,
        which is all that memory holds; to be called once.

        `progress` is told (tiles done, tiles in all). Raises `CorruptTile` for tiles that no
        encoder writes, unless damage is allowed; then all rows come at once, since what conceals
        a tile may lie below it.
        """
        colours = self._bands(self._wanted, progress)
        if self._damage is not None:
            colours = iter([self._concealed(progress)])
        rows = self._with_alpha(colours)
        return rows if self._scale == 1 else _reduced(rows, self._scale)

    def _bands(self, wanted: Tile, progress: Progress | None) -> Iterator[Bytes]:
        """The colours of `wanted`, cut from one row of tiles after the other."""
        decoded = in_order(self._decode, self._tiles, self._workers)
        placed = [tile.halved if self._is_preview else tile for tile in self._tiles.values()]
        fader = Fader(wanted, self._without_colours)
        done = 0
        for _, group in groupby(placed, key=lambda tile: tile.top):
            row = list(group)
            first, last = row[0], row[-1]
            whole = replace(first, width=last.left + last.width - first.left)
            own = whole.common(wanted)
            shape = max(0, own.height), own.width, 1 if self._header.gray else 3
            band, frames = np.empty(shape, np.uint8), []
            for tile, (pixels, frame) in zip(row, islice(decoded, len(row)), strict=True):
                part = tile.common(own)
                if pixels is not None and not part.is_empty:
                    band[part.within(own)] = pixels[part.within(tile)]
                if frame:
                    frames.append(frame)
                done += 1
                if progress:
                    progress(done, len(self._tiles))
            rows = fader.next(band, whole, frames) if self._is_faded else band
            if len(rows):
                yield rows
        if fader.rest is not None and len(fader.rest):
            yield fader.rest

    def _decode(self, index: int) -> tuple[Bytes | None, Frame | None]:
        """The pixels that a tile owns, `[h, w, 1 or 3]`, None if it is damaged; and its frame, if
        it is to be faded."""
        tile, level = self._tiles[index], self._header.tiles[index].level
        if index not in self._payloads:
            return None, None
        with tolerate(self._damage, tile=index):
            try:
                pixels, frame = self._pixels(index, tile, level)
            except (CorruptTile, UnsupportedVersion) as error:
                raise type(error)(f"tile {index}: {error}") from None
            return self._without_colours(pixels), frame
        return None, None

    def _without_colours(self, pixels: Bytes) -> Bytes:
        """Gray pixels `[h, w, 1]`, if the picture is gray."""
        if not self._header.gray:
            return pixels
        return pixels.mean(2, keepdims=True, dtype=np.float32).round().astype(np.uint8)

    def _pixels(self, index: int, tile: Tile, level: int) -> tuple[Bytes, Frame | None]:
        payload, mode = self._payloads.pop(index), self._header.tiles[index].mode
        if mode == container.MODE_LEARNED and self._is_preview:
            z, symbols = decode_symbols(self._model, payload, tile, level)
            canvas = self._model.preview(symbols, z, level)
            return own(canvas, tile.halved, tiles.MARGIN // 2), None
        frame = None
        if mode in container.WITH_MARGIN:
            canvas = self._canvas(payload, mode, tile, level)
            pixels = own(canvas, tile)
            frame = frame_of(canvas, tile) if self._is_faded else None
        elif mode in container.JOINED:
            pixels = self._from_block(index, payload, tile)
        else:
            pixels = _classic(payload, tile, mode)
        return _reduce(pixels, 2) if self._is_preview else pixels, frame

    def _canvas(self, payload: bytes, mode: int, tile: Tile, level: int) -> NDArray[np.float32]:
        """A tile and its margin at least, `[1, 3, H, W]`."""
        if mode == container.MODE_AV1_PHOTO:
            return as_canvas(decode_av1(payload, tile.grown(tiles.MARGIN)))
        z, symbols = decode_symbols(self._model, payload, tile, level)
        return self._model.synthesise(symbols, z, level, self._realism)

    def _from_block(self, index: int, payload: bytes, tile: Tile) -> Bytes:
        """A tile's part of its block, which is decoded once: the last one of each column stays."""
        header = self._header
        first, whole = joined_block(header, index)
        row, column = divmod(first, header.columns)
        with self._lock:
            if self._blocks.get(column, (-1, None))[0] != row:
                self._blocks[column] = row, _classic(payload, whole, header.tiles[index].mode)
            pixels = self._blocks[column][1]
        return pixels[tile.within(whole)]

    def _concealed(self, progress: Progress | None) -> Bytes:
        """The colours of all that is wanted, what is damaged filled from around it."""
        touched = list(self._tiles.values())
        first, last = touched[0], touched[-1]
        height = last.top + last.height - first.top
        width = last.left + last.width - first.left
        outer = Tile(first.top, first.left, height, width)
        colours = np.concatenate(list(self._bands(outer, progress)))
        assert self._damage is not None
        numbers = list(self._tiles)
        lost = [numbers.index(e.tile) for e in self._damage if e.tile is not None]
        if lost:
            layout = [replace(t, top=t.top - outer.top, left=t.left - outer.left) for t in touched]
            conceal(colours, layout, sum(t.top == first.top for t in touched), lost)
        return colours[self._wanted.within(outer)]

    def _with_alpha(self, bands: Iterator[Bytes]) -> Iterator[Bytes]:
        top = 0
        for band in bands:
            if self._alpha is not None:
                alpha = self._alpha[top : top + len(band), :, None]
                top += len(band)
                band = np.concatenate([band, alpha], axis=2)
            yield band


def joined_block(header: Header, index: int) -> tuple[int, Tile]:
    """The first tile of a joined tile's block, which has the block's data, and what the block
    covers; raises `CorruptTile` for a block that no encoder writes."""
    mode, columns = header.tiles[index].mode, header.columns
    first = tiles.block_of(index, columns)
    for i in tiles.members_of_block(first, columns, header.rows):
        entry = header.tiles[i]
        if entry.mode != mode:
            raise CorruptTile(f"tile {i} of its block has another mode")
        if i != first and (entry.length or entry.crc):
            raise CorruptTile(f"its block's data lie with tile {first}, but tile {i} has some, too")
    return first, tiles.block(header.width, header.height, *divmod(first, columns))


def _classic(payload: bytes, tile: Tile, mode: int) -> Bytes:
    if mode in container.AV1_STREAMS:
        return decode_av1(payload, tile)
    if mode in container.WEBP_FILES:
        payload = stream_of(payload, tile)
    return decode_lossless(payload, tile)


def _reduced(bands: Iterator[Bytes], factor: int) -> Iterator[Bytes]:
    """Means of `factor` by `factor` pixels; of fewer at the right and at the bottom."""
    rest: Bytes | None = None
    for band in bands:
        rows = band if rest is None else np.concatenate([rest, band])
        whole = len(rows) // factor * factor
        if whole:
            yield _reduce(rows[:whole], factor)
        rest = rows[whole:]
    if rest is not None and len(rest):
        yield _reduce(rest, factor)


def _reduce(pixels: Bytes, factor: int) -> Bytes:
    # Pillow weights colours by their alpha.
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    reduced = np.asarray(image.reduce(factor))
    return reduced.reshape(*reduced.shape[:2], pixels.shape[2])
