"""What stands before every request: limits, same origin, sizes, and headers on every answer."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LARGEST_BODY = 4096  # bytes; a vote has 200
MOST_ADDRESSES = 20_000

HEADERS = {
    b"content-security-policy": b"default-src 'none'; img-src 'self'; style-src 'self'; "
    b"script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    b"frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=(), payment=()",
}


@dataclass(frozen=True)
class Limits:
    """Requests of one address: at once, and again per second; sessions and admin logins begun per
    minute. A laboratory behind one address needs more."""

    burst: float = 120.0
    per_second: float = 20.0
    sessions_per_minute: float = 10.0
    logins_per_minute: float = 6.0


class Bucket:
    """Token buckets by name; forgotten when full again, so that no address stays in memory."""

    def __init__(self, size: float, per_second: float) -> None:
        self.size, self.per_second = size, per_second
        self.left: dict[bytes, tuple[float, float]] = {}

    def take(self, name: bytes, now: float) -> bool:
        """Whether one more is allowed."""
        if len(self.left) > MOST_ADDRESSES:
            self.left = {n: v for n, v in self.left.items() if self._refilled(v, now) < self.size}
        amount = self._refilled(self.left.get(name, (self.size, now)), now)
        allowed = amount >= 1
        self.left[name] = (amount - allowed, now)
        return allowed

    def _refilled(self, value: tuple[float, float], now: float) -> float:
        return min(self.size, value[0] + (now - value[1]) * self.per_second)


class Guard:
    """ASGI middleware. Addresses are hashed with a key that ends with the process, kept in memory
    until their limit is full again, and stored nowhere."""

    def __init__(self, app: App, limits: Limits, hosts: tuple[str, ...] = ()) -> None:
        self.app = app
        self.hosts = {host.encode() for host in hosts}
        self.key = secrets.token_bytes(16)
        self.all = Bucket(limits.burst, limits.per_second)
        rare = {
            "/api/begin": limits.sessions_per_minute,
            "/admin/login": limits.logins_per_minute,
        }
        self.rare = {path: Bucket(count, count / 60) for path, count in rare.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        refusal = self._refusal(scope, headers)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS.items()]
            await send(message)

        if refusal is None:
            await self.app(scope, receive, guarded)
            return
        status, text = refusal
        body = b'{"error": "' + text.encode() + b'"}'
        kind = (b"content-type", b"application/json")
        retry = [(b"retry-after", b"5")] if status == 429 else []
        await guarded({"type": "http.response.start", "status": status, "headers": [kind, *retry]})
        await guarded({"type": "http.response.body", "body": body})

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        host = headers.get(b"host", b"")
        if self.hosts and host.rsplit(b":", 1)[0] not in self.hosts:
            return 400, "This server is not known by that name."
        if not self._allowed(scope):
            return 429, "Too many requests from your network. Please wait a moment."
        if scope["method"] in ("GET", "HEAD"):
            return None
        if scope["method"] != "POST":
            return 405, "Only GET and POST are understood."
        if not _same_origin(headers, host):
            return 403, "This request came from another site."
        if not headers.get(b"content-type", b"").startswith(b"application/json"):
            return 415, "Only JSON is understood."
        length = headers.get(b"content-length", b"")
        if not length.isdigit() or int(length) > LARGEST_BODY:
            return 413, "The request is too large, or does not say how large it is."
        return None

    def _allowed(self, scope: Scope) -> bool:
        address = (scope.get("client") or ("", 0))[0].encode()
        name = hashlib.blake2b(address, key=self.key, digest_size=16).digest()
        now = time.monotonic()
        if not self.all.take(name, now):
            return False
        rare = self.rare.get(scope["path"]) if scope["method"] == "POST" else None
        return rare is None or rare.take(name, now)


def _same_origin(headers: dict[bytes, bytes], host: bytes) -> bool:
    """Browsers say where a request comes from; what says nothing is no browser."""
    site = headers.get(b"sec-fetch-site")
    if site is not None and site != b"same-origin":
        return False
    origin = headers.get(b"origin")
    return origin is None or origin.split(b"://", 1)[-1] == host
