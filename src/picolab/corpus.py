"""Whole folders of pictures over a cluster: Ray Data does the work, fsspec reads and writes it."""

from __future__ import annotations

import io
import os
import posixpath
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from picocodec import read_info
from picocodec.encoding.rate import DEFAULT_QUALITY
from picocodec.images.reading import EXTENSIONS

COLUMNS = ("name", "output", "bytes", "bpp", "seconds", "error")
Row = dict[str, Any]
"""By `COLUMNS`: names under the folders, of the .pico file its bytes and bits per pixel; `error`
is empty where all went well, and then nothing else is None."""


@dataclass(frozen=True)
class Conversion:
    """What to do with each picture: .pico files of a `quality` and a model (None: the default), or
    with `decode` PNG files of .pico files."""

    source: str
    target: str
    quality: float = DEFAULT_QUALITY
    model: str | None = None
    decode: bool = False

    def __call__(self, row: Row) -> Row:
        """One picture, in a worker. Whatever goes wrong with it is told in its row."""
        start = time.perf_counter()
        try:
            data = _read(posixpath.join(self.source, row["name"]))
            made = _decoded(data) if self.decode else self._encoded(data)
            info = read_info(data if self.decode else made)
            _write(posixpath.join(self.target, row["output"]), made)
        except Exception as error:  # damaged files, full disks, refused connections: others go on
            return {**row, "error": f"{type(error).__name__}: {error}"}
        return {
            **row,
            "bytes": info.bytes,
            "bpp": info.bpp,
            "seconds": time.perf_counter() - start,
        }

    def _encoded(self, data: bytes) -> bytes:
        from picocodec.encoding.encoder import encode_picture
        from picocodec.encoding.rate import level_of_quality
        from picocodec.images.reading import read
        from picocodec.model.store import DEFAULT_MODEL

        picture = read(io.BytesIO(data))
        level = level_of_quality(self.quality)
        return encode_picture(picture, level, self.model or DEFAULT_MODEL, threads=1)


def convert(
    conversion: Conversion,
    *,
    skip_existing: bool = False,
    address: str | None = None,
    workers: int | None = None,
) -> tuple[list[Row], int]:
    """Convert all pictures under the source into the same places under the target, both folders
    as fsspec names them (paths, `s3://bucket/folder` ...), one core for each.

    Returns a row for each picture by name, and the number of those skipped because their output
    was there. `address` is that of a running Ray cluster ("auto": the one of this machine); None
    takes the one that this process has joined, or starts one of `workers` processes here, all
    cores unless told. Raises `FileNotFoundError` for a
    source without pictures, `ModuleNotFoundError` where Ray is not installed.
    """
    rows = list(_rows(conversion))
    if not rows:
        raise FileNotFoundError(f"{conversion.source}: no pictures in this folder")
    there = set(_files(conversion.target)) if skip_existing else set()
    todo = [row for row in rows if row["output"] not in there]
    clashes = [row for row in todo if row["error"]]
    done = _on_cluster(conversion, [row for row in todo if not row["error"]], address, workers)
    finished = {row["name"]: row for row in (*clashes, *done)}
    lost = {"error": "its worker died"}
    return [finished.get(r["name"], {**r, **lost}) for r in todo], len(rows) - len(todo)


def write_table(rows: Sequence[Row], path: str) -> None:
    """Rows as CSV or, by the name's ending, Parquet, wherever fsspec can write."""
    import fsspec
    import pyarrow
    from pyarrow import csv, parquet

    kinds = [pyarrow.string()] * 2 + [pyarrow.int64()] + [pyarrow.float64()] * 2
    schema = pyarrow.schema(list(zip(COLUMNS, [*kinds, pyarrow.string()], strict=True)))
    table = pyarrow.Table.from_pylist(list(rows), schema)
    with fsspec.open(path, "wb") as file:
        if path.endswith(".parquet"):
            parquet.write_table(table, file)
        else:
            csv.write_csv(table, file)


def _rows(conversion: Conversion) -> Iterator[Row]:
    """One for each picture, still to be converted; an output that is taken is an error."""
    endings = {"pico"} if conversion.decode else EXTENSIONS
    suffix = ".png" if conversion.decode else ".pico"
    owners: dict[str, str] = {}
    for name in sorted(_files(conversion.source)):
        stem, ending = posixpath.splitext(name)
        if ending.lower().lstrip(".") not in endings:
            continue
        row: Row = dict.fromkeys(COLUMNS)
        row |= {"name": name, "output": stem + suffix, "error": ""}
        owner = owners.setdefault(row["output"], name)
        if owner != name:
            row["error"] = f"its output {row['output']} is that of {owner}"
        yield row


def _files(folder: str) -> Iterator[str]:
    """Names under the folder of the files in it, at any depth; none if it does not exist."""
    import fsspec

    system, root = fsspec.url_to_fs(folder)
    with suppress(FileNotFoundError):
        for path in system.find(root):
            yield path.removeprefix(root.rstrip("/")).lstrip("/")


def _on_cluster(
    conversion: Conversion, rows: Sequence[Row], address: str | None, workers: int | None
) -> Iterator[Row]:
    if not rows:
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray
    import ray.data

    joined = ray.is_initialized()
    if not joined and address is not None:
        ray.init(address, log_to_driver=False)
    elif not joined:
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.max_errored_blocks = -1  # where a worker dies the others go on
        yield from ray.data.from_items(list(rows)).map(partial(_call, conversion)).iter_rows()
    finally:
        if not joined:
            ray.shutdown()


def _call(conversion: Conversion, row: Row) -> Row:
    return conversion(row)


def _read(path: str) -> bytes:
    import fsspec

    with fsspec.open(path, "rb") as file:
        return file.read()


def _write(path: str, data: bytes) -> None:
    """The whole file or none."""
    import fsspec

    system, name = fsspec.url_to_fs(path)
    system.makedirs(posixpath.dirname(name), exist_ok=True)
    with system.transaction, system.open(name, "wb") as file:
        file.write(data)


def _decoded(data: bytes) -> bytes:
    from picocodec.decoding.decoder import open_picture
    from picocodec.images.writing import write_picture

    out = io.BytesIO()
    write_picture(out, "png", open_picture(data, threads=1))
    return out.getvalue()
