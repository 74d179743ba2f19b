"""Pictures with faults that anybody sees who looks: for screening, and for traps."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageFilter

from picolab.evaluation.peers.protocol import Picture

ARTEFACTS = ("blocks", "blur", "noise", "colour")
# What each takes: JPEG's quality, the radius in pixels, the spread of the noise in levels, the side
# of the squares that have one colour.
PLAIN = {"blocks": 18.0, "blur": 1.6, "noise": 14.0, "colour": 16.0}
STRONG = {"blocks": 7.0, "blur": 3.0, "noise": 30.0, "colour": 40.0}


def spoil(picture: Picture, artefact: str, strong: bool, seed: int = 0) -> Picture:
    """`[H, W, 3]` uint8 with one of `ARTEFACTS`; raises `ValueError` for another name."""
    if artefact not in ARTEFACTS:
        raise ValueError(f"no artefact is called {artefact}; there are {', '.join(ARTEFACTS)}")
    amount = (STRONG if strong else PLAIN)[artefact]
    image = Image.fromarray(picture)
    if artefact == "blocks":
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=int(amount))
        return np.array(Image.open(buffer).convert("RGB"))
    if artefact == "blur":
        return np.array(image.filter(ImageFilter.GaussianBlur(amount)))
    if artefact == "noise":
        noise = np.random.default_rng(seed).normal(0, amount, picture.shape)
        return np.clip(picture + noise, 0, 255).astype(np.uint8)
    luma, *chroma = image.convert("YCbCr").split()
    size = (max(1, round(image.width / amount)), max(1, round(image.height / amount)))
    coarse = [
        plane.resize(size, Image.Resampling.BOX).resize(image.size, Image.Resampling.NEAREST)
        for plane in chroma
    ]
    return np.array(Image.merge("YCbCr", (luma, *coarse)).convert("RGB"))
