"""`picolab data build`: originals of many sources to one file of tiles."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from picolab.data.blocks import block_steps
from picolab.data.choice import Seen, choose
from picolab.data.originals import Absent, Files, Original, Places, originals
from picolab.data.photos import Photo, Unreadable, glance
from picolab.data.places import cut, places
from picolab.data.small import known_originals, ready_tiles
from picolab.data.sources import DRAWS, Review, Source
from picolab.data.summary import Summary
from picolab.data.tilefile import Tile, TileWriter, mark_held_out

Item = TypeVar("Item")
Result = TypeVar("Result")
Say = Callable[[str], None]


@dataclass
class Builder:
    """Builds a folder of tiles (`tilefile`) from sources. The same sources give the same bytes,
    whatever the number of threads; what is damaged or not here is left out with a word."""

    sources: Sequence[Source]
    review: Review
    where: Places
    evaluation: Sequence[Path] = ()  # folders of pictures that nothing trained on may look like
    per_photo: int = 16  # tiles at most
    most: int = 12000  # tiles in all
    threads: int = 1
    say: Say = print
    summary: Summary = field(default_factory=Summary)

    def run(self, output: Path) -> Summary:
        training = [s for s in self.sources if s.role == "training"]
        ready = [s for s in training if s.tiles]
        known: set[str] = set()
        for source in ready:
            known |= known_originals(Path(source.tiles))
        held = [seen.glance.hash for seen in self._survey(self._evaluation_sources())]
        seen = self._survey([s for s in training if not s.tiles])
        kept, self.summary.left_out = choose(seen, held, self.review, known)
        with TileWriter(output) as writer:
            tiles = self._take(ready, writer)
            limits = share(kept, self.per_photo, self.most - len(tiles))
            tiles += self._cut(kept, limits, writer)
            if not tiles:
                absent = self.summary.absent()
                raise ValueError("\n".join(["no picture here can be trained on", *absent]))
            mark_held_out(tiles)
            writer.finish(tiles)
        self.summary.tiles = tiles
        (output / "sources.md").write_text(self.summary.licences())
        return self.summary

    def _evaluation_sources(self) -> list[Source]:
        folders = [Source(name=str(f), folder=str(f), role="evaluation") for f in self.evaluation]
        return [s for s in self.sources if s.role == "evaluation"] + folders

    def _survey(self, sources: Iterable[Source]) -> list[Seen]:
        """A glance at every original of the sources that are here."""
        found: list[Seen] = []
        for source in sources:
            try:
                with self.where.files(source) as files:
                    seen = list(self._glances(source, files))
            except Absent as reason:
                self._miss(source, reason)
                continue
            self.say(f"{source.name}: {len(seen)} pictures")
            found += seen
        return found

    def _glances(self, source: Source, files: Files) -> Iterator[Seen]:
        def look(original: Original) -> Seen | str:
            try:
                told = glance(files.read(original.key))
            except (Unreadable, OSError) as reason:
                return f"{original.path}: {reason}"
            category = self.review.category.get(original.id, source.category)
            return Seen(original, told, category)

        for seen in in_order(look, originals(source, files), self.threads):
            if isinstance(seen, Seen):
                yield seen
            else:
                self._pass_over(source, seen)

    def _take(self, sources: Iterable[Source], writer: TileWriter) -> list[Tile]:
        """Tiles of sets made before, as they are."""
        tiles: list[Tile] = []
        for source in sources:
            if not Path(source.tiles).is_dir():
                self._miss(source, Absent(f"no folder {source.tiles}"))
                continue
            before = len(tiles)
            for tile, pixels in ready_tiles(source):
                tile.index = writer.add(pixels)
                tiles.append(tile)
            self.say(f"{source.name}: {len(tiles) - before} tiles as they are")
        return tiles

    def _cut(self, kept: Sequence[Seen], limits: dict[str, int], writer: TileWriter) -> list[Tile]:
        tiles: list[Tile] = []
        for source, group in groupby(kept, key=lambda seen: seen.original.source):
            before = len(tiles)
            with self.where.files(source) as files:

                def work(seen: Seen, files: Files = files) -> list[_Cut] | str:
                    limit = limits.get(seen.original.id, 0)
                    try:
                        return list(_tiles_of(seen, files, limit)) if limit else []
                    except (Unreadable, OSError) as reason:
                        return f"{seen.original.path}: {reason}"

                for cuts in in_order(work, group, self.threads):
                    if isinstance(cuts, str):
                        self._pass_over(source, cuts)
                        continue
                    for tile, pixels in cuts:
                        tile.index = writer.add(pixels)
                        tiles.append(tile)
            self.say(f"{source.name}: {len(tiles) - before} tiles")
        return tiles

    def _miss(self, source: Source, reason: Absent) -> None:
        self.summary.missing.append((source.name, str(reason)))
        what = "" if source.role == "training" else "; pictures like its own are not left out"
        self.say(f"{source.name} is left out: {reason}{what}")

    def _pass_over(self, source: Source, what: str) -> None:
        self.summary.unreadable.append((source.name, what))
        self.say(f"{source.name}: passed over {what}")


_Cut = tuple[Tile, NDArray[np.uint8]]


def _tiles_of(seen: Seen, files: Files, limit: int) -> Iterator[_Cut]:
    original, source = seen.original, seen.original.source
    photo = Photo(files.read(original.key))
    steps = block_steps(photo.image) if seen.category == "natural" else 0.0
    for n, (place, pixels, detail) in enumerate(cut(photo, seen, places(seen, limit, steps))):
        yield (
            Tile(
                index=-1,
                name=f"{original.id}-m{n}",
                original=original.id,
                category=seen.category,
                draw=source.draw or DRAWS[seen.category],
                held_out=0,
                source=source.origin,
                source_path=original.path,
                licence=source.licence,
                source_width=seen.glance.width,
                source_height=seen.glance.height,
                source_format=seen.glance.format,
                reduced_by=round(place.reduced_by, 2),
                detail=round(detail, 2),
            ),
            pixels,
        )


def share(kept: Collection[Seen], per_photo: int, most: int) -> dict[str, int]:
    """How many tiles of each original by its id: alike for all, as many as fit in `most`. Where
    not even one of each fits, some originals get none."""
    names = sorted(
        (seen.original.id for seen in kept), key=lambda n: hashlib.sha256(n.encode()).digest()
    )
    possible = [len(places(seen, per_photo)) for seen in kept]
    for limit in range(per_photo, 0, -1):
        if sum(min(count, limit) for count in possible) <= most:
            return dict.fromkeys(names, limit)
    return dict.fromkeys(names[: max(most, 0)], 1)


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Result]:
    """Results in the order of the items, of which a few are worked on at a time."""
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
