"""Results kept as data, and what is made of them: `docs/results/MODEL/ENCODER/RUN/`.

ENCODER is the digest of code and weights that the evaluation gives picocodec; a folder has
`run.json`, `results.csv`, `summary.csv` and `bd_rate.csv` of a finished run, without the machine's
paths and encoded files, and its report. The page of all of them is made of these files alone.
"""

from __future__ import annotations

import csv
import json
import shlex
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from picolab.evaluation import plots
from picolab.evaluation.report import write_markdown
from picolab.evaluation.results import Run
from picolab.evaluation.runner import ALL

PLOTTED = "lpips_alex"  # on the page; the reports plot every metric
HEAD = """\
# Results

Generated, never typed: `picolab results docs/results -o docs/results.md`, from the CSV files of
each run. Every run names its model and its encoder, the digest of picocodec's code and weights.
[evaluation.md](evaluation.md) says how they are measured.

Bytes that picocodec takes more (+) or fewer (-) than each codec at equal quality: the mean over
pictures of the BD-rate, in brackets its 95 % interval over pictures. "Refused" counts pictures
where the curves have too little in common. Sizes are those of whole files. † is near a loss of our
training, which flatters us.
"""


@dataclass(frozen=True)
class Published:
    """The results of one run. `facts` are those of `run.json`."""

    folder: Path
    facts: dict[str, Any]

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def title(self) -> str:
        return f"{self.name}: {self.facts['model']}, encoder {self.facts['encoder']}"

    @property
    def pictures(self) -> str:
        return ", ".join(f"{name} ({count})" for name, count in self.facts["pictures"].items())

    def bd_rates(self) -> list[dict[str, str]]:
        with open(self.folder / "bd_rate.csv", newline="") as file:
            return list(csv.DictReader(file))


def publish(run: Run, results: Path, model: str) -> Path:
    """Keep a finished run under `results`; returns its folder.

    Raises `ValueError` for a run without picocodec, `FileExistsError` where these results are.
    """
    if run.subject not in run.codecs or not run.subject.startswith("picocodec"):
        raise ValueError(f"{run.folder}: picocodec is not among the codecs of this run")
    encoder = run.facts["codecs"][run.subject]["version"].split()[-1]
    place = results / model / encoder / run.folder.name
    place.mkdir(parents=True)
    run.facts["command"] = without_folders(run.facts["command"])
    facts = {key: value for key, value in run.facts.items() if key not in ("images", "kinds")}
    sets = Counter(name.split("/")[0] for name in run.facts["images"])
    facts = {"model": model, "encoder": encoder, "pictures": sets, "kinds": run.kinds, **facts}
    (place / "run.json").write_text(json.dumps(facts, indent=1) + "\n")
    for name in ("summary.csv", "bd_rate.csv"):
        shutil.copyfile(run.folder / name, place / name)
    with open(place / "results.csv", "w", newline="") as table:
        columns = [column for column in run.rows[0] if column != "file"]
        rows = csv.DictWriter(table, columns, extrasaction="ignore", lineterminator="\n")
        rows.writeheader()
        rows.writerows(run.rows)
    write_markdown(run, place / "report.md")
    return place


def without_folders(command: str) -> str:
    """A command without where on this machine its files and folders lie."""
    words = (Path(word).name if Path(word).is_absolute() else word for word in shlex.split(command))
    return shlex.join(words)


def read(results: Path) -> list[Published]:
    """All runs, the newest models last; raises `ValueError` where there are none."""
    found = [
        Published(file.parent, json.loads(file.read_text()))
        for file in sorted(results.glob("*/*/*/run.json"))
    ]
    if not found:
        raise ValueError(f"{results} has no results, MODEL/ENCODER/RUN/run.json")
    return found


def write_page(results: Path, page: Path) -> None:
    """The Markdown page of all runs, and a plot of each beside its data."""
    published = read(results)
    for one in published:
        run = Run(one.folder)
        if PLOTTED in run.metrics:
            plots.write_svg(run, PLOTTED, one.folder / f"{PLOTTED}.svg")
    page.write_text("\n".join([HEAD, *(_section(one, page.parent) for one in published)]))


def _section(one: Published, above: Path) -> str:
    place = one.folder.relative_to(above).as_posix()
    facts = one.facts
    low, high = facts["bpp_range"] or (None, None)
    over = f", over {low:g} to {high:g} bpp of {facts['anchor']}" if low is not None else ""
    parts = [f"## {one.title}\n", f"Pictures: {one.pictures}{over}.\n"]
    titles = _titles(facts)
    for kind in (ALL, *facts["kinds"]):
        parts += [] if kind == ALL else [f"Only {kind} ({facts['kinds'][kind]}):\n"]
        head = ["", *titles.values()]
        rows = [head, ["---"] * len(head), *_rows(one, kind, list(titles))]
        parts += ["\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"]
    if PLOTTED in titles:
        title = facts["metrics"][PLOTTED]["title"]
        parts.append(f"![{title} against bits per pixel]({place}/{PLOTTED}.svg)\n")
    parts.append(
        f"[Report]({place}/report.md) with settings and versions, "
        f"[each picture]({place}/results.csv), [means]({place}/summary.csv), "
        f"[BD-rates]({place}/bd_rate.csv).\n"
    )
    return "\n".join(parts)


def _titles(facts: dict[str, Any]) -> dict[str, str]:
    """Of the metrics, by name; †: near a loss of our training."""
    from picolab.evaluation.metrics import SET_METRICS

    titles = {
        name: fact["title"] + (" †" if fact["training_loss"] else "")
        for name, fact in facts["metrics"].items()
    }
    return titles | {name: SET_METRICS[name] for name in facts["set_metrics"]}


def _rows(one: Published, kind: str, metrics: list[str]) -> Iterator[list[str]]:
    """A row for each codec that picocodec is compared with."""
    subject = "picocodec"
    cells: dict[str, dict[str, str]] = {}
    for row in one.bd_rates():
        if (row["kind"], row["codec"]) == (kind, subject):
            cells.setdefault(row["anchor"], {})[row["metric"]] = _cell(row)
    for anchor, of_metrics in cells.items():
        yield [anchor, *(of_metrics.get(metric, "") for metric in metrics)]


def _cell(row: dict[str, str]) -> str:
    if not row["percent"]:
        return "refused"
    cell = f"{float(row['percent']):+.0f} %"
    if row["low95"]:
        cell += f" [{float(row['low95']):+.0f}, {float(row['high95']):+.0f}]"
    return cell + (f", {row['refused']} refused" if int(row["refused"]) else "")
