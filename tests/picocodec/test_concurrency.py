"""Many at once and many one after the other: the same bytes, no leak, every failure told."""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import signal
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from PIL import Image
from tiny import photo

import picocodec
from picocodec import cli
from picocodec.cli import batch
from picocodec.model.store import MODEL_PATH_VARIABLE

MODEL = "tiny.v1"
SIZES = [(20, 30), (1, 1), (64, 64), (9, 600), (33, 70)]


@pytest.fixture(autouse=True)
def tiny_is_installed(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODEL_PATH_VARIABLE, str(model_folder.parent))


def round_trip(number: int, threads: int = 1) -> tuple[bytes, bytes]:
    """A file and its pixels."""
    picture = photo(*SIZES[number % len(SIZES)], seed=number)
    data = picocodec.encode(picture, 10 * number % 100, model=MODEL, threads=threads)
    return data, picocodec.decode(data, threads=threads).tobytes()


def test_threads_give_the_same_bytes_as_alone() -> None:
    alone = [round_trip(i) for i in range(10)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(round_trip, [*range(10)] * 4))
    assert together == alone * 4


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_processes_give_the_same_bytes_as_alone(start: str) -> None:
    """Also where the networks' threads were running in the process that is forked."""
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"processes do not {start} here")
    numbers = range(4)
    alone = [round_trip(i, threads=4) for i in numbers]
    # Leaving the block ends the processes, should one of them wait for ever.
    with multiprocessing.get_context(start).Pool(2) as pool:
        together = pool.starmap_async(round_trip, [(i, 4) for i in numbers]).get(timeout=300)
    assert together == alone


def memory_in_use() -> int:
    """Bytes that tracemalloc knows of, without Python's own cache of attributes.

    It keeps up to 4096 names that were looked up, each at a place that its address says. ONNX
    Runtime and Pillow make such names anew for every call, and where those lie is chance: the
    cache, empty at first, would grow by 20 to 40 kB in 60 rounds.
    """
    gc.collect()
    clear = getattr(sys, "_clear_internal_caches", None) or sys._clear_type_cache  # from 3.13 on
    clear()
    return tracemalloc.get_traced_memory()[0]


def test_rounds_leak_nothing() -> None:
    """A leak grows in each of three parts; Python's table of interned names, which paths are made
    of, grows by a megabyte in one. fuzz/rounds.py is longer and measures what NumPy and C take."""
    Image.init()  # all of Pillow's plug-ins, which the first AV1 would load
    for i in range(10):
        round_trip(i)
    tracemalloc.start()
    try:
        grown = []
        for part in range(3):
            before = memory_in_use()
            for i in range(20 * part, 20 * part + 20):
                round_trip(i)
                with pytest.raises(picocodec.PicoError):
                    picocodec.decode(b"\x8aPIC nonsense")
            grown.append(memory_in_use() - before)
    finally:
        tracemalloc.stop()
    assert min(grown) < 20 * 500


def convert_or_die(source: str, out: BinaryIO) -> batch.Report:
    if source == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    out.write(b"done")
    return batch.Report("")


def test_a_killed_process_is_told_for_every_file_that_it_takes_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["deadly", *"abc"]
    args = argparse.Namespace(
        jobs=2, quiet=True, max_pixels=100, skip_existing=False, no_overwrite=False
    )
    for name in names:
        Path(name).touch()
    pairs = [(name, f"{name}.out") for name in names]
    assert batch.run("picoenc", pairs, args, convert_or_die) == 1
    told = {line.split(": ")[0] for line in capsys.readouterr().err.splitlines()}
    made = {path.stem for path in Path().glob("*.out")}
    assert "deadly" in told and told | made == set(names) and not told & made


def broken(data: bytes, how: int) -> bytes:
    middle = len(data) // 2
    flipped = data[:middle] + bytes([data[middle] ^ 64]) + data[middle + 1 :]
    return (b"", data[: len(data) // 3], b"no picture at all", flipped)[how % 4]


def test_a_batch_of_200_with_20_broken_files_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    formats = ("jpg", "png", "webp", "ppm", "tif", "bmp")
    modes = ("RGB", "L", "RGB", "RGBA")
    names = []
    for i in range(200):
        extension, mode = formats[i % len(formats)], modes[i % len(modes)]
        if mode == "RGBA" and extension not in ("png", "webp", "tif"):
            mode = "RGB"
        names.append(f"{i:03}.{extension}")
        Image.fromarray(photo(9, 14, seed=i)).convert(mode).save(names[-1])
    bad = names[5::10]
    for i, name in enumerate(bad):
        # Pillow cannot know a flipped pixel for one.
        Path(name).write_bytes(broken(Path(name).read_bytes(), i % 3))
    assert cli.picoenc([*names, "-o", "small", "--model", MODEL, "--quiet"]) == 1
    failures = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in failures] == bad
    files = sorted(str(path) for path in Path("small").iterdir())
    assert len(files) == 180
    worse = files[3::9]
    for i, name in enumerate(worse):
        Path(name).write_bytes(broken(Path(name).read_bytes(), i))
    assert cli.picodec([*files, "-o", "back", "--quiet"]) == 1
    failures = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in failures] == worse
    assert len(list(Path("back").iterdir())) == 160
    with Image.open("back/004.png") as im:
        assert np.asarray(im).shape[:2] == (9, 14)
