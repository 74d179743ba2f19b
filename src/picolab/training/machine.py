"""What a processor does well: the type to train in, and a memory allocator that keeps its pages.

A training step frees and takes hundreds of megabytes. An allocator that gives them back to the
system pays for each page again, which is a tenth of a step.
"""

from __future__ import annotations

import contextlib
import ctypes.util
import functools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a process that starts again loads PyTorch once, not before and after
    import torch

# Pages kept for ever would fill memory: what a step takes is of other sizes each time, which are
# those of the samples that perceptual losses see.
JEMALLOC = {"MALLOC_CONF": "dirty_decay_ms:10000,muzzy_decay_ms:10000,thp:always"}
GLIBC = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 33),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
MARK = "PICOLAB_ALLOCATOR"  # says that this process was started with one of these


def keep_pages() -> None:
    """Start this process again with an allocator that keeps its pages, where that is possible.

    jemalloc, where it is installed, is a little better than what glibc can be told. Whoever has
    set any of these variables is left alone.
    """
    ours = {"LD_PRELOAD", *JEMALLOC, *GLIBC, MARK}
    if not sys.platform.startswith("linux") or ours & os.environ.keys():
        return
    jemalloc = ctypes.util.find_library("jemalloc")
    settings = {"LD_PRELOAD": jemalloc, **JEMALLOC} if jemalloc else GLIBC
    environment = {**os.environ, **settings, MARK: "jemalloc" if jemalloc else "glibc"}
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def training_type(device: torch.device) -> torch.dtype:
    """bfloat16 where it is faster: on GPUs, and on processors with AMX or AVX-512 BF16."""
    import torch

    if device.type == "cuda":
        return torch.bfloat16
    return torch.bfloat16 if {"amx_bf16", "avx512_bf16"} & processor_flags() else torch.float32


@functools.cache
def processor_flags() -> frozenset[str]:
    """What the processor can, as Linux names it; empty elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        if line.startswith("flags"):
            return frozenset(line.split(":", 1)[1].split())
    return frozenset()


@contextlib.contextmanager
def without_denormals() -> Iterator[None]:
    """Meanwhile numbers too near zero for a normal exponent are zero: they take a processor a
    hundred times as long. What runs afterwards in this process has them again."""
    import torch

    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
