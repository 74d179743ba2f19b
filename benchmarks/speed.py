"""Time and memory of encoding and decoding one photo, stage by stage, beside other codecs.

    python benchmarks/speed.py PHOTO [--threads N] [--quality Q] [--repeats R]
    python benchmarks/speed.py PHOTO --growth 1,12,50,200 [--threads N] [--quality Q]
    python benchmarks/speed.py PHOTO --start [--threads N] [--repeats R]

Codecs take turns in one run, so that a busy machine slows all of them alike; medians. All of them
get N processors (Linux) and as many threads. The peak of memory (Linux) is that of a fresh process
that does one thing, its result included, less what it held before, the photo or the file included.

With --growth, the photo is repeated into PPM files of so many megapixels, which `picoenc` and
`picodec` turn into .pico and back into PNG: seconds of all cores a megapixel, which a busy machine
changes little, and the peak of a whole process.

With --start, the commands work on one tile of the photo: all that a process takes, beside one that
only loads NumPy and Pillow.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, features

import picocodec
from picocodec.decoding.decoder import SCALES
from picocodec.encoding.rate import level_of_quality
from picocodec.format import tiles
from picocodec.format.tiles import TILE
from picocodec.images.canvas import cut, own
from picocodec.model.store import DEFAULT_MODEL, load_model

Pixels = np.ndarray


class Stopwatch:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def time(self, stage: str):
        start = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


def stages(rgb: Pixels, quality: float, threads: int) -> tuple[dict[str, float], float, float]:
    """Seconds of each stage over all tiles, and the shares of y that are coded and not zero."""
    model, level, watch = load_model(DEFAULT_MODEL, threads), level_of_quality(quality), Stopwatch()
    out = np.empty_like(rgb)
    coded_count = nonzero = total = 0
    for tile in tiles.layout(rgb.shape[1], rgb.shape[0]):
        with watch.time("encode: cut"):
            canvas = cut(rgb, tile)
        with watch.time("encode: analysis"):
            y, z_float = model.analyse(canvas, level)
        z = np.rint(z_float[0]).astype(np.int32)
        with watch.time("encode: scale decoder"):
            indices = model.y_indices_of_tile(tile, z, level)
        with watch.time("encode: context model"):
            coded = indices >= model.skip_below
            symbols, _ = model.quantise(y, z, coded, level)
        with watch.time("encode: entropy coding"):
            groups = [(z, model.z_indices(level, tile.z_shape)), (symbols, indices)]
            payload = model.coder.encode(groups)
        coded_count += int(coded.sum())
        nonzero += int(np.count_nonzero(symbols))
        total += symbols.size
        with watch.time("decode: entropy coding"):
            reader = model.coder.reader(payload)
            z = reader.read(model.z_indices(level, tile.z_shape))
        with watch.time("decode: scale decoder"):
            indices = model.y_indices_of_tile(tile, z, level)
        with watch.time("decode: entropy coding"):
            symbols = reader.read(indices)
            reader.finish()
        with watch.time("decode: context model"):
            y_hat = model.dequantise(symbols, z, level)
        with watch.time("decode: synthesis"):
            pixels = model.synthesise(y_hat, level, model.realism)
        with watch.time("decode: to pixels"):
            rows = slice(tile.top, tile.top + tile.height)
            out[rows, tile.left : tile.left + tile.width] = own(pixels, tile)
    return watch.seconds, coded_count / total, nonzero / total


def peers(quality: float, threads: int) -> dict[str, tuple[Callable, Callable]]:
    """Name to (image -> bytes, bytes -> pixels)."""

    def pillow(codec: str, **options: object) -> tuple[Callable, Callable]:
        def encode(image: Image.Image) -> bytes:
            buffer = io.BytesIO()
            image.save(buffer, codec, **options)
            return buffer.getvalue()

        def decode(data: bytes) -> Pixels:
            return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

        return encode, decode

    found: dict[str, tuple[Callable, Callable]] = {
        "picocodec": (
            lambda image: picocodec.encode(image, quality=quality, threads=threads),
            lambda data: picocodec.decode(data, threads=threads),
        ),
        "JPEG 4:2:0, q 75": pillow("JPEG", quality=75, optimize=True),
        "WebP method 4, q 75": pillow("WEBP", quality=75, method=4),
    }
    if importlib.util.find_spec("pillow_jxl"):
        import pillow_jxl  # noqa: F401 (it registers itself)

        found["JPEG XL effort 7, q 75"] = pillow("JXL", quality=75, effort=7)
    if importlib.util.find_spec("pillow_heif"):
        import pillow_heif

        pillow_heif.register_heif_opener()
        found["HEIC 4:4:4, x265 medium, q 60"] = pillow(
            "HEIF", quality=60, chroma=444, enc_params={"preset": "medium"}
        )
    if features.check("avif"):
        found["AVIF 4:4:4 speed 6, q 60"] = pillow(
            "AVIF", quality=60, speed=6, subsampling="4:4:4", max_threads=threads
        )
    return found


def peak_memory(work: Callable[[], object]) -> tuple[float, object]:
    """Megabytes that `work` adds to the peak of a process forked for it alone; its result."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_measure, args=(work, sender))
    child.start()
    answer = receiver.recv()
    child.join()
    return answer


def _measure(work: Callable[[], object], sender) -> None:
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    result = work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sender.send(((peak - before) / 1e6, result))


def growth(rgb: Pixels, megapixels: list[float], quality: float, threads: int) -> None:
    """Print how time and memory of the commands grow with the picture."""
    print("| megapixels | bytes | encode s/MP | decode s/MP | encode MB | decode MB |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        names = [str(Path(folder, name)) for name in ("big.ppm", "big.pico", "big.png")]
        common = ["--quiet", "--threads", str(threads), "--max-pixels", str(10**9)]
        for target in megapixels:
            width = round((target * 1e6 * 4 / 3) ** 0.5)
            height = round(target * 1e6 / width)
            write_ppm(names[0], rgb, width, height)
            seconds, peaks = [], []
            for command, pair, more in (
                ("picoenc", names[:2], ["-q", str(quality)]),
                ("picodec", names[1:], []),
            ):
                usage = run(call_of(command), *pair, *common, *more)
                seconds.append((usage.ru_utime + usage.ru_stime) / target)
                peaks.append(usage.ru_maxrss * 1024 / 1e6)
            print(
                f"| {target:g} | {os.path.getsize(names[1])} | {seconds[0]:.3f} | {seconds[1]:.3f} "
                f"| {peaks[0]:.0f} | {peaks[1]:.0f} |",
                flush=True,
            )


def start_up(rgb: Pixels, threads: int, repeats: int) -> None:
    """Print what the commands take for a picture of one tile, loading included."""
    with tempfile.TemporaryDirectory() as folder:
        names = [str(Path(folder, name)) for name in ("tile.ppm", "tile.pico", "tile.png")]
        write_ppm(names[0], rgb, TILE, TILE)
        common = ["--quiet", "--threads", str(threads)]
        calls = {
            "NumPy and Pillow": ["import numpy, PIL.Image"],
            "picoenc": [call_of("picoenc"), *names[:2], *common],
            "picodec": [call_of("picodec"), *names[1:], *common],
        }
        walls: dict[str, list[float]] = {name: [] for name in calls}
        work: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(repeats):
            for name, arguments in calls.items():
                begin = time.perf_counter()
                usage = run(*arguments)
                walls[name].append(time.perf_counter() - begin)
                work[name].append(usage.ru_utime + usage.ru_stime)
    print(f"medians of {repeats}, {threads} thread(s)\n")
    print("| process | s | processor s |\n| --- | --- | --- |")
    for name in calls:
        wall, processor = statistics.median(walls[name]), statistics.median(work[name])
        print(f"| {name} | {wall:.2f} | {processor:.2f} |")


def call_of(command: str) -> str:
    """Python that is one of the package's commands."""
    return f"import sys; from picocodec.cli import {command}; sys.exit({command}())"


def run(code: str, *arguments: str) -> resource.struct_rusage:
    """Run Python in a process of its own; what it used."""
    process = subprocess.Popen([sys.executable, "-c", code, *arguments])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{code!r} failed")
    return usage


def write_ppm(path: str, rgb: Pixels, width: int, height: int) -> None:
    """A picture of any size, by repetition, written by rows."""
    across = np.concatenate([rgb] * -(-width // rgb.shape[1]), axis=1)[:, :width]
    with open(path, "wb") as file:
        file.write(b"P6\n%d %d\n255\n" % (width, height))
        for top in range(0, height, len(across)):
            file.write(np.ascontiguousarray(across[: height - top]).data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quality", type=float, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--growth", type=lambda s: [float(n) for n in s.split(",")], metavar="MP")
    parser.add_argument("--start", action="store_true")
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):  # some codecs take a thread for each processor
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    with Image.open(args.photo) as opened:
        image = Image.fromarray(np.asarray(opened.convert("RGB")))
    rgb = np.asarray(image)
    if args.growth:
        growth(rgb, args.growth, args.quality, args.threads)
        return
    if args.start:
        start_up(rgb, args.threads, args.repeats)
        return
    megapixels = image.width * image.height / 1e6
    codecs = peers(args.quality, args.threads)

    memory: dict[str, tuple[float, float]] = {}
    encoded: dict[str, bytes] = {}
    for name, (encode, decode) in codecs.items():  # before anything is loaded into this process
        encode_peak, encoded[name] = peak_memory(partial(encode, image))
        memory[name] = encode_peak, peak_memory(partial(decode, encoded[name]))[0]
    timings: dict[str, list[tuple[float, float]]] = {name: [] for name in codecs}
    by_stage: list[dict[str, float]] = []
    by_scale: dict[int, list[float]] = {divisor: [] for divisor in SCALES}
    for _ in range(args.repeats):
        for name, (encode, decode) in codecs.items():
            start = time.perf_counter()
            data = encode(image)
            middle = time.perf_counter()
            decode(data)
            timings[name].append((middle - start, time.perf_counter() - middle))
        for divisor, runs in by_scale.items():
            start = time.perf_counter()
            picocodec.decode(encoded["picocodec"], scale=1 / divisor, threads=args.threads)
            runs.append(time.perf_counter() - start)
        seconds, coded, nonzero = stages(rgb, args.quality, args.threads)
        by_stage.append(seconds)

    print(
        f"{args.photo.name}, {image.width}x{image.height} ({megapixels:.1f} megapixels), "
        f"{args.threads} thread(s), medians of {args.repeats}\n"
    )
    print("| codec | bytes | encode s | decode s | encode MB | decode MB |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, pairs in timings.items():
        encode_s, decode_s = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(
            f"| {name} | {len(encoded[name])} | {encode_s:.2f} | {decode_s:.2f} "
            f"| {memory[name][0]:.0f} | {memory[name][1]:.0f} |"
        )
    print("\n| picocodec, sides divided by | decode s | of the full decode |\n| --- | --- | --- |")
    for divisor, runs in by_scale.items():
        share = statistics.median(run / full for run, full in zip(runs, by_scale[1], strict=True))
        print(f"| {divisor} | {statistics.median(runs):.2f} | {share:.2f} |")
    print(f"\n| stage (picocodec, quality {args.quality:g}) | s | share |\n| --- | --- | --- |")
    for direction in ("encode", "decode"):
        rows = {
            stage: statistics.median(run[stage] for run in by_stage)
            for stage in by_stage[0]
            if stage.startswith(direction)
        }
        for stage, seconds_ in rows.items():
            print(f"| {stage} | {seconds_:.2f} | {seconds_ / sum(rows.values()):.0%} |")
    print(
        f"\nOf all elements of y, {coded:.1%} are coded, {1 - coded:.1%} skipped; "
        f"{nonzero:.1%} are not zero."
    )


if __name__ == "__main__":
    main()
