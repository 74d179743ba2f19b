"""Training tiles out of photos of full size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picocodec.encoding.features import is_flat, log_gradient
from picolab.data.images import SIDE

LEAST_GRADIENT = 0.0  # of a tile (`log_gradient`): less is a plain sky, of which there is no lack


def cut_photos(photos: Sequence[Path], folder: Path, most: int) -> int:
    """Write tiles of 512x512 pixels of photos, as they are, to `folder` as `NAME-N.png`: at most
    so many of each, from its smoothest to its busiest; returns how many. Areas that look drawn or
    plain are passed over, and so are photos smaller than a tile."""
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    for photo in photos:
        with Image.open(photo) as image:
            pixels = np.asarray(image.convert("RGB"))
        height, width = pixels.shape[:2]
        found: list[tuple[float, int, NDArray[np.uint8]]] = []
        for top in range(0, height - SIDE + 1, SIDE):
            for left in range(0, width - SIDE + 1, SIDE):
                tile = np.ascontiguousarray(pixels[top : top + SIDE, left : left + SIDE])
                gradient = log_gradient(np.asarray(Image.fromarray(tile).convert("L")))
                if gradient >= LEAST_GRADIENT and not is_flat(tile):
                    found.append((gradient, len(found), tile))
        found.sort(key=lambda entry: entry[:2])
        chosen = np.unique(np.linspace(0, len(found) - 1, min(most, len(found))).round())
        for n, place in enumerate(chosen.astype(int)):
            Image.fromarray(found[place][2]).save(folder / f"{photo.stem}-{n}.png")
        written += len(chosen)
    return written
