"""Losses where the right answer is known without any weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from picolab.losses.dists import l2_pool
from picolab.losses.fidelity import (
    borders_loss,
    clean_error,
    repeats_loss,
    text_fidelity_loss,
    tiling_artifact_loss,
)
from picolab.losses.moments import Moments, moments
from picolab.losses.objective import LossWeights, Objective, draw_realism
from picolab.losses.wasserstein import distance
from picolab.losses.xyb import xyb_error

CHOSEN = torch.tensor([1, 2])  # the samples of `realism` that are judged


def pictures(batch: int, side: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(batch, 3, side, side, generator=generator)
    return nn.functional.avg_pool2d(noise, 5, 1, 2)


def test_tiling_sees_offsets_at_every_scale_and_hardly_any_grain() -> None:
    x = pictures(2, 128)
    torch.testing.assert_close(tiling_artifact_loss(x, x + 0.1), torch.full((2,), 0.1))
    grain = 0.1 * (-1.0) ** torch.arange(128)
    assert tiling_artifact_loss(x, x + grain).max() < 1e-6
    half = torch.zeros(128)
    half[64:] = 0.1  # as if a tile were brighter than its neighbour
    torch.testing.assert_close(tiling_artifact_loss(x, x + half), torch.full((2,), 0.05))


def test_tiling_leaves_out_scales_larger_than_the_picture() -> None:
    x = pictures(1, 16)
    torch.testing.assert_close(tiling_artifact_loss(x, x - 0.2), torch.full((1,), 0.2))


def test_what_repeats_is_seen_beside_grain_and_among_it() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.full((1, 3, 130, 256), 0.5)
    x[..., 128:] += 0.2 * torch.randn(1, 3, 130, 128, generator=generator)
    pattern = 0.01 * torch.randn(16, 16, generator=generator)
    grain = 0.01 * torch.randn(130, 256, generator=generator)
    assert repeats_loss(x, x).item() == 0
    for columns in (slice(0, 112), slice(144, 256)):
        repeated = torch.zeros(130, 256)
        repeated[:128, columns] = pattern.repeat(8, 7)
        value = repeats_loss(x, x + repeated)
        assert value.item() == pytest.approx(pattern.abs().mean().item() * 7 / 16, rel=0.01)
        assert value > 4 * repeats_loss(x, x + grain)


def test_lines_between_squares_are_seen_and_textures_hardly() -> None:
    generator = torch.Generator().manual_seed(1)
    x = pictures(1, 64)
    lines = torch.zeros(1, 3, 64, 64)
    lines[..., 16:24] = 0.02  # a square's width of brighter columns: two borders of seven
    grain = 0.02 * torch.randn(1, 3, 64, 64, generator=generator)
    assert borders_loss(x, x).item() == 0
    assert borders_loss(x, x + lines).item() == pytest.approx(0.02 * 2 / 7 / 2)
    within = lines.roll(4, 3)  # the same between borders
    assert borders_loss(x, x + within).item() < 1e-7
    assert borders_loss(x, x + grain) < 0.6 * 0.02


def test_errors_count_on_clean_ground_and_not_in_texture() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.linspace(0.2, 0.3, 64).expand(1, 3, 64, 64).clone()  # a slope as of the sky
    x[..., 32:] += 0.1 * torch.randn(1, 3, 64, 32, generator=generator)
    grain = 0.02 * torch.randn(1, 3, 64, 64, generator=generator)
    left, right = grain.clone(), grain.clone()
    left[..., 24:], right[..., :32] = 0, 0
    assert clean_error(x, x).item() == 0
    on_clean = left.square().mean().item()
    assert clean_error(x, x + left).item() == pytest.approx(on_clean, rel=0.05)
    assert clean_error(x, x + right).item() < 0.01 * on_clean


def test_text_counts_inside_the_mask_only() -> None:
    x = pictures(1, 32)
    mask = torch.zeros(1, 1, 32, 32)
    mask[:, :, :16] = 1
    y = x.clone()
    y[:, :, 16:] += 0.5
    assert text_fidelity_loss(x, y, mask).item() == 0
    y[:, :, :16] += 0.2
    assert text_fidelity_loss(x, y, mask).item() == pytest.approx(0.1)


def test_wasserstein_is_blind_to_order_within_a_window_and_sees_statistics() -> None:
    generator = torch.Generator().manual_seed(0)
    texture = torch.randn(1, 4, 8, 8, generator=generator)
    order = torch.randperm(64, generator=generator)
    shuffled = texture.flatten(2)[:, :, order].unflatten(2, (8, 8))
    assert distance([texture], [shuffled], window=8).item() == pytest.approx(0, abs=1e-6)
    assert distance([texture], [shuffled], window=1).item() > 0.5
    # A constant shift moves the mean alone; twice the deviation moves the deviation alone.
    flat = torch.ones(1, 4, 8, 8)
    assert distance([flat], [flat + 0.5], window=8).item() == pytest.approx(0.25, rel=1e-3)
    wider = 2 * texture - texture.mean((2, 3), keepdim=True)
    spread = texture.var((2, 3), unbiased=False).mean() / texture.square().mean()
    assert distance([texture], [wider], window=8).item() == pytest.approx(spread.item(), rel=2e-3)


def test_wasserstein_windows_shrink_with_the_stage() -> None:
    """Stage 3 is reduced eightfold: a window of 16 pixels has 2 positions on a side there."""
    maps = [torch.zeros(1, 1, 64 >> n, 64 >> n) for n in range(4)]
    other = [m.clone() for m in maps]
    other[3][:, :, 0, 0], other[3][:, :, 0, 1] = 1.0, -1.0
    swapped = [m.clone() for m in maps]
    swapped[3][:, :, 0, 0], swapped[3][:, :, 0, 1] = -1.0, 1.0
    assert distance(other, swapped, 16).item() == pytest.approx(0, abs=1e-6)
    assert distance(other, swapped, 8).item() > 0


def test_wasserstein_has_gradients_where_there_is_no_texture() -> None:
    x = torch.zeros(1, 2, 16, 16, requires_grad=True)
    distance([torch.ones(1, 2, 16, 16)], [x], 16).sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all() and x.grad.any()


class Squares(nn.Module):
    """In place of LPIPS or DISTS."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Maps()

    def normalised(self, maps: list[Tensor]) -> list[Tensor]:
        return maps

    def distance(self, x: list[Tensor], y: list[Tensor]) -> Tensor:
        return (x[0] - y[0]).square().mean((1, 2, 3))

    def of_moments(self, stages: list[Moments]) -> Tensor:
        """Of the pictures, the first of `stages`."""
        m = stages[0]
        return (m.aa + m.bb - 2 * m.ab).mean((1, 2, 3))


class Maps(nn.Module):
    """In place of VGG16."""

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x]


@pytest.mark.parametrize("size", [(8, 8), (7, 10), (1, 2)])
def test_dists_pools_as_a_strided_convolution(size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, *size, generator=generator, requires_grad=True)
    side = torch.tensor([0.25, 0.5, 0.25])
    kernel = (side[:, None] * side).expand(3, 1, 3, 3)
    plain = (F.conv2d(x.square(), kernel, stride=2, padding=1, groups=3) + 1e-12).sqrt()
    ours = l2_pool(x)
    torch.testing.assert_close(ours, plain)
    weights = torch.rand(ours.shape, generator=generator)
    gradients = [torch.autograd.grad((y * weights).sum(), x)[0] for y in (ours, plain)]
    torch.testing.assert_close(*gradients)


def test_moments_and_their_gradient_are_those_of_windows() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b, weights = (torch.rand(2, 3, 18, 16, generator=generator) for _ in range(3))
    b.requires_grad_()
    ours = moments(a, b, 8)
    inside = [x[:, :, :16] for x in (a, b)]
    plain = Moments(
        *(
            F.avg_pool2d(x, 8)
            for x in (*inside, inside[0] ** 2, inside[1] ** 2, inside[0] * inside[1])
        )
    )
    for one, other in zip(ours, plain, strict=True):
        torch.testing.assert_close(one, other)
    gradients = [
        torch.autograd.grad((weights[:, :, :2, :2] * (m.b + 2 * m.bb * m.ab)).sum(), b)[0]
        for m in (ours, plain)
    ]
    torch.testing.assert_close(*gradients)
    assert gradients[0].any()
    larger = ours.over(2)
    torch.testing.assert_close(larger.ab[:, :, 0, 0], ours.overall().ab)


def test_objective_weighs_the_perceptual_part_by_realism() -> None:
    objective = Objective(LossWeights(tiling=3.0))
    objective.weights = LossWeights(tiling=3.0, dists=2.0)
    objective.vgg, objective.dists = Maps(), Squares()  # type: ignore[assignment]
    x, mask = pictures(3, 64), torch.zeros(3, 1, 64, 64)
    y = x.clone()
    y[:, :, :16, :16] += 0.5
    realism = torch.tensor([0.0, 0.5, 1.0])
    at_error = objective(x, y, mask, realism, CHOSEN, torch.tensor([0.0, 0.0]))
    tiling, seen = 3 * tiling_artifact_loss(x, y), 0.25 * 16**2 / 48**2
    torch.testing.assert_close(at_error.cost, tiling + 2 * realism * seen)
    assert at_error.parts["dists"].item() == pytest.approx(seen)
    elsewhere = objective(x, y, mask, realism, CHOSEN, torch.tensor([0.999, 0.999]))
    torch.testing.assert_close(elsewhere.cost, tiling)


def test_objective_sees_less_than_the_crop_at_a_random_place() -> None:
    objective = Objective(LossWeights())
    objective.weights = LossWeights(lpips_alex=1.0, dists=2.0)
    objective.alex = objective.dists = Squares()  # type: ignore[assignment]
    objective.vgg = Maps()  # type: ignore[assignment]
    x, mask = torch.zeros(3, 3, 64, 64), torch.zeros(3, 1, 64, 64)
    y = x.clone()
    y[:, :, 48:] = 1.0  # both see 48 of the 64 rows
    realism = torch.tensor([0.0, 0.5, 1.0])
    above = objective(x, y, mask, realism, CHOSEN, torch.tensor([0.0, 0.0]))
    assert not above.cost.any() and above.parts.keys() == {"lpips_alex", "dists"}
    below = objective(x, y, mask, realism, CHOSEN, torch.tensor([0.999, 0.0]))
    torch.testing.assert_close(below.cost, realism * (1 + 2) * 16 / 48)


def test_samples_that_vgg16_sees_stand_for_the_others() -> None:
    objective = Objective(LossWeights())
    objective.weights = LossWeights(lpips_alex=1.0, dists=2.0, vgg_samples=1)
    objective.alex = objective.dists = Squares()  # type: ignore[assignment]
    objective.vgg = Maps()  # type: ignore[assignment]
    x, mask = torch.zeros(3, 3, 64, 64), torch.zeros(3, 1, 64, 64)
    realism = torch.tensor([0.0, 0.5, 1.0])
    cost = objective(x, x + 1, mask, realism, CHOSEN, torch.tensor([0.0, 0.0])).cost
    torch.testing.assert_close(cost, torch.tensor([0.0, 0.5 * (1 + 2 * 2), 1.0]))


def test_alexnet_sees_reduced_pictures_where_asked() -> None:
    seen: list[int] = []

    class Sides(Squares):
        def distance(self, x: list[Tensor], y: list[Tensor]) -> Tensor:
            seen.append(x[0].shape[3])
            return super().distance(x, y)

    objective = Objective(LossWeights())
    objective.weights = LossWeights(lpips_alex=1.0, alex_zoom=0.5)
    objective.alex = Sides()  # type: ignore[assignment]
    x, mask = torch.zeros(1, 3, 80, 80), torch.zeros(1, 1, 80, 80)
    for size in (0.0, 0.5, 0.999):
        objective(x, x, mask, torch.ones(1), torch.tensor([0]), torch.tensor([0.0, 0.0, size]))
    assert seen == [32, 48, 64]


def test_errors_in_xyb_count_colour_and_coarse_scales() -> None:
    gray = torch.full((1, 3, 32, 32), 0.5)
    assert xyb_error(gray, gray).item() == 0
    step = torch.tensor([0.02, -0.02, 0.0])[:, None, None]
    even = torch.full((3, 1, 1), 0.0163)  # about as large a squared error
    checks = (torch.arange(32)[:, None] + torch.arange(32)) % 2 * 2.0 - 1
    error = xyb_error(gray, gray + even)
    assert xyb_error(gray, gray + step) > 1.5 * error
    assert error > 2 * xyb_error(gray, gray + even * checks)


def test_realism_is_drawn_in_the_shares_asked_for() -> None:
    weights = LossWeights(dists=1.0, closest=0.25, fullest=0.5)
    realism = draw_realism(64, weights, torch.Generator().manual_seed(0))
    assert (realism == 0).sum() == 16 and (realism == 1).sum() == 32
    between = realism[(realism > 0) & (realism < 1)]
    assert len(between) == 16 and between.std() > 0.1
    generator = torch.Generator().manual_seed(0)
    assert not draw_realism(8, LossWeights(text=1.0), generator).any()
    assert torch.equal(generator.get_state(), torch.Generator().manual_seed(0).get_state())


def test_the_weight_of_the_squared_error_falls_with_realism() -> None:
    shares = LossWeights(mse_at_realism=0.4).mse_share(torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(shares, torch.tensor([1.0, 0.7, 0.4]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dists": -1.0}, "dists = -1.0 must not be negative"),
        ({"closest": 0.7, "fullest": 0.7}, "at most 1"),
        ({"vgg_samples": 0}, "at least 1"),
        ({"alex_zoom": 0.0}, r"alex_zoom must be in \(0, 1\]"),
        ({"xyb_share": 1.5}, "xyb_share at most 1"),
    ],
)
def test_impossible_weights_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LossWeights(**values)  # type: ignore[arg-type]
