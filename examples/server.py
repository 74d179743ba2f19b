"""A small web service: pictures to .pico files, and back to what a browser shows.

    pip install picocodec fastapi uvicorn
    uvicorn --app-dir examples server:app --limit-concurrency 32

    curl --data-binary @photo.jpg 'localhost:8000/encode?quality=50' -o photo.pico
    curl --data-binary @photo.pico -H 'Accept: image/avif' localhost:8000/decode -o photo.avif

Its limits: bodies of 32 MB, pictures of 50 megapixels, as many at once as there are cores. It
knows no users; put it behind what does.
"""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Sequence
from typing import Annotated

from fastapi import FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from PIL import Image, features

import picocodec
from picocodec.errors import LimitExceeded, UnsupportedImage

MOST_BYTES = 32_000_000
MOST_PIXELS = 50_000_000
# Kinds that browsers ask for, the smallest first, and how Pillow writes them.
KINDS = {
    "image/avif": ("AVIF", {"quality": 85}),
    "image/webp": ("WEBP", {"quality": 92}),
    "image/jpeg": ("JPEG", {"quality": 92}),
    "image/png": ("PNG", {}),
}

app = FastAPI(title="picocodec")
at_once = asyncio.Semaphore(os.cpu_count() or 1)
Image.MAX_IMAGE_PIXELS = MOST_PIXELS // 2  # of which Pillow refuses twice as many


@app.post("/encode")
async def encode(request: Request, quality: Annotated[float, Query(ge=0, le=100)] = 50) -> Response:
    """The .pico file of the picture in the body."""
    data = await body(request)
    async with at_once:
        made = await run_in_threadpool(encoded, data, quality)
    return Response(made, media_type="image/x-pico")


@app.post("/decode")
async def decode(request: Request, accept: Annotated[str, Header()] = "*/*") -> Response:
    """The picture of the .pico file in the body, as a kind that the client accepts."""
    kind = wanted(accept)
    data = await body(request)
    async with at_once:
        made = await run_in_threadpool(decoded, data, kind)
    return Response(made, media_type=kind, headers={"Vary": "Accept"})


async def body(request: Request) -> bytes:
    """At most `MOST_BYTES` of it; whoever sends more is told so at once."""
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MOST_BYTES:
            raise HTTPException(413, f"more than {MOST_BYTES} bytes")
    return bytes(data)


def encoded(data: bytes, quality: float) -> bytes:
    try:
        return picocodec.encode(data, quality, threads=1)
    except LimitExceeded as error:
        raise HTTPException(413, str(error)) from error
    except UnsupportedImage as error:
        raise HTTPException(415, str(error)) from error


def decoded(data: bytes, kind: str) -> bytes:
    format, options = KINDS[kind]
    try:
        pixels = picocodec.decode(data, max_pixels=MOST_PIXELS, threads=1, upright=True)
        profile = picocodec.read_info(data).icc
    except LimitExceeded as error:
        raise HTTPException(413, str(error)) from error
    except picocodec.PicoError as error:
        raise HTTPException(422, str(error)) from error
    image, out = Image.fromarray(pixels), io.BytesIO()
    if format == "JPEG" and image.mode in ("LA", "RGBA"):
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
        image = image.convert("RGB")
    image.save(out, format, icc_profile=profile, **options)
    return out.getvalue()


def wanted(accept: str) -> str:
    """The first of `KINDS` among those that the client likes best; raises 406 for none."""
    liked = {}
    for part in accept.split(","):
        name, *parameters = (word.strip() for word in part.lower().split(";"))
        liked[name] = weight(parameters)
    found = {
        kind: liked.get(kind, liked.get("image/*", liked.get("*/*", 0.0)))
        for kind in KINDS
        if kind != "image/avif" or features.check("avif")
    }
    if accept.strip() in ("", "*/*", "image/*"):  # who names nothing gets what all can show
        return "image/jpeg"
    best = max(found.values())
    if best <= 0:
        raise HTTPException(406, f"there is {', '.join(found)}")
    return next(kind for kind, value in found.items() if value == best)


def weight(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
