from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from tiny import tiny_codec
from torch import Tensor, nn

from picolab.networks.layers import (
    Chain,
    ConvScale,
    ConvScale311,
    Gains,
    HaarDown,
    HaarUp,
    PatchConv,
    StridedDown,
    StridedUp,
    fold,
    haar_matrix,
)


def randomised(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return module


def haar_once(x: Tensor) -> Tensor:
    """One level of the 2-D Haar transform by its definition: sums and differences of pixels."""
    a, b = x[:, :, 0::2, 0::2], x[:, :, 0::2, 1::2]
    c, d = x[:, :, 1::2, 0::2], x[:, :, 1::2, 1::2]
    bands = [a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d]
    return torch.stack(bands, 2).flatten(1, 2) / 2


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_haar_matrix_is_orthonormal(levels: int) -> None:
    matrix = haar_matrix(levels)
    torch.testing.assert_close(matrix @ matrix.t(), torch.eye(4**levels))


def test_conv_scale_follows_its_definition() -> None:
    layer = randomised(ConvScale(6, 4, 3))
    x = torch.randn(2, 6, 9, 7)
    weight = layer.scale_in * layer.scale_out * layer.weight
    expected = F.conv2d(x, weight, layer.scale_out.flatten() * layer.bias, padding=1)
    torch.testing.assert_close(layer(x), expected)


def test_haar_down_is_a_haar_transform_before_a_convolution() -> None:
    layer = randomised(HaarDown(3, 5, kernel=3))
    x = torch.randn(2, 3, 12, 8)
    weight, bias = ConvScale.effective(layer)
    torch.testing.assert_close(layer(x), F.conv2d(haar_once(x), weight, bias, padding=1))


def test_haar_up_inverts_the_transform_of_a_convolution() -> None:
    layer = randomised(HaarUp(5, 3, kernel=3))
    x = torch.randn(2, 5, 6, 4)
    weight, bias = ConvScale.effective(layer)
    torch.testing.assert_close(haar_once(layer(x)), F.conv2d(x, weight, bias, padding=1))


@pytest.mark.parametrize(
    "make",
    [
        lambda: ConvScale(8, 6, 3),
        lambda: ConvScale(8, 16, 3, groups=8),
        lambda: HaarDown(8, 6),
        lambda: HaarDown(8, 6, kernel=3),
        lambda: HaarDown(8, 6, levels=3),
        lambda: HaarUp(8, 6),
        lambda: HaarUp(8, 3, kernel=3, levels=2),
        lambda: ConvScale311(8, 2, 3),
        lambda: PatchConv(8, 6, 8),
    ],
)
def test_folding_changes_nothing(make) -> None:
    module = randomised(make())
    x = torch.randn(2, 8, 16, 24)
    before = module(x)
    folded = fold(module)
    assert not any(isinstance(m, ConvScale) for m in folded.modules())
    torch.testing.assert_close(folded(x), before, atol=1e-4, rtol=1e-4)


def test_folding_the_whole_codec_changes_nothing() -> None:
    codec = tiny_codec().eval()
    x, level = torch.rand(1, 3, 64, 128), torch.tensor([0.4])
    y, z = codec.analysis(x, level)
    realism = torch.tensor([0.4])
    picture = codec.synthesis(y, level, realism)
    fold(codec.analysis)
    fold(codec.synthesis)
    torch.testing.assert_close(codec.analysis(x, level), (y, z), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(codec.synthesis(y, level, realism), picture, atol=1e-4, rtol=1e-4)


def test_gains_are_log_linear_between_knots() -> None:
    gains = Gains(2, 3)
    gains.log_gain.data = torch.tensor([[0.0, 1.0], [2.0, 1.0], [4.0, -3.0]])
    out = gains(torch.tensor([0.0, 0.25, 0.5, 1.0])).log()
    expected = torch.tensor([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [4.0, -3.0]])
    torch.testing.assert_close(out, expected)


def test_a_chain_scales_each_sample_by_its_own_level() -> None:
    chain = Chain(4, 1, 1, 2, knots=2)
    chain.scale.log_gain.data[1] = 1.0
    x = torch.randn(1, 4, 5, 5).expand(2, -1, -1, -1)
    low, high = chain(x, torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(high, low * torch.e)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ConvScale(6, 4, 3),
        lambda: ConvScale(6, 6, 3, groups=6),
        lambda: HaarDown(3, 5, kernel=3),
        lambda: HaarDown(3, 5, levels=2),
        lambda: HaarUp(5, 3, kernel=3),
        lambda: HaarUp(5, 3, kernel=1, levels=2),
        lambda: StridedDown(3, 5),
        lambda: StridedUp(5, 3),
        lambda: PatchConv(3, 7, 4),
    ],
)
def test_unfolding_takes_folding_back(make: Callable[[], nn.Module]) -> None:
    layer, other = randomised(make()), make()
    plain = layer.fold()
    conv = plain[0] if isinstance(plain, nn.Sequential) else plain
    other.unfold(conv.weight, conv.bias)
    x = torch.randn(2, conv.in_channels, 16, 8)
    torch.testing.assert_close(other(x), layer(x), atol=1e-5, rtol=1e-5)
