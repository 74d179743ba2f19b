"""Seconds and memory of encoding and decoding one large photo.

Every measurement is a fresh process; codecs take turns in each round, so that what else the
machine does meets all of them alike.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from picolab.evaluation.images import read
from picolab.evaluation.peers.protocol import Codec

BPP = 0.5
CROP = 1024


@dataclass(frozen=True)
class Sample:
    seconds: float
    cpu: float
    mib: float
    data: bytes


def measure(codecs: Sequence[Codec], photo: Path, out_dir: Path, rounds: int = 3) -> Path:
    """Write `cost.json` into `out_dir`: medians over `rounds`, and the single values.

    Each codec runs at the one of its rates that takes nearest to 0.5 bpp on the middle of the
    photo. Time is that of the first call to the codec, pixels in memory to file in memory or back:
    with loading its libraries and weights and, for codecs run as commands, their start and their
    temporary files. CPU seconds are those of all threads and children together, which other work
    on the machine changes little.
    """
    image = read(photo)
    pixels = image.shape[0] * image.shape[1]
    idle = min(_fresh("idle", None, photo, 0, b"").mib for _ in range(2))
    found: dict[str, dict[str, Any]] = {}
    with tqdm(total=len(codecs) * (rounds + 1), unit="run", desc="cost", disable=None) as bar:
        for codec in codecs:
            try:
                found[codec.name] = {"rate": _rate(codec, photo), "encode": [], "decode": []}
            except Exception as error:  # a codec that fails is reported, the others go on
                found[codec.name] = {"failure": f"{type(error).__name__}: {error}"}
            bar.update()
        for _ in range(rounds):
            for codec in codecs:
                facts = found[codec.name]
                if "failure" not in facts:
                    try:
                        encoded = _fresh("encode", codec, photo, facts["rate"], b"")
                        decoded = _fresh("decode", codec, photo, facts["rate"], encoded.data)
                        for part, sample in (("encode", encoded), ("decode", decoded)):
                            facts[part].append([sample.seconds, sample.cpu, sample.mib])
                        facts["bpp"] = 8 * len(encoded.data) / pixels
                    except Exception as error:
                        facts["failure"] = f"{type(error).__name__}: {error}"
                        bar.write(f"{codec.name}: {facts['failure']}", file=sys.stderr)
                bar.update()
    for facts in found.values():
        if "failure" not in facts:
            for part in ("encode", "decode"):
                columns = zip(*facts[part], strict=True)
                for unit, values in zip(("seconds", "cpu", "mib"), columns, strict=True):
                    facts[f"{part}_{unit}"] = statistics.median(values)
    report = {
        "photo": photo.name,
        "megapixels": pixels / 1e6,
        "processors": len(os.sched_getaffinity(0)),
        "rounds": rounds,
        "idle_mib": idle,
        "codecs": found,
    }
    out_dir.mkdir(parents=True, exist_ok=True)
    (out_dir / "cost.json").write_text(json.dumps(report, indent=1) + "\n")
    return out_dir / "cost.json"


def _rate(codec: Codec, photo: Path) -> float:
    image = read(photo)
    top, left = (max(side - CROP, 0) // 2 for side in image.shape[:2])
    crop = image[top : top + CROP, left : left + CROP].copy()
    area = crop.shape[0] * crop.shape[1]

    def distance(rate: float) -> float:
        return abs(8 * len(codec.encode(crop, rate)) / area - BPP)

    return min(codec.rates, key=distance)


def _fresh(task: str, codec: Codec | None, photo: Path, rate: float, data: bytes) -> Sample:
    """Do one thing in a new interpreter that has imported no more than codecs need."""
    with tempfile.TemporaryDirectory() as folder:
        request, answer = Path(folder) / "request", Path(folder) / "answer"
        request.write_bytes(pickle.dumps((task, codec, photo, rate, data)))
        command = [sys.executable, "-m", __name__, str(request), str(answer)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise RuntimeError(f"{task}: {lines[-1]}")
        return Sample(*pickle.loads(answer.read_bytes()))


def _child(request: Path, answer: Path) -> None:
    task, codec, photo, rate, data = pickle.loads(request.read_bytes())
    image = read(photo) if task != "decode" else None
    start, cpu = time.perf_counter(), _cpu()
    if task == "encode":
        data = codec.encode(image, rate)
    elif task == "decode":
        codec.decode(data)
    seconds = time.perf_counter() - start
    answer.write_bytes(pickle.dumps((seconds, _cpu() - cpu, _peak_mib(), data)))


def _cpu() -> float:
    """Seconds of this process and of the programs it ran."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _peak_mib() -> float:
    """Of this process or the largest program it ran, whichever is more."""
    # Not ru_maxrss for this process: that would count what the parent had before the fork.
    lines = Path("/proc/self/status").read_text().splitlines()
    own = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


if __name__ == "__main__":
    _child(Path(sys.argv[1]), Path(sys.argv[2]))
