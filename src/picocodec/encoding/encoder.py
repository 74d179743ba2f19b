"""Picture to file: tiles -> features -> candidates -> the least cost -> payloads -> container."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from picocodec.coders.learned import LearnedCoder
from picocodec.encoding.allocation import level_offsets
from picocodec.encoding.candidates import Area, Place, Tries, Way
from picocodec.encoding.effort import DEFAULT_EFFORT, effort_of
from picocodec.encoding.features import Look, look_at
from picocodec.encoding.rate import TOLERANCE, fill
from picocodec.errors import TargetTooSmall
from picocodec.format import container, tiles
from picocodec.format.pieces import LONGEST, CoderId, Piece
from picocodec.format.tiles import Tile, area_of, tiles_along
from picocodec.images.canvas import part
from picocodec.images.metadata import chunks_of
from picocodec.images.picture import Picture
from picocodec.model.store import DEFAULT_MODEL, load_model
from picocodec.pipeline import Progress, in_order, share


def encode_picture(
    picture: Picture,
    level: int,
    model: str = DEFAULT_MODEL,
    threads: int = 0,
    progress: Progress | None = None,
    effort: int = DEFAULT_EFFORT,
) -> bytes:
    """A whole .pico file; `level` in thousandths, `progress` is told (tiles done, tiles in all),
    `effort` is 0 to 9. Raises `UnknownModel`, `NetworkFailed`, and `UnsupportedImage` for what no
    file can hold."""
    return Encoder(picture, model, threads, progress, effort).encode(level)


def encode_to_size(
    picture: Picture,
    size: int,
    model: str = DEFAULT_MODEL,
    threads: int = 0,
    progress: Progress | None = None,
    effort: int = DEFAULT_EFFORT,
) -> bytes:
    """A .pico file of at most `size` bytes, and as near to it as `rate.fill` finds; raises
    `TargetTooSmall`, and what `encode_picture` does."""
    height, width = picture.rgb.shape[:2]
    encoder = Encoder(picture, model, threads, progress, effort)
    beside = sum(len(data) for _, data in encoder.chunks)
    words = f"{beside} bytes of metadata and alpha: leave them out (--strip), or raise the target"
    if beside >= size:
        raise TargetTooSmall(f"the target is {size} bytes, fewer than the picture's {words}")
    try:
        return encoder.topped_up(fill(encoder.encode, size, width * height), size)
    except TargetTooSmall as error:
        if not beside:
            raise
        raise TargetTooSmall(f"{error}; among them are {words}") from None


class Encoder:
    """Makes the files of one picture, at any level."""

    def __init__(
        self,
        picture: Picture,
        model: str = DEFAULT_MODEL,
        threads: int = 0,
        progress: Progress | None = None,
        effort: int = DEFAULT_EFFORT,
    ) -> None:
        height, width = picture.rgb.shape[:2]
        self.picture, self.progress = picture, progress
        self.effort = effort_of(effort)
        layout = tiles.layout(width, height)
        self.workers, self.threads = share(threads, len(layout))
        self.learned = LearnedCoder(load_model(model, self.threads))
        if self.workers * self.threads > 1:
            self.learned.model.prepare("analysis", "context")
        self.chunks = chunks_of(picture)
        looks = list(in_order(self._look_at, layout, self.workers))
        offsets = level_offsets(looks)
        self.places = [Place(*place) for place in zip(layout, looks, offsets, strict=True)]
        self.blocks = list(_blocks(self.places, width, height))

    def _look_at(self, tile: Tile) -> Look:
        return look_at(part(self.picture.rgb, tile))

    def encode(self, level: int) -> bytes:
        """The file at a level in thousandths, 0 to 1000."""
        return self._file(level, _Pass(self, level).run())

    def topped_up(self, data: bytes, size: int) -> bytes:
        """A file with what is left of a size in bytes spent on its largest piece with losses: where
        coders change, and in the steps of AV1, sizes leap as quality rises."""
        header = container.read_header(data)
        pieces = [_piece(header, data, i) for i in range(len(header.pieces))]
        lossy = [i for i, piece in enumerate(pieces) if piece.coder != CoderId.LOSSLESS]
        if not lossy or len(data) >= (1 - TOLERANCE) * size:
            return data
        largest = max(lossy, key=lambda i: len(pieces[i].payload))
        piece, first = pieces[largest], header.pieces[largest].first
        is_text = self.places[first].look.is_text
        pixels = area_of(header.width, header.height, first, piece.rows, piece.columns)
        area = Area(pixels, not piece.margin, is_text, piece.margin, piece.rows, piece.columns)
        # Its length and its own level may take three bytes more in the header.
        most = len(piece.payload) + size - len(data) - 3
        tries = Tries(self.picture.rgb, header.level, self.learned, self.effort)
        larger = tries.filling(area, most, self.workers * self.threads)
        if larger is None or len(larger.payload) <= len(piece.payload):
            return data
        return self._file(header.level, [*pieces[:largest], larger, *pieces[largest + 1 :]])

    def _file(self, level: int, pieces: list[Piece]) -> bytes:
        height, width = self.picture.rgb.shape[:2]
        return container.write(
            width=width,
            height=height,
            level=level,
            model=self.learned.model.identity,
            pieces=pieces,
            chunks=self.chunks,
            gray=self.picture.gray,
        )


@dataclass(frozen=True)
class _Block:
    """Up to 4x4 tiles that may be one piece: their numbers, and the area, where all are flat."""

    members: tuple[int, ...]
    together: Area | None


def _blocks(places: list[Place], width: int, height: int) -> Iterator[_Block]:
    """The blocks of a picture, row by row."""
    across, down = tiles_along(width), tiles_along(height)
    for row in range(0, down, LONGEST):
        for column in range(0, across, LONGEST):
            rows, columns = min(LONGEST, down - row), min(LONGEST, across - column)
            first = row * across + column
            members = [first + r * across + c for r in range(rows) for c in range(columns)]
            looks = [places[i].look for i in members]
            together = None
            if len(members) > 1 and all(look.flat for look in looks):
                pixels = area_of(width, height, first, rows, columns)
                together = Area(pixels, True, False, rows=rows, columns=columns)
            yield _Block(tuple(members), together)


class _Pass:
    """A picture's tiles at one level, decided a row of blocks at a time."""

    def __init__(self, encoder: Encoder, level: int) -> None:
        self.encoder = encoder
        self.tries = Tries(encoder.picture.rgb, level, encoder.learned, encoder.effort)
        self.waiting = {i for block in encoder.blocks if block.together for i in block.members}
        self.ways: dict[int, Way] = {}  # of tiles whose block is not settled yet
        self.pieces: dict[int, Piece] = {}  # by the number of the first tile

    def run(self) -> list[Piece]:
        """The pieces in the order of the first tile of each."""
        encoder, count = self.encoder, len(self.encoder.places)
        blocks = iter(encoder.blocks)
        block = next(blocks, None)
        for i, way in enumerate(in_order(self._first, range(count), encoder.workers)):
            self.ways[i] = way
            while block and block.members[-1] <= i:
                self._settle(block)
                block = next(blocks, None)
            if encoder.progress:
                encoder.progress(i + 1, count)
        return [self.pieces[i] for i in sorted(self.pieces)]

    def _first(self, i: int) -> Way:
        """A tile as it is best alone, or where its block is tried first, by the networks."""
        place = self.encoder.places[i]
        learned = self.tries.learned(place)
        return learned if i in self.waiting else self._alone(i, learned)

    def _alone(self, i: int, learned: Way) -> Way:
        return self.tries.alone(self.encoder.places[i], learned, self.encoder.threads)

    def _settle(self, block: _Block) -> None:
        """Choose for a block: all in one piece, which says once what repeats from tile to tile,
        where that beats the networks, or each tile as it is best alone."""
        ways = [self.ways.pop(i) for i in block.members]
        joined = self._together(block.together, ways) if block.together else None
        if joined:
            self.pieces[block.members[0]] = joined.piece
            return
        if block.together:
            tries = zip(block.members, ways, strict=True)
            ways = list(in_order(lambda one: self._alone(*one), tries, self.encoder.workers))
        self.pieces |= {i: way.piece for i, way in zip(block.members, ways, strict=True)}

    def _together(self, area: Area, ways: list[Way]) -> Way | None:
        """A block in one piece, if that costs less than its tiles do so far."""
        threads = self.encoder.workers * self.encoder.threads
        apart = Way(ways[0].piece, sum(way.cost for way in ways))
        best = self.tries.as_av1(area, self.tries.exact(area, apart), threads)
        return None if best is apart else best


def _piece(header: container.Header, data: bytes, number: int) -> Piece:
    """A piece of a file as it was written."""
    entry, payload = header.pieces[number], container.payload(header, data, number)
    return Piece(payload, entry.coder, entry.level, entry.rows, entry.columns, entry.margin)
