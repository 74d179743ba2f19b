"""Test pictures: named sets, folders and files."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picolab import cached
from picolab.evaluation.peers.protocol import Picture
from picolab.evaluation.sets import SETS

SUFFIXES = {".png", ".webp", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".ppm"}


@dataclass(frozen=True)
class TestImage:
    """`name` is unique in a run: the set's or folder's name, a slash, the file's stem. `kind` is
    what it shows (natural, text, graphics ...), by which reports split their tables."""

    __test__ = False  # pytest would take the name for a class of tests

    name: str
    path: Path
    kind: str = "unsorted"


def find(sources: Iterable[str]) -> list[TestImage]:
    """Pictures of all sources (names of sets, folders searched at any depth, files), sorted.

    The kind of each is its `category` in the `manifest.csv` of its folder or of the one above,
    whose column `file` has paths from where the manifest lies.

    Raises `FileNotFoundError` for a source that is not there and `ValueError` for one without
    pictures.
    """
    found: dict[str, TestImage] = {}
    for source in sources:
        path = _set_folder(source) if source in SETS else Path(source)
        if path.is_file():
            files = [path]
        elif path.is_dir():
            files = [p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES]
        else:
            raise FileNotFoundError(f"test pictures: no file, folder or set {source}")
        if not files:
            raise ValueError(f"test pictures: none in {path} ({', '.join(sorted(SUFFIXES))})")
        kinds = _kinds(path)
        for file in files:
            inside = file.relative_to(path) if path.is_dir() else Path(file.name)
            name = (Path(path.name if path.is_dir() else path.parent.name) / inside).with_suffix("")
            image = TestImage(name.as_posix(), file, kinds.get(file, "unsorted"))
            other = found.setdefault(image.name, image)
            if other.path != file:
                raise ValueError(f"test pictures: {other.path} and {file} have one name")
    return sorted(found.values(), key=_natural)


def _kinds(source: Path) -> dict[Path, str]:
    """The categories that a manifest gives, by file."""
    folder = source if source.is_dir() else source.parent
    for above in (folder, folder.parent):
        if (above / "manifest.csv").is_file():
            with open(above / "manifest.csv", newline="") as manifest:
                return {above / row["file"]: row["category"] for row in csv.DictReader(manifest)}
    return {}


def megapixels(image: TestImage) -> float:
    """From the file's header alone."""
    with Image.open(image.path) as opened:
        return opened.width * opened.height / 1e6


def read(path: Path) -> Picture:
    """RGB of a file; transparent parts as they would show on white."""
    with Image.open(path) as image:
        return _rgb_on_white(image)


def rgb_on_white(pixels: NDArray[np.uint8]) -> Picture:
    """RGB of `[H, W]` or `[H, W, 2 to 4]`; transparent parts as they would show on white."""
    return _rgb_on_white(Image.fromarray(pixels))


def _rgb_on_white(image: Image.Image) -> Picture:
    if "A" in image.getbands() or "transparency" in image.info:
        layers = image.convert("RGBA")
        white = Image.new("RGBA", layers.size, "white")
        return np.array(Image.alpha_composite(white, layers).convert("RGB"))
    return np.array(image.convert("RGB"))


def fingerprint(image: Picture) -> str:
    """SHA-256 of the size and the pixels."""
    digest = hashlib.sha256(np.array(image.shape, "<u4").tobytes())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def _set_folder(name: str) -> Path:
    folder = cached.folder("evaluation") / name
    if not folder.is_dir():
        raise FileNotFoundError(f"test pictures: put {SETS[name]} into {folder}")
    return folder


def _natural(image: TestImage) -> list[tuple[int, int, str]]:
    """kodak/2 before kodak/10."""
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part) for part in image.name.split("/")
    ]
