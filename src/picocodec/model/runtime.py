"""ONNX Runtime, silent: `from picocodec.model.runtime import ort`.

Since 1.29 its packages tell Microsoft of every process and session, and keep an identifier of the
machine and a queue of such messages in the user's cache folder, unless a variable says otherwise
when it is first imported. Whoever wants that sets the variable to 0.
"""

from __future__ import annotations

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort  # noqa: E402

__all__ = ["ort"]
