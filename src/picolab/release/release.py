"""A trained codec to the files that picocodec runs: written, then checked against PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from picocodec.format.tables import SCALE_COUNT
from picocodec.model.files import ModelFiles
from picocodec.model.model import CLOSEST_FILE, FILES, PREVIEW_FILES, SLOPES, Model
from picocodec.model.scale_decoder import LEVEL_BINS
from picolab.data.crops import TileFile
from picolab.networks.model import Codec
from picolab.networks.shape import Shape
from picolab.release.files import (
    check_export,
    scale_decoder_onnx,
    skipped_scales,
    store_as_half,
    table_of_scale,
    to_onnx_bytes,
    write_description,
    write_tables,
)
from picolab.release.graphs import Graph, released_graphs
from picolab.release.preview import fit_preview
from picolab.training.checkpoint import load_checkpoint, without_prefix
from picolab.training.keep import load_kept


@dataclass(frozen=True)
class Trained:
    """A run's averaged weights, and what is said of how they were made."""

    codec: Codec
    notes: dict[str, str]


def read_trained(path: Path) -> Trained:
    """The codec of a run's checkpoint, or of a file of `picolab keep`, of the shape that is written
    there. Raises `FileNotFoundError` where there is none, `ValueError` for what is another's."""
    tensors, values = load_kept(path) if path.is_file() else load_checkpoint(path)
    if "shape" not in values:
        raise ValueError(f"{path}: it names no shape, so no run of `picolab train` wrote it")
    codec = Codec(Shape(**values["shape"]))
    weights = without_prefix("model", tensors) | without_prefix("ema", tensors)
    codec.load_state_dict(weights)
    progress = values["progress"]
    notes = {
        "lineage": values["lineage"],
        "stage": values["stage"],
        "pixels": f"{progress['pixels']:.4g}",
        "licence": "Apache-2.0",
    }
    return Trained(codec, notes)


def release(
    trained: Trained,
    folder: Path,
    name: str,
    version: int,
    realism: float | None = None,
    tiles: TileFile | None = None,
) -> Path:
    """Write the released form to `folder/name.vN`; returns its path.

    The codec is folded in place. Weights are stored as float16 and run as float32; the rounding is
    done first, so that the check covers it. `realism` is what the decoder does unless it is told;
    with None it knows the closest pixels alone. A preview is fitted to `tiles`; without them the
    release has none. Raises `RuntimeError` if what was written does not compute what PyTorch does.
    """
    codec = trained.codec
    target = folder / f"{name}.v{version}"
    target.mkdir(parents=True, exist_ok=True)
    z_index = codec.z_scale_index(torch.arange(LEVEL_BINS) / (LEVEL_BINS - 1))
    layers = codec.scale_decoder.export()
    tables = [table_of_scale(i) for i in range(SCALE_COUNT)]
    skip_below = skipped_scales(tables)
    write_tables(target / "tables.npz", tables, z_index, layers, skip_below)
    (target / "scale_decoder.onnx").write_bytes(scale_decoder_onnx(layers))
    preview = fit_preview(codec, tiles, skip_below, realism) if tiles else None
    graphs = released_graphs(codec, realism is not None, preview)
    for key, graph in graphs.items():
        write_graph(target / f"{key}.onnx", graph)
    ends = lambda_ends(codec)
    told = 0.0 if realism is None else realism
    files = [*FILES, *PREVIEW_FILES] if preview else list(FILES)
    write_description(target, files, name, version, skip_below, told, ends, trained.notes)
    check_export({key: graph.module for key, graph in graphs.items()}, layers, Model(target))
    return target


def with_closest(model: Path, trained: Trained, folder: Path, version: int) -> Path:
    """Write `folder/NAME.vN`: a released model, file by file, and beside its decoder another one
    for realism 0, that of `trained`; returns its path.

    The encoder and the context model of `trained` are the model's own, at rest since: so both
    decoders have the same bits. Raises `RuntimeError` where they compute something else,
    `UnknownModel` for a model that is damaged.
    """
    files = ModelFiles(model, FILES, PREVIEW_FILES)
    told = files.description
    target = folder / f"{told['name']}.v{version}"
    target.mkdir(parents=True, exist_ok=True)
    for name in files.hashes:
        (target / name).write_bytes(files.read(name))
    graphs = released_graphs(trained.codec, dial=False)
    graphs["closest"] = graphs.pop("synthesis")
    write_graph(target / CLOSEST_FILE, graphs["closest"])
    write_description(
        target,
        [*FILES, CLOSEST_FILE, *(name for name in PREVIEW_FILES if name in files.hashes)],
        told["name"],
        version,
        told["skip_below"],
        told["realism"],
        [told[name] for name in SLOPES],
        {key: told[key] for key in trained.notes if key in told},
    )
    written = Model(target)
    check_export(
        {key: graph.module for key, graph in graphs.items()}, written.integer_layers, written
    )
    return target


def write_graph(path: Path, graph: Graph) -> None:
    """A network as ONNX, its weights as float16."""
    data = to_onnx_bytes(graph.module, graph.example, graph.inputs, graph.outputs)
    path.write_bytes(store_as_half(data))


def lambda_ends(codec: Codec) -> list[float]:
    """The lambdas at levels 0 and 1 of the straight line, in the logarithm, that is nearest to all
    knots: a model's description has no more."""
    values = codec.log_lambda.double().cpu().numpy()
    slope, start = np.polyfit(np.linspace(0, 1, len(values)), values, 1)
    return [float(np.exp(start)), float(np.exp(start + slope))]
