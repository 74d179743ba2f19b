"""What whoever runs the study may see, behind a token; nothing here changes anything."""

from __future__ import annotations

import csv
import hmac
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated

from fastapi import APIRouter, Cookie, Depends, Header, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from picolab.study import export
from picolab.study.ballots import COLUMNS
from picolab.study.context import UNCACHED, of
from picolab.study.schema import snapshot

COOKIE = "study_admin"
DAY = 86400


class Login(BaseModel):
    """The admin's token."""

    model_config = ConfigDict(extra="forbid", strict=True)
    token: Annotated[str, Field(max_length=200)]


def _admitted(
    request: Request,
    study_admin: Annotated[str | None, Cookie()] = None,
    authorization: Annotated[str | None, Header()] = None,
) -> None:
    context = of(request)
    bearer = (authorization or "").removeprefix("Bearer ")
    by_cookie = hmac.compare_digest((study_admin or "").encode(), context.admin_cookie.encode())
    by_header = hmac.compare_digest(bearer.encode(), context.admin_token.encode())
    if not by_cookie and not by_header:
        raise HTTPException(401, "Give the admin token first.")


public = APIRouter(prefix="/admin")
guarded = APIRouter(prefix="/admin", dependencies=[Depends(_admitted)])


@public.post("/login")
def login(request: Request, body: Login) -> JSONResponse:
    """The token for a cookie that lasts a day."""
    context = of(request)
    if not hmac.compare_digest(body.token.encode(), context.admin_token.encode()):
        raise HTTPException(401, "That is not the admin token.")
    answer = JSONResponse({})
    answer.set_cookie(
        COOKIE,
        context.admin_cookie,
        DAY,
        path="/admin",
        httponly=True,
        samesite="strict",
        secure=context.secure,
    )
    return answer


@guarded.get("/state")
def state(request: Request) -> JSONResponse:
    """Progress, and the ratings that the chooser last found."""
    service = of(request).service
    with service.engine.connect() as connection:
        row = connection.execute(select(snapshot).order_by(snapshot.c.id.desc()).limit(1)).first()
    found = {
        "title": service.settings.title,
        "raters": service.settings.raters,
        "trials": service.settings.trials,
        "progress": export.progress(service.engine),
        "taken": row.taken if row else None,
        "ratings": row.ratings if row else [],
    }
    return JSONResponse(found, headers=UNCACHED)


@guarded.get("/votes.csv")
def votes(request: Request) -> StreamingResponse:
    """The raw votes."""
    return _table(export.rows(of(request).service.engine), list(COLUMNS), "votes.csv")


@guarded.get("/codes.csv")
def codes(request: Request) -> StreamingResponse:
    """Completion codes of sessions that ended, to pay raters by."""
    return _table(export.codes(of(request).service), ["rater", "code", "answered"], "codes.csv")


def _table(
    rows: Iterable[Mapping[str, object]], columns: list[str], name: str
) -> StreamingResponse:
    headers = UNCACHED | {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_lines(rows, columns), media_type="text/csv", headers=headers)


def _lines(rows: Iterable[Mapping[str, object]], columns: list[str]) -> Iterator[str]:
    buffer = io.StringIO()
    table = csv.DictWriter(buffer, columns, lineterminator="\n", restval="")
    table.writeheader()
    for row in rows:
        table.writerow(row)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()
