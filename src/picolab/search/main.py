"""The stages of a search, one after the other, as the command's options say."""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from picolab.search import report
from picolab.search.ablation import Ablation, ablate
from picolab.search.devices import Command, Device, OnnxRuntime
from picolab.search.funnel import (
    Crew,
    Priced,
    Target,
    Timings,
    Tournament,
    choose,
    price,
    sizes,
    time_and_predict,
)
from picolab.search.pausing import Pause
from picolab.search.rounds import Round, Speed
from picolab.search.space import Side, Space, read_space
from picolab.search.store import Store
from picolab.search.timing import Timer
from picolab.search.training import Job
from picolab.search.variants import VARIANTS
from picolab.training.lineage import Lineage, read_lineage


def search(args: argparse.Namespace) -> str:
    """Run or go on with a search; gives the report, which is kept as `report.md`, too. Raises
    `KeyboardInterrupt` or `Stopped` where a signal ended it, `ValueError` for options and files
    that do not fit."""
    started = time.monotonic()
    space = read_space(args.space)
    side = space.side(args.side)
    folder = args.output or Path("runs") / f"search-{args.side}"
    if args.tile % 64 or args.tile < 64:
        raise ValueError(f"--tile {args.tile}: a multiple of 64")
    signal.signal(signal.SIGTERM, _stop)
    priced = price(space, side, args.seed)
    if args.until == "cost":
        return "\n".join(report.shares(side, priced, "none yet", args.tile))
    device = open_device(args)
    target = Target(args.target, args.tolerance)
    with Store(folder / "search.sqlite") as store, Pause(args.pause_pid) as pause:
        store.claim(identity(args, space, side, device))
        with Timer(side, args.tile, device, pause) as timer:
            timings = time_and_predict(timer, store, priced, args.timed, target)
            findings = Findings(side, store, priced, timings, target, folder)
            lines = findings.write_times(device.name, args.tile)
            if args.until == "time":
                return "\n".join(lines)
            times = chosen_shapes(timer, store, timings, args.shapes, target)
        tournament = open_tournament(args, space, side, store, folder)
        left = args.hours * 3600 - (time.monotonic() - started)
        rounds = tournament.plan(args.shapes, args.finalists, left, args.pixels, args.final_pixels)
        speed = store.setting("speed")
        print(sizes(rounds, Speed(**speed) if speed else None, args.processes), flush=True)
        tournament.play(rounds, list(times))
        best = findings.write_all(lines, rounds, times)
        chosen = args.chosen or default_chosen(args.space, space)
        keep(best, side, rounds[-1].pixels, chosen)
    return f"{(folder / 'report.md').read_text()}\nThe best finalist is in {chosen}."


def _stop(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def open_device(args: argparse.Namespace) -> Device:
    if args.device_command:
        return Command(args.device_command)
    return OnnxRuntime(args.threads, args.provider)


def identity(
    args: argparse.Namespace, space: Space, side: Side, device: Device
) -> dict[str, object]:
    """What must be the same for a search to go on."""
    return {
        "side": side.name,
        "base": side.base.to_dict(),
        "choices": side.choices,
        "window": asdict(space.window),
        "tile": args.tile,
        "device": device.name,
        "seed": args.seed,
    }


def chosen_shapes(
    timer: Timer, store: Store, timings: Timings, count: int, target: Target
) -> dict[int, float]:
    """The shapes that train, with their relative times, fixed when they are first chosen."""
    known = store.setting("shapes")
    if known is None:
        known = list(choose(timer, store, timings, count, target).items())
        store.set("shapes", known)
    return {int(number): float(seconds) for number, seconds in known}


def open_tournament(
    args: argparse.Namespace, space: Space, side: Side, store: Store, folder: Path
) -> Tournament:
    recipe = args.recipe or space.recipe
    if recipe is None:
        raise ValueError(f"{args.space}: names no recipe, and no --recipe is given")
    job = common_job(args, recipe, read_lineage(recipe), store)
    return Tournament(side, store, open_crew(args), job, folder.resolve() / "training")


def open_crew(args: argparse.Namespace) -> Crew:
    return Crew(args.processes, args.ray)


def common_job(args: argparse.Namespace, recipe: Path, lineage: Lineage, store: Store) -> Job:
    """What all trainings have in common; `store` keeps what makes their figures comparable. Raises
    `FileNotFoundError` where there are no tiles."""
    tiles = args.tiles or lineage.tiles
    if not (tiles / "tiles.csv").is_file():
        raise FileNotFoundError(f"{tiles}: no tiles.csv; make the folder with `picolab data build`")
    job = Job(
        folder="",
        recipe=str(recipe.resolve()),
        shape={},
        seed=0,
        pixels=0,
        tiles=str(tiles.resolve()),
        held_out=args.held_out,
        device=args.device,
        float32=args.float32,
        compile=not args.no_compile,
    )
    stages = [asdict(stage) for stage in lineage.stages]
    store.claim(
        {"recipe": stages, "tiles": job.tiles, "held_out": job.held_out, "float32": job.float32}
    )
    return job


def compare_variants(args: argparse.Namespace) -> str:
    """The ablation: its table, which is kept as `ablation.md`, too. Raises as `search` does."""
    signal.signal(signal.SIGTERM, _stop)
    lineage = read_lineage(args.recipe)
    folder = args.output or Path("runs") / f"{lineage.name}-variants"
    with Store(folder / "ablation.sqlite") as store:
        job = replace(common_job(args, args.recipe, lineage, store), pixels=args.pixels)
        ablation = Ablation(lineage.shape, args.variants or list(VARIANTS), job, folder.resolve())
        text = ablate(ablation, open_crew(args), store)
    (folder / "ablation.md").write_text(text + "\n")
    return text


def default_chosen(file: Path, space: Space) -> Path:
    return file.parent.parent / f"{space.base.name}-searched.toml"


@dataclass(frozen=True)
class Findings:
    """What a search has found so far, to be written into its folder."""

    side: Side
    store: Store
    priced: Priced
    timings: Timings
    target: Target
    folder: Path

    def write_times(self, device: str, tile: int) -> list[str]:
        """The report of stages 1 and 2; gives its lines."""
        failed = sum(timed.seconds is None for timed in self.store.times().values())
        lines = ["# Search", "", *report.shares(self.side, self.priced, device, tile), ""]
        lines += ["## Time", "", *report.timing_table(self.timings, self.target, failed)]
        self._write(lines)
        return lines

    def write_all(
        self, above: Sequence[str], rounds: Sequence[Round], times: dict[int, float]
    ) -> report.Entry:
        """The whole report, below the lines `above`, and its plot; gives the best finalist."""
        results = [self.store.results(at) for at in range(len(rounds))]
        listed = [report.entries(self.side, each, list(times), times) for each in results]
        report.draw(self.side, listed, self.folder / "pareto.svg")
        lines = [*above, "", "## Training", ""]
        lines += report.training_tables(self.side, self.store, rounds, list(times), times)
        lines += ["", report.verdict(listed[-1], report.spread(results[-1]))]
        self._write([*lines, "", "![time and BD-rate](pareto.svg)"])
        return report.best_of(listed[-1])

    def _write(self, lines: Sequence[str]) -> None:
        (self.folder / "report.md").write_text("\n".join(lines) + "\n")


def keep(best: report.Entry, side: Side, pixels: float, file: Path) -> None:
    """Write the best finalist as a shape's file."""
    comment = (
        f"The best of {side.count} by `picolab search`: {best.rate:+.2f} % BD-rate, "
        f"{best.time:.3f} of the time of {side.base.name}, after {pixels:.3g} pixels."
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(report.shape_toml(best.shape, comment))
