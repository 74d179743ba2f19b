"""Shared by all tests: the tiny codec, released once."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import release_tiny

from picocodec.model.model import Model


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return release_tiny(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def model(model_folder: Path) -> Model:
    return Model(model_folder, threads=1)
