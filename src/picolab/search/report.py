"""What a search found, as Markdown and as a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from picolab.networks.shape import Shape
from picolab.search.cost import cost_of
from picolab.search.funnel import (
    Priced,
    Target,
    Timings,
    reference_names,
    references,
    standing,
)
from picolab.search.predictor import rank_correlation
from picolab.search.rounds import Round, bd
from picolab.search.space import Side
from picolab.search.store import Result, Store


@dataclass(frozen=True)
class Entry:
    """A shape as it stands at the end of a round."""

    name: str
    shape: Shape
    time: float
    rate: float  # BD-rate in percent against the mean of the reference's seeds
    reference: bool = False


def shares(side: Side, priced: Priced, device: str, tile: int) -> list[str]:
    """Stage 1 as lines."""
    inside = len(priced.drawn)
    return [
        f"- Side: {side.name}; base: `{side.base.name}`; fields: {', '.join(side.choices)}.",
        f"- Configurations: {side.count:,}; in the window of MACs: {inside:,}.",
        f"- Device: {device}; tiles of {tile}x{tile}; times are shares of `{side.base.name}`'s.",
    ]


def timing_table(timings: Timings, target: Target, failed: int) -> list[str]:
    """Stage 2 as lines."""
    accuracy = timings.accuracy
    values = list(timings.times.values())
    rows = [
        ("timed", f"{len(values)}"),
        ("of which the device failed on", f"{failed}"),
        ("fastest and slowest", f"{min(values):.2f} and {max(values):.2f}"),
        ("median error of the predictor, on the other half", f"{accuracy.median_error:.1%}"),
        ("90th percentile of its errors", f"{accuracy.high_error:.1%}"),
        ("rank correlation of its predictions with time", f"{accuracy.rank:.3f}"),
        ("rank correlation of MACs with time", f"{accuracy.rank_of_macs:.3f}"),
        (
            f"in the window, predicted within {target.tolerance:.0%} of {target.time:g}",
            f"{len(timings.near):,}",
        ),
    ]
    return table(["", ""], rows)


def entries(
    side: Side, results: Mapping[str, Result], shapes: Sequence[int], times: Mapping[int, float]
) -> list[Entry]:
    """A round's shapes, the best first, the reference with its BD-rate of 0 among them."""
    found = [
        Entry(f"{side.base.name}-{name}", side.shape(int(name)), times[int(name)], rate)
        for name, rate in standing(results, shapes)
    ]
    return sorted([*found, Entry(side.base.name, side.base, 1.0, 0.0, True)], key=lambda e: e.rate)


def spread(results: Mapping[str, Result]) -> float:
    """How far the two seeds of the reference are apart: a BD-rate in percent."""
    first, second = references(results)
    return bd([first], [second])


def agreement(store: Store, rounds: Sequence[Round], shapes: Sequence[int]) -> list[float]:
    """The rank correlation of each round with the next, over the shapes that both have."""
    found = []
    for at in range(len(rounds) - 1):
        before = dict(standing(store.results(at), shapes))
        after = dict(standing(store.results(at + 1), shapes))
        both = sorted(before.keys() & after.keys())
        found.append(rank_correlation([before[n] for n in both], [after[n] for n in both]))
    return found


def training_tables(
    side: Side,
    store: Store,
    rounds: Sequence[Round],
    shapes: Sequence[int],
    times: Mapping[int, float],
) -> list[str]:
    """Stages 3 and 4 as lines: rounds, how far they agree, and every shape where it ended."""
    agreed = [*agreement(store, rounds, shapes), float("nan")]
    rows = []
    for at, each in enumerate(rounds):
        results = store.results(at)
        ranked = standing(results, shapes)
        if set(reference_names()) - results.keys() or not ranked:
            break
        seconds = sum(result.cpu_seconds for result in results.values())
        rows.append(
            (
                f"{at + 1}",
                f"{len(ranked)} of {each.shapes}",
                f"{each.pixels:.3g}",
                f"{ranked[0][1]:+.2f} %",
                f"{ranked[len(ranked) // 2][1]:+.2f} %",
                f"{spread(results):+.2f} %",
                f"{agreed[at]:.2f}",
                f"{seconds / 3600:.2f}",
            )
        )
    head = ["round", "shapes", "pixels each", "best", "median", "second seed of the reference"]
    head += ["rank correlation with the next", "CPU hours since their starts"]
    lines = ["BD-rates of PSNR on held-out tiles, against the mean of the reference's seeds."]
    lines += ["", *table(head, rows)]
    for at in reversed(range(len(rows))):
        gone = set() if at + 1 >= len(rows) else set(store.results(at + 1))
        ended = [n for n in shapes if str(n) in store.results(at) and str(n) not in gone]
        title = "Finalists" if at + 1 == len(rounds) else f"Out after round {at + 1}"
        listed = entries(side, store.results(at), ended, times)
        lines += ["", f"### {title}, {rounds[at].pixels:.3g} pixels each", ""]
        lines += shape_table(side, listed)
    return lines


def shape_table(side: Side, listed: Sequence[Entry]) -> list[str]:
    head = ["shape", "BD-rate", "time", "kMAC/pixel decoding", "encoding", "parameters (M)"]
    head += list(side.choices)
    rows = []
    for entry in listed:
        fields = entry.shape.to_dict()
        cost = cost_of(fields, 1)
        rows.append(
            (
                f"`{entry.name}`",
                f"{entry.rate:+.2f} %",
                f"{entry.time:.3f}",
                f"{cost.decoding[0]:.2f}",
                f"{cost.encoding[0]:.2f}",
                f"{cost.parameters[0] / 1e6:.2f}",
                *(str(fields[name]) for name in side.choices),
            )
        )
    return table(head, rows)


def draw(side: Side, rounds: Sequence[Sequence[Entry]], file: Path) -> None:
    """Time against BD-rate, a series for each round's entries, marks as large as decoding's or
    encoding's MACs; `file` is an .svg or .png."""
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for at, listed in enumerate(rounds):
        shown = [entry for entry in listed if abs(entry.rate) < float("inf")]
        axes.scatter(
            [entry.time for entry in shown],
            [entry.rate for entry in shown],
            s=[4 * _macs(side, entry) for entry in shown],
            color=f"C{at}",
            alpha=0.6,
            label=f"after round {at + 1}",
        )
    for entry in rounds[-1]:
        axes.annotate(entry.name, (entry.time, entry.rate), fontsize=7)
    axes.set_xlabel(f"time, as a share of {side.base.name}'s (larger marks: more MACs)")
    axes.set_ylabel("BD-rate of PSNR, % (lower is better)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    # Without these two the same numbers would give another file each time.
    with matplotlib.rc_context({"svg.hashsalt": "search", "svg.fonttype": "none"}):
        figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def _macs(side: Side, entry: Entry) -> float:
    cost = cost_of(entry.shape.to_dict(), 1)
    return float((cost.decoding if side.name == "decoder" else cost.encoding)[0])


def best_of(listed: Sequence[Entry]) -> Entry:
    """The best that is not the reference."""
    return next(entry for entry in listed if not entry.reference)


def verdict(listed: Sequence[Entry], apart: float) -> str:
    """What the finalists say, in a sentence."""
    best = best_of(listed)
    if best.rate < -abs(apart):
        return (
            f"`{best.name}` takes {-best.rate:.2f} % fewer bits than the base at the same PSNR, "
            f"more than its two seeds are apart ({abs(apart):.2f} %)."
        )
    return (
        f"No shape beats the base by more than its two seeds are apart ({abs(apart):.2f} %): the "
        f"best is `{best.name}` with {best.rate:+.2f} %."
    )


def shape_toml(shape: Shape, comment: str) -> str:
    """A shape as a file that `picolab` reads, with a comment of one line."""
    lines = [f"# {comment}"]
    for name, value in shape.to_dict().items():
        lines.append(f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value}")
    return "\n".join(lines) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table as lines."""
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]
