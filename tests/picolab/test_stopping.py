"""SIGTERM ends what takes long: a run at a checkpoint, a dry run after a step, an ablation where
the same command goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from search.searching import make_recipe, make_space
from tiles import make_tiles

from picolab.training.lineage import read_lineage
from picolab.training.run import Options, Run

PATIENCE = 300  # seconds, on a busy machine


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    make_space(tmp_path)
    return make_recipe(tmp_path, make_tiles(tmp_path / "tiles"))


def picolab(*words: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "picolab", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str], once: Path) -> tuple[int, str]:
    """Exit code and words of a process that is told to end as soon as a file is there."""
    end = time.monotonic() + PATIENCE
    while not once.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    told, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, told


def test_a_run_ends_at_a_checkpoint(recipe: Path, tmp_path: Path) -> None:
    without_end = recipe.read_text().replace("pixels = 8192\n", "")
    recipe.write_text("save_minutes = 1e-9\n" + without_end)  # so that a checkpoint is soon there
    running = picolab("train", recipe, "-o", tmp_path / "run", "--no-lpips", "--no-compile")
    code, told = ended(running, tmp_path / "run" / "entropy" / "checkpoint")
    assert code == 0 and "entropy: " in told, told


def test_an_ablation_ends_and_says_how_to_go_on(recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "ablation"
    options = ["--pixels", "1e12", "-o", out, "--held-out", "1", "--no-compile"]
    code, told = ended(
        picolab("variants", recipe, *options), out / "full-0" / "entropy" / "checkpoint"
    )
    assert code == 130 and "the same command goes on from here" in told, told


def test_a_dry_run_ends_after_the_step_that_it_is_at(recipe: Path, tmp_path: Path) -> None:
    lineage = read_lineage(recipe)
    options = Options(tmp_path / "dry", torch.device("cpu"), compile=False, dry_run=True)
    run = Run(lineage, lineage.stages[0], options)
    run.asked_to_stop.append(signal.SIGTERM)
    run.go()
    assert run.progress.step == 1 and not (tmp_path / "dry").exists()
