"""A tiny space, and a device that needs no clock."""

from __future__ import annotations

import json
from pathlib import Path

from tiny import TINY

from picolab.networks.shape import Shape
from picolab.search.cost import macs_by_part
from picolab.search.devices import DeviceFailed, Shapes
from picolab.search.graphs import input_shapes
from picolab.search.layers import TIMED, layers_of
from picolab.search.report import shape_toml

CHOICES = """
[decoder]
decoder_channels_8 = [16, 32, 48, 64]
decoder_blocks_8 = [2, 3, 4]
decoder_channels_16 = [16, 32, 48]
context_channels = [16, 32]
"""


def make_space(folder: Path, more: str = "") -> Path:
    """A space file of 72 decoders around a tiny base."""
    (folder / "tiny.toml").write_text(shape_toml(TINY, "tiny"))
    path = folder / "spaces" / "tiny.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'base = "../tiny.toml"\n{more}{CHOICES}')
    return path


def make_recipe(folder: Path, tiles: Path) -> Path:
    """A recipe of two stages of few steps."""
    path = folder / "recipe.toml"
    path.write_text(
        f'name = "tiny"\nshape = "tiny.toml"\ntiles = "{tiles}"\n'
        '[[stages]]\nname = "entropy"\nentropy_alone = true\npixels = 8192\nrate = 1e-3\n'
        'learn = ["encoder.hyper", "scale_decoder", "context", "z_index"]\n'
        "batches = [{ crops = 1, side = 64 }]\n"
        '[[stages]]\nname = "trunk"\nrate = 1e-3\nwarmup = 2\n'
        "batches = [{ crops = 1, side = 64 }]\n"
    )
    return path


def write_fields(shape: Shape, side: str, tile: int, file: Path) -> Shapes:
    """In place of a graph, what `FakeDevice` reads."""
    file.write_text(json.dumps({"side": side, "fields": shape.to_dict()}))
    return input_shapes(shape, side, tile)


class FakeDevice:
    """Times that follow from multiply-accumulates, 3x3 ones at half the price, and that drift from
    call to call by a factor which the reference beside them has, too."""

    name = "fake"

    def __init__(self, broken: int = 0) -> None:
        self.calls = 0
        self.broken = broken  # decoder_channels_8 that it fails on

    def time(self, file: Path, shapes: Shapes) -> float:
        told = json.loads(file.read_text())
        self.calls += 1
        if told["fields"]["decoder_channels_8"] == self.broken:
            raise DeviceFailed("out of memory")
        layers = [layer for layer in layers_of(told["fields"]) if layer.part in TIMED[told["side"]]]
        cheap = macs_by_part([layer for layer in layers if layer.kernel == 3])
        macs = sum(macs_by_part(layers).values()) - sum(cheap.values()) / 2
        drift = 1 + 0.1 * (self.calls // 200)
        return drift * float(macs) * shapes["z"][2] ** 2 * 1e-9
