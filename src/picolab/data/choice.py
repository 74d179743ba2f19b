"""Which originals are worth training on, and may be."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from picolab.data.likeness import Known
from picolab.data.originals import Original
from picolab.data.photos import Glance
from picolab.data.sources import Review

LONGEST = 4.2  # times its shorter side: more is a panorama or a strip
LEAST_QUALITY = 70  # of a JPEG photo: less teaches its blocks
LEAST_DEVIATION = 12.0  # of the brightness: less is a plain ground
ALIKE = {"natural": 8, "text": 3, "graphics": 3}  # bits: pages are all a little alike
ALIKE_EVALUATION = {"natural": 10, "text": 3, "graphics": 3}
WELL_KEPT = 92  # quality above which a smaller version is preferred to one of twice its pixels


@dataclass(frozen=True)
class Seen:
    """An original, what a glance at it told, and what it shows."""

    original: Original
    glance: Glance
    category: str

    @property
    def worth(self) -> int:
        """Which of two versions is better: the one with more pixels, or better kept ones."""
        clean = self.glance.quality > WELL_KEPT
        return self.glance.width * self.glance.height * (2 if clean else 1)


def choose(
    seen: Iterable[Seen], evaluation: Iterable[int], review: Review, first: Collection[str] = ()
) -> tuple[list[Seen], Counter[tuple[str, str]]]:
    """The originals to cut, in a fixed order, and how many were left out by source and reason.

    Of several versions of a picture the best wins, but those called `first` come before all, so
    that what is known already keeps its name. `evaluation` are hashes of what may not be trained
    on.
    """
    kept: list[Seen] = []
    left_out: Counter[tuple[str, str]] = Counter()
    held, known = Known((*evaluation, *review.evaluation_hashes)), Known()
    names: set[str] = set()
    groups: set[tuple[str, str]] = set()
    order = sorted(seen, key=lambda s: (s.original.id not in first, -s.worth, s.original.id))
    for one in order:
        group = _group(one)
        reason = _unfit(one, review)
        if one.original.id in names or (group and group in groups):
            reason = "another copy"
        if not reason and held.distance(one.glance.hash) <= ALIKE_EVALUATION[one.category]:
            reason = "like an evaluation picture"
        if not reason and known.distance(one.glance.hash) <= ALIKE[one.category]:
            reason = "near-duplicate"
        if reason:
            left_out[one.original.source.name, reason] += 1
            continue
        known.add(one.glance.hash)
        names.add(one.original.id)
        if group:
            groups.add(group)
        kept.append(one)
    kept.sort(key=lambda s: (s.category, s.original.source.name, s.original.path))
    return kept, left_out


def _unfit(one: Seen, review: Review) -> str:
    """Why an original cannot be used by itself, or nothing."""
    glance, source = one.glance, one.original.source
    if one.original.id in review.drop:
        return "left out by review"
    if glance.width * glance.height < 1e6 * source.least_megapixels:
        return "too small"
    if max(glance.width, glance.height) > LONGEST * min(glance.width, glance.height):
        return "too long"
    if one.category == "natural" and 0 < glance.quality < LEAST_QUALITY:
        return "low JPEG quality"
    if glance.deviation < LEAST_DEVIATION:
        return "plain"
    return ""


def _group(one: Seen) -> tuple[str, str] | None:
    source = one.original.source
    found = re.search(source.one_of, one.original.path) if source.one_of else None
    return (source.name, found.group(1)) if found else None
