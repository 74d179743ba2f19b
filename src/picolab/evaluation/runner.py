"""Encode, decode and measure: every picture by every codec at every rate."""

from __future__ import annotations

import csv
import json
import math
import os
import platform
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

from picolab.evaluation.cache import Cache, Entry
from picolab.evaluation.images import TestImage, fingerprint, read
from picolab.evaluation.metrics import METRICS, SET_METRICS, Metric, check
from picolab.evaluation.metrics.distribution import (
    Lite0,
    frechet_distance,
    gaussian_mmd,
    kernel_distance,
)
from picolab.evaluation.peers.protocol import Codec, Picture

DISTANCES = {
    "fd_lite0": frechet_distance,
    "kid_lite0": kernel_distance,
    "mmd_lite0": gaussian_mmd,
}

ALL = "all"
FINGERPRINT = 16  # so many digits of it tell pictures apart in a table


@dataclass(frozen=True)
class Job:
    image: TestImage
    codec: Codec
    rate: float


@dataclass
class Outcome:
    """What came of a job: its line of the table, and what failed (`{stage: message}`)."""

    image: str
    codec: str
    rate: float
    width: int = 0
    height: int = 0
    bytes: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    file: str = ""
    key: str = ""
    original: str = ""

    @property
    def bpp(self) -> float:
        return 8 * self.bytes / (self.width * self.height)


@dataclass(frozen=True)
class Known:
    """What a former run found for some of the codecs, which are not measured again: where it is
    told from, what came of their jobs, and their lines of `summary.csv`."""

    source: str = ""
    outcomes: tuple[Outcome, ...] = ()
    summary: tuple[dict[str, str], ...] = ()

    @property
    def codecs(self) -> set[str]:
        return {outcome.codec for outcome in self.outcomes}


def evaluate(
    images: Sequence[TestImage],
    codecs: Sequence[Codec],
    metrics: Sequence[str],
    out_dir: Path,
    jobs: int = 1,
    anchor: str | None = None,
    bpp_range: tuple[float, float] | None = None,
    left_out: Mapping[str, str] | None = None,
    command: str = "",
    known: Known = Known(),
) -> list[Outcome]:
    """Measure everything and write `results.csv`, `summary.csv`, `failures.csv` and `run.json`.

    `metrics` are names of `METRICS` and `SET_METRICS`. What a former run left in `out_dir/cache` is
    not done again. For the report: `anchor` (by default the last codec) and `bpp_range` of the
    BD-rates, why codecs or metrics that were asked for are `left_out`, and the `command`. Codecs
    that are `known` (`known.from_run`) are not run.

    A codec or metric that fails on a picture is reported and the run goes on; so does it when a
    codec takes its process down (with `jobs` over 1). Raises `metrics.Missing` for a metric that
    cannot run.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    unknown = [codec for codec in codecs if codec.name not in known.codecs]
    outcomes = measure_all(images, unknown, metrics, out_dir / "cache", jobs)
    outcomes = in_order(images, codecs, [*outcomes, *known.outcomes])
    measured = {name: METRICS[name]() for name in metrics if name in METRICS}
    kinds = {image.name: image.kind for image in images}
    facts = {
        "images": {image.name: str(image.path) for image in images},
        "kinds": kinds,
        "codecs": {codec.name: codec_facts(codec) for codec in codecs},
        "known": dict.fromkeys(sorted(known.codecs), known.source),
        "metrics": {name: _metric_facts(metric) for name, metric in measured.items()},
        "set_metrics": [name for name in metrics if name in SET_METRICS],
        "anchor": anchor or codecs[-1].name,
        "bpp_range": bpp_range,
        "left_out": dict(left_out or {}),
        "command": command,
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, {platform.system()}",
        "python": platform.python_version(),
    }
    (out_dir / "run.json").write_text(json.dumps(facts, indent=1) + "\n")
    _write_results(out_dir, outcomes, list(measured))
    _write_summary(out_dir, outcomes, codecs, list(measured), metrics, kinds, known)
    return outcomes


def measure_all(
    images: Sequence[TestImage],
    codecs: Sequence[Codec],
    metrics: Sequence[str],
    cache: Path,
    jobs: int = 1,
) -> list[Outcome]:
    """What came of every picture, codec and rate, in this order, with `cache` as for `evaluate`.

    Features for metrics of sets are only stored.
    """
    work = [Job(image, codec, rate) for image in images for codec in codecs for rate in codec.rates]
    for name in metrics:
        check(name)
    outcomes = []
    bar = tqdm(total=len(work), unit="file", smoothing=0.02, disable=None, desc="evaluate")
    with bar:
        for outcome in _work(work, (cache, tuple(metrics)), jobs):
            for stage, message in outcome.failures.items():
                bar.write(
                    f"{outcome.codec} at {outcome.rate:g} on {outcome.image}: {stage}: {message}",
                    file=sys.stderr,
                )
            outcomes.append(outcome)
            bar.update()
    return in_order(images, codecs, outcomes)


def in_order(
    images: Sequence[TestImage], codecs: Sequence[Codec], outcomes: Sequence[Outcome]
) -> list[Outcome]:
    """By picture, codec and rate, as they were asked for."""
    work = ((i.name, c.name, rate) for i in images for c in codecs for rate in c.rates)
    order = {job: number for number, job in enumerate(work)}
    return sorted(outcomes, key=lambda o: order[o.image, o.codec, o.rate])


def groups(kinds: Mapping[str, str]) -> list[str]:
    """What there are tables of: all pictures, and each kind if there are several."""
    several = dict.fromkeys(kinds.values())
    return [ALL, *(several if len(several) > 1 else ())]


def _work(work: Sequence[Job], setup: tuple[Path, tuple[str, ...]], jobs: int) -> Iterator[Outcome]:
    if jobs == 1:
        bench = _Bench(*setup)
        yield from map(bench.do, work)
        return
    todo = deque(work)
    while todo:
        lost = yield from _pool(todo, setup, jobs)
        # One of these took a process down: each gets one of its own, to find out which.
        for job in lost:
            if (yield from _pool(deque([job]), setup, 1)):
                yield Outcome(
                    job.image.name, job.codec.name, job.rate, failures={"process": "it crashed"}
                )


def _pool(
    todo: deque[Job], setup: tuple[Path, tuple[str, ...]], workers: int
) -> Generator[Outcome, None, list[Job]]:
    """Do `todo` in processes; returns the jobs under way when one of them died, if any did."""
    flying: dict[Future[Outcome], Job] = {}
    with ProcessPoolExecutor(workers, get_context("spawn"), _start, setup) as pool:
        while todo or flying:
            try:
                while todo and len(flying) < 2 * workers:
                    job = todo.popleft()
                    try:
                        flying[pool.submit(_do, job)] = job
                    except BrokenProcessPool:
                        todo.appendleft(job)
                        raise
                for future in wait(flying, return_when=FIRST_COMPLETED).done:
                    outcome = future.result()
                    del flying[future]
                    yield outcome
            except BrokenProcessPool:
                return list(flying.values())
    return []


class _Bench:
    """One process's metrics, set up once."""

    def __init__(self, cache: Path, metrics: Iterable[str]) -> None:
        self.cache = Cache(cache)
        self.metrics: list[Metric] = [METRICS[name]() for name in metrics if name in METRICS]
        self.lite0 = Lite0() if any(name in SET_METRICS for name in metrics) else None

    def do(self, job: Job) -> Outcome:
        outcome = Outcome(job.image.name, job.codec.name, job.rate)
        stage = "read"
        try:
            image, original = _picture(job.image.path)
            outcome.height, outcome.width = image.shape[:2]
            outcome.original = original
            outcome.key = key = self.cache.key(job.codec, original, job.rate)
            file = self.cache.file(key, job.codec.extension)
            outcome.file = file.relative_to(self.cache.folder.parent).as_posix()
            entry = self.cache.entry(key)
            stage = "encode"
            if entry is None or not file.is_file():
                data = job.codec.encode(image, job.rate)
                self.cache.store_file(key, job.codec.extension, data)
                entry = Entry(len(data))
                self.cache.store(key, entry)
            outcome.bytes = entry.bytes
            missing = [m for m in self.metrics if entry.metrics.get(m.name, ("",))[0] != m.version]
            features_missing = self.lite0 is not None and self.cache.features(key) is None
            if missing or features_missing:
                stage = "decode"
                decoded = job.codec.decode(file.read_bytes())
                if decoded.shape != image.shape or decoded.dtype != np.uint8:
                    raise ValueError(
                        f"decoded to {decoded.dtype} {decoded.shape}, the original is "
                        f"{image.dtype} {image.shape}"
                    )
                # Another version of a codec, or another codec, may have made the same pixels.
                pair = self.cache.pair(original, fingerprint(decoded))
                known = self.cache.entry(pair) or Entry(0)
                todo = [m for m in missing if known.metrics.get(m.name, ("",))[0] != m.version]
                self._measure(image, decoded, todo, known, outcome)
                self.cache.store(pair, known)
                for metric in missing:
                    if metric.name in known.metrics:
                        entry.metrics[metric.name] = known.metrics[metric.name]
                self.cache.store(key, entry)
                stage = "features"
                self._features(image, decoded, original, pair, key)
            for metric in self.metrics:
                _, value = entry.metrics.get(metric.name, ("", None))
                if value is not None:
                    outcome.metrics[metric.name] = value
        except Exception as error:  # whatever a codec throws, the others go on
            outcome.failures[stage] = f"{type(error).__name__}: {error}"
        return outcome

    def _measure(
        self,
        image: Picture,
        decoded: Picture,
        missing: Iterable[Metric],
        entry: Entry,
        outcome: Outcome,
    ) -> None:
        for metric in missing:
            try:
                entry.metrics[metric.name] = (metric.version, metric(image, decoded))
            except Exception as error:
                outcome.failures[metric.name] = f"{type(error).__name__}: {error}"

    def _features(
        self, image: Picture, decoded: Picture, original: str, pair: str, key: str
    ) -> None:
        if self.lite0 is None:
            return
        if self.cache.features(original) is None:
            self.cache.store_features(original, self.lite0(image))
        rows = self.cache.features(pair)
        if rows is None:
            rows = self.lite0(decoded)
            self.cache.store_features(pair, rows)
        self.cache.store_features(key, rows)


_bench: _Bench


def _start(cache: Path, metrics: Iterable[str]) -> None:
    global _bench
    # The processes are the parallelism. PyTorch, which not every metric loads, reads this then.
    os.environ["OMP_NUM_THREADS"] = "1"
    _bench = _Bench(cache, metrics)


def _do(job: Job) -> Outcome:
    return _bench.do(job)


@lru_cache(maxsize=1)
def _picture(path: Path) -> tuple[Picture, str]:
    image = read(path)
    return image, fingerprint(image)


def codec_facts(codec: Codec) -> dict[str, object]:
    return {
        "version": codec.version,
        "settings": codec.settings,
        "rates": list(codec.rates),
        "extension": codec.extension,
    }


def _metric_facts(metric: Metric) -> dict[str, object]:
    return {
        "title": metric.title,
        "version": metric.version,
        "higher_is_better": metric.higher_is_better,
        "training_loss": metric.training_loss,
    }


def _write_results(out_dir: Path, outcomes: Sequence[Outcome], metrics: Sequence[str]) -> None:
    with open(out_dir / "results.csv", "w", newline="") as results:
        table = csv.writer(results, lineterminator="\n")
        head = ["image", "pixels", "codec", "rate", "width", "height", "bytes", "bpp"]
        table.writerow([*head, *metrics, "file"])
        for o in outcomes:
            if o.bytes:
                values = [_number(o.metrics.get(name)) for name in metrics]
                line: list[object] = [o.image, o.original[:FINGERPRINT], o.codec, f"{o.rate:g}"]
                line += [o.width, o.height, o.bytes]
                table.writerow([*line, _number(o.bpp), *values, o.file])
    with open(out_dir / "failures.csv", "w", newline="") as failures:
        table = csv.writer(failures, lineterminator="\n")
        table.writerow(["image", "codec", "rate", "stage", "message"])
        for o in outcomes:
            for stage, message in o.failures.items():
                table.writerow([o.image, o.codec, f"{o.rate:g}", stage, message])


def _write_summary(
    out_dir: Path,
    outcomes: Sequence[Outcome],
    codecs: Sequence[Codec],
    metrics: Sequence[str],
    names: Sequence[str],
    kinds: Mapping[str, str],
    known: Known,
) -> None:
    """One line a kind of picture (and all of them), codec and rate: the means over the pictures
    with their standard errors, and the distances between the sets. A rate that failed on some
    picture counts the others. Lines of codecs that are known are as they were."""
    told = {(row["kind"], row["codec"], row["rate"]): row for row in known.summary}
    cache = Cache(out_dir / "cache")
    set_metrics = [name for name in names if name in SET_METRICS]
    with open(out_dir / "summary.csv", "w", newline="") as summary:
        table = csv.writer(summary, lineterminator="\n")
        columns = [c for name in ["bpp", *metrics] for c in (name, name + "_se")]
        head = ["kind", "codec", "rate", "images", *columns, "patches", *set_metrics]
        table.writerow(head)
        for kind, codec in product(groups(kinds), codecs):
            for rate in codec.rates:
                if row := told.get((kind, codec.name, f"{rate:g}")):
                    table.writerow([row[column] for column in head])
                    continue
                done = [
                    o
                    for o in outcomes
                    if (o.codec, o.rate) == (codec.name, rate)
                    and kind in (ALL, kinds[o.image])
                    and o.bytes
                ]
                if not done:
                    continue
                cells = [_number(v) for v in _mean([o.bpp for o in done])]
                for name in metrics:
                    values = [o.metrics[name] for o in done if name in o.metrics]
                    cells += [_number(v) for v in _mean(values)]
                cells += _distances(cache, done, set_metrics)
                table.writerow([kind, codec.name, f"{rate:g}", len(done), *cells])


def _distances(cache: Cache, done: Sequence[Outcome], set_metrics: Sequence[str]) -> list[str]:
    if not set_metrics:
        return [""]
    pairs = [(cache.features(o.original), cache.features(o.key)) for o in done]
    whole = [(a, b) for a, b in pairs if a is not None and b is not None]
    if not whole:
        return ["0", *[""] * len(set_metrics)]
    originals, decoded = (np.concatenate(part) for part in zip(*whole, strict=True))
    cells = [str(len(originals))]
    for name in set_metrics:
        try:
            cells.append(_number(DISTANCES[name](originals, decoded)))
        except ValueError:  # too few patches: the number of them stands beside the empty cell
            cells.append("")
    return cells


def _mean(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean and standard error."""
    if not values or not all(map(math.isfinite, values)):
        return (values[0] if values else None), None
    spread = np.std(values, ddof=1) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return float(np.mean(values)), float(spread)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
