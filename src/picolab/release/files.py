"""The files of a released model: written, and checked against PyTorch."""

from __future__ import annotations

import hashlib
import io
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from picocodec.format.container import LEVEL_STEPS
from picocodec.format.tables import TOTAL, Table, check_table, scale_of_index
from picocodec.model import scale_decoder
from picocodec.model.model import PREVIEWS, SLOPES, Model
from picocodec.model.noise import STEP, noise
from picocodec.model.scale_decoder import IntegerLayer, level_bin
from picolab.networks.integer import WEIGHT_LIMIT

OPSET = 17
ESCAPE_PROBABILITY = 1e-4  # of leaving a table's radius; an escape then costs about 20 bits
SKIP_PROBABILITY = 0.002  # elements less likely than this to be anything but zero are skipped


def to_onnx_bytes(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    input_names: Sequence[str],
    output_names: Sequence[str],
) -> bytes:
    """An ONNX file of `module`, free in the height and width of every 4-D input and output."""
    free = [n for n, x in zip(input_names, inputs, strict=True) if x.ndim == 4]
    # Names of their own: what has one name is of one size to ONNX Runtime.
    axes = {n: {2: f"{n}_height", 3: f"{n}_width"} for n in (*free, *output_names)}
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the exporter's age and traced constants
        torch.onnx.export(
            module.eval(),
            inputs,
            buffer,  # type: ignore[arg-type]
            input_names=list(input_names),
            output_names=list(output_names),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    return buffer.getvalue()


def store_as_half(data: bytes) -> bytes:
    """The same network with its float32 weights stored as float16, and cast when it is loaded."""
    model = onnx.load_from_string(data)
    casts = []
    for tensor in list(model.graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < 64:
            continue
        half = numpy_helper.from_array(values.astype(np.float16), tensor.name + ".half")
        casts.append(helper.make_node("Cast", [half.name], [tensor.name], to=TensorProto.FLOAT))
        model.graph.initializer.remove(tensor)
        model.graph.initializer.append(half)
    for node in reversed(casts):
        model.graph.node.insert(0, node)
    model.doc_string = ""
    return model.SerializeToString()


def scale_decoder_onnx(layers: Sequence[IntegerLayer]) -> bytes:
    """The scale decoder in integer operations alone: its fast implementation.

    Inputs: `z` uint8 `[1, Nz, h, w]`, symbols + 128; `bin` int64, the bin of the level. Output:
    `indices` uint8.
    """
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def constant(name: str, values: NDArray[np.generic]) -> str:
        constants.append(numpy_helper.from_array(values, name))
        return name

    y_channels = len(layers[-1].weight)
    x, z_zero = "z", constant("z_zero", np.array(128, np.uint8))
    no_zero = constant("no_zero", np.array(0, np.uint8))
    # ONNX Runtime is three times as fast with weights that are unsigned, too.
    weight_zero = constant("weight_zero", np.array(WEIGHT_LIMIT, np.uint8))
    for i, layer in enumerate(layers):

        def add(kind: str, inputs: list[str], i: int = i, **attributes: Any) -> str:
            name = f"{kind}_{i}_{len(nodes)}"
            nodes.append(helper.make_node(kind, inputs, [name], **attributes))
            return name

        pad = layer.weight.shape[-1] // 2
        unsigned = layer.weight.astype(np.int32) + WEIGHT_LIMIT
        weight = constant(f"weight_{i}", unsigned.astype(np.uint8))
        zero_of_x = z_zero if i == 0 else no_zero
        acc = add("ConvInteger", [x, weight, zero_of_x, weight_zero], pads=[pad] * 4)
        half = layer.bias.astype(np.int64) + (1 << (layer.shift - 1))
        bias = constant(f"bias_{i}", half.astype(np.int32)[:, :, None, None])
        if len(layer.bias) > 1:
            bias = add("Gather", [bias, "bin"], axis=0)
        acc = add("Add", [acc, bias])
        acc = add("Max", [acc, constant(f"zero_{i}", np.array(0, np.int32))])
        acc = add("Div", [acc, constant(f"divisor_{i}", np.array(1 << layer.shift, np.int32))])
        acc = add("Min", [acc, constant(f"top_{i}", np.array(layer.top, np.int32))])
        x = add("Cast", [acc], to=TensorProto.UINT8)
        if layer.upsample:
            x = add("DepthToSpace", [x], blocksize=2, mode="CRD")
    nodes[-1].output[0] = "indices"
    graph = helper.make_graph(
        nodes,
        "scale_decoder",
        [
            helper.make_tensor_value_info(
                "z", TensorProto.UINT8, [1, layers[0].weight.shape[1], "height", "width"]
            ),
            helper.make_tensor_value_info("bin", TensorProto.INT64, []),
        ],
        [helper.make_tensor_value_info("indices", TensorProto.UINT8, [1, y_channels, "h4", "w4"])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model.SerializeToString()


def table_of_scale(index: int) -> Table:
    """The frequencies of symbols -R..R and the escape, for the Laplace distribution of a scale."""
    scale = scale_of_index(index)

    def beyond(x: float) -> float:
        """The probability of a value above `x`, which is not negative."""
        return 0.5 * math.exp(-x / scale)

    radius = 1
    while 2 * beyond(radius + 0.5) > ESCAPE_PROBABILITY:
        radius += 1
    half = [beyond(k - 0.5) - beyond(k + 0.5) for k in range(1, radius + 1)]
    middle = 1 - 2 * beyond(0.5)
    probabilities = [*reversed(half), middle, *half, 2 * beyond(radius + 0.5)]
    frequencies = np.maximum(1, np.rint(np.array(probabilities) * TOTAL)).astype(np.int64)
    frequencies[radius] += TOTAL - frequencies.sum()
    table = frequencies.astype(np.uint32)
    check_table(table)
    return table


def skipped_scales(tables: Sequence[Table]) -> int:
    """The first scale index whose symbols are worth coding."""
    for index, table in enumerate(tables):
        if 1 - table[len(table) // 2 - 1] / TOTAL > SKIP_PROBABILITY:
            return index
    raise ValueError("entropy tables: every scale would be skipped")


def write_tables(
    path: Path,
    tables: Sequence[Table],
    z_index: Tensor,
    layers: Sequence[IntegerLayer],
    skip_below: int,
) -> None:
    """`tables.npz`: all integers that say what bytes mean, but `skip_below`."""
    arrays: dict[str, NDArray[np.generic]] = {
        "table_lengths": np.array([len(t) for t in tables], np.uint16),
        "tables": np.concatenate(tables).astype(np.uint32),
        # A skipped index would make z zero by definition.
        "z_index": z_index.detach().round().numpy().astype(np.uint8).clip(skip_below, None),
        "layer_settings": np.array(
            [(layer.shift, layer.top, layer.upsample) for layer in layers], np.uint8
        ),
    }
    for i, layer in enumerate(layers):
        arrays[f"layer{i}_weight"] = layer.weight
        arrays[f"layer{i}_bias"] = layer.bias
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def write_description(
    folder: Path,
    files: Sequence[str],
    name: str,
    version: int,
    skip_below: int,
    realism: float,
    slopes: Sequence[float],
    notes: dict[str, str],
) -> None:
    """`model.toml`, with the hash of each of the model's `files`."""
    lines = [f'name = "{name}"', f"version = {version}", f"skip_below = {skip_below}"]
    lines.append(f"realism = {realism}")
    lines += [f"{key} = {slope}" for key, slope in zip(SLOPES, slopes, strict=True)]
    lines += [f'{key} = "{value}"' for key, value in notes.items()]
    lines += ["", "[sha256]"]
    for file in files:
        digest = hashlib.sha256((folder / file).read_bytes()).hexdigest()
        lines.append(f'"{file}" = "{digest}"')
    (folder / "model.toml").write_text("\n".join(lines) + "\n", "utf-8")


@torch.no_grad()
def check_export(
    graphs: dict[str, nn.Module], layers: Sequence[IntegerLayer], model: Model
) -> None:
    """Run the written files beside PyTorch, as far as there are graphs, and the integer reference;
    raise `RuntimeError` on a difference."""
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(1, 3, 192, 320, generator=generator)
    picture = torch.nn.functional.avg_pool2d(picture, 9, 1, 4)
    for level in (0, 370, LEVEL_STEPS):
        at = torch.tensor([level / LEVEL_STEPS])
        y, z = graphs["analysis"](picture, at)
        ours = model.analyse(picture.numpy(), level)
        _compare("y", y.numpy(), ours[0], 1e-3 * float(y.abs().max()))
        _compare("z", z.numpy(), ours[1], 1e-3 * float(z.abs().max()))
        z_symbols = z[0].round().int().numpy()
        indices = model.y_indices(z_symbols, level)
        reference = scale_decoder.decode(layers, z_symbols, level_bin(level))
        if not np.array_equal(indices, reference):
            raise RuntimeError("export: the two scale decoders disagree")
        # Symbols may flip where y falls between two; so each side decodes the same ones.
        symbols, y_hat = model.quantise(y.numpy(), z_symbols, indices >= model.skip_below, level)
        values = torch.from_numpy(symbols)[None].float()
        theirs = graphs["context"](values, torch.zeros_like(values), z.round(), at)[1].numpy()
        _compare("y_hat", theirs, y_hat, 1e-3 * float(abs(theirs).max()))
        inputs = (torch.from_numpy(y_hat), at)
        for realism in (0.0, 1.0) if model.has_dial else (0.0,):
            name = model.decoder_at(realism)
            if name not in graphs:
                continue
            told: list[Tensor] = []
            if model.has_dial and name == "synthesis":
                told.append(torch.tensor([realism]))
                if model.noise_channels:
                    sides = picture.shape[2] // STEP, picture.shape[3] // STEP
                    told.append(torch.from_numpy(noise(model.noise_channels, sides)))
            theirs = graphs[name](*inputs, *told).numpy()
            _compare(name, theirs, model.synthesise(y_hat, level, realism), 2e-3)
        for divisor in model.previews:
            name = PREVIEWS[divisor]
            if name in graphs:
                theirs = graphs[name](*inputs).numpy()
                _compare(name, theirs, model.preview(y_hat, level, divisor), 2e-3)


def _compare(what: str, ours: NDArray[np.float32], theirs: NDArray[np.float32], at_most: float):
    difference = float(np.abs(ours - theirs).max())
    if not difference <= at_most:
        raise RuntimeError(f"export: {what} differs from PyTorch by {difference:.2g}")
