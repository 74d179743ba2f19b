"""Modules of tests that need packages which may be absent, and take seconds to import."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


def need(*packages: str, extra: str) -> None:
    """Skip the module where one is absent. Unlike `pytest.importorskip` it loads none of them,
    which every worker would pay for that only collects the module."""
    for package in packages:
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed: {extra}", allow_module_level=True)
