"""Where networks run: the devices that ONNX Runtime has here."""

from __future__ import annotations

import os
from typing import Any

from picocodec.errors import NetworkFailed
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
