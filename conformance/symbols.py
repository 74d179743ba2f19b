"""SHA-256 of the symbols of every learned piece of .pico files, by an arithmetic of one's choice;
of a lossless one, of the WebP file that shows it, and of AV1 its stream (docs/format.md, 3).

    python conformance/symbols.py FILE.pico ... MODEL_FOLDER [--with numpy|torch|onnxruntime]

Prints what `node web/picocodec/dist/cli.js FILE.pico ... MODEL_FOLDER` prints.
"""

from __future__ import annotations

import argparse
import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np
from cases import digest
from numpy.typing import NDArray

from picocodec.coders.learned import decode_symbols
from picocodec.errors import UnsupportedVersion
from picocodec.format import container
from picocodec.format.pieces import CoderId
from picocodec.format.streams import check_stream, webp_file
from picocodec.format.tiles import MARGIN
from picocodec.model import scale_decoder
from picocodec.model.model import Model
from picocodec.model.runtime import ort
from picocodec.model.scale_decoder import Z_LIMIT, level_bin

Ints = NDArray[np.int32]


class ByNumpy(Model):
    """The reference."""

    def y_indices(self, z: Ints, level: int) -> NDArray[np.uint8]:
        return scale_decoder.decode(self.integer_layers, z, level_bin(level))


class ByTorch(Model):
    """PyTorch's convolutions of 64-bit integers."""

    def y_indices(self, z: Ints, level: int) -> NDArray[np.uint8]:
        import torch

        x = torch.from_numpy(z).long().clamp(-Z_LIMIT, Z_LIMIT)[None]
        for layer in self.integer_layers:
            weight = torch.from_numpy(layer.weight).long()
            bias = layer.bias[level_bin(level) if len(layer.bias) > 1 else 0]
            acc = torch.conv2d(x, weight, torch.from_numpy(bias).long(), padding="same")
            half = 1 << (layer.shift - 1)
            x = ((acc + half).clamp_min(0) >> layer.shift).clamp_max(layer.top)
            x = torch.pixel_shuffle(x, 2) if layer.upsample else x
        return x[0].to(torch.uint8).numpy()


class ByPlainGraph(Model):
    """ONNX Runtime, running the graph as it is written."""

    @cached_property
    def _plain(self) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = self.threads
        return ort.InferenceSession(
            str(self.folder / "scale_decoder.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def y_indices(self, z: Ints, level: int) -> NDArray[np.uint8]:
        shifted = (z.clip(-Z_LIMIT, Z_LIMIT) + 128).astype(np.uint8)[None]
        feed = {"z": shifted, "bin": np.array(level_bin(level), np.int64)}
        return self._plain.run(None, feed)[0][0]


ARITHMETIC = {
    "onnxruntime": Model,
    "onnxruntime-plain": ByPlainGraph,
    "numpy": ByNumpy,
    "torch": ByTorch,
}


def digests(data: bytes, model: Model) -> list[str]:
    """The digest of each piece of a file; raises a `PicoError`."""
    header = container.read_header(data)
    found = []
    for number, piece in enumerate(header.pieces):
        payload = container.payload(header, data, number)
        area = piece.area(header.width, header.height)
        if piece.coder == CoderId.LEARNED:
            tile = area.grown(-MARGIN)
            found.append(digest(*decode_symbols(model, payload, tile, piece.level)))
        elif piece.coder == CoderId.AV1:
            check_stream(payload, area)
            found.append(hashlib.sha256(payload).hexdigest())
        elif piece.coder == CoderId.LOSSLESS:
            found.append(hashlib.sha256(webp_file(payload, area)).hexdigest())
        else:
            raise UnsupportedVersion(f"piece {number} has coder {piece.coder}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="SHA-256 of the symbols of each piece.")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("model", type=Path, help="the model's folder")
    parser.add_argument("--with", dest="arithmetic", choices=ARITHMETIC, default="onnxruntime")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    model = ARITHMETIC[args.arithmetic](args.model, args.threads)
    for path in args.files:
        for i, line in enumerate(digests(path.read_bytes(), model)):
            print(f"{line}  {i}  {path}", flush=True)


if __name__ == "__main__":
    main()
