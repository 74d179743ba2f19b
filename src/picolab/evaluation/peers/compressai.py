"""Models of CompressAI's zoo, where that package and their weights are on this machine."""

from __future__ import annotations

import struct
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from picolab.evaluation.peers.protocol import Picture, Unavailable, require

UNIT = 64  # sides that the models take are multiples of it
HEAD = "<BHHHHB"  # quality, height, width, height and width of z, number of strings


class CompressAI:
    """One architecture, trained for squared error; a rate is a quality of the zoo, each a model of
    its own. Those qualities are rates whose weights PyTorch Hub has in its cache."""

    extension = ".bin"

    def __init__(self, architecture: str) -> None:
        self.name = f"compressai-{architecture}"
        self.architecture = architecture
        self.version = f"compressai {require('compressai', 'compressai').__version__}"
        files = require("compressai.zoo.image", "compressai").model_urls[architecture]["mse"]
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        there = [q for q, url in files.items() if (folder / Path(url).name).is_file()]
        if not there:
            raise Unavailable(
                f"put its weights into {folder}: {', '.join(files.values()) or 'there are none'}"
            )
        self.rates: tuple[float, ...] = tuple(sorted(there))
        self.settings = (
            f"compressai.zoo.image_models[{architecture!r}]({{rate}}, 'mse', pretrained=True), "
            f"sides continued to multiples of {UNIT}"
        )

    @torch.no_grad()
    def encode(self, image: Picture, rate: float) -> bytes:
        height, width = image.shape[:2]
        x = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None] / 255
        x = F.pad(x, (0, -width % UNIT, 0, -height % UNIT), mode="replicate")
        coded = _model(self.architecture, int(rate)).compress(x)
        strings = [of_batch[0] for of_batch in coded["strings"]]
        head = struct.pack(HEAD, int(rate), height, width, *coded["shape"], len(strings))
        return head + b"".join(struct.pack("<I", len(s)) + s for s in strings)

    @torch.no_grad()
    def decode(self, data: bytes) -> Picture:
        quality, height, width, *shape, count = struct.unpack_from(HEAD, data)
        at, strings = struct.calcsize(HEAD), []
        for _ in range(count):
            (length,) = struct.unpack_from("<I", data, at)
            strings.append([data[at + 4 : at + 4 + length]])
            at += 4 + length
        shown: Tensor = _model(self.architecture, quality).decompress(strings, shape)["x_hat"]
        pixels = (shown[0, :, :height, :width].clamp(0, 1) * 255).round().to(torch.uint8)
        return pixels.permute(1, 2, 0).numpy()


@lru_cache(maxsize=2)
def _model(architecture: str, quality: int) -> Any:
    zoo = require("compressai.zoo", "compressai")
    model = zoo.image_models[architecture](quality, metric="mse", pretrained=True).eval()
    model.update()
    return model
