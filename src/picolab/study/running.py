"""A study's website as a process: uvicorn, and the chooser beside it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import uvicorn

from picolab.study import schema
from picolab.study.guard import Limits
from picolab.study.server import build
from picolab.study.service import Service

# Each statement of a transaction lets go of the interpreter; at Python's own 5 ms, whoever holds
# the database would wait so long to get it back, eight times for one answer.
SWITCH_SECONDS = 0.0005
LOCAL = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Serving:
    """How to serve: see `picolab study serve --help`."""

    database: str
    host: str
    port: int
    token: str
    names: tuple[str, ...] = ()
    https: bool = False
    proxy: str | None = None
    limits: Limits = field(default_factory=Limits)
    choosing: bool = True


def serve(serving: Serving) -> int:
    """Serve until stopped; returns the exit code. Raises `ValueError` as `schema.connect`."""
    service = Service(schema.connect(serving.database))
    app = build(service, serving.token, serving.limits, serving.names, serving.https)
    config = uvicorn.Config(
        app,
        host=serving.host,
        port=serving.port,
        access_log=False,  # it would keep addresses
        server_header=False,
        log_level="warning",
        timeout_keep_alive=30,
        proxy_headers=serving.proxy is not None,
        forwarded_allow_ips=serving.proxy or "",
    )
    place = f"http://{serving.host}:{serving.port}"
    crowd = service.settings.crowd_parameter
    print(f"raters: {place}/{f'?{crowd}=...' if crowd else ''}", file=sys.stderr)
    print(f"admin:  {place}/admin, token {serving.token}", file=sys.stderr)
    if serving.host not in LOCAL and not serving.https:
        print("not over HTTPS: put a proxy before it, and say --https", file=sys.stderr)
    chooser = None
    if serving.choosing:
        # Here, because it brings SciPy and more, for which a server without it need not wait.
        from picolab.study import refreshing

        chooser = refreshing.start(serving.database)
    sys.setswitchinterval(SWITCH_SECONDS)
    server = uvicorn.Server(config)
    server.run()
    if chooser is not None:
        chooser.terminate()
        chooser.join()
    return 0 if server.started else 1
