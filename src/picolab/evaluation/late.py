"""What is imported when it is made, not before: a list of names costs no library."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any


def late(module: str, name: str, *arguments: Any) -> Callable[[], Any]:
    """Of the module `picolab.evaluation.<module>`, what `name(*arguments)` makes."""
    return partial(_make, module, name, *arguments)


def _make(module: str, name: str, *arguments: Any) -> Any:
    return getattr(import_module(f"picolab.evaluation.{module}"), name)(*arguments)
