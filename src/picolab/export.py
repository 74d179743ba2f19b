"""A trained codec to the files that picocodec runs: fold, write, and check against PyTorch."""

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
from picocodec.format.tables import SCALE_COUNT, TOTAL, Table, check_table, scale_of_index
from picocodec.model import scale_decoder
from picocodec.model.model import FILES, PREVIEW, SLOPES, Model
from picocodec.model.noise import STEP, noise
from picocodec.model.scale_decoder import LEVEL_BINS, IntegerLayer, level_bin
from picolab.data.images import TileSet
from picolab.networks.codec import Codec
from picolab.networks.integer import WEIGHT_LIMIT
from picolab.networks.layers import fold
from picolab.preview import Preview, fit_preview

OPSET = 17
ESCAPE_PROBABILITY = 1e-4  # of leaving a table's radius; an escape then costs about 20 bits
SKIP_PROBABILITY = 0.002  # elements less likely than this to be anything but zero are skipped


def export_model(
    codec: Codec,
    folder: Path,
    name: str,
    version: int,
    notes: dict[str, str],
    realism: float = 0.0,
    tiles: TileSet | None = None,
) -> Path:
    """Write the released form of a trained codec to `folder/name.vN`, checked; returns its path.

    `codec` is folded in place. `realism` is what its decoder does unless it is told. A preview is
    fitted to `tiles`; without them the release has none. Weights are
    stored as float16 and run as float32; the rounding is done first, so that the check against
    PyTorch covers it. Raises `RuntimeError` if what was written does not compute what PyTorch does.
    """
    target = folder / f"{name}.v{version}"
    target.mkdir(parents=True, exist_ok=True)
    z_index = codec.z_scale_index(torch.arange(LEVEL_BINS) / (LEVEL_BINS - 1))
    layers = codec.scale_decoder.export()
    tables = [table_of_scale(i) for i in range(SCALE_COUNT)]
    skip_below = skipped_scales(tables)
    write_tables(target / "tables.npz", tables, z_index, layers, skip_below)
    (target / "scale_decoder.onnx").write_bytes(scale_decoder_onnx(layers))

    preview = fit_preview(codec, tiles, skip_below, realism) if tiles else None
    graphs = prepare_graphs(codec, preview)
    cfg = codec.cfg
    y, z = torch.randn(1, cfg.y_channels, 8, 12), torch.randn(1, cfg.z_channels, 2, 3)
    level = torch.tensor([0.5])
    samples = {
        "analysis": ((torch.rand(1, 3, 128, 192), level), ["picture", "level"], ["y", "z"]),
        "context": (
            (y, z, torch.ones_like(y), level),
            ["y", "z", "coded", "level"],
            ["symbols"],
        ),
        "synthesis": (
            (y.round(), z, level, torch.tensor([0.5])),
            ["symbols", "z", "level", "realism"],
            ["picture"],
        ),
    }
    if preview:
        samples["preview"] = ((y.round(), z, level), ["symbols", "z", "level"], ["picture"])
    for key, (inputs, input_names, output_names) in samples.items():
        data = to_onnx_bytes(graphs[key], inputs, input_names, output_names)
        (target / f"{key}.onnx").write_bytes(store_as_half(data))
    files = [*FILES, PREVIEW] if preview else list(FILES)
    write_description(target, files, name, version, skip_below, realism, codec.slopes, notes)
    check_export(graphs, layers, Model(target))
    return target


class _Context(nn.Module):
    """y, z, coded, level to symbols: the encoder's half of the context model."""

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.decoder, self.model = codec.context_decoder, codec.context_model

    def forward(self, y: Tensor, z: Tensor, coded: Tensor, level: Tensor) -> Tensor:
        return self.model(self.decoder(z, level), y, coded, level, encode=True)[1]


class _Synthesis(nn.Module):
    """symbols, z, level, realism to the picture."""

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.decoder, self.model = codec.context_decoder, codec.context_model
        self.synthesis = codec.synthesis

    def forward(self, symbols: Tensor, z: Tensor, level: Tensor, realism: Tensor) -> Tensor:
        y_hat = _latent(self.decoder, self.model, symbols, z, level)
        return self.synthesis(y_hat, level, realism)


class _PreviewOfSymbols(nn.Module):
    """symbols, z, level to the preview."""

    def __init__(self, codec: Codec, preview: Preview) -> None:
        super().__init__()
        self.decoder, self.model = codec.context_decoder, codec.context_model
        self.preview = preview

    def forward(self, symbols: Tensor, z: Tensor, level: Tensor) -> Tensor:
        return self.preview(_latent(self.decoder, self.model, symbols, z, level), level)


def _latent(
    decoder: nn.Module, model: nn.Module, symbols: Tensor, z: Tensor, level: Tensor
) -> Tensor:
    """y_hat: the context model's other half."""
    return model(decoder(z, level), symbols, torch.ones_like(symbols), level, encode=False)[2]


def prepare_graphs(codec: Codec, preview: Preview | None = None) -> dict[str, nn.Module]:
    """The pixel-path networks as they will be exported: folded, weights rounded."""
    codec = codec.eval().cpu()
    parts = [codec.analysis, codec.context_decoder, codec.context_model, codec.synthesis]
    for part in [*parts, preview.map] if preview else parts:
        fold(part)
        for parameter in part.parameters():
            parameter.data = parameter.data.half().float()
    graphs = {
        "analysis": codec.analysis,
        "context": _Context(codec),
        "synthesis": _Synthesis(codec),
    }
    return graphs | ({"preview": _PreviewOfSymbols(codec, preview)} if preview else {})


def to_onnx_bytes(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    input_names: Sequence[str],
    output_names: Sequence[str],
) -> bytes:
    """An ONNX file of `module`, free in the height and width of every 4-D input and output."""
    spatial = {2: "height", 3: "width"}
    axes = {n: spatial for n, x in zip(input_names, inputs, strict=True) if x.ndim == 4}
    axes |= {n: spatial for n in output_names}
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
    """Run the written files beside PyTorch and the integer reference; raise on a difference."""
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
        symbols = model.quantise(y.numpy(), z_symbols, indices >= model.skip_below, level)
        inputs = (torch.from_numpy(symbols)[None].float(), z.round(), at)
        for realism in (0.0, 1.0) if model.has_dial else (0.0,):
            told = [torch.tensor([realism])] if model.has_dial else []
            if model.noise_channels:
                sides = picture.shape[2] // STEP, picture.shape[3] // STEP
                told.append(torch.from_numpy(noise(model.noise_channels, sides)))
            theirs = graphs["synthesis"](*inputs, *told).numpy()
            _compare("picture", theirs, model.synthesise(symbols, z_symbols, level, realism), 2e-3)
        if model.has_preview:
            theirs = graphs["preview"](*inputs).numpy()
            _compare("preview", theirs, model.preview(symbols, z_symbols, level), 2e-3)


def _compare(what: str, ours: NDArray[np.float32], theirs: NDArray[np.float32], at_most: float):
    difference = float(np.abs(ours - theirs).max())
    if not difference <= at_most:
        raise RuntimeError(f"export: {what} differs from PyTorch by {difference:.2g}")
