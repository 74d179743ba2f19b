"""File to picture: container -> payloads -> the coder of each -> seams -> pixels, a row of tiles at
a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby, islice
from mmap import mmap

import numpy as np
from numpy.typing import NDArray

from picocodec.coders.learned import LearnedCoder
from picocodec.decoding.concealment import conceal
from picocodec.decoding.pieces import DecodedTile, SharedPiece, TileDecoder, read_pieces
from picocodec.decoding.reduction import reduced
from picocodec.decoding.seams import Fader
from picocodec.errors import PicoError, tolerate
from picocodec.format import container, tiles
from picocodec.format.container import Header
from picocodec.format.pieces import CoderId
from picocodec.format.tiles import Tile
from picocodec.images.metadata import Metadata, read_alpha, read_metadata
from picocodec.images.picture import Picture, from_array
from picocodec.model.model import PREVIEWS
from picocodec.model.store import load_model_for
from picocodec.pipeline import Progress, in_order, share

Bytes = NDArray[np.uint8]
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
    `region` is a multiple of `scale`; in its last row and column it may be that of a block that
    ends beyond. All checksums of what is read are verified here, before the first network runs.
    With a list as `damage`, errors behind the header are appended to it, here and while decoding,
    instead: tiles are concealed, alpha and metadata left out.

    The file's model is needed only where a tile that is read is learned.
    """
    header = container.read_header(data, max_pixels)
    wanted = _wanted(header, region)
    with tolerate(damage):
        container.check_size(header, len(data))
    metadata = read_metadata(header, data, damage)
    alpha = None
    if metadata.alpha is not None:
        with tolerate(damage):
            alpha = read_alpha(header, metadata.alpha)[wanted.within(_whole(header))]
    request = _Request(header, wanted, threads, realism, scale, damage, alpha is not None)
    pieces = read_pieces(header, data, request.tiles, damage)
    return OpenPicture(metadata, request, alpha, request.decoder(pieces))


def _whole(header: Header) -> Tile:
    return Tile(0, 0, header.height, header.width)


def _wanted(header: Header, region: Region | None) -> Tile:
    """The part of a picture that is asked for; raises `ValueError` if it is not within it."""
    left, top, width, height = region or (0, 0, header.width, header.height)
    wanted = Tile(top, left, height, width)
    if wanted.is_empty or wanted.common(_whole(header)) != wanted:
        raise ValueError(
            f"region {left},{top},{width},{height} does not lie within the picture of "
            f"{header.width}x{header.height} pixels"
        )
    return wanted


@dataclass(frozen=True)
class _Request:
    """What is asked of a file, and what follows from that."""

    header: Header = field(repr=False)
    wanted: Tile
    threads: int
    realism: float | None
    scale: int
    damage: list[PicoError] | None
    has_alpha: bool

    @cached_property
    def _touched(self) -> dict[int, Tile]:
        """The tiles that own a part of what is wanted, by number."""
        everything = enumerate(tiles.layout(self.header.width, self.header.height))
        return {i: tile for i, tile in everything if tile.meets(self.wanted)}

    @cached_property
    def shares(self) -> tuple[int, int]:
        """How many tiles to work on at once, and the threads of each."""
        return share(self.threads, len(self._touched))

    @cached_property
    def learned(self) -> LearnedCoder | None:
        """The networks, if some tile that is wanted needs them."""
        header = self.header
        if not any(self._is_learned(i) for i in self._reached(True)):
            return None
        model = load_model_for(header.model, self.shares[1])
        recommended = None if header.realism is None else header.realism / 255
        return LearnedCoder(model, recommended if self.realism is None else self.realism)

    @cached_property
    def preview(self) -> int:
        """What the preview that will do divides the sides by, the smallest one; 1 for none."""
        on_grid = (
            self.scale > 1 and self.wanted.left % self.scale == self.wanted.top % self.scale == 0
        )
        if not on_grid or self.has_alpha or self.damage is not None or self.learned is None:
            return 1
        model = self.learned.model
        if self.learned.realism != model.realism:
            return 1
        return max((divisor for divisor in model.previews if self.scale % divisor == 0), default=1)

    @property
    def is_faded(self) -> bool:
        return len(self.header.pieces) > 1 and self.preview == 1

    @cached_property
    def tiles(self) -> dict[int, Tile]:
        """The tiles that are needed, those that fade into what is wanted, too, by number."""
        return self._reached(self.is_faded)

    def _reached(self, is_faded: bool) -> dict[int, Tile]:
        if not is_faded:
            return self._touched
        reach = self.wanted.grown(tiles.MARGIN)
        everything = enumerate(tiles.layout(self.header.width, self.header.height))
        return {i: tile for i, tile in everything if tile.meets(reach)}

    def _is_learned(self, index: int) -> bool:
        return self.header.pieces[self.header.piece_of_tile[index]].coder == CoderId.LEARNED

    def decoder(self, pieces: dict[int, SharedPiece]) -> TileDecoder:
        """What decodes the tiles that are needed; its networks begin to load."""
        workers, threads = self.shares
        if self.learned and workers * threads > 1 and any(map(self._is_learned, pieces)):
            whole = self.learned.model.decoder_at(self.learned.realism)
            self.learned.model.prepare("context", PREVIEWS.get(self.preview, whole))
        return TileDecoder(self.header, pieces, self.learned, self.preview, self.is_faded)


class OpenPicture:
    """A picture about to be decoded: its size in pixels, its metadata, and then its rows."""

    def __init__(
        self, metadata: Metadata, request: _Request, alpha: Bytes | None, decoder: TileDecoder
    ) -> None:
        self.icc, self.exif, self.xmp = metadata.icc, metadata.exif, metadata.xmp
        wanted, scale = request.wanted, request.scale
        self.width, self.height = -(-wanted.width // scale), -(-wanted.height // scale)
        self._request, self._alpha, self._decoder = request, alpha, decoder
        # In a preview's pixels, if it is one, and what is left to divide the sides by.
        self._wanted = wanted.divided(request.preview)
        self._scale = scale // request.preview

    @property
    def channels(self) -> int:
        """1 gray, 2 gray and alpha, 3 RGB, 4 RGB and alpha."""
        return (1 if self._is_gray else 3) + (self._alpha is not None)

    @property
    def _is_gray(self) -> bool:
        return self._request.header.gray

    @property
    def is_opaque(self) -> bool:
        """Whether it has no alpha, or all of it is 255."""
        return self._alpha is None or bool((self._alpha == 255).all())

    def read(self, progress: Progress | None = None) -> Bytes:
        """All pixels, uint8 `[height, width, channels]`; errors as of `rows`."""
        pixels = np.empty((self.height, self.width, self.channels), np.uint8)
        top = 0
        for rows in self.rows(progress):
            pixels[top : top + len(rows)] = rows
            top += len(rows)
        return pixels

    def rows(self, progress: Progress | None = None) -> Iterator[Bytes]:
        """Pixels uint8 `[n, width, channels]` from the top, the rows of one row of tiles at a time,
        which is all that memory holds; to be called once.

        `progress` is told (tiles done, tiles in all). Raises `CorruptTile` for tiles that no
        encoder writes, unless damage is allowed; then all rows come at once, since what conceals
        a tile may lie below it.
        """
        colours = self._bands(self._wanted, progress)
        if self._request.damage is not None:
            colours = iter([self._concealed(progress)])
        rows = self._with_alpha(colours)
        return rows if self._scale == 1 else reduced(rows, self._scale)

    def _bands(self, wanted: Tile, progress: Progress | None) -> Iterator[Bytes]:
        """The colours of `wanted`, cut from one row of tiles after the other."""
        request = self._request
        decoded = in_order(self._decode, request.tiles, request.shares[0])
        placed = [tile.divided(request.preview) for tile in request.tiles.values()]
        fader = Fader(wanted, self._without_colours)
        done = 0
        for _, group in groupby(placed, key=lambda tile: tile.top):
            row = list(group)
            first, last = row[0], row[-1]
            whole = replace(first, width=last.left + last.width - first.left)
            own = whole.common(wanted)
            shape = max(0, own.height), own.width, 1 if self._is_gray else 3
            band, frames = np.empty(shape, np.uint8), []
            for tile, shown in zip(row, islice(decoded, len(row)), strict=True):
                part = tile.common(own)
                if shown and not part.is_empty:
                    band[part.within(own)] = shown.pixels[part.within(tile)]
                if shown and shown.frame:
                    frames.append(shown.frame)
                done += 1
                if progress:
                    progress(done, len(placed))
            rows = fader.next(band, whole, frames) if request.is_faded else band
            if len(rows):
                yield rows
        if fader.rest is not None and len(fader.rest):
            yield fader.rest

    def _decode(self, index: int) -> DecodedTile | None:
        """A tile, of `[h, w, 1 or 3]`; None if it is damaged."""
        if index in self._decoder.pieces:
            with tolerate(self._request.damage, tile=index):
                tile = self._decoder.decode(index, self._request.tiles[index])
                return replace(tile, pixels=self._without_colours(tile.pixels))
        return None

    def _without_colours(self, pixels: Bytes) -> Bytes:
        """Gray pixels `[h, w, 1]`, if the picture is gray."""
        if not self._is_gray:
            return pixels
        return pixels.mean(2, keepdims=True, dtype=np.float32).round().astype(np.uint8)

    def _concealed(self, progress: Progress | None) -> Bytes:
        """The colours of all that is wanted, what is damaged filled from around it."""
        touched, damage = list(self._request.tiles.values()), self._request.damage
        first, last = touched[0], touched[-1]
        height = last.top + last.height - first.top
        width = last.left + last.width - first.left
        outer = Tile(first.top, first.left, height, width)
        colours = np.concatenate(list(self._bands(outer, progress)))
        assert damage is not None
        numbers = list(self._request.tiles)
        lost = [numbers.index(e.tile) for e in damage if e.tile is not None]
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
