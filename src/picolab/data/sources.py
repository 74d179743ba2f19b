"""Where training pictures come from: a file that anyone can rerun, with the licence of each."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

CATEGORIES = ("natural", "text", "graphics")
ORIGINS = ("repository", "package", "folder", "tiles")
ROLES = ("training", "evaluation")
DRAWS = {"natural": "many", "text": "many_text", "graphics": "many_graphics"}
PICTURES = r"\.(jpe?g|png|webp|tiff?|jxl|heic|avif|bmp|ppm)$"


@dataclass(frozen=True)
class Source:
    """Pictures of one origin.

    Exactly one of `repository` (owner/name), `package` (of Debian), `folder` (of photos) and
    `tiles` (a folder of tiles or tars of them, taken as they are) says where. `include` and
    `exclude` are searched for in paths; of the pictures whose first group of `one_of` is the same,
    one is taken. Evaluation sources are only looked at, so that nothing like them is trained on.
    """

    name: str
    licence: str = "not stated"
    repository: str = ""
    package: str = ""
    folder: str = ""
    tiles: str = ""
    role: str = "training"
    category: str = "natural"
    draw: str = ""  # the group that tiles are drawn with; default by category
    include: str = PICTURES
    exclude: str = ""
    revisions: str = "HEAD"  # what of the history: a revision, --branches or --all
    one_of: str = ""
    most: int = 0  # pictures, evenly spread over the paths; 0 for all
    least_megapixels: float = 0.0
    least_kilobytes: float = 0.0

    def __post_init__(self) -> None:
        given = [kind for kind in ORIGINS if getattr(self, kind)]
        if len(given) != 1:
            raise ValueError(f"source {self.name}: give one of {', '.join(ORIGINS)}")
        for key, known in (("category", CATEGORIES), ("role", ROLES)):
            if getattr(self, key) not in known:
                raise ValueError(f"source {self.name}: {key} is one of {', '.join(known)}")
        for key in ("include", "exclude", "one_of"):
            try:
                re.compile(getattr(self, key))
            except re.error as error:
                raise ValueError(f"source {self.name}: {key} is no pattern: {error}") from None

    @property
    def origin(self) -> str:
        """As manifests name it. A folder's path on this machine is nobody else's business."""
        if self.package:
            return f"debian:{self.package}"
        return self.repository or self.name

    def takes(self, path: str, size: int) -> bool:
        """Whether a file of so many bytes is one of its pictures, by its path."""
        return (
            re.search(PICTURES, path, re.I) is not None
            and re.search(self.include, path, re.I) is not None
            and not (self.exclude and re.search(self.exclude, path))
            and size >= 1000 * self.least_kilobytes
        )


@dataclass(frozen=True)
class Review:
    """What people decided by looking: originals (ids) to leave out, what others really show, and
    hashes (64 bits) of evaluation photos whose file is not at hand."""

    drop: frozenset[str] = frozenset()
    category: dict[str, str] = field(default_factory=dict)
    evaluation_hashes: tuple[int, ...] = ()


def read_sources(path: Path) -> tuple[list[Source], Review]:
    """The sources of a TOML file, and the review that it names (a file beside it)."""
    values = _read(path)
    defaults = values.pop("defaults", {})
    review = values.pop("review", None)
    entries = values.pop("source", [])
    if values:
        raise ValueError(f"{path}: unknown: {', '.join(values)}")
    sources = [_source(path, {**defaults, **entry}) for entry in entries]
    names = [source.name for source in sources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{path}: two sources are called {', '.join(twice)}")
    if not any(source.role == "training" for source in sources):
        raise ValueError(f"{path}: no source to train on")
    return sources, read_review(path.parent / review) if review else Review()


def read_review(path: Path) -> Review:
    values = _read(path)
    unknown = values.keys() - {"drop", "category", "evaluation_hashes"}
    if unknown:
        raise ValueError(f"{path}: unknown: {', '.join(sorted(unknown))}")
    category = values.get("category", {})
    if not set(category.values()) <= set(CATEGORIES):
        raise ValueError(f"{path}: categories are {', '.join(CATEGORIES)}")
    hashes = tuple(int(bits, 16) for bits in values.get("evaluation_hashes", []))
    return Review(frozenset(values.get("drop", [])), category, hashes)


def _read(path: Path) -> dict[str, Any]:
    try:
        with open(path, "rb") as f:
            return tomllib.load(f)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}") from None


def _source(path: Path, values: dict[str, Any]) -> Source:
    unknown = values.keys() - {f.name for f in fields(Source)}
    if unknown:
        raise ValueError(f"{path}: a source has no {', '.join(sorted(unknown))}")
    if "name" not in values:
        raise ValueError(f"{path}: a source without a name")
    for key in ("folder", "tiles"):
        if key in values:
            values[key] = os.path.expandvars(values[key])
    return Source(**values)
