"""A page in headless Firefox, driven over WebDriver BiDi."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import websocket
from browser import Driven, eventually

NAMES = ("firefox", "firefox-esr")
PATIENCE = 300  # seconds: it starts even more slowly than Chromium
# No process for pages that nobody opens.
SETTINGS = """
user_pref("dom.ipc.processPrelaunch.enabled", false);
user_pref("dom.ipc.processCount", 1);
"""


def executable() -> str | None:
    return next((found for found in map(shutil.which, NAMES) if found), None)


class Firefox(Driven):
    """One tab, with the part of `browser.Browser` that pages without a mouse need."""

    def __init__(self, profile: Path) -> None:
        program = executable()
        assert program is not None
        (profile / "user.js").write_text(SETTINGS)
        self.process = subprocess.Popen(
            [program, "--headless", "--no-remote", "--profile", profile]
            + ["--remote-debugging-port=0", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def connection() -> websocket.WebSocket:
            server = json.loads((profile / "WebDriverBiDiServer.json").read_text() or 1 / 0)
            url = f"ws://{server['ws_host']}:{server['ws_port']}/session"
            return websocket.create_connection(url, timeout=PATIENCE, suppress_origin=True)

        try:
            self.socket = eventually(connection)
            self.call("session.new", capabilities={})
            self.tab = self.call("browsingContext.getTree")["contexts"][0]["context"]
        except BaseException:
            self.stop()
            raise

    def visit(self, url: str) -> None:
        self.call("browsingContext.navigate", context=self.tab, url=url, wait="complete")

    def run(self, script: str) -> Any:
        """The value of an expression in the page; a promise's when it is there."""
        done = self.call(
            "script.evaluate",
            expression=f"Promise.resolve({script}).then((value) => JSON.stringify(value))",
            target={"context": self.tab},
            awaitPromise=True,
        )
        assert done["type"] == "success", done["exceptionDetails"]
        return json.loads(done["result"].get("value", "null"))
