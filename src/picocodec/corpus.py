"""Whole folders of pictures over a cluster: Ray Data does the work, fsspec reads and writes it."""

from __future__ import annotations

import io
import os
import posixpath
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from picocodec.api import checked_quality, checked_target, encode, models, read_info
from picocodec.encoding.rate import DEFAULT_QUALITY
from picocodec.errors import UnknownModel
from picocodec.images.reading import EXTENSIONS

COLUMNS = ("name", "output", "read", "bytes", "bpp", "seconds", "error")
Row = dict[str, Any]
"""By `COLUMNS`: names under the folders, bytes of the input, of the .pico file its bytes and bits
per pixel; `error` is empty where all went well, and then nothing else is None."""
RETRIES = 2
PAUSE = 0.5  # seconds before the first one, then twice as long each time

Result = TypeVar("Result")


@dataclass(frozen=True)
class Conversion:
    """What to do with each picture: .pico files of a `quality`, or of at most `target_size` bytes
    each, by a model (None: the default), or with `decode` PNG files of .pico files. What the
    storage refuses is tried again, `retries` times.

    Raises `ValueError` and `UnknownModel` for what could not work on any picture.
    """

    source: str
    target: str
    quality: float = DEFAULT_QUALITY
    model: str | None = None
    decode: bool = False
    target_size: int | None = None
    retries: int = RETRIES

    def __post_init__(self) -> None:
        checked_quality(self.quality)
        if self.target_size is not None:
            checked_target(self.target_size)
        if self.decode and self.target_size is not None:
            raise ValueError("a target size is for .pico files, and these are to be decoded")
        if self.retries < 0:
            raise ValueError(f"{self.retries} retries: give a number from 0")
        if self.model is not None and self.model not in models():
            raise UnknownModel(
                f"model {self.model} is not installed (installed: {', '.join(models())})"
            )

    def __call__(self, row: Row) -> Row:
        """One picture, in a worker. Whatever goes wrong with it is told in its row."""
        start = time.perf_counter()
        try:
            data = self._patiently(_read, posixpath.join(self.source, row["name"]))
            made = _decoded(data) if self.decode else self._encoded(data)
            info = read_info(data if self.decode else made)
            self._patiently(_write, posixpath.join(self.target, row["output"]), made)
        except Exception as error:  # damaged files, full disks, refused connections: others go on
            return {**row, "error": f"{type(error).__name__}: {error}"}
        return {
            **row,
            "read": len(data),
            "bytes": info.bytes,
            "bpp": info.bpp,
            "seconds": time.perf_counter() - start,
        }

    def _patiently(self, function: Callable[..., Result], *args: Any) -> Result:
        """Its result, where the storage gives one at last; nothing that is missing or forbidden is
        asked for again."""
        for wait in range(self.retries):
            try:
                return function(*args)
            except (FileNotFoundError, PermissionError, IsADirectoryError):
                raise
            except OSError:
                time.sleep(PAUSE * 2**wait)
        return function(*args)

    def _encoded(self, data: bytes) -> bytes:
        size = self.target_size
        return encode(data, self.quality, target_size=size, model=self.model, threads=1)


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
    cores unless told. Pictures whose worker died go to another, each by itself then. Raises
    `FileNotFoundError` for a source without pictures, `ModuleNotFoundError` where Ray is not
    installed.
    """
    rows = list(_rows(conversion))
    if not rows:
        raise FileNotFoundError(f"{conversion.source}: no pictures in this folder")
    there = set(_files(conversion.target)) if skip_existing else set()
    todo = [row for row in rows if row["output"] not in there]
    finished = {row["name"]: row for row in todo if row["error"]}
    with _cluster(address, workers):
        for attempt in range(conversion.retries + 1):
            missing = [row for row in todo if row["name"] not in finished]
            for row in _over(conversion, missing, alone=attempt > 0):
                finished[row["name"]] = row
    lost = {"error": "its worker died"}
    return [finished.get(r["name"], {**r, **lost}) for r in todo], len(rows) - len(todo)


def summary(rows: Sequence[Row], skipped: int, seconds: float) -> str:
    """What became of all pictures, in a few lines."""
    done = [row for row in rows if not row["error"]]
    failed = len(rows) - len(done)
    lines = [
        f"{len(rows) + skipped} pictures: {len(done)} done, {skipped} skipped, {failed} failed"
    ]
    if done:
        read, made = (sum(row[name] for row in done) for name in ("read", "bytes"))
        work = sum(row["seconds"] for row in done)
        bpp = sum(row["bpp"] for row in done) / len(done)
        lines += [
            f"{read / 1e6:.3g} MB read, {made / 1e6:.3g} MB of .pico files, {bpp:.3g} bits a pixel "
            "on average",
            f"{seconds:.1f} s, {work / len(done):.2f} s of one core for each picture",
        ]
    kinds = Counter(row["error"].split(":")[0] for row in rows if row["error"])
    lines += [f"{count} x {kind}" for kind, count in kinds.most_common()]
    return "\n".join(lines)


def write_table(rows: Sequence[Row], path: str) -> None:
    """Rows as CSV or, by the name's ending, Parquet, wherever fsspec can write."""
    import fsspec
    import pyarrow
    from pyarrow import csv, parquet

    kinds = [pyarrow.string()] * 2 + [pyarrow.int64()] * 2 + [pyarrow.float64()] * 2
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


@contextmanager
def _cluster(address: str | None, workers: int | None) -> Iterator[None]:
    """A Ray cluster, joined or started; left as it was."""
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
        yield
    finally:
        if not joined:
            ray.shutdown()


def _over(conversion: Conversion, rows: Sequence[Row], alone: bool) -> Iterator[Row]:
    """Rows as they are done, of pictures whose workers live; `alone`: no picture takes others along
    with its worker."""
    if not rows:
        return
    import ray.data

    items = ray.data.from_items(list(rows), override_num_blocks=len(rows) if alone else None)
    yield from items.map(partial(_call, conversion)).iter_rows()


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
