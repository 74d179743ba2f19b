"""A rater in headless Chromium, and a study's server to visit."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from browser import Browser

TOKEN = "the-token-of-this-test"
PATIENCE = 300
CODES = {
    "ArrowLeft": 37,
    "ArrowRight": 39,
    "ArrowDown": 40,
    " ": 32,
    "n": 78,
    **{digit: 48 + int(digit) for digit in "23456789"},
}


class RaterPage(Browser):
    """One tab that is driven by mouse, keys or fingers; `ratio` device pixels for one of CSS."""

    def __init__(
        self, profile: Path, width: int, height: int, ratio: float = 1, touch: bool = False
    ) -> None:
        super().__init__(profile, width, height)
        self.touch = touch
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=ratio,
            mobile=touch,
        )
        if touch:
            self.call("Emulation.setTouchEmulationEnabled", enabled=True)

    def visit(self, address: str) -> None:
        self.call("Page.navigate", url=address)
        self.until("document.readyState === 'complete'")

    def until(self, script: str) -> Any:
        """The value of an expression as soon as it is true."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                value = self.run(script)
            except AssertionError:  # between two pages
                value = None
            if value:
                return value
            assert time.monotonic() < end, f"never true: {script}; {self.text()}"
            time.sleep(0.03)

    def text(self) -> str:
        return self.run("document.body.innerText")

    def see(self, words: str) -> None:
        self.until(f"document.body.innerText.includes({words!r})")

    def press(self, key: str, release: bool = True) -> None:
        for event in ("rawKeyDown", "keyUp") if release else ("rawKeyDown",):
            self.call(
                "Input.dispatchKeyEvent", type=event, key=key, windowsVirtualKeyCode=CODES[key]
            )

    def release(self, key: str) -> None:
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=CODES[key])

    def click(self, selector: str) -> None:
        """By the mouse, or by a finger."""
        x, y = self.middle(selector)
        if self.touch:
            self.finger(x, y)
            self.lift()
        else:
            self.mouse("Pressed", x, y)
            self.mouse("Released", x, y)

    def finger(self, x: float, y: float) -> None:
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])

    def lift(self) -> None:
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def middle(self, selector: str) -> tuple[float, float]:
        self.until(f"document.querySelector({selector!r}) !== null")
        self.run(f"document.querySelector({selector!r}).scrollIntoView({{block: 'nearest'}})")
        box = self.run(
            f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])"
            f"(document.querySelector({selector!r}).getBoundingClientRect())"
        )
        return box[0], box[1]

    def ready(self, other_than: str = "") -> str:
        """The key of the task that is shown, once it takes answers."""
        key = self.until(
            f"(key => key && key !== {other_than!r} && key)"
            "(document.querySelector('#page > main')?.dataset.ready)"
        )
        time.sleep(0.32)  # the page takes no answer before
        return key

    def consent(self, address: str) -> None:
        self.visit(address)
        self.click("#consent")
        self.click("#begin")
        self.see("Your screen")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(database: Path, port: int, *options: str) -> subprocess.Popen[bytes]:
    """`picolab study serve` as a process, ready to answer."""
    source = Path(__file__).parents[3] / "src"
    environment = os.environ | {
        "PICOLAB_STUDY_TOKEN": TOKEN,
        "PYTHONPATH": os.pathsep.join([str(source), os.environ.get("PYTHONPATH", "")]),
    }
    command = [
        sys.executable,
        "-m",
        "picolab",
        "study",
        "serve",
        str(database),
        "--port",
        str(port),
    ]
    command += ["--sessions-per-minute", "1000", "--requests-per-second", "1000", *options]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    end = time.monotonic() + PATIENCE
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api/study", timeout=5).close()
            return process
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                error = process.stderr.read() if process.stderr else b""
                raise AssertionError(f"the server did not start: {error.decode()}") from None
            time.sleep(0.05)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(timeout=PATIENCE)
    if process.stderr is not None:
        process.stderr.close()


@contextmanager
def served(database: Path, *options: str) -> Iterator[str]:
    """The address of a server that runs as long as the block."""
    port = free_port()
    process = start(database, port, *options)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(process)
