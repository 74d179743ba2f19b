"""Variants of the codec, and the command that compares them."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny import TINY, photo

from picolab import cli
from picolab.experiments import ablation
from picolab.experiments.ablation import VARIANTS, Plan, ablate, markdown
from picolab.export import export_model
from picolab.networks.codec import Codec, checkerboard
from picolab.networks.config import CHOICES, read_config
from picolab.networks.layers import (
    ConvScale,
    HaarDown,
    HaarUp,
    ShuffleDown,
    ShuffleUp,
    StridedDown,
    StridedUp,
    fold,
)
from picolab.training import loop
from picolab.training.loop import VALIDATION_LEVELS, Options
from picolab.training.soap import SOAP


def random_codec(**changes: object) -> Codec:
    """Random everywhere, where it may learn."""
    torch.manual_seed(0)
    codec = Codec(replace(TINY, **changes))  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in codec.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn_like(parameter)
    return codec.eval()


# -- variants -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_trains_a_step_and_all_that_it_may_learn_does(name: str) -> None:
    codec = random_codec(**VARIANTS[name].changes)
    before = {k: v.clone() for k, v in codec.state_dict().items()}
    optimiser = SOAP(codec.parameters(), lr=1e-2)
    coded = codec(torch.rand(2, 3, 128, 128), torch.tensor([0.3, 0.7]), torch.ones(2))
    assert coded.picture.shape == (2, 3, 128, 128)
    loss = coded.picture.square().mean() + (coded.bits_y + coded.bits_z).mean() / 128**2
    loss.backward()
    optimiser.step()
    learned = {k for k, p in codec.named_parameters() if p.requires_grad}
    moved = {k for k, v in codec.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == learned


def test_scales_that_are_left_out_stay_at_one_and_those_of_y_learn() -> None:
    def learned(scales: str) -> set[str]:
        codec = Codec(replace(TINY, scales=scales))
        return {k for k, p in codec.named_parameters() if p.requires_grad}

    everything = learned("both")
    conv = {k for k in everything if k.endswith((".scale_in", ".scale_out"))}
    chains = {k for k in everything if ".scale.log_gain" in k}
    assert len(conv) > 20 and len(chains) > 10
    assert learned("conv") == everything - chains
    assert learned("resolution") == everything - conv
    assert learned("none") == everything - conv - chains
    assert {"analysis.gain.log_gain", "synthesis.gain.log_gain"} <= learned("none")


def test_without_learned_width_every_bin_is_one_wide() -> None:
    codec = random_codec(quantisation_width=False)
    symbols = torch.randn(1, TINY.y_channels, 4, 4).round()
    prior = torch.randn(1, 4 * TINY.context_channels, 2, 2)
    args = (torch.ones_like(symbols), torch.tensor([0.5]), False)
    with torch.no_grad():
        y_hat = codec.context_model(prior, symbols, *args)[2]
        symbols[:, :, 1, 0] += 3  # in the last cell, of which nothing else knows
        moved = codec.context_model(prior, symbols, *args)[2] - y_hat
    torch.testing.assert_close(moved[:, :, 1, 0], torch.full((1, TINY.y_channels), 3.0))


def parts_of_y(context: str) -> list[torch.Tensor]:
    """Masks `[1, M, 4, 4]` of what each step decodes, in their order."""
    ones = torch.ones(1, TINY.y_channels, 4, 4, dtype=torch.bool)
    if context == "none":
        return [ones]
    if context == "checkerboard":
        even = (torch.arange(4)[:, None] + torch.arange(4)) % 2 == 0
        return [ones & even, ones & ~even]
    group = torch.arange(TINY.y_channels)[:, None, None] // (TINY.y_channels // 4)
    return [ones & (group == i) for i in range(4)]


@pytest.mark.parametrize(("context", "steps"), [("none", 1), ("checkerboard", 2), ("channels", 4)])
def test_contexts_are_causal(context: str, steps: int) -> None:
    """A change in one part reaches itself and every later part, and no earlier one."""
    codec = random_codec(context=context)
    parts = parts_of_y(context)
    assert len(parts) == len(codec.context_model.steps) == steps
    prior = torch.randn(1, 4 * TINY.context_channels, 2, 2)
    symbols = torch.randn(1, TINY.y_channels, 4, 4).round()
    args = (torch.ones_like(symbols), torch.tensor([0.5]), False)
    with torch.no_grad():
        base = codec.context_model(prior, symbols, *args)[2]
        for position, part in enumerate(parts):
            changed = symbols + 3 * part
            moved = (codec.context_model(prior, changed, *args)[2] - base).abs() > 1e-6
            for later, other in enumerate(parts):
                assert bool((moved & other).any()) == (later >= position)


@pytest.mark.parametrize("context", ["none", "checkerboard", "channels"])
def test_contexts_decode_what_they_encode_and_skip_what_is_not_coded(context: str) -> None:
    codec = random_codec(context=context)
    y = 3 * torch.randn(2, TINY.y_channels, 4, 8)
    prior = torch.randn(2, 4 * TINY.context_channels, 2, 4)
    coded = (torch.rand_like(y) < 0.7).float()
    level = torch.tensor([0.2, 0.9])
    with torch.no_grad():
        t, symbols, y_hat = codec.context_model(prior, y, coded, level, encode=True)
        again = codec.context_model(prior, symbols, coded, level, encode=False)[2]
    torch.testing.assert_close(symbols, t.round() * coded)
    torch.testing.assert_close(again, y_hat)
    assert symbols.any()


def test_checkerboard_alternates() -> None:
    fields = checkerboard(torch.zeros(1, 1, 2, 3))
    assert fields.int().tolist() == [[[[1, 0, 1], [0, 1, 0]]]]


def test_shuffling_is_haar_without_its_transform() -> None:
    """The same weights, behind a Haar transform and behind the identity."""
    torch.manual_seed(0)
    x = torch.randn(1, 3, 8, 8)
    down, up = ShuffleDown(3, 5, levels=2), ShuffleUp(5, 3, levels=2)
    weight, bias = ConvScale.effective(down)
    blocks = torch.nn.functional.pixel_unshuffle(x, 4)
    torch.testing.assert_close(down(x), torch.nn.functional.conv2d(blocks, weight, bias))
    y = torch.randn(1, 5, 2, 2)
    plain = torch.nn.functional.pixel_shuffle(ConvScale.forward(up, y), 4)
    assert up(y).shape == plain.shape == (1, 3, 8, 8)
    for haar, shuffle in ((HaarDown(3, 5, levels=2), down), (HaarUp(5, 3, levels=2), up)):
        haar.load_state_dict(shuffle.state_dict())
        value = x if haar.factor and isinstance(haar, HaarDown) else y
        assert not torch.allclose(haar(value), shuffle(value), atol=1e-3)


@pytest.mark.parametrize(("kernel", "levels"), [(1, 1), (1, 3), (3, 2)])
def test_strided_layers_keep_blocks_in_place_and_reach_a_pixel_beyond(
    kernel: int, levels: int
) -> None:
    factor, reach = 2**levels, kernel // 2
    down, up = StridedDown(2, 3, kernel, levels), StridedUp(3, 2, kernel, levels)
    x = torch.zeros(1, 2, 7 * factor, 7 * factor)
    assert down(x).shape == (1, 3, 7, 7)
    y = torch.zeros(1, 3, 7, 7)
    y[:, :, 3, 3] = 1.0
    lit = up(y)[0].abs().sum(0).nonzero()
    assert up(y).shape == x.shape
    assert lit.min() == (3 - reach) * factor - 1 and lit.max() == (4 + reach) * factor
    x = x.requires_grad_()
    down(x)[0, :, 3, 3].sum().backward()
    seen = x.grad[0].abs().sum(0).nonzero()  # type: ignore[index]
    assert seen.min() == (3 - reach) * factor - 1 and seen.max() == (4 + reach) * factor


@pytest.mark.parametrize(
    "make",
    [
        lambda: StridedDown(8, 6, levels=2),
        lambda: StridedUp(8, 3, kernel=3, levels=2),
        lambda: ShuffleDown(8, 6),
        lambda: ShuffleUp(8, 6),
    ],
)
def test_folding_changes_nothing(make) -> None:
    torch.manual_seed(0)
    module = make()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    x = torch.randn(2, 8, 16, 24)
    before = module(x)
    folded = fold(module)
    assert not any(isinstance(m, ConvScale) for m in folded.modules())
    torch.testing.assert_close(folded(x), before, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["all-off", "channels", "checkerboard", "shuffle"])
def test_variants_export_too(name: str, tmp_path: Path) -> None:
    """`export_model` runs what it wrote beside PyTorch."""
    export_model(random_codec(**VARIANTS[name].changes), tmp_path, name, 1, {})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context": "grids"}, "context = 'grids' must be one of grid, checkerboard, channels"),
        ({"scales": "all"}, "scales = 'all' must be one of both"),
        ({"resampling": "wavelet"}, "resampling = 'wavelet' must be one of haar"),
        ({"context": "channels", "y_channels": 26}, "y_channels = 26 to be a multiple of 4"),
    ],
)
def test_configuration_errors_name_the_key(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TINY, **changes)  # type: ignore[arg-type]


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    some = (torch.eye(768)[: TINY.y_channels], torch.full((TINY.y_channels,), 0.1))
    monkeypatch.setattr(loop, "principal_components", lambda *_: some)  # they take two seconds
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    # Two of these names are among those held out for validation.
    for i in range(40):
        Image.fromarray(photo(70, 100 + i, seed=i)).save(pictures / f"p{i}-0.png")
    return Plan(TINY, (str(pictures),), steps=2, batch=2, crop=64)


def options(tmp_path: Path, **changes: object) -> Options:
    return Options(tmp_path / "run", torch.device("cpu"), **changes)  # type: ignore[arg-type]


def figures(folder: Path) -> list[dict[str, str]]:
    """Of every finished run, less the time it took."""
    with open(folder / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k != "cpu_seconds"} for row in rows]


def test_what_was_trained_is_not_trained_again(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ablate(plan, ["no-width"], options(tmp_path), "picolab ablate", full_seeds=2)
    folder = tmp_path / "run"
    assert first == (folder / "ablation.md").read_text()
    runs = [(row["variant"], row["seed"]) for row in figures(folder)]
    assert runs == [("full", "0"), ("full", "1"), ("no-width", "0")]
    trained = []
    train = ablation.train
    monkeypatch.setattr(ablation, "train", lambda *a: trained.append(a[0].name) or train(*a))
    again = ablate(plan, ["no-width"], options(tmp_path), "picolab ablate", full_seeds=2)
    assert again == first and trained == []
    ablate(plan, ["no-width", "channels"], options(tmp_path), "picolab ablate", full_seeds=2)
    assert trained == ["channels-0"]


def test_a_stopped_run_goes_on_to_the_same_figures(plan: Plan, tmp_path: Path) -> None:
    whole = replace(options(tmp_path), folder=tmp_path / "whole")
    ablate(plan, [], whole, "picolab ablate", full_seeds=1)
    hasty = options(tmp_path, max_minutes=0)  # each call ends after one step
    assert ablate(plan, [], hasty, "picolab ablate", full_seeds=1) is None
    assert not (tmp_path / "run" / "results.csv").exists()
    assert ablate(plan, [], hasty, "picolab ablate", full_seeds=1) is not None
    assert figures(tmp_path / "run") == figures(tmp_path / "whole")


def test_a_run_that_ended_before_its_figures_were_written_gets_them(
    plan: Plan, tmp_path: Path
) -> None:
    ablate(plan, [], options(tmp_path), "picolab ablate", full_seeds=1)
    before = figures(tmp_path / "run")
    (tmp_path / "run" / "results.csv").unlink()
    ablate(plan, [], options(tmp_path), "picolab ablate", full_seeds=1)
    assert figures(tmp_path / "run") == before


def test_a_folder_belongs_to_one_way_of_training(plan: Plan, tmp_path: Path) -> None:
    ablate(plan, [], options(tmp_path), "picolab ablate", full_seeds=1)
    with pytest.raises(ValueError, match="holds an ablation with steps = 2, not 3"):
        ablate(replace(plan, steps=3), [], options(tmp_path), "picolab ablate")
    other = replace(plan, config=replace(TINY, knots=4))
    with pytest.raises(ValueError, match="knots = 3, not 4"):
        ablate(other, [], options(tmp_path), "picolab ablate")


def test_dry_run_keeps_nothing(plan: Plan, tmp_path: Path) -> None:
    dry = options(tmp_path, dry_run=True)
    plan = replace(plan, steps=3)
    assert ablate(plan, ["strided"], dry, "picolab ablate", full_seeds=1) == ""
    assert not (tmp_path / "run").exists()


def test_unknown_variants_are_named(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no variant is called 'haar'; there are full, no-context"):
        ablate(plan, ["haar"], options(tmp_path), "picolab ablate")


def row(variant: str, seed: int, rate: float) -> dict[str, str]:
    """A run whose curve takes `rate` times the bits of the others at every quality."""
    facts = {"parameters": 1e6, "macs_per_pixel": 2e3, "cpu_seconds": 60, "validation": 1.5}
    points = {f"bpp@{level}": rate * 2**level for level in VALIDATION_LEVELS}
    points |= {f"psnr@{level}": 30 + 10 * level for level in VALIDATION_LEVELS}
    known = {"variant": variant, "seed": seed, "machine": "abacus"} | facts | points
    return {key: str(value) for key, value in known.items()}


def test_table_of_known_curves() -> None:
    plan = Plan(TINY, (), 10, 2, 64)
    rows = [row("full", 0, 1.0), row("full", 1, 1.02), row("no-width", 0, 1.01 * 1.1)]
    rows += [row("all-off", 0, 1.01 * 1.1), row("all-off", 1, 1.01 * 1.3)]
    text = markdown(plan, rows, "picolab ablate it")
    lines = {line.split(" | ")[0]: line for line in text.splitlines() if line.startswith("|")}
    assert "| anchor |" in lines["| full model"]
    figures = "| +10.00 % | +8.16 % | 1.5000 | 1.00 | 2.00 | 60 |"
    assert figures in lines["| no learned quantisation width"]
    assert "| +20.00 % | +31.69 %" in lines["| all of these off, strided"]  # the mean of its seeds
    assert "others against the first is +2.00 %;" in text
    assert "10 steps of 2 crops of 64x64" in text and "5 CPU minutes on abacus" in text
    assert "`picolab ablate it`" in text


def test_curves_with_too_little_in_common_are_refused() -> None:
    far = row("no-shortcut", 0, 1.0)
    far |= {f"psnr@{level}": str(10 + 10 * level) for level in VALIDATION_LEVELS}
    text = markdown(Plan(TINY, (), 10, 2, 64), [row("full", 0, 1.0), far], "picolab ablate")
    assert "refused: the curves have no quality in common" in text
    assert "one seed" in text


def test_command_line(plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "tiny.toml"
    fields = {k: v for k, v in vars(TINY).items()}
    config.write_text("".join(f"{k} = {toml(v)}\n" for k, v in fields.items()))
    command = ["ablate", str(config), "--steps", "2", "--batch", "2", "--crop", "64"]
    command += ["--data", *plan.data, "--device", "cpu", "-o", str(tmp_path / "run")]
    assert cli.main([*command, "--variants", "no-scales", "--full-seeds", "1"]) == 0
    assert "| no learned scales |" in capsys.readouterr().out
    assert cli.main([*command, "--variants", "scales"]) == 1
    assert "no variant is called 'scales'" in capsys.readouterr().err
    assert cli.main([*command, "--data", "$NOT_SET_ANYWHERE"]) == 1
    assert "needs that environment variable" in capsys.readouterr().err


def toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


@pytest.mark.parametrize("name", ["small", "base"])
def test_released_configurations_are_full_models(name: str) -> None:
    config = read_config(f"configs/{name}.toml")
    for key, choices in CHOICES.items():
        assert getattr(config, key) == choices[0]
    assert config.quantisation_width and config.shortcut
