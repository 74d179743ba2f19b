"""A trained codec as files, and back through the runtime."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from tiny import TINY, photo, tiny_codec

from picocodec.coders.learned import LearnedCoder, decode_symbols
from picocodec.errors import UnknownModel
from picocodec.format.tiles import layout
from picocodec.images.canvas import own, with_margin
from picocodec.model.model import Model
from picocodec.model.noise import noise
from picocodec.model.runtime import ort
from picolab.cli import main as picolab
from picolab.networks.blocks import from_patches
from picolab.networks.model import SYMBOL_LIMIT, Codec
from picolab.networks.shape import read_shape
from picolab.release.files import check_export
from picolab.release.graphs import released_graphs
from picolab.release.release import Trained, read_trained, release, with_closest
from picolab.training.checkpoint import save_checkpoint, with_prefix
from picolab.training.keep import save_kept, weights_of

SHAPE = Path(__file__).parents[2] / "configs" / "photo.toml"


@torch.no_grad()
def test_released_networks_compute_what_pytorch_does(model: Model) -> None:
    graphs = {key: graph.module for key, graph in released_graphs(tiny_codec(), True).items()}
    generator = torch.Generator().manual_seed(2)
    picture = torch.rand(1, 3, 128, 64, generator=generator)
    level = torch.tensor([0.25])
    y, z = graphs["analysis"](picture, level)
    ours = model.analyse(picture.numpy(), 250)
    np.testing.assert_allclose(ours[0], y.numpy(), atol=1e-3)
    np.testing.assert_allclose(ours[1], z.numpy(), atol=1e-3)
    ones = torch.ones_like(y)
    symbols, y_hat = graphs["context"](y, ones, z.round(), level)
    z_symbols = z[0].round().int().numpy()
    theirs, _ = model.quantise(y.numpy(), z_symbols, ones[0].numpy() > 0, 250)
    assert (theirs != symbols[0].numpy()).mean() < 1e-3
    latent = model.dequantise(symbols[0].int().numpy(), z_symbols, 250)
    np.testing.assert_allclose(latent, y_hat.numpy(), atol=1e-3)
    given = torch.from_numpy(noise(TINY.noise_channels, (16, 8), (63, 0)))
    for realism in (0.0, 0.7):
        out = graphs["synthesis"](y_hat, level, torch.tensor([realism]), given).numpy()
        ours = model.synthesise(latent, 250, realism, (63, 0))
        np.testing.assert_allclose(ours, out, atol=2e-3)


def test_symbols_are_zero_where_nothing_is_coded(model: Model) -> None:
    y = np.random.default_rng(0).normal(0, 9, (1, TINY.y_channels, 8, 8)).astype(np.float32)
    coded = np.zeros(y.shape[1:], bool)
    coded[:5] = True
    symbols, _ = model.quantise(y, np.zeros((TINY.z_channels, 2, 2), np.int32), coded, 800)
    assert symbols[:5].any() and not symbols[5:].any()


@pytest.mark.parametrize("spread", [1, 30, 1e9])
def test_an_encoder_knows_what_a_decoder_makes_of_its_symbols(model: Model, spread: float) -> None:
    """Bit by bit, even where symbols are limited to what an escape holds."""
    rng = np.random.default_rng(0)
    y = rng.normal(0, spread, (1, TINY.y_channels, 8, 8)).astype(np.float32)
    z = rng.integers(-9, 10, (TINY.z_channels, 2, 2)).astype(np.int32)
    symbols, y_hat = model.quantise(y, z, rng.random(y.shape[1:]) < 0.5, 800)
    assert np.array_equal(y_hat, model.dequantise(symbols, z, 800))
    assert (abs(symbols).max() == SYMBOL_LIMIT) == (spread == 1e9)


def test_what_a_decoder_is_given_is_no_more_quantised(model: Model) -> None:
    """Symbols are taken as they are, those too, that only a damaged file has."""
    symbols = np.full((TINY.y_channels, 4, 4), (1 << 20) + 1, np.int32)
    z = np.zeros((TINY.z_channels, 1, 1), np.int32)
    inputs = {"values": symbols[None], "coded": 0 * symbols[None], "z": z[None]}
    feed = {name: array.astype(np.float32) for name, array in inputs.items()}
    feed["level"] = np.array([0.8], np.float32)
    session = ort.InferenceSession(model.folder / "context.onnx")
    found, y_hat = session.run(["symbols", "y_hat"], feed)
    assert np.array_equal(found[0], symbols) and np.isfinite(y_hat).all()


def test_no_weights_are_stored_twice(model_folder: Path) -> None:
    graphs = {path.stem: onnx.load(path).graph for path in model_folder.glob("*.onnx")}
    large = [(n, t.raw_data) for n, g in graphs.items() for t in g.initializer]
    large = [raw for _, raw in large if len(raw) > 512]
    assert len(large) > 20 and len(set(large)) == len(large)
    assert {given.name for given in graphs["synthesis"].input} >= {"y_hat", "level"}
    assert "context" not in " ".join(node.name for node in graphs["synthesis"].node)


def test_weights_are_stored_as_half_with_eight_significant_bits(model_folder: Path) -> None:
    for name in ("analysis", "context", "synthesis"):
        graph = onnx.load(model_folder / f"{name}.onnx").graph
        large = [numpy_helper.to_array(t) for t in graph.initializer]
        large = [a for a in large if a.size >= 64 and a.dtype.kind == "f"]
        assert large and {a.dtype for a in large} == {np.dtype(np.float16)}
        kernels = np.concatenate([a.flatten() for a in large if a.ndim == 4])
        normal = kernels[abs(kernels) >= np.finfo(np.float16).tiny]
        assert len(normal) > 1000 and not (normal.view(np.uint16) & 7).any()


def test_a_wrong_release_is_noticed(model: Model) -> None:
    graphs = released_graphs(tiny_codec(seed=1), dial=True)
    with pytest.raises(RuntimeError, match="differs from PyTorch"):
        check_export({k: g.module for k, g in graphs.items()}, model.integer_layers, model)


def test_tables_and_scales_of_a_model(model: Model) -> None:
    assert 1 <= model.skip_below < 24
    codec = tiny_codec()
    expected = (
        codec.z_scale_index(torch.tensor([20 / 63])).round().int().clamp_min(model.skip_below)
    )
    indices = model.z_indices(317, (2, 3))  # bin 20
    assert indices.shape == (TINY.z_channels, 2, 3)
    assert np.array_equal(indices[:, 0, 0], expected[0].numpy())


def test_a_release_tells_the_slopes_it_was_trained_for(tmp_path: Path) -> None:
    codec = tiny_codec()
    codec.move_lambdas(torch.linspace(np.log(6.0), np.log(600.0), TINY.knots))
    model = Model(release(Trained(codec, {"stage": "none"}), tmp_path, "other", 1), threads=1)
    assert [model.slope(at) for at in (0, 500, 1000)] == pytest.approx([6, 60, 600])
    assert 'stage = "none"' in (model.folder / "model.toml").read_text()


def trained(folder: Path) -> tuple[Path, Path]:
    """A checkpoint of the tiny codec, whose last weights are others, and what is kept of it."""
    codec, last = tiny_codec(), tiny_codec(seed=1)
    values = {
        "lineage": "tiny",
        "stage": "trunk",
        "shape": TINY.to_dict(),
        "progress": {"pixels": 1.5e9},
    }
    averages = with_prefix("ema", dict(codec.named_parameters()))
    tensors = with_prefix("model", last.state_dict()) | averages
    save_checkpoint(folder / "checkpoint", tensors, values)
    save_kept(folder / "kept.safetensors", weights_of(tensors), values)
    return folder / "checkpoint", folder / "kept.safetensors"


def test_checkpoints_and_kept_files_are_released_by_their_averages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, kept = trained(tmp_path)
    wanted = dict(tiny_codec().named_parameters())
    for path, tolerance in ((checkpoint, 0.0), (kept, 1e-3)):
        found = read_trained(path)
        assert found.notes["pixels"] == "1.5e+09"
        for name, parameter in found.codec.named_parameters():
            torch.testing.assert_close(parameter, wanted[name], atol=tolerance, rtol=tolerance)
    command = ["release", str(kept), "-o", str(tmp_path / "models"), "--version", "3"]
    assert picolab([*command, "--realism", "0.5"]) == 0
    model = Model(tmp_path / "models" / "tiny.v3", threads=1)
    assert (model.realism, model.has_dial, model.noise_channels) == (0.5, True, 8)
    assert picolab([*command, "--name", "plain"]) == 0
    plain = Model(tmp_path / "models" / "plain.v3", threads=1)
    assert (plain.realism, plain.has_dial, plain.noise_channels) == (0.0, False, 0)
    capsys.readouterr()
    assert picolab([*command, "--realism", "2"]) == 1
    assert "realism must be a number from 0 to 1" in capsys.readouterr().err


@torch.no_grad()
def test_realism_0_may_have_a_decoder_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = {"lineage": "tiny", "stage": "looks", "pixels": "1.5e+09"}
    base = release(Trained(tiny_codec(), notes), tmp_path, "two", 1, 1.0)
    values = {"lineage": "tiny", "stage": "looks", "shape": TINY.to_dict()}
    values["progress"] = {"pixels": 1.5e9}
    other, stranger = tiny_codec(), tiny_codec(seed=1)
    other.decoder.load_state_dict(stranger.decoder.state_dict())
    for name, codec in (("other", other), ("stranger", stranger)):
        path = tmp_path / f"{name}.safetensors"
        save_kept(path, with_prefix("model", codec.state_dict()), values)
    command = ["-o", str(tmp_path), "--version", "2"]
    with pytest.raises(RuntimeError, match="y differs from PyTorch"):
        with_closest(base, read_trained(tmp_path / "stranger.safetensors"), tmp_path, 3)
    assert picolab(["closest", str(base), str(tmp_path / "other.safetensors"), *command]) == 0
    assert picolab(["closest", "none.v1", str(tmp_path / "other.safetensors"), *command]) == 1
    assert "none.v1: neither a model's name nor its folder" in capsys.readouterr().err
    plain, model = Model(base, threads=1), Model(tmp_path / "two.v2", threads=1)
    names = model.decoder_at(0), model.decoder_at(0.5), model.decoder_at(1)
    assert names == ("closest", "closest", "synthesis") and model.has_dial
    y_hat = np.random.default_rng(0).normal(0, 1, (1, TINY.y_channels, 8, 4)).astype(np.float32)
    at_0, between, at_1 = (model.synthesise(y_hat, 500, r, (63, 0)) for r in (0, 0.25, 1))
    assert np.array_equal(plain.synthesise(y_hat, 500, 1, (63, 0)), at_1)
    assert np.abs(plain.synthesise(y_hat, 500, 0) - at_0).max() > 0.1
    np.testing.assert_allclose(between, 0.75 * at_0 + 0.25 * at_1, atol=1e-5)
    # Back to weights that training can go on from.
    again = ["-o", str(tmp_path / "again.safetensors")]
    like = ["--like", str(tmp_path / "other.safetensors")]
    assert picolab(["keep", str(model.folder), "--closest", *like, *again]) == 0
    found = read_trained(tmp_path / "again.safetensors").codec.decoder
    wanted = from_patches(found(torch.from_numpy(y_hat), torch.tensor([0.5]))) + 0.5
    np.testing.assert_allclose(at_0, wanted, atol=1e-3)
    assert picolab(["keep", like[1], "--closest", *again]) == 1
    assert "--closest is of a model" in capsys.readouterr().err


def test_what_is_shown_at_realism_0_is_part_of_what_a_model_is(tmp_path: Path) -> None:
    base = release(Trained(tiny_codec(), {}), tmp_path, "two", 1, 1.0)
    folder = with_closest(base, Trained(tiny_codec(), {}), tmp_path, 2)
    assert Model(base).identity.check != Model(folder).identity.check
    (folder / "closest.onnx").write_bytes(b"damage")
    damaged, y_hat = Model(folder, threads=1), np.zeros((1, TINY.y_channels, 4, 4), np.float32)
    assert np.isfinite(damaged.synthesise(y_hat, 500, 1)).all()
    with pytest.raises(UnknownModel, match="closest.onnx is refused"):
        damaged.synthesise(y_hat, 500, 0)


def test_what_is_no_run_of_training_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, _ = trained(tmp_path)
    values = json.loads((checkpoint / "values.json").read_text())
    del values["shape"]
    (checkpoint / "values.json").write_text(json.dumps(values))
    (tmp_path / "text.safetensors").write_text("no weights")
    for path, words in (
        (checkpoint, "it names no shape"),
        (tmp_path / "text.safetensors", "no file of `picolab keep`"),
        (tmp_path / "nowhere", "none at"),
    ):
        assert picolab(["release", str(path), "-o", str(tmp_path), "--version", "1"]) == 1
        assert words in capsys.readouterr().err


def test_the_shape_of_photo_is_released_and_runs(tmp_path: Path) -> None:
    shape = read_shape(SHAPE)
    torch.manual_seed(0)
    codec = Codec(shape)
    basis = torch.linalg.qr(torch.randn(768, shape.y_channels))[0].t().contiguous()
    codec.start_from_components(basis, torch.full((shape.y_channels,), 0.1))
    model = Model(release(Trained(codec, {}), tmp_path, "photo", 3, 0.5), threads=1)
    rgb = photo(60, 80)
    tile = layout(80, 60)[0]
    payload = LearnedCoder(model).encode(with_margin(rgb, tile), 900).payload
    z, symbols = decode_symbols(model, payload, tile, 900)
    out = own(model.synthesise(model.dequantise(symbols, z, 900), 900), tile)
    assert len(payload) > 100 and out.std() > 10
