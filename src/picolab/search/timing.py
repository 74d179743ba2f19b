"""Stage 2: configurations timed on a device, and the time of all others by what these teach."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from picolab.networks.shape import Shape
from picolab.search.cost import chunks, cost_of
from picolab.search.devices import Device, DeviceFailed, Shapes
from picolab.search.graphs import write_graph
from picolab.search.pausing import Pause
from picolab.search.predictor import Accuracy, Predictor, assess, features, fit
from picolab.search.progress import Progress
from picolab.search.space import Side
from picolab.search.store import Store, Timed

ROUNDS = 4  # in which the reference and a configuration take turns
TOO_MANY_FAILURES = 10  # one after the other: the device is not there


@dataclass(frozen=True)
class Written:
    file: Path
    inputs: Shapes


class Timer:
    """Times configurations of a side beside its base, the reference; a context.

    A device's speed drifts, so that only the ratio of a configuration's time to the reference's
    beside it means something.
    """

    def __init__(self, side: Side, tile: int, device: Device, pause: Pause) -> None:
        self.side, self.tile, self.device, self.pause = side, tile, device, pause
        self._folder = tempfile.TemporaryDirectory(prefix="picolab-search-")
        self._reference: Written | None = None

    def __enter__(self) -> Timer:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def time(self, number: int) -> Timed:
        """One configuration; where the device fails on it, the error is kept in its place. Raises
        `DeviceFailed` where it fails on the reference."""
        if self._reference is None:
            self._reference = self._write(self.side.base, "reference.onnx")
        own = self._write(self.side.shape(number), f"{number}.onnx")
        theirs, ours = [], []
        try:
            with self.pause.paused():
                for _ in range(ROUNDS):
                    theirs.append(self.device.time(self._reference.file, self._reference.inputs))
                    try:
                        ours.append(self.device.time(own.file, own.inputs))
                    except DeviceFailed as error:
                        return Timed(number, None, None, str(error))
        finally:
            own.file.unlink()
        return Timed(number, statistics.median(ours), statistics.median(theirs))

    def _write(self, shape: Shape, name: str) -> Written:
        file = Path(self._folder.name) / name
        return Written(file, write_graph(shape, self.side.name, self.tile, file))


def time_all(timer: Timer, store: Store, numbers: Sequence[int]) -> None:
    """Time those of `numbers` that have not been timed yet. Raises `DeviceFailed` where the device
    fails on one after the other."""
    known = store.times()
    missing = [number for number in numbers if number not in known]
    failures = 0
    progress = Progress("timed", len(numbers), done=len(numbers) - len(missing))
    for number in missing:
        timed = timer.time(number)
        failures = failures + 1 if timed.seconds is None else 0
        if failures >= TOO_MANY_FAILURES:
            raise DeviceFailed(
                f"{failures} configurations failed one after the other: {timed.error}"
            )
        store.add_time(timed)
        progress.advance()


@dataclass(frozen=True)
class Relative:
    """Timed configurations `numbers` `[N]`, and their times as shares of the reference's."""

    numbers: NDArray[np.int64]
    times: NDArray[np.float64]


def relative_times(times: Iterable[Timed]) -> Relative:
    """Those that the device did not fail on."""
    good = [(t.number, t.seconds / t.reference) for t in times if t.seconds and t.reference]
    return Relative(np.array([n for n, _ in good], np.int64), np.array([t for _, t in good]))


def learn(side: Side, timed: Relative) -> tuple[Predictor, Accuracy]:
    """A predictor of relative times from all that is timed, and how well one that was fitted to
    half of it does on the other half."""
    fields = side.columns(timed.numbers)
    size = len(timed.numbers)
    inputs = features(fields, side.name, size)
    cost = cost_of(fields, size)
    macs = cost.decoding if side.name == "decoder" else cost.encoding
    return fit(side.name, inputs, timed.times), assess(side.name, inputs, timed.times, macs)


def predict(predictor: Predictor, side: Side, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """The relative times of these configurations."""
    parts = [numbers[places] for places in chunks(len(numbers))]
    return np.concatenate([predictor(side.columns(part), len(part)) for part in parts])
