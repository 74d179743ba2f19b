"""A released model back to weights to train, and released again."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from tiles import make_tiles
from tiny import TINY, photo, tiny_codec

from picocodec.errors import UnknownModel
from picocodec.model.model import Model
from picocodec.model.noise import STEP, noise
from picocodec.model.store import MODEL_PATH_VARIABLE
from picolab.cli import main as picolab
from picolab.data.crops import principal_components
from picolab.networks.blocks import ConvScale, from_patches, to_patches
from picolab.networks.model import Codec
from picolab.networks.shape import Shape, read_shape
from picolab.release.recover import recover
from picolab.release.release import Trained, read_trained, release
from picolab.release.rounded import knots_behind
from picolab.training.lineage import Batch, Lineage, Stage
from picolab.training.run import Options, Run

CONFIGS = Path(__file__).parents[2] / "configs"
NOTES = {"lineage": "toy", "stage": "looks", "pixels": "1.5e+09"}


@functools.cache
def toy() -> Shape:
    return read_shape(CONFIGS / "toy.toml")


def perturbed(shape: Shape, seed: int) -> Codec:
    """Random weights, biases, scales, gains, lambdas, overlap and dial."""
    torch.manual_seed(seed)
    codec = Codec(shape)
    basis = torch.linalg.qr(torch.randn(768, shape.y_channels))[0].t().contiguous()
    codec.start_from_components(basis, torch.full((shape.y_channels,), 0.3))
    with torch.no_grad():
        for name, parameter in codec.named_parameters():
            small = parameter.ndim > 1 and name.endswith("weight")
            parameter += (0.01 if small else 0.1) * torch.randn(parameter.shape)
            if name.endswith(("scale_in", "scale_out")):
                parameter *= torch.randn(parameter.shape).sign()
        # Some of z is beyond what is coded at some levels or all, and beyond the last table.
        codec.z_index.copy_(torch.randn_like(codec.z_index).cumsum(0) * 2 + 2)
    codec.move_lambdas(torch.randn(shape.knots) / 2 + torch.linspace(2, 9, shape.knots))
    return codec.eval()


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    return release(Trained(perturbed(toy(), 0), dict(NOTES)), folder, "toy", 1, 0.5)


@pytest.fixture(scope="module")
def recovered(released: Path) -> Codec:
    return recover(released, perturbed(toy(), 1))


def weights(path: Path) -> dict[str, NDArray[np.float32]]:
    graph = onnx.load(path).graph
    return {t.name: numpy_helper.to_array(t).astype(np.float32) for t in graph.initializer}


@torch.no_grad()
def furthest(codec: Codec, model: Model, realism: float) -> dict[str, float]:
    """How far y, z and the picture of a codec as it is trained lie from those of a model."""
    picture = torch.from_numpy(photo(128, 192)).permute(2, 0, 1)[None] / 255
    apart = dict.fromkeys(("y", "z", "picture"), 0.0)
    for level in (0, 370, 1000):
        at = torch.tensor([level / 1000])
        y, z = codec.encoder(to_patches(picture) - 0.5, at)
        theirs = model.analyse(picture.numpy(), level)
        z_symbols = theirs[1][0].round().astype(np.int32)
        coded = model.y_indices(z_symbols, level) >= model.skip_below
        symbols, latent = model.quantise(theirs[0], z_symbols, coded, level)
        given = torch.from_numpy(noise(toy().noise_channels, (128 // STEP, 192 // STEP)))
        prior = codec.context_decoder(torch.from_numpy(z_symbols)[None].float(), at)
        values = torch.from_numpy(symbols)[None].float()
        y_hat = codec.context_model.run(prior, values, torch.zeros_like(values), at)[1]
        shown = from_patches(codec.decoder(y_hat, at, torch.tensor([realism]), given)) + 0.5
        decoded = model.synthesise(latent, level, realism)
        pairs = (y.numpy(), theirs[0]), (z.numpy(), theirs[1]), (shown.numpy(), decoded)
        for name, (ours, other) in zip(apart, pairs, strict=True):
            error = float(abs(ours - other).max() / max(1, abs(other).max()))
            apart[name] = max(apart[name], error)
    return apart


def test_what_is_recovered_computes_what_the_model_does(released: Path, recovered: Codec) -> None:
    model = Model(released, threads=1)
    for realism in (0.0, 0.7):
        assert max(furthest(recovered, model, realism).values()) < 1e-4
    # Of another codec it is far away.
    assert furthest(perturbed(toy(), 1), model, 0.7)["picture"] > 0.05


def test_released_again_it_is_the_same_model(
    released: Path, recovered: Codec, tmp_path: Path
) -> None:
    """Bit for bit."""
    codec = Codec(toy())
    codec.load_state_dict(recovered.state_dict())
    again = release(Trained(codec, {}), tmp_path, "again", 1, 0.5)
    assert (again / "scale_decoder.onnx").read_bytes() == (
        released / "scale_decoder.onnx"
    ).read_bytes()
    with np.load(released / "tables.npz") as before, np.load(again / "tables.npz") as after:
        assert set(before) == set(after)
        assert all(np.array_equal(before[key], after[key]) for key in before)
        assert 0 < (before["z_index"] == before["z_index"].min()).mean() < 1
    for name in ("analysis", "context", "synthesis"):
        before, after = weights(released / f"{name}.onnx"), weights(again / f"{name}.onnx")
        assert list(before) == list(after)
        assert all(np.array_equal(before[key], after[key]) for key in before)


def test_scales_are_those_of_the_reference_and_weights_stay_about_as_large(
    recovered: Codec,
) -> None:
    reference = perturbed(toy(), 1)
    references = dict(reference.named_modules())
    kept = total = 0
    for name, module in recovered.named_modules():
        if isinstance(module, ConvScale):
            like = references[name]
            for mine, theirs in (
                (module.scale_in, like.scale_in),
                (module.scale_out, like.scale_out),
            ):
                kept += int((mine == theirs).sum())
                total += len(theirs)
            if like.weight.shape[1] == 9 and name != "decoder.head":  # which begins with zeros
                rows = [m.weight.square().mean((1, 2)).sqrt() for m in (module, like)]
                assert 0.49 < (rows[0] / rows[1]).min() and (rows[0] / rows[1]).max() < 2.01
    assert kept > 0.6 * total


def test_a_scale_of_nothing_does_not_blow_up_weights(released: Path, recovered: Codec) -> None:
    reference = perturbed(toy(), 1)
    with torch.no_grad():
        reference.decoder.stem.scale_in[3] = 0
        reference.decoder.stem.scale_out[5] = -1e-9
        reference.context_decoder.up.scale_out[7] = 0
    codec = recover(released, reference)
    assert max(furthest(codec, Model(released, threads=1), 0.7).values()) < 1e-4
    for name in ("decoder.stem", "context_decoder.up"):
        layer, usual = (each.get_submodule(name) for each in (codec, recovered))
        assert layer.weight.abs().max() < 2 * usual.weight.abs().max()
        for scales in (layer.scale_in, layer.scale_out):
            assert 0.05 < scales.abs().min() and scales.abs().max() < 5
        others = torch.arange(len(layer.scale_out)) != (5 if name == "decoder.stem" else 7)
        torch.testing.assert_close(
            layer.scale_out[others], usual.scale_out[others], rtol=0.1, atol=0
        )


def test_without_a_reference_weights_are_as_large_as_a_fresh_codecs(released: Path) -> None:
    codec = recover(released, Codec(toy()))
    assert max(furthest(codec, Model(released, threads=1), 0.7).values()) < 1e-4
    sizes = [
        float(m.weight.detach().square().mean() * m.weight[0].numel())
        for m in codec.modules()
        if isinstance(m, ConvScale)
    ]
    assert 0.005 < min(sizes) and max(sizes) < 9


def test_lambdas_are_what_the_model_tells(released: Path, recovered: Codec) -> None:
    low, high = (math.log(Model(released, threads=1).slope(at)) for at in (0, 1000))
    knots = torch.linspace(0, 1, toy().knots)
    straight = recover(released, Codec(toy())).log_lambda
    torch.testing.assert_close(straight, low + (high - low) * knots)
    # The reference's curve, about another line.
    curve = perturbed(toy(), 1).log_lambda - recovered.log_lambda
    torch.testing.assert_close(curve.diff().diff(), torch.zeros(6), atol=1e-5, rtol=0)


def test_a_model_without_the_dial_leaves_the_references(tmp_path: Path) -> None:
    folder = release(Trained(tiny_codec(), {}), tmp_path, "plain", 1)
    reference = tiny_codec(seed=1)
    codec = recover(folder, reference)
    model = Model(folder, threads=1)
    assert not model.has_dial
    theirs = dict(reference.named_parameters())
    for name, parameter in codec.named_parameters():
        if name.startswith("decoder.dial.0.realistic"):
            assert torch.equal(parameter, theirs[name].bfloat16().half().float())
    again = release(Trained(codec, {}), tmp_path, "again", 1)
    before, after = weights(folder / "synthesis.onnx"), weights(again / "synthesis.onnx")
    assert all(np.array_equal(before[k], after[k]) for k in before)


def test_weights_that_are_stored_once_for_several_are_found(tmp_path: Path) -> None:
    """A codec that has learned nothing has many zeros, and one tensor of them is stored."""
    torch.manual_seed(0)
    fresh = Codec(TINY)
    wanted = {name: value.clone() for name, value in fresh.state_dict().items()}
    folder = release(Trained(fresh, {}), tmp_path, "fresh", 1, 0.0)
    torch.manual_seed(1)
    codec = recover(folder, Codec(TINY))
    found = codec.state_dict()
    zeros = [n for n, v in wanted.items() if n.endswith(("bias", "log_gain")) and not v.any()]
    assert len(zeros) > 20
    for name in zeros:
        assert found[name].abs().max() < 2e-3, name


@pytest.mark.parametrize(
    "change",
    [
        {"y_channels": 40},
        {"encoder_blocks_16": 2},
        {"encoder_blocks_8": 0},
        {"decoder_channels_8": 24},
        {"dial_blocks": 2},
        {"noise_channels": 4},
        {"overlap": 4},
        {"knots": 6},
        {"scale_channels": 24},
        {"block": "311"},
    ],
    ids=str,
)
def test_a_model_of_another_shape_is_refused(model_folder: Path, change: dict[str, int]) -> None:
    other = Codec(replace(TINY, name="other", **change))
    with pytest.raises(ValueError, match=r"in the shape 'other': --like names a file of"):
        recover(model_folder, other)


def test_damage_is_told(released: Path, tmp_path: Path) -> None:
    folder = tmp_path / "toy.v1"
    folder.mkdir()
    for path in released.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    for name in ("synthesis.onnx", "context.onnx"):
        (folder / name).write_bytes(b"no graph")
        with pytest.raises(UnknownModel, match=f"{name} is refused"):
            recover(folder, Codec(toy()))


def test_training_goes_on_from_a_kept_model(
    released: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(MODEL_PATH_VARIABLE, str(released.parent))
    monkeypatch.chdir(tmp_path)
    by_name, by_folder = Path("a.safetensors"), Path("b.safetensors")
    shape = str(CONFIGS / "toy.toml")
    assert picolab(["keep", "toy.v1", "-o", str(by_name), "--like", shape]) == 0
    assert "1.5e+09 pixels" in capsys.readouterr().out
    assert picolab(["keep", str(released), "-o", str(by_folder), "--like", str(by_name)]) == 0
    assert read_trained(by_folder).notes == {**NOTES, "licence": "Apache-2.0"}
    command = ["release", str(by_name), "-o", "models", "--version", "2", "--realism", "0.5"]
    assert picolab(command) == 0
    for name in ("scale_decoder.onnx", "context.onnx"):
        assert Path("models/toy.v2", name).read_bytes() == (released / name).read_bytes()
    few = functools.partial(principal_components, draws=1)
    monkeypatch.setattr("picolab.training.run.principal_components", few)
    looks = Stage("looks", (Batch(2, 64),), 1e-3, warmup=2, optimiser="muon", kept=by_folder)
    first = replace(looks, name="trunk", kept=None)
    lineage = Lineage("toy", toy(), make_tiles(tmp_path / "tiles"), (first, looks))
    options = Options(tmp_path / "run", torch.device("cpu"), torch.float32, compile=False)
    run = Run(lineage, looks, options)
    assert (run.progress.pixels, run.progress.step) == (1.5e9, 0)
    kept = read_trained(by_folder).codec.state_dict()
    assert all(torch.equal(value, kept[key]) for key, value in run.codec.state_dict().items())
    run.step()
    assert run.progress.step == 1
    assert any(not torch.equal(value, kept[key]) for key, value in run.codec.state_dict().items())
    for wrong, words in (
        (["toy.v1", "--like", str(CONFIGS / "photo.toml")], "in the shape 'photo'"),
        (["toy.v1"], "recipes/photo.trunk.safetensors"),
        (["nothing.v1", "--like", shape], "none at nothing.v1"),
    ):
        assert picolab(["keep", *wrong, "-o", "d.safetensors"]) == 1
        assert words in capsys.readouterr().err


@pytest.mark.parametrize("knots", [2, 5, 8])
def test_values_at_knots_round_to_what_they_did(knots: int) -> None:
    rng = np.random.default_rng(knots)
    at = np.linspace(0, knots - 1, 64)
    shares = np.maximum(0, 1 - abs(at[:, None] - np.arange(knots)))
    for spread in (1, 30, 1e4):
        values = rng.normal(20, spread, (knots, 12))
        wanted = np.rint(shares @ values).astype(int)
        found = knots_behind(wanted, shares)
        assert np.array_equal(np.rint(shares @ found), wanted)
        assert abs(found - values).max() < 2 * knots
        clamped = wanted.clip(5, 40)
        found = knots_behind(clamped, shares, 5, 40)
        assert np.array_equal(np.rint(shares @ found).clip(5, 40), clamped)
