"""The way back from a released model to weights that can be trained."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import TINY, photo, tiny_codec

from picocodec.model.store import DEFAULT_MODEL, load_model
from picolab import export
from picolab.cli import main
from picolab.networks.codec import Codec
from picolab.networks.config import CodecConfig, read_config
from picolab.released import read_released
from picolab.training.checkpoint import load_checkpoint, without_prefix

NOTES = {"recipe": "tiny-test", "step": "7"}


def released(folder: Path) -> Path:
    return export.export_model(tiny_codec(), folder, "tiny", 1, NOTES, 0.5)


def written(config: CodecConfig, path: Path) -> Path:
    lines = (
        f"{k} = {str(v).lower() if isinstance(v, bool) else repr(v)}"
        for k, v in asdict(config).items()
    )
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
def test_a_release_taken_up_again_computes_the_same(tmp_path: Path, level: float) -> None:
    first, second = tiny_codec(), tiny_codec(seed=5)
    values = read_released(released(tmp_path), second)
    assert values == {"recipe": "tiny-test", "step": 7, "slopes": [24.0, 12000.0]}
    picture = torch.from_numpy(photo(128, 192)).permute(2, 0, 1)[None].float() / 255
    at, realism = torch.tensor([level]), torch.tensor([0.7])
    with torch.no_grad():
        for mine, theirs in zip(
            second.analysis(picture, at), first.analysis(picture, at), strict=True
        ):
            torch.testing.assert_close(mine, theirs, atol=2e-2, rtol=1e-2)
        y, z = (x.round() for x in first.analysis(picture, at))
        torch.testing.assert_close(
            second.synthesis(y, at, realism), first.synthesis(y, at, realism), atol=1e-2, rtol=0
        )
        torch.testing.assert_close(
            second.context_decoder(z, at), first.context_decoder(z, at), atol=1e-2, rtol=1e-2
        )
        apart = second.scale_decoder(z, at) - first.scale_decoder(z, at)
        assert apart.abs().max() <= 1 and apart.abs().mean() < 0.1
        torch.testing.assert_close(
            second.z_scale_index(at), first.z_scale_index(at), atol=1, rtol=0
        )


def test_the_second_release_equals_the_first_where_pixels_are_made(tmp_path: Path) -> None:
    first = released(tmp_path / "a")
    codec = Codec(TINY)
    read_released(first, codec)
    second = export.export_model(codec, tmp_path / "b", "tiny", 1, NOTES, 0.5)
    symbols = np.random.default_rng(0).integers(-3, 4, (TINY.y_channels, 8, 12)).astype(np.int32)
    z = np.random.default_rng(1).integers(-2, 3, (TINY.z_channels, 2, 3)).astype(np.int32)
    pictures = [export.Model(f).synthesise(symbols, z, 300, 1.0) for f in (first, second)]
    np.testing.assert_allclose(*pictures, atol=1e-2)


def test_the_command_writes_a_checkpoint_to_start_from(tmp_path: Path) -> None:
    folder, config = released(tmp_path), written(TINY, tmp_path / "tiny.toml")
    command = ["import", str(folder), str(config), "-o", str(tmp_path / "checkpoint")]
    assert main(command) == 0
    tensors, values = load_checkpoint(tmp_path / "checkpoint")
    codec = Codec(TINY)
    codec.load_state_dict(without_prefix("ema", tensors))
    assert values["slopes"] == [24.0, 12000.0]
    assert main(command) == 1  # it would be written over


def test_what_does_not_fit_is_told(tmp_path: Path) -> None:
    folder = released(tmp_path)
    with pytest.raises(ValueError, match="not of configuration 'wide'"):
        read_released(folder, Codec(replace(TINY, name="wide", decoder_channels_8=16)))
    with pytest.raises(ValueError, match="not of configuration 'plain'"):
        read_released(folder, Codec(replace(TINY, name="plain", overlap=0)))


def test_the_released_model_can_be_taken_up() -> None:
    """The default model's graphs beside what becomes of them."""
    model = load_model(DEFAULT_MODEL, 1)
    codec = Codec(read_config("configs/small.toml"))
    assert read_released(model.folder, codec)["slopes"] == codec.slopes
    z = np.random.default_rng(1).integers(-2, 3, (64, 2, 2)).astype(np.int32)
    symbols = np.random.default_rng(0).integers(-2, 3, (192, 8, 8)).astype(np.int32)
    symbols[:, ::2] = 0
    at, realism = torch.tensor([0.4]), torch.tensor([0.5])
    with torch.no_grad():
        prior = codec.context_decoder(torch.from_numpy(z)[None].float(), at)
        y = torch.from_numpy(symbols)[None].float()
        y_hat = codec.context_model(prior, y, torch.ones_like(y), at, encode=False)[2]
        picture = codec.synthesis(y_hat, at, realism).numpy()
        pixels = torch.from_numpy(photo(128, 128)).permute(2, 0, 1)[None].float() / 255
        latent = codec.analysis(pixels, at)[0].numpy()
    np.testing.assert_allclose(picture, model.synthesise(symbols, z, 400, 0.5), atol=2e-3)
    theirs = model.analyse(pixels.numpy(), 400)[0]
    np.testing.assert_allclose(latent, theirs, atol=1e-3 * abs(theirs).max())
