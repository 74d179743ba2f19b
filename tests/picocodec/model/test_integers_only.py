"""No float has a say in what the bytes of a file mean."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, shape_inference

from picocodec.format.entropy import SymbolCoder
from picocodec.format.rans import BestCoder
from picocodec.format.tables import TOTAL
from picocodec.format.tiles import layout
from picocodec.model import scale_decoder
from picocodec.model.model import Model
from picocodec.model.scale_decoder import level_bin
from picocodec.model.store import available_models, load_model

INTEGERS = {
    TensorProto.UINT8,
    TensorProto.INT8,
    TensorProto.INT32,
    TensorProto.INT64,
}
NAMES = ["tiny", *available_models()]


@pytest.fixture
def named(request: pytest.FixtureRequest, model: Model) -> Model:
    return model if request.param == "tiny" else load_model(request.param, threads=1)


def floats_of(graph: onnx.ModelProto) -> list[str]:
    """Every tensor of a graph, given, constant, between nodes or result, that is no integer."""
    full = shape_inference.infer_shapes(graph, strict_mode=True, data_prop=True).graph
    types = {v.name: v.type.tensor_type.elem_type for v in [*full.input, *full.output]}
    types |= {v.name: v.type.tensor_type.elem_type for v in full.value_info}
    types |= {v.name: v.data_type for v in full.initializer}
    seen = {name for node in full.node for name in [*node.input, *node.output] if name}
    return [name for name in seen if types.get(name) not in INTEGERS]


@pytest.mark.parametrize("named", NAMES, indirect=True)
def test_the_scale_decoder_is_a_graph_of_integers(named: Model) -> None:
    graph = onnx.load(named.folder / "scale_decoder.onnx")
    assert len(graph.graph.node) > 30 and not floats_of(graph)


def test_a_float_in_a_graph_is_found(model_folder: Path) -> None:
    graph = onnx.load(model_folder / "scale_decoder.onnx")
    (cast,) = (node for node in graph.graph.node if "indices" in node.output)
    cast.output[0] = "as_float"
    cast.attribute[0].i = TensorProto.FLOAT
    back = onnx.helper.make_node("Cast", ["as_float"], ["indices"], to=TensorProto.UINT8)
    graph.graph.node.append(back)
    assert floats_of(graph) == ["as_float"]


@pytest.mark.parametrize("named", NAMES, indirect=True)
def test_tables_are_integers(named: Model) -> None:
    with np.load(named.folder / "tables.npz") as arrays:
        assert {arrays[name].dtype.kind for name in arrays} <= {"i", "u"}


Z = np.zeros((8, 1, 1), np.float32)
INDICES = np.full(4, 30, np.uint8)
TABLES = [np.array([TOTAL // 4, TOTAL // 2, TOTAL // 8, TOTAL // 8])] * 64


@pytest.mark.parametrize(
    "use",
    [
        lambda m: m.y_indices(Z, 500),
        lambda m: m.y_indices_of_tile(layout(20, 20)[0], Z, 500),
        lambda m: scale_decoder.decode(m.integer_layers, Z, 32),
        lambda m: m.y_indices(Z.astype(np.int32), 500.0),
        lambda m: m.z_indices(0.5, (1, 1)),
        lambda m: level_bin(np.float32(1)),
        lambda m: m.coder.reader(b"").read(INDICES.astype(np.float32)),
        lambda m: m.coder.encode([(np.zeros(4, np.int32), INDICES.astype(np.float64))]),
        lambda m: m.coder.encode([(np.zeros(4, np.float32), INDICES)]),
        lambda m: SymbolCoder([table / TOTAL for table in TABLES], 5),
    ],
)
def test_floats_are_refused(model: Model, use: Callable[[Model], object]) -> None:
    with pytest.raises(TypeError):
        use(model)


@pytest.mark.parametrize("named", NAMES, indirect=True)
def test_the_coder_keeps_every_frequency(named: Model) -> None:
    """constriction takes probabilities, and as floats: both ends of the interval of each entry of
    each table must still lead to that entry."""
    coder = named.coder
    for index, table in enumerate(_tables(named)):
        ends = np.cumsum(table, dtype=np.uint32)
        for k, (first, end) in enumerate(zip(ends - table, ends, strict=True)):
            for q in (first, end - 1):
                state = BestCoder(np.array([q, 1], np.uint32))
                assert state.pop(1, coder._prepared(index)) == k


def _tables(model: Model) -> list[np.ndarray]:
    with np.load(model.folder / "tables.npz") as arrays:
        return np.split(arrays["tables"], np.cumsum(arrays["table_lengths"].astype(int))[:-1])
