from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from tiny import TINY, photo, tiny_codec

from picocodec.coders.learned import LearnedCoder, decode_symbols
from picocodec.format.tiles import layout
from picocodec.images.canvas import own, with_margin
from picocodec.model.model import Model
from picolab import export
from picolab.networks.codec import Codec
from picolab.networks.config import read_config


def test_exported_networks_compute_what_pytorch_does(model: Model) -> None:
    graphs = export.prepare_graphs(tiny_codec())
    generator = torch.Generator().manual_seed(2)
    picture = torch.rand(1, 3, 128, 64, generator=generator)
    level = torch.tensor([0.25])
    with torch.no_grad():
        y, z = graphs["analysis"](picture, level)
        ours = model.analyse(picture.numpy(), 250)
        np.testing.assert_allclose(ours[0], y.numpy(), atol=1e-3)
        np.testing.assert_allclose(ours[1], z.numpy(), atol=1e-3)
        symbols = graphs["context"](y, z.round(), torch.ones_like(y), level)
        z_symbols = z[0].round().int().numpy()
        ones = np.ones(y.shape[1:], bool)
        theirs = model.quantise(y.numpy(), z_symbols, ones, 250)
        assert (theirs != symbols[0].numpy()).mean() < 1e-3
        exact = symbols[0].int().numpy()
        for realism in (0.0, 0.7):
            at = torch.tensor([realism])
            out = graphs["synthesis"](symbols, z.round(), level, at).numpy()
            ours = model.synthesise(exact, z_symbols, 250, realism)
            np.testing.assert_allclose(ours, out, atol=1e-3)


def test_realism_of_a_release_is_what_its_decoder_does_unless_told(tmp_path: Path) -> None:
    folder = export.export_model(tiny_codec(), tmp_path, "renamed", 7, {}, realism=0.25)
    model = Model(folder, threads=1)
    assert (str(model.identity), model.realism, model.has_dial) == ("renamed.v7", 0.25, True)


def test_a_release_tells_the_slopes_it_was_trained_for(tmp_path: Path, model: Model) -> None:
    assert (model.slope(0), model.slope(1000)) == pytest.approx((24.0, 12000.0))
    codec = Codec(replace(TINY, lambda_min=6.0, lambda_max=600.0))
    folder = export.export_model(codec, tmp_path, "other", 1, {})
    assert Model(folder, threads=1).slope(500) == pytest.approx(60.0)


def test_symbols_are_zero_where_nothing_is_coded(model: Model) -> None:
    y = np.random.default_rng(0).normal(0, 9, (1, TINY.y_channels, 8, 8)).astype(np.float32)
    coded = np.zeros(y.shape[1:], bool)
    coded[:5] = True
    symbols = model.quantise(y, np.zeros((TINY.z_channels, 2, 2), np.int32), coded, 800)
    assert symbols[:5].any() and not symbols[5:].any()


def test_weights_are_stored_as_half(model_folder: Path) -> None:
    for name in ("analysis", "context", "synthesis"):
        graph = onnx.load(model_folder / f"{name}.onnx").graph
        large = [numpy_helper.to_array(t) for t in graph.initializer]
        large = [a for a in large if a.size >= 64 and a.dtype.kind == "f"]
        assert large and {a.dtype for a in large} == {np.dtype(np.float16)}


def test_a_wrong_export_is_noticed(model: Model) -> None:
    graphs = export.prepare_graphs(tiny_codec(seed=1))
    with pytest.raises(RuntimeError, match="differs from PyTorch"):
        export.check_export(graphs, model.integer_layers, model)


def test_tables_and_scales_of_a_model(model: Model) -> None:
    assert 1 <= model.skip_below < 24
    codec = tiny_codec()
    expected = (
        codec.z_scale_index(torch.tensor([20 / 63])).round().int().clamp_min(model.skip_below)
    )
    indices = model.z_indices(317, (2, 3))  # bin 20
    assert indices.shape == (TINY.z_channels, 2, 3)
    assert np.array_equal(indices[:, 0, 0], expected[0].numpy())


def test_a_model_without_the_shortcut_exports_too(tmp_path: Path) -> None:
    codec = Codec(replace(TINY, shortcut=False, overlap=0))
    folder = export.export_model(codec, tmp_path, "plain", 2, {"recipe": "none"})
    assert folder.name == "plain.v2"
    description = (folder / "model.toml").read_text()
    assert 'recipe = "none"' in description and "version = 2" in description


@pytest.mark.parametrize("name", ["small", "base"])
def test_released_configurations_train_a_step_fold_export_and_run(
    name: str, tmp_path: Path
) -> None:
    config = read_config(f"configs/{name}.toml")
    torch.manual_seed(0)
    codec = Codec(config)
    basis = torch.linalg.qr(torch.randn(768, config.y_channels))[0].t().contiguous()
    codec.initialise_from_components(basis, torch.full((config.y_channels,), 0.1))
    optimiser = torch.optim.AdamW(codec.parameters(), lr=1e-3)
    x, level = torch.rand(2, 3, 64, 64), torch.tensor([0.2, 0.8])
    coded = codec(x, level)
    loss = (coded.bits_y + coded.bits_z).mean() / 64**2 + (coded.picture - x).square().mean()
    loss.backward()
    optimiser.step()
    model = Model(export.export_model(codec, tmp_path, name, 3, {}), threads=1)
    rgb = photo(60, 80)
    tile = layout(80, 60)[0]
    payload = LearnedCoder(model).encode(with_margin(rgb, tile), 900).payload
    z, symbols = decode_symbols(model, payload, tile, 900)
    out = own(model.synthesise(symbols, z, 900), tile)
    assert len(payload) > 100 and out.std() > 10
