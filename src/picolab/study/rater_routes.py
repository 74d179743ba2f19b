"""What a rater's page asks for."""

from __future__ import annotations

import hmac
from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Cookie, Depends, Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from picolab.study.context import UNCACHED, of
from picolab.study.service import Refused, State, Unknown

COOKIE = "study"
WEEK = 7 * 86400
FOREVER = "private, max-age=86400, immutable"
TOLD = ("title", "contact", "minutes", "trials", "crop", "reference", "plates", "screens")

router = APIRouter()


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Begin(_Body):
    """Consent, and a crowd platform's number for the rater where the link had one."""

    consent: Literal[True]
    crowd: Annotated[str, Field(max_length=200)] | None = None


class Display(_Body):
    """What the browser says of its window: CSS pixels, device pixels in each, zoom."""

    width: Annotated[int, Field(ge=1, le=20000)]
    height: Annotated[int, Field(ge=1, le=20000)]
    ratio: Annotated[float, Field(gt=0, le=16)]
    zoom: Annotated[float, Field(gt=0, le=16)]
    touch: bool
    layout: Literal["row", "pair", "single"]


class Answer(_Body):
    """One answer: `answer` left, tie or right, or a digit or none for plates."""

    key: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    answer: Annotated[str, Field(max_length=8)]
    response_ms: Annotated[int, Field(ge=0, le=86_400_000)]
    looks: Annotated[int, Field(ge=0, le=100_000)] = 0


class Forged(Refused):
    """A request without the word that only our own page knows."""


def _own(
    request: Request,
    study: Annotated[str | None, Cookie()] = None,
    x_study: Annotated[str | None, Header()] = None,
) -> str:
    """The session's token."""
    if study is None:
        raise Unknown("You have not begun yet.")
    word = of(request).service.keyed("csrf", study)
    if not hmac.compare_digest((x_study or "").encode(), word.encode()):
        raise Forged("This request came from another site.")
    return study


Token = Annotated[str, Depends(_own)]


@router.get("/api/study")
def facts(request: Request, study: Annotated[str | None, Cookie()] = None) -> JSONResponse:
    """What the study is, and the word that this browser's other requests must carry."""
    service = of(request).service
    settings = service.settings
    told = {name: getattr(settings, name) for name in TOLD}
    told |= {"crowd": settings.crowd_parameter, "back": settings.completion_link}
    told["word"] = service.keyed("csrf", study) if study else ""
    return JSONResponse(told, headers=UNCACHED)


@router.post("/api/begin")
def begin(request: Request, body: Begin) -> JSONResponse:
    """Consent given: a session, as a cookie that scripts cannot read."""
    context = of(request)
    token = context.service.begin(body.crowd)
    answer = JSONResponse({"word": context.service.keyed("csrf", token)}, headers=UNCACHED)
    answer.set_cookie(COOKIE, token, WEEK, httponly=True, samesite="lax", secure=context.secure)
    return answer


@router.post("/api/state")
def state(request: Request, token: Token) -> JSONResponse:
    """Where the session is."""
    return _told(of(request).service.state(token))


@router.post("/api/display")
def display(request: Request, body: Display, token: Token) -> JSONResponse:
    """The display was checked."""
    return _told(of(request).service.display(token, body.model_dump()))


@router.post("/api/answer")
def answer(request: Request, body: Answer, token: Token) -> JSONResponse:
    """One answer; the same again changes nothing."""
    service = of(request).service
    return _told(service.answer(token, body.key, body.answer, body.response_ms, body.looks))


async def picture(request: Request) -> Response:
    """One picture of a task, by the task's key: nothing in the address tells what it shows.

    A plain route of Starlette's: three of four requests come here, and most are answered from
    memory without a thread.
    """
    service = of(request).service
    key, side = request.path_params["key"], request.path_params["side"]
    data = service.images.at_hand(key, side)
    if data is None:
        data = await run_in_threadpool(service.picture, key, side)
    return Response(data, media_type="image/webp", headers={"cache-control": FOREVER})


def _told(found: State) -> JSONResponse:
    return JSONResponse(asdict(found), headers=UNCACHED)
