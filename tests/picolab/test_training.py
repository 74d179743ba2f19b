from __future__ import annotations

import json
import tarfile
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import TINY, photo

from picolab.data.images import load_tiles, principal_components, write_masks
from picolab.losses.objective import LossWeights
from picolab.training.checkpoint import load_checkpoint, save_checkpoint
from picolab.training.loop import PACE_KNOWN, Options, phase_at, train
from picolab.training.recipe import Recipe, read_recipe

RECIPE = """
name = "tiny-test"
config = "tiny.toml"
data = ["$TEST_PICTURES"]
warmup = 2
validate_every = 4

[[phases]]
steps = 4
crop = 64
batch = 4
learning_rate = 1e-3
final_learning_rate = 1e-4

[[phases]]
steps = 4
crop = 128
batch = 2
learning_rate = 1e-4
final_learning_rate = 1e-5
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    # Two of these names are among those held out for validation.
    for i in range(40):
        Image.fromarray(photo(140, 200 + i, seed=i)).save(folder / f"p{i}-0.png")
    return folder


@pytest.fixture
def recipe(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.setenv("TEST_PICTURES", str(pictures))
    (tmp_path / "tiny.toml").write_text(
        "\n".join(f"{k} = {json.dumps(v)}" for k, v in asdict(TINY).items())
    )
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return read_recipe(tmp_path / "recipe.toml")


@pytest.fixture(scope="module")
def masks(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("masks") / "masks.tar"
    write_masks([pictures], path, lambda picture: np.ones(picture.shape[:2], np.float32))
    return path


def options(folder: Path, **changes: object) -> Options:
    return Options(folder, torch.device("cpu"), **changes)  # type: ignore[arg-type]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder / "checkpoint")[0]


STAGE_2 = LossWeights(tiling=1.0, ms_ssim=0.1, text=1.0, gan=0.1, gan_start=2, gan_ramp=3)


@pytest.mark.parametrize("losses", [LossWeights(), STAGE_2], ids=["stage 1", "stage 2"])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    recipe: Recipe, tmp_path: Path, losses: LossWeights, masks: Path
) -> None:
    recipe = replace(recipe, losses=losses, masks=str(masks), zoom=1.5, grain=4.0)
    whole = train(recipe, options(tmp_path / "whole"))
    for _ in range(recipe.steps):  # stopped after every single step
        parts = train(recipe, options(tmp_path / "parts", max_minutes=0))
    assert parts == whole
    ours, theirs = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert ours.keys() == theirs.keys()
    differing = [key for key in ours if not torch.equal(ours[key], theirs[key])]
    assert differing == []


@pytest.mark.parametrize("optimiser", ["soap", "adamw"])
def test_training_lowers_the_loss(recipe: Recipe, tmp_path: Path, optimiser: str) -> None:
    """From random weights, without the head start of principal components."""
    config = replace(TINY, shortcut=False, overlap=0)
    recipe = replace(recipe, config=config, optimiser=optimiser, validate_every=1000)
    phase = replace(recipe.phases[0], steps=30)
    first = train(replace(recipe, phases=(replace(phase, steps=1),)), options(tmp_path / "a"))
    last = train(replace(recipe, phases=(phase,)), options(tmp_path / "b"))
    assert last["validation"] < 0.7 * first["validation"]


def test_dry_run_exercises_every_phase_and_keeps_nothing(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    monkeypatch.setattr(LossWeights, "gan_at", lambda self, step: steps.append(step) or 0.1)
    recipe = replace(recipe, losses=LossWeights(gan=0.1))
    figures = train(recipe, options(tmp_path / "dry", dry_run=True))
    assert figures["validation"] > 0
    assert steps == [0, 1, 3, 4, 5, 7]
    assert not (tmp_path / "dry").exists()


def test_a_run_folder_belongs_to_one_recipe(recipe: Recipe, tmp_path: Path) -> None:
    train(recipe, options(tmp_path / "run", max_minutes=0))
    with pytest.raises(ValueError, match="belongs to recipe 'tiny-test'"):
        train(replace(recipe, name="other"), options(tmp_path / "run"))


def test_another_run_can_start_from_the_averaged_weights(recipe: Recipe, tmp_path: Path) -> None:
    train(recipe, options(tmp_path / "first"))
    phase = replace(recipe.phases[0], steps=1, learning_rate=0.0, final_learning_rate=0.0)
    init = str(tmp_path / "first" / "checkpoint")
    train(replace(recipe, init=init, phases=(phase,)), options(tmp_path / "second"))
    first, second = weights(tmp_path / "first"), weights(tmp_path / "second")
    key = "analysis.head.weight"
    assert torch.equal(second[f"model.{key}"], first[f"ema.{key}"])


def test_a_start_from_other_slopes_moves_the_levels(recipe: Recipe, tmp_path: Path) -> None:
    train(recipe, options(tmp_path / "first"))
    phase = replace(recipe.phases[0], steps=1, learning_rate=0.0, final_learning_rate=0.0)
    init = str(tmp_path / "first" / "checkpoint")
    lower = replace(TINY, lambda_min=TINY.lambda_min / 3)
    recipe = replace(recipe, config=lower, init=init, phases=(phase,))
    train(recipe, options(tmp_path / "second"))
    first, second = weights(tmp_path / "first"), weights(tmp_path / "second")
    before, after = first["ema.analysis.gain.log_gain"], second["model.analysis.gain.log_gain"]
    assert not torch.equal(before[0], after[0])
    torch.testing.assert_close(before[-1], after[-1])  # lambda_max is the same


def test_the_adversary_comes_in_when_the_recipe_says(recipe: Recipe, tmp_path: Path) -> None:
    recipe = replace(recipe, losses=LossWeights(gan=0.1, gan_start=5, gan_ramp=1))
    torch.manual_seed(recipe.seed)
    train(recipe, options(tmp_path / "run"))
    tensors = weights(tmp_path / "run")
    moments = [v for k, v in tensors.items() if k.startswith("adversary.") and "exp_avg_sq" in k]
    assert moments and all(m.any() for m in moments)
    steps = {v.item() for k, v in tensors.items() if k.startswith("adversary.") and "step" in k}
    assert steps == {recipe.steps - 6}  # its weight is above zero from the step after gan_start


def test_a_recipe_is_cut_to_fit_its_minutes(recipe: Recipe, tmp_path: Path) -> None:
    long = recipe.lengthened(10)
    run = options(tmp_path / "run", fit_minutes=1e-6)
    train(long, run)
    _, values = load_checkpoint(tmp_path / "run" / "checkpoint")
    # There is no time left when its pace is known.
    assert long.lengthened(values["factor"]).steps <= PACE_KNOWN == values["step"] < long.steps
    # It keeps that length: what goes on finds nothing left to do.
    train(long, options(tmp_path / "run"))
    assert load_checkpoint(tmp_path / "run" / "checkpoint")[1]["step"] == values["step"]


def test_a_longer_recipe_has_longer_phases_and_a_later_adversary(recipe: Recipe) -> None:
    half = replace(recipe, losses=STAGE_2, masks="masks.tar").lengthened(0.5)
    assert [phase.steps for phase in half.phases] == [2, 2]
    assert (half.losses.gan_start, half.losses.gan_ramp) == (1, 2)
    assert half.pixels == recipe.pixels / 2


def test_only_what_the_recipe_names_learns(recipe: Recipe, tmp_path: Path) -> None:
    train(recipe, options(tmp_path / "first"))
    init = str(tmp_path / "first" / "checkpoint")
    train(replace(recipe, init=init, train=("synthesis",)), options(tmp_path / "second"))
    first, second = weights(tmp_path / "first"), weights(tmp_path / "second")
    keys = [k.removeprefix("ema.") for k in first if k.startswith("ema.")]
    moved = {k for k in keys if not torch.equal(first[f"ema.{k}"], second[f"model.{k}"])}
    assert "synthesis.head.weight" in moved and all(k.startswith("synthesis.") for k in moved)
    with pytest.raises(ValueError, match="train = 'decoder'"):
        train(replace(recipe, train=("decoder",)), options(tmp_path / "third"))


def test_learning_rate_warms_up_and_falls(recipe: Recipe) -> None:
    assert phase_at(recipe, 0)[1] == pytest.approx(0.5e-3)
    assert phase_at(recipe, 2)[1] == pytest.approx((1e-3 + 1e-4) / 2)
    phase, rate = phase_at(recipe, 4)
    assert phase.crop == 128 and rate == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("crop = 64", "crop = 65"), "multiple of 64"),
        (("batch = 4", "batch = 0"), "at least 1"),
        (("seed", "seed"), None),
        (("warmup = 2", "warmth = 2"), "unknown key 'warmth'"),
        (('"$TEST_PICTURES"', '"$NOT_SET_ANYWHERE"'), "needs that environment variable"),
        (("steps = 4\ncrop = 64", "crop = 64"), "steps"),
        (("warmup = 2", "losses = { sharpness = 1.0 }"), "sharpness"),
        (("warmup = 2", "losses = { gan = -1.0 }"), "gan = -1.0 must not be negative"),
        (("warmup = 2", "losses = { text = 1.0 }"), "losses.text needs masks"),
    ],
)
def test_recipe_errors_say_what_is_wrong(
    recipe: Recipe, tmp_path: Path, change: tuple[str, str], message: str | None
) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.replace(*change))
    if message is None:
        assert read_recipe(path) == recipe
        return
    with pytest.raises(ValueError, match=message):
        read_recipe(path)


def test_crops_are_parts_of_the_pictures(tmp_path: Path) -> None:
    """Every crop of a picture of unique pixels is found in it, up to mirroring and transposing."""
    rows, columns = torch.meshgrid(torch.arange(100), torch.arange(150), indexing="ij")
    picture = torch.stack([rows, columns, rows * 0], 2).to(torch.uint8)
    Image.fromarray(picture.numpy()).save(tmp_path / "a.png")
    tiles = load_tiles([tmp_path])
    assert tiles.sizes.tolist() == [[100, 150]]
    crops = tiles.crops(50, 64, torch.Generator().manual_seed(0))
    assert crops.shape == (50, 3, 64, 64)
    tops, turned = set(), 0
    for crop in (crops * 255).round().int():
        if (crop[0, :, :1] != crop[0]).any():
            crop = crop.transpose(1, 2)
            turned += 1
        row, column = crop[0, :, 0], crop[1, 0]
        assert (crop[0] == row[:, None]).all() and (crop[1] == column).all()
        assert (row.diff().abs() == 1).all() and (column.diff().abs() == 1).all()
        assert row.max() < 100 and column.max() < 150
        tops.add(int(row.min()))
    assert 10 < turned < 40 and len(tops) > 15


def test_text_masks_follow_their_crops(tmp_path: Path) -> None:
    """Where the text is, the picture is white, whatever is turned and mirrored."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.new("RGB", (600, 90)).save(folder / "empty-0.png")
    picture = np.zeros((120, 700, 3), np.uint8)
    picture[40:60, 500:560] = 255  # in both tiles of 512
    Image.fromarray(picture).save(folder / "text-0.png")
    path = tmp_path / "masks.tar"
    assert write_masks([folder], path, lambda p: (p[:, :, 0] > 0).astype(np.float32)) == 1
    tiles = load_tiles([folder], masks=path)
    crops, masks = tiles.masked_crops(200, 64, torch.Generator().manual_seed(0))
    assert masks.shape == (200, 1, 64, 64)
    assert torch.equal(crops[:, :1] > 0.5, masks > 0.5)
    assert 10 < (masks.amax((1, 2, 3)) > 0.5).sum() < 150


def test_small_pictures_are_continued_by_reflection(tmp_path: Path) -> None:
    Image.fromarray(photo(70, 66)).save(tmp_path / "a.png")
    tiles = load_tiles([tmp_path])
    crop = tiles.crops(1, 128, torch.Generator().manual_seed(1))[0]
    assert crop.shape == (3, 128, 128)
    assert crop.std() > 0.05 and crop.min() > 0  # no black filling


def test_tars_and_manifests(tmp_path: Path) -> None:
    for name in ("a-0.png", "b-0.png", "c-0.png"):
        Image.fromarray(photo(64, 64)).save(tmp_path / name)
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name in ("a-0.png", "b-0.png", "c-0.png"):
            archive.add(tmp_path / name, name)
            (tmp_path / name).unlink()
    (tmp_path / "manifest.csv").write_text("file,category\na-0.png,text\n")
    tiles = load_tiles([tmp_path])
    assert len(tiles) == 3
    share = tiles.weights / tiles.weights.sum()
    assert sorted(share.tolist()) == pytest.approx([0.12 / 0.97, 0.425 / 0.97, 0.425 / 0.97])


def test_held_out_pictures_are_never_trained_on(pictures: Path) -> None:
    trained, held = load_tiles([pictures]), load_tiles([pictures], validation=True)
    assert len(held) >= 1 and len(trained) + len(held) == 40


def test_missing_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_tiles([tmp_path / "nowhere"])
    with pytest.raises(ValueError, match="no pictures"):
        load_tiles([tmp_path])


def test_principal_components_are_orthonormal_and_ordered(pictures: Path) -> None:
    rows, energies = principal_components(load_tiles([pictures]), 20)
    torch.testing.assert_close(rows @ rows.t(), torch.eye(20), atol=1e-4, rtol=0)
    assert (energies.diff() <= 0).all() and energies[0] > 10 * energies[10]


def test_checkpoints_are_small_files_and_survive_a_torn_write(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    big = {f"t{i}": torch.randn(1 << 20) for i in range(9)}
    save_checkpoint(folder, big, {"step": 1})
    assert max(p.stat().st_size for p in folder.iterdir()) < 16 << 20
    tensors, values = load_checkpoint(folder)
    assert values == {"step": 1} and all(torch.equal(tensors[k], big[k]) for k in big)
    folder.rename(tmp_path / "checkpoint.old")  # as after a kill between two renames
    assert load_checkpoint(folder)[1] == {"step": 1}
