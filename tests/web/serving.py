"""Folders over HTTP for a browser, and what pages send back."""

from __future__ import annotations

import mimetypes
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

KINDS = {".mjs": "text/javascript", ".js": "text/javascript", ".pico": "application/octet-stream"}
PAGE = b"<!doctype html><html lang=en><title>test</title><body></body></html>"
ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}


class Server:
    """Serves each folder of `roots` below its key, `files` by their names, and an empty page at
    `/`; use as a context.

    What is posted to `/posted/NAME` is in `posted` by name. `sent` counts the bytes of each path.
    With `isolated`, pages may share memory among threads. `gone` makes all requests fail.
    """

    def __init__(self, roots: Mapping[str, Path], isolated: bool = False) -> None:
        self.roots, self.gone = dict(roots), False
        self.files: dict[str, bytes] = {}
        self.posted: dict[str, bytes] = {}
        self.sent: dict[str, int] = {}
        headers = ISOLATED if isolated else {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = self.path.split("?")[0]
                body = PAGE if path == "/" else outer._read(path)
                if body is None or outer.gone:
                    self.send_error(404 if body is None else 503)
                    return
                outer.sent[path] = outer.sent.get(path, 0) + len(body)
                self._answer(body, "text/html" if path.endswith("/") else kind_of(path))

            def do_POST(self) -> None:
                name = self.path.removeprefix("/posted/")
                outer.posted[name] = self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(b"", "text/plain")

            def _answer(self, body: bytes, kind: str) -> None:
                self.send_response(200)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-cache")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def _read(self, path: str) -> bytes | None:
        if path[1:] in self.files:
            return self.files[path[1:]]
        for key, root in self.roots.items():
            if path.startswith(f"/{key}/"):
                file = root / path.removeprefix(f"/{key}/")
                file = file / "index.html" if file.is_dir() else file
                return file.read_bytes() if file.is_file() else None
        return None

    def __enter__(self) -> Server:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def kind_of(path: str) -> str:
    suffix = Path(path).suffix
    return KINDS.get(suffix) or mimetypes.guess_type(path)[0] or "application/octet-stream"
