"""Losses where the right answer is known without any weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from picolab.losses.fidelity import (
    OPPONENT,
    chroma_loss,
    halo_loss,
    lattice_loss,
    ms_ssim_loss,
    repeats_loss,
    smooth_loss,
    text_fidelity_loss,
    tiling_artifact_loss,
)
from picolab.losses.gan import (
    Discriminator,
    FeatureDiscriminator,
    discriminator_loss,
    generator_loss,
)
from picolab.losses.objective import LossWeights, Objective, draw_realism
from picolab.losses.wasserstein import distance
from picolab.losses.xyb import xyb_error


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


def test_smooth_surfaces_count_and_busy_ones_hide_errors() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.full((1, 3, 64, 128), 0.5)
    x[..., 64:] += 0.2 * torch.randn(1, 3, 64, 64, generator=generator)
    at_left, at_right = torch.zeros(128), torch.zeros(128)
    at_left[:32], at_right[96:] = 0.01, 0.01
    assert smooth_loss(x, x).item() == 0
    assert smooth_loss(x, x + at_left) > 100 * smooth_loss(x, x + at_right) > 0


def test_smooth_surfaces_are_judged_by_slow_changes_in_opponent_colours() -> None:
    x = torch.full((1, 3, 64, 64), 0.5)
    grain = 0.1 * (-1.0) ** torch.arange(64)
    assert smooth_loss(x, x + grain).item() == pytest.approx(0, abs=1e-7)
    offset = torch.tensor([0.02, 0.0, -0.01])
    expected = sum(
        abs(sum(o * c for o, c in zip(offset.tolist(), row, strict=True))) for row in OPPONENT
    )
    value = smooth_loss(x, x + offset[:, None, None])
    assert value.item() == pytest.approx(expected / 3, rel=1e-4)
    assert all(sum(row) == pytest.approx(0, abs=1e-6) for row in OPPONENT[1:])


def test_chroma_sees_colours_and_neither_brightness_nor_grain() -> None:
    x = pictures(2, 64)
    gray = torch.full((3, 1, 1), 0.02)
    red = torch.tensor([0.02, 0.0, 0.0])[:, None, None]
    grain = red * torch.tensor([1.0, -1.0]).repeat(32)  # column by column
    assert chroma_loss(x, x + gray) == pytest.approx(torch.zeros(2), abs=1e-6)
    assert chroma_loss(x, x + grain) == pytest.approx(torch.zeros(2), abs=1e-6)
    weights = [abs(line[0]) for line in OPPONENT[1:]]
    expected = torch.full((2,), 0.02 * sum(weights) / 2)
    assert chroma_loss(x, x + red) == pytest.approx(expected, rel=1e-3)
    assert chroma_loss(x[..., :6, :6], x[..., :6, :6] + red) == pytest.approx(expected, rel=1e-3)


def test_lattice_sees_what_repeats_in_smooth_places_and_no_grain() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.full((1, 3, 130, 256), 0.5)
    x[..., 128:] += 0.2 * torch.randn(1, 3, 130, 128, generator=generator)
    pattern = 0.01 * torch.randn(16, 16, generator=generator)
    repeated, elsewhere = torch.zeros(2, 130, 256)
    repeated[:128, :112] = pattern.repeat(8, 7)
    elsewhere[:128, 144:] = pattern.repeat(8, 7)
    grain = 0.01 * torch.randn(130, 256, generator=generator)
    assert lattice_loss(x, x).item() == 0
    value = lattice_loss(x, x + repeated)
    assert value.item() == pytest.approx(pattern.abs().mean().item() * 7 / 16, rel=0.01)
    assert value > 4 * lattice_loss(x, x + grain)
    assert value > 100 * lattice_loss(x, x + elsewhere)
    # Among grain it is told from more grain, too.
    assert repeats_loss(x, x).item() == 0
    assert repeats_loss(x, x + elsewhere).item() == pytest.approx(
        pattern.abs().mean().item() * 7 / 16, rel=0.01
    )
    assert repeats_loss(x, x + elsewhere) > 4 * repeats_loss(x, x + grain)


def test_halo_is_what_is_wrong_on_plain_ground_beside_edges() -> None:
    x = torch.full((1, 3, 68, 256), 0.3)
    x[..., 128:] = torch.rand(1, 3, 68, 128, generator=torch.Generator().manual_seed(1))
    beside, far, in_texture = torch.zeros(3, 256)
    beside[112:128], far[32:48], in_texture[160:176] = 0.02, 0.02, 0.02
    assert halo_loss(x, x).item() == 0
    value = halo_loss(x, x + beside).item()
    assert value == pytest.approx(0.02 * 16 / 256, rel=0.05)
    assert halo_loss(x, x + far).item() < 0.001 * value  # variances are rounded
    assert halo_loss(x, x + in_texture).item() < 0.01 * value


def test_text_counts_inside_the_mask_only() -> None:
    x = pictures(1, 32)
    mask = torch.zeros(1, 1, 32, 32)
    mask[:, :, :16] = 1
    y = x.clone()
    y[:, :, 16:] += 0.5
    assert text_fidelity_loss(x, y, mask).item() == 0
    y[:, :, :16] += 0.2
    assert text_fidelity_loss(x, y, mask).item() == pytest.approx(0.1)


@pytest.mark.parametrize("side", [176, 256])
def test_ms_ssim_is_that_of_a_well_known_package(side: int) -> None:
    reference = pytest.importorskip("pytorch_msssim")
    x, noise = pictures(2, side), pictures(2, side, seed=1)
    y = (x + 0.3 * (noise - 0.5)).clamp(0, 1)
    expected = 1 - reference.ms_ssim(x, y, data_range=1, size_average=False)
    torch.testing.assert_close(ms_ssim_loss(x, y), expected, atol=2e-5, rtol=0)


def test_ms_ssim_of_small_pictures() -> None:
    x = pictures(1, 64)
    assert ms_ssim_loss(x, x).item() == pytest.approx(0, abs=1e-6)
    assert 0.01 < ms_ssim_loss(x, 1 - x).item() <= 1
    with pytest.raises(ValueError, match="8x8 pixels"):
        ms_ssim_loss(x[:, :, :8, :8], x[:, :, :8, :8])


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


def taught(discriminator: nn.Module, real: Callable[[], Tensor], kernel: int) -> list[float]:
    """The losses of a discriminator that learns to tell pictures from blurred ones."""
    learning = [p for p in discriminator.parameters() if p.requires_grad]
    optimiser, losses = torch.optim.AdamW(learning, 4e-4, betas=(0.5, 0.99)), []
    for _ in range(40):
        x = real()
        latent = torch.randn(len(x), 8, x.shape[2] // 16, x.shape[3] // 16)
        blurred = nn.functional.avg_pool2d(x, kernel, 1, kernel // 2)
        logits = discriminator(x, latent), discriminator(blurred, latent)
        loss = discriminator_loss(*logits, torch.ones(len(x)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def test_discriminator_learns_to_tell_blurred_from_real() -> None:
    torch.manual_seed(0)
    losses = taught(Discriminator(8), lambda: torch.rand(4, 3, 64, 64), 3)
    assert losses[-1] < 0.8 * losses[0]


def test_the_codec_pays_for_being_recognised_except_in_text() -> None:
    discriminator = Discriminator(8)
    decoded = torch.rand(2, 3, 64, 64, requires_grad=True)
    logits = discriminator(decoded, torch.randn(2, 8, 4, 4))
    no_text, text = torch.zeros(2, 1, 64, 64), torch.ones(2, 1, 64, 64)
    assert generator_loss(logits, text).tolist() == [0, 0]
    penalty = generator_loss(logits, no_text)
    assert (penalty > 0).all()
    penalty.sum().backward()
    assert decoded.grad is not None and decoded.grad.any()


class FewFeatures(nn.Module):
    """In place of VGG16, whose weights are not everywhere: fixed filters of as many channels."""

    def __init__(self, bf16: bool = False) -> None:
        super().__init__()
        torch.manual_seed(1)
        widths = (3, *FeatureDiscriminator.STAGES, 8, 8)
        convs = (nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.stages = nn.ModuleList(nn.Sequential(conv, nn.ReLU()) for conv in convs)
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps: list[Tensor] = []
        for stage in self.stages:
            x = stage(nn.functional.avg_pool2d(x, 2) if maps else x)
            maps.append(x)
        return maps


def test_a_discriminator_of_features_learns_and_its_trunk_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("picolab.losses.gan.VGG16", FewFeatures)
    torch.manual_seed(0)
    discriminator = FeatureDiscriminator(8)
    before = [p.clone() for p in discriminator.trunk.parameters()]
    losses = taught(discriminator, lambda: torch.rand(2, 3, 32, 32), 5)
    assert losses[-1] < 1.34 < 2 * math.log(2)  # what ignorance costs
    assert all(map(torch.equal, before, discriminator.trunk.parameters()))
    logits = discriminator(torch.rand(2, 3, 32, 32), torch.randn(2, 8, 2, 2))
    assert logits.shape == (2, 3, 8, 8)


def test_discriminator_loss_weighs_samples() -> None:
    real, decoded = torch.tensor([9.0, -9.0]), torch.tensor([-9.0, 9.0])
    good, bad = (
        discriminator_loss(real.view(2, 1, 1, 1), decoded.view(2, 1, 1, 1), torch.tensor(w))
        for w in ([1.0, 0.0], [0.0, 1.0])
    )
    assert good < 1e-3 and bad > 17


def test_generator_loss_falls_with_the_logit() -> None:
    mask = torch.zeros(1, 1, 32, 32)
    low, high = (generator_loss(torch.full((1, 1, 2, 2), v), mask).item() for v in (-3.0, 3.0))
    assert low > 3 > 0.1 > high


def test_discriminator_has_one_logit_a_block() -> None:
    logits = Discriminator(8, width=8)(torch.rand(2, 3, 64, 128), torch.randn(2, 8, 4, 8))
    assert logits.shape == (2, 1, 4, 8)


class Pixels(nn.Module):
    """In place of VGG16: the picture is its own and only feature map."""

    def trunk(self, x: Tensor) -> list[Tensor]:
        return [x]

    def normalised(self, maps: list[Tensor]) -> list[Tensor]:
        return maps

    def distance(self, x: list[Tensor], y: list[Tensor]) -> Tensor:
        return (x[0] - y[0]).square().mean((1, 2, 3))


def test_objective_weighs_the_perceptual_part_by_realism() -> None:
    objective = Objective(LossWeights(tiling=3.0))
    objective.weights = LossWeights(tiling=3.0, lpips=2.0, perceptual_crop=32)
    objective.vgg = Pixels()  # type: ignore[assignment]
    x, mask = pictures(3, 64), torch.zeros(3, 1, 64, 64)
    y = x.clone()
    y[:, :, :32, :32] += 0.5
    realism = torch.tensor([0.0, 0.5, 1.0])
    at_error, parts = objective(x, y, mask, realism, torch.tensor([0.0, 0.0]))
    tiling = 3 * tiling_artifact_loss(x, y)
    torch.testing.assert_close(at_error, tiling + 2 * realism * 0.25)
    assert parts["lpips"].item() == pytest.approx(0.25)
    elsewhere, _ = objective(x, y, mask, realism, torch.tensor([0.999, 0.999]))
    torch.testing.assert_close(elsewhere, tiling)


class Squares(nn.Module):
    """In place of LPIPS or DISTS."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return (x - y).square().mean((1, 2, 3))


def test_objective_lets_few_samples_stand_for_all_and_sees_less_than_the_crop() -> None:
    objective = Objective(LossWeights())
    objective.weights = LossWeights(
        lpips_alex=1.0, dists=2.0, perceptual_crop=32, perceptual_batch=1
    )
    objective.alex = objective.dists = Squares()  # type: ignore[assignment]
    x, mask = torch.zeros(3, 3, 64, 64), torch.zeros(3, 1, 64, 64)
    y = x.clone()
    y[:, :, 48:] = 1.0  # AlexNet sees 48 of the 64 rows
    realism = torch.tensor([0.0, 0.5, 1.0])
    above, parts = objective(x, y, mask, realism, torch.tensor([0.0, 0.0]))
    assert not above.any() and parts.keys() == {"lpips_alex", "dists"}
    below, _ = objective(x, y, mask, realism, torch.tensor([0.999, 0.0]))
    alex, dists = 16 / 48, 2 * (16 / 32) * 2  # one of two chosen samples counts twice
    torch.testing.assert_close(below, torch.tensor([0.0, 0.5 * (alex + dists), alex]))


def test_alexnet_sees_reduced_pictures_where_asked() -> None:
    seen: list[int] = []

    class Sides(Squares):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            seen.append(x.shape[3])
            return super().forward(x, y)

    objective = Objective(LossWeights())
    objective.weights = LossWeights(lpips_alex=1.0, alex_zoom=0.5)
    objective.alex = Sides()  # type: ignore[assignment]
    x, mask = torch.zeros(1, 3, 80, 80), torch.zeros(1, 1, 80, 80)
    for size in (0.0, 0.5, 0.999):
        objective(x, x, mask, torch.ones(1), torch.tensor([0.0, 0.0, size]))
    assert seen == [32, 48, 63]


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
    weights = LossWeights(gan=1.0, closest=0.25, fullest=0.5)
    realism = draw_realism(64, weights, torch.Generator().manual_seed(0))
    assert (realism == 0).sum() == 16 and (realism == 1).sum() == 32
    between = realism[(realism > 0) & (realism < 1)]
    assert len(between) == 16 and between.std() > 0.1
    generator = torch.Generator().manual_seed(0)
    assert not draw_realism(8, LossWeights(text=1.0), generator).any()
    assert torch.equal(generator.get_state(), torch.Generator().manual_seed(0).get_state())


def test_weights_of_the_adversary_and_of_the_mse() -> None:
    weights = LossWeights(gan=0.5, gan_start=100, gan_ramp=50, mse_at_realism=0.4)
    assert [weights.gan_at(s) for s in (0, 100, 125, 150, 900)] == [0, 0, 0.25, 0.5, 0.5]
    shares = weights.mse_share(torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(shares, torch.tensor([1.0, 0.7, 0.4]))
    weights = LossWeights(lpips_alex=1.0, growth=0.5)
    grown = weights.at_slope(torch.tensor([25.0, 100.0, 400.0]), torch.tensor([100.0]))
    torch.testing.assert_close(grown, torch.tensor([0.5, 1.0, 2.0]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lpips": -1.0}, "lpips = -1.0 must not be negative"),
        ({"closest": 0.7, "fullest": 0.7}, "at most 1"),
        ({"perceptual_crop": 8}, "at least 32"),
    ],
)
def test_impossible_weights_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LossWeights(**values)  # type: ignore[arg-type]
