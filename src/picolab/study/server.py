"""The study over HTTP: FastAPI, a page for raters and one for whoever runs the study."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import HTTPException, RequestValidationError
from fastapi.responses import JSONResponse, Response

from picolab.study import admin_routes, rater_routes
from picolab.study.context import Context
from picolab.study.guard import Guard, Limits
from picolab.study.service import Full, Service, Unknown

PAGES = Path(__file__).parent / "pages"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
LEAST_TOKEN = 16


def build(
    service: Service,
    admin_token: str,
    limits: Limits | None = None,
    hosts: tuple[str, ...] = (),
    secure: bool = False,
) -> FastAPI:
    """The application. `secure` marks cookies for HTTPS only; `hosts` are the names it answers to,
    all if empty. Raises `ValueError` for an admin token that can be guessed."""
    if len(admin_token) < LEAST_TOKEN:
        raise ValueError(f"an admin token has at least {LEAST_TOKEN} characters")
    app = FastAPI(title="picolab study", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.study = Context(service, admin_token, secure)
    app.add_middleware(Guard, limits=limits or Limits(), hosts=hosts)
    app.add_exception_handler(rater_routes.Refused, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _told)
    files = {f"/{path.name}": path for path in PAGES.iterdir() if path.suffix in (".css", ".js")}
    for address, path in (
        files | {"/": PAGES / "index.html", "/admin": PAGES / "admin.html"}
    ).items():
        app.add_api_route(address, _Page(path).answer, methods=["GET"])
    app.add_route("/picture/{key}/{side}", rater_routes.picture, methods=["GET"])
    app.include_router(rater_routes.router)
    app.include_router(admin_routes.public)
    app.include_router(admin_routes.guarded)
    return app


class _Page:
    """A file of `pages`, read once."""

    def __init__(self, path: Path) -> None:
        self.content = path.read_bytes()
        self.kind = KINDS[path.suffix]

    async def answer(self) -> Response:
        return Response(self.content, media_type=self.kind, headers={"cache-control": "no-cache"})


def _refused(request: Request, error: Exception) -> JSONResponse:
    kinds: dict[type[Exception], int] = {Full: 410, Unknown: 404, rater_routes.Forged: 403}
    return JSONResponse({"error": str(error)}, kinds.get(type(error), 400))


def _malformed(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"error": "The request is not in the form expected."}, 422)


def _told(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": str(error.detail)}, error.status_code)
