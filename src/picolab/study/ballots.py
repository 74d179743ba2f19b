"""Votes in files, one CSV form for own studies and for public sets; and who is left out."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from picolab.study.settings import ExclusionRule
from picolab.study.votes import ANSWERS, Condition, Stimuli, Votes

PAIR, TRAP, SCREEN, PLATE = "pair", "trap", "screen", "plate"

COLUMNS = {
    "rater": "random name of a rater, unique in the file; no name, no address",
    "trial": "which of the rater's tasks, from 0; may be empty",
    "kind": "pair: a comparison that counts; trap: one with a known answer among the pairs; "
    "screen: one before them; plate: a colour plate. Empty means pair",
    "picture": "name of the original; empty for plates",
    "left_codec": "codec of the left picture; empty unless pair",
    "left_rate": "its setting, a number; empty unless pair",
    "left_bpp": "bits per pixel of its whole file; may be empty, then there are no BD-rates",
    "right_codec": "as left_codec",
    "right_rate": "as left_rate",
    "right_bpp": "as left_bpp",
    "answer": "left, right: that one is closer to the original; tie: no difference; for plates a "
    "digit or none",
    "expected": "the right answer of traps, screens and plates; empty for pairs",
    "how": "active: chosen by information; random; empty where not known",
    "response_ms": "milliseconds from when the pictures showed to the answer; may be empty",
    "looks": "how often the reference was looked at on demand; may be empty",
    "seconds": "from the beginning of the session to the answer; may be empty",
}
"""The columns of a file of votes and what they mean: its data dictionary."""

NEEDED = ("rater", "picture", "left_codec", "left_rate", "right_codec", "right_rate", "answer")


@dataclass
class RaterFacts:
    """What the exclusion rule looks at: traps seen and failed, and times of answers in ms."""

    name: str
    votes: int = 0
    traps: int = 0
    wrong: int = 0
    times: list[float] = field(default_factory=list)

    def reason(self, rule: ExclusionRule) -> str | None:
        """Why the rater is left out; None for one who is not."""
        if self.wrong >= rule.least_wrong and self.wrong > rule.wrong_share * self.traps:
            return f"{self.wrong} of {self.traps} traps wrong"
        if self.times and np.median(self.times) < rule.least_median_ms:
            return f"median answer after {np.median(self.times):.0f} ms"
        return None


@dataclass(frozen=True)
class Ballots:
    """All votes on pairs, and the facts about each rater, those without a vote too."""

    votes: Votes
    facts: Sequence[RaterFacts]

    def excluded(self, rule: ExclusionRule) -> dict[str, str]:
        """Raters to leave out, with the reason."""
        reasons = {facts.name: facts.reason(rule) for facts in self.facts}
        return {name: reason for name, reason in reasons.items() if reason is not None}

    def counted(self, rule: ExclusionRule) -> Votes:
        """The votes of the others."""
        return self.votes.without_raters(list(self.excluded(rule)))


def read(path: Path) -> Ballots:
    """A file of votes, `COLUMNS` in any order; those of `NEEDED` must be there.

    Raises `ValueError` naming the line for what is not in this form, `OSError` for no file.
    """
    with open(path, newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        missing = [name for name in NEEDED if name not in (table.fieldnames or ())]
        if missing:
            raise ValueError(f"{path}: no column {', '.join(missing)}; see docs/study.md")
        return from_rows(table, str(path))


def from_rows(rows: Iterable[dict[str, str]], source: str = "votes") -> Ballots:
    """Ballots of rows in the form of `COLUMNS`. Raises `ValueError` as `read` does."""
    counting = _Counting()
    for number, row in enumerate(rows, 2):
        try:
            counting.add(row)
        except (KeyError, ValueError, TypeError) as error:
            raise ValueError(f"{source}, line {number}: {error}") from error
    return counting.ballots()


def write(path: Path, rows: Iterable[dict[str, object]]) -> int:
    """Write rows in the form of `COLUMNS`; returns how many."""
    count = 0
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(COLUMNS), lineterminator="\n", restval="")
        table.writeheader()
        for row in rows:
            table.writerow(row)
            count += 1
    return count


def dictionary() -> str:
    """The data dictionary as Markdown."""
    lines = ["| column | meaning |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| `{name}` | {text} |" for name, text in COLUMNS.items())]) + "\n"


class _Counting:
    def __init__(self) -> None:
        self.bpp: dict[tuple[str, Condition], float] = {}
        self.pairs: list[tuple[str, tuple[str, Condition], tuple[str, Condition], int]] = []
        self.facts: dict[str, RaterFacts] = {}

    def add(self, row: dict[str, str]) -> None:
        name, kind = row["rater"], row.get("kind") or PAIR
        if not name:
            raise ValueError("a vote without a rater")
        if kind not in (PAIR, TRAP, SCREEN, PLATE):
            raise ValueError(f"no kind is called {kind}")
        facts = self.facts.setdefault(name, RaterFacts(name))
        if kind in (SCREEN, PLATE):
            return
        answer = row["answer"]
        if answer not in ANSWERS:
            raise ValueError(f"the answer is {', '.join(ANSWERS)}, not {answer!r}")
        if row.get("response_ms"):
            facts.times.append(float(row["response_ms"]))
        if kind == TRAP:
            facts.traps += 1
            facts.wrong += answer != row["expected"]
            return
        facts.votes += 1
        left, right = self._stimulus(row, "left"), self._stimulus(row, "right")
        if left == right:
            raise ValueError("both pictures are the same")
        self.pairs.append((name, left, right, ANSWERS.index(answer)))

    def _stimulus(self, row: dict[str, str], side: str) -> tuple[str, Condition]:
        condition = Condition(row[f"{side}_codec"], float(row[f"{side}_rate"]))
        stimulus = (row["picture"], condition)
        bpp = float(row.get(f"{side}_bpp") or "nan")
        if np.isnan(self.bpp.get(stimulus, np.nan)):
            self.bpp[stimulus] = bpp
        return stimulus

    def ballots(self) -> Ballots:
        keys = sorted(self.bpp)
        pictures = tuple(sorted({picture for picture, _ in keys}))
        conditions = tuple(sorted({condition for _, condition in keys}))
        number = {key: place for place, key in enumerate(keys)}
        stimuli = Stimuli(
            pictures,
            conditions,
            np.array([pictures.index(picture) for picture, _ in keys], np.int64),
            np.array([conditions.index(condition) for _, condition in keys], np.int64),
            np.array([self.bpp[key] for key in keys], np.float64),
        )
        by_rater: dict[str, int] = defaultdict(lambda: len(by_rater))
        columns = [(number[a], number[b], by_rater[name], said) for name, a, b, said in self.pairs]
        left, right, rater, answer = np.array(columns, np.int64).reshape(-1, 4).T
        votes = Votes(stimuli, tuple(by_rater), left, right, rater, answer)
        return Ballots(votes, list(self.facts.values()))
