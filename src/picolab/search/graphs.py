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

    def __init__(self, analysis: nn.Module, context: nn.Module) -> None:
        super().__init__()
        self.analysis, self.context = analysis, context

    def forward(self, picture: Tensor, level: Tensor) -> Tensor:
        y, z = self.analysis(picture, level)
        return self.context(y, z.round(), torch.ones_like(y), level)


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
    graphs = released_graphs(Codec(shape), dial=False)
    graph = graphs["synthesis"]
    if side == "encoder":
        analysis, context = graphs["analysis"], graphs["context"]
        module = Encoding(analysis.module, context.module)
        graph = Graph(module, analysis.example, analysis.inputs, context.outputs)
    data = to_onnx_bytes(graph.module, graph.example, graph.inputs, graph.outputs)
    shapes = input_shapes(shape, side, tile)
    model = onnx.load_from_string(data)
    for given in model.graph.input:
        for place, size in zip(given.type.tensor_type.shape.dim, shapes[given.name], strict=True):
            place.dim_value = size
    file.write_bytes(model.SerializeToString())
    return shapes
