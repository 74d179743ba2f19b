from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import TINY, tiny_codec

from picocodec.model import scale_decoder
from picocodec.model.model import Model
from picocodec.model.scale_decoder import LEVEL_BINS, IntegerLayer, level_bin
from picolab.networks.integer import ScaleDecoder


@pytest.mark.parametrize("spread", [1.0, 4.0, 60.0])
@pytest.mark.parametrize("level", [0, 333, 1000])
def test_three_implementations_give_the_same_indices(
    model: Model, level: int, spread: float
) -> None:
    """Training's float carriers, the NumPy reference, and ONNX Runtime's integer operations."""
    rng = np.random.default_rng(int(spread) + level)
    for shape in ((1, 1), (2, 3), (8, 8)):
        z = np.rint(rng.normal(0, spread, (TINY.z_channels, *shape))).astype(np.int32)
        reference = scale_decoder.decode(model.integer_layers, z, level_bin(level))
        assert np.array_equal(model.y_indices(z, level), reference)
        trained = (
            tiny_codec()
            .eval()
            .scale_decoder(torch.from_numpy(z)[None].float(), torch.tensor([level / 1000]))
        )
        assert np.array_equal(trained[0].detach().numpy(), reference)
    assert len(np.unique(reference)) > 1


def test_full_width_network_agrees_at_its_extremes() -> None:
    """Largest weights and inputs of the widest allowed layers: the sums closest to overflow."""
    decoder = ScaleDecoder(112, 112, 16, knots=2)
    with torch.no_grad():
        for layer in decoder.layers:
            layer.weight.copy_(torch.where(torch.rand_like(layer.weight) < 0.9, 1.0, -1.0))
    layers = decoder.export()
    assert all(abs(layer.weight.astype(int)).max() == 64 for layer in layers)
    z = np.full((112, 3, 3), 127, np.int32)
    trained = decoder(torch.from_numpy(z)[None].float(), torch.tensor([1.0]))[0]
    assert np.array_equal(trained.detach().numpy(), scale_decoder.decode(layers, z, 63))


def test_a_layer_by_hand() -> None:
    layer = IntegerLayer(
        weight=np.array([[[[2]], [[-3]]]], np.int8),
        bias=np.array([[1]], np.int32),
        shift=2,
        top=9,
        upsample=False,
    )
    x = np.array([[[0, 10, 3, 40]], [[0, 1, 5, 2]]], np.int32)
    # 1, 18, -8, 75 with half of 4 added, floored after division by 4, clamped to 0..9
    assert scale_decoder.decode([layer], x, 0).tolist() == [[[0, 5, 0, 9]]]


def test_z_symbols_are_clamped_alike(model: Model) -> None:
    z = np.array([-4000, -128, -127, 127, 128, 4000, 0, 1], np.int32)[:, None, None]
    clamped = z.clip(-127, 127)
    assert np.array_equal(model.y_indices(z, 500), model.y_indices(clamped, 500))
    reference = scale_decoder.decode(model.integer_layers, z, level_bin(500))
    assert np.array_equal(model.y_indices(z, 500), reference)


def test_bins_cover_the_levels() -> None:
    bins = [level_bin(level) for level in range(1001)]
    assert bins[0] == 0 and bins[-1] == LEVEL_BINS - 1
    assert bins == sorted(bins) and set(bins) == set(range(LEVEL_BINS))
