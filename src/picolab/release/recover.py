"""A released model back to weights that training goes on from: `release` backwards.

A model holds folded weights, rounded to eight significant bits; what was rounded off is lost, and
all else comes back. Many scales and weights fold to the same. So a *reference* says which: kept
weights of the same shape, whose scales the recovered weights have, or a fresh codec's, of 1. Of
each row and column the weights stay about as large as the reference's, since an optimiser's steps
are of a size of their own.
"""

from __future__ import annotations

import io
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from picocodec.format.tables import SCALE_COUNT
from picocodec.model.files import DESCRIPTION, ModelFiles, refused
from picocodec.model.model import CLOSEST_FILE, FILES, SLOPES
from picocodec.model.scale_decoder import LEVEL_BINS
from picolab.networks.blocks import ConvScale
from picolab.networks.integer import INDEX_UNIT, IntegerConv
from picolab.networks.layers import interpolate_knots, unfold
from picolab.networks.model import Codec, LatentGains
from picolab.networks.shape import Shape, read_shape
from picolab.release.graphs import released_graphs
from picolab.release.rounded import knots_behind
from picolab.training.checkpoint import with_prefix, without_prefix
from picolab.training.control import BitTargets, LambdaController
from picolab.training.keep import load_kept

LEAST_SCALE = 0.1  # of the median scale of a layer, since weights are divided by scales
WITHIN = 2.0  # the factor by which the weights of a channel may differ from the reference's


@dataclass(frozen=True)
class Reference:
    """What a model does not tell: the shape, and of what folds to the same, which it was."""

    codec: Codec
    control: dict[str, Tensor]  # the state of the controller of bits


def read_reference(path: Path) -> Reference:
    """Of a file of `picolab keep`, or of a shape, `configs/NAME.toml`; raises `ValueError` or
    `OSError`."""
    if path.suffix == ".toml":
        codec = Codec(read_shape(path))
        controller = LambdaController(BitTargets(), codec, torch.device("cpu"))
        return Reference(codec, controller.tensors())
    tensors, values = load_kept(path)
    codec = Codec(Shape(**values["shape"]))
    codec.load_state_dict(without_prefix("model", tensors))
    return Reference(codec, without_prefix("control", tensors))


def kept_of_model(
    folder: Path, reference: Reference, closest: bool = False
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `load_kept` would give for the weights of a released model, with `closest` those of the
    decoder of its own that it has for realism 0.

    The count of steps begins anew, and the rate of learning warms up as it does for new optimisers.
    Raises `UnknownModel` for a damaged folder, `ValueError` for a model of another shape.
    """
    codec = recover(folder, reference.codec, closest)
    # A stage that goes on from it finds its lambdas, not those of the reference.
    control = {name: t for name, t in reference.control.items() if name != "found"}
    tensors = with_prefix("model", codec.state_dict()) | with_prefix("control", control)
    told = ModelFiles(folder, ()).description
    with refused(folder / DESCRIPTION):
        # As a checkpoint of training/run.py has it.
        progress = {"step": 0, "pixels": float(told["pixels"]), "cpu_seconds": 0.0}
        values = {key: str(told[key]) for key in ("lineage", "stage")}
    return tensors, {**values, "shape": codec.shape.to_dict(), "progress": progress}


@torch.no_grad()
def recover(folder: Path, like: Codec, closest: bool = False) -> Codec:
    """The codec that was released as `folder`, with `closest` with the decoder of realism 0; it
    computes the same in float32.

    Of `like`, which is not changed, come the scales, and what the model does not have: the dial
    where it was released without. Raises as `kept_of_model` does.
    """
    files = ModelFiles(folder, [*FILES, CLOSEST_FILE] if closest else FILES)
    codec = deepcopy(like).float().cpu()
    codec.move_lambdas(_log_lambdas(files, codec.log_lambda))
    folded = _folded(files, codec, "closest" if closest else "synthesis")
    for module in _convolutions(codec).values():
        for scale in (module.scale_in, module.scale_out):
            least = LEAST_SCALE * float(scale.abs().median()) or 1.0
            scale.copy_(scale.abs().clamp_min(least).copysign(scale))
    for name in ("encoder", "context_decoder", "context_model", "decoder"):
        unfold(codec.get_submodule(name), folded.get_submodule(name))
    references = _convolutions(like)
    for name, module in _convolutions(codec).items():
        _steady(module, references[name].weight)
    _take_integers(codec, files)
    return codec


def _convolutions(codec: Codec) -> dict[str, ConvScale]:
    return {name: m for name, m in codec.named_modules() if isinstance(m, ConvScale)}


def _log_lambdas(files: ModelFiles, like: Tensor) -> Tensor:
    """Of each knot `[K]`: the line that the description tells, and beside it what `like` is beside
    the line nearest to it."""
    with refused(files.folder / DESCRIPTION):
        low, high = (np.log(files.number(name, float, 1e-9, 1e12)) for name in SLOPES)
    at = np.linspace(0, 1, len(like))
    values = like.double().numpy()
    beside = values - np.polyval(np.polyfit(at, values, 1), at)
    return torch.from_numpy(low + (high - low) * at + beside).float()


# -- weights ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Constants:
    """The weights of a graph by the names that they have when they are used."""

    path: Path
    inputs: set[str]  # of the graph
    values: dict[str, NDArray[Any]]
    factors: set[str]  # what of them is the second factor of a product of matrices


def _constants(files: ModelFiles, name: str) -> Constants:
    path = files.folder / name
    with refused(path):
        graph = onnx.load_from_string(files.read(name)).graph
        values = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    factors = set()
    for node in graph.node:
        # Halves are cast when they are loaded; what has equal values is stored once.
        if node.op_type in ("Cast", "Identity") and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]]
        elif node.op_type == "MatMul" and node.input[1] in values:
            factors.add(node.input[1])
    return Constants(path, {each.name for each in graph.input}, values, factors)


def _folded(files: ModelFiles, codec: Codec, decoder: str) -> Codec:
    """`codec`, folded, with the weights of the model, `decoder` being one of its two."""
    names = {"analysis": "analysis", "context": "context", "synthesis": decoder}
    weights = {graph: _constants(files, f"{name}.onnx") for graph, name in names.items()}
    folded = deepcopy(codec)
    graphs = released_graphs(folded, "realism" in weights["synthesis"].inputs)
    for name, constants in weights.items():
        _fill(graphs[name].module, constants, codec.shape.name)
    return folded


def _fill(module: nn.Module, constants: Constants, shape: str) -> None:
    """Put the weights of a graph into the module of which it was exported."""
    parameters = dict(module.named_parameters())
    gains = {n: m for n, m in module.named_modules() if isinstance(m, LatentGains)}
    for name, gain in gains.items():
        # The exporter adds the step to the learned gains.
        parameters.pop(f"{name}.log_gain")
        gain.log_gain.copy_(_table(constants, parameters, gain.log_gain.shape, shape) - gain.step())
    for name, parameter in parameters.items():
        value = constants.values.get(name)
        if value is None and "realism" not in constants.inputs and _is_of_the_dial(name):
            continue
        if value is None or value.shape != parameter.shape:
            has = "missing" if value is None else f"{value.shape}"
            raise _of_another_shape(constants.path, name, has, shape, tuple(parameter.shape))
        parameter.copy_(torch.from_numpy(value.astype(np.float32)))
    _refuse_what_is_left(constants, parameters, shape)


def _is_of_the_dial(name: str) -> bool:
    return ".realistic." in name or ".noise." in name


def _table(
    constants: Constants, parameters: dict[str, nn.Parameter], size: torch.Size, shape: str
) -> Tensor:
    """The one factor of a product that is no parameter: the gains of the latent, step and all."""
    values = [constants.values[name] for name in sorted(constants.factors - set(parameters))]
    if [value.shape for value in values] != [size]:
        has = " and ".join(str(value.shape) for value in values) or "missing"
        raise _of_another_shape(constants.path, "the latent's gain", has, shape, tuple(size))
    return torch.from_numpy(values[0].astype(np.float32))


def _refuse_what_is_left(
    constants: Constants, parameters: dict[str, nn.Parameter], shape: str
) -> None:
    """Weights that no parameter took are of a codec with more to it."""
    for name in constants.values:
        used = name.removesuffix(".half")
        if used.endswith((".weight", ".bias")) and used not in parameters:
            has = f"{constants.values[name].shape}"
            raise _of_another_shape(constants.path, used, has, shape, "missing")


def _of_another_shape(path: Path, name: str, has: str, shape: str, wanted: object) -> ValueError:
    return ValueError(
        f"{path}: {name} is {has}, and {wanted} in the shape {shape!r}: --like names a file of "
        "the model's own shape"
    )


def _steady(module: ConvScale, like: Tensor) -> None:
    """Move into the scales what makes a channel's weights far larger or smaller than those of
    `like`, or than a fresh layer's where those are zero."""
    factor = _excess(module.weight, like, (0, 1))
    module.scale_in.mul_(factor)
    module.weight.div_(factor)
    factor = _excess(module.weight, like, (1, 2))
    module.scale_out.mul_(factor)
    module.weight.div_(factor[:, None, None])
    module.bias.div_(factor)


def _excess(weight: Tensor, like: Tensor, axes: tuple[int, int]) -> Tensor:
    """By what factor each channel is larger or smaller than it may be; 1 for most."""
    wanted = _size(like, axes)
    wanted = torch.where(wanted > 0, wanted, weight[0].numel() ** -0.5)
    ratio = _size(weight, axes) / wanted
    return torch.where(ratio > 0, ratio / ratio.clamp(1 / WITHIN, WITHIN), 1.0)


def _size(weight: Tensor, axes: tuple[int, int]) -> Tensor:
    """The root mean square over two axes of `[K, kernel**2, C]`."""
    return weight.square().mean(axes).sqrt()


# -- integers -----------------------------------------------------------------------------------


def _take_integers(codec: Codec, files: ModelFiles) -> None:
    """The scale decoder and the scales of z, whose values round to the released integers."""
    path = files.folder / "tables.npz"
    with refused(path):
        with np.load(io.BytesIO(files.read(path.name)), allow_pickle=False) as arrays:
            tables = dict(arrays)
        skip_below = files.number("skip_below", int, 0, SCALE_COUNT)
    layers = [m for m in codec.scale_decoder.layers if isinstance(m, IntegerConv)]
    for i, layer in enumerate(layers):
        weight, bias = tables[f"layer{i}_weight"], tables[f"layer{i}_bias"]
        expected = tuple(layer.weight.shape), layer.bias.shape[1]
        if (weight.shape, bias.shape[1]) != expected:
            name = f"layer {i} of the scale decoder"
            raise _of_another_shape(path, name, f"{weight.shape}", codec.shape.name, expected[0])
        shares = _shares(layer.bias.shape[0]) if layer.leveled else np.ones((1, 1))
        values = knots_behind(bias, shares) / layer.bias_steps
        layer.bias.copy_(torch.from_numpy(values))
        layer.weight.copy_(torch.from_numpy(weight.astype(np.float32)) / 2**layer.weight_bits)
    z_index = tables["z_index"].astype(np.int64)
    values = knots_behind(z_index, _shares(codec.shape.knots), skip_below, SCALE_COUNT - 1)
    codec.z_index.copy_(torch.from_numpy(values / INDEX_UNIT))


def _shares(knots: int) -> NDArray[np.float64]:
    """What each knot counts at each bin of the level, `[LEVEL_BINS, K]`."""
    levels = torch.arange(LEVEL_BINS) / (LEVEL_BINS - 1)
    return interpolate_knots(torch.eye(knots), levels).double().numpy()
