"""What is timed: the graph of one side of a shape, as a file with inputs of fixed shapes.

Weights are those that a network starts from, since times do not depend on them.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from picolab.networks.model import Codec
from picolab.networks.shape import Shape
from picolab.release.files import to_onnx_bytes
from picolab.release.graphs import Graph, released_graphs
from picolab.search.devices import Shapes


class Encoding(nn.Module):
    """picture `[1, 3, H, W]`, level to symbols: what an encoder computes in floating point."""

    def __init__(self, graphs: dict[str, Graph]) -> None:
        super().__init__()
        self.analysis, self.context = graphs["analysis"].module, graphs["context"].module

    def forward(self, picture: Tensor, level: Tensor) -> Tensor:
        y, z = self.analysis(picture, level)
        return self.context(y, torch.ones_like(y), z.round(), level)[0]


class Decoding(nn.Module):
    """symbols, z, level to the picture: what a decoder computes in floating point."""

    def __init__(self, graphs: dict[str, Graph]) -> None:
        super().__init__()
        self.context, self.synthesis = graphs["context"].module, graphs["synthesis"].module

    def forward(self, symbols: Tensor, z: Tensor, level: Tensor) -> Tensor:
        y_hat = self.context(symbols, torch.zeros_like(symbols), z, level)[1]
        return self.synthesis(y_hat, level)


def input_shapes(shape: Shape, side: str, tile: int) -> Shapes:
    """The inputs for a tile of `tile` x `tile` pixels, a multiple of 64."""
    if side == "encoder":
        return {"picture": (1, 3, tile, tile), "level": (1,)}
    return {
        "symbols": (1, shape.y_channels, tile // 16, tile // 16),
        "z": (1, shape.z_channels, tile // 64, tile // 64),
        "level": (1,),
    }


def write_graph(shape: Shape, side: str, tile: int, file: Path) -> Shapes:
    """Write the graph of a side; gives the shapes of its inputs."""
    graphs, shapes = released_graphs(Codec(shape), dial=False), input_shapes(shape, side, tile)
    module, output = (
        (Encoding(graphs), "symbols") if side == "encoder" else (Decoding(graphs), "picture")
    )
    example = tuple(torch.full(size, 0.5) for size in shapes.values())
    data = to_onnx_bytes(module, example, list(shapes), [output])
    model = onnx.load_from_string(data)
    for given in model.graph.input:
        for place, size in zip(given.type.tensor_type.shape.dim, shapes[given.name], strict=True):
            place.dim_value = size
    file.write_bytes(model.SerializeToString())
    return shapes
