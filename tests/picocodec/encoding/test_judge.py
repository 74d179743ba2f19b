"""Bits, and what a distortion is worth in bits."""

from __future__ import annotations

import numpy as np
import pytest
from tiny import photo, sign

import picocodec
from picocodec.encoding.judge import Judge, parts_of_distortion


def test_what_is_exact_costs_its_bits_alone() -> None:
    pixels = photo(40, 50)
    assert Judge(500).cost(7, pixels, pixels.copy()) == 56


def test_squared_errors_are_those_of_all_pixels() -> None:
    pixels = photo(41, 50) // 2
    brighter = pixels + np.uint8(3)
    errors, detail = parts_of_distortion(pixels, brighter)
    assert errors == pytest.approx(41 * 50 * (3 / 255) ** 2)
    assert detail == pytest.approx(0, abs=1e-2)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (7, 200), (64, 64)])
def test_detail_that_is_lost_or_made_up_counts_alike_in_all_shapes(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    flat = np.full((*shape, 3), 120, np.uint8)
    grainy = rng.integers(60, 180, (*shape, 3), np.uint8)
    lost, made_up = (parts_of_distortion(*pair)[1] for pair in ((grainy, flat), (flat, grainy)))
    assert lost == pytest.approx(made_up)
    assert parts_of_distortion(grainy, grainy) == (0, 0)
    if min(shape) > 1:
        # Steps of 120 levels at most, the mean of two such, beside what is hardly seen to differ.
        assert 2 < lost / (shape[0] * shape[1]) < 6


def test_areas_add_up() -> None:
    rng = np.random.default_rng(0)
    pixels = photo(64, 96)
    shown = (pixels + rng.normal(0, 9, pixels.shape)).clip(0, 255).astype(np.uint8)
    whole = parts_of_distortion(pixels, shown)
    halves = [
        parts_of_distortion(pixels[:32], shown[:32]),
        parts_of_distortion(pixels[32:], shown[32:]),
    ]
    assert whole[0] == pytest.approx(halves[0][0] + halves[1][0])
    assert whole[1] == pytest.approx(halves[0][1] + halves[1][1], rel=0.05)  # steps at the cut


def test_errors_are_worth_more_bits_at_higher_levels() -> None:
    pixels = photo(40, 50)
    shown = pixels // 8 * 8
    worth = [Judge(level).distortion(pixels, shown) for level in range(0, 1001, 100)]
    assert worth == sorted(worth) and worth[0] > 0 and worth[-1] > 20 * worth[0]


def test_a_broken_promise_costs_more_than_any_bits() -> None:
    pixels = photo(40, 50) // 2
    shown = pixels + np.uint8(4)  # 36 dB
    assert Judge(799).cost(7, pixels, pixels // 128 * 128) < np.inf
    assert Judge(900).cost(7, pixels, shown) < np.inf
    assert Judge(1000).cost(7, pixels, shown) == np.inf
    assert Judge(1000).cost(7, pixels, pixels) == 56


def test_noise_is_easy_up_to_half_the_promise() -> None:
    """Other noise in its place is wrong by twice its variance."""
    rng = np.random.default_rng(3)
    promised = 255**2 * 10**-3.4  # 34 dB, at level 920
    for share, easy in ((0.4, True), (0.6, False)):
        noise = rng.normal(128, (share * promised) ** 0.5, (200, 200, 3))
        assert Judge(920).is_easy(noise.round().clip(0, 255).astype(np.uint8)) is easy


Y, X = np.mgrid[0:96, 0:128]
EASY = {
    "plain": np.full((96, 128, 3), (255, 0, 0)),
    "ramp": X[..., None] * [1.9, 1.0, 0.2],
    "disc": np.where((np.hypot(X - 60, Y - 40) < 20)[..., None], [40, 90, 200], [70, 80, 180]),
    "waves": 128 + 60 * np.sin(np.hypot(X, Y) / 9)[..., None] * [1.0, -0.3, 0.5],
    "grain": 120 + np.random.default_rng(2).normal(0, 3, (96, 128, 3)),
    "soft photo": photo(96, 128)[:, :, ::-1].astype(float) * 0.3 + 80,
}


@pytest.mark.parametrize("name", EASY)
def test_what_is_easy_is_kept_unseen(name: str) -> None:
    pixels = EASY[name].round().clip(0, 255).astype(np.uint8)
    held = 0
    for level in (800, 860, 920, 980):
        if not Judge(level).is_easy(pixels):
            continue
        held += 1
        shown = picocodec.decode(picocodec.encode(pixels, level / 10))
        assert Judge(level).cost(0, pixels, shown) < np.inf
    assert held


def test_few_tiles_of_photos_are_decoded_for_a_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    cost = Judge.cost

    def counted(judge: Judge, *given: object) -> float:
        decoded.append(judge.level)
        return cost(judge, *given)

    monkeypatch.setattr(Judge, "cost", counted)
    soft = EASY["grain"].round().clip(0, 255).astype(np.uint8)
    picocodec.encode(soft, 82)
    assert decoded == []
    picocodec.encode(sign(96, 128), 82)
    assert decoded
