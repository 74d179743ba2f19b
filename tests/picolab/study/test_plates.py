"""Plates hide their digit from the eyes that they are made for, and from no others."""

from __future__ import annotations

import numpy as np
import pytest

from picolab.study import artefacts, plates
from picolab.study.crops import choose


def cones(kind: str) -> tuple[np.ndarray, np.ndarray]:
    figure, ground = plates.colours(kind)
    return plates.LMS @ figure, plates.LMS @ ground


@pytest.mark.parametrize(("kind", "missing"), plates.MISSING.items())
def test_a_dichromat_sees_no_figure(kind: str, missing: int) -> None:
    figure, ground = cones(kind)
    relative = np.abs(figure - ground) / ground
    others = [cone for cone in range(3) if cone != missing]
    assert relative[others] == pytest.approx(0, abs=1e-9)
    assert relative[missing] > 0.15


@pytest.mark.parametrize("missing", [0, 1])
def test_everybody_sees_the_control(missing: int) -> None:
    figure, ground = cones("control")
    others = [cone for cone in range(3) if cone != missing]
    assert (np.abs(figure - ground) / ground)[others].max() > 0.5


@pytest.mark.parametrize("kind", plates.KINDS)
def test_colours_fit_into_srgb_at_the_brightest(kind: str) -> None:
    for colour in plates.colours(kind):
        assert np.all((1.2 * colour >= 0) & (1.2 * colour <= 1))


def test_a_plate_is_the_same_each_time_and_has_its_digit() -> None:
    plate = plates.make("deutan", "5", 3)
    assert plate.pixels.shape == (plates.SIDE, plates.SIDE, 3)
    assert np.array_equal(plate.pixels, plates.make("deutan", "5", 3).pixels)
    inside = plates._mask("5")
    redness = plate.pixels[..., 0].astype(int) - plate.pixels[..., 1]
    dots = np.abs(redness) > 20
    assert redness[dots & inside].mean() < 0 < redness[dots & ~inside].mean()
    # Brightness tells nothing: the dots' own shades are far larger than what is left.
    gray = plate.pixels.mean(2)
    apart = abs(gray[dots & inside].mean() - gray[dots & ~inside].mean())
    assert apart < gray[dots].std() * 1.5


def test_unknown_names_are_told() -> None:
    with pytest.raises(ValueError, match="control, protan, deutan"):
        plates.make("tritan", "5", 0)
    with pytest.raises(ValueError, match="blocks, blur"):
        artefacts.spoil(np.zeros((8, 8, 3), np.uint8), "rain", True)
    with pytest.raises(ValueError, match="no rule"):
        choose(np.zeros((90, 90, 3), np.uint8), 64, "best", "")


@pytest.mark.parametrize("artefact", artefacts.ARTEFACTS)
def test_strong_faults_are_stronger(artefact: str) -> None:
    y, x = np.mgrid[0:96, 0:96]
    picture = np.stack([x * 2 + 20 * np.sin(y), 200 - x, y * 2], -1).clip(0, 255).astype(np.uint8)
    errors = [
        np.abs(artefacts.spoil(picture, artefact, strong).astype(int) - picture).mean()
        for strong in (False, True)
    ]
    assert 0 < errors[0] < errors[1]


def test_crops_stay_inside_and_follow_their_rule() -> None:
    picture = np.zeros((300, 420, 3), np.uint8)
    noise = np.random.default_rng(0).integers(0, 255, (300, 140, 3), np.uint8)
    picture[:, :140] = noise
    for rule in ("detail", "centre", "random"):
        crop = choose(picture, 128, rule, "seed")
        assert (crop.width, crop.height) == (128, 128)
        assert crop.cut(picture).shape == (128, 128, 3)
    centre = choose(picture, 128, "centre", "")
    assert (centre.left, centre.top) == (146, 86)
    assert choose(picture, 128, "random", "a") == choose(picture, 128, "random", "a")
    assert choose(picture, 128, "random", "a") != choose(picture, 128, "random", "b")
    assert 0 < choose(picture, 128, "detail", "").left < 140
    small = choose(picture[:70, :90], 128, "detail", "")
    assert (small.width, small.height) == (90, 70)
