"""Stages 3 and 4: rounds within a budget, trainings that go on, and the whole command."""

from __future__ import annotations

import functools
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from searching import FakeDevice, make_recipe, make_space, write_fields
from tiles import make_tiles
from tiny import TINY

from picolab.cli import main
from picolab.data.crops import principal_components
from picolab.networks.shape import read_shape
from picolab.search.funnel import Crew, Tournament, reference_names, standing
from picolab.search.report import agreement, shape_toml
from picolab.search.rounds import (
    LEAST_PIXELS,
    LONGER,
    REFERENCES,
    Round,
    Speed,
    bd,
    jobs,
    plan_rounds,
    rounds_within,
    work,
)
from picolab.search.space import read_space
from picolab.search.store import Point, Result, Store
from picolab.search.training import Job, Trained, train
from picolab.search.workers import Stopped, Worker, WorkerFailed, run_here
from picolab.training.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiles(tmp_path_factory.mktemp("tiles"))


@pytest.fixture
def job(tmp_path: Path, tiles: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    few = functools.partial(principal_components, draws=1)
    monkeypatch.setattr("picolab.training.run.principal_components", few)
    make_space(tmp_path)
    return Job(
        folder=str(tmp_path / "run"),
        recipe=str(make_recipe(tmp_path, tiles)),
        shape=TINY.to_dict(),
        seed=0,
        pixels=3 * 64**2,
        held_out=1,
        float32=True,
        compile=False,
    )


def points(factor: float) -> tuple[Point, ...]:
    """A curve that takes `factor` times the bits of another."""
    return tuple(Point(factor * bpp, 30 + 4 * at) for at, bpp in enumerate((0.1, 0.2, 0.4, 0.8)))


def test_rounds_halve_shapes_and_double_pixels() -> None:
    assert plan_rounds(24, 4, 10) == (
        Round(24, 10), Round(12, 20), Round(6, 40), Round(4, 40 * LONGER)
    )  # fmt: skip
    assert plan_rounds(5, 2, 10, 900) == (Round(5, 10), Round(2, 900))
    assert plan_rounds(3, 1, 10, 5)[-1] == Round(1, 20)  # never less than halving would
    with pytest.raises(ValueError, match="4 finalists of 4 shapes"):
        plan_rounds(4, 4, 10)


def test_work_counts_what_each_round_adds() -> None:
    rounds = (Round(4, 10), Round(2, 30))
    assert work(rounds) == (4 + REFERENCES) * 10 + (2 + REFERENCES) * 20
    assert jobs(rounds) == 6 + 2 * REFERENCES


def test_rounds_fill_the_hours() -> None:
    speed = Speed(pixels=0.7e6, overhead=30, start=20)
    rounds = rounds_within(6 * 3600, 2, speed, 24, 4)
    training = work(rounds) / 0.7e6 + jobs(rounds) * 30 + (24 + REFERENCES) * 20
    assert training / 2 == pytest.approx(speed.seconds(rounds) / 2) == pytest.approx(6 * 3600)
    assert rounds[0].pixels > LEAST_PIXELS  # or the reference would be ahead of the others
    with pytest.raises(ValueError, match="hours are too few to train 24 shapes .* are the least"):
        rounds_within(0.9 * 3600, 1, speed, 24, 4)


def test_bd_rates_are_against_the_mean_of_the_seeds() -> None:
    def result(run: str, factor: float) -> Result:
        return Result(run, 0, 1, 1, points(factor))

    results = {"reference-0": result("reference-0", 0.9), "reference-1": result("reference-1", 1.1)}
    results |= {"5": result("5", 1.2), "7": result("7", 0.8), "9": result("9", 100)}
    ranked = standing(results, [5, 7, 9, 11])
    assert [name for name, _ in ranked] == ["7", "5", "9"]
    assert ranked[0][1] == pytest.approx(-20) and ranked[1][1] == pytest.approx(20)
    flat = Result("5", 0, 1, 1, tuple(Point(bpp, 30) for bpp in (0.1, 0.2, 0.4, 0.8)))
    assert bd([results["reference-0"]], [flat]) == float("inf")


def test_a_job_goes_on_where_an_earlier_round_ended(job: Job) -> None:
    whole = replace(job, folder=job.folder + "-whole", pixels=6 * 64**2)
    assert train(whole) is not None
    for pixels in (3 * 64**2, 6 * 64**2):
        done = train(replace(job, pixels=pixels))
        assert done is not None
        assert done.pixels == 2 * 64**2  # without the first step
        assert 0 < done.training_seconds + done.start_seconds < done.seconds
        assert len(done.points) >= 4 and all(
            0 < p.bpp < 24 and 5 < p.psnr < 60 for p in done.points
        )
        assert not (Path(job.folder) / "entropy").exists()
    ours, theirs = (load_checkpoint(Path(j.folder) / "trunk/checkpoint") for j in (job, whole))
    assert all((ours[0][key] == value).all() for key, value in theirs[0].items())
    assert ours[1]["progress"]["step"] == theirs[1]["progress"]["step"] == 6
    again = train(replace(job, pixels=6 * 64**2))  # nothing is left to do but to measure
    assert again is not None and again.pixels == 0 and again.points == done.points


def test_seeds_and_shapes_differ(job: Job) -> None:
    found = [
        train(replace(job, folder=f"{job.folder}{at}", seed=seed, shape=shape.to_dict()))
        for at, (seed, shape) in enumerate(
            [(0, TINY), (1, TINY), (0, replace(TINY, decoder_channels_8=32))]
        )
    ]
    assert len({done.points for done in found if done is not None}) == 3


class FakeCrew(Crew):
    """Trains nothing: a shape's bits follow from its number, more exactly after more pixels."""

    def __init__(self, stop_after: int = 10**9) -> None:
        self.wanted: list[tuple[str, float]] = []
        self.stop_after = stop_after

    def run(self, wanted: Mapping[str, Job]) -> Iterator[tuple[str, Trained]]:
        for name, job in wanted.items():
            if len(self.wanted) >= self.stop_after:
                raise Stopped
            self.wanted.append((name, job.pixels))
            Path(job.folder).mkdir(parents=True, exist_ok=True)
            off = {"reference-0": 1.0, "reference-1": 1.01}.get(name) or 0.9 + int(name) / 100
            yield name, Trained(points(off), 60.0, job.pixels, 10.0, 0.5, 12.5)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "search.sqlite") as store:
        yield store


def test_the_better_half_goes_on_also_after_a_stop(job: Job, store: Store, tmp_path: Path) -> None:
    side = read_space(make_space(tmp_path)).side("decoder")
    shapes, rounds = [20, 3, 11, 7], plan_rounds(4, 1, 100)
    first = FakeCrew(stop_after=9)
    with pytest.raises(Stopped):
        Tournament(side, store, first, job, tmp_path / "t").play(rounds, shapes)
    second = FakeCrew()
    best = Tournament(side, store, second, job, tmp_path / "t").play(rounds, shapes)
    assert best == [3]
    seeds = reference_names()
    expected = [(name, 100.0) for name in (*seeds, "20", "3", "11", "7")]
    expected += [(name, 200.0) for name in (*seeds, "3", "7")]
    expected += [(name, 800.0) for name in (*seeds, "3")]
    assert first.wanted + second.wanted == expected
    assert sorted(p.name for p in (tmp_path / "t").iterdir()) == ["3", *seeds]
    assert agreement(store, plan_rounds(4, 1, 100), shapes)[0] != 1  # two shapes tell nothing
    third = FakeCrew()
    Tournament(side, store, third, job, tmp_path / "t").play(rounds, shapes)
    assert third.wanted == []


def test_the_speed_is_measured_once_on_the_reference(
    job: Job, store: Store, tmp_path: Path
) -> None:
    side = read_space(make_space(tmp_path)).side("decoder")
    crew = FakeCrew()
    tournament = Tournament(side, store, crew, job, tmp_path / "t")
    rounds = tournament.plan(4, 2, 3600, 0, 0)
    assert tournament.speed() == Speed(LEAST_PIXELS / 10, 2.0, 0.5)
    assert [name for name, _ in crew.wanted] == ["reference-0"]
    assert tournament.speed().seconds(rounds) == pytest.approx(3600)
    assert tournament.plan(8, 2, 10, 5, 0) == rounds  # fixed from then on


def test_workers_train_stop_at_checkpoints_and_tell_errors(job: Job) -> None:
    recipe, checkpoint = Path(job.recipe), Path(job.folder) / "trunk/checkpoint"
    recipe.write_text("save_minutes = 1e-9\n" + recipe.read_text())  # one is soon there
    worker = Worker(replace(job, pixels=1e12))
    deadline = time.monotonic() + 300
    while not checkpoint.is_dir():
        assert time.monotonic() < deadline and worker.trained() is None
        time.sleep(0.1)
    worker.process.send_signal(signal.SIGTERM)
    worker.process.wait()
    with pytest.raises(Stopped):
        worker.trained()
    step = load_checkpoint(checkpoint)[1]["progress"]["step"]
    ((name, done),) = run_here({"a": replace(job, pixels=(step + 2) * 64**2)}, 1)
    assert name == "a" and done.pixels == 64**2  # without the first step
    with pytest.raises(WorkerFailed, match="training ended with 1: (.|\n)*No such file"):
        list(run_here({"a": replace(job, recipe="absent.toml")}, 1))


def test_the_whole_command_and_its_resumption(
    tmp_path: Path, tiles: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("picolab.search.timing.write_graph", write_fields)
    monkeypatch.setattr("picolab.search.main.open_device", lambda args: FakeDevice())
    crew = FakeCrew(stop_after=5)
    monkeypatch.setattr("picolab.search.main.open_crew", lambda args: crew)
    space = make_space(tmp_path)
    recipe, output = make_recipe(tmp_path, tiles), tmp_path / "out"
    command = ["search", str(space), "-o", str(output), "--tile", "64", "--timed", "20"]
    command += ["--tolerance", "0.6", "--recipe", str(recipe), "--hours", "2"]
    command += ["--shapes", "6", "--finalists", "2"]
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert main([*command, "--until", "cost"]) == 0
        assert "Configurations: 72; in the window of MACs: 72." in capsys.readouterr().out
        assert main([*command, "--until", "time"]) == 0
        assert re.search(r"of MACs with time \| (1.00|0.9)", capsys.readouterr().out)
        assert main(command) == 130
        assert "the same command goes on" in capsys.readouterr().err
        crew = FakeCrew()
        assert main(command) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    out = capsys.readouterr().out
    assert "6 shapes to" in out and "2 seeds of the reference" in out
    report = (output / "report.md").read_text()
    assert "### Finalists" in report and "### Out after round 1" in report
    assert "+1.00 %" in report  # the seeds' spread
    assert re.search(r"\| `tiny-\d+` \| [+-]\d", report)
    assert "<svg" in (output / "pareto.svg").read_text()
    best = read_shape(tmp_path / "tiny-searched.toml")
    assert best.name in report and best.name.startswith("tiny-")
    assert main([*command, "--seed", "1"]) == 1
    assert "holds a search with seed = 0, not 1" in capsys.readouterr().err


def test_a_shape_is_written_as_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "shape.toml"
    shape = replace(TINY, decoder_block="311")
    path.write_text(shape_toml(shape, "A comment."))
    assert read_shape(path) == shape


def test_the_parser_needs_no_torch() -> None:
    code = (
        "import argparse, sys; sys.modules['torch'] = None\n"
        "from picolab.search.command import add_parser\n"
        "parser = argparse.ArgumentParser()\n"
        "add_parser(parser.add_subparsers())\n"
        "parser.parse_args(['search', '--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "--pause-pid" in done.stdout, done.stderr
