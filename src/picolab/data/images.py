"""Training pictures as one block of bytes on the device, and random crops out of it."""

from __future__ import annotations

import csv
import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

SIDE = 512  # pictures are stored as tiles of this side
CATEGORY_WEIGHTS = {"natural": 0.85, "text": 0.12, "graphics": 0.03}
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".ppm"}


@dataclass
class TileSet:
    """`tiles` uint8 `[N, 3, 512, 512]`, the used `sizes` `[N, 2]` of each (height, width), and
    the probability `weights` `[N]` of drawing it."""

    tiles: Tensor
    sizes: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.tiles)

    def to(self, device: torch.device) -> TileSet:
        return TileSet(self.tiles.to(device), self.sizes.to(device), self.weights)

    def crops(self, batch: int, side: int, generator: torch.Generator) -> Tensor:
        """`[batch, 3, side, side]` in [0, 1]: random tiles, places, mirrorings and transposes.

        All randomness comes from `generator` (on the CPU), whatever the device of the tiles.
        Tiles smaller than `side` are continued by reflection.
        """
        which = torch.multinomial(self.weights, batch, replacement=True, generator=generator)
        place = torch.rand(batch, 2, generator=generator)
        turns = torch.randint(0, 8, (batch,), generator=generator)
        device = self.tiles.device
        which, place, turns = which.to(device), place.to(device), turns.to(device)
        sizes = self.sizes[which]
        start = (place * (sizes - side + 1).clamp_min(1)).long()
        at = start[:, :, None] + torch.arange(side, device=device)
        last = (sizes - 1)[:, :, None]
        period = (2 * last).clamp_min(1)
        at = at % period
        at = torch.where(at > last, period - at, at)
        flip = torch.stack([turns & 1, turns >> 1 & 1], 1).bool()
        at = torch.where(flip[:, :, None], at.flip(2), at)
        channels = torch.arange(3, device=device)[None, :, None, None]
        crops = self.tiles[
            which[:, None, None, None], channels, at[:, 0, None, :, None], at[:, 1, None, None, :]
        ]
        turned = (turns >= 4)[:, None, None, None]
        crops = torch.where(turned, crops.transpose(2, 3), crops)
        return (crops.float() / 255).contiguous(memory_format=torch.channels_last)


def load_tiles(sources: Iterable[str | Path], validation: bool = False) -> TileSet:
    """Read every picture of the sources, each a folder of images or of tars of images.

    A `manifest.csv` in a folder gives the category of its files, by which they are weighted;
    others count as natural. One original in 32, chosen by the hash of its name up to the last
    "-", is held out for validation and never trained on.
    """
    tiles: list[Tensor] = []
    sizes: list[tuple[int, int]] = []
    categories: list[str] = []
    for source in sources:
        folder = Path(source)
        if not folder.is_dir():
            raise FileNotFoundError(f"training data: no folder {folder}")
        known = _categories(folder / "manifest.csv")
        for name, data in _files(folder):
            if _held_out(name) != validation:
                continue
            with Image.open(io.BytesIO(data)) as image:
                pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
            for part in _cut(pixels):
                sizes.append((part.shape[1], part.shape[2]))
                full = torch.zeros(3, SIDE, SIDE, dtype=torch.uint8)
                full[:, : part.shape[1], : part.shape[2]] = part
                tiles.append(full)
                categories.append(known.get(name, "natural"))
    if not tiles:
        raise ValueError(f"training data: no pictures in {', '.join(map(str, sources))}")
    share = {c: CATEGORY_WEIGHTS.get(c, 0.85) / categories.count(c) for c in set(categories)}
    weights = torch.tensor([share[c] for c in categories], dtype=torch.float64)
    return TileSet(torch.stack(tiles), torch.tensor(sizes), weights)


def _categories(manifest: Path) -> dict[str, str]:
    if not manifest.is_file():
        return {}
    with open(manifest, newline="") as f:
        return {row["file"]: row["category"] for row in csv.DictReader(f)}


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".tar":
            with tarfile.open(path) as archive:
                for member in archive:
                    stream = archive.extractfile(member)
                    if stream is not None and Path(member.name).suffix.lower() in SUFFIXES:
                        yield member.name, stream.read()
        elif path.suffix.lower() in SUFFIXES:
            yield path.name, path.read_bytes()


def _held_out(name: str) -> bool:
    original = name.rsplit("-", 1)[0]
    return hashlib.sha256(original.encode()).digest()[0] % 32 == 0


def _cut(pixels: Tensor) -> Iterator[Tensor]:
    """Tiles of a picture; what is left at its right and bottom edges must be worth a crop."""
    _, height, width = pixels.shape
    for top in range(0, height, SIDE):
        for left in range(0, width, SIDE):
            part = pixels[:, top : top + SIDE, left : left + SIDE]
            if min(part.shape[1:]) >= 64:
                yield part


def principal_components(tiles: TileSet, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Principal components of 16x16 blocks: rows `[count, 768]`, and their energies `[count]`.

    Blocks are in `pixel_unshuffle(16)` order, with 0.5 taken off every pixel.
    """
    generator = torch.Generator().manual_seed(seed)
    moments = torch.zeros(768, 768, dtype=torch.float64)
    blocks = 0
    for _ in range(40):
        crops = tiles.crops(32, 128, generator).cpu() - 0.5
        rows = torch.nn.functional.pixel_unshuffle(crops, 16).permute(0, 2, 3, 1).reshape(-1, 768)
        moments += (rows.t() @ rows).double()
        blocks += len(rows)
    energies, vectors = torch.linalg.eigh(moments / blocks)
    order = energies.argsort(descending=True)[:count]
    return vectors[:, order].t().float().contiguous(), energies[order].float()
