"""A finished run, read back from its folder, and the comparisons drawn from it."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from picolab.evaluation.bjontegaard import (
    Curve,
    EqualBytes,
    Range,
    Refused,
    Summary,
    at_equal_bytes,
    over_images,
)
from picolab.evaluation.metrics import SET_METRICS
from picolab.evaluation.runner import ALL, groups


@dataclass(frozen=True)
class Comparison:
    """BD-rate of a codec against an anchor over one metric and one kind of pictures (or all), or
    the reason why there is none."""

    kind: str
    codec: str
    anchor: str
    metric: str
    summary: Summary | None
    reason: str = ""


class Run:
    """The folder that `runner.evaluate` wrote. Raises `FileNotFoundError` for one that is not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / "run.json").is_file():
            raise FileNotFoundError(f"{folder} is no finished run of picolab evaluate: no run.json")
        self.facts: dict[str, Any] = json.loads((folder / "run.json").read_text())
        self.codecs = list(self.facts["codecs"])
        self.metrics = list(self.facts["metrics"])
        self.set_metrics = list(self.facts["set_metrics"])
        self.bpp_range: Range | None = (
            tuple(self.facts["bpp_range"]) if self.facts.get("bpp_range") else None
        )

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        """Of `results.csv`: one a picture, codec and rate."""
        return self._table("results.csv")

    @cached_property
    def summary(self) -> list[dict[str, str]]:
        """Of `summary.csv`, over all pictures: one a codec and rate."""
        return [row for row in self.summaries if row["kind"] == ALL]

    @cached_property
    def summaries(self) -> list[dict[str, str]]:
        """Of `summary.csv`: one a kind of pictures, and all of them, codec and rate."""
        return self._table("summary.csv")

    @property
    def kinds(self) -> dict[str, int]:
        """How many pictures there are of each kind; nothing if there is but one kind."""
        of_images = self.facts["kinds"]
        counts = Counter(of_images.values())
        return {kind: counts[kind] for kind in groups(of_images) if kind != ALL}

    @cached_property
    def failures(self) -> list[dict[str, str]]:
        return self._table("failures.csv")

    @property
    def cost(self) -> dict[str, Any] | None:
        file = self.folder / "cost.json"
        return json.loads(file.read_text()) if file.is_file() else None

    @property
    def subject(self) -> str:
        """The codec that the report is about."""
        return "picocodec" if "picocodec" in self.codecs else self.codecs[0]

    @property
    def anchor(self) -> str:
        return self.facts["anchor"]

    def title(self, metric: str) -> str:
        return SET_METRICS.get(metric) or self.facts["metrics"][metric]["title"]

    def higher_is_better(self, metric: str) -> bool:
        return metric not in SET_METRICS and self.facts["metrics"][metric]["higher_is_better"]

    def training_loss(self, metric: str) -> bool:
        return metric not in SET_METRICS and self.facts["metrics"][metric]["training_loss"]

    def curves(self, codec: str, metric: str, kind: str = ALL) -> dict[str, Curve]:
        """The codec's curve for each picture of the kind; a metric of sets has one curve."""
        of_images = self.facts["kinds"]
        points: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for row in self.summaries if metric in SET_METRICS else self.rows:
            of_row = [row["kind"]] if "kind" in row else [ALL, of_images[row["image"]]]
            if kind in of_row and row["codec"] == codec and row[metric]:
                quality = self._quality(metric, float(row[metric]))
                points[row.get("image", ALL)].append((float(row["bpp"]), quality))
        return {
            name: Curve([bpp for bpp, _ in line], [quality for _, quality in line])
            for name, line in points.items()
        }

    def compare(self, codec: str, anchor: str, metric: str, kind: str = ALL) -> Comparison:
        first, second = (self.curves(name, metric, kind) for name in (anchor, codec))
        try:
            summary = over_images(first, second, self.bpp_range)
        except Refused as reason:
            return Comparison(kind, codec, anchor, metric, None, str(reason))
        return Comparison(kind, codec, anchor, metric, summary)

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """Every codec against the anchor, then the subject against every other codec; over all
        pictures, then over each kind."""
        pairs = [(codec, self.anchor) for codec in self.codecs if codec != self.anchor]
        others = [(self.subject, codec) for codec in self.codecs if codec != self.subject]
        pairs += [pair for pair in others if pair not in pairs]
        metrics = [*self.metrics, *self.set_metrics]
        return [
            self.compare(codec, anchor, metric, kind)
            for kind in (ALL, *self.kinds)
            for codec, anchor in pairs
            for metric in metrics
        ]

    def at_equal_bytes(
        self, codec: str, metric: str, bpp_range: Range, kind: str = ALL
    ) -> EqualBytes | None:
        """The codec beside the anchor, in the metric's own values (MS-SSIM in decibels); None
        where they have no rates in common."""
        anchor, test = (self.curves(name, metric, kind) for name in (self.anchor, codec))
        try:
            found = at_equal_bytes(anchor, test, bpp_range)
        except Refused:
            return None
        if metric == "ms_ssim" or self.higher_is_better(metric):
            return found
        return replace(found, anchor=0 - found.anchor, test=0 - found.test)  # 0 has no sign

    def _quality(self, metric: str, value: float) -> float:
        """On a scale that grows with quality: MS-SSIM in decibels, distances negated."""
        if metric == "ms_ssim":
            return math.inf if value >= 1 else -10 * math.log10(1 - value)
        return value if self.higher_is_better(metric) else -value

    def value(self, metric: str, quality: float) -> float:
        """The metric's own value for one of the scale of `curves`."""
        if metric == "ms_ssim":
            return 1 - 10 ** (-quality / 10)
        return quality if self.higher_is_better(metric) else -quality

    def at_bpp(self, bpp: float) -> Iterator[dict[str, str]]:
        """The subject's row of each picture, at the rate whose mean is nearest to `bpp`."""
        lines = [row for row in self.summary if row["codec"] == self.subject]
        nearest = min(lines, key=lambda row: abs(float(row["bpp"]) - bpp))
        for row in self.rows:
            if row["codec"] == self.subject and row["rate"] == nearest["rate"]:
                yield row

    def _table(self, name: str) -> list[dict[str, str]]:
        with open(self.folder / name, newline="") as table:
            return list(csv.DictReader(table))
