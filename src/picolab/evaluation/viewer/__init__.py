"""The comparison viewer: several codecs at matched bytes, any two of them in one frame.

It is one page for `picolab evaluate --gallery`, the report of an evaluation and `make demo`: data
as JSON, a style and two scripts without dependencies, which work from disk. Needs nothing but
picocodec.
"""

from __future__ import annotations

import html
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from picocodec.format import container
from picocodec.format.pieces import CoderId
from picocodec.format.tiles import area_of

HERE = Path(__file__).parent
SITE = Path(__file__).parents[4] / "build" / "web" / "site"  # what `make web` makes
LIVE = ("pico.js", "worker.js", "gpu.js", "ort", "models")


@dataclass(frozen=True)
class Part:
    """A part of a picture in pixels, and its coder: `learned`, `lossless` or `AV1`."""

    top: int
    left: int
    height: int
    width: int
    coder: str
    bytes: int


@dataclass(frozen=True)
class Shown:
    """What a codec makes of a picture: `source` is the URL of that, lossless, `file` that of the
    .pico file, if it is one; `metrics` by name."""

    codec: str
    setting: str
    bytes: int
    source: str
    metrics: Mapping[str, float]
    file: str = ""
    parts: Sequence[Part] = ()


@dataclass(frozen=True)
class Rate:
    """Files of about the same bytes; `title` says how many those are."""

    title: str
    target: int
    shown: Sequence[Shown]


@dataclass(frozen=True)
class Scene:
    """A picture; `original` is its URL."""

    name: str
    width: int
    height: int
    original: str
    rates: Sequence[Rate]


@dataclass(frozen=True)
class Column:
    """A metric of the table."""

    name: str
    title: str
    higher_is_better: bool


def fragment(scenes: Sequence[Scene], columns: Sequence[Column], live: str = "") -> str:
    """The viewer as HTML to put into a page, once. `live` is the URL of the package that decodes
    .pico files in the page, if that is there (`copy_live`)."""
    data = {
        "scenes": {scene.name: _finite(asdict(scene)) for scene in scenes},
        "columns": [asdict(column) for column in columns],
        "live": live,
    }
    # "<" would end the script early if it came in a name.
    text = json.dumps(data, allow_nan=False).replace("<", "\\u003c")
    style, compare, viewer = (
        (HERE / name).read_text("utf-8") for name in ("viewer.css", "compare.js", "viewer.js")
    )
    return (
        f'<style>{style}</style>\n<div class="pico-viewer"></div>\n'
        f'<script type="application/json" id="pictures">{text}</script>\n'
        f"<script>{compare}</script>\n<script>{viewer}</script>\n"
    )


def parts_of(file: bytes) -> list[Part]:
    """Which parts of a .pico file are coded how; nothing of other files."""
    if not file.startswith(container.SIGNATURE):
        return []
    header = container.read_header(file)
    names = {CoderId.LEARNED: "learned", CoderId.LOSSLESS: "lossless", CoderId.AV1: "AV1"}
    parts = []
    for piece in header.pieces:
        area = area_of(header.width, header.height, piece.first, piece.rows, piece.columns)
        name = names[CoderId(piece.coder)]
        parts.append(Part(area.top, area.left, area.height, area.width, name, piece.length))
    return parts


def _finite(value: object) -> object:
    """The same with words in the place of infinity, of which JSON knows nothing."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "Infinity" if value > 0 else None
    return value


def page(title: str, lead: str, viewer: str) -> str:
    """A whole page around a `fragment`."""
    name, words = html.escape(title), html.escape(lead)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{name}</title>\n</head>\n"
        f'<body class="pico-page">\n<header><h1>{name}</h1><p>{words}</p></header>\n'
        f"<main>\n{viewer}</main>\n</body>\n</html>\n"
    )


def copy_live(folder: Path) -> str:
    """Put what decodes .pico files into a folder of pages, as `live`; the URL for `fragment`,
    nothing if `make web` has not been run."""
    if not (SITE / "pico.js").is_file():
        return ""
    for name in LIVE:
        source, target = SITE / name, folder / "live" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copy(source, target)
    return "live/pico.js"
