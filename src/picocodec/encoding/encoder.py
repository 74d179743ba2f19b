"""Picture to file: tiles -> features -> candidates -> the best of each -> payloads -> container."""

from __future__ import annotations

from picocodec.coders.learned import LearnedCoder
from picocodec.encoding.allocation import level_offsets
from picocodec.encoding.candidates import Coded, Place, joined, learned_tile
from picocodec.encoding.drawings import Drawings
from picocodec.encoding.features import Look, look_at
from picocodec.encoding.photos import Photos
from picocodec.encoding.rate import fill
from picocodec.errors import TargetTooSmall
from picocodec.format import container, tiles
from picocodec.format.pieces import LONGEST, CoderId, Piece
from picocodec.format.tiles import Tile, tiles_along
from picocodec.images.canvas import part, with_margin
from picocodec.images.metadata import chunks_of
from picocodec.images.picture import Picture
from picocodec.model.store import DEFAULT_MODEL, load_model
from picocodec.pipeline import Progress, in_order, share

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
    """A whole .pico file; `level` in thousandths, `progress` is told (tiles done, tiles in all).
    Raises `UnknownModel`, `NetworkFailed`, and `UnsupportedImage` for what no file can hold."""
    return Encoder(picture, model, threads, progress).encode(level)


def encode_to_size(
    picture: Picture,
    size: int,
    model: str = DEFAULT_MODEL,
    threads: int = 0,
    progress: Progress | None = None,
) -> bytes:
    """A .pico file of at most `size` bytes, and as near to it as `rate.fill` finds; raises
    `TargetTooSmall`, and what `encode_picture` does."""
    height, width = picture.rgb.shape[:2]
    encoder = Encoder(picture, model, threads, progress, filling=True)
    beside = sum(len(data) for _, data in encoder.chunks)
    words = f"{beside} bytes of metadata and alpha: leave them out (--strip), or raise the target"
    if beside >= size:
        raise TargetTooSmall(f"the target is {size} bytes, fewer than the picture's {words}")
    try:
        return fill(encoder.encode, size, width * height)
    except TargetTooSmall as error:
        if not beside:
            raise
        raise TargetTooSmall(f"{error}; among them are {words}") from None


class Encoder:
    """Makes the files of one picture, at any level; `filling` asks for sizes in fine steps."""

    def __init__(
        self,
        picture: Picture,
        model: str = DEFAULT_MODEL,
        threads: int = 0,
        progress: Progress | None = None,
        filling: bool = False,
    ) -> None:
        height, width = picture.rgb.shape[:2]
        self.picture, self.progress, self.filling = picture, progress, filling
        self.layout = tiles.layout(width, height)
        self.across, self.down = tiles_along(width), tiles_along(height)
        self.row_of_blocks = self.across * LONGEST
        self.is_one_block = 1 < len(self.layout) and max(self.across, self.down) <= LONGEST
        self.workers, self.threads = share(threads, len(self.layout))
        self.learned = LearnedCoder(load_model(model, self.threads))
        if self.workers * self.threads > 1:
            self.learned.model.prepare("context")
        self.chunks = chunks_of(picture)
        looks = list(in_order(self._look_at, self.layout, self.workers))
        offsets = level_offsets(looks)
        self.places = [Place(*place) for place in zip(self.layout, looks, offsets, strict=True)]

    def _look_at(self, tile: Tile) -> Look:
        return look_at(part(self.picture.rgb, tile))

    def encode(self, level: int) -> bytes:
        """The file at a level in thousandths, 0 to 1000."""
        coded = _Pass(self, level).run()
        height, width = self.picture.rgb.shape[:2]
        return container.write(
            width=width,
            height=height,
            level=level,
            model=self.learned.model.identity,
            pieces=[tile.piece for tile in coded if tile.piece],
            chunks=self.chunks,
            gray=self.picture.gray,
        )


class _Pass:
    """A picture's tiles at one level, decided from the top, a row of blocks at a time."""

    def __init__(self, encoder: Encoder, level: int) -> None:
        self.encoder, self.level = encoder, level
        self.coded: list[Coded] = []
        rgb, work = encoder.picture.rgb, (encoder.workers, encoder.threads)
        slope = encoder.learned.model.slope(level)
        self.drawings = Drawings(rgb, level, slope, *work)
        letters_only = encoder.filling and len(encoder.layout) < LEAST_TILES_TO_FILL
        self.photos = Photos(rgb, level, letters_only, *work)

    def run(self) -> list[Coded]:
        encoder, count = self.encoder, len(self.encoder.layout)
        for tile in in_order(self._code, encoder.places, encoder.workers):
            self.coded.append(tile)
            if len(self.coded) % encoder.row_of_blocks == 0 or len(self.coded) == count:
                self.settle_last_row()
            if encoder.progress:
                encoder.progress(len(self.coded), count)
        if encoder.is_one_block and not encoder.filling:  # which asks for sizes in fine steps
            page = self.photos.page(encoder.places, self.coded)
            if page is not None:
                piece = Piece(page, CoderId.AV1, self.level, encoder.down, encoder.across)
                return joined(piece)
        return self.coded

    def _code(self, place: Place) -> Coded:
        """A tile as a photo, or as what may become a drawing."""
        pixels, coder = with_margin(self.encoder.picture.rgb, place.tile), self.encoder.learned
        if place.look.drawn:
            drawing = self.drawings.alone(place.tile, coder.encode(pixels, self.level))
            if drawing:
                return drawing
        level = min(max(self.level + place.offset, 0), container.LEVEL_STEPS)
        learned = learned_tile(coder.encode(pixels, level), level)
        return self._done(self.photos.best(place, learned))

    def settle_last_row(self) -> None:
        """Decide on the drawings in the last row of blocks; those that stay learned are photos with
        plain areas."""
        encoder, coded = self.encoder, self.coded
        self.drawings.settle_last_blocks(coded, encoder.layout)
        start = (len(coded) - 1) // encoder.row_of_blocks * encoder.row_of_blocks
        flat = [i for i in range(start, len(coded)) if coded[i].is_learned and coded[i].drawing]
        tried = in_order(self._flat_photo, flat, encoder.workers)
        for i, tile in zip(flat, tried, strict=True):
            coded[i] = tile
        coded[start:] = map(self._done, coded[start:])

    def _flat_photo(self, i: int) -> Coded:
        return self.photos.best(self.encoder.places[i], self.coded[i])

    def _done(self, coded: Coded) -> Coded:
        """A tile on which nothing is left to be decided, but whether it is part of a page."""
        return coded if self.encoder.is_one_block else coded.released
