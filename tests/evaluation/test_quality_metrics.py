from __future__ import annotations

import io
import math
import os
import shutil
import stat

import numpy as np
import pytest
import torch
from PIL import Image

from picolab.evaluation import metrics
from picolab.evaluation.images import find, read
from picolab.evaluation.metrics.external import SSIMULACRA2, Butteraugli
from picolab.evaluation.metrics.perceptual import Perceptual
from picolab.evaluation.metrics.pixel import MSSSIM, PSNR
from picolab.losses.wasserstein import WassersteinDistortion


def test_psnr_of_a_known_error():
    flat = np.full((8, 8, 3), 100, np.uint8)
    assert PSNR()(flat, flat + 5) == pytest.approx(20 * math.log10(255 / 5))
    assert PSNR()(flat, flat) == math.inf


def test_ms_ssim_as_piq_computes_it(pair):
    assert MSSSIM()(*pair) == pytest.approx(0.935033, abs=1e-5)  # piq 0.8.0


def test_ms_ssim_refuses_pictures_too_small_for_five_scales(photo):
    small = photo(160, 200)
    with pytest.raises(ValueError, match="160"):
        MSSSIM()(small, small)


def test_ssimulacra2_is_100_for_equal_pictures(pair):
    assert SSIMULACRA2()(pair[0], pair[0]) == pytest.approx(100)
    assert SSIMULACRA2()(*pair) == pytest.approx(16.2125, abs=0.001)


@pytest.mark.skipif("PICOLAB_EVAL" not in os.environ, reason="PICOLAB_EVAL names no test pictures")
def test_ssimulacra2_on_its_published_scale():
    """Its authors place libjpeg-turbo 4:2:0 of quality 35 near 50 and of quality 70 near 70."""
    scores: dict[int, list[float]] = {35: [], 70: []}
    for image in find(["kodak"])[2::8]:
        original = read(image.path)[:384, :384]
        for quality, found in scores.items():
            buffer = io.BytesIO()
            Image.fromarray(original).save(buffer, "JPEG", quality=quality)
            found.append(SSIMULACRA2()(original, np.array(Image.open(buffer))))
    assert np.mean(scores[35]) == pytest.approx(50, abs=8)
    assert np.mean(scores[70]) == pytest.approx(70, abs=8)


@pytest.mark.skipif(shutil.which("butteraugli_main") is None, reason="no butteraugli_main")
def test_butteraugli_of_libjxl(pair):
    assert Butteraugli()(*pair) == pytest.approx(3.376, abs=0.2)  # libjxl 0.7.0: 3.376347


def test_butteraugli_reads_the_3_norm_its_tool_prints(pair, monkeypatch, tmp_path):
    tool = tmp_path / "butteraugli_main"
    tool.write_text("#!/bin/sh\necho 5.1746711731\necho 3-norm: 3.376347\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert Butteraugli()(*pair) == 3.376347
    tool.write_text("#!/bin/sh\necho out of memory >&2\nexit 1\n")
    with pytest.raises(ValueError, match="out of memory"):
        Butteraugli()(*pair)


def test_butteraugli_is_missing_without_its_tool(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(metrics.Missing, match="libjxl-devtools"):
        metrics.check("butteraugli_3norm")


@pytest.mark.usefixtures("weights")
def test_lpips_of_a_large_picture_is_measured_in_tiles(pair, monkeypatch):
    reference, decoded = (np.tile(p, (1, 2, 1)) for p in pair)
    metric = Perceptual("lpips_alex")
    whole = metric(reference, decoded)
    monkeypatch.setattr("picolab.evaluation.metrics.perceptual.TILE", 200)
    monkeypatch.setattr("picolab.evaluation.metrics.perceptual.LARGEST_WHOLE", 0)
    assert metric(reference, decoded) == pytest.approx(whole, rel=0.05)


@pytest.mark.usefixtures("weights")
def test_wasserstein_distortion_is_training_s_and_forgives_other_grain(pair, photo):
    metric = Perceptual("wasserstein")
    x, y = (torch.from_numpy(p).permute(2, 0, 1)[None].float() / 255 for p in pair)
    assert metric(*pair) == pytest.approx(WassersteinDistortion()(x, y).item(), rel=1e-4)
    assert metric(pair[0], pair[0]) == pytest.approx(0, abs=1e-6)
    grain = np.random.default_rng(0).integers(60, 196, (2, 128, 128, 3)).astype(np.uint8)
    flat = np.full((128, 128, 3), grain[0].mean(), np.uint8)
    assert PSNR()(grain[0], grain[1]) < PSNR()(grain[0], flat)
    assert metric(grain[0], grain[1]) < metric(grain[0], flat) / 3


@pytest.mark.usefixtures("weights")
def test_kept_features_belong_to_their_picture(pair):
    metric = Perceptual("lpips_alex")
    reference, decoded = (p[:64, :64] for p in pair)
    assert metric(reference, decoded) > 0.01
    assert metric(decoded, decoded) == pytest.approx(0, abs=1e-6)
