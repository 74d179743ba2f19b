"""Requests to an application, without a network."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

HOST = "study.example"


@dataclass
class Answered:
    """Status, headers and body of an answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Visitor:
    """A browser's worth of cookies, and the address it comes from."""

    app: Any
    address: str = "192.0.2.1"
    cookies: dict[str, str] = field(default_factory=dict)
    word: str = ""

    def get(self, path: str, **headers: str) -> Answered:
        return self.ask("GET", path, b"", headers)

    def post(self, path: str, body: object, **headers: str) -> Answered:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        told = {"content-type": "application/json", "content-length": str(len(data))}
        told |= {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin", "x-study": self.word}
        return self.ask("POST", path, data, told | headers)

    def begin(self, **body: object) -> None:
        self.word = self.post("/api/begin", {"consent": True} | body).json["word"]

    def ask(self, method: str, path: str, data: bytes, headers: dict[str, str]) -> Answered:
        sent: list[dict[str, Any]] = []
        told = {"host": HOST} | {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            told["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(n.encode(), v.encode()) for n, v in told.items()],
            "client": (self.address, 1),
            "server": (HOST, 80),
        }

        bodies = [{"type": "http.request", "body": data, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if not bodies:
                await asyncio.Event().wait()  # the visitor stays
            return bodies.pop()

        async def send(message: Any) -> None:
            sent.append(dict(message))

        asyncio.run(self.app(scope, receive, send))
        answer = Answered(
            sent[0]["status"],
            {n.decode().lower(): v.decode() for n, v in sent[0]["headers"]},
            b"".join(part.get("body", b"") for part in sent[1:]),
        )
        if "set-cookie" in answer.headers:
            name, value = answer.headers["set-cookie"].split(";")[0].split("=", 1)
            self.cookies[name] = value
        return answer
