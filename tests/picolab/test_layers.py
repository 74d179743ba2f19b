from __future__ import annotations

import pytest
import torch
from torch import Tensor

from picolab.networks.blocks import Chain, ConvScale, Down, Up, to_squares
from picolab.networks.layers import Gains, haar_matrix


def randomised(module: torch.nn.Module) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return module


def haar_once(x: Tensor) -> Tensor:
    """One level of the 2-D Haar transform by its definition, band after band of all channels."""
    a, b, c, d = to_squares(x).chunk(4, 1)
    return torch.cat([a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d], 1) / 2


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_haar_matrix_is_orthonormal(levels: int) -> None:
    matrix = haar_matrix(levels)
    torch.testing.assert_close(matrix @ matrix.t(), torch.eye(4**levels))


def test_conv_scale_follows_its_definition() -> None:
    layer = ConvScale(6, 4, 3)
    randomised(layer)
    x = torch.randn(2, 6, 9, 7)
    scales = torch.outer(layer.scale_out, layer.scale_in)[:, :, None, None]
    weight = layer.weight.unflatten(1, (3, 3)).permute(0, 3, 1, 2) * scales
    bias = layer.scale_out * layer.bias
    torch.testing.assert_close(layer(x), torch.nn.functional.conv2d(x, weight, bias, padding=1))


def test_down_is_a_haar_transform_before_a_convolution() -> None:
    layer = Down(3, 5)
    randomised(layer)
    x = torch.randn(2, 3, 12, 8)
    weight, bias = ConvScale.effective(layer)
    expected = torch.einsum("kc,bchw->bkhw", weight.flatten(1), haar_once(x))
    torch.testing.assert_close(layer(x), expected + bias[:, None, None])


def test_up_inverts_the_transform_of_a_convolution() -> None:
    layer = Up(5, 3)
    randomised(layer)
    x = torch.randn(2, 5, 6, 4)
    weight, bias = ConvScale.effective(layer)
    expected = torch.einsum("kc,bchw->bkhw", weight.flatten(1), x) + bias[:, None, None]
    torch.testing.assert_close(haar_once(layer(x)), expected)


def test_gains_are_log_linear_between_knots() -> None:
    gains = Gains(2, 3)
    gains.log_gain.data = torch.tensor([[0.0, 1.0], [2.0, 1.0], [4.0, -3.0]])
    out = gains(torch.tensor([0.0, 0.25, 0.5, 1.0])).log()
    expected = torch.tensor([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [4.0, -3.0]])
    torch.testing.assert_close(out, expected)


def test_a_chain_scales_each_sample_by_its_own_level() -> None:
    chain = Chain(4, 1, knots=2)
    chain.scale.log_gain.data[1] = 1.0
    x = torch.randn(1, 4, 5, 5).expand(2, -1, -1, -1)
    low, high = chain(x, torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(high, low * torch.e)
