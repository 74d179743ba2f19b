"""Runs of a lineage: exact resumption, branches, fixed bits, several processes."""

from __future__ import annotations

import csv
import functools
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiles import make_tiles
from tiny import TINY
from torch import Tensor

from picocodec.model.model import Model
from picolab.cli import main
from picolab.data.crops import TileFile, principal_components
from picolab.losses.objective import Judgement, LossWeights
from picolab.networks.model import FIRST_LAMBDAS, Codec
from picolab.release.release import read_trained, release
from picolab.training.checkpoint import load_checkpoint, without_prefix
from picolab.training.control import BitTargets, LambdaController
from picolab.training.keep import load_kept, save_kept
from picolab.training.lineage import Batch, Lineage, Stage, read_lineage
from picolab.training.machine import without_denormals
from picolab.training.muon import Muon, orthogonal
from picolab.training.run import Options, Run, learning_parameters
from picolab.training.step import (
    Kernels,
    Outcome,
    Sample,
    entropy_alone,
    rate_and_distortion,
)
from picolab.training.validate import FIXED_BITS, Point, at_fixed_bits, score

BATCHES = (Batch(2, 64), Batch(4, 64, after=20 * 64**2))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiles(tmp_path_factory.mktemp("tiles"))


@pytest.fixture
def lineage(tiles: Path) -> Lineage:
    learn = ("encoder.hyper", "scale_decoder", "context", "z_index")
    head = Stage("entropy", BATCHES, 1e-3, entropy_alone=True, learn=learn)
    trunk = Stage("trunk", BATCHES, 1e-3, warmup=2)
    return Lineage(
        "tiny", TINY, tiles, (head, trunk, replace(trunk, name="muon", optimiser="muon"))
    )


@pytest.fixture(autouse=True)
def quick_start(monkeypatch: pytest.MonkeyPatch) -> None:
    few = functools.partial(principal_components, draws=1)
    monkeypatch.setattr("picolab.training.run.principal_components", few)


def options(folder: Path, **more) -> Options:
    return Options(folder, CPU, torch.float32, compile=False, lpips=False, **more)


def trained(lineage: Lineage, stage: str, folder: Path, steps: int, **more) -> Run:
    run = Run(lineage, lineage.stage(stage), options(folder, **more))
    for _ in range(steps):
        run.step()
    run.save()
    return run


def everything(folder: Path) -> dict[str, Tensor]:
    return load_checkpoint(folder / "checkpoint")[0]


def test_a_run_goes_on_bit_for_bit(lineage: Lineage, tmp_path: Path) -> None:
    trained(lineage, "entropy", tmp_path / "a", 4)
    trained(lineage, "trunk", tmp_path / "a", 8)
    trained(lineage, "entropy", tmp_path / "b", 2)
    trained(lineage, "entropy", tmp_path / "b", 2)
    for steps in (3, 5):
        trained(lineage, "trunk", tmp_path / "b", steps)
    ours, theirs = everything(tmp_path / "a/trunk"), everything(tmp_path / "b/trunk")
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        assert torch.equal(value, theirs[key]), key


def test_a_run_that_goes_on_computes_no_beginning(
    lineage: Lineage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(lineage, "entropy", tmp_path, 1)
    monkeypatch.setattr("picolab.training.run.principal_components", None)
    assert trained(lineage, "entropy", tmp_path, 1).progress.step == 2


def test_muon_goes_on_bit_for_bit_and_learns(lineage: Lineage, tmp_path: Path) -> None:
    trained(lineage, "entropy", tmp_path, 1)
    start = trained(lineage, "trunk", tmp_path, 0)
    (tmp_path / "twice").mkdir()
    for folder in ("once", "twice"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "trunk").symlink_to(tmp_path / "trunk")
    trained(lineage, "muon", tmp_path / "once", 4)
    for steps in (1, 3):
        trained(lineage, "muon", tmp_path / "twice", steps)
    ours, theirs = everything(tmp_path / "once/muon"), everything(tmp_path / "twice/muon")
    assert all(torch.equal(value, theirs[key]) for key, value in ours.items())
    before = dict(start.codec.named_parameters())
    moved = [n for n, p in before.items() if not torch.equal(p, ours[f"model.{n}"])]
    assert "encoder.chain16.blocks.0.wide.weight" in moved and "encoder.shortcut.map.bias" in moved


def test_only_what_a_stage_teaches_learns(lineage: Lineage, tmp_path: Path) -> None:
    run = trained(lineage, "entropy", tmp_path, 3)
    start = Codec(TINY)
    torch.manual_seed(lineage.seed)
    start = Codec(TINY)
    start.start_from_components(*principal_components(run.tiles, TINY.y_channels, draws=1))
    changed = {
        name.split(".")[0]
        for (name, value), old in zip(run.codec.named_parameters(), start.parameters(), strict=True)
        if not torch.equal(value, old)
    }
    assert changed == {"encoder", "scale_decoder", "context_decoder", "context_model", "z_index"}
    assert torch.equal(run.codec.encoder.shortcut.map.weight, start.encoder.shortcut.map.weight)
    with pytest.raises(ValueError, match="no parameter's name begins so"):
        learning_parameters(start, replace(lineage.stages[0], learn=("encodr",)))


def test_a_decoder_that_learns_alone_leaves_the_bits(lineage: Lineage, tmp_path: Path) -> None:
    """Lambdas rest, too, that else answer to the bits."""
    trained(lineage, "entropy", tmp_path, 1)
    start = everything(tmp_path / "entropy")
    moved: list[set[str]] = []
    for learn in ((), ("decoder.",)):
        stage = replace(lineage.stage("trunk"), warmup=1, learn=learn)
        short = replace(lineage, stages=(lineage.stages[0], stage))
        weights = trained(short, "trunk", tmp_path, 3).codec.state_dict().items()
        moved.append({n for n, w in weights if not torch.equal(w, start[f"model.{n}"])})
        shutil.rmtree(tmp_path / "trunk")
    together, alone = moved
    assert {"encoder.gain.log_lambda", "decoder.gain.log_lambda"} <= together
    assert "decoder.gain.log_gain" in alone and "decoder.gain.log_lambda" not in alone
    assert all(name.startswith("decoder.") for name in alone)


def test_a_first_stage_without_the_weights_that_it_names_is_refused(
    lineage: Lineage, tmp_path: Path
) -> None:
    """It would begin from nothing, and a decoder alone would learn of an encoder that never did."""
    alone = replace(lineage.stage("trunk"), learn=("decoder.",), kept=tmp_path / "no.safetensors")
    with pytest.raises(FileNotFoundError, match=r"no\.safetensors: stage 'trunk' begins with it"):
        Run(replace(lineage, stages=(alone,)), alone, options(tmp_path))


def test_a_cooldown_branches_off_and_leaves_the_trunk_alone(
    lineage: Lineage, tmp_path: Path
) -> None:
    trained(lineage, "entropy", tmp_path, 1)
    trunk = trained(lineage, "trunk", tmp_path, 8)
    before = everything(tmp_path / "trunk")
    branch = Run(lineage, lineage.stage("trunk"), options(tmp_path, cooldown=0.5))
    rates = []
    while branch.progress.pixels < branch.progress.end:
        rates.append(branch.progress.rate(branch.stage))
        branch.step()
        if len(rates) == 2:  # a branch goes on, too
            branch.save()
            branch = Run(lineage, lineage.stage("trunk"), options(tmp_path, cooldown=0.5))
    assert branch.progress.pixels == pytest.approx(1.5 * trunk.progress.pixels, abs=4 * 64**2)
    assert rates == sorted(rates, reverse=True) and rates[-1] <= 0.5 * rates[0]
    after = everything(tmp_path / "trunk")
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_a_lost_run_goes_on_from_its_kept_weights(
    lineage: Lineage, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    trained(lineage, "entropy", tmp_path / "lost", 1)
    lost = trained(lineage, "trunk", tmp_path / "lost", 4)
    file = tmp_path / "kept.safetensors"
    assert main(["keep", str(tmp_path / "lost/trunk/checkpoint"), "-o", str(file)]) == 0
    assert "pixels" in capsys.readouterr().out
    stage = replace(lineage.stage("trunk"), kept=file)
    lineage = replace(lineage, stages=(lineage.stages[0], stage, lineage.stages[2]))
    run = Run(lineage, stage, options(tmp_path / "new"))  # without the stage before it
    assert run.progress == lost.progress
    weights = [*run.codec.parameters(), *run.ema]
    for mine, kept in zip(weights, [*lost.ema, *lost.ema], strict=True):
        torch.testing.assert_close(mine, kept.half().float(), rtol=0, atol=0)
    level = torch.linspace(0, 1, 9)
    torch.testing.assert_close(run.controller.lambdas(level), lost.controller.lambdas(level))
    run.step()
    run.save()
    assert run.progress.pixels > lost.progress.pixels
    assert lost.controller.steps > run.controller.steps == 1  # bits are measured anew
    # From then on its own checkpoint counts.
    assert Run(lineage, stage, options(tmp_path / "new")).progress == run.progress
    branch = Run(lineage, stage, options(tmp_path / "new", cooldown=0.5))
    assert branch.progress.cool_over == 0.5 * run.progress.pixels
    branch.save()
    cooled = tmp_path / "cooled.safetensors"
    assert main(["keep", str(branch.own_folder / "checkpoint"), "-o", str(cooled)]) == 0
    again = Run(lineage, replace(stage, kept=cooled), options(tmp_path / "newer"))
    assert again.progress == run.progress  # at the constant rate
    with pytest.raises(ValueError, match="is of stage 'trunk'"):
        other = replace(lineage.stages[2], kept=file)
        Run(replace(lineage, stages=(stage, other)), other, options(tmp_path / "other"))


def test_weights_are_kept_between_those_of_two_runs(lineage: Lineage, tmp_path: Path) -> None:
    trained(lineage, "entropy", tmp_path, 1)
    files = [tmp_path / f"{name}.safetensors" for name in ("first", "second", "between")]
    checkpoint = str(tmp_path / "trunk/checkpoint")
    for steps, file in zip((2, 4), files, strict=False):
        trained(lineage, "trunk", tmp_path, steps)
        assert main(["keep", checkpoint, "-o", str(file)]) == 0
    mixing = ["keep", checkpoint, "--with", str(files[0]), "--share", "0.25", "-o", str(files[2])]
    assert main(mixing) == 0
    (first, _), (second, later), (between, told) = map(load_kept, files)
    assert told == later
    for name, tensor in between.items():
        wanted = second[name]
        if name.startswith("model.") and wanted.is_floating_point():
            wanted = 0.25 * first[name] + 0.75 * wanted
        torch.testing.assert_close(tensor, wanted, rtol=2e-3, atol=1e-4)
    assert any(not torch.equal(between[name], second[name]) for name in between)
    other = tmp_path / "other.safetensors"
    save_kept(other, {}, later | {"shape": {}})
    mixing[3] = str(other)
    assert main(mixing) == 1
    with pytest.raises(SystemExit):
        main([*mixing, "--share", "2"])


def test_limits_signals_and_the_curve(lineage: Lineage, tmp_path: Path) -> None:
    lineage = replace(lineage, curve_every=3 * 2 * 64**2)
    run = Run(lineage, lineage.stage("entropy"), options(tmp_path, pixels=7 * 2 * 64**2))
    run.go()
    assert run.progress.step == 7
    with open(tmp_path / "entropy/curve.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    assert [float(row["pixels"]) for row in rows] == [3 * 2 * 64**2, 6 * 2 * 64**2]
    assert 10 < float(rows[0]["score"]) < 50
    plot = tmp_path / "curve.svg"
    assert main(["curve", str(tmp_path / "entropy/curve.csv"), "-o", str(plot)]) == 0
    assert "0.4 bits per pixel" in plot.read_text()
    again = Run(lineage, lineage.stage("entropy"), options(tmp_path))
    again.asked_to_stop.append(15)
    again.go()
    assert again.progress.step == 8


@torch.no_grad()
def test_bits_stay_at_their_targets_while_a_loss_buys_bits() -> None:
    """A tiny model's gains are raised step by step, as a perceptual loss does that wants more
    bits; on the same crops every step, so that what is left is the controller's own error."""
    torch.manual_seed(0)
    codec = Codec(replace(TINY, knots=3))
    codec.start_from_components(torch.eye(TINY.y_channels, 768), torch.full((32,), 0.02))
    centred = torch.nn.functional.avg_pool2d(torch.rand(3, 192, 20, 20), 5, 1) - 0.5
    level, natural = torch.linspace(0, 1, 3), torch.ones(3)
    targets = BitTargets(0.03, 0.3)
    controller = LambdaController(targets, codec, CPU, windows=(5, 5))
    stage = Stage("entropy", BATCHES, 1e-3, entropy_alone=True, hard=True)
    sample = Sample(centred, natural, level, None, torch.rand(2), None, None)

    def settled(steps: int, bought: float) -> Tensor:
        """The mean bits per pixel at each level in the last steps."""
        spent = []
        for _ in range(steps):
            codec.encoder.gain.log_gain += bought
            spent.append(entropy_alone(codec, stage, controller, sample).bpp)
            controller.update(controller.observation(level, spent[-1], natural))
        return torch.stack(spent[-10:]).mean(0)

    for steps, bought in ((110, 0.0), (40, 0.01), (90, 0.0)):
        bpp = settled(steps, bought)
        if not bought:
            torch.testing.assert_close(bpp, targets.at(level), rtol=0.02, atol=0)
        else:
            assert (bpp > 1.05 * targets.at(level)).all()  # it did have something to do


def test_principal_components_are_orthonormal_and_in_order(tiles: Path) -> None:
    rows, energies = principal_components(TileFile(tiles, False), 20)
    torch.testing.assert_close(rows @ rows.t(), torch.eye(20), atol=1e-4, rtol=0)
    assert torch.equal(energies, energies.sort(descending=True)[0])


def test_crops_are_of_the_tiles_and_held_out_ones_are_never_drawn(tiles: Path) -> None:
    train, held_out = TileFile(tiles, False), TileFile(tiles, True)
    assert (len(train), len(held_out)) == (5, 1)
    assert set(train.originals).isdisjoint(held_out.originals)
    ours, theirs = (TileFile(tiles, False) for _ in range(2))
    theirs._resident = torch.from_numpy(theirs.pixels[theirs.index])  # as on another device
    crops = [t.draw(8, 64, torch.Generator().manual_seed(5)) for t in (ours, theirs)]
    assert torch.equal(crops[0].patches, crops[1].patches)
    whole = train.whole(2)
    assert whole.shape == (1, 192, 64, 64) and whole.dtype == torch.uint8
    pixels = torch.from_numpy(train.pixels[2][8:16, 16:24].reshape(-1).copy())
    assert torch.equal(whole[0, :, 1, 2], pixels)


def test_tile_folders_that_do_not_fit_are_refused(tiles: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="picolab data build"):
        TileFile(tmp_path, False)
    (tmp_path / "tiles.csv").write_bytes((tiles / "tiles.csv").read_bytes())
    (tmp_path / "tiles.u8").write_bytes(b"12345")
    with pytest.raises(ValueError, match="has 5 bytes where tiles.csv names 6"):
        TileFile(tmp_path, False)
    with pytest.raises(ValueError, match="draw group 'natural'"):
        TileFile(tiles, False, {"many": 1.0})


def test_psnr_at_fixed_bits_interpolates_in_the_logarithm() -> None:
    points = [Point(0, b, 30 + 5 * torch.tensor(b).log2().item(), 0) for b in (0.05, 0.3, 1.5)]
    wanted = [30 + 5 * torch.tensor(b).log2().item() for b in FIXED_BITS]
    assert at_fixed_bits(points) == pytest.approx(wanted)
    assert score(points) == pytest.approx(sum(wanted) / len(wanted))


def test_muon_makes_updates_orthogonal() -> None:
    torch.manual_seed(0)
    for shape in ((2, 16, 64), (2, 64, 16)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape)).float())
        assert values.min() > 0.4 and values.max() < 1.6
    weight = torch.nn.Parameter(torch.randn(8, 3, 5))
    target = torch.randn(8, 3, 5)
    muon = Muon([weight], lr=0.03)
    for _ in range(300):
        weight.grad = weight.detach() - target
        muon.step()
    assert (weight - target).abs().mean() < 0.1


def told(
    codec: Codec,
    losses: LossWeights,
    x: Tensor,
    realism: float,
    natural: bool = True,
    controller: LambdaController | None = None,
) -> tuple[Outcome, Tensor, Tensor]:
    """How one crop of patches goes, and what the objective is told of it: text, and its weight."""
    seen: list[Tensor] = []

    def objective(x: Tensor, y: Tensor, text: Tensor, weight: Tensor, *where: Tensor):
        seen.extend((text, weight))
        return Judgement(torch.zeros(len(x)), torch.zeros(()), {})

    outcome = rate_and_distortion(
        codec,
        Stage("looks", BATCHES, 1e-3, losses=losses, hard=True),
        controller or LambdaController(BitTargets(), codec, CPU),
        objective,  # type: ignore[arg-type]
        Sample(
            x,
            torch.tensor([natural]),
            torch.tensor([0.5]),
            torch.tensor([realism]),
            torch.zeros(3),
            torch.zeros(1, TINY.noise_channels, 8, 8),
            torch.arange(1),
        ),
        Kernels(),
    )
    return outcome, seen[0], seen[1]


def test_realism_is_not_for_what_is_no_photo() -> None:
    """Letters and drawings learn the closest pixels, whatever realism their decoder is told."""
    torch.manual_seed(0)
    codec = Codec(TINY)
    codec.start_from_components(torch.eye(TINY.y_channels, 768), torch.full((32,), 0.02))
    losses = LossWeights(lpips_alex=1.0, mse_at_realism=0.2, xyb_share=0.5)
    x = torch.rand(1, 192, 8, 8, generator=torch.Generator().manual_seed(1)) - 0.5
    photo, text, weight = told(codec, losses, x, 1.0)
    closest, _, none = told(codec, losses, x, 0.0)
    assert photo.loss < closest.loss  # less of the squared error
    assert not text.any() and not none.any()
    target = BitTargets().at(torch.tensor([0.5]))
    torch.testing.assert_close(weight, (photo.bpp / target) ** 0.75)
    # What holds the bits moves all that they are paid with, not the squared error alone.
    controller = LambdaController(BitTargets(), codec, CPU)
    codec.move_lambdas(codec.log_lambda - 1)
    torch.testing.assert_close(controller.moved(torch.tensor([0.5])), torch.tensor([-1.0]).exp())
    less, _, halved = told(codec, losses, x, 1.0, controller=controller)
    torch.testing.assert_close(halved, (less.bpp / target) ** 0.75 / math.e)
    codec.move_lambdas(codec.log_lambda + 1)
    for realism in (0.0, 1.0):
        letters, text, weight = told(codec, losses, x, realism, natural=False)
        assert letters.loss == closest.loss and text.all() and not weight.any()


def test_clean_ground_keeps_its_errors_at_both_ends_of_the_dial() -> None:
    torch.manual_seed(0)
    codec = Codec(TINY)
    flat = torch.zeros(1, 192, 8, 8)  # which weights of no training do not decode

    def added(realism: float) -> float:
        with_it, without = (
            told(codec, LossWeights(lpips_alex=1.0, clean=clean), flat, realism)[0].loss.item()
            for clean in (1.0, 0.0)
        )
        return with_it - without

    assert added(0.0) > 0
    assert added(1.0) == pytest.approx(2 * added(0.0), rel=0.05)


def test_recipes_are_checked(tmp_path: Path, tiles: Path, monkeypatch) -> None:
    monkeypatch.setenv("PICOLAB_TILES", str(tiles))
    root = Path(__file__).parents[2]
    lineage = read_lineage(root / "recipes/photo.toml")
    assert [stage.name for stage in lineage.stages][:2] == ["entropy", "trunk"]
    assert lineage.before(lineage.stages[1]) == lineage.stages[0]
    monkeypatch.delenv("PICOLAB_TILES")
    assert read_lineage(root / "recipes/photo.toml", tmp_path).tiles == tmp_path
    with pytest.raises(ValueError, match="PICOLAB_TILES"):
        read_lineage(root / "recipes/photo.toml")
    monkeypatch.setenv("PICOLAB_TILES", str(tiles))
    text = (root / "recipes/photo.toml").read_text().replace("../configs", str(root / "configs"))
    for old, new, message in (
        ("rate = 5e-4", "rates = 5e-4", "unknown key 'rates'"),
        ('name = "photo"', 'name = "photo"\nbits = { low = 2, high = 1 }', "must rise"),
        ("side = 192", "side = 100", "multiple of 64"),
    ):
        path = tmp_path / "recipe.toml"
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(ValueError, match=message):
            read_lineage(path)
    with pytest.raises(ValueError, match="no stage 'x'"):
        lineage.stage("x")


def test_the_command_trains_in_two_processes_and_goes_on(
    tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    shape = "\n".join(f"{k} = {v!r}".replace("'", '"') for k, v in TINY.to_dict().items())
    (tmp_path / "tiny.toml").write_text(shape)
    (tmp_path / "recipe.toml").write_text(
        'name = "tiny"\nshape = "tiny.toml"\ntiles = "$PICOLAB_TILES"\n[[stages]]\nname = "trunk"\n'
        "rate = 1e-3\nbatches = [{ crops = 2, side = 64 }]\n"
    )
    monkeypatch.setenv("PICOLAB_TILES", str(tiles))
    monkeypatch.setenv("PICOLAB_ALLOCATOR", "as it is")
    command = ["train", str(tmp_path / "recipe.toml"), "--no-compile", "--no-lpips"]
    command += ["-o", str(tmp_path / "runs"), "--pixels", str(4 * 2 * 64**2)]
    assert main([*command, "--dry-run"]) == 0
    assert "trunk: 2.458e+04 pixels" in capfd.readouterr().out
    assert not (tmp_path / "runs").exists()
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    for step in (4, 8):
        done = subprocess.run(
            [*torchrun, "-m", "picolab", *command], capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        _, values = load_checkpoint(tmp_path / "runs/trunk/checkpoint")
        assert values["progress"]["step"] == step and values["world"] == 2
    tensors, _ = load_checkpoint(tmp_path / "runs/trunk/checkpoint")
    random = without_prefix("random", tensors)
    assert not torch.equal(random["0.1"], random["1.1"])  # processes draw differently


def test_a_checkpoint_becomes_a_model_that_codes_files(lineage: Lineage, tmp_path: Path) -> None:
    trained(lineage, "entropy", tmp_path, 2)
    folder = release(read_trained(tmp_path / "entropy/checkpoint"), tmp_path, "tiny", 1)
    model = Model(folder, threads=1)
    assert not model.has_dial and str(model.identity) == "tiny.v1"
    assert model.slope(0) == pytest.approx(FIRST_LAMBDAS[0], rel=1e-3)
    picture = np.random.default_rng(0).random((1, 3, 128, 128), np.float32)
    y, z = model.analyse(picture, 500)
    z_symbols = np.rint(z[0]).astype(np.int32)
    coded = model.y_indices(z_symbols, 500) >= model.skip_below
    symbols, y_hat = model.quantise(y, z_symbols, coded, 500)
    assert symbols.shape == (TINY.y_channels, 8, 8) and not symbols[~coded].any()
    decoded = model.synthesise(y_hat, 500)
    assert decoded.shape == picture.shape
    assert np.abs(decoded - picture).mean() < np.abs(picture - 0.5).mean()


def test_what_runs_after_training_has_numbers_near_zero_again() -> None:
    least = torch.tensor(1e-40)
    with without_denormals():
        assert (least * 1).item() == 0
    assert (least * 1).item() > 0
