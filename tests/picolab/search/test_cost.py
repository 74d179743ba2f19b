"""Stage 1: formulas give what `picolab model info` counts, for all configurations at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from picolab.networks.cost import multiply_accumulates
from picolab.networks.model import Codec
from picolab.networks.shape import Shape
from picolab.search.cost import cost_of, cost_of_all, macs_by_part, parameters_by_part
from picolab.search.layers import CODING, layers_of
from picolab.search.space import Space, Window, read_space

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def space() -> Space:
    return read_space(ROOT / "configs/spaces/photo.toml")


def counted(shape: Shape) -> tuple[dict[str, float], dict[str, int]]:
    """Multiply-accumulates per pixel and parameters of the parts of the networks themselves."""
    codec = Codec(shape).eval()
    macs = multiply_accumulates(codec)
    sizes: dict[str, int] = {}
    for name, parameter in codec.named_parameters():
        part = name.split(".")[0]
        sizes[part] = sizes.get(part, 0) + parameter.numel()
    return macs, sizes


@pytest.mark.parametrize("name", ["decoder", "encoder"])
def test_formulas_are_what_networks_count(space: Space, name: str) -> None:
    """A dozen configurations, among which each value of each choice occurs."""
    side, rng = space.side(name), np.random.default_rng(0)
    assert max(side.sizes) <= 12
    places = [rng.permutation(12) % size for size in side.sizes]
    numbers = np.ravel_multi_index(places, side.sizes)
    costs = cost_of(side.columns(numbers), len(numbers))
    for at, number in enumerate(numbers):
        shape = side.shape(int(number))
        macs, sizes = counted(shape)
        ours = macs_by_part(layers_of(shape.to_dict()))
        assert ours == pytest.approx(macs | {"z_index": 0})
        assert parameters_by_part(layers_of(shape.to_dict())) == sizes
        coded = {side: sum(macs[p] for p in parts) / 1e3 for side, parts in CODING.items()}
        assert costs.decoding[at] == pytest.approx(coded["decoder"])
        assert costs.encoding[at] == pytest.approx(coded["encoder"])
        assert costs.parameters[at] == sum(sizes.values())


def test_what_no_choice_names_counts_too(space: Space) -> None:
    for changes in ({"knots": 3}, {"overlap": 16}, {"dial_blocks": 0}, {"noise_channels": 0}):
        shape = replace(space.base, **changes)
        macs, sizes = counted(shape)
        layers = layers_of(shape.to_dict())
        assert macs_by_part(layers) == pytest.approx(macs | {"z_index": 0})
        assert {k: v for k, v in parameters_by_part(layers).items() if v} == sizes


def test_a_million_configurations_a_side_of_which_each_changes_its_own(space: Space) -> None:
    assert min(space.side(name).count for name in ("decoder", "encoder")) >= 1e6
    costs = cost_of_all(space.side("encoder"))
    other = cost_of_all(space.side("decoder"))
    # A search of the encoder leaves the decoder's own layers as they are, and the other way round.
    assert np.ptp(costs.decoding) < 2 < np.ptp(costs.encoding)
    assert np.ptp(other.encoding) < 6 < np.ptp(other.decoding)
    inside = other.within(Window((14, 28), (0, 24)))
    assert 0 < inside.sum() < len(inside)
    assert other.decoding[inside].min() >= 14 and other.decoding[inside].max() <= 28


def test_every_number_is_a_shape_of_its_own(space: Space) -> None:
    side = space.side("decoder")
    few = {field: values[:2] for field, values in side.choices.items()}
    small = replace(side, choices=few)
    shapes = {replace(small.shape(number), name="") for number in range(small.count)}
    assert len(shapes) == small.count == 2 ** len(few)
    columns = side.columns(np.array([0, 12345, side.count - 1]))
    for at, number in enumerate((0, 12345, side.count - 1)):
        values = side.shape(number).to_dict()
        assert all(values[field] == columns[field][at] for field in side.choices)
    with pytest.raises(IndexError):
        side.shape(side.count)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[decoders]\ny_channels = [64]", "unknown key 'decoders'"),
        ("[decoder]\nwidth = [64]", "unknown field 'width'"),
        ("[decoder]\ny_channels = []", "needs a list of choices"),
        ("[decoder]\ny_channels = [64, 64]", "names a choice twice"),
        ('[decoder]\ny_channels = ["64"]', "'64' should be of type int"),
        ("[decoder]\nz_channels = [64, 200]", "z_channels must be at most 112"),
        ("[decoder]\noverlap = [8, 48]\ny_channels = [32, 64]", "overlap = 48 must be at most"),
        ('[decoder]\ndecoder_block = ["13"]', "block '13' is none of 31, 311"),
        ("[window]\ndecoding = [5, 2]", "must be two numbers that rise"),
        ("[window]\nspeed = [1, 2]", "unexpected keyword argument 'speed'"),
    ],
)
def test_spaces_are_checked(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "space.toml"
    path.write_text(f'base = "{ROOT}/configs/photo.toml"\n{text}\n')
    with pytest.raises(ValueError, match=message):
        read_space(path)


def test_a_space_without_a_side_or_a_base_says_so(tmp_path: Path) -> None:
    path = tmp_path / "space.toml"
    path.write_text("")
    with pytest.raises(ValueError, match="base, the file of a shape, is missing"):
        read_space(path)
    path.write_text(f'base = "{ROOT}/configs/photo.toml"\n')
    with pytest.raises(ValueError, match="no choices for the encoder"):
        read_space(path).side("encoder")
