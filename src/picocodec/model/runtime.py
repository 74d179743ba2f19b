"""ONNX Runtime, silent: `from picocodec.model.runtime import ort`.

Since 1.29 its packages tell Microsoft of every process and session, and keep an identifier of the
machine and a queue of such messages in the user's cache folder, unless a variable says otherwise
when it is first imported. Whoever wants that sets the variable to 0.
"""

from __future__ import annotations

import os
import signal
import threading

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Ctrl-C within would become an ImportError: it is heard when all is loaded.
_main = threading.current_thread() is threading.main_thread()
_asked: list[int] = []
_before = signal.getsignal(signal.SIGINT)
if _main and callable(_before):
    signal.signal(signal.SIGINT, lambda number, _: _asked.append(number))
try:
    import onnxruntime as ort  # noqa: E402
finally:
    if _main and callable(_before):
        signal.signal(signal.SIGINT, _before)
if _asked:
    signal.raise_signal(signal.SIGINT)

__all__ = ["ort"]
