"""Where decoders are timed: this machine through ONNX Runtime, or whatever a command reaches.

A file's inputs have fixed shapes, so that devices without dynamic shapes run it, too.
"""

from __future__ import annotations

import math
import shlex
import statistics
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

Shapes = Mapping[str, tuple[int, ...]]  # of a network's inputs, by name


class DeviceFailed(RuntimeError):
    """A device gave no time for a file; the message says why."""


class Device(Protocol):
    """Something that runs ONNX files."""

    @property
    def name(self) -> str:
        """What times are told apart by: those of two names are never compared."""

    def time(self, file: Path, shapes: Shapes) -> float:
        """Seconds for one pass. Raises `DeviceFailed`."""


class OnnxRuntime:
    """This machine. A time is the median of `passes` passes after one that is not counted.

    One thread of a processor is timed by its own clock, which stands still while another process
    has the core; all else by the wall's.
    The last two files stay loaded, so that a reference and a candidate can take turns.
    """

    def __init__(
        self, threads: int = 1, provider: str = "CPUExecutionProvider", passes: int = 2
    ) -> None:
        from picocodec.model.runtime import ort

        if provider not in ort.get_available_providers():
            raise ValueError(
                f"ONNX Runtime has no {provider} here; it has "
                f"{', '.join(ort.get_available_providers())}"
            )
        self.name = f"ONNX Runtime {ort.__version__}, {provider}, {threads} thread(s)"
        self.provider, self.passes = provider, passes
        alone = threads == 1 and provider == "CPUExecutionProvider"
        self._clock = time.thread_time if alone else time.perf_counter
        self._options = ort.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._options.inter_op_num_threads = 1
        self._options.log_severity_level = 3
        self._loaded: dict[Path, tuple[Any, dict[str, Any]]] = {}

    def time(self, file: Path, shapes: Shapes) -> float:
        session, feed = self._session(file, shapes)
        times = []
        for _ in range(self.passes + 1):
            start = self._clock()
            session.run(None, feed)
            times.append(self._clock() - start)
        return statistics.median(times[1:])

    def _session(self, file: Path, shapes: Shapes) -> tuple[Any, dict[str, Any]]:
        from picocodec.model.runtime import ort

        known = self._loaded.pop(file, None)
        if known is None:
            try:
                session = ort.InferenceSession(
                    file.read_bytes(), self._options, providers=[self.provider]
                )
            except Exception as error:  # its types have no common base
                raise DeviceFailed(f"{file}: {error}") from error
            rng = np.random.default_rng(0)
            feed = {
                name: rng.random(shape, np.float32).round() if len(shape) > 1 else
                np.full(shape, 0.5, np.float32)
                for name, shape in shapes.items()
            }  # fmt: skip
            known = session, feed
        while len(self._loaded) > 1:
            del self._loaded[next(iter(self._loaded))]
        self._loaded[file] = known
        return known


class Command:
    """A command that prints seconds, such as one that copies the file to a phone and runs it there.

    `{file}` in its words stands for the ONNX file and `{shapes}` for its inputs, as
    `symbols:1x256x32x32,z:1x64x8x8,level:1`. The last word that it prints is the time.
    """

    def __init__(self, command: str, limit: float = 600) -> None:
        if "{file}" not in command:
            raise ValueError(f"the device's command needs {{file}} somewhere: {command}")
        self.words, self.limit = shlex.split(command), limit
        self.name = command

    def time(self, file: Path, shapes: Shapes) -> float:
        told = ",".join(f"{name}:{'x'.join(map(str, shape))}" for name, shape in shapes.items())
        words = [word.replace("{file}", str(file)).replace("{shapes}", told) for word in self.words]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=self.limit)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DeviceFailed(f"{shlex.join(words)}: {error}") from error
        if done.returncode:
            raise DeviceFailed(
                f"{shlex.join(words)} ended with {done.returncode}: {done.stderr.strip()[-500:]}"
            )
        try:
            seconds = float(done.stdout.split()[-1])
        except (IndexError, ValueError):
            seconds = math.nan
        if not 0 < seconds < math.inf:
            raise DeviceFailed(
                f"{shlex.join(words)} should print seconds, and printed {done.stdout[-200:]!r}"
            )
        return seconds
