"""`picolab evaluate --gallery`: every picture by every codec at matched bytes, to look at.

    gallery/index.html   the viewer      gallery/pictures/   what it shows, and the .pico files

For each of a few bits a pixel there is a target of bytes. Every codec's file is the best of at most
so many; ours fills them to within a percent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from picocodec.api import read_info
from picocodec.errors import TargetTooSmall
from picolab.evaluation.metrics import METRICS, Metric
from picolab.evaluation.peers.pico import Pico
from picolab.evaluation.peers.protocol import Codec, Picture
from picolab.evaluation.results import Run
from picolab.evaluation.viewer import (
    Column,
    Rate,
    Scene,
    Shown,
    copy_live,
    fragment,
    page,
    parts_of,
)

BPPS = (0.1, 0.2, 0.4, 0.8)
CLOSE = 0.01  # of the target: a file that much smaller needs no further search
PASSES = 12
PICO = ".pico"


def write(run: Run, codecs: Sequence[Codec], originals: dict[str, Picture]) -> Path:
    """Write the gallery of a run's pictures into its folder; returns the page."""
    folder = run.folder / "gallery"
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    metrics = {name: METRICS[name]() for name in run.metrics}
    scenes = [
        _scene(name, original, codecs, metrics, folder) for name, original in originals.items()
    ]
    columns = [Column(name, run.title(name), run.higher_is_better(name)) for name in metrics]
    lead = f"{len(scenes)} pictures, {len(codecs)} codecs, each at most as large as the target"
    viewer = fragment(scenes, columns, copy_live(folder))
    out = folder / "index.html"
    out.write_text(page(f"{run.subject} beside others", lead, viewer), "utf-8")
    return out


def _scene(
    name: str,
    original: Picture,
    codecs: Sequence[Codec],
    metrics: dict[str, Metric],
    folder: Path,
) -> Scene:
    height, width = original.shape[:2]
    stem = name.replace("/", "-")
    rates = []
    for bpp in BPPS:
        target = round(bpp * width * height / 8)
        shown = []
        for codec in codecs:
            file, rate = filled(codec, original, target)
            decoded = codec.decode(file)
            plain = f"{stem}-{bpp:g}-{codec.name}"
            source = save(decoded, folder / "pictures" / f"{plain}.webp")
            pico = _save_pico(file, folder / "pictures" / plain) if codec.extension == PICO else ""
            values = {key: metric(original, decoded) for key, metric in metrics.items()}
            measured = {key: value for key, value in values.items() if value is not None}
            setting = f"{rate:.4g}"
            shown.append(
                Shown(codec.name, setting, len(file), source, measured, pico, parts_of(file))
            )
        rates.append(Rate(f"{bpp:g} bpp", target, shown))
    source = save(original, folder / "pictures" / f"{stem}.webp")
    return Scene(name, width, height, source, rates)


def filled(codec: Codec, original: Picture, target: int) -> tuple[bytes, float]:
    """A codec's best file of at most `target` bytes, and its rate. Ours fills targets by itself."""
    if isinstance(codec, Pico):
        try:
            file = codec.fill(original, target)
        except TargetTooSmall:
            return codec.encode(original, 0), 0.0
        return file, read_info(file).quality
    return at_most(partial(codec.encode, original), codec, target)


def at_most(encode: Callable[[float], bytes], codec: Codec, target: int) -> tuple[bytes, float]:
    """The best file of at most `target` bytes and its rate, by bisection between the rates of an
    evaluation and of what lies between them; the smallest file, if none is small enough."""
    low, high = float(min(codec.rates)), float(max(codec.rates))
    if len(encode(high)) < len(encode(low)):
        low, high = high, low  # of quantisers, which count from fine to coarse
    best, rate = encode(low), low
    top = encode(high)
    if len(top) <= target:
        return top, high
    steps = all(float(r).is_integer() for r in codec.rates)
    for _ in range(PASSES):
        if len(best) > target or len(best) >= (1 - CLOSE) * target:
            break
        middle = (low + high) / 2
        tried = round(middle) if steps else round(middle, 1)
        if tried in (low, high):
            break
        file = encode(tried)
        if len(file) <= target:
            best, rate, low = file, float(tried), float(tried)
        else:
            high = float(tried)
    return best, rate


def save(picture: Picture, path: Path) -> str:
    """Write a picture without loss; its URL from the page."""
    Image.fromarray(picture).save(path, "WEBP", lossless=True, quality=60, exact=True)
    return f"{path.parent.name}/{path.name}"


def _save_pico(file: bytes, path: Path) -> str:
    target = path.with_name(path.name + PICO)
    target.write_bytes(file)
    return f"{target.parent.name}/{target.name}"
