"""Checkpoints on held-out tiles at the same bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiles import make_tiles
from tiny import TINY

from picolab import cli
from picolab.data.crops import TileFile
from picolab.experiments import compare
from picolab.experiments.compare import Picture, Point, at_bits, low_frequencies
from picolab.networks.model import Codec
from picolab.training.checkpoint import save_checkpoint, with_prefix

CURVE = [Point(0.4, {"psnr": 30.0}), Point(0.1, {"psnr": 26.0})]  # in any order


def test_a_curve_is_read_between_its_points_and_not_beyond() -> None:
    assert at_bits(CURVE, 0.2) == pytest.approx({"psnr": 28.0})
    assert at_bits(CURVE, 0.09) == at_bits(CURVE, 0.41) == {}


def test_low_frequencies_tell_a_lattice_from_a_shift_of_colour() -> None:
    gray = np.full((64, 64, 3), 128, np.uint8)
    lattice = gray.copy()
    lattice[::16, ::16] += 64  # one pixel of each block of 16 x 16
    figures = low_frequencies(gray, lattice)
    assert figures["repeats"] > 0.2 and figures["colour"] == pytest.approx(64 / 256, rel=0.01)
    shift = gray.copy()
    shift[:32, :32, 0] += 12
    assert low_frequencies(gray, shift)["colour"] == pytest.approx(1, rel=0.01)


class _Difference:
    """In place of metrics whose weights or programs are not at hand."""

    def __call__(self, reference: Picture, decoded: Picture) -> float:
        return float(np.abs(reference.astype(float) - decoded).mean())


def _brightness(picture: Picture) -> np.ndarray:
    """In place of a network's features: of two patches, each row's mean."""
    return picture[:, :256].reshape(2, -1, 768).mean(2).astype(np.float32)


def test_checkpoints_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(compare, "METRICS", dict.fromkeys(compare.MEASURED, _Difference))
    monkeypatch.setattr("picolab.evaluation.metrics.distribution.Lite0", lambda: _brightness)
    folder = make_tiles(tmp_path / "tiles", 6, held_out=2)
    lines = (folder / "tiles.csv").read_text().splitlines()
    lines[-1] = lines[-1].replace("natural,natural", "text,text")
    (folder / "tiles.csv").write_text("\n".join(lines) + "\n")
    torch.manual_seed(0)
    codec = Codec(TINY)
    codec.start_from_components(torch.eye(TINY.y_channels, 768), torch.full((32,), 0.02))
    for name in ("first", "other"):
        state = codec.state_dict()
        averages = {name: tensor.clone() for name, tensor in state.items()}
        tensors = with_prefix("model", state) | with_prefix("ema", averages)
        progress = {"progress": {"pixels": 0}, "shape": TINY.to_dict()}
        save_checkpoint(tmp_path / name, tensors, {"lineage": "a", "stage": "b"} | progress)
        codec.decoder.head.requires_grad_(False)
        for parameter in codec.decoder.parameters():
            parameter.data += 0.02 * torch.randn(parameter.shape)
    command = ["compare", str(folder), str(tmp_path / "first"), str(tmp_path / "other")]
    sheet = tmp_path / "sheet.png"
    assert cli.main([*command, "--levels", "0,1", "--bits", "99", "--sheet", str(sheet)]) == 0
    with Image.open(sheet) as image:
        assert image.size == (3 * 512, 512)
    curve = compare.measure(
        codec.eval(),
        compare.choose_tiles(TileFile(folder, held_out=True), 1, 1),
        [0, 1],
        0.0,
        torch.float32,
        _brightness,
    )
    bits = sum(point.bpp for point in curve) / 2
    assert cli.main([*command, "--levels", "0,1", "--bits", f"{bits:.4f}", "--realism", "0"]) == 0
    first, other = capsys.readouterr().out.splitlines()[-2:]
    assert first.split("|")[3:] != other.split("|")[3:] and "nan" not in first + other
