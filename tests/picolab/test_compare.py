"""Checkpoints on held-out tiles, and curves at the same bits."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import TINY, photo, tiny_codec

from picolab import cli
from picolab.experiments import compare
from picolab.experiments.compare import Point, at_bits
from picolab.training.checkpoint import save_checkpoint, with_prefix

# In any order.
CURVE = [Point(0.4, 30, 0.1, 0.2, 1, 0.1, 0.5, 0.6), Point(0.1, 26, 0.3, 0.4, 2, 0.3, 0.9, 1.2)]


def test_a_curve_is_read_between_its_points() -> None:
    middle = at_bits(CURVE, 0.2)
    assert middle is not None
    assert astuple(middle)[:-1] == pytest.approx((0.2, 28, 0.2, 0.3, 1.5, 0.2, 0.7, 0.9))
    assert middle.kid is None
    assert at_bits(CURVE, 0.1) == CURVE[1]


@pytest.mark.parametrize("bpp", [0.09, 0.41])
def test_a_curve_is_not_read_beyond_its_ends(bpp: float) -> None:
    assert at_bits(CURVE, bpp) is None


class _Distance(torch.nn.Module):
    """In place of a metric whose weights are not at hand: the mean absolute difference."""

    def __init__(self, *_: object) -> None:
        super().__init__()
        self.trunk = torch.nn.Identity()

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (x - y).abs().mean()


def _brightness(picture: np.ndarray) -> np.ndarray:
    """In place of a network's features: of two patches, each row's mean."""
    return picture[:, :128].reshape(2, -1, 384).mean(2).astype(np.float32)


def test_checkpoints_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(compare, "LPIPS", _Distance)
    monkeypatch.setattr(compare, "DISTS", _Distance)
    monkeypatch.setattr("picolab.networks.config.read_config", lambda path: TINY)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(64):  # of which one in 32 or so is held out
        name = pictures / f"{number}.png"
        Image.fromarray(photo(256, 320, seed=number % 4)).save(name, compress_level=1)
    changed = tiny_codec()  # a decoder of its own, so that bits are the same
    for parameter in changed.synthesis.parameters():
        parameter.data *= 0.9
    for name, codec in (("first", tiny_codec()), ("other", changed)):
        save_checkpoint(tmp_path / name, with_prefix("ema", codec.state_dict()), {})
    monkeypatch.setattr("picolab.evaluation.metrics.distribution.Lite0", lambda: _brightness)
    command = ["compare", "tiny.toml", str(tmp_path / "first"), str(tmp_path / "other"), "--kid"]
    assert cli.main([*command, "--data", str(pictures), "--levels", "0.2,0.8", "--tiles", "2"]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if "/ " in line][1:]
    first, other, at_bits_of_first = (
        [cell.strip(" |").split(" / ") for cell in row[1:]] for row in rows
    )
    for level in range(2):
        assert first[level][0] == other[level][0]
        assert all(a != b for a, b in zip(first[level][1:], other[level][1:], strict=True))
        assert at_bits_of_first[level] == other[level]
    assert float(first[0][0]) < float(first[1][0])


def test_pictures_that_nothing_was_trained_on_are_all_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr(compare, "LPIPS", _Distance)
    monkeypatch.setattr(compare, "DISTS", _Distance)
    monkeypatch.setattr("picolab.networks.config.read_config", lambda path: TINY)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(3):
        Image.fromarray(photo(256, 320, seed=number)).save(pictures / f"{number}.png")
    save_checkpoint(tmp_path / "one", with_prefix("ema", tiny_codec().state_dict()), {})
    command = ["compare", "tiny.toml", str(tmp_path / "one"), "--data", str(pictures)]
    assert cli.main([*command, "--levels", "0.5"]) == 1  # none of these is held out
    assert "no pictures" in capsys.readouterr().err
    assert cli.main([*command, "--levels", "0.5", "--unseen"]) == 0
    assert "3 unseen tiles" in capsys.readouterr().out
