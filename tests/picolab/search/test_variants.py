"""The ablation: each variant is without its part, trains, and is compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from searching import make_recipe, make_space
from test_model import lively
from tiles import make_tiles
from tiny import TINY
from torch import Tensor

from picolab.cli import main
from picolab.networks.blocks import to_patches
from picolab.networks.model import Codec, ContextModel
from picolab.search.funnel import Crew
from picolab.search.store import Point
from picolab.search.training import Job, Trained
from picolab.search.variants import VARIANTS, Checkerboard, StridedDown, StridedUp, make_variant


def variant(name: str) -> Codec:
    torch.manual_seed(0)
    return make_variant(name, TINY)


@pytest.mark.parametrize("name", VARIANTS)
def test_all_variants_learn(name: str) -> None:
    codec = lively(variant(name))
    picture = torch.nn.functional.avg_pool2d(torch.rand(1, 3, 72, 136), 9, 1)
    coded = codec(to_patches(picture) - 0.5, torch.tensor([0.5]))
    assert coded.y_hat.shape == (1, TINY.y_channels, 4, 8)
    ((coded.bits_y + coded.bits_z).sum() / 8192 + coded.centred.square().mean()).backward()
    unused = ("realistic", "noise")  # these are the dial's
    for key, parameter in codec.named_parameters():
        if not any(word in key for word in unused):
            assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), key


def parts(codec: Codec) -> dict[str, Tensor]:
    return dict(codec.named_parameters())


def test_what_a_variant_is_without() -> None:
    full = parts(variant("full"))
    conv = {key for key in full if key.endswith(("scale_in", "scale_out"))}
    chains = {k for k in full if k.endswith("log_gain") and (".scale." in k or ".dial." in k)}
    assert conv and chains
    assert full.keys() - parts(variant("no-scales")).keys() == conv | chains
    assert full.keys() - parts(variant("conv-scales")).keys() == chains
    assert full.keys() - parts(variant("resolution-scales")).keys() == conv
    shuffled = variant("shuffle")
    assert parts(shuffled).keys() == full.keys()
    haars = [m.haar for m in shuffled.modules() if hasattr(m, "haar")]
    assert len(haars) == 7 and all(torch.equal(h, torch.eye(len(h))) for h in haars)
    strided = variant("strided")
    kinds = [type(m) for m in strided.modules()]
    assert kinds.count(StridedDown) == 3 and kinds.count(StridedUp) == 2
    with pytest.raises(ValueError, match="no variant is called 'half'; there are full,"):
        make_variant("half", TINY)


def context(codec: Codec, y: Tensor) -> tuple[Tensor, Tensor]:
    """The distance between y and y_hat, and y_hat, of a context model on its own."""
    model: ContextModel = codec.context_model
    torch.manual_seed(1)
    prior = torch.randn(1, 4 * TINY.context_channels, 4, 4)
    ones = torch.ones_like(y)
    cell = model(prior, y, 20 * ones, ones, torch.tensor([0.5]), None)
    return (cell.y_hat - y).abs(), cell.y_hat


def influence(name: str, row: int, column: int, channel: int = 0) -> Tensor:
    """Where y_hat changes when one number of y does: bool `[M, H, W]`."""
    codec = lively(variant(name))
    torch.manual_seed(2)
    y = 3 * torch.randn(1, TINY.y_channels, 8, 8)
    before = context(codec, y)[1]
    y[0, channel, row, column] += 10
    return (context(codec, y)[1] - before).abs()[0] > 1e-6


@torch.no_grad()
def test_who_sees_what_of_what_was_decoded() -> None:
    alone = influence("no-context", 2, 2)
    assert alone.sum() == 1 and alone[0, 2, 2]
    groups = influence("channels", 2, 2, channel=8)  # in the second of four groups of 8
    assert not groups[:8].any() and groups[16:].any() and groups[8, 2, 2]
    assert groups[8:16].sum() == 1
    first, second = influence("checkerboard", 2, 2), influence("checkerboard", 2, 3)
    white = (torch.arange(8)[:, None] + torch.arange(8)) % 2 == 1
    assert first[:, white].any() and first[:, ~white].sum() == 1
    assert second.sum() == 1 and second[0, 2, 3]
    grid = influence("full", 2, 2)
    assert grid.sum() > 1


@torch.no_grad()
def test_widths_are_one_without_the_learned_one() -> None:
    torch.manual_seed(3)
    y = 9 * torch.randn(1, TINY.y_channels, 8, 8)
    assert context(lively(variant("no-width")), y)[0].max() <= 0.5 + 1e-5
    assert context(lively(variant("all-off")), y)[0].max() <= 0.5 + 1e-5
    assert context(lively(variant("full")), y)[0].max() > 0.5 + 1e-5
    assert isinstance(variant("checkerboard").context_model, Checkerboard)


class FakeCrew(Crew):
    def __init__(self) -> None:
        self.wanted: list[tuple[str, str, int]] = []

    def run(self, wanted: Mapping[str, Job]) -> Iterator[tuple[str, Trained]]:
        for name, job in wanted.items():
            self.wanted.append((name, job.variant, job.seed))
            factor = {"full": 1 + job.seed / 50, "no-width": 1.2}.get(job.variant, 2.0)
            bpp = (0.1, 0.2, 0.4, 0.8)
            points = tuple(Point(factor * b, 30 + 4 * at) for at, b in enumerate(bpp))
            yield name, Trained(points, 1800, job.pixels, 10, 1, 12)


def test_the_command_compares_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    crew = FakeCrew()
    monkeypatch.setattr("picolab.search.main.open_crew", lambda args: crew)
    make_space(tmp_path)
    recipe = make_recipe(tmp_path, make_tiles(tmp_path / "tiles", 3))
    command = ["variants", str(recipe), "--pixels", "1e9", "-o", str(tmp_path / "out")]
    assert main([*command, "--variants", "no-width"]) == 0
    assert crew.wanted == [
        ("full-0", "full", 0),
        ("full-1", "full", 1),
        ("no-width-0", "no-width", 0),
    ]
    crew.wanted.clear()
    assert main([*command, "--variants", "no-width,shuffle"]) == 0
    assert crew.wanted == [("shuffle-0", "shuffle", 0)]
    text = (tmp_path / "out/ablation.md").read_text()
    assert text.strip() in capsys.readouterr().out
    assert "| no learned quantisation width | +18.81 % | +8.16 % |" in text  # against 1.01
    assert "which are +2.00 % apart" in text and "1e+09 pixels each" in text
    assert main([*command[:3], "2e9", *command[4:]]) == 1
    assert "holds a search with pixels = 1000000000.0" in capsys.readouterr().err
    assert main([*command, "--variants", "half"]) == 1
    assert "no variant is called 'half'" in capsys.readouterr().err
