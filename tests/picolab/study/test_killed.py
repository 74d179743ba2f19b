"""A server that is killed while raters answer loses nothing that it acknowledged."""

from __future__ import annotations

import http.client
import json
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs pip install './lab[study]'")

from browsing import free_port, start, stop

DISPLAY = {"width": 1280, "height": 800, "ratio": 1.0, "zoom": 1.0, "touch": False, "layout": "row"}


class Rater(threading.Thread):
    """Answers until the server is gone; `acknowledged` has what was told to be kept."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.acknowledged: dict[str, str] = {}
        self.headers = {"content-type": "application/json"}

    def run(self) -> None:
        try:
            self._answer()
        except (OSError, http.client.HTTPException):
            return

    def _answer(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        self.headers["x-study"] = self._post(connection, "/api/begin", {"consent": True})["word"]
        state = self._post(connection, "/api/display", DISPLAY)
        while state["tasks"]:
            key = state["tasks"][0]["key"]
            body = {"key": key, "answer": "tie", "response_ms": 1000}
            state = self._post(connection, "/api/answer", body)
            self.acknowledged[key] = "tie"

    def _post(self, connection: http.client.HTTPConnection, path: str, body: object) -> dict:
        connection.request("POST", path, json.dumps(body), self.headers)
        answer = connection.getresponse()
        if "set-cookie" in answer.headers:
            self.headers["cookie"] = answer.headers["set-cookie"].split(";")[0]
        data = json.loads(answer.read())
        assert answer.status == 200, data
        return data


def test_nothing_is_lost_when_the_server_is_killed(with_rules: Callable[..., Path]) -> None:
    database = with_rules(trials=500, plates=0, screens=0, raters=100)
    port = free_port()
    acknowledged: dict[str, str] = {}
    for enough in (8, 40):
        server = start(database, port, "--no-choosing")
        raters = [Rater(port) for _ in range(4)]
        for rater in raters:
            rater.start()
        while sum(len(rater.acknowledged) for rater in raters) < enough:
            assert any(rater.is_alive() for rater in raters)
            time.sleep(0.01)
        server.kill()
        stop(server)
        for rater in raters:
            rater.join(300)
            acknowledged |= rater.acknowledged
    connection = sqlite3.connect(database)
    kept = dict(connection.execute("select key, answer from task where answer is not null"))
    broken = connection.execute("pragma integrity_check").fetchone()
    connection.close()
    assert broken == ("ok",)
    assert len(acknowledged) >= 48
    assert acknowledged.items() <= kept.items()
    # An answer may have been kept whose acknowledgement did not arrive: one of each rater.
    assert len(kept) <= len(acknowledged) + 8
