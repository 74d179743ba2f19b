"""The generation 2 network: what is folded computes the same, and bits are what files spend."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiles import make_tiles
from tiny import TINY, tiny_codec
from torch import Tensor

from picocodec.format.tables import scale_of_index
from picocodec.format.tiles import MARGIN
from picocodec.model.model import Model
from picolab.data.crops import TileFile, principal_components
from picolab.networks.blocks import (
    Down,
    FromPatches,
    ToPatches,
    Up,
    from_patches,
    from_squares,
    to_patches,
    to_squares,
)
from picolab.networks.cost import multiply_accumulates
from picolab.networks.layers import fold
from picolab.networks.model import (
    GRID_ORDER,
    Codec,
    LatentToSquares,
    bin_width,
    draw_levels,
    quantise,
    slice_cells,
    symbol_bits,
)
from picolab.networks.shape import read_shape, shape_from_dict
from picolab.release import graphs as graphs_of_releases
from picolab.release.graphs import Context, as_stored, released_graphs
from picolab.release.preview import Eighth, Preview, fit_preview
from picolab.release.release import Trained, release


def lively(module: torch.nn.Module) -> torch.nn.Module:
    """All parameters moved off the zeros and ones that they start from."""
    generator = torch.Generator().manual_seed(3)
    for parameter in module.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return module


def test_squares_and_patches_go_back_and_lie_row_column_channel() -> None:
    picture = torch.arange(2 * 3 * 32 * 48).reshape(2, 3, 32, 48).float()
    patches = to_patches(picture)
    assert torch.equal(from_patches(patches), picture)
    assert torch.equal(from_squares(to_squares(patches)), patches)
    assert torch.equal(patches[1, :, 2, 3], picture[1, :, 16:24, 24:32].permute(1, 2, 0).flatten())
    lower_right = to_squares(patches)[0, 3 * 192 :, 1, 1]
    assert torch.equal(lower_right, patches[0, :, 3, 3])


@pytest.mark.parametrize("layer", [Down(6, 10), Up(10, 6)])
def test_resampling_folds(layer: torch.nn.Module) -> None:
    x = torch.randn(2, 6 if isinstance(layer, Down) else 10, 8, 12)
    ours = lively(layer)(x)
    torch.testing.assert_close(fold(layer)(x), ours, atol=1e-4, rtol=1e-4)


def test_layers_at_the_pixels_fold() -> None:
    picture, h = torch.randn(1, 3, 32, 48), torch.randn(1, 5, 4, 6)
    for layer, given, folded in (
        (FromPatches(5), to_patches(picture), picture),
        (ToPatches(5), h, h),
    ):
        ours = lively(layer)(given)
        ours = ours if isinstance(layer, FromPatches) else from_patches(ours)
        torch.testing.assert_close(fold(layer)(folded), ours, atol=1e-4, rtol=1e-4)


def test_weights_are_stored_with_eight_significant_bits() -> None:
    weights = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    error = (as_stored(weights) - weights).abs() / weights.abs()
    assert 0.5 * 2**-8 < error.max() <= 2**-8


@torch.no_grad()
def test_released_graphs_compute_what_was_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs_of_releases, "as_stored", lambda weights: weights)
    codec = lively(Codec(TINY)).eval()
    picture, level = torch.rand(1, 3, 128, 192), torch.tensor([0.37])
    realism, noise = torch.tensor([0.6]), torch.randn(1, TINY.noise_channels, 16, 24)
    symbols = torch.randint(-3, 4, (1, TINY.y_channels, 8, 12)).float()
    graphs = released_graphs(copied(codec), dial=True)
    y, z = codec.encoder(to_patches(picture) - 0.5, level)
    ours_y, ours_z = graphs["analysis"].module(picture, level)
    torch.testing.assert_close(ours_y, y, atol=1e-5 * y.abs().max().item(), rtol=0)
    z = z.round()
    prior = codec.context_decoder(z, level)
    zeros = torch.zeros_like(symbols)
    same, y_hat = codec.context_model.run(prior, symbols, zeros, level)
    assert torch.equal(same, symbols)
    latent = graphs["context"].module(symbols, zeros, z, level)[1]
    torch.testing.assert_close(latent, y_hat, atol=1e-5 * y_hat.abs().max().item(), rtol=0)
    for dial, r in ((noise, realism), (None, None)):
        decoded = from_patches(codec.decoder(y_hat, level, r, dial)) + 0.5
        got = graphs["synthesis"].module(y_hat, level, r, dial)
        torch.testing.assert_close(got, decoded, atol=1e-5 * decoded.abs().max().item(), rtol=0)


@torch.no_grad()
def test_the_encoder_finds_the_symbols_of_training() -> None:
    codec = lively(Codec(TINY)).eval()
    level = torch.tensor([0.37])
    y, z = codec.encoder(torch.rand(1, 192, 16, 24) - 0.5, level)
    cell = codec.code(y, z, level, torch.float32, hard=True)[0]
    context = Context(codec)
    ones = torch.ones_like(y)
    symbols, y_hat = context(y, ones, z.round(), level)
    assert torch.equal(symbols, cell.symbols) and torch.equal(y_hat, cell.y_hat)
    folded = fold(context)(y, ones, z.round(), level)[0]
    assert (folded != cell.symbols).float().mean() < 0.005  # sums in another order
    y_hat = context(cell.symbols, 0 * ones, z.round(), level)[1]
    torch.testing.assert_close(y_hat, cell.y_hat, atol=1e-3, rtol=1e-3)


def copied(codec: Codec) -> Codec:
    copy = Codec(codec.shape)
    copy.load_state_dict(codec.state_dict())
    return copy


def test_realism_0_does_not_need_noise_and_1_follows_it() -> None:
    codec = lively(Codec(TINY))
    y_hat, level = torch.randn(2, TINY.y_channels, 4, 4), torch.tensor([0.2, 0.9])
    noises = [torch.randn(2, TINY.noise_channels, 8, 8) for _ in range(2)]
    with torch.no_grad():
        closest = codec.decoder(y_hat, level)
        zero = codec.decoder(y_hat, level, torch.zeros(2), noises[0])
        one = [codec.decoder(y_hat, level, torch.ones(2), noise) for noise in noises]
    torch.testing.assert_close(zero, closest)
    assert (one[0] - one[1]).abs().max() > 1e-3
    assert (one[0] - closest).abs().max() > 1e-3


def bits(scale_index: float, values: Tensor, noise: Tensor | None) -> float:
    shape = values.shape
    zero, index = torch.zeros(shape), torch.full(shape, scale_index)
    return quantise(values, zero, zero, index, torch.ones(shape), noise).bits.item()


@pytest.mark.parametrize("index", [2.0, 30.0])
def test_bits_in_training_are_those_of_files_and_values_feel_the_next_symbol(index: float) -> None:
    """At small scales too, where noise alone would cost a tenth of a bit for each zero."""
    generator = torch.Generator().manual_seed(0)
    values = 0.4 * torch.rand(1, 4, 50, 50, generator=generator)  # all of them round to 0
    noise = torch.rand(values.shape, generator=generator) - 0.5
    assert bits(index, values, noise) == pytest.approx(bits(index, values, None), rel=1e-6)
    values.requires_grad_()
    scale = torch.full(values.shape, index, requires_grad=True)
    zero = torch.zeros_like(values)
    quantise(values, zero, zero, scale, zero + 1, noise).bits.sum().backward()
    assert values.grad is not None and values.grad.mean() > 0.01  # nearer to 0 is cheaper
    assert scale.grad is not None and (scale.grad > 0).all()  # and so are smaller scales


def test_zeros_that_round_to_zero_still_pass_gradients_of_the_distortion() -> None:
    y = torch.tensor([0.2, -0.3]).reshape(1, 2, 1, 1).requires_grad_()
    zero = torch.zeros_like(y)
    cell = quantise(y, zero, zero, zero, torch.ones_like(y), zero)
    (cell.y_hat - 1).square().sum().backward()
    assert torch.equal(y.grad.flatten(), torch.tensor([-2.0, -2.0]))


def test_bin_width_stays_within_a_factor_of_4() -> None:
    q = bin_width(torch.tensor([-50.0, 0.0, 50.0]))
    torch.testing.assert_close(q, torch.tensor([0.25, 1.0, 4.0]))


def test_lambdas_move_the_quantisation_step_at_once() -> None:
    codec = Codec(TINY)
    level = torch.tensor([0.0, 1.0])
    before, back = codec.encoder.gain(level), codec.decoder.gain(level)
    codec.move_lambdas(codec.log_lambda + torch.log(torch.tensor(4.0)))
    torch.testing.assert_close(codec.encoder.gain(level), 2 * before)
    torch.testing.assert_close(codec.decoder.gain(level), back / 2)


def test_gradients_in_bfloat16_are_those_in_float32() -> None:
    torch.manual_seed(0)
    codec, level = lively(Codec(TINY)), torch.tensor([0.5, 0.9])
    x = to_patches(torch.nn.functional.avg_pool2d(torch.rand(2, 3, 136, 136), 9, 1)) - 0.5
    grads = []
    for dtype in (torch.float32, torch.bfloat16):
        codec.zero_grad()
        out = codec.encoder(x.to(dtype), level)[0]
        out.square().mean().backward()
        grads.append(codec.encoder.chain8.blocks[0].wide.weight.grad.flatten().clone())
    cosine = torch.nn.functional.cosine_similarity(*grads, dim=0)
    assert cosine > 0.98


def test_shapes_are_read_and_checked(tmp_path) -> None:
    values = TINY.to_dict()
    assert shape_from_dict(values, "here") == TINY
    with pytest.raises(ValueError, match="unknown key 'depth'"):
        shape_from_dict(values | {"depth": 3}, "here")
    with pytest.raises(ValueError, match="y_channels = '8' should be of type int"):
        shape_from_dict(values | {"y_channels": "8"}, "here")
    with pytest.raises(ValueError, match="overlap = 99"):
        shape_from_dict(values | {"overlap": 99}, "here")
    with pytest.raises(ValueError, match="scale_channels must be at most 112"):
        shape_from_dict(values | {"scale_channels": 128}, "here")
    path = tmp_path / "bad.toml"
    path.write_text('name = "x"\n')
    with pytest.raises(ValueError, match="bad.toml.*missing"):
        read_shape(path)


def test_decoding_photo_costs_what_a_user_may_pay() -> None:
    """At most 22 kMAC/pixel with its context, encoding 24: what the shape was allowed."""
    codec = Codec(read_shape(Path(__file__).parents[2] / "configs/photo.toml"))
    macs = {part: count / 1e3 for part, count in multiply_accumulates(codec).items()}
    context = macs["scale_decoder"] + macs["context_decoder"] + macs["context_model"]
    assert 1 < context < context + macs["decoder"] <= 22
    assert macs["encoder"] + context <= 24


@torch.no_grad()
def test_a_preview_is_fitted_to_what_the_decoder_shows_at_half_the_sides(tmp_path: Path) -> None:
    codec = Codec(TINY).eval()
    tiles = TileFile(make_tiles(tmp_path), held_out=False)
    codec.start_from_components(*principal_components(tiles, TINY.y_channels, draws=4))
    preview = fit_preview(codec, tiles, skip_below=0, realism=None, crops=40)
    level = torch.tensor([0.7])
    crop = tiles.draw(1, 256, torch.Generator().manual_seed(9)).centred(torch.float32)
    coded = codec(crop, level, hard=True)
    half = torch.nn.functional.avg_pool2d(from_patches(coded.centred) + 0.5, 2)
    found = preview(coded.y_hat, level)
    assert found.shape == half.shape == (1, 3, 128, 128)
    assert (found - half).square().mean() < half.var() / 100


def test_release_writes_a_preview_that_computes_what_was_fitted(tmp_path: Path) -> None:
    """`release` compares what it wrote with PyTorch."""
    codec = Codec(TINY)
    tiles = TileFile(make_tiles(tmp_path / "tiles"), held_out=False)
    codec.start_from_components(*principal_components(tiles, TINY.y_channels, draws=4))
    with_one = release(Trained(codec, {}), tmp_path, "tiny", 1, tiles=tiles)
    assert Model(with_one, threads=1).previews == [2, 8]


@torch.no_grad()
def test_an_eighth_is_the_mean_of_the_preview_from_the_corner_of_the_tile_on() -> None:
    preview = Preview(tiny_codec().eval())
    preview.map.bias.copy_(torch.tensor([0.1, 0.2, -0.3]).repeat_interleave(64))
    y_hat = torch.randn(2, TINY.y_channels, 4, 8, generator=torch.Generator().manual_seed(0))
    level = torch.tensor([0.2, 0.7])
    within = preview(y_hat, level)[:, :, MARGIN // 2 :, MARGIN // 2 :]
    means = torch.nn.functional.avg_pool2d(within, 4)
    found = Eighth(preview)(y_hat, level)
    assert found.shape == (2, 3, 7, 15) and means.std() > 0.1
    torch.testing.assert_close(found, means)


def test_every_parameter_learns() -> None:
    codec = tiny_codec()
    level, noise = torch.tensor([0.3, 0.7]), torch.randn(2, TINY.noise_channels, 16, 16)
    coded = codec(torch.rand(2, 192, 16, 16) - 0.5, level, torch.ones(2), noise)
    (coded.centred.square().mean() + (coded.bits_y + coded.bits_z).mean() / 128**2).backward()
    idle = [n for n, p in codec.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


@torch.no_grad()
def test_context_is_causal_over_the_grid() -> None:
    """A change in one cell reaches the means of later cells, and of no earlier one."""
    context, level = tiny_codec().eval().context_model, torch.tensor([0.5])
    prior = torch.randn(1, 4 * TINY.context_channels, 2, 2)
    symbols = torch.randn(1, TINY.y_channels, 4, 4).round()
    base = context.run(prior, symbols, torch.zeros_like(symbols), level)[1]
    for position, cell in enumerate(GRID_ORDER):
        changed = symbols.clone()
        changed[:, :, cell // 2 :: 2, cell % 2 :: 2] += 3
        y_hat = context.run(prior, changed, torch.zeros_like(symbols), level)[1]
        moved = slice_cells(y_hat - base)
        touched = [bool(part.abs().max() > 1e-6) for part in moved]
        assert touched == [later >= position for later in range(4)]


@torch.no_grad()
def test_the_first_channels_reach_into_the_squares_around() -> None:
    shortcut = lively(LatentToSquares(TINY.y_channels, TINY.overlap))
    y = torch.zeros(2, TINY.y_channels, 3, 3)
    base = from_patches(shortcut(y))
    y[0, 0, 1, 1] = y[1, -1, 1, 1] = 1.0
    beyond = from_patches(shortcut(y)) - base
    beyond[:, :, 16:32, 16:32] = 0
    assert beyond[0].abs().max() > 1e-3 and not beyond[1].any()


def test_symbol_bits_are_those_of_a_distribution() -> None:
    """Over all integers the probabilities of each scale sum to one."""
    symbols = torch.arange(-4000, 4001, dtype=torch.float64)
    for index in (0, 10, 24, 40, 55):
        bits = symbol_bits(symbols, torch.full_like(symbols, index))
        near = symbols.abs() < 20 * scale_of_index(index) + 1
        total = (2 ** -bits[near]).sum().item()
        assert total == pytest.approx(1, abs=1e-3)


def test_symbol_bits_grow_with_distance_even_in_the_far_tail() -> None:
    symbols = torch.tensor([50.0, 60.0], requires_grad=True)
    symbol_bits(symbols, torch.tensor([10.0, 10.0])).sum().backward()
    assert symbols.grad is not None and (symbols.grad > 0).all()


def test_levels_are_spread_over_a_batch() -> None:
    levels = draw_levels(16, torch.Generator().manual_seed(0)).sort().values
    assert ((levels * 16).floor() == torch.arange(16)).all()


@torch.no_grad()
def test_principal_components_give_a_transform_codec() -> None:
    """With an orthonormal basis and zero networks, fine steps reproduce the projected picture."""
    torch.manual_seed(0)
    codec = Codec(TINY).eval()
    basis = torch.linalg.qr(torch.randn(768, TINY.y_channels))[0].t().contiguous()
    codec.start_from_components(basis, torch.ones(TINY.y_channels))
    x, level = torch.rand(1, 192, 8, 8) - 0.5, torch.tensor([1.0])
    projected = torch.einsum("kp,kq,bqhw->bphw", basis, basis, to_squares(x))
    error = codec(x, level, hard=True).centred - from_squares(projected)
    assert error.square().mean().sqrt() < 0.03
