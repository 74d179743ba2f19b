"""Where what this machine has fetched lies, unless the environment names folders for it."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLES = {"weights": "PICOLAB_WEIGHTS", "evaluation": "PICOLAB_EVAL"}


def cache() -> Path:
    """`picolab` in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "picolab"


def folder(kind: str) -> Path:
    """The folder of weights of metrics ("weights") or of sets of test pictures ("evaluation"):
    $PICOLAB_WEIGHTS, $PICOLAB_EVAL, or one in the cache."""
    setting = os.environ.get(VARIABLES[kind])
    return Path(setting) if setting else cache() / kind
