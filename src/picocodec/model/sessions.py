"""A model's networks, run by ONNX Runtime: on which device, and each loaded when it is needed."""

from __future__ import annotations

import os
from contextlib import suppress
from threading import Lock, Thread
from typing import Any

from numpy.typing import NDArray

from picocodec.errors import NetworkFailed, PicoError
from picocodec.model.files import ModelFiles, refused
from picocodec.model.runtime import ort

DEVICE_VARIABLE = "PICOCODEC_DEVICE"  # where networks run; the scale decoder stays on the CPU
PROVIDERS: dict[str, list[Any]] = {
    "cpu": ["CPUExecutionProvider"],
    # Trying all convolutions for each size of tile, the default, takes longer than a picture.
    "cuda": [
        ("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC"}),
        "CPUExecutionProvider",
    ],
}


def chosen_device() -> str:
    """`cpu` or `cuda`, as the environment says; raises `NetworkFailed` for one that is not here."""
    device = os.environ.get(DEVICE_VARIABLE) or "cpu"
    if device not in PROVIDERS:
        raise NetworkFailed(f"{DEVICE_VARIABLE} must be {' or '.join(PROVIDERS)}, not {device!r}")
    if device == "cuda" and "CUDAExecutionProvider" not in ort.get_available_providers():
        raise NetworkFailed(
            f"{DEVICE_VARIABLE} is cuda, and this ONNX Runtime has none of it: install "
            "onnxruntime-gpu in place of onnxruntime"
        )
    return device


class Sessions:
    """The networks among a model's files, `NAME.onnx`, with `threads` for each, 0 for all cores.
    The scale decoder, which decides what bytes mean, always runs on the CPU.

    Several threads may use one.
    """

    def __init__(self, files: ModelFiles, threads: int) -> None:
        self._files, self._threads = files, threads
        self._loaded: dict[str, ort.InferenceSession] = {}
        self._locks = {name: Lock() for name in files.hashes}

    def prepare(self, *names: str) -> None:
        """Begin to load networks, each in a thread of its own, beside what comes before them."""
        for name in names:
            Thread(target=self._load_quietly, args=(name,)).start()

    def run(self, name: str, feed: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The outputs of a network; raises `NetworkFailed`, and `UnknownModel` for its file."""
        session = self.of(name)
        try:
            return session.run(None, feed)
        except Exception as error:  # its types have no common base
            raise NetworkFailed(f"{self._files.folder}/{name}.onnx failed: {error}") from error

    def of(self, name: str) -> ort.InferenceSession:
        """The session of a network."""
        with self._locks[f"{name}.onnx"]:
            if name not in self._loaded:
                self._loaded[name] = self._load(f"{name}.onnx")
            return self._loaded[name]

    def _load_quietly(self, name: str) -> None:
        with suppress(PicoError, MemoryError):  # whoever uses it will hear of that
            self.of(name)

    def _load(self, name: str) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that wait by spinning would take the core that entropy coding runs on.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        device = "cpu" if name == "scale_decoder.onnx" else chosen_device()
        with refused(self._files.folder / name):
            data = self._files.read(name)
            session = ort.InferenceSession(data, options, providers=PROVIDERS[device])
        # ONNX Runtime goes on without a device that does not start.
        if device == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
            raise NetworkFailed(f"{DEVICE_VARIABLE} is cuda, and ONNX Runtime cannot start it")
        return session
