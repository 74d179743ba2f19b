"""Stage 2: devices, turns with a reference, a predictor of time, pauses of other processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from searching import FakeDevice, make_space, write_fields
from tiny import TINY

from picolab.search.devices import Command, DeviceFailed, OnnxRuntime
from picolab.search.funnel import Priced, Target, choose, predicted, price, time_and_predict
from picolab.search.graphs import write_graph
from picolab.search.layers import TIMED
from picolab.search.pausing import Pause
from picolab.search.predictor import assess, features, fit, rank_correlation
from picolab.search.space import Side, Space, read_space
from picolab.search.store import Store
from picolab.search.timing import ROUNDS, Timer, relative_times, time_all

TILE = 128


@pytest.fixture
def space(tmp_path: Path) -> Space:
    return read_space(make_space(tmp_path))


@pytest.fixture
def side(space: Space) -> Side:
    return space.side("decoder")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "search.sqlite") as store:
        yield store


@pytest.fixture
def timer(side: Side, monkeypatch: pytest.MonkeyPatch) -> Iterator[Timer]:
    monkeypatch.setattr("picolab.search.timing.write_graph", write_fields)
    with Timer(side, TILE, FakeDevice(), Pause([])) as timer:
        yield timer


@pytest.mark.parametrize("name", ["decoder", "encoder"])
def test_onnx_runtime_runs_the_graphs_of_both_sides(tmp_path: Path, name: str) -> None:
    file = tmp_path / "graph.onnx"
    shapes = write_graph(TINY, name, TILE, file)
    device = OnnxRuntime()
    assert 0 < device.time(file, shapes) < 5
    session, _ = device._loaded[file]
    assert {given.name: tuple(given.shape) for given in session.get_inputs()} == shapes
    expected = [1, 3, TILE, TILE] if name == "decoder" else [1, TINY.y_channels, 8, 8]
    assert session.run(None, device._loaded[file][1])[0].shape == tuple(expected)
    file.write_bytes(b"nothing")
    device._loaded.clear()
    with pytest.raises(DeviceFailed, match="graph.onnx"):
        device.time(file, shapes)


def test_two_sessions_stay_loaded_and_no_more(tmp_path: Path) -> None:
    device, files = OnnxRuntime(), [tmp_path / f"{n}.onnx" for n in range(3)]
    shapes = write_graph(TINY, "decoder", 64, files[0])
    for file in files[1:]:
        shutil.copy(files[0], file)
    for file in (files[0], files[1], files[0], files[2]):
        device.time(file, shapes)
    assert list(device._loaded) == [files[0], files[2]]


def test_a_provider_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="has no TeapotExecutionProvider here; it has .*CPU"):
        OnnxRuntime(provider="TeapotExecutionProvider")


def test_a_command_is_a_device(tmp_path: Path) -> None:
    script = tmp_path / "phone.py"
    script.write_text("import sys; print('warm', sys.argv[1:]); print(len(sys.argv[2]) / 100)")
    device = Command(f"{sys.executable} {script} {{file}} {{shapes}}")
    shapes = {"symbols": (1, 32, 8, 8), "level": (1,)}
    assert device.time(tmp_path / "a b.onnx", shapes) == len("symbols:1x32x8x8,level:1") / 100
    with pytest.raises(ValueError, match="needs {file} somewhere"):
        Command("time-it")
    for text, message in (
        ("print('fast')", "should print seconds, and printed 'fast"),
        ("print(-1)", "should print seconds"),
        ("pass", "should print seconds"),
        ("sys.exit('no phone')", "ended with 1: no phone"),
    ):
        script.write_text(f"import sys; {text}")
        with pytest.raises(DeviceFailed, match=message):
            device.time(tmp_path / "a.onnx", shapes)
    with pytest.raises(DeviceFailed, match="absent"):
        Command("/absent/command {file}").time(tmp_path / "a.onnx", shapes)
    with pytest.raises(DeviceFailed, match="timed out"):
        Command(f"{sys.executable} -c 'import time; time.sleep(9)' {{file}}", 0.1).time(
            tmp_path / "a.onnx", shapes
        )


def test_turns_with_the_reference_take_drift_out(timer: Timer, store: Store) -> None:
    device = timer.device
    assert isinstance(device, FakeDevice)
    first = relative_times([timer.time(11)]).times[0]
    assert device.calls == 2 * ROUNDS
    device.calls = 1000  # 1.5 times as slow
    again = timer.time(11)
    assert relative_times([again]).times[0] == pytest.approx(first)
    assert again.reference is not None and again.reference > 0


def test_timing_goes_on_and_keeps_failures(
    side: Side, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr("picolab.search.timing.write_graph", write_fields)
    device = FakeDevice(broken=64)
    with Timer(side, TILE, device, Pause([])) as timer:
        time_all(timer, store, [60, 30])
        calls = device.calls
        time_all(timer, store, [60, 30, 10])
        assert device.calls == calls + 2 * ROUNDS
        assert "timed 100%" in capsys.readouterr().err
        times = store.times()
        assert times[60].seconds is None and times[60].error == "out of memory"
        assert len(relative_times(times.values()).numbers) == 2
        with pytest.raises(DeviceFailed, match="10 configurations failed one after the other"):
            time_all(timer, store, list(range(54, 72)))
        assert not list(Path(timer._folder.name).glob("[0-9]*.onnx"))


def test_a_predictor_learns_what_layers_cost(side: Side) -> None:
    """Times made of hidden prices: those of most features are found, and so are all times."""
    rng = np.random.default_rng(1)
    numbers = rng.permutation(side.count)
    inputs = features(side.columns(numbers), side.name, side.count)
    prices = rng.random(inputs.shape[1]) / inputs.mean(0).clip(1e-12)
    noisy = inputs @ prices * rng.normal(1, 0.01, side.count)
    accuracy = assess(side.name, inputs, noisy, rng.random(side.count))
    assert accuracy.count == side.count - side.count // 2
    assert accuracy.median_error < 0.015 and accuracy.rank > 0.98
    assert abs(accuracy.rank_of_macs) < 0.5
    found = fit(side.name, inputs, noisy)
    assert (found.weights >= 0).all()
    np.testing.assert_allclose(found(side.columns(numbers), side.count), noisy, rtol=0.05)
    with pytest.raises(ValueError, match="time at least 8"):
        assess(side.name, inputs[:7], noisy[:7], noisy[:7])


def test_features_see_only_what_is_timed(side: Side) -> None:
    fields = side.columns(np.arange(4))
    assert "scale_decoder" not in TIMED["decoder"] and "encoder" not in TIMED["decoder"]
    other = fields | {"scale_channels": 99, "encoder_channels_8": 99}
    np.testing.assert_array_equal(features(fields, "decoder", 4), features(other, "decoder", 4))
    assert (features(fields, "encoder", 4) != features(other, "encoder", 4)).any()


def test_rank_correlations() -> None:
    assert rank_correlation([1, 2, 3], [10, 20, 40]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert np.isnan(rank_correlation([1, 1, 1], [1, 2, 3])) and np.isnan(rank_correlation([], []))


def test_stage_2_times_predicts_and_chooses(
    space: Space, side: Side, timer: Timer, store: Store
) -> None:
    priced = price(space, side, seed=3)
    assert sorted(priced.drawn.tolist()) == list(range(72))
    target = Target(2.0, 0.2)
    timings = time_and_predict(timer, store, priced, 24, target)
    assert list(timings.times) == priced.drawn[:24].tolist()
    assert timings.accuracy.rank > 0.97 and timings.accuracy.median_error < 0.05
    chosen = choose(timer, store, timings, 6, target)
    assert len(chosen) == 6 and all(1.6 <= share <= 2.4 for share in chosen.values())
    for number, share in chosen.items():
        assert relative_times([timer.time(number)]).times[0] == pytest.approx(share)
    calls = timer.device.calls  # type: ignore[attr-defined]
    again = predicted(side, store, priced, target)
    assert choose(timer, store, again, 6, target).keys() >= set(list(chosen)[:3])
    assert timer.device.calls == calls  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="only .* of 60 shapes take 2"):
        choose(timer, store, timings, 60, target)


def test_other_seeds_draw_others_and_an_empty_window_says_so(tmp_path: Path, space: Space) -> None:
    side = space.side("decoder")
    ours, theirs = (price(space, side, seed) for seed in (0, 1))
    assert isinstance(ours, Priced) and ours.drawn.tolist() != theirs.drawn.tolist()
    narrow = read_space(make_space(tmp_path, "window = { decoding = [500, 600] }\n"))
    with pytest.raises(ValueError, match="none of 72 configurations is in the window"):
        price(narrow, narrow.side("decoder"), 0)


@pytest.fixture
def other() -> Iterator[subprocess.Popen]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def comes_to(process: subprocess.Popen, state: str) -> bool:
    """Whether it gets into a state, as Linux names them: `T` held still, `S` asleep."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        text = Path(f"/proc/{process.pid}/stat").read_text()
        if text.rsplit(")", 1)[1].split()[0] == state:
            return True
        time.sleep(0.02)
    return False


linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")


@linux
def test_processes_pause_and_go_on_also_after_errors(other: subprocess.Popen) -> None:
    with pytest.raises(RuntimeError), Pause([other.pid]) as pause:
        with pause.paused():
            assert comes_to(other, "T")
        assert comes_to(other, "S")
        with pause.paused():
            raise RuntimeError
    assert comes_to(other, "S")


@linux
def test_processes_go_on_when_the_search_is_killed(other: subprocess.Popen) -> None:
    code = """
        import sys, time
        from picolab.search.pausing import Pause
        with Pause([int(sys.argv[1])]) as pause, pause.paused():
            print("paused", flush=True)
            time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(other.pid)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as search:
        assert search.stdout is not None and search.stdout.readline() == b"paused\n"
        assert comes_to(other, "T")
        search.send_signal(signal.SIGKILL)
        search.wait()
        assert comes_to(other, "S")


def test_only_processes_that_are_there_can_be_paused(other: subprocess.Popen) -> None:
    other.kill()
    other.wait()
    with pytest.raises(ValueError, match=f"--pause-pid {other.pid}: No such process"):
        Pause([other.pid])
    for pid in (0, 1, os.getpid()):
        with pytest.raises(ValueError, match="not a process that can be paused"):
            Pause([pid])
