"""Training pictures as one block of bytes on the device, and random crops out of it."""

from __future__ import annotations

import csv
import hashlib
import io
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

SIDE = 512  # pictures are stored as tiles of this side
MASK_STEP = 4  # pixels on each side of an element of a text mask
CATEGORY_WEIGHTS = {"natural": 0.85, "text": 0.12, "graphics": 0.03}
TextFinder = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".ppm"}


@dataclass
class TileSet:
    """`tiles` uint8 `[N, 3, 512, 512]`, the used `sizes` `[N, 2]` of each (height, width), the
    probability `weights` `[N]` of drawing it, and the presence of text in it, uint8 `masks`
    `[N, 1, 128, 128]`, each for 4x4 pixels."""

    tiles: Tensor
    sizes: Tensor
    weights: Tensor
    masks: Tensor

    def __len__(self) -> int:
        return len(self.tiles)

    def to(self, device: torch.device) -> TileSet:
        return TileSet(
            self.tiles.to(device), self.sizes.to(device), self.weights, self.masks.to(device)
        )

    def crops(self, batch: int, side: int, generator: torch.Generator) -> Tensor:
        """`[batch, 3, side, side]` in [0, 1]: random tiles, places, mirrorings and transposes."""
        return self.masked_crops(batch, side, generator)[0]

    def masked_crops(
        self, batch: int, side: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Crops, and the presence of text in them `[batch, 1, side, side]` in [0, 1].

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
        turned = (turns >= 4)[:, None, None, None]

        def gather(values: Tensor, at: Tensor) -> Tensor:
            channels = torch.arange(values.shape[1], device=device)[None, :, None, None]
            rows, columns = at[:, 0, None, :, None], at[:, 1, None, None, :]
            crops = values[which[:, None, None, None], channels, rows, columns]
            crops = torch.where(turned, crops.transpose(2, 3), crops)
            return (crops.float() / 255).contiguous(memory_format=torch.channels_last)

        return gather(self.tiles, at), gather(self.masks, at // MASK_STEP)


def load_tiles(
    sources: Iterable[str | Path], validation: bool | None = False, masks: str | Path | None = None
) -> TileSet:
    """Read every picture of the sources, each a folder of images or of tars of images.

    A `manifest.csv` in a folder gives the category of its files, by which they are weighted;
    others count as natural. One original in 32, chosen by the hash of its name up to the last
    "-", is held out for validation and never trained on; `validation` None reads all. `masks` is
    a tar of text masks, made by `picolab prepare`; a picture that it does not name has no text.
    """
    known_masks = read_masks(Path(masks)) if masks else {}
    tiles: list[Tensor] = []
    texts: list[Tensor] = []
    sizes: list[tuple[int, int]] = []
    categories: list[str] = []
    for source in sources:
        folder = Path(source)
        if not folder.is_dir():
            raise FileNotFoundError(f"training data: no folder {folder}")
        known = _categories(folder / "manifest.csv")
        for name, data in _files(folder):
            if validation is not None and _held_out(name) != validation:
                continue
            with Image.open(io.BytesIO(data)) as image:
                pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
            mask = torch.from_numpy(known_masks[name])[None] if name in known_masks else None
            for top, left in _tile_corners(*pixels.shape[1:]):
                part = pixels[:, top : top + SIDE, left : left + SIDE]
                sizes.append((part.shape[1], part.shape[2]))
                tiles.append(_padded(part, SIDE))
                side, top, left = (n // MASK_STEP for n in (SIDE, top, left))
                text = mask[:, top : top + side, left : left + side] if mask is not None else None
                texts.append(_padded(text, side))
                categories.append(known.get(name, "natural"))
    if not tiles:
        raise ValueError(f"training data: no pictures in {', '.join(map(str, sources))}")
    share = {c: CATEGORY_WEIGHTS.get(c, 0.85) / categories.count(c) for c in set(categories)}
    weights = torch.tensor([share[c] for c in categories], dtype=torch.float64)
    return TileSet(torch.stack(tiles), torch.tensor(sizes), weights, torch.stack(texts))


def read_masks(path: Path) -> dict[str, NDArray[np.uint8]]:
    """Text masks `[H / 4, W / 4]` by the name of their picture."""
    masks = {}
    with tarfile.open(path) as archive:
        for member in archive:
            stream = archive.extractfile(member)
            if stream is not None:
                with Image.open(stream) as image:
                    masks[member.name.removesuffix(".png")] = np.array(image.convert("L"))
    return masks


def write_masks(sources: Iterable[str | Path], path: Path, find: TextFinder) -> int:
    """Find text in every picture of the sources and write its masks, for `load_tiles`; returns
    how many pictures have some. `find` maps pixels uint8 `[H, W, 3]` to its presence `[H, W]`."""
    found = 0
    with tarfile.open(path, "w") as archive:
        for source in sources:
            for name, data in _files(Path(source)):
                with Image.open(io.BytesIO(data)) as image:
                    presence = find(np.array(image.convert("RGB")))
                if presence.max() < 0.5:
                    continue
                small = Image.fromarray((255 * presence).round().astype(np.uint8))
                width, height = (-(-n // MASK_STEP) for n in small.size)
                buffer = io.BytesIO()
                small.resize((width, height), Image.Resampling.BOX).save(buffer, "png")
                member = tarfile.TarInfo(f"{name}.png")
                member.size = buffer.tell()
                buffer.seek(0)
                archive.addfile(member, buffer)
                found += 1
    return found


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


def _tile_corners(height: int, width: int) -> Iterator[tuple[int, int]]:
    """Where the tiles of a picture begin; what is left at its edges must be worth a crop."""
    for top in range(0, height, SIDE):
        for left in range(0, width, SIDE):
            if min(height - top, width - left) >= 64:
                yield top, left


def _padded(part: Tensor | None, side: int) -> Tensor:
    """uint8 `[C, side, side]`: the part in its upper left corner, zero elsewhere."""
    full = torch.zeros(1 if part is None else len(part), side, side, dtype=torch.uint8)
    if part is not None:
        full[:, : part.shape[1], : part.shape[2]] = part
    return full


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
