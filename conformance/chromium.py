"""Run a page in headless Chromium and get what it posts."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PROGRAM = "chromium"
TELL = """<script>
addEventListener("error", ({ message }) => fetch("/result", { method: "POST", body: message }));
</script>"""


def post_of(script: str, files: Mapping[str, Path], patience: int = 3600) -> str:
    """What a module script sends to `/result`; it can fetch `files` by their keys, as `/KEY`.
    An error in the script's syntax is sent, too.

    Raises `TimeoutError` after `patience` seconds.
    """
    result: list[str] = []
    done = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path[1:]
            if not name:
                page = f'<!doctype html>{TELL}<script type="module">{script}</script>'
                self.answer(page.encode(), "text/html")
            elif name in files:
                is_script = files[name].suffix == ".js"
                kind = "text/javascript" if is_script else "application/octet-stream"
                self.answer(files[name].read_bytes(), kind)
            else:
                self.send_error(404)

        def do_POST(self) -> None:
            result.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.answer(b"", "text/plain")
            done.set()

        def answer(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = subprocess.Popen(
            [PROGRAM, "--headless", "--no-sandbox", "--disable-gpu",
             f"--user-data-dir={profile}", f"http://127.0.0.1:{server.server_port}/"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            if not done.wait(timeout=patience):
                raise TimeoutError(f"Chromium gave no result within {patience} seconds")
        finally:
            browser.terminate()
            browser.wait()
            server.shutdown()
    return result[0]
