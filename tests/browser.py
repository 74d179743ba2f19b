"""A page in headless Chromium, driven over the DevTools protocol as a person would use it."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import websocket
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE = 300  # seconds; on a busy machine a browser is slow


def executable() -> str | None:
    return next((found for found in map(shutil.which, NAMES) if found), None)


class Driven:
    """A browser's process, and a socket that takes its commands; use as a context."""

    process: subprocess.Popen[bytes]
    socket: websocket.WebSocket
    calls = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()
        self.stop()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self.calls += 1
        self.socket.send(json.dumps({"id": self.calls, "method": method, "params": params}))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.calls:
                assert "error" not in answer, answer
                return answer["result"]


class Browser(Driven):
    """One tab of `width` x `height` pixels, with more `options` for Chromium; use as a context."""

    def __init__(
        self, profile: Path, width: int = 1200, height: int = 900, options: Sequence[str] = ()
    ) -> None:
        program = executable()
        assert program is not None
        self.process = subprocess.Popen(
            [
                *(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *("--remote-debugging-port=0", f"--user-data-dir={profile}"),
                *(f"--window-size={width},{height}", *options, "about:blank"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        port = eventually(lambda: (profile / "DevToolsActivePort").read_text().split()[0])

        def tab() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as pages:
                return next(p for p in json.load(pages) if p["type"] == "page")[
                    "webSocketDebuggerUrl"
                ]

        self.socket = websocket.create_connection(
            eventually(tab), timeout=PATIENCE, suppress_origin=True
        )
        self.call("Page.enable")

    def open(self, file: Path) -> None:
        self.visit(file.resolve().as_uri())

    def visit(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        eventually(lambda: self.run("document.readyState") == "complete" or 1 / 0)

    def run(self, script: str) -> Any:
        """The value of an expression in the page; a promise's when it is there."""
        done = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def mouse(self, event: str, x: float, y: float) -> None:
        """`event`: Pressed, Moved (with the button down) or Released."""
        self.call(
            "Input.dispatchMouseEvent",
            **{"type": f"mouse{event}", "x": x, "y": y},
            **{"button": "left", "buttons": 0 if event == "Released" else 1, "clickCount": 1},
        )

    def key(self, name: str) -> None:
        code = {"End": 35, "Home": 36}[name]
        for event in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=event, key=name, windowsVirtualKeyCode=code)

    def screenshot(self) -> np.ndarray:
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


def eventually(ask: Any) -> Any:
    """What `ask` returns once it raises no more errors of those that waiting mends."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return ask()
        except (OSError, LookupError, StopIteration, ZeroDivisionError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
