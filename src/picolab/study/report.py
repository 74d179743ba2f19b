"""`picolab study rate`: from votes to tables, a plot, perceptual BD-rates and the raw votes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from picolab.study import ballots as files
from picolab.study.agreement import Agreement, agreement, of_stimuli, scores
from picolab.study.ballots import Ballots
from picolab.study.belief import integrate
from picolab.study.plots import draw_elo
from picolab.study.ratings import (
    MOST_REFUSED,
    PerceptualDelta,
    Posterior,
    Rating,
    deltas,
    from_belief,
    from_sample,
    ratings,
)
from picolab.study.sampling import sample
from picolab.study.settings import ExclusionRule
from picolab.study.votes import Votes

NOTES = """\
Elo: 400 points are odds of 10 to 1 for a typical rater who sees a difference; 1500 is the mean over
all codecs and rates of this study, so that numbers compare within it only. Intervals are 95 %
credible intervals: the first of the pictures shown, the second of pictures like these. Perceptual
BD-rate: bytes more (+) or fewer (-) than the anchor's at equal Elo, median and 95 % interval over
draws of the posterior; PCHIP of the log of the mean bits per pixel over Elo, nothing extrapolated.
"""


@dataclass(frozen=True)
class Sampling:
    """How the posterior is found: nuts with so many draws, or laplace."""

    method: str = "nuts"
    draws: int = 2000
    warmup: int = 500
    chains: int = 4
    seed: int = 0


@dataclass(frozen=True)
class Report:
    """The report's text, and why it should be read with care."""

    markdown: str
    warnings: list[str]


@dataclass(frozen=True)
class _Found:
    ballots: Ballots
    votes: Votes
    excluded: dict[str, str]
    posterior: Posterior
    ratings: list[Rating]
    deltas: list[PerceptualDelta]
    agreements: list[Agreement]


def rate(
    source: str,
    folder: Path,
    sampling: Sampling,
    metrics: Sequence[str] = (),
    rule: ExclusionRule | None = None,
) -> Report:
    """Rate the votes of a study's database or a `.csv` file and write everything into `folder`.

    `rule` says who is left out of a file's votes; a database has a rule of its own. Raises
    `ValueError` for votes that cannot be read, metrics without a database, a rule beside one, no
    votes left.
    """
    if source.endswith(".csv"):
        if metrics:
            raise ValueError("metrics need the pictures: rate the study's database, not a file")
        ballots, rule, known = files.read(Path(source)), rule or ExclusionRule(), {}
        rows: list[dict[str, object]] = []
    else:
        from picolab.study import export, schema

        if rule is not None:
            raise ValueError("the study's plan fixed who is left out; it is not decided afterwards")
        with schema.opened(source) as engine:
            ballots, rule = export.ballots(engine), export.settings(engine).exclusion
            known, rows = scores(engine, metrics), list(export.rows(engine))
    votes = ballots.counted(rule)
    if not len(votes):
        raise ValueError("there are no votes to rate, or none of a rater who counts")
    posterior = posterior_of(votes, sampling)
    counts = np.bincount(
        votes.stimuli.condition[np.concatenate([votes.left, votes.right])],
        minlength=len(votes.stimuli.conditions),
    )
    agreements = [agreement(n, of_stimuli(s, votes.stimuli), votes) for n, s in known.items()]
    if agreements:
        mean = posterior.stimulus.mean(0)
        agreements.append(agreement("the ratings themselves", mean, votes))
    found = _Found(
        ballots,
        votes,
        ballots.excluded(rule),
        posterior,
        ratings(posterior, counts),
        deltas(posterior),
        agreements,
    )
    return _write(found, folder, rows)


def posterior_of(votes: Votes, sampling: Sampling) -> Posterior:
    """Draws of the ratings by the method asked for."""
    if sampling.method == "laplace":
        return from_belief(integrate(votes))
    drawn = sample(votes, sampling.draws, sampling.warmup, sampling.chains, sampling.seed)
    posterior = from_sample(drawn)
    method = f"NUTS (NumPyro), {sampling.chains} chains of {sampling.draws} draws, worst R-hat "
    method += f"{drawn.rhat:.3f}, least effective sample size {drawn.effective:.0f}"
    return replace(posterior, method=f"{method}, {drawn.divergences} divergences")


def _write(found: _Found, folder: Path, rows: list[dict[str, object]]) -> Report:
    folder.mkdir(parents=True, exist_ok=True)
    _write_ratings(found.ratings, folder / "ratings.csv")
    _write_deltas(found.deltas, folder / "bd_rate.csv")
    draw_elo(found.ratings, folder)
    if rows:
        files.write(folder / "votes.csv", rows)
    (folder / "votes.md").write_text(
        "# Data dictionary of votes.csv\n\n" + files.dictionary(), encoding="utf-8"
    )
    if found.agreements:
        _write_agreements(found.agreements, folder / "agreement.csv")
    warnings = list(found.posterior.warnings)
    for delta in found.deltas:
        if not delta.reason and delta.refused > MOST_REFUSED:
            warnings.append(
                f"{delta.codec} against {delta.anchor}: {delta.refused:.0%} of the draws have no "
                "BD-rate and are not in its interval"
            )
    text = _markdown(found, warnings)
    (folder / "report.md").write_text(text, encoding="utf-8")
    return Report(text, warnings)


def _write_ratings(found: Sequence[Rating], path: Path) -> None:
    head = [
        "codec",
        "rate",
        "bpp",
        "elo",
        "low95",
        "high95",
        "alike_low95",
        "alike_high95",
        "votes",
    ]
    lines = [
        [r.condition.codec, f"{r.condition.rate:g}", f"{r.bpp:.5g}"]
        + [f"{value:.2f}" for value in (r.elo, *r.interval, *r.alike)]
        + [str(r.votes)]
        for r in found
    ]
    _table(path, head, lines)


def _write_deltas(found: Sequence[PerceptualDelta], path: Path) -> None:
    head = ["codec", "anchor", "percent", "low95", "high95", "draws_refused", "reason"]
    lines = [
        [d.codec, d.anchor]
        + [f"{value:.2f}" for value in (d.percent, *d.interval)]
        + [f"{d.refused:.4f}", d.reason]
        for d in found
    ]
    _table(path, head, lines)


def _write_agreements(found: Sequence[Agreement], path: Path) -> None:
    lines = [
        [a.name, *(f"{value:.4f}" for value in (a.share, *a.interval)), str(a.votes)] for a in found
    ]
    _table(path, ["metric", "agreement", "low95", "high95", "votes"], lines)


def _table(path: Path, head: list[str], lines: list[list[str]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(head)
        table.writerows(lines)


def _markdown(found: _Found, warnings: list[str]) -> str:
    counted = len(set(found.votes.rater.tolist()))
    parts = [
        "# What raters said\n",
        f"{len(found.votes)} comparisons by {counted} raters, over "
        f"{len(found.votes.stimuli.pictures)} pictures; {_excluded(found)} "
        f"{found.posterior.method}.\n",
    ]
    if warnings:
        parts.append("**Read with care**: " + "; ".join(warnings) + ".\n")
    parts += ["## Elo\n", "![Elo against bits per pixel](elo.svg)\n", _elo_table(found.ratings)]
    parts += ["\n## Perceptual BD-rate\n", _delta_table(found.deltas)]
    if found.agreements:
        parts += ["\n## Metrics as raters\n", _agreement_table(found.agreements)]
    parts.append("\n" + NOTES)
    return "\n".join(parts)


def _excluded(found: _Found) -> str:
    with_votes = {facts.name for facts in found.ballots.facts if facts.votes or facts.traps}
    out = [name for name in found.excluded if name in with_votes]
    return f"{len(out)} more left out by the rule." if out else "nobody left out."


def _elo_table(found: Sequence[Rating]) -> str:
    lines = ["| codec | rate | bpp | Elo | these pictures | pictures like these | votes |"]
    lines.append("| --- | ---: | ---: | ---: | --- | --- | ---: |")
    for r in found:
        bounds = [f"{low:.0f} to {high:.0f}" for low, high in (r.interval, r.alike)]
        bpp = "" if np.isnan(r.bpp) else f"{r.bpp:.3f}"
        name = f"| {r.condition.codec} | {r.condition.rate:g} | {bpp} |"
        lines.append(f"{name} {r.elo:.0f} | {bounds[0]} | {bounds[1]} | {r.votes} |")
    return "\n".join(lines) + "\n"


def _delta_table(found: Sequence[PerceptualDelta]) -> str:
    codecs = list(dict.fromkeys(delta.anchor for delta in found))
    if len(codecs) < 2:
        return "There is but one codec.\n"
    cells = {(d.codec, d.anchor): _cell(d) for d in found}
    lines = ["| | " + " | ".join(f"against {name}" for name in codecs) + " |"]
    lines.append("| --- |" + " --- |" * len(codecs))
    for codec in codecs:
        row = " | ".join(cells.get((codec, anchor), "") for anchor in codecs)
        lines.append(f"| {codec} | {row} |")
    reasons = dict.fromkeys(delta.reason for delta in found if delta.reason)
    return "\n".join(lines) + "\n" + "".join(f"\nNone: {reason}." for reason in reasons)


def _cell(delta: PerceptualDelta) -> str:
    if delta.reason:
        return "none"
    low, high = delta.interval
    return f"{delta.percent:+.1f} % ({low:+.1f} to {high:+.1f})"


def _agreement_table(found: Sequence[Agreement]) -> str:
    lines = [
        "| metric | agrees with raters | 95 % interval | preferences |",
        "| --- | --- | --- | --- |",
    ]
    for a in sorted(found, key=lambda a: -a.share):
        low, high = a.interval
        lines.append(f"| {a.name} | {a.share:.1%} | {low:.1%} to {high:.1%} | {a.votes} |")
    return (
        "\n".join(lines) + "\n\nOf raters' preferences, ties left out; intervals over pictures.\n"
    )
