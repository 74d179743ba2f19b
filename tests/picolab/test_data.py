"""Crops made softer and noisier, and tiles cut from photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import drawing, photo

from picolab.data.cut import cut_photos
from picolab.data.variety import vary

CROPS = torch.full((64, 3, 32, 32), 0.5)
MASKS = torch.zeros(64, 1, 32, 32)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_nothing_is_drawn_where_nothing_is_asked_for() -> None:
    source = generator()
    crops, masks = vary(CROPS, MASKS, 1.0, 0.0, source)
    assert torch.equal(crops, CROPS) and torch.equal(masks, MASKS)
    assert torch.equal(source.get_state(), generator().get_state())


def test_half_of_the_crops_get_grain_up_to_its_deviation() -> None:
    crops, masks = vary(CROPS, MASKS, 1.0, 10.0, generator())
    deviations = 255 * crops.flatten(1).std(1)
    grainy = deviations > 0
    assert 20 <= int(grainy.sum()) <= 44
    assert 8 < float(deviations.max()) < 11  # 10, and that of colours
    assert torch.equal(masks, MASKS)
    brightness = (crops[grainy] - 0.5).mean(1).flatten(1).std(1)
    assert bool((brightness > 0.9 * deviations[grainy] / 255).all())


def test_half_of_the_crops_are_enlarged_with_their_masks() -> None:
    ramp = torch.linspace(0, 1, 64).expand(40, 3, 64, 64)
    crops, masks = vary(ramp, (ramp[:, :1] > 0.5).float(), 2.0, 0.0, generator())
    spans = crops[:, 0, 32, -1] - crops[:, 0, 32, 0]
    assert 10 <= int((spans == 1).sum()) <= 30
    assert 0.5 <= float(spans.min()) < 0.62 and float(spans.max()) == 1
    # The middle stays in the middle, and a mask where its picture is.
    assert torch.equal(masks[:, 0, :, :28], torch.zeros(40, 64, 28))
    assert torch.equal(masks[:, 0, :, 36:], torch.ones(40, 64, 28))


def test_photos_are_cut_from_their_smoothest_to_their_busiest_part(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    wide = photo(512, 6 * 512).astype(float)
    wide += rng.normal(0, 1, wide.shape) * np.repeat([0, 40, 5, 10, 20, 30], 512)[:, None]
    page = drawing(600, 600)
    for name, pixels in (("wide", wide.clip(0, 255).astype(np.uint8)), ("page", page)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    Image.fromarray(photo(500, 600)).save(tmp_path / "small.png")
    out = tmp_path / "tiles"
    assert cut_photos([tmp_path / f"{n}.png" for n in ("wide", "page", "small")], out, 3) == 3
    assert sorted(p.name for p in out.iterdir()) == [f"wide-{n}.png" for n in range(3)]
    deviations = [
        np.asarray(Image.open(out / f"wide-{n}.png")).astype(float).std() for n in range(3)
    ]
    assert deviations == pytest.approx(sorted(deviations))
    first = np.asarray(Image.open(out / "wide-0.png"))
    assert np.array_equal(first, wide[:, :512].clip(0, 255).astype(np.uint8))
