"""Training tiles in one memory-mapped file, which all processes share, and random crops of them.

A folder of tiles holds `tiles.u8`, uint8 `[N, 512, 512, 3]` row after row, and `tiles.csv`, a row
for each (its columns: `picolab data build`). Crops come as patches (`networks/blocks.py`).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from picolab.data.tilefile import PIXELS, SIDE, TABLE
from picolab.networks.blocks import PATCH, to_squares

NATURAL = "natural"  # the category of photos
# Shares of the draws by the groups that tiles belong to; groups that are absent leave theirs.
DRAWS = {
    "many": 0.5,
    "natural": 0.4,
    "many_text": 0.04,
    "text": 0.04,
    "many_graphics": 0.01,
    "graphics": 0.01,
}


@dataclass(frozen=True)
class Crops:
    """`patches` uint8 `[B, 3 * 64, side / 8, side / 8]`, channels-last; `natural` bool `[B]`."""

    patches: Tensor
    natural: Tensor

    def centred(self, dtype: torch.dtype) -> Tensor:
        """What the networks get: the patches in [-0.5, 0.5]."""
        return (self.patches.float() / 255 - 0.5).to(dtype)


class TileFile:
    """The tiles that are trained on (`held_out` False) or validated on (True), of one folder.

    On a CPU they stay in the file; `to` copies them to another device, where crops are cut then.
    """

    def __init__(self, folder: Path, held_out: bool, draws: Mapping[str, float] = DRAWS) -> None:
        rows = read_rows(folder)
        whole = np.memmap(folder / PIXELS, np.uint8, "r")
        if whole.size != len(rows) * SIDE * SIDE * 3:
            raise ValueError(
                f"{folder}: {PIXELS} has {whole.size} bytes where {TABLE} names {len(rows)} "
                "tiles; build the folder again"
            )
        self.pixels: NDArray[np.uint8] = whole.reshape(-1, SIDE, SIDE, 3)
        chosen = [row for row in rows if bool(int(row["held_out"])) == held_out]
        if not chosen:
            raise ValueError(f"{folder}: no tile is {'held out' if held_out else 'to train on'}")
        self.index = np.array([int(row["index"]) for row in chosen])
        self.natural = torch.tensor([row["category"] == NATURAL for row in chosen])
        self.originals = [row["original"] for row in chosen]
        self.weights = _weights([row["draw"] for row in chosen], draws, folder)
        self._resident: Tensor | None = None

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: torch.device) -> TileFile:
        if device.type != "cpu":
            shape = len(self), SIDE, SIDE, 3
            self._resident = torch.empty(shape, dtype=torch.uint8, device=device)
            for at, number in enumerate(self.index):
                self._resident[at].copy_(torch.from_numpy(np.array(self.pixels[number])))
        return self

    def draw(self, batch: int, side: int, generator: torch.Generator) -> Crops:
        """Random tiles, places, mirrorings and transposes, all from `generator` (on the CPU)."""
        which = torch.multinomial(self.weights, batch, replacement=True, generator=generator)
        corners = torch.randint(0, SIDE - side + 1, (batch, 2), generator=generator)
        turns = torch.randint(0, 8, (batch,), generator=generator)
        places = zip(which.tolist(), corners.tolist(), turns.tolist(), strict=True)
        cells = side // PATCH
        if self._resident is not None:
            crops = torch.stack([_cut(self._resident[i], c, t, side) for i, c, t in places])
        else:
            # Pixels move as wholes, which is several times as fast as their three bytes.
            out = np.empty((batch, cells, cells, PATCH, PATCH), "V3")
            whole = self.pixels.view("V3")[..., 0]
            for at, (i, (top, left), turn) in enumerate(places):
                crop = whole[self.index[i], top : top + side, left : left + side]
                crop = crop[:: -1 if turn & 1 else 1, :: -1 if turn & 2 else 1]
                crop = crop.T if turn & 4 else crop
                out[at] = crop.reshape(cells, PATCH, cells, PATCH).transpose(0, 2, 1, 3)
            crops = torch.from_numpy(out.view(np.uint8))
        patches = crops.reshape(batch, cells, cells, 3 * PATCH**2).permute(0, 3, 1, 2)
        return Crops(patches, self.natural[which])

    def whole(self, number: int) -> Tensor:
        """A whole tile as patches uint8 `[1, 192, 64, 64]`, on the CPU."""
        tile = torch.from_numpy(np.array(self.pixels[self.index[number]]))
        cells = SIDE // PATCH
        rows = tile.reshape(cells, PATCH, cells, PATCH, 3).permute(0, 2, 1, 3, 4)
        return rows.reshape(1, cells, cells, 3 * PATCH**2).permute(0, 3, 1, 2)


def _cut(tile: Tensor, corner: list[int], turn: int, side: int) -> Tensor:
    """The same crop from a tile `[512, 512, 3]` on another device, `[cells, cells, 8, 8, 3]`."""
    top, left = corner
    crop = tile[top : top + side, left : left + side]
    flipped = [axis for axis in (0, 1) if turn >> axis & 1]
    crop = crop.flip(flipped) if flipped else crop
    crop = crop.transpose(0, 1) if turn & 4 else crop
    cells = side // PATCH
    return crop.reshape(cells, PATCH, cells, PATCH, 3).permute(0, 2, 1, 3, 4)


def read_rows(folder: Path) -> list[dict[str, str]]:
    """The rows of `tiles.csv`; `FileNotFoundError` says how to make one."""
    try:
        with open(folder / TABLE, newline="") as f:
            return list(csv.DictReader(f))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{folder}: no {TABLE}; make the folder with `picolab data build`"
        ) from None


def _weights(groups: list[str], draws: Mapping[str, float], folder: Path) -> Tensor:
    """The probability of drawing each tile, float64 `[N]`: alike within a group."""
    unknown = sorted(set(groups) - set(draws))
    if unknown:
        raise ValueError(f"{folder}: draw group {unknown[0]!r} is none of {', '.join(draws)}")
    counts = {group: groups.count(group) for group in set(groups)}
    return torch.tensor([draws[group] / counts[group] for group in groups], dtype=torch.float64)


def principal_components(
    tiles: TileFile, count: int, draws: int = 40, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Principal components of squares of 16x16 pixels: rows `[count, 768]`, and their energies
    `[count]`, in the order of `to_squares` of patches; from 32 crops in each of the `draws`."""
    generator = torch.Generator().manual_seed(seed)
    moments = torch.zeros(768, 768, dtype=torch.float64)
    squares = 0
    for _ in range(draws):
        crops = tiles.draw(32, 128, generator).centred(torch.float32).cpu()
        rows = to_squares(crops).permute(0, 2, 3, 1).reshape(-1, 768)
        moments += (rows.t() @ rows).double()
        squares += len(rows)
    energies, vectors = torch.linalg.eigh(moments / squares)
    order = energies.argsort(descending=True)[:count]
    return vectors[:, order].t().float().contiguous(), energies[order].float()
