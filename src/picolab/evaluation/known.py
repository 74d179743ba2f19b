"""Codecs that a finished run measured already: their results are taken over, not made again.

Peers change less often than picocodec does, and take about half of an evaluation's time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from picolab.evaluation.images import TestImage, fingerprint, read
from picolab.evaluation.metrics.protocol import Metric
from picolab.evaluation.peers.protocol import Codec
from picolab.evaluation.results import Run
from picolab.evaluation.runner import ALL, FINGERPRINT, Known, Outcome, codec_facts, groups


def from_run(
    folder: Path,
    images: Sequence[TestImage],
    codecs: Sequence[Codec],
    metrics: Sequence[Metric],
    set_metrics: Sequence[str],
) -> Known:
    """What the run in `folder`, or published from there, says of those `codecs` that it had in the
    same version, with the same settings and rates, on just these pictures.

    Nothing is known where it measured other pictures or kinds of them, or a metric in another
    version or not at all; nor is a codec that lacks a value, which may have failed. Raises
    `FileNotFoundError` for a folder without `run.json` and its tables.
    """
    run = Run(folder)
    versions = {name: fact["version"] for name, fact in run.facts["metrics"].items()}
    if any(versions.get(metric.name) != metric.version for metric in metrics):
        return Known()
    if set(set_metrics) - set(run.set_metrics):
        return Known()
    pixels = {image.name: fingerprint(read(image.path))[:FINGERPRINT] for image in images}
    if {row["image"]: row.get("pixels") for row in run.rows} != pixels:
        return Known()
    kinds = {image.name: image.kind for image in images}
    counts = {k: sum(k in (ALL, kind) for kind in kinds.values()) for k in groups(kinds)}
    if {row["kind"]: int(row["images"]) for row in run.summaries} != counts:
        return Known()
    rows = {(row["image"], row["codec"], row["rate"]): row for row in run.rows}
    names = [metric.name for metric in metrics]
    outcomes: list[Outcome] = []
    for codec in codecs:
        jobs = [(image.name, codec.name, f"{rate:g}") for image in images for rate in codec.rates]
        told = [rows.get(job, {}) for job in jobs]
        if _same(run, codec) and all(row.get(name) for row in told for name in ["bytes", *names]):
            outcomes += [_outcome(row, names) for row in told]
    known = {outcome.codec for outcome in outcomes}
    summary = tuple(row for row in run.summaries if row["codec"] in known)
    published = [run.facts[part] for part in ("model", "encoder") if part in run.facts]
    return Known("/".join([*published, folder.name]), tuple(outcomes), summary)


def _same(run: Run, codec: Codec) -> bool:
    facts = codec_facts(codec)
    return {name: run.facts["codecs"].get(codec.name, {}).get(name) for name in facts} == facts


def _outcome(row: dict[str, str], metrics: Sequence[str]) -> Outcome:
    return Outcome(
        image=row["image"],
        codec=row["codec"],
        rate=float(row["rate"]),
        width=int(row["width"]),
        height=int(row["height"]),
        bytes=int(row["bytes"]),
        metrics={name: float(row[name]) for name in metrics},
        original=row["pixels"],
    )
