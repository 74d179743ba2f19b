"""The page to look at: tables, plots, any two codecs beside each other, where the codec fails."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader
from markdown import markdown as to_html
from markupsafe import Markup
from PIL import Image

from picolab.evaluation import report
from picolab.evaluation.images import read
from picolab.evaluation.peers import make
from picolab.evaluation.peers.protocol import Codec, Picture
from picolab.evaluation.results import Run
from picolab.evaluation.viewer import Column, Rate, Scene, Shown, fragment

BPP = 0.3  # where pictures are shown: low enough to see what each codec does
SHOWN = 4
WORST = 3
LARGEST = 512
DETAIL = 256

Row = dict[str, str]


class Decoder:
    """Pictures of a run, decoded again from its stored files."""

    def __init__(self, run: Run, codecs: dict[str, Codec] | None = None) -> None:
        self.run = run
        self.codecs = codecs or {}

    def original(self, image: str) -> Picture:
        return read(Path(self.run.facts["images"][image]))

    def decoded(self, row: Row) -> Picture:
        name = row["codec"]
        if name not in self.codecs:
            self.codecs[name] = make(name)
        return self.codecs[name].decode((self.run.folder / row["file"]).read_bytes())


def write(run: Run, codecs: dict[str, Codec] | None = None) -> Path:
    """`index.html` in the run's folder: one file that needs no other.

    `codecs` by name decode the files of the run; those not given are made from `peers.make`.
    """
    decoder = Decoder(run, codecs)
    here = Path(__file__).parent
    environment = Environment(loader=FileSystemLoader(here), autoescape=True)
    plots = [
        (run.title(metric), Markup(_svg(run, metric)))
        for metric in [*run.metrics, *run.set_metrics]
        if (run.folder / "plots" / f"{metric}.svg").is_file()
    ]
    tables = {
        "BD-rate": report.bd_rates(run),
        "Codecs": report.codecs(run),
        "Left out": report.left_out(run) if run.facts["left_out"] else "",
        "Failures": report.failures(run),
        "Cost": report.cost(run) if run.cost else "",
    }
    page = environment.get_template("page.html").render(
        subject=run.subject,
        bpp=BPP,
        plots=plots,
        viewer=Markup(_viewer(run, decoder)),
        gallery=_gallery(run, decoder),
        tables={
            title: Markup(to_html(text, extensions=["tables"]))
            for title, text in tables.items()
            if text
        },
    )
    out = run.folder / "index.html"
    out.write_text(page)
    return out


def _viewer(run: Run, decoder: Decoder) -> str:
    """For some pictures, by codec, the file nearest in size to the subject's."""
    chosen = list(run.at_bpp(BPP))
    chosen = [
        chosen[n] for n in np.linspace(0, len(chosen) - 1, min(SHOWN, len(chosen)), dtype=int)
    ]
    scenes = []
    for subject in chosen:
        original = decoder.original(subject["image"])
        area = _centre(original)
        target = int(subject["bytes"])
        shown = []
        for codec in run.codecs:
            rows = [r for r in run.rows if (r["image"], r["codec"]) == (subject["image"], codec)]
            if not rows:
                continue
            row = min(rows, key=lambda r: abs(int(r["bytes"]) - target))
            source = _embed(decoder.decoded(row)[area])
            metrics = {name: float(row[name]) for name in run.metrics if row[name]}
            shown.append(Shown(codec, row["rate"], int(row["bytes"]), source, metrics))
        height, width = original[area].shape[:2]
        rate = Rate(f"{float(subject['bpp']):.2f} bpp", target, shown)
        scenes.append(Scene(subject["image"], width, height, _embed(original[area]), [rate]))
    columns = [Column(name, run.title(name), run.higher_is_better(name)) for name in run.metrics]
    return fragment(scenes, columns)


def _gallery(run: Run, decoder: Decoder) -> list[dict[str, Any]]:
    """The worst pictures of the subject by each metric, cut out where they differ most."""
    sections = []
    rows = list(run.at_bpp(BPP))
    for metric in run.metrics:
        sign = 1 if run.higher_is_better(metric) else -1
        measured = [row for row in rows if row[metric]]
        worst = sorted(measured, key=lambda row: sign * float(row[metric]))[:WORST]
        items = []
        for row in worst:
            original, decoded = decoder.original(row["image"]), decoder.decoded(row)
            area = _worst_area(original, decoded)
            items.append(
                {
                    "image": row["image"],
                    "original": _embed(original[area]),
                    "decoded": _embed(decoded[area]),
                    "caption": _caption(run, row),
                }
            )
        sections.append({"title": run.title(metric), "items": items})
    return sections


def _caption(run: Run, row: Row) -> str:
    values = [f"{m} {float(row[m]):.4g}" for m in run.metrics if row[m]]
    size = f"{int(row['bytes']):,} bytes, {float(row['bpp']):.3f} bpp"
    return ", ".join([f"{row['codec']} at {row['rate']}: {size}", *values])


def _centre(picture: Picture) -> tuple[slice, slice]:
    top, left = (max(side - LARGEST, 0) // 2 for side in picture.shape[:2])
    return slice(top, top + LARGEST), slice(left, left + LARGEST)


def _worst_area(original: Picture, decoded: Picture) -> tuple[slice, slice]:
    """The square with the largest squared error."""
    error = ((original.astype(np.float32) - decoded) ** 2).sum(2)
    rows, columns = (min(DETAIL, side) for side in error.shape)
    sums = np.pad(error.cumsum(0, dtype=np.float64).cumsum(1), ((1, 0), (1, 0)))
    squares = (
        sums[rows:, columns:]
        - sums[:-rows, columns:]
        - sums[rows:, :-columns]
        + sums[:-rows, :-columns]
    )
    top, left = np.unravel_index(squares.argmax(), squares.shape)
    return slice(int(top), int(top) + rows), slice(int(left), int(left) + columns)


def _embed(picture: Picture) -> str:
    """Lossless, so that what is seen is what was decoded."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="WEBP", lossless=True, quality=60)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def _svg(run: Run, metric: str) -> str:
    text = (run.folder / "plots" / f"{metric}.svg").read_text()
    return text[text.index("<svg") :]
