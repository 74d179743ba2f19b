"""How long the npm package takes in headless Chromium, how much memory, and what it fetches.

    make web && python benchmarks/browser.py [--megapixels 1,4,12] [--threads 1,0]

Prints tables for docs/browser.md, of a photo of `examples/photos` enlarged, networks being loaded:
for each number of threads, 0 for all that the machine has, seconds on the clock for encoding,
decoding and a decode at an eighth of the sides, in brackets those of all processors together; the
memory of all of Chromium's processes at most, less what they had before; and the bytes of a first
visit. Clocks say something on an idle machine only.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "web")]

from browser import Browser, executable  # noqa: E402
from serving import Server  # noqa: E402

PHOTO = ROOT / "examples" / "photos" / "coffee.png"
SITE = ROOT / "build" / "web" / "site"
TICKS = os.sysconf("SC_CLK_TCK")
STEPS = {
    "encode": "window.file = await pico.encode(photo, {quality: 50}), file.length",
    "decode": "(await pico.decode(file)).width",
    "decode 1/8": "(await pico.decode(file, {scale: 1 / 8})).width",
}


class Usage(NamedTuple):
    """Of a process and its descendants: seconds of processors, bytes of memory (PSS)."""

    seconds: float
    memory: int


def usage(root: int) -> Usage:
    children: dict[int, list[int]] = {}
    seconds: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
            seconds[int(entry.name)] = (int(fields[11]) + int(fields[12])) / TICKS
    family = [root]
    for pid in family:
        family += children.get(pid, [])
    return Usage(sum(seconds.get(pid, 0) for pid in family), sum(map(_memory, family)))


def _memory(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


class Peak:
    """The most memory while a block runs."""

    def __init__(self, pid: int) -> None:
        self.pid, self.memory, self._over = pid, 0, threading.Event()

    def __enter__(self) -> Peak:
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            self.memory = max(self.memory, usage(self.pid).memory)

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def photo_of(megapixels: float) -> bytes:
    width = round((megapixels * 1e6 * 4 / 3) ** 0.5)
    out = io.BytesIO()
    with Image.open(PHOTO) as opened:
        enlarged = opened.convert("RGB").resize(
            (width, round(width * 3 / 4)), Image.Resampling.BICUBIC
        )
    enlarged.save(out, "JPEG", quality=92)
    return out.getvalue()


def open_page(tab: Browser, server: Server, threads: int) -> None:
    tab.visit(server.url + "/")
    tab.run(
        f"""(async () => {{
          window.pico = await import("/site/pico.js");
          pico.configure({{ assets: "/site/", threads: {threads} }});
        }})()"""
    )


def measure(tab: Browser, server: Server, megapixels: float) -> str:
    """The row of a table for a picture of a size."""
    server.files["photo.jpg"] = photo_of(megapixels)
    pid = tab.process.pid
    tab.run("fetch('/photo.jpg').then(r => r.blob()).then(b => { window.photo = b; })")
    before = usage(pid).memory
    cells, most = [f"{megapixels:g}"], 0
    for script in STEPS.values():
        start, clock = usage(pid), time.perf_counter()
        with Peak(pid) as peak:
            tab.run(f"(async () => {{ return {script}; }})()")
        clock = time.perf_counter() - clock
        cells.append(f"{clock:.1f} ({usage(pid).seconds - start.seconds:.1f})")
        most = max(most, peak.memory - before)
    return f"| {' | '.join([*cells, f'{most / 1e6:.0f}'])} |"


LOAD = """(async () => {
  const small = await (await fetch("/small.jpg")).blob();
  const file = await pico.encode(small);
  await pico.decode(file);
  await pico.decode(file, { scale: 1 / 8 });
})()"""


def table(server: Server, megapixels: list[float], threads: int) -> None:
    """What a browser of its own takes with so many threads."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        Browser(Path(profile)) as tab,
    ):
        tab.socket.settimeout(3600)
        open_page(tab, server, threads)
        count = threads or min(tab.run("navigator.hardwareConcurrency"), 8)
        empty, start = usage(tab.process.pid).memory, time.perf_counter()
        tab.run(LOAD)
        loaded = (usage(tab.process.pid).memory - empty) / 1e6
        print(
            f"\n{count} threads, networks loaded in {time.perf_counter() - start:.1f} s,", end=" "
        )
        print(f"{loaded:.0f} MB\n")
        print(f"| megapixels | {', s | '.join(STEPS)}, s | memory, MB |")
        print(f"| --- |{' --- |' * len(STEPS)} --- |", flush=True)
        for size in megapixels:
            print(measure(tab, server, size), flush=True)


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return f"{next(named, 'an unknown processor')}, {os.cpu_count()} of them"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--megapixels", default="1,4,12")
    parser.add_argument("--threads", default="1,0")
    args = parser.parse_args()
    if executable() is None or not (SITE / "pico.js").is_file():
        sys.exit("it needs Chromium, and `make web`")
    print(f"on {machine()}; the load was {os.getloadavg()[0]:.1f} when this began")
    sizes = [float(size) for size in args.megapixels.split(",")]
    with Server({"site": SITE}, isolated=True) as server:
        server.files["small.jpg"] = photo_of(0.01)
        visits = []
        for threads in map(int, args.threads.split(",")):
            server.sent.clear()
            table(server, sizes, threads)
            visits.append({p: n for p, n in server.sent.items() if p.startswith("/site/")})
    print(f"\nbytes of a first visit: {sum(visits[0].values()):,}, not compressed by the server")
    for path, count in sorted(visits[0].items(), key=lambda item: -item[1]):
        print(f"{count:12,}  {path}")


if __name__ == "__main__":
    main()
