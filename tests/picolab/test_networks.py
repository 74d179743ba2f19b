from __future__ import annotations

import math
from dataclasses import asdict, replace

import pytest
import torch
from tiny import TINY, tiny_codec

from picocodec.format.tables import scale_of_index
from picolab.networks.codec import GRID_ORDER, Codec, draw_levels, grid_cells, symbol_bits
from picolab.networks.config import config_from_dict, read_config
from picolab.networks.cost import multiply_accumulates
from picolab.networks.layers import interpolate_knots


def test_shapes_and_rates_of_a_training_pass() -> None:
    codec = tiny_codec()
    coded = codec(torch.rand(2, 3, 64, 128), torch.tensor([0.1, 0.9]))
    assert coded.picture.shape == (2, 3, 64, 128)
    assert coded.bits_y.shape == coded.bits_z.shape == (2,)
    assert coded.scale_index.shape == (2, TINY.y_channels, 4, 8)
    assert (coded.bits_y > 0).all() and (coded.bits_z > 0).all()


def test_hard_rates_are_those_of_rounded_symbols() -> None:
    codec = tiny_codec().eval()
    x, level = torch.rand(1, 3, 64, 64), torch.tensor([0.5])
    with torch.no_grad():
        noisy = [codec(x, level).bits_y for _ in range(2)]
        hard = [codec(x, level, hard=True) for _ in range(2)]
        y, z = codec.analysis(x, level)
        prior = codec.context_decoder(z.round(), level)
        coded = torch.ones_like(y)
        _, symbols, _ = codec.context_model(prior, y, coded, level, encode=True)
        bits = symbol_bits(symbols, hard[0].scale_index).sum((1, 2, 3))
    assert noisy[0] != noisy[1]
    assert torch.equal(hard[0].bits_y, bits) and torch.equal(hard[0].bits_y, hard[1].bits_y)
    assert torch.equal(hard[0].bits_z, hard[1].bits_z)


def test_every_parameter_learns() -> None:
    codec = tiny_codec()
    coded = codec(torch.rand(2, 3, 128, 128), torch.tensor([0.3, 0.7]), torch.ones(2))
    (coded.picture.square().mean() + (coded.bits_y + coded.bits_z).mean() / 128**2).backward()
    idle = [n for n, p in codec.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_overlap_reaches_into_neighbours_and_realism_moves_the_picture() -> None:
    codec = tiny_codec().eval()
    codec.synthesis.stem.scale_out.data.zero_()  # the shortcut alone
    codec.synthesis.restoration = None
    level, realism = torch.tensor([0.5]), torch.zeros(1)
    y_hat = torch.zeros(1, TINY.y_channels, 3, 3)
    low, high = y_hat.clone(), y_hat.clone()
    low[:, 0, 1, 1] = 1.0
    high[:, -1, 1, 1] = 1.0
    with torch.no_grad():
        base = codec.synthesis(y_hat, level, realism)
        beyond = [codec.synthesis(y, level, realism) - base for y in (low, high)]
    for change in beyond:
        change[:, :, 16:32, 16:32] = 0
    assert beyond[0].abs().max() > 1e-3 and not beyond[1].any()
    codec = tiny_codec().eval()
    with torch.no_grad():
        a, b = (codec.synthesis(low, level, torch.tensor([r])) for r in (0.0, 1.0))
    assert (a - b).abs().max() > 1e-3


def test_restoration_sees_across_blocks_and_is_weaker_at_high_levels() -> None:
    codec = Codec(TINY).eval()
    restoration = codec.synthesis.restoration
    assert restoration is not None
    picture, none = torch.rand(1, 3, 64, 64) - 0.5, torch.zeros(1)
    low, high = torch.tensor([0.0]), torch.tensor([1.0])
    other = picture.clone()
    other[:, :, :, 32:] = 0
    with torch.no_grad():
        assert not restoration(picture, low, high).any()  # until it has learned
        restoration.head.weight += 0.1
        before = restoration(picture, low, none)
        changed = (restoration(other, low, none) - before)[:, :, :, :32].abs()
        weak, realistic = restoration(picture, high, none), restoration(picture, low, high)
    assert changed[..., 30:].max() > 0 and not changed[..., :24].any()
    torch.testing.assert_close(weak, before * (TINY.lambda_min / TINY.lambda_max) ** 0.5)
    torch.testing.assert_close(realistic, 2 * before)  # alike parts of the head


def test_an_amplified_texture_is_that_much_more_realism() -> None:
    codec = tiny_codec().eval()
    codec.synthesis.restoration = None
    y_hat, level = torch.randn(1, TINY.y_channels, 2, 2), torch.tensor([0.5])
    with torch.no_grad():
        before = codec.synthesis(y_hat, level, torch.tensor([1.0]))
        assert codec.synthesis.texture is not None
        codec.synthesis.texture.amplify(2.0)
        after = codec.synthesis(y_hat, level, torch.tensor([0.5]))
    torch.testing.assert_close(after, before)


def test_decoding_repeats_what_encoding_reconstructed() -> None:
    codec = tiny_codec().eval()
    level = torch.tensor([0.6])
    with torch.no_grad():
        y, z = codec.analysis(torch.rand(1, 3, 64, 64), level)
        prior = codec.context_decoder(z.round(), level)
        ones = torch.ones_like(y)
        _, symbols, y_hat = codec.context_model(prior, y, ones, level, encode=True)
        again = codec.context_model(prior, symbols, ones, level, encode=False)[2]
    assert symbols.abs().max() > 0
    torch.testing.assert_close(symbols, symbols.round())
    torch.testing.assert_close(again, y_hat)


def test_context_is_causal_over_the_grid() -> None:
    """A change in one cell reaches the means of later cells, and of no earlier one."""
    codec = tiny_codec().eval()
    level = torch.tensor([0.5])
    prior = torch.randn(1, 4 * TINY.context_channels, 2, 2)
    symbols = torch.randn(1, TINY.y_channels, 4, 4).round()
    ones = torch.ones_like(symbols)
    with torch.no_grad():
        base = codec.context_model(prior, symbols, ones, level, encode=False)[2]
        for position, cell in enumerate(GRID_ORDER):
            changed = symbols.clone()
            changed[:, :, cell // 2 :: 2, cell % 2 :: 2] += 3
            moved = codec.context_model(prior, changed, ones, level, encode=False)[2] - base
            touched = [bool(c.abs().max() > 1e-6) for c in grid_cells(moved)]
            for later, other in enumerate(GRID_ORDER):
                assert touched[other] == (later >= position)


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
    assert (symbols.grad > 0).all()


def test_levels_are_spread_over_a_batch() -> None:
    levels = draw_levels(16, torch.Generator().manual_seed(0)).sort().values
    assert ((levels * 16).floor() == torch.arange(16)).all()


def test_slope_spans_its_ends() -> None:
    codec = Codec(TINY)
    ends = codec.slope(torch.tensor([0.0, 0.5, 1.0]))
    middle = math.sqrt(TINY.lambda_min * TINY.lambda_max)
    expected = torch.tensor([TINY.lambda_min, middle, TINY.lambda_max])
    torch.testing.assert_close(ends, expected)


def test_weights_move_to_other_slopes() -> None:
    """Tables that are straight over the old levels say the same at the same slope."""
    torch.manual_seed(0)
    old = Codec(TINY)
    knots = torch.linspace(0, 1, TINY.knots)[:, None]
    for table in old.level_tables():
        table.data = torch.randn(table.shape[1]) + knots * torch.randn(table.shape[1])
    new = Codec(replace(TINY, lambda_min=TINY.lambda_min / 5, lambda_max=TINY.lambda_max * 2))
    new.load_state_dict(old.state_dict())
    new.move_levels(*old.slopes)
    level = torch.linspace(0, 1, 11)
    span = math.log(new.cfg.lambda_max / new.cfg.lambda_min)
    same = torch.log(old.slope(level) / new.cfg.lambda_min) / span
    assert len(old.level_tables()) > 5
    for before, after in zip(old.level_tables(), new.level_tables(), strict=True):
        torch.testing.assert_close(
            interpolate_knots(after, same), interpolate_knots(before, level), rtol=1e-4, atol=1e-4
        )
    torch.testing.assert_close(old.slope(level), new.slope(same))


def test_principal_components_give_a_transform_codec() -> None:
    """With an orthonormal basis and zero networks, fine steps reproduce the projected picture."""
    torch.manual_seed(0)
    codec = Codec(TINY).eval()
    basis = torch.linalg.qr(torch.randn(768, TINY.y_channels))[0].t().contiguous()
    codec.initialise_from_components(basis, torch.ones(TINY.y_channels))
    x, level = torch.rand(1, 3, 64, 64), torch.tensor([1.0])
    with torch.no_grad():
        picture = codec(x, level).picture - 0.5
    blocks = torch.nn.functional.pixel_unshuffle(x - 0.5, 16).flatten(2)
    projected = (basis.t() @ (basis @ blocks)).reshape(1, 768, 4, 4)
    error = picture - torch.nn.functional.pixel_shuffle(projected, 16)
    assert error.square().mean().sqrt() < 0.02


@pytest.mark.parametrize(
    ("name", "encoder", "decoder"), [("small", (4, 16), (4, 14)), ("base", (16, 60), (33, 48))]
)
def test_released_configurations_keep_their_budgets(
    name: str, encoder: tuple[int, int], decoder: tuple[int, int]
) -> None:
    config = read_config(f"configs/{name}.toml")
    codec = Codec(config)
    macs = {part: count / 1e3 for part, count in multiply_accumulates(codec).items()}
    assert encoder[0] <= macs["analysis"] <= encoder[1]
    decoding = macs["context_decoder"] + macs["context_model"] + macs["synthesis"]
    assert decoder[0] <= decoding <= decoder[1]
    if name == "small":
        assert sum(p.numel() for p in codec.parameters()) <= 8e6


def test_configuration_survives_a_round_trip() -> None:
    assert config_from_dict(asdict(TINY), "here") == TINY


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("colour", 3, "unknown key 'colour'"),
        ("y_channels", "many", "y_channels"),
        ("y_channels", True, "y_channels"),
        ("decoder_blocks_8", -1, "must not be negative"),
        ("scale_channels", 113, "must be in 1..112"),
        ("overlap", 25, "at most y_channels"),
    ],
)
def test_configuration_errors_name_the_key(key: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config_from_dict(asdict(TINY) | {key: value}, "here")
