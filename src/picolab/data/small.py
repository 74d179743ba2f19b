"""Sets of tiles made before: folders of pictures, or of tars of them, with a manifest."""

from __future__ import annotations

import csv
import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picolab.data.places import detail
from picolab.data.sources import PICTURES, Source
from picolab.data.tilefile import SIDE, Tile

RENDERED_ON = re.compile(r"^rendered on (\w+)-\w+$")  # the path of text rendered on another tile


def manifest(folder: Path) -> dict[str, dict[str, str]]:
    """Rows by file name; none where there is no `manifest.csv`."""
    path = folder / "manifest.csv"
    if not path.is_file():
        return {}
    with open(path, newline="") as f:
        return {row["file"]: row for row in csv.DictReader(f)}


def original_of(name: str, source_path: str) -> str:
    """What a tile shows: its name up to the last "-", or the photo that text was rendered on."""
    rendered = RENDERED_ON.match(source_path)
    return rendered.group(1) if rendered else name.rsplit(".", 1)[0].rsplit("-", 1)[0]


def known_originals(folder: Path) -> set[str]:
    """Of a set with a manifest, without reading its pictures."""
    return {original_of(name, row["source_path"]) for name, row in manifest(folder).items()}


def ready_tiles(source: Source) -> Iterator[tuple[Tile, NDArray[np.uint8]]]:
    """Row and pixels uint8 `[H, W, 3]`, up to 512x512, of each tile of a set, by name."""
    rows = manifest(Path(source.tiles))
    for name, data in _files(Path(source.tiles)):
        with Image.open(io.BytesIO(data)) as image:
            kind, picture = image.format or "", image.convert("RGB")
        if max(picture.size) > SIDE:
            raise ValueError(
                f"source {source.name}: {name} is larger than {SIDE}x{SIDE}; for photos to be cut "
                "into tiles say folder = ... instead of tiles = ..."
            )
        row = rows.get(name, {})
        path = row.get("source_path", name)
        category = row.get("category", source.category)
        tile = Tile(
            index=-1,
            name=name,
            original=original_of(name, path),
            category=category,
            draw=source.draw or category,
            held_out=0,
            source=row.get("source", source.name),
            source_path=path,
            licence=row.get("licence", source.licence),
            source_width=int(row.get("source_width", picture.width)),
            source_height=int(row.get("source_height", picture.height)),
            source_format=row.get("source_format", kind),
            reduced_by=float(row.get("reduced_by", 1)),
            detail=round(detail(picture.convert("L")), 2),
        )
        yield tile, np.asarray(picture)


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of the pictures of a folder and of the tars in it."""
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".tar":
            with tarfile.open(path) as archive:
                for member in archive:
                    stream = archive.extractfile(member)
                    if stream is not None and re.search(PICTURES, member.name, re.I):
                        yield Path(member.name).name, stream.read()
        elif path.is_file() and re.search(PICTURES, path.name, re.I):
            yield path.name, path.read_bytes()
